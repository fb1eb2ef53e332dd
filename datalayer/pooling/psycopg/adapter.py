"""What the two shells over psycopg-pool share: its errors in our words, and what becomes of a connection.

psycopg-pool keeps, opens and replaces the connections; the ledger counts what it cannot tell. Testing a connection
before it is lent is done here, not by its `check` callback: a connection that fails is closed and the next one asked
for at once, where psycopg-pool would pause for a second after each.

When a connect can never succeed (a wrong password) everybody in the queue of psycopg-pool is turned away on the spot,
and asks again here, to be told why. All failures are tried again by our own pauses: see `gate`.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

import psycopg_pool

from datalayer._links.link import AsyncLink, Link
from datalayer._links.postgresql import connect_arguments
from datalayer.errors import (
    DoubleRelease,
    ForeignLease,
    PoolClosed,
    PoolConfigError,
    PoolDeadlock,
    PoolError,
    PoolTimeout,
    TooManyWaiting,
)
from datalayer.pooling.arguments import check_sources
from datalayer.pooling.config import PoolConfig, chosen
from datalayer.pooling.entry import GONE, LENT, NEVER, Entry, State, Wakeable
from datalayer.pooling.events import (
    AcquireRejected,
    AcquireTimeout,
    Available,
    CheckedIn,
    CheckedOut,
    ConnectFailed,
    ConnectionClosed,
    ConnectionOpened,
    DeadlockDetected,
    GenerationChanged,
    Listener,
    Resized,
    StateChanged,
    Unavailable,
)
from datalayer.pooling.explain import Site, again, borrowed_at, explain_deadlock, explain_full_queue
from datalayer.pooling.links import LinkJudge
from datalayer.pooling.psycopg.connections import Pooled
from datalayer.pooling.psycopg.gate import AsyncGate, Gate, NotWanted
from datalayer.pooling.psycopg.ledger import Ledger, RawEntry
from datalayer.pooling.psycopg.options import FOR_EVER, INSTEAD, options, refuse_what_cannot_be_honoured
from datalayer.pooling.stats import PoolStats
from datalayer.pooling.timeouts import Timeout, check_timeout
from datalayer.pooling.upkeep import overdue, overdue_at
from datalayer.pooling.watched import Books, Watched

log = logging.getLogger("datalayer.pooling")

L = TypeVar("L", bound="Link | AsyncLink")


def _is_news(record: logging.LogRecord) -> bool:
    """Whether psycopg-pool logs about a pool that is not ours: it warns of every connection we close on purpose."""
    given = record.args if isinstance(record.args, tuple) else ()
    return not any(
        isinstance(one, NotWanted | Pooled) or (isinstance(one, str) and one.startswith(NAME_PREFIX)) for one in given
    )


logging.getLogger("psycopg.pool").addFilter(_is_news)

NAME_PREFIX = "datalayer:"
"""How the names of our pools begin in psycopg-pool."""


class Adapter(LinkJudge, Watched[L]):
    """What both shells share: counting, judging, and the errors."""

    def __init__(
        self,
        *,
        name: str,
        config: PoolConfig | None,
        transaction_pooling: bool,
        listeners: Sequence[Listener],
        clock: Callable[[], float],
        rng: Random | None,
    ) -> None:
        check_sources(clock, rng)
        super().__init__(chosen(config, PoolConfig()), name=name, listeners=listeners, clock=clock)
        refuse_what_cannot_be_honoured(self.config)
        self.alias = name
        self._transaction_pooling = transaction_pooling
        self._rng = rng if rng is not None else Random()
        self._bypass = self.config.test_bypass if self.config.test_on_check_out else NEVER
        self._inherited: list[object] = []  # of the parent process: kept alive so that nothing closes its sockets
        self._state: State = "new"
        self._start_afresh(generation=0)
        living.add(self)

    def _start_afresh(self, *, generation: int) -> None:
        self._mutex = threading.RLock()
        self._ledger: Ledger[L] = Ledger(self.config, generation=generation, rng=self._rng)
        self._watchers: list[Wakeable] = []
        self._home: Any = None
        self._gate = self._new_gate()
        self._is_watching = False

    # -- what a user asks -----------------------------------------------------------------------

    @property
    def state(self) -> State:
        """`new`, `open`, `closing` or `closed`."""
        return self._state

    def is_lost(self, exc: BaseException) -> bool:
        """Whether an error says that the server is gone."""
        return self.is_disconnect(exc)

    def invalidate(self, exc: BaseException | None = None) -> None:
        """Makes every connection stale: idle ones are replaced now, lent ones at their return."""
        with self._mutex:
            if exc is not None:
                self._ledger.note_error(exc, self._clock())
            self._ledger.generation += 1
            generation = self._ledger.generation
        self._tell(GenerationChanged(generation))
        self._start_draining()

    def lose_entry(self, entry: Entry[L], exc: BaseException) -> None:
        """Ends a lease whose server is gone, and makes every connection stale that is not newer."""
        with self._mutex:
            self._ledger.note_error(exc, self._clock())
            is_news = entry.generation == self._ledger.generation
        self.discard_entry(entry, "broken")
        if is_news:
            self.invalidate(exc)

    def pause(self) -> None:
        """Not possible here: psycopg-pool serves whoever asks."""
        raise PoolError(f"psycopg-pool cannot be paused: close() it, {INSTEAD}")

    def resume(self) -> None:
        """Not possible here, as `pause` is not."""
        raise PoolError(f"psycopg-pool cannot be paused, and so not be resumed: open() opens it, {INSTEAD}")

    def detach_entry(self, entry: Entry[L]) -> L:
        """Not possible here: psycopg-pool counts a connection as its own until it is closed."""
        self.discard_entry(entry, "discarded")
        raise PoolError(
            f"a connection of psycopg-pool cannot be detached: take one with dedicated(), {INSTEAD}; it was closed"
        )

    def __repr__(self) -> str:
        size = f"{len(self._ledger.entries)} of {self._ledger.max_size} connections"
        return f"<{type(self).__name__} {self.name!r} {self._state}: {size}>"

    # -- what happens to connections, reported by the connection classes ------------------------

    def arguments(self, conninfo: str) -> tuple[str, dict[str, Any]]:
        """How to connect to an address."""
        return connect_arguments(
            conninfo,
            alias=self.alias,
            connect_timeout=self.config.connect_timeout,
            transaction_pooling=self._transaction_pooling,
        )

    def turn_to_connect(self, gate: Gate | AsyncGate) -> float:
        """Begins a connect; gives how long to wait at the gate, when it is not its turn yet.

        Raises:
            NotWanted: Nobody wants a connection any more.
        """
        with self._mutex:
            if gate.is_closed or self._state != "open":
                raise NotWanted("the pool is closed, or about to be")
            wait = self._ledger.turn_to_connect(self._clock())
        if wait is None:
            raise NotWanted("nobody waits for one more connection")
        return wait

    def connected(self, link: L, raw: Any, took: float) -> None:
        """A connection was made."""
        with self._mutex:
            entry, down_for = self._ledger.connected(link, raw, self._clock(), took)
        self._tell(ConnectionOpened(entry.id, took))
        if down_for is not None:
            self._tell(Available(down_for))
        self._settle()

    def connect_cancelled(self) -> None:
        """A connect was cancelled, with the loop it ran in."""
        with self._mutex:
            self._ledger.opening -= 1

    def connect_failed(self, error: BaseException, *, configured: bool = True) -> None:
        """A connection could not be made; one that never can be ends the wait of everybody at once.

        Args:
            error: Why.
            configured: False when connecting went well and `configure` failed.
        """
        with self._mutex:
            now, ledger = self._clock(), self._ledger
            hopeless = isinstance(error, PoolConfigError) or self.is_fatal(error) or not self.config.retry_connection
            outage_begins = ledger.connect_failed(error, now, configured=configured, hopeless=hopeless)
            attempt, pause = ledger.outage.failures, ledger.outage.retry_at - now
        self._tell(ConnectFailed(error, attempt, pause))
        if outage_begins:
            self._tell(Unavailable(error))
        self._give_up_hope()
        self._settle()

    def _give_up_hope(self) -> None:
        """Lets everybody in the queue fail when nobody can be served; `_ask` tells them why."""
        with self._mutex:
            home = self._home
            if home is None or self._state != "open" or not self._ledger.is_hopeless(self._clock()):
                return
        self._turn_away(home)

    def is_hopeless(self) -> bool:
        """Whether nobody can be served; psycopg-pool asks before it queues a caller."""
        with self._mutex:
            return self._ledger.is_hopeless(self._clock())

    def _is_starving(self) -> bool:
        """Whether somebody waits and nothing is under way for him, as far as psycopg-pool is concerned."""
        ledger = self._ledger
        return self._state == "open" and ledger.queued > ledger.opening and not ledger.idle

    def closed_one(self, raw: Any) -> None:
        """A connection is being closed, by whomever."""
        with self._mutex:
            found = self._ledger.closed_one(raw, is_open=self._state == "open")
            now = self._clock()
        if found is not None:
            entry, reason = found
            self._tell(ConnectionClosed(entry.id, reason, now - entry.born, entry.uses))
            self._give_up_hope()
            self._settle()

    # -- steps of acquire and release -----------------------------------------------------------

    def _lend_idle(self, home: Any, owner: object, site: Site) -> Any:
        """Lends an idle connection that is good as it is, and gives its entry; else all the steps below must be gone.

        Then it gives None when there is no idle one, or the connection when it is to be put back in the home.
        """
        raw: Any = None
        try:
            now = self._clock()
            with self._mutex:
                if self._state != "open" or (raw := home.take()) is None:
                    return None
                entry = self._ledger.lend_idle(raw, home, owner, site, now, self._bypass)
            if entry is None:
                return raw
            if self._listeners.all or self.config.leak_threshold is not None:
                self._lent(entry, 0.0)
        except BaseException:  # Ctrl-C: nobody has it yet, and it would be lost to the pool
            if raw is not None:
                self._take_back_idle(home, raw, owner)
            raise
        return entry

    def _take_back_idle(self, home: Any, raw: Any, owner: object) -> None:
        with self._mutex:
            entry = self._ledger.entries.get(id(raw))
            if entry is not None and entry.state == LENT and entry.owner == owner:
                self._ledger.give_back(entry, self._clock(), None)
            is_kept = home.keep(raw)
        if not is_kept:
            self._put_late(home, raw)

    def _begin(self, owner: object) -> tuple[Any, bool]:
        """Begins an acquire; gives the pool to ask, as `_ask`, and whether it serves without waiting for others."""
        with self._mutex:
            if self._state == "new":
                self._state = "open"
            if self._state != "open":
                raise PoolClosed(
                    "the pool is being closed"
                    if self.closed and self._state == "closing"
                    else "the pool is closed: open() opens it again"
                )
            ledger = self._ledger
            ledger.begin(owner)
            crowd = ledger.is_crowded(limit) if (limit := self.config.max_waiting) is not None else None
            holders = self._deadlocked() if crowd is None else ()
            immediate = ledger.idle >= ledger.queued  # those who asked in the same moment are served first
            if holders and self.config.on_deadlock == "raise":
                ledger.end(owner, "rejected")
            if crowd is None and not holders:
                return self._home_for(owner), immediate
        if crowd is not None:
            raise self._one_too_many(owner, crowd)
        try:
            self._refuse_deadlock(holders)
        except PoolDeadlock:
            self._tell(AcquireRejected("deadlock"))
            raise
        return self._ask(owner), immediate

    def _one_too_many(self, owner: object, waiting: int) -> TooManyWaiting:
        with self._mutex:
            self._ledger.end(owner, "rejected")
        self._tell(AcquireRejected("max_waiting"))
        return explain_full_queue(waiting, self.config.max_waiting or 0)

    def transfer_entry(self, entry: Entry[L]) -> None:
        """Makes the thread or task that runs now the holder of a lease."""
        with self._mutex:
            before, entry.owner = entry.owner, self.current_owner()
            holders = self._deadlocked()
            if holders and self.config.on_deadlock == "raise":
                entry.owner = before
        self._refuse_deadlock(holders)

    def _deadlocked(self) -> tuple[str, ...]:
        """The connections when all who hold them wait for another one; called under the lock."""
        ledger = self._ledger
        if self.config.on_deadlock == "ignore" or not ledger.is_deadlocked():
            return ()
        ledger.deadlocks += 1
        return tuple(f"connection {one.id}{borrowed_at(one.site)}" for one in ledger.lent())

    def _refuse_deadlock(self, holders: tuple[str, ...]) -> None:
        if holders:
            self._tell(DeadlockDetected(holders))
            if self.config.on_deadlock == "raise":
                raise explain_deadlock(holders)

    def _ask(self, owner: object) -> Any:
        """The pool of psycopg-pool to ask now; raises what must be raised without asking."""
        with self._mutex:
            return self._home_for(owner)

    def _home_for(self, owner: object) -> Any:
        """The same, called under the lock."""
        ledger = self._ledger
        if self._state != "open":
            ledger.end(owner, "failed")
            raise PoolClosed("the pool was closed while this caller waited for a connection")
        outage = ledger.outage
        if outage.refusal is not None and ledger.is_hopeless(self._clock()):
            ledger.end(owner, "failed")
            raise again(outage.refusal)
        if self._home is None:
            self._home = self._new_home()
        if outage.failures:
            ledger.hurry(self._clock())
            self._gate.wake()
        return self._home

    def _refused(self, error: BaseException, owner: object, began: float) -> BaseException | None:
        """psycopg-pool refused: gives the error to raise, None to try again."""
        waited = self._clock() - began
        if isinstance(error, psycopg_pool.PoolTimeout):
            return self._gave_up(owner, waited)
        with self._mutex:
            ledger = self._ledger
            if isinstance(error, psycopg_pool.PoolClosed):
                return None  # closed, or turned away: `_ask` knows which
            ledger.end(owner, "failed" if isinstance(error, Exception) else "cancelled")
            return error

    def _gave_up(self, owner: object, waited: float) -> PoolTimeout:
        with self._mutex:
            ledger = self._ledger
            if ledger.outage.since is not None:
                reason = "unavailable"
            elif ledger.lent_count >= ledger.max_size:
                reason = "exhausted"
            else:
                reason = "validating" if ledger.testing else "connecting"
            ledger.end(owner, "timed_out")
            ledger.count_wait(waited)
        self._tell(AcquireTimeout(waited, reason))
        return self._timed_out(reason, waited)

    def _take(
        self, raw: Any, home: Any, owner: object, site: Site, began: float, *, immediate: bool
    ) -> tuple[RawEntry[L] | None, str | None, bool]:
        """Lends what was handed out; gives its entry, why it cannot be lent, and whether it must be pinged before."""
        now = self._clock()
        with self._mutex:
            ledger = self._ledger
            entry = ledger.take(raw, home, owner)
            if entry is None:
                return None, None, False  # the server closed it while it was idle, and psycopg-pool did not see
            if entry.generation != ledger.generation:
                entry.reason = "stale"
            elif entry.expires <= now:
                entry.reason = "lifetime"
            if entry.reason is not None:
                return entry, entry.reason, False
            if not entry.fresh and now - entry.since >= self._bypass:
                ledger.pings += 1
                return entry, None, True
            ledger.lend(entry, owner, site, now, now - began, immediate=immediate)
        self._lent(entry, now - began)
        return entry, None, False

    def _ping_failed(self, entry: RawEntry[L], error: BaseException) -> bool:
        """Notes a failed ping; gives whether all connections are stale now."""
        self._note_wrong_check(error)
        with self._mutex:
            ledger = self._ledger
            ledger.ping_failures += 1
            ledger.note_error(error, self._clock())
            entry.reason = "invalid"
            return self.is_lost(error) and entry.generation == ledger.generation

    def _put_back(self, owner: object) -> None:
        with self._mutex:
            self._ledger.put_back(owner)

    def _cancelled(self, entry: RawEntry[L], owner: object) -> None:
        """An acquire was cancelled in the middle of its ping."""
        with self._mutex:
            self._ledger.end(owner, "cancelled", tested=True)
            entry.reason = "invalid"

    def _lend(self, entry: RawEntry[L], owner: object, site: Site, began: float, *, immediate: bool) -> None:
        """Ends an acquire whose connection was pinged: it is lent."""
        now = self._clock()
        with self._mutex:
            self._ledger.lend(entry, owner, site, now, now - began, immediate=immediate)
        self._lent(entry, now - began)

    def _lent(self, entry: RawEntry[L], waited: float) -> None:
        """What follows when a connection was lent; called without the lock held."""
        if self._listeners.all:
            self._tell(CheckedOut(entry.id, waited))
        if self.config.leak_threshold is not None:
            with self._mutex:
                watch, self._is_watching = not self._is_watching, True
            if watch:
                self._watch_in(self.config.leak_threshold)

    def _look_for_leaks(self) -> None:
        """Reports the leases that are out for too long, and comes back while any is out."""
        now = self._clock()
        with self._mutex:
            found = overdue(self._ledger.lent(), self.config, now)
            next_at = overdue_at(self._ledger.lent(), self.config)
            self._is_watching = next_at != NEVER
        for entry in found:
            self._suspect(entry, now - entry.since)
        if next_at != NEVER:
            self._watch_in(max(next_at - now, 0.0))

    def _take_back(self, entry: Entry[L], drop: str | None) -> tuple[RawEntry[L], bool] | None:
        """Ends a lease and keeps the connection, where that is all; else gives the entry and whether to close it.

        It gives None, too, for what is not ours to touch.
        """
        now = self._clock()
        with self._mutex:
            if not isinstance(entry, RawEntry):
                raise self._foreign(entry)
            if self._ledger.entries.get(id(entry.raw)) is entry:
                if entry.state != LENT:
                    raise DoubleRelease(f"connection {entry.id} is not lent at this moment: give each lease back once")
            elif entry.state != GONE:
                if self._inherited:
                    return None  # lent before a fork: it belongs to the parent process
                raise self._foreign(entry)
            since = entry.since
            drop = self._ledger.give_back(entry, now, drop)
            is_kept = drop is None and entry.home.keep(entry.raw)
        if self._listeners.all:
            self._tell(CheckedIn(entry.id, now - since))
        return None if is_kept else (entry, drop is not None)

    def _foreign(self, entry: Entry[L]) -> ForeignLease:
        return ForeignLease(f"connection {entry.id} was not lent by {self!r}: give a lease back to its own pool")

    def _is_ready(self, began: float) -> bool:
        with self._mutex:
            ledger = self._ledger
            if len(ledger.entries) >= ledger.min_idle or self._state != "open":
                return True
            if ledger.outage.refusal is not None and (ledger.last_error_at or began) >= began:
                raise again(ledger.outage.refusal)
        return False

    # -- for the shells -------------------------------------------------------------------------

    def _start(self) -> None:
        """Opens what is new or closed; a closed pool begins a new generation, and takes back nothing of before."""
        if self._state == "closed":
            with self._mutex:
                self._ledger.generation += 1
        if self._state in ("new", "closed"):
            self._set_state("open")

    def _set_state(self, state: State) -> None:
        """Called without the lock held."""
        if self._state != state:
            self._state = state
            self._tell(StateChanged(state))

    def _resized(self, max_size: int | None, min_idle: int | None) -> tuple[int, int]:
        """Notes new limits and gives them.

        Raises:
            PoolConfigError: A limit is out of its range.
        """
        config = self.config.resized(max_size, min_idle)
        refuse_what_cannot_be_honoured(config)
        with self._mutex:
            self.config = config
            self._ledger.max_size, self._ledger.min_idle = config.max_size, config.min_idle
        self._tell(Resized(config.max_size, config.min_idle))
        return config.min_idle, config.max_size

    def _options(self) -> dict[str, Any]:
        return options(self.config, f"{NAME_PREFIX}{self.name}")

    def _limit(self, timeout: Timeout) -> float:
        check_timeout(timeout)
        chosen = timeout if isinstance(timeout, float | int | None) else self.config.connection_timeout
        return FOR_EVER if chosen is None else chosen

    def _ping_limit(self, until: float) -> float:
        # As in the generic pool: one who will not wait in the queue must still allow a ping.
        left = until - self._clock()
        return self.config.validation_timeout if left < 0.002 else min(self.config.validation_timeout, left)

    def _settle(self) -> None:
        if self._watchers:
            with self._mutex:
                watchers, self._watchers = self._watchers, []
            for watcher in watchers:
                watcher.wake()

    def forget_after_fork(self) -> None:
        """In a child process: starts with nothing; the parent's sockets stay referenced and are never closed."""
        self._inherited.append((self._home, self._ledger))
        if self._state == "closing":
            self._state = "closed"
        self._start_afresh(generation=self._ledger.generation + 1)

    def _books(self) -> Books:
        return self._ledger

    def _numbers(self) -> PoolStats:
        return self._ledger.stats(self._state)

    # -- what a shell adds ----------------------------------------------------------------------

    def _new_gate(self) -> Any:
        raise NotImplementedError

    def _new_home(self) -> Any:
        raise NotImplementedError

    def _turn_away(self, home: Any) -> None:
        raise NotImplementedError

    def _put_late(self, home: Any, raw: Any) -> None:
        """Gives a connection back to psycopg-pool, which has more to do with it than to keep it."""
        raise NotImplementedError

    def _start_draining(self) -> None:
        raise NotImplementedError

    def _watch_in(self, seconds: float) -> None:
        raise NotImplementedError

    def discard_entry(self, entry: Entry[L], reason: str) -> None:
        """Ends a lease and closes its connection."""
        raise NotImplementedError


def hopeless(ref: weakref.ref[Any]) -> Callable[[], bool]:
    """The question of a pool of psycopg-pool whether queueing is of no use, to a pool of ours that may be gone."""

    def is_hopeless() -> bool:
        adapter: Adapter[Any] | None = ref()
        return adapter is not None and adapter.is_hopeless()

    return is_hopeless


living: weakref.WeakSet[Adapter[Any]] = weakref.WeakSet()
"""Every pool there is, for what happens to the whole process: a fork, its end."""


def _forget_all_after_fork() -> None:
    for adapter in list(living):
        adapter.forget_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all_after_fork)
