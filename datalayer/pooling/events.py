"""What a pool tells its listeners: frozen values, given after the fact and outside of every lock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """A connection was opened."""

    id: int
    took: float


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """An attempt to open a connection failed; the next one comes in `retry_in` seconds."""

    error: BaseException
    attempt: int
    retry_in: float


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """A connection left the pool, for the reason that counts it in `PoolStats.closed_...`."""

    id: int
    reason: str
    age: float
    uses: int


@dataclass(frozen=True, slots=True)
class CheckedOut:
    """A connection was lent."""

    id: int
    waited: float


@dataclass(frozen=True, slots=True)
class CheckedIn:
    """A connection came back."""

    id: int
    used: float


@dataclass(frozen=True, slots=True)
class AcquireTimeout:
    """A caller waited in vain."""

    timeout: float
    reason: str


@dataclass(frozen=True, slots=True)
class AcquireRejected:
    """A caller was turned away without waiting."""

    reason: str


@dataclass(frozen=True, slots=True)
class LeakSuspected:
    """A connection is lent out for longer than `leak_threshold`."""

    id: int
    held: float
    where: str


@dataclass(frozen=True, slots=True)
class LeaseAbandoned:
    """A lease was garbage collected without having been given back."""

    id: int
    held: float


@dataclass(frozen=True, slots=True)
class DeadlockDetected:
    """Everybody who holds a connection waits for another one."""

    holders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unavailable:
    """An outage began: connecting has failed for `unavailable_after` seconds."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Available:
    """An outage is over."""

    down_for: float


@dataclass(frozen=True, slots=True)
class GenerationChanged:
    """Every connection opened before is stale."""

    generation: int


@dataclass(frozen=True, slots=True)
class Resized:
    """The pool's limits changed."""

    max_size: int
    min_idle: int


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The pool was opened, paused, resumed or closed."""

    state: str


Event: TypeAlias = (
    ConnectionOpened | ConnectFailed | ConnectionClosed | CheckedOut | CheckedIn | AcquireTimeout | AcquireRejected
    | LeakSuspected | LeaseAbandoned | DeadlockDetected | Unavailable | Available | GenerationChanged | Resized
    | StateChanged
)  # fmt: skip

Listener: TypeAlias = Callable[[Event], object]
"""Hears of what happened; what it gives back is ignored, and what it raises is logged."""
