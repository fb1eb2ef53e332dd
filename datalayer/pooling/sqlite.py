"""SQLite pools: one writer that callers get in turn, and several read-only connections beside it.

SQLite lets one connection write at a time and makes the others poll; a queue in front of one writer is fair and never
polls. A database in memory has one connection for both modes: it lives in SQLite's `memdb` under a name, so that the
blocking and the awaiting pool of one process see the same rows.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import replace
from itertools import count
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeAlias, TypeVar

from datalayer._links.link import AsyncLink, Link
from datalayer._links.sqlite import AsyncSQLiteLink, SQLiteLink, aconnect_sqlite, connect_sqlite
from datalayer._links.sqlite_short import TURN, LoopTime
from datalayer._plans.plan import Command
from datalayer.errors import PoolConfigError, PoolError, choices_text, nearest
from datalayer.late import LateModule
from datalayer.pooling.async_lease import Acquiring, AsyncLease
from datalayer.pooling.clock import STEADY
from datalayer.pooling.config import PoolConfig, chosen, refuse_no_room
from datalayer.pooling.entry import State
from datalayer.pooling.explain import call_site
from datalayer.pooling.lease import Lease
from datalayer.pooling.links import AsyncLinkConnector, LinkConnector
from datalayer.pooling.pool import Pool
from datalayer.pooling.stats import CheckReport, CloseReport, LeaseInfo, PoolStats, joined, total
from datalayer.pooling.timeouts import DEFAULT, Timeout

if TYPE_CHECKING:
    from datalayer.pooling import async_pool
    from datalayer.pooling.async_pool import AsyncPool
    from datalayer.pooling.events import Listener
else:
    async_pool = LateModule("datalayer.pooling.async_pool")

Mode: TypeAlias = Literal["read", "write"]
AsyncHook: TypeAlias = Callable[[AsyncLink], Awaitable[object]]

C = TypeVar("C")
P = TypeVar("P", bound="Pool[Any] | AsyncPool[Any]")

_names = count(1)

SERIALIZED = 3
"""What `sqlite3.threadsafety` is where connections may go from thread to thread, as they do in a pool."""

PING_BYPASS = 5.0
"""A file cannot go away as a server can: it is looked at again when a connection was not used for so long."""


ONE_WRITER = (
    "the one connection of SQLite that writes is lent out; hold it for a shorter time, and begin what only reads by "
    "atomic(read_only=True)"
)
ONE_CONNECTION = "the one connection of a database in memory is lent out; hold it for a shorter time"
MORE_READERS = "all {} of the {} readers are lent out; raise readers, or hold them for a shorter time"
"""What helps where everything is lent out: `max_size` is for servers."""


LOCK_TIMEOUT = 5.0
"""For how many seconds another program that has locked the file is waited for, where nothing else was said."""


def memory_name() -> str:
    """A new name for a database in memory, unique in this process."""
    return f"file:/datalayer-{os.getpid()}-{next(_names)}?vfs=memdb"


class _Plan:
    """How a path is opened, and the configuration of its two pools."""

    def __init__(
        self, path: str | os.PathLike[str], config: PoolConfig | None, readers: int, lock_timeout: float
    ) -> None:
        # Whom no type checker has told may pass anything.
        is_whole = isinstance(readers, int) and not isinstance(readers, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
        if not is_whole or readers < 1:
            raise PoolConfigError(f"readers={readers!r} is out of range: use an int of 1 or more")
        if sqlite3.threadsafety != SERIALIZED:
            raise PoolConfigError(
                f"the SQLite of this Python takes no locks of its own (sqlite3.threadsafety is {sqlite3.threadsafety}, "
                f"and must be {SERIALIZED}): its connections cannot go from thread to thread; use another build"
            )
        text = os.fspath(path)
        base = chosen(config, PoolConfig(test_bypass=PING_BYPASS))
        refuse_no_room(base)
        self.path = memory_name() if text == ":memory:" else text
        self.uri = self.path.startswith("file:")
        self.is_memory = "vfs=memdb" in self.path
        if self.is_memory:
            base = replace(base, max_lifetime=None, idle_timeout=None, test_on_check_out=False)
        self.writer = replace(base, max_size=1, min_idle=min(base.min_idle, 1))
        self.readers = replace(base, max_size=readers, min_idle=min(base.min_idle, readers), on_deadlock="ignore")
        size = 1 if self.is_memory else 1 + readers
        self.both = replace(base, max_size=size, min_idle=min(base.min_idle, size))
        self.timeout = lock_timeout


def _sizes(config: PoolConfig, is_memory: bool) -> tuple[dict[str, int], dict[str, int]]:
    """The limits of the writer and of the readers.

    Raises:
        PoolConfigError: There would be no reader, or more than the one connection that a database in memory has.
    """
    size, min_idle = config.max_size, config.min_idle
    if is_memory and size != 1:
        raise PoolConfigError(f"max_size={size} is out of range: a database in memory has one connection")
    if not is_memory and size < 2:
        raise PoolConfigError(f"max_size={size} is out of range: use 2 or more, for one writer and its readers")
    return {"min_idle": min(min_idle, 1)}, {"max_size": size - 1, "min_idle": min(min_idle, size - 1)}


_IS_READER = Command("PRAGMA query_only")


def _refuse_the_other_mode(found: object, mode: str) -> None:
    is_reader = bool(found)
    if is_reader != (mode == "read"):
        raise PoolError(
            f"a connection that {'refuses' if is_reader else 'does not refuse'} to write cannot be added for "
            f"mode={mode!r}: open it with dedicated({mode!r}); it stays with you"
        )


def _wrong_mode(mode: str) -> PoolError:
    choices = ("read", "write")
    return PoolError(f"unknown mode {mode!r}; the modes are {choices_text(choices)}{nearest(mode, choices)}")


class _Pair(Generic[P]):
    """What needs no waiting, asked of the writer and the readers."""

    config: PoolConfig
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
        config: The limits; there are one writer and as many readers as `readers` says, whatever its `max_size` says.
        name: The alias of the database.
        readers: How many may read at one time.
        lock_timeout: How many seconds a statement waits for another program that has locked the file.
        configure: Run once on every new connection; when it raises, the connection is not used.
        check: Run instead of a ping.
        reset: Run after a connection was cleaned at its return.
        on_close: Run before a connection is closed.
        listeners: Called with every event of the writer and of the readers.
        clock: The source of time, monotonic seconds.
        rng: The source of jitter.

    Attributes:
        config: The limits of both together; the writer counts in `max_size`, and `min_idle` is for each of both.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: PoolConfig | None = None,
        *,
        name: str = "default",
        readers: int = 4,
        lock_timeout: float = LOCK_TIMEOUT,
        configure: Callable[[Link], object] | None = None,
        check: Callable[[Link], object] | None = None,
        reset: Callable[[Link], object] | None = None,
        on_close: Callable[[Link], object] | None = None,
        listeners: Sequence[Listener] = (),
        clock: Callable[[], float] = STEADY,
        rng: Random | None = None,
    ) -> None:
        plan = _Plan(path, config, readers, lock_timeout)
        self.config, self.name, self.path = plan.both, name, plan.path

        def connect(read_only: bool = False) -> SQLiteLink:
            return connect_sqlite(plan.path, alias=name, read_only=read_only, timeout=plan.timeout, uri=plan.uri)

        def tidy(link: Link) -> None:
            try:
                if on_close is not None:
                    on_close(link)
            finally:
                if isinstance(link, SQLiteLink):
                    link.tidy()

        def made(
            limits: PoolConfig, part: str, closing: Callable[[Link], object] | None, read_only: bool
        ) -> Pool[Link]:
            return Pool(
                LinkConnector(lambda: connect(read_only), fast_open=True), limits, name=part, configure=configure,
                check=check, reset=reset, on_close=closing, listeners=listeners, clock=clock, rng=rng,
            )  # fmt: skip

        self.writer = made(plan.writer, name, on_close if plan.is_memory else tidy, False)
        self.readers = self.writer if plan.is_memory else made(plan.readers, f"{name} (read)", on_close, True)
        self.parts = (self.writer,) if plan.is_memory else (self.writer, self.readers)
        self.readers.cure = MORE_READERS
        self.writer.cure = ONE_CONNECTION if plan.is_memory else ONE_WRITER

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

    def add(self, conn: Link, mode: Mode = "write") -> None:
        """Gives the pool a connection that was opened elsewhere, best by `dedicated` with the same mode.

        Raises:
            PoolFull: There is no room; the connection stays with the caller.
            ConnectionBroken: It is unusable; it stays with the caller.
            PoolError: It is of the other mode.
        """
        part = self._part(mode)
        if len(self.parts) > 1 and not conn.is_broken:
            _refuse_the_other_mode(conn.execute(_IS_READER).rows[0][0], mode)
        part.add(conn)

    def check(self) -> CheckReport:
        """Pings every idle connection and throws away those that do not answer."""
        reports = [pool.check() for pool in self.parts]
        return CheckReport(sum(one.checked for one in reports), sum(one.failed for one in reports))

    def drain(self) -> int:
        """Closes every idle connection, to be replaced as needed; gives their number."""
        return sum(pool.drain() for pool in self.parts)

    def resize(self, *, max_size: int | None = None, min_idle: int | None = None) -> None:
        """Changes the limits while the pool works; lent connections are never interrupted.

        Args:
            max_size: One writer, which counts, and all others are readers.
            min_idle: How many are kept ready of each; there is one writer at most.

        Raises:
            PoolConfigError: A limit is out of its range.
        """
        config = self.config.resized(max_size, min_idle)
        for pool, sizes in zip(self.parts, _sizes(config, len(self.parts) == 1), strict=False):
            pool.resize(**sizes)
        self.config = config

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


class _AfterOthers(Acquiring[C]):
    """An acquire that begins when the other tasks of the event loop have had their turn."""

    __slots__ = ("_asking", "_time")

    def __init__(self, asking: Acquiring[C], time: LoopTime) -> None:
        self._asking = asking
        self._time = time

    def __await__(self) -> Generator[Any, Any, AsyncLease[C]]:
        yield from self._time.pass_on().__await__()
        return (yield from self._asking.__await__())


class AsyncSQLitePool(_Pair["AsyncPool[AsyncLink]"]):
    """Awaiting pool of one SQLite database; the twin of `SQLitePool`."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: PoolConfig | None = None,
        *,
        name: str = "default",
        readers: int = 4,
        lock_timeout: float = LOCK_TIMEOUT,
        configure: AsyncHook | None = None,
        check: AsyncHook | None = None,
        reset: AsyncHook | None = None,
        on_close: AsyncHook | None = None,
        listeners: Sequence[Listener] = (),
        clock: Callable[[], float] = STEADY,
        rng: Random | None = None,
    ) -> None:
        plan = _Plan(path, config, readers, lock_timeout)
        self.config, self.name, self.path = plan.both, name, plan.path

        self._time = time = LoopTime()

        async def connect(read_only: bool = False) -> AsyncSQLiteLink:
            return await aconnect_sqlite(
                plan.path, alias=name, read_only=read_only, timeout=plan.timeout, uri=plan.uri, time=time
            )

        async def tidy(link: AsyncLink) -> None:
            try:
                if on_close is not None:
                    await on_close(link)
            finally:
                if isinstance(link, AsyncSQLiteLink):
                    await link.tidy()

        def made(limits: PoolConfig, part: str, closing: AsyncHook | None, read_only: bool) -> AsyncPool[AsyncLink]:
            return async_pool.AsyncPool(
                AsyncLinkConnector(lambda: connect(read_only)), limits, name=part, configure=configure,
                check=check, reset=reset, on_close=closing, listeners=listeners, clock=clock, rng=rng,
            )  # fmt: skip

        self.writer = made(plan.writer, name, on_close if plan.is_memory else tidy, False)
        self.readers = self.writer if plan.is_memory else made(plan.readers, f"{name} (read)", on_close, True)
        self.readers.is_polite = True
        self.parts = (self.writer,) if plan.is_memory else (self.writer, self.readers)
        self.readers.cure = MORE_READERS
        self.writer.cure = ONE_CONNECTION if plan.is_memory else ONE_WRITER

    def acquire(self, mode: Mode = "write", timeout: Timeout = DEFAULT) -> Acquiring[AsyncLink]:
        """The twin of `SQLitePool.acquire`."""
        if mode not in ("write", "read"):
            raise _wrong_mode(mode)
        asking = (self.writer if mode == "write" else self.readers).acquire(timeout)
        asking.code, asking.offset = call_site()
        return _AfterOthers(asking, self._time) if self._time.taken >= TURN else asking

    async def try_acquire(self, mode: Mode = "write") -> AsyncLease[AsyncLink] | None:
        """The twin of `SQLitePool.try_acquire`."""
        lease = await self._part(mode).try_acquire()
        if lease is not None:
            lease.note_place()
        return lease

    async def dedicated(self, mode: Mode = "write") -> AsyncLink:
        """The twin of `SQLitePool.dedicated`."""
        return await self._part(mode).dedicated()

    async def add(self, conn: AsyncLink, mode: Mode = "write") -> None:
        """The twin of `SQLitePool.add`."""
        part = self._part(mode)
        if len(self.parts) > 1 and not conn.is_broken:
            _refuse_the_other_mode((await conn.execute(_IS_READER)).rows[0][0], mode)
        await part.add(conn)

    async def check(self) -> CheckReport:
        """The twin of `SQLitePool.check`."""
        reports = [await pool.check() for pool in self.parts]
        return CheckReport(sum(one.checked for one in reports), sum(one.failed for one in reports))

    async def drain(self) -> int:
        """The twin of `SQLitePool.drain`."""
        return sum([await pool.drain() for pool in self.parts])

    async def resize(self, *, max_size: int | None = None, min_idle: int | None = None) -> None:
        """The twin of `SQLitePool.resize`."""
        config = self.config.resized(max_size, min_idle)
        for pool, sizes in zip(self.parts, _sizes(config, len(self.parts) == 1), strict=False):
            await pool.resize(**sizes)
        self.config = config

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
