"""The steps of a pool that take time, written once as generators of the I/O they need.

The law of this file: a flow never waits. It asks the core under the lock, lets go, and yields what must be waited for;
the thread shell does that by blocking, the asyncio shell by awaiting, and an error of it is thrown in at the `yield`.
Everything but `Exception` (a cancelled task, Ctrl-C) ends a flow at once: nothing is yielded after it.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from datalayer.errors import ConnectionBroken, DoubleRelease, ForeignLease, PoolConfigError
from datalayer.pooling.actions import Action
from datalayer.pooling.arguments import check_sources
from datalayer.pooling.config import PoolConfig, chosen, refuse_no_room
from datalayer.pooling.connectors import Judge
from datalayer.pooling.core import Core
from datalayer.pooling.entry import LENT, NEVER, Entry, State, Waiter
from datalayer.pooling.explain import again, error_text
from datalayer.pooling.lease import warn_of_orphan
from datalayer.pooling.requests import Configure, Connect, Flow, Ping, Shut, Wait
from datalayer.pooling.stats import CheckReport, CloseReport, PoolStats
from datalayer.pooling.timeouts import DefaultTimeout, Timeout, check_timeout
from datalayer.pooling.watched import Books, Watched

if TYPE_CHECKING:
    from datalayer.pooling.events import Listener

C = TypeVar("C")
T = TypeVar("T")

log = logging.getLogger("datalayer.pooling")

_living: WeakSet[Machine[Any]] = WeakSet()


class Machine(Watched[C]):
    """What the two pools share: the core, its lock, and every step that needs no waiting."""

    _keeps = True  # whether a connection that nobody waits for becomes idle
    _usual = PoolConfig()

    def __init__(
        self,
        judge: Judge,
        config: PoolConfig | None,
        *,
        name: str | None,
        listeners: Sequence[Listener],
        clock: Callable[[], float],
        rng: Random | None,
        auto_open: bool,
        has_configure: bool,
    ) -> None:
        check_sources(clock, rng)
        super().__init__(self._limits(chosen(config, self._usual)), name=name, listeners=listeners, clock=clock)
        self._judge = judge
        self._rng = rng if rng is not None else Random()
        self._auto_open = auto_open
        self._has_configure = has_configure
        self._core = self._new_core()
        self._orphans: deque[Entry[C]] = deque()
        self._inherited: list[object] = []  # of the parent process: kept alive so that nothing closes its sockets
        _living.add(self)

    # -- what a user asks -----------------------------------------------------------------------

    @property
    def state(self) -> State:
        """`new`, `open`, `paused`, `closing` or `closed`."""
        return self._core.state

    def listen(self, listener: Listener) -> None:
        """Tells the listener of every event from now on, outside of every lock; what it raises is logged."""
        with self._mutex:
            self._listeners.add(listener)
            self._core.listen(True)

    def unlisten(self, listener: Listener) -> None:
        """Stops telling the listener."""
        with self._mutex:
            self._listeners.remove(listener)
            self._core.listen(bool(self._listeners.all))

    def pause(self) -> None:
        """Lets callers queue from now on, whatever is idle; their timeouts go on counting.

        Raises:
            PoolClosed: The pool is not open.
        """
        with self._mutex:
            self._core.refuse_unless_open()
            self._core.pause()
        self._collect()

    def resume(self) -> None:
        """Ends a pause and serves the queue."""
        with self._mutex:
            self._core.resume(self._clock())
        self._collect()

    def invalidate(self, exc: BaseException | None = None) -> None:
        """Makes every connection stale: idle ones are closed now, lent ones at their return.

        Args:
            exc: The error that made it necessary; shown as `last_error`.
        """
        with self._mutex:
            now = self._clock()
            if exc is not None:
                self._core.note_error(exc, now)
            self._core.invalidate(now)
        self._collect()

    def is_lost(self, exc: BaseException) -> bool:
        """Whether an error says that the server is gone."""
        try:
            return self._judge.is_disconnect(exc)
        except Exception:
            log.exception("is_disconnect of %s failed", self)
            return False

    def __repr__(self) -> str:
        core = self._core
        label = f" {self.name!r}" if self.name else ""
        return f"<{type(self).__name__}{label} {core.state}: {len(core.entries)} of {core.max_size} connections>"

    # -- what a lease asks ----------------------------------------------------------------------

    def discard_entry(self, entry: Entry[C], reason: str) -> None:
        """Ends a lease and closes its connection."""
        with self._mutex:
            if self._owns(entry):
                self._core.give_back(entry, self._clock(), reason)
        self._collect()

    def lose_entry(self, entry: Entry[C], exc: BaseException) -> None:
        """Ends a lease whose server is gone, and makes every connection stale that is not newer.

        When fifty statements fail at once, the first of them says all there is to say: connections that were opened
        since are good.
        """
        with self._mutex:
            now = self._clock()
            if self._owns(entry):
                self._core.note_error(exc, now)
                is_news = entry.generation == self._core.generation
                self._core.give_back(entry, now, "broken")
                if is_news:
                    self._core.invalidate(now)
        self._collect()

    def detach_entry(self, entry: Entry[C]) -> C:
        """Ends a lease and leaves the connection with the caller."""
        with self._mutex:
            if self._owns(entry):
                self._core.give_up(entry, self._clock())
        self._collect()
        return entry.conn

    def transfer_entry(self, entry: Entry[C]) -> None:
        """Makes the thread or task that runs now the holder of a lease."""
        try:
            with self._mutex:
                if self._owns(entry):
                    self._core.transfer(entry, self.current_owner())
        finally:
            self._collect()

    def orphan_entry(self, entry: Entry[C]) -> None:
        """Ends a lease that was garbage collected, perhaps while this very thread holds the lock: only noted here."""
        self._orphans.append(entry)
        warn_of_orphan(entry)
        self._poke()

    # -- flows ----------------------------------------------------------------------------------

    def _finish_acquire(
        self, entry: Entry[C] | None, timeout: Timeout, began: float, owner: object
    ) -> Flow[C, Entry[C]]:
        """The rest of an acquire that was not served at once: queue, wait, ping, and again."""
        core, clock = self._core, self._clock
        limit = self._limit(timeout)
        waiter: Waiter[C] | None = None
        if entry is None:
            waiter = self._new_waiter(owner)
            with self._mutex:
                core.queue(waiter, began)
            self._collect()
        while True:
            if waiter is not None and entry is None:
                entry = yield from self._wait(waiter, limit, began)
            assert entry is not None
            now = clock()
            with self._mutex:
                due = waiter is None or core.is_due(entry, now)
            if not due:
                break
            # A limit of 0 is for those who will not wait in the queue; a ping they must allow.
            left = max(began + limit - now, 0.001) if limit else NEVER
            try:
                yield Ping(entry.conn, min(self.config.validation_timeout, left))
                break
            except Exception as error:
                self._note_wrong_check(error)
                lost = self.is_lost(error)
                waiter = self._new_waiter(owner)
                waiter.since = began
                with self._mutex:
                    core.ping_failed(entry, waiter, clock(), error, lost=lost)
                entry = None
                self._collect()
            except BaseException:
                with self._mutex:
                    core.abandon_tested(entry, clock())
                self._collect()
                raise
        now = clock()
        with self._mutex:
            core.confirm(entry, now, now - began, queued=waiter is not None)
        self._collect()
        return entry

    def _wait(self, waiter: Waiter[C], limit: float | None, began: float) -> Flow[C, Entry[C]]:
        core, clock = self._core, self._clock
        try:
            if waiter.entry is None and waiter.error is None:
                yield Wait(waiter, None if limit is None else max(began + limit - clock(), 0.0))
        except BaseException:
            with self._mutex:
                if waiter.error is None:
                    core.abandon(waiter, clock(), "cancelled")
            self._collect()
            raise
        self._collect()
        with self._mutex:
            entry, error = waiter.entry, waiter.error
            if entry is not None:
                return entry
            reason = core.reason()
            if error is None:
                core.abandon(waiter, clock(), "timed_out")
        self._collect()
        if error is not None:
            raise again(error)
        raise self._timed_out(reason, clock() - began)

    def _open_one(self) -> Flow[C, None]:
        """Opens one connection that the core asked for."""
        began = self._clock()
        try:
            conn: C = yield Connect()
        except BaseException as error:
            self._open_failed(error)
            if isinstance(error, Exception):
                return
            raise
        if self._has_configure:
            try:
                yield Configure(conn)
            except Exception as error:
                self._open_failed(error, configured=False)
                yield Shut(conn)
                return
            except BaseException as error:
                self._open_failed(error, configured=False)
                self._drop_now(conn)
                raise
        now = self._clock()
        with self._mutex:
            self._core.opened(conn, now, now - began)
        self._collect()

    def _dedicated(self) -> Flow[C, C]:
        """Opens a configured connection for somebody who keeps it."""
        conn: C = yield Connect()
        if self._has_configure:
            try:
                yield Configure(conn)
            except BaseException:
                self._drop_now(conn)
                raise
        return conn

    def _check_all(self) -> Flow[C, CheckReport]:
        """Pings every idle connection."""
        with self._mutex:
            found = self._core.take_for_check()
        todo = deque(found)
        failed = 0
        try:
            while todo:
                good = yield from self._check_one(todo.popleft())
                failed += not good
        finally:
            for entry in todo:  # only after a cancellation, or Ctrl-C
                with self._mutex:
                    self._core.unchecked(entry, self._clock())
            self._collect()
        return CheckReport(len(found), failed)

    def _check_one(self, entry: Entry[C]) -> Flow[C, bool]:
        """Pings a connection that was taken out of the idle ones; gives whether it is good."""
        good = False
        try:
            yield Ping(entry.conn, self.config.validation_timeout)
            good = True
        except Exception as error:
            log.info("connection %s of %s did not answer and is closed: %s", entry.id, self, error_text(error))
        finally:
            with self._mutex:
                self._core.checked(entry, self._clock(), good=good)
            self._collect()
        return good

    def _become_ready(self, timeout: Timeout) -> Flow[C, None]:
        """Waits until `min_idle` connections are there."""
        limit, began = self._limit(timeout), self._clock()
        while True:
            watcher = self._new_waiter(None)
            with self._mutex:
                if self._is_ready(began):
                    return
                self._core.watch(watcher)
            left = None if limit is None else began + limit - self._clock()
            if left is not None and left <= 0:
                raise self._timed_out(self._core.reason(), self._clock() - began)
            yield Wait(watcher, left)

    def _empty(self, until: float, *, force: bool) -> Flow[C, CloseReport]:
        """Closes all connections: the idle ones now, the lent ones as they come back, what is left at that time."""
        core = self._core
        with self._mutex:
            if core.state == "new":
                core.state = "closed"
            core.stop(self._clock())
        self._collect()
        while True:
            watcher = self._new_waiter(None)
            with self._mutex:
                if core.is_empty():
                    break
                core.watch(watcher)
            left = until - self._clock()
            if left <= 0:
                break
            yield Wait(watcher, left)
        leftovers = tuple(self.leases())
        terminated = self._terminate_all() if force and leftovers else 0
        with self._mutex:
            core.finish()
        self._collect()
        return CloseReport(leftovers, terminated)

    def _open_failed(self, error: BaseException, *, configured: bool = True) -> None:
        fatal = isinstance(error, PoolConfigError) or (configured and self._is_fatal(error))
        with self._mutex:
            self._core.open_failed(error, self._clock(), fatal=fatal, configured=configured)
        self._collect()

    # -- what the shells offer in their own words -----------------------------------------------

    def _add(self, conn: C, is_broken: bool) -> None:
        if is_broken:
            raise ConnectionBroken("a broken connection cannot be added; it stays with you, in .connection", conn)
        with self._mutex:
            self._core.add(conn, self._clock())
        self._collect()

    def _drain(self) -> int:
        with self._mutex:
            count = self._core.drain(self._clock())
        self._collect()
        return count

    def _resize(self, max_size: int | None, min_idle: int | None) -> None:
        with self._mutex:
            self.config = config = self._limits(self.config.resized(max_size, min_idle))
            self._core.resize(self._clock(), config.max_size, config.min_idle)
        self._collect()

    # -- helpers --------------------------------------------------------------------------------

    def _limits(self, wanted: PoolConfig) -> PoolConfig:
        """The configuration in force when this one is wanted.

        Raises:
            PoolConfigError: A pool of this kind cannot be like that.
        """
        refuse_no_room(wanted)
        return wanted

    def _limit(self, timeout: Timeout) -> float | None:
        return self.config.connection_timeout if isinstance(timeout, DefaultTimeout) else timeout

    def _close_until(self, timeout: float | None) -> float:
        check_timeout(timeout)
        return self._clock() + (self.config.close_timeout if timeout is None else timeout)

    def _new_core(self) -> Core[C]:
        return Core(self.config, rng=self._rng, listening=bool(self._listeners.all), keeps=self._keeps)

    def _owns(self, entry: Entry[C]) -> bool:
        """Whether a returned entry is lent by this pool now. Called under the lock."""
        if entry.home is self._core.home and entry.state == LENT:
            return True
        if entry.home is self._core.home:
            raise DoubleRelease(f"connection {entry.id} is not lent at this moment: give each lease back once")
        if self._inherited:
            return False  # lent before a fork: it belongs to the parent process
        raise ForeignLease(f"connection {entry.id} was not lent by {self!r}: give a lease back to its own pool")

    def _is_ready(self, began: float) -> bool:
        """Whether `min_idle` is reached; raises when it never will be. Called under the lock."""
        core = self._core
        if len(core.idle) >= core.min_idle or core.state != "open":
            return True
        error = core.last_error
        if error is not None and (core.last_error_at or began) >= began and self._is_fatal(error):
            raise again(error)
        return False

    def _collect(self) -> None:
        """Performs what the core has asked for; the lock must not be held."""
        core = self._core
        while self._orphans:
            entry = self._orphans.popleft()
            with self._mutex:
                if core.entries.get(entry.id) is entry:  # else it was lent before a fork, by the parent
                    core.orphaned(entry, self._clock())
        while core.actions:
            with self._mutex:
                actions, core.actions = core.actions, []
            self._perform(actions)

    def _is_fatal(self, error: BaseException) -> bool:
        try:
            return self._judge.is_fatal(error)
        except Exception:
            log.exception("is_fatal of %s failed", self)
            return False

    def _books(self) -> Books:
        return self._core

    def _numbers(self) -> PoolStats:
        return self._core.stats()

    def forget_after_fork(self) -> None:
        """In a child process: starts with a fresh lock and nothing in it; the parent's sockets are never touched."""
        old = self._core
        self._mutex = RLock()
        self._inherited.append((old, self._orphans))
        self._orphans = deque()
        self._core = self._new_core()
        self._core.adopt_state(old.state if old.state in ("new", "open", "paused") else "closed")
        self._core.generation = old.generation + 1

    def __del__(self) -> None:
        # Dropped without close(): no thread or task of it is left, only what is idle.
        core: Core[C] | None = getattr(self, "_core", None)
        for entry in list(core.entries.values()) if core is not None else ():
            self._drop_now(entry.conn)

    # -- what a shell adds ----------------------------------------------------------------------

    def _perform(self, actions: list[Action[C]]) -> None:
        raise NotImplementedError

    def _new_waiter(self, owner: object) -> Waiter[C]:
        raise NotImplementedError

    def _terminate_all(self) -> int:
        raise NotImplementedError

    def _drop_now(self, conn: C) -> None:
        raise NotImplementedError

    def _poke(self) -> None:
        raise NotImplementedError


def _after_fork_in_child() -> None:
    for pool in list(_living):
        pool.forget_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
