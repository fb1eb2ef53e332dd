"""Every decision of a pool, in pure code.

The law of this file: no I/O, no clock, no lock, no thread, no logging and no user code. Every method is told the
time, changes the state at once and appends what is to be done to `actions`; a shell holds its lock around each call
and performs the actions after letting go. A waiter is woken inside a call, so its `wake()` must never block.

An entry is idle, being tested, or lent; one that is pinged for no caller counts as idle. An acquire ends in exactly
one of the outcomes that `PoolStats` counts.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from datalayer.errors import (
    PoolClosed,
    PoolDeadlock,
    PoolError,
    PoolFull,
    PoolUnavailable,
)
from datalayer.late import LateModule
from datalayer.pooling.actions import OPEN, Action, Arm, Check, Close, Suspect, Tell
from datalayer.pooling.config import PoolConfig
from datalayer.pooling.entry import CHECKED, GONE, IDLE, LENT, NEVER, TESTING, Entry, State, Waiter, Wakeable
from datalayer.pooling.explain import again, borrowed_at, explain_deadlock, explain_full_queue, living
from datalayer.pooling.outage import Outage
from datalayer.pooling.shedding import Shedding
from datalayer.pooling.stats import PoolStats
from datalayer.pooling.tally import Tally
from datalayer.pooling.upkeep import due_at, judged, overdue, overdue_at

if TYPE_CHECKING:
    from datalayer.pooling import events
else:
    events = LateModule("datalayer.pooling.events")  # made for listeners alone

C = TypeVar("C")

GIVEN_UP = PoolError("a caller was cancelled")  # the outcome of a waiter that was counted before it could say so
_NONE: deque[Any] = deque()
_NOBODY = object()


class Core(Tally, Generic[C]):
    """The state of a pool and the rules by which it changes.

    Args:
        config: The limits.
        rng: Source of all jitter; a seeded one makes a run repeatable.
        listening: Whether events are wanted; without listeners none are made.
        keeps: Whether a connection that nobody waits for becomes idle; it is closed otherwise.
    """

    # Slots for speed: an object of so many attributes has no cheap ones otherwise.
    __slots__ = (
        "_bypass", "_calm", "_cap", "_fewest_idle", "_idle_limit", "_is_fifo", "_keeps", "_last_reap", "_next_id",
        "_shedding", "actions", "checking", "config", "entries", "generation", "home", "idle", "listening", "max_size",
        "min_idle", "opening", "outage", "ready", "rng", "shelf", "state", "testing", "waiters", "wake_at", "watchers",
    )  # fmt: skip

    def __init__(self, config: PoolConfig, *, rng: Random, listening: bool = False, keeps: bool = True) -> None:
        self.config = config
        self._keeps = keeps
        self.rng = rng
        self.listening = listening
        self.max_size = config.max_size
        self.min_idle = config.min_idle
        self.state: State = "new"
        self.home = object()
        self.generation = 0
        self.actions: list[Action[C]] = []
        self.entries: dict[int, Entry[C]] = {}
        self.idle: deque[Entry[C]] = deque()
        self._is_fifo = config.queue_strategy == "fifo"
        self.ready: deque[Entry[C]] = _NONE  # the idle ones, while `take_ready` may lend them
        self.shelf: deque[Entry[C]] | None = None  # the idle ones, while `give_back` may just put one there
        self.waiters: OrderedDict[Waiter[C], None] = OrderedDict()
        self.watchers: list[Wakeable] = []
        self.opening = 0
        self.testing = 0
        self.checking = 0  # pinged for no caller
        self._bypass = config.test_bypass if config.test_on_check_out else NEVER
        self._idle_limit = min(config.idle_timeout or NEVER, config.keepalive or NEVER)  # the first that is due
        self._wake(NEVER)
        self._next_id = 0
        self._last_reap = -NEVER
        self._shedding = Shedding(config)
        self.outage = Outage(config, rng)
        self._cap = config.max_opening  # how many may be opened at one time: one while connecting fails
        super().__init__()
        self._note_use()
        self._set_shortcuts()

    def clear_counters(self) -> None:
        """Starts all counters again; those of running acquires and present connections are kept consistent."""
        self.start_again(
            size=len(self.entries), in_use=self._in_use(), waiting=len(self.waiters), uses=self._present_uses()
        )
        self._note_use()

    # -- opening and closing the pool -----------------------------------------------------------

    def start(self, now: float) -> None:
        """Opens the pool, or opens it again; an open one stays as it is."""
        if self.state in ("open", "paused"):
            return
        if self.state == "closing":
            raise PoolClosed("the pool is being closed: wait for close() to end before opening it again")
        self._set_state("open")
        self.outage.clear()
        self._cap = self.config.max_opening
        self._grow(now)

    def stop(self, now: float) -> None:
        """Begins to close: fails the queue, closes what is idle; lent connections are closed at their return."""
        if self.state in ("closing", "closed"):
            return
        self._set_state("closing")
        self._outdate()
        while self.waiters:
            self._fail_first(PoolClosed("the pool was closed while this caller waited for a connection"))
        while self.idle:
            self._drop(self.idle.popleft(), "pool_closed", now)
        self._settle()

    def finish(self) -> None:
        """Ends a close, whatever is still out."""
        if self.state == "closing":
            self._set_state("closed")

    def is_empty(self) -> bool:
        """Whether no connection exists or is being opened."""
        return not self.entries and not self.opening

    def pause(self) -> None:
        """From now on callers queue, whatever is idle."""
        if self.state == "open":
            self._set_state("paused")

    def resume(self, now: float) -> None:
        """Ends a pause and serves the queue."""
        if self.state != "paused":
            return
        self._set_state("open")
        while self.waiters and self.idle:
            entry = self._pop_idle(now)
            if entry is None:
                break
            self._serve(entry)
        self._grow(now)

    # -- acquire --------------------------------------------------------------------------------

    def take_ready(self, now: float, owner: object) -> Entry[C] | None:
        """The usual acquire in as few steps as there can be: what is idle is lent, and nothing else is to be decided.

        None means that more is: call `take`.
        """
        ready = self.ready
        if not ready:
            return None
        entry = ready.popleft() if self._is_fifo else ready.pop()
        if entry.expires <= now or now - entry.seen >= self._bypass:
            self._unpop(entry)
            return None
        entry.owner = owner
        entry.state = LENT
        entry.since = now
        entry.uses += 1
        if len(ready) < self._fewest_idle:
            self._note_use()
        return entry

    def take(self, now: float, owner: object) -> Entry[C] | None:
        """Begins an acquire and lends an idle connection when there is one; None means: queue.

        An entry whose state is TESTING is to be pinged, then `confirm`ed or reported by `ping_failed`.
        """
        if self.state != "open":
            self.refuse_unless_open()
        entry = self._pop_idle(now) if self.state == "open" else None
        if entry is not None:
            entry.owner = owner
            if now - entry.seen >= self._bypass:
                entry.state = TESTING
                self.testing += 1
                self.pings += 1
                return entry
            entry.state = LENT
            entry.since = now
            entry.uses += 1
            entry.reported = False
            self._note_use()
            if self.listening:
                self.actions.append(Tell(events.CheckedOut(entry.id, 0.0)))
            self._arm_leak(now)
            if self.min_idle:
                self._grow(now)
            return entry
        if self.outage.is_on and self.config.fail_fast:
            self._reject("unavailable")
            raise _unavailable() from self.last_error
        return None

    def queue(self, waiter: Waiter[C], now: float) -> None:
        """Puts the caller of a `take` that gave None at the end of the queue, and opens connections for it.

        The lock was let go since: what was given back meanwhile serves at once, and the pool may be closed.
        """
        if self.state != "open":
            self.refuse_unless_open()
        elif self.idle and (entry := self._pop_idle(now)) is not None:
            waiter.since = now
            self.waiters[waiter] = None
            self._serve(entry)
            return
        if self.outage.since is not None and now < self.outage.retry_at:
            self._hurry(waiter.owner, now)
        limit = self.config.max_waiting
        if limit is not None and len(self.waiters) >= limit and not self._could_open(now):
            self._reject("max_waiting")
            raise explain_full_queue(len(self.waiters), limit)
        if self.config.on_deadlock != "ignore":
            try:
                self._look_for_deadlock(waiter.owner)
            except PoolDeadlock:
                self._reject("deadlock")
                raise
        if self.config.queue_target is not None:
            self._shed_load(now)
        waiter.since = now
        self.waiters[waiter] = None
        self.peak_waiting = max(self.peak_waiting, len(self.waiters))
        self._grow(now)

    def _hurry(self, owner: object, now: float) -> None:
        """Somebody comes to wait during an outage: the server may be back, and is asked soon; but no refusal is."""
        refusal = self.outage.refusal
        if refusal is None:
            self.outage.hurry(now)
        elif not self._may_come_back(owner):
            self.outcomes["failed"] += 1
            raise again(refusal)

    def is_due(self, entry: Entry[C], now: float) -> bool:
        """Whether an entry that came through the queue must be pinged first; counts the ping."""
        if entry.fresh or now - entry.seen < self._bypass:
            return False
        self.pings += 1
        return True

    def confirm(self, entry: Entry[C], now: float, waited: float, *, queued: bool) -> None:
        """Ends an acquire: the tested entry is lent."""
        self.testing -= 1
        entry.state = LENT
        entry.since = now
        entry.reported = False
        entry.uses += 1
        if queued:
            self.outcomes["waited"] += 1
        self.count_wait(waited)
        self._note_use()
        if self.listening:
            self.actions.append(Tell(events.CheckedOut(entry.id, waited)))
        self._arm_leak(now)
        self._grow(now)

    def ping_failed(self, entry: Entry[C], waiter: Waiter[C], now: float, error: BaseException, *, lost: bool) -> None:
        """Drops a tested entry and puts its caller at the front of the queue.

        Args:
            lost: Whether the error says that the server is gone: every connection opened before is stale then.
        """
        self.testing -= 1
        self.ping_failures += 1
        self.note_error(error, now)
        self._drop(entry, "invalid", now)
        if lost and entry.generation == self.generation:
            self._new_generation(now)
        if self.state not in ("open", "paused"):
            self.outcomes["failed"] += 1
            self._settle()
            raise PoolClosed("the pool was closed while this caller waited for a connection")
        # One that is idle and still good serves at once.
        self.waiters[waiter] = None
        self.waiters.move_to_end(waiter, last=False)
        if self.state == "open":
            found = self._pop_idle(now)
            if found is not None:
                self._serve(found)
        self.peak_waiting = max(self.peak_waiting, len(self.waiters))
        self._grow(now)

    def abandon(self, waiter: Waiter[C], now: float, outcome: Literal["cancelled", "timed_out"]) -> None:
        """Ends the acquire of a caller that stops waiting; what was handed to it goes to the next one."""
        self.waiters.pop(waiter, None)
        self.outcomes[outcome] += 1
        if outcome == "timed_out":
            self.count_wait(now - waiter.since)
            if self.listening:
                self.actions.append(Tell(events.AcquireTimeout(now - waiter.since, self.reason())))
        entry, waiter.entry = waiter.entry, None
        if entry is not None:
            self.testing -= 1
            self._keep(entry, now)

    def abandon_tested(self, entry: Entry[C], now: float) -> None:
        """Ends an acquire that was cancelled in the middle of its ping: what the connection is in is unknown."""
        self.testing -= 1
        self.outcomes["cancelled"] += 1
        self._drop(entry, "invalid", now)
        self._grow(now)
        self._settle()

    def reason(self) -> str:
        """Why a caller who asks now cannot be served."""
        if self.state == "paused":
            return "paused"
        if self.outage.since is not None:
            return "unavailable"
        if self.opening:
            return "connecting"
        if self.testing and self.testing + self.opening >= self.max_size:
            return "validating"
        return "exhausted"

    # -- return ---------------------------------------------------------------------------------

    def give_back(self, entry: Entry[C], now: float, drop: str | None = None) -> None:
        """Ends a lease: the connection goes to the first caller in the queue, becomes idle, or is closed.

        Args:
            drop: The reason to close it, when it cannot be used again.
        """
        used = now - entry.since
        self.use_total += used
        if used > self.notable:
            self.note_use(used)
        entry.owner = None
        shelf, expires = self.shelf, entry.expires
        if (
            shelf is None or drop is not None or self.waiters
            or expires <= now or expires < self.wake_at or now < self._calm
        ):  # fmt: skip
            self._take_back(entry, now, used, drop)
            return
        # Nothing but keeping it is to be decided: the usual case, written out because a call costs as much. What is of
        # an old generation has expired, and a pool that is being closed has begun a new one.
        entry.since = entry.seen = now
        entry.state = IDLE
        entry.fresh = False
        shelf.append(entry)

    def _take_back(self, entry: Entry[C], now: float, used: float, drop: str | None) -> None:
        """Any return but the usual one."""
        if self.listening:
            self.actions.append(Tell(events.CheckedIn(entry.id, used)))
        if drop is None and entry.uses >= (self.config.max_uses or NEVER):
            drop = "max_uses"
        if drop is None:
            self._keep(entry, now)
            return
        self._drop(entry, drop, now)
        self._grow(now)
        self._settle()

    def give_up(self, entry: Entry[C], now: float) -> None:
        """Ends a lease without closing the connection: it is no longer the pool's."""
        self.count_use(now - entry.since)
        self._remove(entry, "detached", now)
        self._grow(now)
        self._settle()

    def orphaned(self, entry: Entry[C], now: float) -> None:
        """Ends a lease that was garbage collected."""
        if entry.state != LENT:
            return
        self.leaks += 1
        if self.listening:
            self.actions.append(Tell(events.LeaseAbandoned(entry.id, now - entry.since)))
        self.give_back(entry, now, "abandoned")

    # -- opening connections --------------------------------------------------------------------

    def opened(self, conn: C, now: float, took: float) -> None:
        """A connection that was asked for by an Open action is there."""
        self.opening -= 1
        self.count_open(took)
        down_for = self.outage.ended(now)
        if down_for is not None and self.listening:
            self.actions.append(Tell(events.Available(down_for)))
        self._cap = min(self._cap * 2, self.config.max_opening)
        entry = self._new_entry(conn, now)
        if self.listening:
            self.actions.append(Tell(events.ConnectionOpened(entry.id, took)))
        self._keep(entry, now)
        self._grow(now)

    def open_failed(self, error: BaseException, now: float, *, fatal: bool, configured: bool = True) -> None:
        """An Open action failed.

        Args:
            fatal: Whether trying again cannot help: the whole queue fails at once, with this error, unless a
                connection is still out that may come back.
            configured: False when connecting went well and `configure` failed.
        """
        self.opening -= 1
        self.count_failed_open(error, now, configured=configured)
        config, outage = self.config, self.outage
        refusal = error if fatal or not config.retry_connection else None
        begins = outage.failed(now, refusal, is_waited_for=bool(self.waiters))
        self._cap = 1
        if self.listening:
            self.actions.append(Tell(events.ConnectFailed(error, outage.failures, outage.retry_at - now)))
        if begins:
            self.outages += 1
            if self.listening:
                self.actions.append(Tell(events.Unavailable(error)))
        if refusal is None and outage.is_on and config.fail_fast:
            while self.waiters:
                refused = _unavailable()
                refused.__cause__ = error
                self._fail_first(refused)
        self._grow(now)
        self._settle()

    def add(self, conn: C, now: float) -> None:
        """Takes in a connection that was opened elsewhere."""
        if self.state not in ("open", "paused"):
            self.refuse_unless_open()
        if len(self.entries) + self.opening >= self.max_size:
            raise PoolFull(
                f"the pool has no room for one more connection: max_size is {self.max_size}; "
                "it stays with you, in .connection",
                conn,
            )
        self.added_count += 1
        self._keep(self._new_entry(conn, now), now)

    # -- upkeep ---------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Does what is due: idle and old connections, the next attempt to connect, suspected leaks."""
        self._wake(NEVER)
        if self.state not in ("open", "paused"):
            return
        if now >= self._reap_at():
            self._last_reap = now
            self._reap(now)
        self._grow(now)
        self._arm(max(self._reap_at(), self._last_reap + self.config.reaper_rate))

    def invalidate(self, now: float) -> None:
        """Begins a new generation: idle connections are closed now, lent ones at their return."""
        self._new_generation(now)
        self._grow(now)

    def drain(self, now: float) -> int:
        """Closes what is idle now and replaces it as needed; gives the number of closed connections."""
        count = len(self.idle)
        while self.idle:
            self._drop(self.idle.popleft(), "stale", now)
        self._grow(now)
        return count

    def resize(self, now: float, max_size: int, min_idle: int) -> None:
        """Changes the limits; a surplus is closed now where it is idle, and at its return where it is lent."""
        self.max_size, self.min_idle = max_size, min_idle
        while self.idle and len(self.entries) + self.opening > self.max_size:
            self._drop(self.idle.popleft(), "surplus", now)
        self._set_shortcuts()
        if self.listening:
            self.actions.append(Tell(events.Resized(max_size, min_idle)))
        self._grow(now)

    def take_for_check(self) -> list[Entry[C]]:
        """Takes every idle connection aside for a check; `checked` gives each one back."""
        found = list(self.idle)
        self.idle.clear()
        for entry in found:
            entry.state = CHECKED
        self.checking += len(found)
        return found

    def checked(self, entry: Entry[C], now: float, *, good: bool) -> None:
        """Gives back a connection that was taken by `take_for_check`."""
        self.pings += 1
        self.checking -= 1
        if not good:
            self.ping_failures += 1
            self._drop(entry, "invalid", now)
            self._grow(now)
            return
        idle_since = entry.since
        self._keep(entry, now)
        if entry.state == IDLE:
            entry.since = idle_since  # a ping is no use: `idle_timeout` goes on counting

    def unchecked(self, entry: Entry[C], now: float) -> None:
        """Gives back a connection that was taken by `take_for_check`, and not looked at."""
        self.checking -= 1
        self._keep(entry, now)

    # -- what there is --------------------------------------------------------------------------

    def lent(self) -> Iterator[Entry[C]]:
        """The connections that are lent at this moment."""
        return (entry for entry in self.entries.values() if entry.state == LENT)

    def stats(self) -> PoolStats:
        """All numbers at one moment."""
        return self.shown(
            state=self.state, size=len(self.entries), idle=len(self.idle) + self.checking, testing=self.testing,
            opening=self.opening, waiting=len(self.waiters), max_size=self.max_size, min_idle=self.min_idle,
            generation=self.generation, uses=self._present_uses(),
        )  # fmt: skip

    # -- the rules ------------------------------------------------------------------------------

    def adopt_state(self, state: State) -> None:
        """Starts in the state of the core whose place this one takes."""
        self.state = state
        self._set_shortcuts()

    def _set_state(self, state: State) -> None:
        self.adopt_state(state)
        if self.listening:
            self.actions.append(Tell(events.StateChanged(state)))

    def refuse_unless_open(self) -> None:
        """Raises `PoolClosed` in the words of the state."""
        if self.state == "new":
            raise PoolClosed("the pool is not open yet: call open(), or use it as a context manager")
        if self.state == "closing":
            raise PoolClosed("the pool is being closed")
        if self.state == "closed":
            raise PoolClosed("the pool is closed: open() opens it again")

    def _reject(self, reason: str) -> None:
        self.outcomes["rejected"] += 1
        if self.listening:
            self.actions.append(Tell(events.AcquireRejected(reason)))

    def transfer(self, entry: Entry[C], owner: object) -> None:
        """Makes somebody else the holder of a lent connection; not one who waits himself, as all other holders do."""
        before, entry.owner = entry.owner, owner
        if self.config.on_deadlock != "ignore":
            try:
                self._look_for_deadlock(_NOBODY)
            except PoolDeadlock:
                entry.owner = before
                raise

    def _look_for_deadlock(self, asking: object) -> None:
        """Nobody can ever return a connection when every holder is in the queue itself and nothing is being opened."""
        if self.opening or self.testing or len(self.entries) < self.max_size or not self.entries:
            return
        queued = None
        for entry in self.entries.values():
            if entry.owner is None:
                return
            if entry.owner != asking:
                # Looked up only when the first holder is not the caller itself, which is the rare case.
                queued = Counter(living(one.owner) for one in self.waiters) if queued is None else queued
                holder = living(entry.owner)
                if holder is None or holder not in queued:
                    return
        self.deadlocks += 1
        holders = tuple(f"connection {entry.id}{borrowed_at(entry.site)}" for entry in self.entries.values())
        if self.listening:
            self.actions.append(Tell(events.DeadlockDetected(holders)))
        if self.config.on_deadlock == "raise":
            raise explain_deadlock(holders)

    def _shed_load(self, now: float) -> None:
        head = next(iter(self.waiters), None)
        refused = self._shedding.judge(None if head is None else now - head.since, len(self.waiters), now)
        if refused is not None:
            self._reject("overloaded")
            raise refused

    def _may_come_back(self, *asking: object) -> bool:
        """Whether there is a connection whose holder is not one of those who wait, or ask now."""
        queued = {*map(living, asking), *(living(one.owner) for one in self.waiters)} - {None}
        return any(living(one.owner) not in queued for one in self.entries.values())

    def _could_open(self, now: float) -> bool:
        return len(self.waiters) < self.max_size - len(self.entries) and self.outage.retry_at <= now

    def _new_entry(self, conn: C, now: float) -> Entry[C]:
        self._next_id += 1
        life = self.config.max_lifetime
        expires = NEVER if life is None else now + life * (1.0 - self.config.lifetime_jitter * self.rng.random())
        entry = Entry(conn, self._next_id, now, expires, self.generation)
        entry.home = self.home
        self.entries[entry.id] = entry
        self._fewest_idle = len(self.entries) - self.peak_in_use
        entry.state = TESTING  # belongs to nobody until `_keep` has decided; counted by no gauge but `size`
        return entry

    def _keep(self, entry: Entry[C], now: float) -> None:
        """Hands a good connection to the first in the queue, or makes it idle, or closes it after all."""
        if entry.generation != self.generation or self.state in ("closing", "closed"):
            self._drop(entry, "pool_closed" if self.state in ("closing", "closed") else "stale", now)
        elif entry.expires <= now:
            self._drop(entry, "lifetime", now)
        elif len(self.entries) > self.max_size:
            self._drop(entry, "surplus", now)
        else:
            entry.since = entry.seen = now
            if self.waiters and self.state == "open":
                self._serve(entry)
                return
            if not self._keeps:
                self._drop(entry, "surplus", now)
                self._settle()
                return
            entry.state = IDLE
            entry.fresh = False
            entry.owner = None
            self.idle.append(entry)
            at = now + self._idle_limit
            if entry.expires < at:
                at = entry.expires
            if at < self.wake_at:
                self._arm(max(self._reap_at(), self._last_reap + self.config.reaper_rate))
            if self.watchers:
                self._settle()
            return
        self._grow(now)
        self._settle()

    def _serve(self, entry: Entry[C]) -> None:
        """Hands an entry to the first caller in the queue that still wants it."""
        waiter, _ = self.waiters.popitem(last=False)
        while waiter.is_leaving and self.waiters:
            self.outcomes["cancelled"] += 1
            waiter.error = GIVEN_UP
            waiter, _ = self.waiters.popitem(last=False)
        entry.state = TESTING
        entry.owner = waiter.owner
        self.testing += 1
        waiter.entry = entry
        waiter.wake()

    def _fail_first(self, error: BaseException) -> None:
        waiter, _ = self.waiters.popitem(last=False)
        self.outcomes["failed"] += 1
        waiter.error = error
        waiter.wake()

    def _pop_idle(self, now: float) -> Entry[C] | None:
        while self.idle:
            entry = self.idle.popleft() if self._is_fifo else self.idle.pop()
            if entry.expires > now:
                return entry
            self._drop(entry, "lifetime", now)
        return None

    def _unpop(self, entry: Entry[C]) -> None:
        if self._is_fifo:
            self.idle.appendleft(entry)
        else:
            self.idle.append(entry)

    def _remove(self, entry: Entry[C], reason: str, now: float) -> None:
        del self.entries[entry.id]
        self._fewest_idle = len(self.entries) - self.peak_in_use
        if self.shelf is None:
            self._set_shortcuts()
        entry.state = GONE
        entry.home = entry.owner = None
        self.closed[reason] += 1
        self.past_uses += entry.uses
        if self.listening:
            self.actions.append(Tell(events.ConnectionClosed(entry.id, reason, now - entry.born, entry.uses)))

    def _drop(self, entry: Entry[C], reason: str, now: float) -> None:
        self._remove(entry, reason, now)
        self.actions.append(Close(entry.conn))

    def _new_generation(self, now: float) -> None:
        self._outdate()
        if self.listening:
            self.actions.append(Tell(events.GenerationChanged(self.generation)))
        while self.idle:
            self._drop(self.idle.popleft(), "stale", now)

    def _outdate(self) -> None:
        self.generation += 1
        for entry in self.entries.values():
            entry.expires = -NEVER

    def _grow(self, now: float) -> None:
        """Asks for as many new connections as callers and `min_idle` want and the limits allow."""
        if self.state != "open":
            return
        if (
            self.outage.refusal is not None
            and self.outage.retry_at > now
            and self.waiters
            and not self._may_come_back()
        ):
            while self.waiters:
                self._fail_first(self.outage.refusal)
        want = max(len(self.waiters), self.min_idle - len(self.idle) - self.checking) - self.opening
        want = min(want, self.max_size - len(self.entries) - self.opening, self._cap - self.opening)
        if want <= 0:
            return
        if self.outage.retry_at > now:
            self._arm(self.outage.retry_at)
            return
        self.opening += want
        self.actions.extend([OPEN] * want)

    def _reap(self, now: float) -> None:
        kept: list[Entry[C]] = []
        for entry, verdict in judged(self.idle, len(self.idle) - self.min_idle, self.config, now):
            if verdict == "keep":
                kept.append(entry)
            elif verdict == "ping":
                entry.state = CHECKED
                self.checking += 1
                self.actions.append(Check(entry))
            else:
                self._drop(entry, verdict, now)
        self.idle.clear()
        self.idle.extend(kept)
        self.actions.extend(Suspect(entry, now - entry.since) for entry in overdue(self.lent(), self.config, now))

    def _reap_at(self) -> float:
        """When the next idle connection is due, or the next lease becomes suspicious."""
        at = due_at(self.idle, len(self.idle) - self.min_idle, self.config)
        return min(at, overdue_at(self.lent(), self.config))

    def _note_use(self) -> None:
        """Keeps the peak; `_fewest_idle` says when to look again, as long as no connection comes or goes."""
        self.peak_in_use = max(self.peak_in_use, self._in_use())
        self._fewest_idle = len(self.entries) - self.peak_in_use

    def _in_use(self) -> int:
        return len(self.entries) - len(self.idle) - self.testing - self.checking

    def _present_uses(self) -> int:
        return sum(entry.uses for entry in self.entries.values())

    def listen(self, is_on: bool) -> None:
        """Makes events from now on, or stops making them."""
        self.listening = is_on
        self._set_shortcuts()

    def watch(self, watcher: Wakeable) -> None:
        """Wakes somebody when the pool may have become empty, or ready."""
        self.watchers.append(watcher)
        self._set_shortcuts()

    def _set_shortcuts(self) -> None:
        """Whether lending from the idle ones, and putting one back there, asks for nothing more."""
        is_watched = self.listening or self.min_idle or self.config.leak_threshold is not None
        self.ready = self.idle if self.state == "open" and self._bypass and not is_watched else _NONE
        is_limited = self.config.max_uses is not None or len(self.entries) > self.max_size
        self.shelf = None if self.listening or self.watchers or is_limited else self.idle

    def _arm_leak(self, now: float) -> None:
        if self.config.leak_threshold is not None:
            self._arm(now + self.config.leak_threshold)

    def _wake(self, at: float) -> None:
        self.wake_at = at
        self._calm = at - self._idle_limit  # what becomes idle from then on is due later; NaN, as a limit, is none

    def _arm(self, at: float) -> None:
        if at < self.wake_at:
            self._wake(at)
            self.actions.append(Arm(at))

    def _settle(self) -> None:
        """Wakes those who wait for the pool to become empty or ready; they look for themselves."""
        if self.watchers:
            watchers, self.watchers = self.watchers, []
            self._set_shortcuts()
            for watcher in watchers:
                watcher.wake()


def _unavailable() -> PoolUnavailable:
    return PoolUnavailable("the database cannot be reached and the pool was told to fail fast")
