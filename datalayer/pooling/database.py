"""The connections of one database in the settings: one blocking pool, and one awaiting pool for each event loop."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from datalayer._links.link import AsyncLink, BackendName, Link
from datalayer.conf import DatabaseSettings, settings
from datalayer.late import asyncio, dataclass
from datalayer.pooling import holding
from datalayer.pooling.lease import Lease
from datalayer.pooling.linkpools import AsyncLinkPool, LinkPool, async_link_pool, link_pool
from datalayer.pooling.sqlite import Mode, memory_name
from datalayer.pooling.stats import LeaseInfo, PoolStats, total
from datalayer.pooling.timeouts import DEFAULT, Timeout

if TYPE_CHECKING:
    from datalayer.pooling.async_lease import Acquiring, AsyncLease
    from datalayer.pooling.events import Event

Loops: TypeAlias = "dict[asyncio.AbstractEventLoop, AsyncLinkPool]"

DatabaseListener: TypeAlias = "Callable[[str, Event], object]"
"""Hears the name of a pool (the alias; of SQLite's readers `alias (read)`) and what happened there."""


LAST_PATIENCE = 1.0
"""How long the end of an event loop waits for leases that are still out, in seconds."""


@dataclass(frozen=True, slots=True)
class _Named:
    """A listener of one pool that tells its name to a listener of many."""

    name: str
    listener: DatabaseListener

    def __call__(self, event: Event) -> None:
        self.listener(self.name, event)


def _replicas_of(alias: str) -> tuple[str, ...]:
    return tuple([name for name, one in settings.databases.items() if one.replica_of == alias])


class DatabasePool:
    """The connections of one database, in both worlds.

    Attributes:
        alias: Its name in the settings.
        settings: Its part of the settings.
        backend: `sqlite` or `postgresql`.
        replicas: The aliases of the databases that are read-only copies of it.
        is_routed: Whether it has replicas or is one, so that somebody must choose where an operation runs.
        passed_by_until: Of a replica that could not be reached: when it is tried again; 0 for all others.
    """

    def __init__(self, alias: str, settings: DatabaseSettings) -> None:
        self.alias = alias
        self.settings = settings
        self.backend: BackendName = settings.url.backend
        self.replicas = _replicas_of(alias)
        self.is_routed = bool(self.replicas) or settings.replica_of is not None
        self.passed_by_until = 0.0
        self._lock = threading.Lock()
        self._pool: LinkPool | None = None
        self._loops: Loops = {}
        self._guards: dict[asyncio.AbstractEventLoop, AsyncGenerator[None, None]] = {}
        self._listeners: tuple[DatabaseListener, ...] = ()
        self._memory: str | None = None
        self._anchor: sqlite3.Connection | None = None
        self._inherited: list[object] = []  # of the parent process, which is using it

    def __repr__(self) -> str:
        return f"<DatabasePool {self.alias!r} of {self.settings.url}>"

    # -- lending --------------------------------------------------------------------------------

    def borrow(self, mode: Mode = "write", timeout: Timeout = DEFAULT) -> Lease[Link]:
        """Lends a blocking link; the lease is to be released.

        Args:
            mode: `read` for a link that refuses to write, where the database has such ones.
            timeout: Seconds to wait; `connection_timeout` when not given.
        """
        pool = self._pool
        if pool is None:
            pool = self._build()
        return pool.acquire(mode, timeout)

    async def aborrow(self, mode: Mode = "write", timeout: Timeout = DEFAULT) -> AsyncLease[AsyncLink]:
        """The awaiting twin of `borrow`."""
        return await self.asking(mode, timeout)

    def asking(self, mode: Mode = "write", timeout: Timeout = DEFAULT) -> Acquiring[AsyncLink]:
        """What `aborrow` awaits, to be awaited in the running loop: for who has no use for a coroutine around it."""
        pool = self._loops.get(asyncio.get_running_loop())
        if pool is None:
            pool = self._abuild()
        return pool.acquire(mode, timeout)

    @contextmanager
    def link(self, mode: Mode = "write") -> Generator[Link, None, None]:
        """Lends a link for the block, given back clean or thrown away."""
        with self.borrow(mode) as link:
            yield link

    @asynccontextmanager
    async def alink(self, mode: Mode = "write") -> AsyncGenerator[AsyncLink, None]:
        """The awaiting twin of `link`."""
        async with await self.asking(mode) as link:
            yield link

    @contextmanager
    def connection(self, mode: Mode = "write") -> Generator[Any, None, None]:
        """Lends the driver's own connection (sqlite3, psycopg) for the block; given back clean or thrown away.

        Inside `atomic()` it is the connection of the transaction, and what is done with it belongs to that.

        Args:
            mode: `read` lends a connection that refuses to write, where the database has such ones.
        """
        holder = holding.holder(self.alias)
        if holder is not None:
            with holder.lent(is_async=False) as raw:
                yield raw
            return
        with self.borrow(mode) as link:
            yield link.raw

    @asynccontextmanager
    async def aconnection(self, mode: Mode = "write") -> AsyncGenerator[Any, None]:
        """The awaiting twin of `connection`."""
        holder = holding.holder(self.alias)
        if holder is not None:
            with holder.lent(is_async=True) as raw:
                yield raw
            return
        async with await self.asking(mode) as link:
            yield link.raw

    # -- life -----------------------------------------------------------------------------------

    def open(self, *, wait: bool = False) -> None:
        """Opens the blocking pool.

        Args:
            wait: Return only when a connection could be made.

        Raises:
            ConnectionFailed: The database refused, and trying again cannot help.
            PoolTimeout: No connection could be made in time.
        """
        (self._pool or self._build()).open(wait=wait)

    async def aopen(self, *, wait: bool = False) -> None:
        """The awaiting twin of `open`, for the pool of the running loop."""
        await (self._loops.get(asyncio.get_running_loop()) or self._abuild()).open(wait=wait)

    def close(self, timeout: float | None = None) -> None:
        """Closes the blocking pool; the next use opens it again. A database in memory is gone then."""
        with self._lock:
            pool, self._pool = self._pool, None
            anchor, self._anchor = self._anchor, None
            self._memory = None if anchor is not None else self._memory
        if pool is not None:
            pool.close(timeout)
        if anchor is not None:
            anchor.close()

    async def aclose(self, timeout: float | None = None) -> None:
        """Closes the awaiting pool of the running loop; the next use opens it again."""
        loop = asyncio.get_running_loop()
        with self._lock:
            pool = self._loops.pop(loop, None)
            guard = self._guards.pop(loop, None)
        if pool is not None:
            await pool.close(timeout)
        if guard is not None:
            await guard.aclose()
        self._forget_closed_loops()

    def stats(self) -> PoolStats:
        """The numbers of all pools of this database together: the blocking one, and one for each event loop."""
        found = self._present()
        return total([pool.stats() for pool in found]) if found else PoolStats(state="new")

    def parts(self) -> dict[str, PoolStats]:
        """The numbers by the name of the pool: as `stats`, with SQLite's readers (`alias (read)`) on their own."""
        found: dict[str, list[PoolStats]] = {}
        for pool in self._present():
            for part in pool.parts:
                found.setdefault(part.name or self.alias, []).append(part.stats())
        return {name: total(stats) for name, stats in found.items()}

    def leases(self) -> list[LeaseInfo]:
        """Who holds a connection at this moment, in both worlds."""
        return [lease for pool in self._present() for lease in pool.leases()]

    def listen(self, listener: DatabaseListener) -> None:
        """Tells the listener of every event of this database's pools from now on, those to come included."""
        with self._lock:
            self._listeners = (*self._listeners, listener)
            for pool in (self._pool, *self._loops.values()):
                if pool is not None:
                    self._attach(pool, listener)

    def unlisten(self, listener: DatabaseListener) -> None:
        """Stops telling the listener."""
        with self._lock:
            self._listeners = tuple(one for one in self._listeners if one != listener)
            for pool in (self._pool, *self._loops.values()):
                for part in pool.parts if pool is not None else ():
                    part.unlisten(_Named(part.name or self.alias, listener))

    def forget_after_fork(self) -> None:
        """In a child process: a fresh lock, and no pool of an event loop, which has stayed with the parent."""
        self._lock = threading.Lock()
        self._inherited.append((self._loops, self._guards))
        self._loops, self._guards = {}, {}

    # -- building -------------------------------------------------------------------------------

    def _build(self) -> LinkPool:
        with self._lock:
            if self._pool is None:
                self._pool = link_pool(self.alias, self.settings, self._file)
                for listener in self._listeners:
                    self._attach(self._pool, listener)
            return self._pool

    def _abuild(self) -> AsyncLinkPool:
        self._forget_closed_loops()
        loop = asyncio.get_running_loop()
        with self._lock:
            pool = self._loops.get(loop)
            if pool is None:
                pool = self._loops[loop] = async_link_pool(self.alias, self.settings, self._file)
                for listener in self._listeners:
                    self._attach(pool, listener)
                guard = self._guards[loop] = self._close_with(loop)
                with suppress(StopIteration):
                    guard.asend(None).send(None)  # up to its `yield`; from now on the loop knows it
            return pool

    async def _close_with(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None, None]:
        """Closes the pool of a loop at the end of the loop.

        `asyncio.run` and `asyncio.Runner` close all asynchronous generators that are under way before they close their
        loop, and this is one. Whoever ends a loop without that leaves it to `_forget_closed_loops`.
        """
        try:
            yield
        finally:
            with self._lock:
                pool = self._loops.pop(loop, None)
                self._guards.pop(loop, None)
            if pool is not None:
                await pool.close(LAST_PATIENCE)

    def _forget_closed_loops(self) -> None:
        with self._lock:
            closed = [loop for loop in self._loops if loop.is_closed()]
            gone = [self._loops.pop(loop) for loop in closed]
            for loop in closed:
                del self._guards[loop]
        for pool in gone:
            pool.abandon()

    def _present(self) -> list[LinkPool | AsyncLinkPool]:
        self._forget_closed_loops()
        return [pool for pool in (self._pool, *list(self._loops.values())) if pool is not None]

    def _attach(self, pool: LinkPool | AsyncLinkPool, listener: DatabaseListener) -> None:
        for part in pool.parts:
            part.listen(_Named(part.name or self.alias, listener))

    def _file(self) -> str:
        """The file; in memory a name that all pools of this object share, kept alive by one connection."""
        if not self.settings.url.is_memory:
            return self.settings.url.database
        if self._memory is None:
            self._memory = memory_name()
            self._anchor = sqlite3.connect(self._memory, uri=True, check_same_thread=False)
        return self._memory
