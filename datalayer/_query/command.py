"""What is sent to a database: finished SQL text with driver-ready values.

Defined this low so that the compiler can make them; plans yield them (`_plans/plan.py` names them again).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datalayer._schema.table import TableSpec


class Command:
    """One SQL statement and its driver-ready values.

    Attributes:
        sql: The text, with the placeholders of the backend (`?` on SQLite, `%s` on PostgreSQL).
        params: The values, in the order of the placeholders.
        returns_rows: Whether rows come back; otherwise the number of affected rows does.
        writes: Whether the statement may change anything: decides between the writer and a reader.
        returns_key: Whether the key of the new row comes back as a row, which SQLite knows without being asked for it.
        is_small: Whether it writes plain values to one row by its key, or to a few new ones: work that does not grow.
        in_chunks: Whether whoever reads its rows takes them in chunks, so that they need not all lie in memory twice.
        table: The table it is about; gives errors their model, columns and constraint.
        written: The columns written by plain values, each with the place of its value; gives errors their values.
    """

    __slots__ = (
        "in_chunks",
        "is_small",
        "params",
        "returns_key",
        "returns_rows",
        "sql",
        "table",
        "writes",
        "written",
    )

    def __init__(
        self,
        sql: str,
        params: Sequence[object] = (),
        *,
        returns_rows: bool = True,
        writes: bool = False,
        returns_key: bool = False,
        is_small: bool = False,
        table: TableSpec | None = None,
        written: tuple[tuple[str, int], ...] = (),
    ) -> None:
        self.sql = sql
        self.params = params
        self.written = written
        self.returns_rows = returns_rows
        self.writes = writes
        self.returns_key = returns_key
        self.is_small = is_small
        self.in_chunks = False
        self.table = table

    def __repr__(self) -> str:
        # The values stay out: they may be secrets, and reprs end in logs.
        return f"<Command {self.sql!r} with {len(self.params)} values>"


class Repeated(Command):
    """One statement of SQLite for many rows: `params` has the values of each, and no rows come back."""

    __slots__ = ()
