"""What a plan is: a generator that asks for statements and is answered with rows.

The law of this package: a plan is pure. It reads no settings, no clock, no context variable and knows no driver, no
thread and no event loop. It yields a `Command` or a `Batch` (finished SQL and driver-ready values), is sent a
`Reply`, and returns its result. An error of the database is thrown into it at the `yield`, already translated to
`datalayer.errors`, so that a plan may recover.

A plan catches `Exception`, never `BaseException`, and never yields in `finally`: a cancelled plan is closed, and
Python forbids a generator to yield then. Whoever lent the link (atomic(), the pool) rolls back.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    from datalayer._schema.table import TableSpec

T = TypeVar("T")

Row: TypeAlias = tuple[object, ...]
"""One row as the driver gives it: positional, nothing converted."""


class Command:
    """One SQL statement and its driver-ready values.

    Attributes:
        sql: The text, with the placeholders of the backend (`?` on SQLite, `%s` on PostgreSQL).
        params: The values, in the order of the placeholders.
        returns_rows: Whether rows come back; otherwise the number of affected rows does.
        writes: Whether the statement may change anything: decides between the writer and a reader.
        table: The table it is about; gives errors their model, columns and constraint.
    """

    __slots__ = ("params", "returns_rows", "sql", "table", "writes")

    def __init__(
        self,
        sql: str,
        params: Sequence[object] = (),
        *,
        returns_rows: bool = True,
        writes: bool = False,
        table: TableSpec | None = None,
    ) -> None:
        self.sql = sql
        self.params = params
        self.returns_rows = returns_rows
        self.writes = writes
        self.table = table

    def __repr__(self) -> str:
        # The values stay out: they may be secrets, and reprs end in logs.
        return f"<Command {self.sql!r} with {len(self.params)} values>"


class Batch:
    """One writing statement run once for each row of values; answered with the number of affected rows.

    Attributes:
        sql: The text, as in `Command`.
        rows: Driver-ready values, one sequence for each run.
        table: As in `Command`.
    """

    __slots__ = ("rows", "sql", "table")

    def __init__(self, sql: str, rows: Sequence[Sequence[object]], *, table: TableSpec | None = None) -> None:
        self.sql = sql
        self.rows = rows
        self.table = table

    def __repr__(self) -> str:
        return f"<Batch {self.sql!r} with {len(self.rows)} rows>"


class Reply:
    """What the database answered.

    Attributes:
        rows: The rows of a statement that returns some, else an empty list.
        count: The number of affected rows of a statement that returns none; -1 where the driver cannot tell.
    """

    __slots__ = ("count", "rows")

    def __init__(self, rows: list[Row], count: int = -1) -> None:
        self.rows = rows
        self.count = count


Plan: TypeAlias = Generator[Command | Batch, Reply, T]
"""An operation, written once; `run` and `arun` in `_links/run.py` drive it."""
