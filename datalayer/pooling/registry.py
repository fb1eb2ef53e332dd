"""`pools`: the pools of this process by alias, built from the settings at first use.

One blocking pool for each database, and one awaiting pool for each database and event loop. Nothing is opened, and no
setting is read, before somebody asks.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib
import os
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Protocol, TypeAlias

from datalayer._links.link import AsyncLink, BackendName, Link
from datalayer.conf import DatabaseSettings, DatabaseUrl, current, settings
from datalayer.errors import MissingExtra
from datalayer.pooling.async_pool import Acquiring, AsyncLease, AsyncPool
from datalayer.pooling.config import PoolConfig
from datalayer.pooling.events import Event
from datalayer.pooling.explain import call_site
from datalayer.pooling.flows import DEFAULT, Listener, Timeout
from datalayer.pooling.links import AsyncLinkConnector, LinkConnector
from datalayer.pooling.pool import Lease, Pool
from datalayer.pooling.sqlite import PING_BYPASS, AsyncSQLitePool, Mode, SQLitePool, memory_name
from datalayer.pooling.stats import CloseReport, LeaseInfo, PoolStats, total


class Part(Protocol):
    """One pool of connections: SQLite has two for each database, one that writes and one that reads."""

    @property
    def name(self) -> str | None: ...  # noqa: D102
    def stats(self) -> PoolStats: ...  # noqa: D102
    def listen(self, listener: Listener) -> None: ...  # noqa: D102
    def unlisten(self, listener: Listener) -> None: ...  # noqa: D102


class LinkPool(Protocol):
    """What the registry needs of a blocking pool of links."""

    @property
    def parts(self) -> Sequence[Part]: ...  # noqa: D102
    def acquire(self, mode: Mode = "write", timeout: Timeout = DEFAULT) -> Lease[Link]: ...  # noqa: D102
    def open(self, *, wait: bool = False) -> object: ...  # noqa: D102
    def close(self, timeout: float | None = None) -> CloseReport: ...  # noqa: D102
    def stats(self) -> PoolStats: ...  # noqa: D102
    def leases(self) -> list[LeaseInfo]: ...  # noqa: D102


class AsyncLinkPool(Protocol):
    """What the registry needs of an awaiting pool of links."""

    @property
    def parts(self) -> Sequence[Part]: ...  # noqa: D102
    def acquire(self, mode: Mode = "write", timeout: Timeout = DEFAULT) -> Acquiring[AsyncLink]: ...  # noqa: D102
    async def open(self, *, wait: bool = False) -> object: ...  # noqa: D102
    async def close(self, timeout: float | None = None) -> CloseReport: ...  # noqa: D102
    def stats(self) -> PoolStats: ...  # noqa: D102
    def leases(self) -> list[LeaseInfo]: ...  # noqa: D102
    def abandon(self) -> None: ...  # noqa: D102


class _Moded:
    """A pool without readers of its own: every mode gets the same kind of connection."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.parts: Sequence[Part] = (pool,)
        self.open = pool.open
        self.close = pool.close
        self.stats = pool.stats
        self.leases = pool.leases

    def acquire(self, mode: Mode = "write", timeout: Timeout = DEFAULT) -> Lease[Link]:
        lease: Lease[Link] = self._pool.acquire(timeout)
        lease.note_place()
        return lease


class _AsyncModed:
    """The twin of `_Moded`."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.parts: Sequence[Part] = (pool,)
        self.open = pool.open
        self.close = pool.close
        self.stats = pool.stats
        self.leases = pool.leases
        self.abandon = pool.abandon

    def acquire(self, mode: Mode = "write", timeout: Timeout = DEFAULT) -> Acquiring[AsyncLink]:
        asking: Acquiring[AsyncLink] = self._pool.acquire(timeout)
        asking.site = call_site()
        return asking


Loops: TypeAlias = dict[asyncio.AbstractEventLoop, AsyncLinkPool]

DatabaseListener: TypeAlias = Callable[[str, Event], object]
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
    """

    def __init__(self, alias: str, settings: DatabaseSettings) -> None:
        self.alias = alias
        self.settings = settings
        self.backend: BackendName = settings.url.backend
        self.replicas = _replicas_of(alias)
        self.is_routed = bool(self.replicas) or settings.replica_of is not None
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
        pool = self._loops.get(asyncio.get_running_loop())
        if pool is None:
            pool = self._abuild()
        return await pool.acquire(mode, timeout)

    @contextmanager
    def link(self, mode: Mode = "write") -> Generator[Link, None, None]:
        """Lends a link for the block, given back clean or thrown away."""
        with self.borrow(mode) as link:
            yield link

    @asynccontextmanager
    async def alink(self, mode: Mode = "write") -> AsyncGenerator[AsyncLink, None]:
        """The awaiting twin of `link`."""
        async with await self.aborrow(mode) as link:
            yield link

    @contextmanager
    def connection(self, mode: Mode = "write") -> Generator[Any, None, None]:
        """Lends the driver's own connection (sqlite3, psycopg) for the block; given back clean or thrown away.

        Args:
            mode: `read` lends a connection that refuses to write, where the database has such ones.
        """
        with self.borrow(mode) as link:
            yield link.raw

    @asynccontextmanager
    async def aconnection(self, mode: Mode = "write") -> AsyncGenerator[Any, None]:
        """The awaiting twin of `connection`."""
        async with await self.aborrow(mode) as link:
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
                self._pool = self._new_pool()
                for listener in self._listeners:
                    self._attach(self._pool, listener)
            return self._pool

    def _abuild(self) -> AsyncLinkPool:
        self._forget_closed_loops()
        loop = asyncio.get_running_loop()
        with self._lock:
            pool = self._loops.get(loop)
            if pool is None:
                pool = self._loops[loop] = self._new_async_pool()
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

    def _new_pool(self) -> LinkPool:
        config, chosen = self._config(), self.settings
        if self.backend == "sqlite":
            return SQLitePool(self._file(), alias=self.alias, config=config, readers=chosen.pool.readers)
        url, behind = chosen.url.render(), chosen.transaction_pooling
        if chosen.pool.implementation == "generic":
            connect = partial(
                _driver("datalayer._links.postgresql").connect_postgresql,
                url, alias=self.alias, connect_timeout=config.connect_timeout, transaction_pooling=behind,
            )  # fmt: skip
            connector = LinkConnector(connect, ping_timeout=config.validation_timeout)
            return _Moded(Pool(connector, config, name=self.alias))
        driver = _driver("datalayer.pooling.psycopg")
        return _Moded(driver.PsycopgPool(url, config, name=self.alias, transaction_pooling=behind))

    def _new_async_pool(self) -> AsyncLinkPool:
        config, chosen = self._config(), self.settings
        if self.backend == "sqlite":
            return AsyncSQLitePool(self._file(), alias=self.alias, config=config, readers=chosen.pool.readers)
        url, behind = chosen.url.render(), chosen.transaction_pooling
        if chosen.pool.implementation == "generic":
            connect = partial(
                _driver("datalayer._links.postgresql").aconnect_postgresql,
                url, alias=self.alias, connect_timeout=config.connect_timeout, transaction_pooling=behind,
            )  # fmt: skip
            return _AsyncModed(AsyncPool(AsyncLinkConnector(connect), config, name=self.alias))
        driver = _driver("datalayer.pooling.psycopg")
        return _AsyncModed(driver.AsyncPsycopgPool(url, config, name=self.alias, transaction_pooling=behind))

    def _config(self) -> PoolConfig:
        chosen = self.settings.pool
        options = {one.name: getattr(chosen, one.name) for one in fields(PoolConfig)}
        if "test_bypass" not in chosen.model_fields_set:
            options["test_bypass"] = PING_BYPASS if self.backend == "sqlite" else 0.5
        return PoolConfig(**options)

    def _file(self) -> str:
        """The file; in memory a name that all pools of this object share, kept alive by one connection."""
        if not self.settings.url.is_memory:
            return self.settings.url.database
        if self._memory is None:
            self._memory = memory_name()
            self._anchor = sqlite3.connect(self._memory, uri=True, check_same_thread=False)
        return self._memory


class PoolRegistry:
    """The pools of this process by alias: `pools["default"]`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[str, DatabasePool] = {}
        self._others: list[DatabasePool] = []  # of settings that were in force before, or are elsewhere
        self._overrides: dict[str, DatabasePool] = {}
        self._listeners: tuple[DatabaseListener, ...] = ()
        atexit.register(self.close_all, 0.0)  # who still holds a connection now is a daemon, or has leaked it

    def __getitem__(self, alias: str) -> DatabasePool:
        """The pool of a database.

        Raises:
            ConfigurationError: The settings have no such database.
        """
        if self._overrides and alias in self._overrides:
            return self._overrides[alias]
        chosen = current.get().databases[alias]
        pool = self._pools.get(alias)
        if pool is not None and pool.settings is chosen:
            return pool
        return self._find(alias, chosen)

    def open_all(self, *, wait: bool = False) -> None:
        """Opens the blocking pools of all databases; with `wait`, makes sure that each can be reached."""
        for alias in settings.databases:
            self[alias].open(wait=wait)

    async def aopen_all(self, *, wait: bool = False) -> None:
        """The awaiting twin of `open_all`."""
        for alias in settings.databases:
            await self[alias].aopen(wait=wait)

    def close_all(self, timeout: float | None = None) -> None:
        """Closes every blocking pool."""
        for pool in self._known():
            pool.close(timeout)

    async def aclose_all(self, timeout: float | None = None) -> None:
        """Closes every awaiting pool of the running loop."""
        for pool in self._known():
            await pool.aclose(timeout)

    def stats(self) -> dict[str, PoolStats]:
        """The numbers of every pool that was used, by alias."""
        return {alias: pool.stats() for alias, pool in {**self._pools, **self._overrides}.items()}

    def parts(self) -> dict[str, PoolStats]:
        """The numbers by the name of the pool: as `stats`, with SQLite's readers (`alias (read)`) on their own."""
        found = {**self._pools, **self._overrides}
        return {name: stats for pool in found.values() for name, stats in pool.parts().items()}

    def listen(self, listener: DatabaseListener) -> None:
        """Tells the listener of every event of every pool from now on, those to come included.

        It is called where the event happens, in a thread or task that lends a connection: it must be quick, and must
        not block. What it raises is logged. Without listeners no events are made.

        Args:
            listener: Called with the name of the pool and the event; see `datalayer.pooling.events`.
        """
        with self._lock:
            self._listeners = (*self._listeners, listener)
        for pool in self._known():
            pool.listen(listener)

    def unlisten(self, listener: DatabaseListener) -> None:
        """Stops telling the listener."""
        with self._lock:
            self._listeners = tuple(one for one in self._listeners if one != listener)
        for pool in self._known():
            pool.unlisten(listener)

    @contextmanager
    def override(self, alias: str, *, url: str | DatabaseUrl) -> Generator[DatabasePool, None, None]:
        """Another database under an alias inside the block, for all threads and tasks; for tests.

        Args:
            alias: The alias; it need not be in the settings.
            url: The database to use instead.
        """
        parsed = DatabaseUrl.parse(url) if isinstance(url, str) else url
        pool = self._made(alias, DatabaseSettings(url=parsed))
        before = self._overrides.get(alias)
        self._overrides[alias] = pool
        try:
            yield pool
        finally:
            if before is None:
                del self._overrides[alias]
            else:
                self._overrides[alias] = before
            pool.close()
            self._others.append(pool)  # its awaiting pools can only be closed in their own loop

    def reset(self) -> None:
        """Closes every blocking pool and forgets all, with the databases in memory; for tests."""
        self.close_all()
        with self._lock:
            self._pools.clear()
            self._others.clear()
            self._overrides.clear()

    def forget_after_fork(self) -> None:
        """In a child process: the pools start afresh by their own hooks; the locks may be held by a lost thread."""
        self._lock = threading.Lock()
        for pool in self._known():
            pool.forget_after_fork()

    def _find(self, alias: str, chosen: DatabaseSettings) -> DatabasePool:
        with self._lock:
            before = self._pools.get(alias)
            same = next((one for one in self._others if one.alias == alias and one.settings == chosen), None)
            if before is not None and before.settings == chosen:
                before.settings = chosen
                return before
            if before is not None:
                self._others.append(before)
            if same is not None:
                self._others.remove(same)
                same.settings = chosen
            pool = self._pools[alias] = same if same is not None else self._made(alias, chosen)
            return pool

    def _made(self, alias: str, chosen: DatabaseSettings) -> DatabasePool:
        pool = DatabasePool(alias, chosen)
        for listener in self._listeners:
            pool.listen(listener)
        return pool

    def _known(self) -> list[DatabasePool]:
        with self._lock:
            return [*self._pools.values(), *self._overrides.values(), *self._others]


def _driver(module: str) -> Any:
    """A module that needs psycopg, imported late: psycopg is an extra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            "PostgreSQL needs psycopg and psycopg-pool, which are not installed: pip install 'datalayer[postgres]'"
        ) from error


pools = PoolRegistry()
"""The pools of this process, by the alias of their database."""


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pools.forget_after_fork)
