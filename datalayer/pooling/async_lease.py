"""The right to use one connection, for tasks; and the wish for one."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from datalayer.pooling.entry import Entry
from datalayer.pooling.explain import Placed, Site
from datalayer.pooling.lease import BaseLease, LeasePool, grip_of
from datalayer.pooling.timeouts import DEFAULT, Timeout, check_timeout

C = TypeVar("C")


class AsyncReleasingPool(LeasePool[C], Protocol[C]):
    """What an awaiting lease needs of the pool it came from."""

    async def release_lease(self, lease: AsyncLease[C]) -> None:
        """Ends a lease: cleans the connection, and keeps or closes it."""
        ...


class LendingPool(Protocol[C]):
    """What an `Acquiring` needs of its pool."""

    def lend(self, acquiring: Acquiring[C]) -> Generator[Any, Any, AsyncLease[C]]:
        """Lends a connection and gives its lease: the steps of `Acquiring.__await__`."""
        ...


class AsyncLease(BaseLease[C]):
    """The right to use one connection; `async with lease as conn` gives it back at the end."""

    __slots__ = ()

    pool: AsyncReleasingPool[C]  # pyright: ignore[reportIncompatibleVariableOverride]  # set once

    # The pool ends the lease, in its first step: a task that is cancelled before that has lost nothing.

    def release(self) -> Coroutine[Any, Any, None]:
        """Gives the connection back: it is cleaned and kept, or thrown away when it cannot be cleaned.

        Raises:
            DoubleRelease: The lease has ended already.
        """
        return self.pool.release_lease(self)

    async def __aenter__(self) -> C:
        return self.conn

    def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> Coroutine[Any, Any, None]:
        if exc is not None:
            self.report(exc)
        return _nothing() if self._grip is None else self.release()  # nothing: discarded or detached in the block


async def _nothing() -> None:
    pass


class Acquiring(Placed, Generic[C]):
    """An acquire that has not begun: `await` it for the lease, or `async with` it for the connection.

    Attributes:
        pool: The pool that was asked.
        timeout: What `acquire` was told.
        lease: The lease of a block, once it was served.
    """

    __slots__ = ("lease", "pool", "timeout")

    pool: LendingPool[C]
    timeout: Timeout
    lease: AsyncLease[C] | None

    def __await__(self) -> Generator[Any, Any, AsyncLease[C]]:
        return self.pool.lend(self)

    async def __aenter__(self) -> C:
        self.lease = lease = await self
        return lease.conn

    def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> Coroutine[Any, Any, None]:
        lease, self.lease = self.lease, None
        return _nothing() if lease is None else lease.__aexit__(kind, exc, tb)


def async_lease_of(pool: AsyncReleasingPool[C], entry: Entry[C]) -> AsyncLease[C]:
    """The lease of an entry, for pools that do not fill it in by hand."""
    lease: AsyncLease[C] = AsyncLease()
    lease.pool, lease._grip = pool, grip_of(pool, entry)  # pyright: ignore[reportPrivateUsage]  # filled in by hand
    return lease


def asking_of(pool: LendingPool[C], timeout: Timeout, site: Site) -> Acquiring[C]:
    """What `acquire` of a pool gives; `AsyncPool.acquire` does the same by hand."""
    if timeout is not DEFAULT:
        check_timeout(timeout)
    asking: Acquiring[C] = Acquiring()
    asking.pool, asking.timeout = pool, timeout
    asking.code, asking.offset = site
    return asking
