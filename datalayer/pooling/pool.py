"""The pool of the blocking world: threads wait, threads connect."""

# A lease is filled in by its pool, and ends in it: what is private here is so to both together.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from datalayer.pooling.actions import Action, Arm, Check, Close, Open, Suspect
from datalayer.pooling.arguments import check_connector, plain_hook
from datalayer.pooling.clock import STEADY
from datalayer.pooling.config import PoolConfig
from datalayer.pooling.connectors import Connector
from datalayer.pooling.entry import LENT, NEVER, Entry, Waiter
from datalayer.pooling.explain import describe_thread, error_text, getframe
from datalayer.pooling.flows import Machine
from datalayer.pooling.keeper import Keeper
from datalayer.pooling.lease import Grip, Lease, grip_of
from datalayer.pooling.mutex import is_held, let_go
from datalayer.pooling.requests import Configure, Connect, Flow, Ping, Request, Shut, Wait
from datalayer.pooling.stats import CheckReport, CloseReport
from datalayer.pooling.thread_waiting import ThreadWaiter
from datalayer.pooling.timeouts import DEFAULT, Timeout, check_timeout

if TYPE_CHECKING:
    from datalayer.pooling.events import Listener

log = logging.getLogger("datalayer.pooling")

C = TypeVar("C")
T = TypeVar("T")


class _Lease(Lease[C]):
    """A lease that gives its connection back itself: the call of a method of the pool costs as much as any step."""

    __slots__ = ()

    pool: Pool[C]  # pyright: ignore[reportIncompatibleVariableOverride]  # set once

    def release(self) -> None:
        """Ends the lease: cleans the connection, and keeps or closes it."""
        grip = self._grip
        if grip is None or (entry := grip.entry) is None:
            raise self._refusal()
        self._grip = grip.entry = None
        entry.grip = grip
        pool = self.pool
        conn, connector = entry.conn, pool._connector
        drop: str | None = None
        try:
            if (is_clean := pool._is_clean) is not None and is_clean(conn):
                pass
            elif connector.is_broken(conn):
                drop = "broken"
            else:
                connector.reset(conn)
            if pool._reset is not None and drop is None:
                pool._reset(conn)
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


class Pool(Machine[C]):
    """Lends connections to threads and takes them back.

    Args:
        connector: How to make, test, clean and end a connection.
        config: The limits.
        name: For messages.
        configure: Run once on every new connection; when it raises, the connection is not used.
        check: Run instead of the connector's `ping`.
        reset: Run after the connector's `reset`.
        on_close: Run before a connection is closed.
        listeners: Called with every event.
        clock: The source of time, monotonic seconds.
        rng: The source of jitter.
        auto_open: Open on first use; False demands an explicit `open()`.

    Raises:
        PoolConfigError: One of these is not what it must be.
    """

    def __init__(
        self,
        connector: Connector[C],
        config: PoolConfig | None = None,
        *,
        name: str | None = None,
        configure: Callable[[C], object] | None = None,
        check: Callable[[C], object] | None = None,
        reset: Callable[[C], object] | None = None,
        on_close: Callable[[C], object] | None = None,
        listeners: Sequence[Listener] = (),
        clock: Callable[[], float] = STEADY,
        rng: Random | None = None,
        auto_open: bool = True,
    ) -> None:
        check_connector(connector, is_async=False)
        super().__init__(
            connector, config, name=name, listeners=listeners,
            clock=clock, rng=rng, auto_open=auto_open, has_configure=configure is not None,
        )  # fmt: skip
        self._configure = plain_hook("configure", configure)
        self._check = plain_hook("check", check)
        self._reset = plain_hook("reset", reset)
        self._on_close = plain_hook("on_close", on_close)
        self._connector = connector
        self._is_clean: Callable[[C], bool] | None = getattr(connector, "is_clean", None)
        self._ping_within: Callable[[C, float], object] | None = getattr(connector, "ping_within", None)
        self._keeper = Keeper(f"datalayer-pool-{name}-upkeep")
        self._workers: set[threading.Thread] = set()
        weakref.finalize(self, self._keeper.wake).atexit = False

    # -- life -----------------------------------------------------------------------------------

    def open(self, *, wait: bool = False, timeout: float | None = None) -> Self:
        """Opens the pool; an open one stays as it is, a closed one opens again.

        Args:
            wait: Return only when `min_idle` connections (at least one) are there.
            timeout: How long to wait; `connection_timeout` when not given.

        Raises:
            PoolTimeout: They were not there in time; the pool stays open and goes on trying.
        """
        with self._mutex:
            self._core.start(self._clock())
        self._collect()
        if wait:
            self.wait_ready(DEFAULT if timeout is None else timeout)
        return self

    def wait_ready(self, timeout: Timeout = DEFAULT) -> None:
        """Waits until `min_idle` connections are there; with `min_idle=0`, until one could be had.

        Raises:
            PoolTimeout: They were not there in time; the pool stays usable.
        """
        check_timeout(timeout)
        if self._core.min_idle:
            self._drive(self._become_ready(timeout))
        else:
            self.acquire(timeout).release()

    def close(self, timeout: float | None = None, *, force: bool = True) -> CloseReport:
        """Closes the pool: fails the queue, closes what is idle, waits for what is lent.

        Args:
            timeout: How long to wait for lent connections; `close_timeout` when not given.
            force: Whether those still out then are terminated where the connector can do that; they are closed at
                their return otherwise.

        Returns:
            Who still holds a connection.
        """
        until = self._close_until(timeout)
        report = self._drive(self._empty(until, force=force))
        self._keeper.wake()
        me = threading.current_thread()
        for thread in [self._keeper.thread, *self._workers]:
            if thread is not None and thread is not me and thread.is_alive():  # another close() may just start one
                thread.join(max(until - self._clock(), 0.05))
        return report

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    # -- lending --------------------------------------------------------------------------------

    def acquire(self, timeout: Timeout = DEFAULT) -> Lease[C]:
        """Lends a connection: an idle one, or a new one, or the next that is given back.

        Args:
            timeout: Seconds to wait; None waits for ever, 0 only looks; `connection_timeout` when not given.

        Raises:
            PoolTimeout: None was to be had in time.
            PoolClosed: The pool is not open.
            TooManyWaiting: The queue is full.
            PoolDeadlock: Everybody who holds a connection waits for another one.
        """
        if timeout is not DEFAULT:
            check_timeout(timeout)
        clock = self._clock  # read first, see `take_ready`
        now = clock()
        owner = get_ident()
        mutex = self._mutex
        try:  # a `with` that takes half the time; see `let_go`
            mutex.acquire()
            entry = self._core.take_ready(now, owner)
        except BaseException:
            let_go(mutex)
            raise
        mutex.release()
        if entry is None:
            entry = self._acquire(timeout, now, owner)
        elif self._orphans:
            self._collect()
        caller = getframe(1)
        # Of `datalayer` itself only the registry and the SQLite pool ask: they say for whom.
        entry.code = caller.f_code
        entry.offset = caller.f_lasti
        grip = entry.grip
        if grip is None:
            grip = Grip(self)
        entry.grip = None
        grip.entry = entry
        lease: _Lease[C] = _Lease()
        lease.pool = self
        lease._grip = grip
        return lease

    def _acquire(self, timeout: Timeout, now: float, owner: object) -> Entry[C]:
        """Any acquire but the usual one."""
        if self._core.state == "new" and self._auto_open:
            self.open()
        if self._orphans:
            self._collect()
        with self._mutex:
            entry = self._core.take(now, owner)
        if entry is None or entry.state != LENT:
            entry = self._drive(self._finish_acquire(entry, timeout, now, owner))
        self._collect()
        return entry

    def try_acquire(self) -> Lease[C] | None:
        """Lends an idle connection if there is a good one now; never waits and never opens one."""
        if self._core.state == "new" and self._auto_open:
            self.open()
        if not self._core.idle:
            with self._mutex:
                self._core.refuse_unless_open()
            return None
        try:
            return self.acquire(0)
        except TimeoutError:
            return None

    def release_entry(self, entry: Entry[C]) -> None:
        """Ends a lease of which only the entry is known."""
        lease: _Lease[C] = _Lease()
        lease.pool, lease._grip = self, grip_of(self, entry)
        lease.release()

    def dedicated(self) -> C:
        """Opens a configured connection that is not the pool's: not counted, and yours to close."""
        return self._drive(self._dedicated())

    def add(self, conn: C) -> None:
        """Gives the pool a connection that was opened elsewhere.

        Raises:
            PoolFull: There is no room; the connection stays with the caller.
            ConnectionBroken: It is unusable; it stays with the caller.
        """
        if self._core.state == "new" and self._auto_open:
            self.open()
        self._add(conn, self._connector.is_broken(conn))

    # -- upkeep ---------------------------------------------------------------------------------

    def check(self) -> CheckReport:
        """Pings every idle connection and throws away those that do not answer."""
        return self._drive(self._check_all())

    def drain(self) -> int:
        """Closes every idle connection, to be replaced as needed; gives their number."""
        return self._drain()

    def resize(self, *, max_size: int | None = None, min_idle: int | None = None) -> None:
        """Changes the limits while the pool works; lent connections are never interrupted.

        Raises:
            PoolConfigError: A limit is out of its range.
        """
        self._resize(max_size, min_idle)

    # -- the shell ------------------------------------------------------------------------------

    def _drive(self, flow: Flow[C, T]) -> T:
        try:
            request = next(flow)
            while True:
                try:
                    answer = self._do(request)
                except BaseException as error:
                    request = flow.throw(error)
                else:
                    request = flow.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _do(self, request: Request[C]) -> C | None:
        match request:
            case Wait(waiter=waiter, timeout=timeout):
                assert isinstance(waiter, ThreadWaiter)
                waiter.wait(timeout)
            case Ping(conn=conn, timeout=seconds):
                self._ping(conn, seconds)
            case Connect():
                return self._connector.connect()
            case Configure(conn=conn):
                assert self._configure is not None
                self._configure(conn)
            case Shut(conn=conn):
                self._drop_now(conn)
        return None

    def _ping(self, conn: C, seconds: float) -> None:
        if self._check is not None:
            self._check(conn)
        elif self._ping_within is not None:
            self._ping_within(conn, seconds)
        else:
            self._connector.ping(conn)

    def _perform(self, actions: list[Action[C]]) -> None:
        if dead := [one.conn for one in actions if isinstance(one, Close)]:
            self._beside(partial(self._drop_all, dead))
        for action in actions:
            if isinstance(action, Close):
                continue
            if isinstance(action, Open):
                self._start(self._open_one())
            elif isinstance(action, Arm):
                self._arm()
            elif isinstance(action, Check):
                self._start(self._check_one(action.entry))
            elif isinstance(action, Suspect):
                self._suspect(action.entry, action.held)
            else:
                self._tell(action.event)

    def _start(self, flow: Flow[C, object]) -> None:
        """Runs a flow for nobody in particular."""
        self._beside(partial(self._drive, flow))

    def _beside(self, work: Callable[[], object]) -> None:
        """Runs what is slow, and nobody shall wait for, in a thread of the pool; at once where it takes no time."""
        if getattr(self._connector, "fast_open", False):
            work()
            return
        name = f"datalayer-pool-{self.name}-work"
        thread = threading.Thread(target=self._run_in_thread, args=(work,), name=name, daemon=True)
        self._workers.add(thread)
        try:
            thread.start()
        except RuntimeError:  # there are no more threads to be had, or the interpreter is on its way out
            self._workers.discard(thread)
            work()

    def _run_in_thread(self, work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException:
            log.exception("what %s does beside its callers was interrupted", self)
        finally:
            self._workers.discard(threading.current_thread())

    def _drop_all(self, conns: list[C]) -> None:
        for conn in conns:
            self._drop_now(conn)

    def _drop_now(self, conn: C) -> None:
        try:
            if self._on_close is not None:
                self._on_close(conn)
        except Exception:
            log.exception("the on_close hook of %s failed", self)
        try:
            self._connector.close(conn)
        except Exception as error:
            log.warning("a connection of %s could not be closed properly: %s", self, error_text(error))

    def _terminate_all(self) -> int:
        terminate: Callable[[C], object] | None = getattr(self._connector, "terminate", None)
        if terminate is None:
            return 0
        with self._mutex:
            conns = [entry.conn for entry in self._core.lent()]
        for conn in conns:
            try:
                terminate(conn)
            except Exception:
                log.exception("a connection of %s could not be terminated", self)
        return len(conns)

    def _new_waiter(self, owner: object) -> Waiter[C]:
        return ThreadWaiter(owner)

    def _describe(self, owner: object) -> tuple[str, str]:
        return describe_thread(owner)

    def current_owner(self) -> object:
        """The identifier of this thread."""
        return threading.get_ident()

    def _arm(self) -> None:
        with self._mutex:
            self._keeper.arm(self)

    def _poke(self) -> None:
        # The lock may be held by this very thread: then whoever holds it, or the housekeeper, looks at the orphans.
        if not is_held(self._mutex) and self._mutex.acquire(blocking=False):
            self._mutex.release()
            self._collect()
        else:
            self._keeper.wake()

    def is_kept(self) -> bool:
        """Whether there may be something to do for a housekeeper."""
        return self._core.state in ("open", "paused")

    def upkeep(self) -> float | None:
        """Does what is due; gives the seconds until the next time, or None when nothing is to be expected."""
        with self._mutex:
            now = self._clock()
            if now >= self._core.wake_at:
                self._core.tick(now)
        self._collect()
        with self._mutex:
            if self._core.wake_at == NEVER or not self.is_kept():
                self._keeper.dismiss()
                return None
            return max(self._core.wake_at - self._clock(), 0.0)

    def forget_after_fork(self) -> None:
        """In a child process: starts with nothing, and no thread."""
        super().forget_after_fork()
        self._keeper = Keeper(self._keeper.name)
        self._workers = set()
