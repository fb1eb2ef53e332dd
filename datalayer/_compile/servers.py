"""What a server of PostgreSQL is told about whole databases."""

from __future__ import annotations

from datalayer._query.command import Command

SESSIONS = """
SELECT pid, coalesce(usename::text, '?'), coalesce(application_name, ''), coalesce(host(client_addr), ''),
    coalesce(state, '?')
FROM pg_stat_activity
WHERE datname = %s AND backend_type = 'client backend' AND pid <> pg_backend_pid()
ORDER BY backend_start
"""


def exists(name: str) -> Command:
    """One row if there is a database of that name."""
    return Command("SELECT 1 FROM pg_database WHERE datname = %s", (name,))


def sessions(name: str) -> Command:
    """A row for each client of a database: process, role, program, address, state."""
    return Command(SESSIONS, (name,))


def create(name: str, template: str | None = None) -> Command:
    """Makes a database.

    Args:
        name: What it is called.
        template: The database to copy; the server's own template when left out.
    """
    like = f" TEMPLATE {quoted(template)}" if template else ""
    return Command(f"CREATE DATABASE {quoted(name)}{like}", returns_rows=False, writes=True)


def drop(name: str, *, force: bool) -> Command:
    """Drops a database if it is there.

    Args:
        name: What it is called.
        force: End the sessions that are connected to it.
    """
    words = " WITH (FORCE)" if force else ""
    return Command(f"DROP DATABASE IF EXISTS {quoted(name)}{words}", returns_rows=False, writes=True)


def describe(name: str, text: str) -> Command:
    """Notes something about a database, for people and for ourselves."""
    literal = "'" + text.replace("'", "''").replace("%", "%%") + "'"
    return Command(f"COMMENT ON DATABASE {quoted(name)} IS {literal}", returns_rows=False, writes=True)


def description(name: str) -> Command:
    """One row with what was noted about a database, if there is one."""
    return Command("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", (name,))


def quoted(name: str) -> str:
    """A name as an identifier; its percent signs are no placeholders."""
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'
