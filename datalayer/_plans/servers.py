"""Whole databases of a server of PostgreSQL: made, dropped, and who is connected to one."""

from __future__ import annotations

from datalayer._compile import servers
from datalayer._plans.plan import Plan


def exists(name: str) -> Plan[bool]:
    """Whether there is a database of that name."""
    return bool((yield servers.exists(name)).rows)


def sessions(name: str) -> Plan[list[tuple[str, ...]]]:
    """The clients of a database, each as process, role, program, address and state."""
    return [tuple(map(str, row)) for row in (yield servers.sessions(name)).rows]


def create(name: str, template: str | None = None) -> Plan[None]:
    """Makes a database, as a copy of another one if one is named."""
    yield servers.create(name, template)


def drop(name: str, *, force: bool) -> Plan[None]:
    """Drops a database if it is there, with `force` whoever is connected to it."""
    yield servers.drop(name, force=force)


def describe(name: str, text: str) -> Plan[None]:
    """Notes something about a database."""
    yield servers.describe(name, text)


def description(name: str) -> Plan[str | None]:
    """What was noted about a database; None where nothing was, or there is none."""
    rows = (yield servers.description(name)).rows
    return None if not rows or rows[0][0] is None else str(rows[0][0])
