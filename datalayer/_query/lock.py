"""Row locks: which rows a SELECT locks, how strongly, and what it does about rows that somebody else has locked."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Waiting: TypeAlias = Literal["wait", "nowait", "skip locked"]


class Lock(NamedTuple):
    """`FOR UPDATE` of a query; a part of its shape.

    Attributes:
        is_weak: `FOR NO KEY UPDATE`: others may still insert rows that refer to the locked ones.
        of: The paths whose rows are locked, the empty one for the query's own; none for all that must be there.
        waiting: What happens at a row that somebody else has locked.
    """

    is_weak: bool = False
    of: tuple[tuple[str, ...], ...] = ()
    waiting: Waiting = "wait"
