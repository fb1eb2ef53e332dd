"""What a pool tells its listeners: named tuples, given after the fact and outside of every lock.

To tell one kind from another, ask for its class: as tuples two of different kinds may be equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias


class ConnectionOpened(NamedTuple):
    """A connection was opened."""

    id: int
    took: float


class ConnectFailed(NamedTuple):
    """An attempt to open a connection failed; the next one comes in `retry_in` seconds."""

    error: BaseException
    attempt: int
    retry_in: float


class ConnectionClosed(NamedTuple):
    """A connection left the pool, for the reason that counts it in `PoolStats.closed_...`."""

    id: int
    reason: str
    age: float
    uses: int


class CheckedOut(NamedTuple):
    """A connection was lent."""

    id: int
    waited: float


class CheckedIn(NamedTuple):
    """A connection came back."""

    id: int
    used: float


class AcquireTimeout(NamedTuple):
    """A caller waited in vain."""

    timeout: float
    reason: str


class AcquireRejected(NamedTuple):
    """A caller was turned away without waiting."""

    reason: str


class LeakSuspected(NamedTuple):
    """A connection is lent out for longer than `leak_threshold`."""

    id: int
    held: float
    where: str


class LeaseAbandoned(NamedTuple):
    """A lease was garbage collected without having been given back."""

    id: int
    held: float


class DeadlockDetected(NamedTuple):
    """Everybody who holds a connection waits for another one."""

    holders: tuple[str, ...]


class Unavailable(NamedTuple):
    """An outage began: connecting has failed for `unavailable_after` seconds."""

    error: BaseException


class Available(NamedTuple):
    """An outage is over."""

    down_for: float


class GenerationChanged(NamedTuple):
    """Every connection opened before is stale."""

    generation: int


class Resized(NamedTuple):
    """The pool's limits changed."""

    max_size: int
    min_idle: int


class StateChanged(NamedTuple):
    """The pool was opened, paused, resumed or closed."""

    state: str


Event: TypeAlias = (
    ConnectionOpened | ConnectFailed | ConnectionClosed | CheckedOut | CheckedIn | AcquireTimeout | AcquireRejected
    | LeakSuspected | LeaseAbandoned | DeadlockDetected | Unavailable | Available | GenerationChanged | Resized
    | StateChanged
)  # fmt: skip

Listener: TypeAlias = Callable[[Event], object]
"""Hears of what happened; what it gives back is ignored, and what it raises is logged."""
