"""Asyncio and psycopg-pool: `psycopg_pool.AsyncConnectionPool` with the surface of `AsyncPool`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from random import Random
from types import TracebackType
from typing import Any, Self

import psycopg

from datalayer._links.postgresql import AsyncPostgresLink, aconnect_postgresql
from datalayer.errors import PoolError
from datalayer.pooling.arguments import awaited_hook, check_address
from datalayer.pooling.async_lease import Acquiring, AsyncLease, asking_of, async_lease_of
from datalayer.pooling.clock import STEADY
from datalayer.pooling.config import PoolConfig
from datalayer.pooling.entry import Entry
from datalayer.pooling.events import LeaseAbandoned, Listener
from datalayer.pooling.explain import Site, call_site, describe_task, error_text, wrong_loop
from datalayer.pooling.lease import warn_of_orphan
from datalayer.pooling.psycopg.adapter import Adapter, hopeless
from datalayer.pooling.psycopg.connections import AsyncHome, async_connection_class
from datalayer.pooling.psycopg.gate import AsyncGate
from datalayer.pooling.psycopg.ledger import RawEntry
from datalayer.pooling.psycopg.options import INSTEAD
from datalayer.pooling.stats import CheckReport, CloseReport
from datalayer.pooling.stepping import Rest, in_time
from datalayer.pooling.timeouts import DEFAULT, Timeout, check_timeout
from datalayer.pooling.waiting import task_of

log = logging.getLogger("datalayer.pooling")

AsyncHook = Callable[[AsyncPostgresLink], Awaitable[object]]


class AsyncPsycopgPool(Adapter[AsyncPostgresLink]):
    """Awaiting pool of one PostgreSQL database, on `psycopg_pool.AsyncConnectionPool`; the twin of `PsycopgPool`."""

    def __init__(
        self,
        conninfo: str | Callable[[], str | Awaitable[str]],
        config: PoolConfig | None = None,
        *,
        name: str = "default",
        transaction_pooling: bool = False,
        configure: AsyncHook | None = None,
        check: AsyncHook | None = None,
        reset: AsyncHook | None = None,
        on_close: AsyncHook | None = None,
        listeners: Sequence[Listener] = (),
        clock: Callable[[], float] = STEADY,
        rng: Random | None = None,
    ) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._watch: asyncio.TimerHandle | None = None
        check_address(conninfo)
        self._conninfo = conninfo
        self._configure, self._check = awaited_hook("configure", configure), awaited_hook("check", check)
        self._reset, self._on_close = awaited_hook("reset", reset), awaited_hook("on_close", on_close)
        super().__init__(
            name=name, config=config, transaction_pooling=transaction_pooling, listeners=listeners,
            clock=clock, rng=rng,
        )  # fmt: skip

    # -- life -----------------------------------------------------------------------------------

    async def open(self, *, wait: bool = False, timeout: float | None = None) -> Self:
        """The twin of `PsycopgPool.open`."""
        self._check_loop()
        self._start()
        with self._mutex:
            if self._home is None:
                self._home = self._new_home()
            home = self._home
        await home.open()
        if wait:
            await self.wait_ready(DEFAULT if timeout is None else timeout)
        return self

    async def wait_ready(self, timeout: Timeout = DEFAULT) -> None:
        """The twin of `PsycopgPool.wait_ready`."""
        check_timeout(timeout)
        if not self.config.min_idle:
            await (await self.acquire(timeout)).release()
            return
        began = self._clock()
        until = began + self._limit(timeout)
        while True:
            watcher = _Bell()
            with self._mutex:
                self._watchers.append(watcher)
            if self._is_ready(began):
                return
            if until <= self._clock():
                failing = self._ledger.outage.since is not None
                reason = "unavailable" if failing else "connecting"
                raise self._timed_out(reason, self._clock() - began)
            await watcher.wait(until - self._clock())

    async def close(self, timeout: float | None = None, *, force: bool = True) -> CloseReport:
        """The twin of `PsycopgPool.close`."""
        check_timeout(timeout)
        if self._state == "closed":
            return CloseReport()
        if self._loop is not None:
            self._check_loop()
        until = self._clock() + (self.config.close_timeout if timeout is None else timeout)
        self._set_state("closing")
        with self._mutex:
            home, self._home = self._home, None
        self._gate.close()
        if home is not None:
            await home.close(timeout=max(until - self._clock(), 0.5))
            for worker in list(self._gate.working):
                worker.cancel()  # it connects to a server that does not answer
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(until - self._clock(), 0.5))
        while True:
            watcher = _Bell()
            with self._mutex:
                if not self._ledger.entries or until <= self._clock():
                    break
                self._watchers.append(watcher)
            await watcher.wait(until - self._clock())
        leftovers = tuple(self.leases())
        if force and leftovers:
            self._terminate_all()
        if self._watch is not None:
            self._watch.cancel()
        self._set_state("closed")
        return CloseReport(leftovers, len(leftovers) if force else 0)

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    # -- lending --------------------------------------------------------------------------------

    def acquire(self, timeout: Timeout = DEFAULT) -> Acquiring[AsyncPostgresLink]:
        """The twin of `PsycopgPool.acquire`: `await` it for the lease, `async with` it for the connection."""
        return asking_of(self, timeout, call_site())

    async def try_acquire(self) -> AsyncLease[AsyncPostgresLink] | None:
        """The twin of `PsycopgPool.try_acquire`."""
        self.refuse_elsewhere()
        if self._state == "new" or (self._state == "open" and not self._ledger.idle):
            return None
        try:
            return await self.acquire(0)
        except TimeoutError:
            return None

    def lend(self, acquiring: Acquiring[AsyncPostgresLink]) -> Generator[Any, Any, AsyncLease[AsyncPostgresLink]]:
        """What awaiting `acquire` does."""
        home = self._home
        loop = asyncio.get_running_loop()
        if home is not None and self._bypass and not self._ledger.outage.failures and loop is self._loop:
            found = self._lend_idle(home, task_of(loop), acquiring.site)
            if found.__class__ is RawEntry:
                return async_lease_of(self, found)
            if found is not None:
                yield from self._to_the_end(home.putconn(found)).__await__()
        return (yield from self._acquire(acquiring).__await__())

    async def _acquire(self, acquiring: Acquiring[AsyncPostgresLink]) -> AsyncLease[AsyncPostgresLink]:
        self._check_loop()
        owner = asyncio.current_task()
        began = self._clock()
        until = began + self._limit(acquiring.timeout)
        site = acquiring.site
        home, immediate = self._begin(owner)
        while True:
            try:
                if home.closed:
                    await home.open()
                raw = await self._getconn(home, max(until - self._clock(), 0.001))
            except BaseException as error:
                refused = self._refused(error, owner, began)
                if refused is error:
                    raise
                if refused is not None:
                    raise refused from refused.__cause__ or error
            else:
                entry = await self._tested(raw, home, owner, site, began, until, immediate=immediate)
                if entry is not None:
                    return async_lease_of(self, entry)
            home, immediate = self._ask(owner), False

    async def release_lease(self, lease: AsyncLease[AsyncPostgresLink]) -> None:
        """Ends a lease: cleans the connection, and keeps or closes it."""
        if asyncio.get_running_loop() is not self._loop:
            self.refuse_elsewhere()
        entry = lease.end("given back")
        link = entry.conn
        drop: str | None = None
        try:
            if link.is_clean and self._reset is None:
                pass  # the usual end of a lease
            elif link.is_broken:
                drop = "broken"
            else:
                await in_time(link.reset(self.config.reset_timeout), self.config.reset_timeout)
                if self._reset is not None:
                    async with asyncio.timeout(self.config.reset_timeout):
                        await self._reset(link)
        except Exception as error:
            drop = "reset_failed"
            log.warning("connection %s of %s could not be reset and is closed: %s", entry.id, self, error_text(error))
        except BaseException:
            self.discard_entry(entry, "reset_failed")
            raise
        found = self._take_back(entry, drop)
        if found is not None:
            await self._to_the_end(self._put(*found))
        elif self._watchers:
            self._settle()

    async def release_entry(self, entry: Entry[AsyncPostgresLink]) -> None:
        """The same for a lease of which only the entry is known."""
        await self.release_lease(async_lease_of(self, entry))

    def discard_entry(self, entry: Entry[AsyncPostgresLink], reason: str) -> None:
        """Ends a lease; its connection is closed by a task of the pool."""
        found = self._take_back(entry, reason)
        if found is not None:
            self._later(lambda: self._put(*found))

    def orphan_entry(self, entry: Entry[AsyncPostgresLink]) -> None:
        """Ends a lease that was garbage collected, perhaps while this thread holds a lock: the loop does it later."""
        warn_of_orphan(entry)
        entry.owner = None  # whoever held it: to wait for what is about to be buried is no deadlock
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._bury, entry)

    async def dedicated(self) -> AsyncPostgresLink:
        """The twin of `PsycopgPool.dedicated`."""
        link = await aconnect_postgresql(
            await self.conninfo(), alias=self.alias,
            connect_timeout=self.config.connect_timeout, transaction_pooling=self._transaction_pooling,
        )  # fmt: skip
        try:
            await self.configure_link(link)
        except BaseException:
            link.terminate()
            raise
        return link

    async def add(self, conn: AsyncPostgresLink) -> None:
        """Not possible here: psycopg-pool takes in nothing it has not opened."""
        raise PoolError(f"psycopg-pool takes in no connection that it has not opened; it stays with you; {INSTEAD}")

    # -- upkeep ---------------------------------------------------------------------------------

    async def check(self) -> CheckReport:
        """The twin of `PsycopgPool.check`."""
        self.refuse_elsewhere()
        before = self.stats()
        home = self._home
        if home is not None and not home.closed:
            await home.check()
        return CheckReport(before.idle, self.stats().closed - before.closed)

    async def drain(self) -> int:
        """The twin of `PsycopgPool.drain`."""
        self.refuse_elsewhere()
        idle = self.stats().idle
        with self._mutex:
            self._ledger.make_stale()
        home = self._home
        if home is not None and not home.closed:
            await home.drain()
        return idle

    async def resize(self, *, max_size: int | None = None, min_idle: int | None = None) -> None:
        """The twin of `PsycopgPool.resize`."""
        self.refuse_elsewhere()
        sizes = self._resized(max_size, min_idle)
        home = self._home
        if home is not None and not home.closed:
            await home.resize(*sizes)
            await self.feed(home)

    # -- the loop it belongs to -----------------------------------------------------------------

    def abandon(self) -> None:
        """Drops every connection without awaiting anything and ends closed: for a loop that is gone."""
        self._state = "closed"
        self._terminate_all()
        self._forget_loop()

    def refuse_elsewhere(self) -> None:
        """As in `AsyncPool`."""
        if self._loop is not None and self._loop is not asyncio.get_running_loop() and not self._loop.is_closed():
            raise wrong_loop(self)

    def _forget_loop(self) -> None:
        self._home = None
        self._loop = None
        self._watch = None
        self._tasks = set()

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None and not self._loop.is_closed() and self._ledger.entries:
            raise wrong_loop(self)
        if self._loop is not None:
            state = self._state
            self.abandon()
            self._state = state
        self._loop = loop

    # -- the shell ------------------------------------------------------------------------------

    async def conninfo(self) -> str:
        """The twin of `PsycopgPool.conninfo`; what is asked may be an `async def`."""
        if isinstance(self._conninfo, str):
            return self._conninfo
        async with asyncio.timeout(self.config.connect_timeout):
            found = self._conninfo()
            return found if isinstance(found, str) else await found

    async def configure_link(self, link: AsyncPostgresLink) -> None:
        """Awaits the `configure` hook on a new connection."""
        if self._configure is not None:
            async with asyncio.timeout(self.config.connect_timeout):
                await self._configure(link)

    async def _tested(
        self, raw: Any, home: Any, owner: object, site: Site, began: float, until: float, *, immediate: bool
    ) -> RawEntry[AsyncPostgresLink] | None:
        """Lends what was handed out, when it is good; else it is closed, and None says: ask again."""
        entry, reason, due = self._take(raw, home, owner, site, began, immediate=immediate)
        if entry is None:
            await self._to_the_end(_close_and_put(raw, home))
            return None
        if due:
            try:
                if self._check is not None:
                    async with asyncio.timeout(self.config.validation_timeout):
                        await self._check(entry.conn)
                else:
                    await entry.conn.ping(self._ping_limit(until))
            except Exception as error:
                reason = "invalid"
                if self._ping_failed(entry, error):
                    self.invalidate(error)
            except BaseException:
                self._cancelled(entry, owner)
                self._later(lambda: self._put(entry, True))
                raise
        if reason is None:
            if due:
                self._lend(entry, owner, site, began, immediate=immediate)
            return entry
        self._put_back(owner)
        try:
            await self._to_the_end(self._put(entry, True))
        except BaseException:
            with self._mutex:
                self._ledger.end(owner, "cancelled")
            raise
        return None

    async def _put(self, entry: RawEntry[AsyncPostgresLink], is_unusable: bool) -> None:
        if is_unusable:
            try:
                if self._on_close is not None and not entry.conn.is_broken:
                    async with asyncio.timeout(self.config.close_timeout):
                        await self._on_close(entry.conn)
            except Exception:
                log.exception("the on_close hook of %s failed", self)
            await entry.raw.close()
        await entry.home.putconn(entry.raw)
        self._settle()

    async def _to_the_end(self, work: Coroutine[Any, Any, None]) -> None:
        """Awaits something that must not stop half-way: a connection half given back would be lost to the pool."""
        if self._on_close is not None:  # it may wait with a time limit, which cancels the task that began to wait
            await asyncio.shield(self._spawn(work))
            return
        try:
            step = work.send(None)
        except StopIteration:
            return
        await asyncio.shield(self._spawn(_finish(work, step)))

    async def _getconn(self, home: Any, timeout: float) -> Any:
        if sys.version_info >= (3, 12) or home.serves_at_once():
            return await home.getconn(timeout)
        # Before 3.12 a wait with a timeout may lose what arrives together with a cancellation: a task of the pool's
        # own does the waiting, and what it gets for nobody is given back.
        task = self._spawn(home.getconn(timeout))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(lambda done: self._give_back_late(done, home))
            task.cancel()  # out of the queue
            raise

    def _give_back_late(self, task: asyncio.Task[Any], home: Any) -> None:
        if not task.cancelled() and task.exception() is None:
            self._spawn(home.putconn(task.result()))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _later(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Runs something in the pool's loop, from wherever it is asked for; nothing when the loop is gone."""
        loop = self._loop
        try:
            running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is not None and running is loop:
            self._spawn(work())
        elif loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(lambda: self._spawn(work()))

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.debug("a task of %s failed: %s", self, task.exception())

    def _bury(self, entry: Entry[AsyncPostgresLink]) -> None:
        with self._mutex:
            if self._ledger.entries.get(id(getattr(entry, "raw", None))) is not entry:
                return  # lent before a fork, by the parent
            self._ledger.leaks += 1
        self._tell(LeaseAbandoned(entry.id, self._clock() - entry.since))
        with contextlib.suppress(PoolError):
            self.discard_entry(entry, "abandoned")

    def _new_gate(self) -> AsyncGate:
        return AsyncGate()

    def _new_home(self) -> Any:
        self._gate = gate = AsyncGate()
        ref: weakref.ref[AsyncPsycopgPool] = weakref.ref(self)
        made = async_connection_class(ref, gate)
        home = AsyncHome(
            is_hopeless=hopeless(ref), connection_class=made, reconnect_failed=_feeding(ref), **self._options()
        )
        home.look = _looking(ref)
        return home

    async def feed(self, home: Any) -> None:
        """The twin of `PsycopgPool.feed`."""
        if self._is_starving() and not home.closed:
            await home.check()

    async def check_idle(self, raw: Any) -> None:
        """What psycopg-pool's `check()` calls; it forgets what fails, so that must be closed here."""
        with self._mutex:
            entry = self._ledger.checking(raw)
        if entry is None:
            raise psycopg.OperationalError("the connection was closed")
        try:
            await entry.conn.ping(self.config.validation_timeout)
        except BaseException as error:
            self._ping_failed(entry, error)
            await raw.close()
            raise

    def _turn_away(self, home: Any) -> None:
        self._later(home.turn_away)

    def _put_late(self, home: Any, raw: Any) -> None:
        self._later(lambda: home.putconn(raw))

    def _start_draining(self) -> None:
        home = self._home
        if home is not None and not home.closed:
            self._later(home.drain)

    def _watch_in(self, seconds: float) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._watch = self._loop.call_later(seconds, self._look_for_leaks)

    def _terminate_all(self) -> None:
        for entry in list(self._ledger.entries.values()):
            entry.reason = "pool_closed"
            self.closed_one(entry.raw)
            entry.conn.terminate()

    def _describe(self, owner: object) -> tuple[str, str]:
        return describe_task(owner)

    def current_owner(self) -> object:
        """The running task."""
        return asyncio.current_task()

    def forget_after_fork(self) -> None:
        """In a child process: starts with nothing, in whatever loop asks first."""
        self._inherited.append((self._loop, self._tasks, self._watch))
        super().forget_after_fork()
        self._forget_loop()


async def _close_and_put(raw: Any, home: Any) -> None:
    await raw.close()
    await home.putconn(raw)


async def _finish(coroutine: Coroutine[Any, Any, None], waits_for: Any) -> None:
    await Rest(coroutine, waits_for)


def _feeding(ref: weakref.ref[AsyncPsycopgPool]) -> Callable[[Any], Awaitable[None]]:
    async def feed(home: Any) -> None:
        pool = ref()
        if pool is not None:
            await pool.feed(home)

    return feed


def _looking(ref: weakref.ref[AsyncPsycopgPool]) -> Callable[[Any], Awaitable[None]]:
    async def look(raw: Any) -> None:
        pool = ref()
        if pool is not None:
            await pool.check_idle(raw)

    return look


class _Bell:
    """A one-shot an awaiting caller waits for."""

    def __init__(self) -> None:
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, timeout: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(timeout, 0.0)):
                await self._future
