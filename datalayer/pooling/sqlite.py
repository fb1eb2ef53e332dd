"""SQLite pools: one writer that callers get in turn, and several read-only connections beside it.

SQLite lets one connection write at a time and makes the others poll; a queue in front of one writer is fair and never
polls. A database in memory has one connection for both modes: it lives in SQLite's `memdb` under a name, so that the
blocking and the awaiting pool of one process see the same rows.
"""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import count
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar

from datalayer._links.link import AsyncLink, Link
from datalayer._links.sqlite import AsyncSQLiteLink, SQLiteLink, aconnect_sqlite, connect_sqlite
from datalayer.errors import PoolConfigError, PoolError, choices_text, nearest
from datalayer.pooling.async_lease import Acquiring, AsyncLease, asking_of
from datalayer.pooling.async_pool import AsyncPool
from datalayer.pooling.config import PoolConfig
from datalayer.pooling.entry import State
from datalayer.pooling.events import Listener
from datalayer.pooling.explain import call_site
from datalayer.pooling.lease import Lease
from datalayer.pooling.links import AsyncLinkConnector, LinkConnector
from datalayer.pooling.pool import Pool
from datalayer.pooling.stats import CheckReport, CloseReport, LeaseInfo, PoolStats, joined, total
from datalayer.pooling.timeouts import DEFAULT, Timeout

Mode: TypeAlias = Literal["read", "write"]

P = TypeVar("P", bound="Pool[Any] | AsyncPool[Any]")

_names = count(1)

PING_BYPASS = 5.0
"""A file cannot go away as a server can: it is looked at again when a connection was not used for so long."""


def memory_name() -> str:
    """A new name for a database in memory, unique in this process."""
    return f"file:/datalayer-{os.getpid()}-{next(_names)}?vfs=memdb"


class _Plan:
    """How a path is opened, and the configuration of its two pools."""

    def __init__(self, path: str | os.PathLike[str], config: PoolConfig | None, readers: int) -> None:
        # Whom no type checker has told may pass anything.
        is_whole = isinstance(readers, int) and not isinstance(readers, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
        if not is_whole or readers < 1:
            raise PoolConfigError(f"readers={readers!r} is out of range: use an int of 1 or more")
        text = os.fspath(path)
        base = config if config is not None else PoolConfig(test_bypass=PING_BYPASS)
        self.path = memory_name() if text == ":memory:" else text
        self.uri = self.path.startswith("file:")
        self.is_memory = "vfs=memdb" in self.path
        if self.is_memory:
            base = replace(base, max_lifetime=None, idle_timeout=None, test_on_check_out=False)
        self.writer = replace(base, max_size=1, min_idle=min(base.min_idle, 1))
        self.readers = replace(base, max_size=readers, min_idle=min(base.min_idle, readers), on_deadlock="ignore")
        self.timeout = 5.0


def _wrong_mode(mode: str) -> PoolError:
    choices = ("read", "write")
    return PoolError(f"unknown mode {mode!r}; the modes are {choices_text(choices)}{nearest(mode, choices)}")


class _Pair(Generic[P]):
    """What needs no waiting, asked of the writer and the readers."""

    name: str
    path: str
    writer: P
    readers: P
    parts: tuple[P, ...]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} of {self.path}: {', '.join(map(repr, self.parts))}>"

    @property
    def state(self) -> State:
        """`new`, `open`, `paused`, `closing` or `closed`."""
        return self.writer.state

    @property
    def closed(self) -> bool:
        """Whether the pool is closed, or being closed."""
        return self.writer.closed

    def stats(self, *, reset: bool = False) -> PoolStats:
        """The numbers of both pools together."""
        return total([pool.stats(reset=reset) for pool in self.parts])

    def leases(self) -> list[LeaseInfo]:
        """Who holds a connection at this moment."""
        return [one for pool in self.parts for one in pool.leases()]

    def invalidate(self, exc: BaseException | None = None) -> None:
        """Makes every connection stale."""
        for pool in self.parts:
            pool.invalidate(exc)

    def listen(self, listener: Listener) -> None:
        """Tells the listener of every event of both pools from now on."""
        for pool in self.parts:
            pool.listen(listener)

    def unlisten(self, listener: Listener) -> None:
        """Stops telling the listener."""
        for pool in self.parts:
            pool.unlisten(listener)

    def pause(self) -> None:
        """Lets callers queue from now on, whatever is idle; their timeouts go on counting."""
        for pool in self.parts:
            pool.pause()

    def resume(self) -> None:
        """Ends a pause and serves both queues."""
        for pool in self.parts:
            pool.resume()

    def _part(self, mode: str) -> P:
        if mode not in ("write", "read"):
            raise _wrong_mode(mode)
        return self.writer if mode == "write" else self.readers


class SQLitePool(_Pair[Pool[Link]]):
    """Blocking pool of one SQLite database.

    Args:
        path: The file, or `:memory:`.
        alias: For error messages.
        config: The limits; sizes are one writer and `readers` whatever it says.
        readers: How many may read at one time.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        alias: str = "default",
        config: PoolConfig | None = None,
        readers: int = 4,
    ) -> None:
        plan = _Plan(path, config, readers)
        self.name = alias
        self.path = plan.path

        def connect(read_only: bool = False) -> SQLiteLink:
            return connect_sqlite(plan.path, alias=alias, read_only=read_only, timeout=plan.timeout, uri=plan.uri)

        def tidy(link: Link) -> None:
            if isinstance(link, SQLiteLink):
                link.tidy()

        self.writer: Pool[Link] = Pool(
            LinkConnector(connect, fast_open=True), plan.writer, name=alias, on_close=None if plan.is_memory else tidy
        )
        self.readers: Pool[Link] = (
            self.writer
            if plan.is_memory
            else Pool(LinkConnector(lambda: connect(True), fast_open=True), plan.readers, name=f"{alias} (read)")
        )
        self.parts = (self.writer,) if self.readers is self.writer else (self.writer, self.readers)

    def acquire(self, mode: Mode = "write", timeout: Timeout = DEFAULT) -> Lease[Link]:
        """Lends the writer or a reader.

        Args:
            mode: `write` for everything, `read` for a connection that refuses to write and never waits for writers.
            timeout: As for `Pool.acquire`.
        """
        if mode not in ("write", "read"):
            raise _wrong_mode(mode)
        lease = (self.writer if mode == "write" else self.readers).acquire(timeout)
        lease.note_place()
        return lease

    def try_acquire(self, mode: Mode = "write") -> Lease[Link] | None:
        """Lends an idle connection if there is a good one now; never waits and never opens one."""
        lease = self._part(mode).try_acquire()
        if lease is not None:
            lease.note_place()
        return lease

    def dedicated(self, mode: Mode = "write") -> Link:
        """Opens a connection that is not the pool's: not counted, and yours to close."""
        return self._part(mode).dedicated()

    def check(self) -> CheckReport:
        """Pings every idle connection and throws away those that do not answer."""
        reports = [pool.check() for pool in self.parts]
        return CheckReport(sum(one.checked for one in reports), sum(one.failed for one in reports))

    def drain(self) -> int:
        """Closes every idle connection, to be replaced as needed; gives their number."""
        return sum(pool.drain() for pool in self.parts)

    def wait_ready(self, timeout: Timeout = DEFAULT) -> None:
        """Waits until both pools have what `min_idle` demands, or could have one; each within the timeout."""
        for pool in self.parts:
            pool.wait_ready(timeout)

    def open(self, *, wait: bool = False, timeout: float | None = None) -> Self:
        """Opens both pools; with `wait`, makes sure that the database can be opened."""
        for pool in self.parts:
            pool.open(wait=wait, timeout=timeout)
        return self

    def close(self, timeout: float | None = None, *, force: bool = True) -> CloseReport:
        """Closes both pools, the readers first so that the writer can tidy up the file."""
        reports = [pool.close(timeout, force=force) for pool in reversed(self.parts)]
        return joined(reports)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class AsyncSQLitePool(_Pair[AsyncPool[AsyncLink]]):
    """Awaiting pool of one SQLite database; the twin of `SQLitePool`."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        alias: str = "default",
        config: PoolConfig | None = None,
        readers: int = 4,
    ) -> None:
        plan = _Plan(path, config, readers)
        self.name = alias
        self.path = plan.path

        async def connect(read_only: bool = False) -> AsyncSQLiteLink:
            return await aconnect_sqlite(
                plan.path, alias=alias, read_only=read_only, timeout=plan.timeout, uri=plan.uri
            )

        async def tidy(link: AsyncLink) -> None:
            if isinstance(link, AsyncSQLiteLink):
                await link.tidy()

        self.writer: AsyncPool[AsyncLink] = AsyncPool(
            AsyncLinkConnector(connect), plan.writer, name=alias, on_close=None if plan.is_memory else tidy
        )
        self.readers: AsyncPool[AsyncLink] = (
            self.writer
            if plan.is_memory
            else AsyncPool(AsyncLinkConnector(lambda: connect(True)), plan.readers, name=f"{alias} (read)")
        )
        self.parts = (self.writer,) if self.readers is self.writer else (self.writer, self.readers)

    def acquire(self, mode: Mode = "write", timeout: Timeout = DEFAULT) -> Acquiring[AsyncLink]:
        """The twin of `SQLitePool.acquire`."""
        if mode not in ("write", "read"):
            raise _wrong_mode(mode)
        return asking_of(self.writer if mode == "write" else self.readers, timeout, call_site())

    async def try_acquire(self, mode: Mode = "write") -> AsyncLease[AsyncLink] | None:
        """The twin of `SQLitePool.try_acquire`."""
        lease = await self._part(mode).try_acquire()
        if lease is not None:
            lease.note_place()
        return lease

    async def dedicated(self, mode: Mode = "write") -> AsyncLink:
        """The twin of `SQLitePool.dedicated`."""
        return await self._part(mode).dedicated()

    async def check(self) -> CheckReport:
        """The twin of `SQLitePool.check`."""
        reports = [await pool.check() for pool in self.parts]
        return CheckReport(sum(one.checked for one in reports), sum(one.failed for one in reports))

    async def drain(self) -> int:
        """The twin of `SQLitePool.drain`."""
        return sum([await pool.drain() for pool in self.parts])

    async def wait_ready(self, timeout: Timeout = DEFAULT) -> None:
        """The twin of `SQLitePool.wait_ready`."""
        for pool in self.parts:
            await pool.wait_ready(timeout)

    async def open(self, *, wait: bool = False, timeout: float | None = None) -> Self:
        """The twin of `SQLitePool.open`."""
        for pool in self.parts:
            await pool.open(wait=wait, timeout=timeout)
        return self

    async def close(self, timeout: float | None = None, *, force: bool = True) -> CloseReport:
        """The twin of `SQLitePool.close`."""
        reports = [await pool.close(timeout, force=force) for pool in reversed(self.parts)]
        return joined(reports)

    def abandon(self) -> None:
        """Drops every connection without awaiting anything: the loop is gone."""
        for pool in self.parts:
            pool.abandon()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()
