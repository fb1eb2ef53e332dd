"""Transactions as text: BEGIN, COMMIT and savepoints are commands like any other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, TypeVar

from datalayer._plans.plan import Command, Plan
from datalayer.errors import DatabaseError

T = TypeVar("T")

Isolation: TypeAlias = Literal["read uncommitted", "read committed", "repeatable read", "serializable"]
ISOLATIONS: Final[tuple[Isolation, ...]] = ("read uncommitted", "read committed", "repeatable read", "serializable")


def _text(sql: str) -> Command:
    return Command(sql, (), returns_rows=False, writes=True)


def begin_text(
    backend: str, *, isolation: Isolation | None = None, read_only: bool = False, immediate: bool = True
) -> str:
    """The statement that opens a transaction.

    SQLite transactions are serializable whatever is asked for; a writing one takes the write lock at once
    (`immediate`), so that it cannot fail half-way for a lock another one holds.
    """
    if backend == "sqlite":
        return "BEGIN" if read_only or not immediate else "BEGIN IMMEDIATE"
    parts = ["BEGIN"]
    if isolation is not None:
        parts.append(f"ISOLATION LEVEL {isolation.upper()}")
    if read_only:
        parts.append("READ ONLY")
    return " ".join(parts)


def begin(
    backend: str, *, isolation: Isolation | None = None, read_only: bool = False, immediate: bool = True
) -> Plan[None]:
    """Opens a transaction."""
    yield _text(begin_text(backend, isolation=isolation, read_only=read_only, immediate=immediate))


def commit() -> Plan[None]:
    """Makes the open transaction last."""
    yield _text("COMMIT")


def rollback() -> Plan[None]:
    """Undoes the open transaction."""
    yield _text("ROLLBACK")


def savepoint(name: str) -> Plan[None]:
    """Marks a place in the open transaction to come back to."""
    yield _text(f"SAVEPOINT {quoted(name)}")


def release(name: str) -> Plan[None]:
    """Forgets a savepoint and keeps what was done since."""
    yield _text(f"RELEASE SAVEPOINT {quoted(name)}")


def rollback_to(name: str) -> Plan[None]:
    """Undoes what was done since a savepoint; the savepoint stays."""
    yield _text(f"ROLLBACK TO SAVEPOINT {quoted(name)}")


def quoted(name: str) -> str:
    """An identifier in quotes."""
    return '"' + name.replace('"', '""') + '"'


def nested(backend: str, plan: Callable[[], Plan[T]], *, depth: int, name: str = "datalayer_plan") -> Plan[T]:
    """Runs a plan so that either all of it happens or nothing, and an error leaves the connection usable.

    Args:
        backend: Which SQL to write.
        plan: Makes the plan.
        depth: How many transactions and savepoints are open already: 0 opens a transaction, more a savepoint.
        name: The savepoint's name.
    """
    undo: tuple[Plan[None], ...]
    if depth:
        enter, leave, undo = savepoint(name), release(name), (rollback_to(name), release(name))
    else:
        enter, leave, undo = begin(backend), commit(), (rollback(),)
    yield from enter
    try:
        result = yield from plan()
    except Exception as error:
        try:
            for step in undo:
                yield from step
        except DatabaseError as refused:
            # SQLite undoes everything by itself when the disk is full; why it did is what must be told.
            error.add_note(f"the rollback failed as well: {refused}")
        raise
    yield from leave
    return result
