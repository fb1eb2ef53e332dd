"""How the awaiting pool lends and takes back: the two ways that every task goes, written out.

Both stand in what the caller holds, a wish and a lease: the call of a method of the pool costs as much as any step.
"""

# A lease is filled in by its pool, and ends in it: what is private here is so to all three together.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import logging
from asyncio import get_running_loop
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ref

from datalayer.pooling.async_lease import Acquiring, AsyncLease
from datalayer.pooling.entry import LENT
from datalayer.pooling.explain import error_text
from datalayer.pooling.lease import Grip
from datalayer.pooling.mutex import let_go
from datalayer.pooling.stepping import Rest
from datalayer.pooling.waiting import task_of

if TYPE_CHECKING:
    from datalayer.pooling.async_pool import AsyncPool

log = logging.getLogger("datalayer.pooling")

C = TypeVar("C")


class PoolLease(AsyncLease[C]):
    """A lease that gives its connection back itself."""

    __slots__ = ()

    pool: AsyncPool[C]  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]  # set once

    async def release(self) -> None:
        """Ends the lease: cleans the connection, and keeps or closes it."""
        grip = self._grip
        if grip is None or (entry := grip.entry) is None:
            raise self._refusal()
        pool = self.pool
        if get_running_loop() is not pool._loop:
            pool.refuse_elsewhere()
        self._grip = grip.entry = None
        entry.grip = grip
        conn, connector = entry.conn, pool._connector
        drop: str | None = None
        try:
            if (is_clean := pool._is_clean) is not None and is_clean(conn):
                pass
            elif connector.is_broken(conn):
                drop = "broken"
            else:
                resetting = connector.reset(conn)
                if resetting is not None:
                    try:  # as `in_time`, which is a call more
                        step = resetting.send(None)
                    except StopIteration:
                        pass
                    else:
                        async with asyncio.timeout(pool.config.reset_timeout):
                            await Rest(resetting, step)
            if pool._reset is not None and drop is None:
                async with asyncio.timeout(pool.config.reset_timeout):
                    await pool._reset(conn)
        except Exception as error:
            drop = "reset_failed"
            log.warning(
                "connection %s of %s could not be reset and was thrown away: %s", entry.id, pool, error_text(error)
            )
        except BaseException:
            pool.discard_entry(entry, "reset_failed")
            raise
        core, clock, mutex = pool._core, pool._clock, pool._mutex
        try:
            mutex.acquire()
            if (entry.state == LENT and entry.home is core.home) or pool._owns(entry):
                core.give_back(entry, clock(), drop)
        except BaseException:
            let_go(mutex)
            if entry.home is core.home:  # interrupted in the middle: its place must not be lost
                pool._orphans.append(entry)
            raise
        mutex.release()
        if core.actions or pool._orphans:
            pool._collect()


class PoolAcquiring(Acquiring[C]):
    """An acquire that has not begun, and makes its steps itself."""

    __slots__ = ()

    pool: AsyncPool[C]  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]  # set once

    def __await__(self) -> Generator[Any, Any, AsyncLease[C]]:
        pool = self.pool
        clock = pool._clock  # read first, see `take_ready`
        now = clock()
        loop = get_running_loop()
        task = task_of(loop)
        owner = task and ref(task)  # a task that ends without giving back is garbage, and its lease with it
        if loop is not pool._loop:
            pool._check_loop()
        mutex = pool._mutex
        try:  # a `with` that takes half the time; see `let_go`
            mutex.acquire()
            entry = pool._core.take_ready(now, owner)
        except BaseException:
            let_go(mutex)
            raise
        mutex.release()
        if entry is None:
            entry = yield from pool._acquire(self.timeout, now, owner).__await__()
        elif pool._orphans:
            pool._collect()
        entry.code = self.code
        entry.offset = self.offset
        grip = entry.grip
        if grip is None:
            grip = Grip(pool)
        entry.grip = None
        grip.entry = entry
        lease: PoolLease[C] = PoolLease()
        lease.pool = pool
        lease._grip = grip
        return lease
