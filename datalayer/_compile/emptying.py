"""Every row of tables thrown away, and their numbering begun anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from datalayer._compile.assignments import quoted
from datalayer._compile.backends.base import BACKENDS
from datalayer._query.command import Command
from datalayer._schema.table import TableSpec


def empty(backend_name: str, tables: Sequence[TableSpec], late: Mapping[str, tuple[str, ...]]) -> list[Command]:
    """The statements that empty tables.

    Args:
        backend_name: Whose SQL.
        tables: Each after those it refers to.
        late: By table, the fields that close a cycle of references.
    """
    backend = BACKENDS[backend_name]
    names = [quoted(backend, table.name) for table in tables]
    if not names:
        return []
    if backend_name == "postgresql":
        return [_command(f"TRUNCATE TABLE {', '.join(names)} RESTART IDENTITY".replace("%", "%%"))]
    found: list[Command] = []
    for table in tables:
        if table.name in late:
            columns = [quoted(backend, table.fields[name].column) for name in late[table.name]]
            nothing = ", ".join(f"{column} = NULL" for column in columns)
            found.append(_command(f"UPDATE {quoted(backend, table.name)} SET {nothing}"))
    return found + [_command(f"DELETE FROM {name}") for name in reversed(names)]


def has_numbering() -> Command:
    """SQLite: a row where the database numbers any table."""
    return Command("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'", (), returns_rows=True, writes=False)


def number_anew(table: TableSpec) -> Command:
    """SQLite: the keys of a table begin with 1 again."""
    return Command("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,), returns_rows=False, writes=True)


def _command(sql: str) -> Command:
    return Command(sql, (), returns_rows=False, writes=True)
