"""What the flows of a pool ask of the shell that drives them: everything that takes time."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Generic, TypeAlias, TypeVar

from datalayer.pooling.entry import Waiter

C = TypeVar("C")
T = TypeVar("T")


class Connect:
    """Request: a new connection; answered with it."""

    __slots__ = ()


class Configure(Generic[C]):
    """Request: run the `configure` hook on a new connection."""

    __slots__ = ("conn",)

    def __init__(self, conn: C) -> None:
        self.conn = conn


class Ping(Generic[C]):
    """Request: a sign of life in `timeout` seconds."""

    __slots__ = ("conn", "timeout")

    def __init__(self, conn: C, timeout: float) -> None:
        self.conn = conn
        self.timeout = timeout


class Shut(Generic[C]):
    """Request: close a connection that never came into the pool."""

    __slots__ = ("conn",)

    def __init__(self, conn: C) -> None:
        self.conn = conn


class Wait(Generic[C]):
    """Request: wait until the waiter is woken, for `timeout` seconds at most."""

    __slots__ = ("timeout", "waiter")

    def __init__(self, waiter: Waiter[C], timeout: float | None) -> None:
        self.waiter = waiter
        self.timeout = timeout


Request: TypeAlias = Connect | Configure[C] | Ping[C] | Shut[C] | Wait[C]
Flow: TypeAlias = Generator[Request[C], Any, T]
