"""What a plan is: a generator that asks for statements and is answered with rows.

The law of this package: a plan is pure. It reads no settings, no clock, no context variable and knows no driver, no
thread and no event loop. It yields a `Command` (finished SQL and driver-ready values), is sent a `Reply`, and returns
its result. An error of the database is thrown into it at the `yield`, already translated to `datalayer.errors`, so
that a plan may recover.

A plan catches `Exception`, never `BaseException`, and never yields in `finally`: a cancelled plan is closed, and
Python forbids a generator to yield then. Whoever lent the link (atomic(), the pool) rolls back.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Final, TypeAlias, TypeVar, cast

from datalayer._query.command import Command as Command
from datalayer._query.command import Repeated as Repeated

T = TypeVar("T")

Row: TypeAlias = tuple[object, ...]
"""One row as the driver gives it: positional, nothing converted."""


Chunks: TypeAlias = Iterable[list[Row]]
"""Rows in lists."""

CHUNK: Final = 100
"""Rows of a chunk. So few stay in the caches of the processor while instances are made of them, and what they took is
used again for the next: a fetch of 20 000 rows takes a fourth less time than from one list (50 to 1 000 are alike)."""


class Reply:
    """What the database answered.

    Attributes:
        chunks: The rows of a command `in_chunks` where they are many: to be read once, and closed. Else None.
        rows: The rows of a statement that returns some, else an empty list; empty where there are chunks.
        count: The number of affected rows of a statement that returns none; -1 where the driver cannot tell.
    """

    __slots__ = ("chunks", "count", "rows")

    def __init__(self, rows: list[Row], count: int = -1) -> None:
        self.rows = rows
        self.count = count
        self.chunks: Generator[list[Row], None, None] | None = None


class Call:
    """Asks whoever runs the plan to call a function: a hook of a model, which may block, await, and send statements.

    A plan that makes calls begins with one, so that it is run in a transaction in which what is called takes part;
    one without a function only says so.

    Attributes:
        function: What to call; None for nothing.
        awaiting: The name of what can only be awaited, so that a blocking caller is refused; else None.
    """

    __slots__ = ("awaiting", "function")

    def __init__(self, function: Callable[[], object] | None = None, awaiting: str | None = None) -> None:
        self.function = function
        self.awaiting = awaiting


def calling(call: Call) -> Command:
    """The call as what a plan yields; only `Database` runs such plans, and it knows both."""
    return cast("Command", call)


Plan: TypeAlias = Generator[Command, Reply, T]
"""An operation, written once; `run` and `arun` in `_links/run.py` drive it."""
