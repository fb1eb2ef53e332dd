"""What is due in a pool that nobody asks anything of: the rules by which idle and lent connections grow old."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Literal, TypeAlias, TypeVar

from datalayer.pooling.config import PoolConfig
from datalayer.pooling.entry import NEVER, Entry

C = TypeVar("C")
E = TypeVar("E", bound="Entry[Any]")

Verdict: TypeAlias = Literal["keep", "lifetime", "idle", "ping"]


def judged(idle: Iterable[Entry[C]], spare: int, config: PoolConfig, now: float) -> Iterator[tuple[Entry[C], Verdict]]:
    """What shall become of each idle connection.

    Args:
        spare: How many of them may end because nobody has used them.
    """
    for entry in idle:
        if entry.expires <= now:
            spare -= 1
            yield entry, "lifetime"
        elif config.idle_timeout is not None and spare > 0 and now - entry.since >= config.idle_timeout:
            spare -= 1
            yield entry, "idle"
        elif config.keepalive is not None and now - entry.seen >= config.keepalive:
            yield entry, "ping"
        else:
            yield entry, "keep"


def due_at(idle: Collection[Entry[C]], spare: int, config: PoolConfig) -> float:
    """When `judged` has something to say next."""
    at = NEVER
    if config.idle_timeout is not None and spare > 0:
        at = min(entry.since for entry in idle) + config.idle_timeout
    for entry in idle:
        at = min(at, entry.expires if config.keepalive is None else min(entry.expires, entry.seen + config.keepalive))
    return at


def overdue(lent: Iterable[E], config: PoolConfig, now: float) -> list[E]:
    """The leases that are out for longer than `leak_threshold`, each one once."""
    if config.leak_threshold is None:
        return []
    found = [one for one in lent if not one.reported and now - one.since >= config.leak_threshold]
    for entry in found:
        entry.reported = True
    return found


def overdue_at(lent: Iterable[Entry[C]], config: PoolConfig) -> float:
    """When `overdue` has something to say next."""
    if config.leak_threshold is None:
        return NEVER
    return min((one.since + config.leak_threshold for one in lent if not one.reported), default=NEVER)
