"""`pools`: the pools of this process by alias, built from the settings at first use.

One blocking pool for each database, and one awaiting pool for each database and event loop. Nothing is opened, and no
setting is read, before somebody asks.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from datalayer.conf import DatabaseSettings, DatabaseUrl, current, settings
from datalayer.pooling.database import DatabaseListener, DatabasePool
from datalayer.pooling.stats import PoolStats


class PoolRegistry:
    """The pools of this process by alias: `pools["default"]`.

    Attributes:
        guard: Asked before a pool of the settings is made, with its alias; what it raises keeps it from being made.
    """

    def __init__(self) -> None:
        self.guard: Callable[[str], None] | None = None
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

        What the settings say of its pool holds for one of the same backend.

        Args:
            alias: The alias; it need not be in the settings.
            url: The database to use instead.
        """
        parsed = DatabaseUrl.parse(url) if isinstance(url, str) else url
        pool = self._made(alias, _elsewhere(alias, parsed))
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
            if same is None and self.guard is not None:
                self.guard(alias)
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


def _elsewhere(alias: str, url: DatabaseUrl) -> DatabaseSettings:
    """The settings of an alias for another url; those of another backend mean nothing to it."""
    known = current.get().databases if current.is_configured() else {}
    if alias not in known or known[alias].url.backend != url.backend:
        return DatabaseSettings(url=url)
    return known[alias].model_copy(update={"url": url, "url_from": None, "replica_of": None})


pools = PoolRegistry()
"""The pools of this process, by the alias of their database."""


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pools.forget_after_fork)
