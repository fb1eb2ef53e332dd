"""Whether SQLite numbers the rows of a table by its key, which only an `INTEGER PRIMARY KEY` gets.

The key of a new row is the connection's `lastrowid`. In a table that somebody else has made, the key may be another
column (`BIGINT PRIMARY KEY`), which is NULL then: so each connection looks once at each table it numbers rows of.
"""

from __future__ import annotations

import sqlite3

from datalayer import errors
from datalayer._schema.table import TableSpec


class Connection(sqlite3.Connection):
    """A connection of sqlite3 that remembers the tables it has looked at.

    Attributes:
        numbered: The names of those whose key is the number of the row.
    """

    numbered: set[str]


_COLUMNS = "SELECT name, pk, type FROM pragma_table_info(?)"
_HAS_KEY_INDEX = "SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk'"


def check_numbered(raw: Connection, table: TableSpec, alias: str) -> None:
    """Looks at a table before its first row is numbered.

    Args:
        raw: The connection.
        table: The table.
        alias: The alias of the database.

    Raises:
        ProgrammingError: SQLite does not number its rows by the key of the model.
    """
    found = raw.execute(_COLUMNS, (table.name,)).fetchall()
    key = table.fields[table.primary_key[0]].column
    kind = next((kind for name, place, kind in found if place and name.lower() == key.lower()), None)
    # The number of the row needs no index of its own; every other key has one.
    is_numbered = kind is not None and raw.execute(_HAS_KEY_INDEX, (table.name,)).fetchone() is None
    if found and not is_numbered:  # a table that is not there is told by the insert
        said = f"no {kind} PRIMARY KEY" if kind else "nothing else"
        raise errors.ProgrammingError(
            f"table {table.name!r}: SQLite numbers rows by a column {key!r} that is INTEGER PRIMARY KEY, and {said}; "
            f"give each row its key, with {key}: Mapped[int] = PrimaryKey() in {table.model}, or migrate the column",
            alias=alias,
            model=table.model,
            table=table.name,
            columns=(key,),
        )
    raw.numbered.add(table.name)


__all__ = ["Connection", "check_numbered"]
