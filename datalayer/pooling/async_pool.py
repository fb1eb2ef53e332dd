"""The pool of the awaiting world: futures wait, tasks connect; one pool belongs to one event loop."""

from __future__ import annotations

import asyncio
import logging
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from random import Random
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import ref

from datalayer.pooling.actions import Action, Arm, Check, Close, Open, Suspect
from datalayer.pooling.arguments import awaited_hook, check_connector, to_be_awaited
from datalayer.pooling.async_lease import Acquiring, AsyncLease
from datalayer.pooling.async_lending import PoolAcquiring, PoolLease
from datalayer.pooling.clock import STEADY
from datalayer.pooling.config import PoolConfig
from datalayer.pooling.connectors import AsyncConnector
from datalayer.pooling.entry import LENT, NEVER, Entry, Waiter
from datalayer.pooling.events import Listener
from datalayer.pooling.explain import describe_task, error_text, getframe, wrong_loop
from datalayer.pooling.flows import Machine
from datalayer.pooling.lease import grip_of
from datalayer.pooling.requests import Configure, Connect, Flow, Ping, Request, Shut, Wait
from datalayer.pooling.stats import CheckReport, CloseReport
from datalayer.pooling.stepping import in_time
from datalayer.pooling.timeouts import DEFAULT, Timeout, check_timeout
from datalayer.pooling.waiting import Door, TaskWaiter

log = logging.getLogger("datalayer.pooling")

C = TypeVar("C")
T = TypeVar("T")

_MORE_TURNS = 3
"""So many turns of the event loop more than there are waiters a polite caller lets pass before he queues."""


class AsyncPool(Machine[C]):
    """Lends connections to tasks of one event loop and takes them back.

    Args:
        connector: How to make, test, clean and end a connection.
        config: The limits.
        name: For messages.
        configure: Awaited once on every new connection; when it raises, the connection is not used.
        check: Awaited instead of the connector's `ping`.
        reset: Awaited after the connector's `reset`.
        on_close: Awaited before a connection is closed.
        listeners: Called with every event; plain functions.
        clock: The source of time, monotonic seconds.
        rng: The source of jitter.
        auto_open: Open on first use; False demands an explicit `open()`.

    Attributes:
        is_polite: Whether a caller who finds no connection lets those go first who have waited for one, before he
            queues himself. Where connections are lent for a moment only, and awaited for nothing, a queue of more
            tasks than connections would never end: who gives his back asks again at once, and finds all of them on
            the way to those who have waited.

    Raises:
        PoolConfigError: One of these is not what it must be.
    """

    is_polite = False

    def __init__(
        self,
        connector: AsyncConnector[C],
        config: PoolConfig | None = None,
        *,
        name: str | None = None,
        configure: Callable[[C], Awaitable[object]] | None = None,
        check: Callable[[C], Awaitable[object]] | None = None,
        reset: Callable[[C], Awaitable[object]] | None = None,
        on_close: Callable[[C], Awaitable[object]] | None = None,
        listeners: Sequence[Listener] = (),
        clock: Callable[[], float] = STEADY,
        rng: Random | None = None,
        auto_open: bool = True,
    ) -> None:
        check_connector(connector, is_async=True)
        super().__init__(
            connector, config, name=name, listeners=listeners,
            clock=clock, rng=rng, auto_open=auto_open, has_configure=configure is not None,
        )  # fmt: skip
        self._configure = awaited_hook("configure", configure)
        self._check = awaited_hook("check", check)
        self._reset = awaited_hook("reset", reset)
        self._on_close = awaited_hook("on_close", on_close)
        self._connector = connector
        self._is_clean: Callable[[C], bool] | None = getattr(connector, "is_clean", None)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._last_door: Door | None = None

    # -- life -----------------------------------------------------------------------------------

    async def open(self, *, wait: bool = False, timeout: float | None = None) -> Self:
        """Opens the pool; an open one stays as it is, a closed one opens again.

        Args:
            wait: Return only when `min_idle` connections (at least one) are there.
            timeout: How long to wait; `connection_timeout` when not given.

        Raises:
            PoolTimeout: They were not there in time; the pool stays open and goes on trying.
            WrongEventLoop: The pool is open in another event loop.
        """
        self._open_here()
        if wait:
            await self.wait_ready(DEFAULT if timeout is None else timeout)
        return self

    async def wait_ready(self, timeout: Timeout = DEFAULT) -> None:
        """Waits until `min_idle` connections are there; with `min_idle=0`, until one could be had.

        Raises:
            PoolTimeout: They were not there in time; the pool stays usable.
        """
        check_timeout(timeout)
        if self._core.min_idle:
            await self._drive(self._become_ready(timeout))
        else:
            await (await self.acquire(timeout)).release()

    async def close(self, timeout: float | None = None, *, force: bool = True) -> CloseReport:
        """Closes the pool: fails the queue, closes what is idle, waits for what is lent.

        Args:
            timeout: How long to wait for lent connections; `close_timeout` when not given.
            force: Whether those still out then are terminated; they are closed at their return otherwise.

        Returns:
            Who still holds a connection.
        """
        if self._loop is not None:
            self._check_loop()
        until = self._close_until(timeout)
        report = await self._drive(self._empty(until, force=force))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        mine = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not mine]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=max(until - self._clock(), 0.05))
            for task in late:
                task.cancel()
        return report

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    # -- lending --------------------------------------------------------------------------------

    def acquire(self, timeout: Timeout = DEFAULT) -> Acquiring[C]:
        """Lends a connection: an idle one, or a new one, or the next that is given back.

        `async with pool.acquire() as conn` lends the connection, `lease = await pool.acquire()` gives the lease.

        Args:
            timeout: Seconds to wait; None waits for ever, 0 only looks; `connection_timeout` when not given.

        Raises:
            PoolTimeout: None was to be had in time.
            PoolClosed: The pool is not open.
            TooManyWaiting: The queue is full.
            PoolDeadlock: Everybody who holds a connection waits for another one.
            WrongEventLoop: The pool belongs to another event loop.
        """
        if timeout is not DEFAULT:
            check_timeout(timeout)
        asking: PoolAcquiring[C] = PoolAcquiring()
        asking.pool = self
        asking.timeout = timeout
        caller = getframe(1)
        asking.code = caller.f_code
        asking.offset = caller.f_lasti
        return asking

    async def try_acquire(self) -> AsyncLease[C] | None:
        """Lends an idle connection if there is a good one now; never waits and never opens one."""
        self.refuse_elsewhere()
        if self._core.state == "new" and self._auto_open:
            self._open_here()
        if not self._core.idle:
            with self._mutex:
                self._core.refuse_unless_open()
            return None
        try:
            return await self.acquire(0)
        except TimeoutError:
            return None

    async def _acquire(self, timeout: Timeout, now: float, owner: object) -> Entry[C]:
        """Any acquire but the usual one."""
        if self._core.state == "new" and self._auto_open:
            self._open_here()
        if self._orphans:
            self._collect()
        if self.is_polite and timeout != 0:
            core = self._core
            for _ in range(_MORE_TURNS + len(core.waiters)):
                if core.idle or not core.testing:
                    break
                await asyncio.sleep(0)
        with self._mutex:
            entry = self._core.take(now, owner)
        if entry is None or entry.state != LENT:
            entry = await self._drive(self._finish_acquire(entry, timeout, now, owner))
        self._collect()
        return entry

    async def release_entry(self, entry: Entry[C]) -> None:
        """Ends a lease of which only the entry is known."""
        lease: PoolLease[C] = PoolLease()
        lease.pool, lease._grip = self, grip_of(self, entry)  # pyright: ignore[reportPrivateUsage]  # filled in by hand
        await lease.release()

    async def dedicated(self) -> C:
        """Opens a configured connection that is not the pool's: not counted, and yours to close."""
        return await self._drive(self._dedicated())

    async def add(self, conn: C) -> None:
        """Gives the pool a connection that was opened elsewhere.

        Raises:
            PoolFull: There is no room; the connection stays with the caller.
            ConnectionBroken: It is unusable; it stays with the caller.
        """
        self._check_loop()
        if self._core.state == "new" and self._auto_open:
            self._open_here()
        self._add(conn, self._connector.is_broken(conn))

    # -- upkeep ---------------------------------------------------------------------------------

    async def check(self) -> CheckReport:
        """Pings every idle connection and throws away those that do not answer."""
        self.refuse_elsewhere()
        return await self._drive(self._check_all())

    async def drain(self) -> int:
        """Closes every idle connection, to be replaced as needed; gives their number."""
        self.refuse_elsewhere()
        return self._drain()

    async def resize(self, *, max_size: int | None = None, min_idle: int | None = None) -> None:
        """Changes the limits while the pool works; lent connections are never interrupted.

        Raises:
            PoolConfigError: A limit is out of its range.
        """
        self.refuse_elsewhere()
        self._resize(max_size, min_idle)

    # -- the loop it belongs to -----------------------------------------------------------------

    def _open_here(self) -> None:
        self._check_loop()
        with self._mutex:
            self._core.start(self._clock())
        self._collect()

    def _check_loop(self) -> None:
        """Makes the running loop the pool's own, where that is possible.

        Raises:
            WrongEventLoop: The pool's own loop is another one, and it is still there.
        """
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None and not self._loop.is_closed() and self._core.entries:
            raise wrong_loop(self)
        if self._loop is not None:
            self._abandon_loop()
        self._loop = loop

    def refuse_elsewhere(self) -> None:
        """Raises in a loop that is not the pool's own, which is still there.

        Raises:
            WrongEventLoop: What follows awaits connections of the pool.
        """
        if self._loop is not None and self._loop is not get_running_loop() and not self._loop.is_closed():
            raise wrong_loop(self)

    def abandon(self) -> None:
        """Drops every connection without awaiting anything and ends closed: for a loop that is gone."""
        self._abandon_loop()
        self._core.adopt_state("closed")
        self._loop = None

    def _abandon_loop(self) -> None:
        """The loop is gone, and nothing of it can be awaited: drops every connection and starts afresh."""
        old = self._core
        self._core = self._new_core()
        self._core.adopt_state(old.state if old.state != "closing" else "closed")
        self._tasks = set()
        self._timer = None
        for entry in old.entries.values():
            self._drop_now(entry.conn)

    # -- the shell ------------------------------------------------------------------------------

    async def _drive(self, flow: Flow[C, T]) -> T:
        try:
            request = next(flow)
            while True:
                try:
                    answer = await self._do(request)
                except BaseException as error:
                    request = flow.throw(error)
                else:
                    request = flow.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def _do(self, request: Request[C]) -> C | None:
        match request:
            case Wait(waiter=waiter, timeout=timeout):
                assert isinstance(waiter, TaskWaiter)
                await waiter.wait(timeout)
            case Ping(conn=conn, timeout=seconds):
                await in_time(self._ping(conn), seconds)
            case Connect():
                async with asyncio.timeout(self.config.connect_timeout):
                    return await to_be_awaited("connect() of the connector", self._connector.connect())
            case Configure(conn=conn):
                assert self._configure is not None
                async with asyncio.timeout(self.config.connect_timeout):
                    await self._configure(conn)
            case Shut(conn=conn):
                await self._shut(conn)
        return None

    async def _ping(self, conn: C) -> None:
        if self._check is not None:
            await self._check(conn)
        else:
            await self._connector.ping(conn)

    def _perform(self, actions: list[Action[C]]) -> None:
        for action in actions:
            if isinstance(action, Close):
                self._spawn(self._shut(action.conn), action.conn)
            elif isinstance(action, Open):
                self._spawn(self._drive(self._open_one()), None)
            elif isinstance(action, Arm):
                self._arm(action.at)
            elif isinstance(action, Check):
                self._spawn(self._drive(self._check_one(action.entry)), None)
            elif isinstance(action, Suspect):
                self._suspect(action.entry, action.held)
            else:
                self._tell(action.event)

    def _spawn(self, work: Coroutine[Any, Any, object], conn: C | None) -> None:
        loop = self._loop
        try:
            running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if loop is not None and running is loop:
            task = loop.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._ended)
            return
        if loop is not None and not loop.is_closed():
            # Called from another thread, or after the loop stopped: the loop's own thread makes the task.
            loop.call_soon_threadsafe(self._spawn, work, conn)
            return
        work.close()
        if conn is not None:
            self._drop_now(conn)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a task of %s failed", self, exc_info=task.exception())

    async def _shut(self, conn: C) -> None:
        try:
            if self._on_close is not None:
                async with asyncio.timeout(self.config.close_timeout):
                    await self._on_close(conn)
        except Exception:
            log.exception("the on_close hook of %s failed", self)
        try:
            async with asyncio.timeout(self.config.close_timeout):
                await self._connector.close(conn)
        except Exception as error:
            log.warning("a connection of %s could not be closed properly: %s", self, error_text(error))
            self._drop_now(conn)
        except BaseException:
            self._drop_now(conn)
            raise

    def _drop_now(self, conn: C) -> None:
        try:
            self._connector.terminate(conn)
        except Exception as error:
            log.warning("a connection of %s could not be terminated: %s", self, error_text(error))

    def _terminate_all(self) -> int:
        with self._mutex:
            conns = [entry.conn for entry in self._core.lent()]
        for conn in conns:
            self._drop_now(conn)
        return len(conns)

    def _new_waiter(self, owner: object) -> Waiter[C]:
        return TaskWaiter(owner, self._door())

    def _door(self) -> Door:
        loop = get_running_loop()
        door = self._last_door
        if door is None or door.loop is not loop:
            self._last_door = door = Door(loop)
        return door

    def _describe(self, owner: object) -> tuple[str, str]:
        return describe_task(owner)

    def current_owner(self) -> object:
        """The running task, held weakly."""
        task = asyncio.current_task()
        return task and ref(task)

    def _arm(self, at: float) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        try:
            running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is not loop:
            loop.call_soon_threadsafe(self._arm, at)
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(max(at - self._clock(), 0.0), self._upkeep)

    def _upkeep(self) -> None:
        self._timer = None
        with self._mutex:
            now = self._clock()
            if now >= self._core.wake_at:
                self._core.tick(now)
            elif self._core.wake_at != NEVER:
                # The loop's clock ran ahead of ours by a hair.
                self._core.actions.append(Arm(self._core.wake_at))
        self._collect()

    def _poke(self) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._collect)

    def forget_after_fork(self) -> None:
        """In a child process: starts with nothing, in whatever loop asks first."""
        super().forget_after_fork()
        self._inherited.append((self._loop, self._tasks, self._timer))
        self._loop = None
        self._tasks = set()
        self._timer = None
