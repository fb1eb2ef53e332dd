"""PostgreSQL through psycopg-pool, with the leases, numbers and errors of the generic pool.

psycopg-pool keeps, opens and replaces the connections. What it cannot tell is counted here: who holds which connection,
why one was closed, and the real error behind a connect that failed. When a connect can never succeed (a wrong password)
its pool is retired on the spot, which lets everybody in its queue fail at once; the next acquire starts a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
import time
import weakref
from bisect import bisect_left
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import fields
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import psycopg
import psycopg_pool

from datalayer._links.link import AsyncLink, Link
from datalayer._links.postgresql import AsyncPostgresLink, PostgresLink, cannot_connect, connect_arguments
from datalayer.errors import (
    ConnectionFailed,
    ConnectionLost,
    ForeignLease,
    PoolClosed,
    PoolConfigError,
    PoolDeadlock,
    PoolError,
    PoolTimeout,
    TooManyWaiting,
    WrongEventLoop,
)
from datalayer.pooling.async_pool import Acquiring, AsyncLease, Rest, in_time
from datalayer.pooling.config import PoolConfig
from datalayer.pooling.core import GONE, IDLE, LENT, NEVER, TESTING, Entry, State, Wakeable
from datalayer.pooling.events import (
    AcquireTimeout,
    CheckedIn,
    CheckedOut,
    ConnectFailed,
    ConnectionClosed,
    ConnectionOpened,
    Event,
    GenerationChanged,
    LeaseAbandoned,
)
from datalayer.pooling.flows import DEFAULT, Listener, Timeout, again, log, warn_of_orphan
from datalayer.pooling.pool import Lease, ThreadWaiter, describe_thread
from datalayer.pooling.stats import BUCKETS, CLOSE_REASONS, CloseReport, LeaseInfo, PoolStats

GIVE_UP_AFTER = 15.0
"""psycopg-pool doubles its pauses without end: after so long it is stopped, and asked again while somebody waits."""

L = TypeVar("L", bound="Link | AsyncLink")

# psycopg-pool logs each failed connect; without a handler Python would print that on stderr, beside our own error.
logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())

NOT_HONOURED = ("queue_strategy", "keepalive", "max_opening", "queue_target", "queue_interval", "fail_fast")
"""Options psycopg-pool has no place for; anything but their default is refused."""

FOR_EVER = 10 * 365 * 86400.0
"""What psycopg-pool is told where our configuration says None."""


class _Entry(Entry[L]):
    """A connection, the driver's own object, and the pool it lives in."""

    __slots__ = ("home", "raw", "reason")

    def __init__(self, link: L, raw: Any, id: int, now: float, expires: float, generation: int) -> None:
        super().__init__(link, id, now, expires, generation)
        self.raw = raw
        self.home: Any = None
        self.reason: str | None = None


def refuse_what_cannot_be_honoured(config: PoolConfig) -> None:
    """Raises when an option is set that psycopg-pool would silently ignore.

    Raises:
        PoolConfigError: There is one.
    """
    default = {one.name: one.default for one in fields(PoolConfig)}
    for name in NOT_HONOURED:
        if getattr(config, name) != default[name]:
            raise PoolConfigError(
                f"{name}={getattr(config, name)!r} is not possible with psycopg-pool: leave it out, "
                'or choose our own pool with pool = { implementation = "generic" }'
            )
    if config.max_waiting == 0:
        raise PoolConfigError(
            "max_waiting=0 is not possible with psycopg-pool, where it means no limit: use 1 or more, "
            'or choose our own pool with pool = { implementation = "generic" }'
        )
    if config.max_size < 1:
        raise PoolConfigError(f"max_size={config.max_size} is out of range: use 1 or more")


class _Adapter(Generic[L]):
    """What both shells share: counting, judging, and the errors."""

    def __init__(
        self,
        conninfo: str | Callable[[], str],
        *,
        alias: str,
        config: PoolConfig | None,
        transaction_pooling: bool,
        listeners: Sequence[Listener],
        clock: Callable[[], float],
    ) -> None:
        self.config = config if config is not None else PoolConfig()
        refuse_what_cannot_be_honoured(self.config)
        self.name = alias
        self._conninfo = conninfo
        self._transaction_pooling = transaction_pooling
        self._listeners = tuple(listeners)
        self._clock = clock
        self._bypass = self.config.test_bypass if self.config.test_on_check_out else NEVER
        self._inherited: list[object] = []
        self._start_afresh("new")
        _living.add(self)

    def _start_afresh(self, state: State) -> None:
        self._mutex = threading.Lock()
        self._state: State = state
        self._entries: dict[int, _Entry[L]] = {}
        self._watchers: list[Wakeable] = []
        self._home: Any = None
        self._generation = 0
        self._next_id = 0
        self._lent = 0
        self._waiting: dict[object, int] = {}
        self._refusal: ConnectionFailed | None = None
        self._failures = 0
        self._retry_at = -NEVER
        self._failing = False
        self._last_error: BaseException | None = None
        self._last_error_at: float | None = None
        self._clear_counters()

    def _clear_counters(self) -> None:
        self._counts = dict.fromkeys(
            ("started", "immediate", "waited", "timed_out", "cancelled", "rejected", "failed", "returns", "opened",
             "connect_errors", "pings", "ping_failures", "leaks", "deadlocks"), 0,
        )  # fmt: skip
        self._counts["started"] = sum(self._waiting.values())
        self._counts["opened"] = len(self._entries)
        self._closed_by = dict.fromkeys(CLOSE_REASONS, 0)
        self._times = dict.fromkeys(("wait", "use", "open"), 0.0)
        self._longest = dict.fromkeys(("wait", "use", "open"), 0.0)
        self._wait_histogram = [0] * (len(BUCKETS) + 1)
        self._use_histogram = [0] * (len(BUCKETS) + 1)
        self._peak_in_use = self._lent
        self._peak_waiting = sum(self._waiting.values())

    # -- what a user asks -----------------------------------------------------------------------

    @property
    def state(self) -> State:
        """`new`, `open`, `closing` or `closed`."""
        return self._state

    @property
    def closed(self) -> bool:
        """Whether the pool is closed, or being closed."""
        return self._state in ("closing", "closed")

    def stats(self, *, reset: bool = False) -> PoolStats:
        """All numbers of the pool at one moment.

        Args:
            reset: Start the counters again afterwards.
        """
        home = self._home
        expected = int(home.get_stats().get("pool_size", 0)) if home is not None and not home.closed else 0
        with self._mutex:
            counts, size = self._counts, len(self._entries)
            found = PoolStats(
                state=self._state, size=size, idle=size - self._lent, in_use=self._lent,
                opening=min(max(expected - size, 0), max(self.config.max_size - size, 0)),
                waiting=sum(self._waiting.values()), max_size=self.config.max_size, min_idle=self.config.min_idle,
                generation=self._generation, peak_in_use=self._peak_in_use, peak_waiting=self._peak_waiting,
                acquires_started=counts["started"], acquires_immediate=counts["immediate"],
                acquires_waited=counts["waited"], acquires_timed_out=counts["timed_out"],
                acquires_cancelled=counts["cancelled"], acquires_rejected=counts["rejected"],
                acquires_failed=counts["failed"], returns=counts["returns"], connections_opened=counts["opened"],
                connect_errors=counts["connect_errors"], pings=counts["pings"], ping_failures=counts["ping_failures"],
                leaks=counts["leaks"], deadlocks=counts["deadlocks"],
                wait_time_total=self._times["wait"], wait_time_max=self._longest["wait"],
                usage_time_total=self._times["use"], usage_time_max=self._longest["use"],
                open_time_total=self._times["open"], open_time_max=self._longest["open"],
                wait_histogram=tuple(self._wait_histogram), usage_histogram=tuple(self._use_histogram),
                last_error=self._last_error, last_error_at=self._last_error_at,
                **{f"closed_{reason}": count for reason, count in self._closed_by.items()},
            )  # fmt: skip
            if reset:
                self._clear_counters()
        return found

    def leases(self) -> list[LeaseInfo]:
        """Who holds a connection at this moment."""
        now = self._clock()
        with self._mutex:
            lent = [(one.id, now - one.since, one.owner) for one in self._entries.values() if one.state == LENT]
        return [LeaseInfo(id, held, *self._describe(owner)) for id, held, owner in lent]

    def now(self) -> float:
        """The pool's clock."""
        return self._clock()

    def is_lost(self, exc: BaseException) -> bool:
        """Whether an error says that the server is gone."""
        return isinstance(exc, ConnectionLost | ConnectionFailed)

    def invalidate(self, exc: BaseException | None = None) -> None:
        """Makes every connection stale: idle ones are replaced now, lent ones at their return."""
        with self._mutex:
            if exc is not None:
                self._last_error, self._last_error_at = exc, self._clock()
            self._generation += 1
            generation = self._generation
        self._tell(GenerationChanged(generation))
        self._drain()

    def detach_entry(self, entry: Entry[L]) -> L:
        """Not possible here: psycopg-pool counts a connection as its own until it is closed."""
        self.discard_entry(entry, "discarded")
        raise PoolError(
            "a connection of psycopg-pool cannot be detached: connect with psycopg itself, "
            'or choose our own pool with pool = { implementation = "generic" }'
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self._state}: {len(self._entries)} of {self.config.max_size}>"

    # -- what happens to connections, reported by the connection classes ------------------------

    def connected(self, link: L, raw: Any, took: float) -> None:
        """A connection was made."""
        now = self._clock()
        with self._mutex:
            self._next_id += 1
            life = self.config.max_lifetime
            expires = NEVER if life is None else now + life
            entry = _Entry(link, raw, self._next_id, now, expires, self._generation)
            self._entries[id(raw)] = entry
            self._counts["opened"] += 1
            self._count_time("open", took)
            self._refusal, self._failing, self._failures = None, False, 0
        self._tell(ConnectionOpened(entry.id, took))
        self._settle()

    def connect_failed(self, error: ConnectionFailed) -> None:
        """A connection could not be made; one that never can be ends the wait of everybody at once."""
        with self._mutex:
            now = self._clock()
            self._counts["connect_errors"] += 1
            self._failures += 1
            self._last_error, self._last_error_at, self._failing = error, now, True
            pause = min(self.config.backoff_initial * 2.0 ** min(self._failures - 1, 60), self.config.backoff_max)
            hopeless = error.is_fatal or not self.config.retry_connection
            retired = None
            if hopeless and not self._entries and self._state == "open":
                self._refusal, self._retry_at = error, now + pause
                retired, self._home = self._home, None
        self._tell(ConnectFailed(error, self._failures, pause))
        if retired is not None:
            self._retire(retired)
        self._settle()

    def gave_up(self, home: Any) -> None:
        """psycopg-pool has stopped trying to connect: those who still wait are moved to a new pool of its kind."""
        with self._mutex:
            if self._home is not home or self._entries or not self._waiting or self._state != "open":
                return
            self._home = None
        self._retire(home)

    def closed_one(self, raw: Any) -> None:
        """A connection is being closed, by whomever."""
        with self._mutex:
            entry = self._entries.pop(id(raw), None)
            if entry is None:
                return
            if entry.state == LENT:
                reason = entry.reason or "broken"
            elif self._state != "open":
                reason = "pool_closed"
            elif entry.generation != self._generation:
                reason = "stale"
            else:
                reason = entry.reason or ("lifetime" if entry.state == TESTING else "idle")
            self._closed_by[reason] += 1
            entry.state = GONE
        self._tell(ConnectionClosed(entry.id, reason, self._clock() - entry.born, entry.uses))
        self._settle()

    # -- steps of acquire and release -----------------------------------------------------------

    def _begin(self, owner: object, *, first: bool) -> tuple[Any, bool]:
        """Begins an acquire: gives the pool to ask, and whether something is idle."""
        if self._state == "new":
            self._state = "open"
        with self._mutex:
            if self._state != "open":
                if not first:
                    self._leave(owner, "failed")
                raise PoolClosed("the pool is being closed" if self._state == "closing" else "the pool is closed")
            if first:
                self._counts["started"] += 1
                self._waiting[owner] = self._waiting.get(owner, 0) + 1
                self._peak_waiting = max(self._peak_waiting, sum(self._waiting.values()))
                self._look_for_deadlock(owner)
            refusal = self._refusal
            if refusal is not None and self._clock() < self._retry_at:
                self._leave(owner, "failed")
                raise again(refusal)
            if self._home is None:
                self._home = self._new_home()
            return self._home, len(self._entries) > self._lent

    def _leave(self, owner: object, outcome: str) -> None:
        """Ends an acquire. Called under the lock."""
        self._counts[outcome] += 1
        left = self._waiting[owner] - 1
        if left:
            self._waiting[owner] = left
        else:
            del self._waiting[owner]

    def _look_for_deadlock(self, owner: object) -> None:
        if self.config.on_deadlock == "ignore" or self._lent < self.config.max_size:
            return
        if any(one.owner not in self._waiting for one in self._entries.values() if one.state == LENT):
            return
        self._counts["deadlocks"] += 1
        if self.config.on_deadlock == "raise":
            self._leave(owner, "rejected")
            raise PoolDeadlock(
                f"all {self._lent} connections are held by callers who wait for another one of the same pool, "
                "this one included: use the connection you hold, or raise max_size"
            )

    def _end(self, raw: Any, home: Any, owner: object, began: float, *, immediate: bool) -> _Entry[L]:
        """Ends an acquire: the connection is lent."""
        now = self._clock()
        with self._mutex:
            entry = self._entries[id(raw)]
            self._leave(owner, "immediate" if immediate else "waited")
            entry.home, entry.owner, entry.since, entry.state, entry.fresh = home, owner, now, LENT, False
            entry.uses += 1
            self._lent += 1
            self._peak_in_use = max(self._peak_in_use, self._lent)
            if not immediate:
                self._count_time("wait", now - began)
                self._wait_histogram[bisect_left(BUCKETS, now - began)] += 1
        self._tell(CheckedOut(entry.id, now - began))
        return entry

    def _refused(self, error: BaseException, owner: object, began: float) -> BaseException | None:
        """Ends an acquire that psycopg-pool refused: gives the error to raise, None to try again."""
        waited = self._clock() - began
        if isinstance(error, psycopg_pool.PoolTimeout):
            with self._mutex:
                self._leave(owner, "timed_out")
                self._count_time("wait", waited)
            return self._timed_out(waited)
        with self._mutex:
            if isinstance(error, psycopg_pool.PoolClosed):
                if self._state == "open" and self._refusal is None:
                    return None  # its pool was retired, and the reason is gone already
                self._leave(owner, "failed")
                if self._state == "open" and self._refusal is not None:
                    return again(self._refusal)
                return PoolClosed("the pool was closed while this caller waited for a connection")
            if isinstance(error, psycopg_pool.TooManyRequests):
                self._leave(owner, "rejected")
                return TooManyWaiting(
                    f"too many callers wait for a connection already, max_waiting is {self.config.max_waiting}: "
                    "raise max_size or max_waiting, or hold connections for a shorter time"
                )
            self._leave(owner, "failed" if isinstance(error, Exception) else "cancelled")
        return error

    def _timed_out(self, waited: float) -> PoolTimeout:
        stats = self.stats()
        cause = self._last_error if self._failing else None
        reason = "unavailable" if cause else "exhausted" if stats.in_use >= stats.max_size else "connecting"
        why = {
            "unavailable": f"the last attempt to connect failed: {cause}",
            "exhausted": f"all {stats.in_use} of max_size={stats.max_size} are lent out; raise max_size, or hold "
            "connections for a shorter time",
            "connecting": "the database is slow to accept a connection",
        }
        error = PoolTimeout(
            f"no connection of pool {self.name!r} was to be had in {waited:.3f} s ({reason}): {why[reason]}",
            reason=reason, waited=waited, stats=stats, holders=tuple(str(one) for one in self.leases()),
        )  # fmt: skip
        error.__cause__ = cause
        self._tell(AcquireTimeout(waited, reason))
        return error

    def _needs_ping(self, raw: Any) -> tuple[_Entry[L] | None, bool]:
        """Whether a connection is to be pinged before it is lent; counts the ping."""
        now = self._clock()
        with self._mutex:
            entry = self._entries.get(id(raw))
            if entry is None:
                return None, False
            due = not entry.fresh and now - entry.since >= self._bypass
            if due:
                self._counts["pings"] += 1
            return entry, due

    def _is_stale(self, entry: _Entry[L]) -> bool:
        if entry.expires <= self._clock():
            entry.reason = "lifetime"
            return True
        return entry.generation != self._generation

    def _ping_failed(self, entry: _Entry[L], error: BaseException) -> bool:
        """Notes a failed ping; gives whether all connections are stale now."""
        with self._mutex:
            self._counts["ping_failures"] += 1
            self._last_error, self._last_error_at = error, self._clock()
            entry.reason = "invalid"
            lost = self.is_lost(error) and entry.generation == self._generation
            entry.generation = self._generation
        return lost

    def _take_back(self, entry: Entry[L], drop: str | None) -> tuple[Any, Any, bool] | None:
        """Ends a lease: gives the connection, its pool and whether to close it; None when it is not ours to touch."""
        now = self._clock()
        with self._mutex:
            if not isinstance(entry, _Entry) or self._entries.get(id(entry.raw)) is not entry or entry.state != LENT:
                if isinstance(entry, _Entry) and (self._inherited or entry.state in (GONE, LENT)):
                    if entry.state == LENT and not self._inherited:
                        raise ForeignLease(f"connection {entry.id} was not lent by {self!r}")
                    if entry.state == LENT:
                        return None  # lent before a fork: it belongs to the parent process
                else:
                    raise ForeignLease(f"connection {entry.id} was not lent by {self!r}")
            used = now - entry.since
            self._lent -= 1
            self._counts["returns"] += 1
            self._count_time("use", used)
            self._use_histogram[bisect_left(BUCKETS, used)] += 1
            entry.owner = None
            if drop is None and entry.uses >= (self.config.max_uses or NEVER):
                drop = "max_uses"
            if drop is None and entry.generation != self._generation:
                drop = "stale"
            entry.since = now
            entry.reason = drop
            if entry.state != GONE:
                entry.state = TESTING
        self._tell(CheckedIn(entry.id, used))
        return entry.raw, entry.home, drop is not None

    def _settled(self, entry: Entry[L]) -> None:
        if entry.state == TESTING:
            entry.state = IDLE
        self._settle()

    def _is_ready(self, began: float) -> bool:
        with self._mutex:
            if len(self._entries) >= self.config.min_idle or self._state != "open":
                return True
            if self._refusal is not None and (self._last_error_at or began) >= began:
                raise again(self._refusal)
        return False

    # -- helpers --------------------------------------------------------------------------------

    def _text(self) -> str:
        return self._conninfo if isinstance(self._conninfo, str) else self._conninfo()

    def _arguments(self) -> tuple[str, dict[str, Any]]:
        return connect_arguments(
            self._text(),
            alias=self.name,
            connect_timeout=self.config.connect_timeout,
            transaction_pooling=self._transaction_pooling,
        )

    def _options(self) -> dict[str, Any]:
        config = self.config
        return {
            "kwargs": lambda: self._arguments()[1],
            "min_size": config.min_idle,
            "max_size": config.max_size,
            "open": False,
            "name": self.name,
            "timeout": FOR_EVER if config.connection_timeout is None else config.connection_timeout,
            "max_waiting": config.max_waiting or 0,
            "max_lifetime": config.max_lifetime or FOR_EVER,
            "max_idle": config.idle_timeout or FOR_EVER,
            "reconnect_timeout": GIVE_UP_AFTER,
        }

    def _limit(self, timeout: Timeout) -> float:
        chosen = timeout if isinstance(timeout, float | int | None) else self.config.connection_timeout
        # psycopg-pool serves nothing at 0, not even what is idle.
        return FOR_EVER if chosen is None else max(chosen, 0.001)

    def _count_time(self, what: str, seconds: float) -> None:
        self._times[what] += seconds
        self._longest[what] = max(self._longest[what], seconds)

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                log.exception("a listener of %s failed on %s", self, event)

    def _settle(self) -> None:
        if self._watchers:
            with self._mutex:
                watchers, self._watchers = self._watchers, []
            for watcher in watchers:
                watcher.wake()

    def _forget_after_fork(self) -> None:
        # The parent's sockets stay referenced and are never closed: closing would end the parent's sessions.
        self._inherited.append((self._home, self._entries))
        generation = self._generation + 1
        self._start_afresh("open" if self._state == "open" else self._state)
        self._generation = generation

    # -- what a shell adds ----------------------------------------------------------------------

    def _new_home(self) -> Any:
        raise NotImplementedError

    def _retire(self, home: Any) -> None:
        raise NotImplementedError

    def _drain(self) -> None:
        raise NotImplementedError

    def _describe(self, owner: object) -> tuple[str, str]:
        raise NotImplementedError

    def discard_entry(self, entry: Entry[L], reason: str) -> None:
        """Ends a lease and closes its connection."""
        raise NotImplementedError


_living: weakref.WeakSet[_Adapter[Any]] = weakref.WeakSet()


def _forget_all_after_fork() -> None:
    for adapter in list(_living):
        adapter._forget_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all_after_fork)


class PsycopgPool(_Adapter[PostgresLink]):
    """Blocking pool of one PostgreSQL database, on `psycopg_pool.ConnectionPool`.

    Args:
        conninfo: A URL or conninfo string, or a function that gives one for each new connection.
        alias: The alias of the database.
        config: The limits; options psycopg-pool has no place for are refused.
        transaction_pooling: Whether a pooler such as PgBouncer stands between.
        listeners: Called with every event.
        clock: The source of time.

    Raises:
        PoolConfigError: An option is set that cannot be honoured.
    """

    def __init__(
        self,
        conninfo: str | Callable[[], str],
        *,
        alias: str = "default",
        config: PoolConfig | None = None,
        transaction_pooling: bool = False,
        listeners: Sequence[Listener] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._retiring: list[threading.Thread] = []
        super().__init__(
            conninfo, alias=alias, config=config, transaction_pooling=transaction_pooling, listeners=listeners,
            clock=clock,
        )  # fmt: skip

    def open(self, *, wait: bool = False, timeout: float | None = None) -> Self:
        """Opens the pool; with `wait`, returns only when `min_idle` connections, at least one, could be made.

        Raises:
            ConnectionFailed: The server refused, and trying again cannot help.
            PoolTimeout: They were not there in time; the pool stays open and goes on trying.
        """
        with self._mutex:
            if self._state in ("new", "closed"):
                self._state = "open"
            if self._home is None:
                self._home = self._new_home()
        if wait:
            self.wait_ready(DEFAULT if timeout is None else timeout)
        return self

    def wait_ready(self, timeout: Timeout = DEFAULT) -> None:
        """Waits until `min_idle` connections, at least one, are there."""
        if not self.config.min_idle:
            self.acquire(timeout).release()
            return
        began = self._clock()
        until = began + self._limit(timeout)
        while True:
            watcher: ThreadWaiter[Any] = ThreadWaiter(None)
            with self._mutex:
                self._watchers.append(watcher)
            if self._is_ready(began):
                return
            if until <= self._clock():
                raise self._timed_out(self._clock() - began)
            watcher.wait(until - self._clock())

    def close(self, timeout: float | None = None, *, force: bool = True) -> CloseReport:
        """Closes the pool: fails the queue, closes what is idle, waits for what is lent.

        Args:
            timeout: How long to wait for lent connections; `close_timeout` when not given.
            force: Whether those still out then are closed under their holders.
        """
        until = self._clock() + (self.config.close_timeout if timeout is None else timeout)
        with self._mutex:
            home, self._home = self._home, None
            retiring, self._retiring = self._retiring, []
            self._state = "closing"
        if home is not None:
            home.close(timeout=max(until - self._clock(), 0.5))
        for thread in retiring:
            thread.join(max(until - self._clock(), 0.5))
        while True:
            watcher: ThreadWaiter[Any] = ThreadWaiter(None)
            with self._mutex:
                if not self._entries or until <= self._clock():
                    break
                self._watchers.append(watcher)
            watcher.wait(until - self._clock())
        leftovers = tuple(self.leases())
        with self._mutex:
            self._state = "closed"
        if force and leftovers:
            for entry in list(self._entries.values()):
                entry.reason = "pool_closed"
                entry.raw.close()
        return CloseReport(leftovers, len(leftovers) if force else 0)

    def acquire(self, timeout: Timeout = DEFAULT) -> Lease[PostgresLink]:
        """Lends a connection, as `Pool.acquire` does.

        Raises:
            ConnectionFailed: The server refused, and trying again cannot help.
            PoolTimeout: None was to be had in time.
            PoolClosed: The pool is closed.
            TooManyWaiting: The queue is full.
            PoolDeadlock: Everybody who holds a connection waits for another one.
        """
        owner = threading.get_ident()
        began = self._clock()
        limit = self._limit(timeout)
        home, immediate = self._begin(owner, first=True)
        while True:
            try:
                raw = home.getconn(max(limit - (self._clock() - began), 0.001))
                break
            except BaseException as error:
                refused = self._refused(error, owner, began)
                if refused is error:
                    raise
                if refused is not None:
                    raise refused from refused.__cause__ or error
            home, _ = self._begin(owner, first=False)
            immediate = False
        return Lease(self, self._end(raw, home, owner, began, immediate=immediate))

    def release_entry(self, entry: Entry[PostgresLink]) -> None:
        """Ends a lease: cleans the connection, and keeps or closes it."""
        link = entry.conn
        drop: str | None = None
        try:
            if link.is_broken:
                drop = "broken"
            else:
                link.reset()
        except Exception as error:
            drop = "reset_failed"
            log.warning("connection %s of %s could not be reset and was thrown away: %s", entry.id, self, error)
        except BaseException:
            self.discard_entry(entry, "reset_failed")
            raise
        self._give_back(entry, drop)

    def discard_entry(self, entry: Entry[PostgresLink], reason: str) -> None:
        """Ends a lease and closes its connection."""
        self._give_back(entry, reason)

    def orphan_entry(self, entry: Entry[PostgresLink]) -> None:
        """Ends a lease that was garbage collected, perhaps while this thread holds a lock: another thread does it."""
        warn_of_orphan(entry)
        threading.Thread(target=self._bury, args=(entry,), name=f"datalayer-pool-{self.name}-leak", daemon=True).start()

    def _bury(self, entry: Entry[PostgresLink]) -> None:
        with self._mutex:
            self._counts["leaks"] += 1
        self._tell(LeaseAbandoned(entry.id, self._clock() - entry.since))
        with contextlib.suppress(PoolError):
            self._give_back(entry, "abandoned")

    def _give_back(self, entry: Entry[PostgresLink], drop: str | None) -> None:
        found = self._take_back(entry, drop)
        if found is None:
            return
        raw, home, is_unusable = found
        if is_unusable:
            raw.close()
        home.putconn(raw)
        self._settled(entry)

    def _new_home(self) -> psycopg_pool.ConnectionPool[psycopg.Connection[Any]]:
        home = psycopg_pool.ConnectionPool(
            lambda: self._arguments()[0],
            connection_class=_connection_class(weakref.ref(self), self.name),
            check=self._check,
            reconnect_failed=self.gave_up,
            **self._options(),
        )
        home.open()
        return home

    def _check(self, raw: psycopg.Connection[Any]) -> None:
        entry, due = self._needs_ping(raw)
        if entry is None:
            return
        if self._is_stale(entry):
            raw.close()
            raise psycopg.OperationalError("the connection is too old")
        if not due:
            return
        try:
            entry.conn.ping()
        except Exception as error:
            if self._ping_failed(entry, error):
                self.invalidate(error)
            raw.close()
            raise

    def _retire(self, home: Any) -> None:
        # Not by this thread: it is a worker of that pool, which waits for its workers when it is closed.
        thread = threading.Thread(target=home.close, name=f"datalayer-pool-{self.name}-retire", daemon=True)
        with self._mutex:
            self._retiring = [one for one in self._retiring if one.is_alive()]
            self._retiring.append(thread)
        thread.start()

    def _drain(self) -> None:
        home = self._home
        if home is not None and not home.closed:
            home.drain()

    def _describe(self, owner: object) -> tuple[str, str]:
        return describe_thread(owner)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class AsyncPsycopgPool(_Adapter[AsyncPostgresLink]):
    """Awaiting pool of one PostgreSQL database, on `psycopg_pool.AsyncConnectionPool`; the twin of `PsycopgPool`."""

    def __init__(
        self,
        conninfo: str | Callable[[], str],
        *,
        alias: str = "default",
        config: PoolConfig | None = None,
        transaction_pooling: bool = False,
        listeners: Sequence[Listener] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        super().__init__(
            conninfo, alias=alias, config=config, transaction_pooling=transaction_pooling, listeners=listeners,
            clock=clock,
        )  # fmt: skip

    async def open(self, *, wait: bool = False, timeout: float | None = None) -> Self:
        """The twin of `PsycopgPool.open`."""
        self._check_loop()
        with self._mutex:
            if self._state in ("new", "closed"):
                self._state = "open"
            if self._home is None:
                self._home = self._new_home()
            home = self._home
        await home.open()
        if wait:
            await self.wait_ready(DEFAULT if timeout is None else timeout)
        return self

    async def wait_ready(self, timeout: Timeout = DEFAULT) -> None:
        """The twin of `PsycopgPool.wait_ready`."""
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
                raise self._timed_out(self._clock() - began)
            await watcher.wait(until - self._clock())

    async def close(self, timeout: float | None = None, *, force: bool = True) -> CloseReport:
        """The twin of `PsycopgPool.close`."""
        if self._loop is not None:
            self._check_loop()
        until = self._clock() + (self.config.close_timeout if timeout is None else timeout)
        with self._mutex:
            home, self._home = self._home, None
            self._state = "closing"
        if home is not None:
            await home.close(timeout=max(until - self._clock(), 0.5))
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(until - self._clock(), 0.5))
        while True:
            watcher = _Bell()
            with self._mutex:
                if not self._entries or until <= self._clock():
                    break
                self._watchers.append(watcher)
            await watcher.wait(until - self._clock())
        leftovers = tuple(self.leases())
        with self._mutex:
            self._state = "closed"
        if force and leftovers:
            self._terminate_all()
        return CloseReport(leftovers, len(leftovers) if force else 0)

    def acquire(self, timeout: Timeout = DEFAULT) -> Acquiring[AsyncPostgresLink]:
        """The twin of `PsycopgPool.acquire`: `await` it for the lease, `async with` it for the connection."""
        return Acquiring(self, timeout)

    async def acquire_lease(self, timeout: Timeout) -> AsyncLease[AsyncPostgresLink]:
        """What awaiting `acquire` does."""
        self._check_loop()
        owner = asyncio.current_task()
        began = self._clock()
        limit = self._limit(timeout)
        home, immediate = self._begin(owner, first=True)
        while True:
            try:
                if home.closed:
                    await home.open()
                raw = await self._getconn(home, max(limit - (self._clock() - began), 0.001))
                break
            except BaseException as error:
                refused = self._refused(error, owner, began)
                if refused is error:
                    raise
                if refused is not None:
                    raise refused from refused.__cause__ or error
            home, _ = self._begin(owner, first=False)
            immediate = False
        return AsyncLease(self, self._end(raw, home, owner, began, immediate=immediate))

    async def release_entry(self, entry: Entry[AsyncPostgresLink]) -> None:
        """Ends a lease: cleans the connection, and keeps or closes it."""
        link = entry.conn
        drop: str | None = None
        try:
            if link.is_broken:
                drop = "broken"
            else:
                await in_time(link.reset(), self.config.reset_timeout)
        except Exception as error:
            drop = "reset_failed"
            log.warning("connection %s of %s could not be reset and was thrown away: %s", entry.id, self, error)
        except BaseException:
            self.discard_entry(entry, "reset_failed")
            raise
        found = self._take_back(entry, drop)
        if found is not None:
            putting = self._put(entry, *found)
            try:
                step = putting.send(None)
            except StopIteration:
                return
            # It has to wait. Shielded: a connection that is half given back would be lost to the pool.
            await asyncio.shield(self._spawn(_finish(putting, step)))

    def discard_entry(self, entry: Entry[AsyncPostgresLink], reason: str) -> None:
        """Ends a lease; its connection is closed by a task of the pool."""
        found = self._take_back(entry, reason)
        if found is not None:
            self._later(lambda: self._put(entry, *found))

    def orphan_entry(self, entry: Entry[AsyncPostgresLink]) -> None:
        """Ends a lease that was garbage collected, perhaps while this thread holds a lock: the loop does it later."""
        warn_of_orphan(entry)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._bury, entry)

    def abandon(self) -> None:
        """Drops every connection without awaiting anything and ends closed: for a loop that is gone."""
        self._state = "closed"
        self._terminate_all()
        self._home = None
        self._loop = None
        self._tasks = set()

    def _bury(self, entry: Entry[AsyncPostgresLink]) -> None:
        with self._mutex:
            self._counts["leaks"] += 1
        self._tell(LeaseAbandoned(entry.id, self._clock() - entry.since))
        with contextlib.suppress(PoolError):
            self.discard_entry(entry, "abandoned")

    async def _put(self, entry: Entry[AsyncPostgresLink], raw: Any, home: Any, is_unusable: bool) -> None:
        if is_unusable:
            await raw.close()
        await home.putconn(raw)
        self._settled(entry)

    async def _getconn(self, home: Any, timeout: float) -> Any:
        if sys.version_info >= (3, 12):
            return await home.getconn(timeout)
        # Before 3.12 a wait with a timeout may lose what arrives together with a cancellation: a task of the pool's
        # own does the waiting, and what it gets for nobody is given back.
        task = self._spawn(home.getconn(timeout))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(lambda done: self._give_back_late(done, home))
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

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None and not self._loop.is_closed() and self._entries:
            raise WrongEventLoop(
                f"{self!r} belongs to another event loop: a connection cannot be awaited in two loops; "
                "make one pool for each loop, or close this one first"
            )
        if self._loop is not None:
            state = self._state
            self.abandon()
            self._state = state
        self._loop = loop

    def _new_home(self) -> psycopg_pool.AsyncConnectionPool[psycopg.AsyncConnection[Any]]:
        async def conninfo() -> str:
            return self._arguments()[0]

        async def gave_up(home: Any) -> None:
            self.gave_up(home)

        return psycopg_pool.AsyncConnectionPool(
            conninfo,
            connection_class=_async_connection_class(weakref.ref(self), self.name),
            check=self._check,
            reconnect_failed=gave_up,
            **self._options(),
        )

    async def _check(self, raw: psycopg.AsyncConnection[Any]) -> None:
        entry, due = self._needs_ping(raw)
        if entry is None:
            return
        if self._is_stale(entry):
            await raw.close()
            raise psycopg.OperationalError("the connection is too old")
        if not due:
            return
        try:
            async with asyncio.timeout(self.config.validation_timeout):
                await entry.conn.ping()
        except Exception as error:
            if self._ping_failed(entry, error):
                self.invalidate(error)
            await raw.close()
            raise
        except BaseException:
            entry.reason = "invalid"
            await raw.close()
            raise

    def _retire(self, home: Any) -> None:
        self._later(home.close)

    def _drain(self) -> None:
        home = self._home
        if home is not None and not home.closed:
            self._later(home.drain)

    def _terminate_all(self) -> None:
        for entry in list(self._entries.values()):
            entry.reason = "pool_closed"
            self.closed_one(entry.raw)
            entry.conn.terminate()

    def _describe(self, owner: object) -> tuple[str, str]:
        if not isinstance(owner, asyncio.Task):
            return "nobody known", ""
        stack = owner.get_stack(limit=1)
        where = f", now at {stack[0].f_code.co_filename}:{stack[0].f_lineno}" if stack else ""
        return f"task {owner.get_name()!r}", where

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()


async def _finish(coroutine: Coroutine[Any, Any, None], waits_for: Any) -> None:
    await Rest(coroutine, waits_for)


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


def _failure(error: psycopg.Error, conninfo: str, alias: str) -> ConnectionFailed:
    failed = cannot_connect(error, conninfo, alias)
    failed.__cause__ = error
    return failed


def _connection_class(ref: weakref.ref[PsycopgPool], alias: str) -> type[psycopg.Connection[Any]]:
    """A connection class that reports to its pool: the only way to see what happens inside psycopg-pool."""

    class PooledConnection(psycopg.Connection[Any]):
        @classmethod
        def connect(cls, conninfo: str = "", **options: Any) -> Any:
            began = time.monotonic()
            try:
                raw = super().connect(conninfo, **options)
            except psycopg.Error as error:
                if (adapter := ref()) is not None:
                    adapter.connect_failed(_failure(error, conninfo, alias))
                raise
            if (adapter := ref()) is not None:
                adapter.connected(PostgresLink(raw, alias=alias), raw, time.monotonic() - began)
            return raw

        def close(self) -> None:
            if (adapter := ref()) is not None:
                adapter.closed_one(self)
            super().close()

    return PooledConnection


def _async_connection_class(ref: weakref.ref[AsyncPsycopgPool], alias: str) -> type[psycopg.AsyncConnection[Any]]:
    """The twin of `_connection_class`."""

    class PooledAsyncConnection(psycopg.AsyncConnection[Any]):
        @classmethod
        async def connect(cls, conninfo: str = "", **options: Any) -> Any:
            began = time.monotonic()
            try:
                raw = await super().connect(conninfo, **options)
            except psycopg.Error as error:
                if (adapter := ref()) is not None:
                    adapter.connect_failed(_failure(error, conninfo, alias))
                raise
            if (adapter := ref()) is not None:
                adapter.connected(AsyncPostgresLink(raw, alias=alias), raw, time.monotonic() - began)
            return raw

        async def close(self) -> None:
            if (adapter := ref()) is not None:
                adapter.closed_one(self)
            await super().close()

    return PooledAsyncConnection
