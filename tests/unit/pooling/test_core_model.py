"""The core against a model of its own: any order of anything that can happen to a pool.

The model knows nothing of the core's state. It is told what was asked and what came back, keeps its own queue, its own
connections with their ages and its own counts, and says before each acquire and each return what must come of it. The
mutations it was seen to find are listed at the end of this file.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from datalayer.errors import PoolClosed, PoolFull, TooManyWaiting
from datalayer.pooling import PoolConfig
from datalayer.pooling.actions import Arm, Check, Close, Open, Tell
from datalayer.pooling.core import Core
from datalayer.pooling.entry import LENT, TESTING, Entry
from datalayer.pooling.events import CheckedIn, CheckedOut, ConnectionClosed, ConnectionOpened
from datalayer.pooling.testing import check_stats

LIFE, IDLE_TIMEOUT, MAX_WAITING, MAX_OPENING = 50.0, 20.0, 6, 3
OUTCOMES = ("immediate", "waited", "timed_out", "cancelled", "rejected", "failed")


class Connection:
    """What the model knows of a connection; the core only passes it on."""

    def __init__(self, number: int, now: float) -> None:
        self.number = number
        self.born = self.seen = self.since = now
        self.uses = 0
        self.is_stale = self.is_closed = self.was_idle = False
        self.place = "nowhere"  # idle, testing, lent, checked

    def has_expired(self, now: float) -> bool:
        return now >= self.born + LIFE

    def __repr__(self) -> str:
        return f"<{self.number} {self.place}>"


class Caller:
    """A waiter, which notes when it is woken."""

    def __init__(self, began: float) -> None:
        self.entry: Entry[Connection] | None = None
        self.error: BaseException | None = None
        self.is_leaving = False
        self.owner: object = object()
        self.since = 0.0
        self.began = began
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


class PoolMachine(RuleBasedStateMachine):
    @initialize(
        max_size=st.integers(1, 4),
        min_idle=st.integers(0, 2),
        bypass=st.sampled_from([0.0, 5.0]),
        uses=st.sampled_from([None, 2]),
        strategy=st.sampled_from(["lifo", "fifo"]),
        listening=st.booleans(),
        keepalive=st.sampled_from([None, 8.0]),
    )
    def start(
        self, max_size: int, min_idle: int, bypass: float, uses: int | None, strategy: Any, listening: bool,
        keepalive: float | None,
    ) -> None:  # fmt: skip
        self.now = 0.0
        self.max_size, self.min_idle = max_size, min(min_idle, max_size)
        self.bypass, self.max_uses, self.is_lifo, self.keepalive = bypass, uses, strategy == "lifo", keepalive
        config = PoolConfig(
            max_size=max_size, min_idle=self.min_idle, test_bypass=bypass, max_uses=uses, queue_strategy=strategy,
            max_lifetime=LIFE, lifetime_jitter=0.0, idle_timeout=IDLE_TIMEOUT, reaper_rate=1.0, on_deadlock="ignore",
            max_waiting=MAX_WAITING, max_opening=MAX_OPENING, backoff_initial=0.5, backoff_max=2.0, keepalive=keepalive,
        )  # fmt: skip
        self.core: Core[Connection] = Core(config, rng=Random(1), listening=listening)
        self.is_listening = listening
        # What the model knows.
        self.state = "open"
        self.queue: list[Caller] = []  # in the order in which they are to be served
        self.handed: list[Caller] = []  # woken with a connection, not yet looked
        self.lent: list[tuple[Entry[Connection], float]] = []
        self.testing: list[tuple[Entry[Connection], Caller | None, float]] = []
        self.checking: list[Entry[Connection]] = []
        self.idle: list[Connection] = []
        self.existing: list[Connection] = []
        self.opening = 0
        self.made = 0
        self.is_refused = False  # the last attempt failed in a way that can only come again
        self.counts: Counter[str] = Counter()
        self.opened = self.added = self.ended = self.returns = 0
        self.peak_in_use = self.peak_waiting = 0
        self.used_for = self.longest_use = self.longest_wait = 0.0
        self.life: dict[int, str] = {}  # of each connection by its number in the core: what was told last
        self.armed = float("inf")
        self.core.start(0.0)
        self.look()

    # -- looking at what the core has done ------------------------------------------------------

    def look(self, returned: Connection | None = None) -> None:
        """Performs the actions of the core, and updates the model by what it sees of them."""
        actions, self.core.actions = self.core.actions, []
        closed: list[Connection] = []
        for action in actions:
            if isinstance(action, Open):
                self.opening += 1
            elif isinstance(action, Close):
                closed.append(action.conn)
            elif isinstance(action, Check):
                conn = action.entry.conn
                assert conn in self.idle
                self.idle.remove(conn)
                conn.place = "checked"
                self.checking.append(action.entry)
            elif isinstance(action, Arm):
                self.armed = action.at
            elif isinstance(action, Tell):
                self.heard(action.event)
        for conn in closed:
            assert not conn.is_closed, "closed twice"
            assert conn.place in ("idle", "returned"), f"{conn} was closed under its user"
            if conn.place == "idle":
                self.idle.remove(conn)
            conn.is_closed = True
            conn.place = "closed"
            self.existing.remove(conn)
            self.ended += 1
        # Whoever was woken has a connection that was on its way, and asked before all who still wait.
        for caller in [one for one in self.queue if one.woken]:
            assert caller.woken == 1
            assert self.queue[0] is caller, "served out of turn"
            self.queue.pop(0)
            if caller.error is not None:
                if isinstance(caller.error, OSError):
                    assert self.is_refused, "an old error was told"
                    assert not self.existing, "somebody may give one back"
                self.counts["failed"] += 1
                continue
            assert caller.entry is not None
            conn = caller.entry.conn
            assert conn.place in ("returned", "idle"), f"{conn} was handed out twice"
            assert not conn.is_stale, "a stale connection was handed out"
            assert not conn.has_expired(self.now), "an old connection was handed out"
            if conn.place == "idle":
                self.idle.remove(conn)
            conn.place = "testing"
            self.handed.append(caller)
        if returned is not None and returned.place == "returned":
            self.idle.append(returned)
            returned.place = "idle"
            returned.was_idle = True

    def heard(self, event: object) -> None:
        assert self.is_listening
        if isinstance(event, ConnectionOpened):
            self.life[event.id] = "opened"
        elif isinstance(event, CheckedOut):
            assert self.life.get(event.id, "added") in ("opened", "in", "added")
            self.life[event.id] = "out"
        elif isinstance(event, CheckedIn):
            assert self.life[event.id] == "out"
            self.life[event.id] = "in"
        elif isinstance(event, ConnectionClosed):
            assert self.life.get(event.id) != "closed"
            self.life[event.id] = "closed"

    def came(self, conn: Connection) -> None:
        self.existing.append(conn)
        conn.place = "returned"

    def outdate(self) -> None:
        for conn in self.existing:
            conn.is_stale = True

    # -- time -----------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 10.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        until = self.now + seconds
        while self.armed <= until:  # as the timer of a shell does
            self.now, self.armed = max(self.now, self.armed), float("inf")
            spare, before = max(len(self.idle) - self.min_idle, 0), self.core.stats().closed_idle
            self.core.tick(self.now)
            self.look()
            assert self.core.stats().closed_idle - before <= spare, "idle connections went below min_idle"
            if self.state == "open" and self.keepalive is None:
                spare = [one for one in self.idle if self.now - one.since >= IDLE_TIMEOUT + 1.0]
                assert len(self.idle) <= self.min_idle or not spare, "idle connections were forgotten"
        self.now = until

    @rule(seconds=st.sampled_from([10.0, 60.0]))
    def timer_is_late(self, seconds: float) -> None:
        """As after a suspended machine: what is due has not been done when the next caller comes."""
        self.now += seconds

    # -- acquire --------------------------------------------------------------------------------

    @rule()
    def acquire(self) -> None:
        entry: Entry[Connection] | None = None
        good = [one for one in self.idle if not one.has_expired(self.now)]
        expected = (good[-1] if self.is_lifo else good[0]) if good and self.state == "open" else None
        gone = len(self.queue)
        try:
            entry = self.core.take_ready(self.now, self) or self.core.take(self.now, self)
        except PoolClosed:
            assert self.state in ("closing", "closed")
            self.look()
            return
        assert self.state in ("open", "paused")
        if expected is None:
            assert entry is None
            self.look()
            caller = Caller(self.now)
            try:
                self.core.queue(caller, self.now)
            except TooManyWaiting:
                assert gone >= MAX_WAITING
                self.counts["rejected"] += 1
            except OSError:
                assert self.is_refused, "an old error was told"
                assert not self.existing, "somebody may give one back"
                self.counts["failed"] += 1
            else:
                self.queue.append(caller)
                self.peak_waiting = max(self.peak_waiting, len(self.queue))
            self.look()
            return
        assert entry is not None
        assert entry.conn is expected, "not the connection whose turn it was"
        self.idle.remove(expected)
        if self.now - expected.seen >= self.bypass:
            assert entry.state == TESTING
            expected.place = "testing"
            self.testing.append((entry, None, self.now))
        else:
            assert entry.state == LENT
            self.counts["immediate"] += 1
            self.lend(entry, 0.0)
        self.look()

    def lend(self, entry: Entry[Connection], waited: float) -> None:
        conn = entry.conn
        conn.place = "lent"
        conn.uses += 1
        self.lent.append((entry, self.now))
        self.peak_in_use = max(self.peak_in_use, len(self.lent))
        self.longest_wait = max(self.longest_wait, waited)

    @precondition(lambda self: self.handed)
    @rule(index=st.integers(0, 9))
    def caller_looks(self, index: int) -> None:
        caller = self.handed.pop(index % len(self.handed))
        entry = caller.entry
        assert entry is not None
        due = self.core.is_due(entry, self.now)
        assert due == (entry.conn.was_idle and self.now - entry.conn.seen >= self.bypass)
        self.testing.append((entry, caller, caller.began))

    @precondition(lambda self: self.queue or self.handed)
    @rule(index=st.integers(0, 9), outcome=st.sampled_from(["cancelled", "timed_out"]))
    def caller_gives_up(self, index: int, outcome: Any) -> None:
        everybody = [*self.queue, *self.handed]
        caller = everybody[index % len(everybody)]
        self.counts[outcome] += 1
        if outcome == "timed_out":
            self.longest_wait = max(self.longest_wait, self.now - caller.since)
        if caller in self.queue:
            self.queue.remove(caller)
            self.core.abandon(caller, self.now, outcome)
            self.look()
            return
        self.handed.remove(caller)
        assert caller.entry is not None
        conn = caller.entry.conn
        conn.place = "returned"
        must_close = self.must_close(conn)
        self.core.abandon(caller, self.now, outcome)
        conn.seen = conn.since = self.now
        self.look(conn)
        assert conn.is_closed == must_close

    @precondition(lambda self: self.queue)
    @rule(index=st.integers(0, 9))
    def caller_begins_to_leave(self, index: int) -> None:
        """Until it has left it may still be handed something, but only when nobody else waits."""
        caller = self.queue[index % len(self.queue)]
        if caller is self.queue[-1]:
            return
        caller.is_leaving = True
        self.queue.remove(caller)
        self.core.abandon(caller, self.now, "cancelled")
        self.counts["cancelled"] += 1
        self.look()

    @precondition(lambda self: self.testing)
    @rule(index=st.integers(0, 9), how=st.sampled_from(["good", "good", "bad", "lost", "cancelled"]))
    def ping_ends(self, index: int, how: str) -> None:
        entry, caller, began = self.testing.pop(index % len(self.testing))
        conn = entry.conn
        if how == "good":
            self.core.confirm(entry, self.now, self.now - began, queued=caller is not None)
            self.counts["immediate" if caller is None else "waited"] += 1
            self.lend(entry, self.now - began)
            self.look()
            return
        conn.place = "returned"
        if how == "cancelled":
            self.core.abandon_tested(entry, self.now)
            self.counts["cancelled"] += 1
            self.look()
            assert conn.is_closed
            return
        again = Caller(began)
        if how == "lost" and not conn.is_stale:
            self.outdate()
        try:
            # Before all who have not yet had their turn.
            self.queue.insert(0, again)
            self.core.ping_failed(entry, again, self.now, OSError("no pong"), lost=how == "lost")
        except PoolClosed:
            assert self.state in ("closing", "closed")
            self.queue.remove(again)
            self.counts["failed"] += 1
        else:
            assert self.state in ("open", "paused")
        self.look()
        self.peak_waiting = max(self.peak_waiting, len(self.queue))
        assert conn.is_closed

    # -- return ---------------------------------------------------------------------------------

    def must_close(self, conn: Connection) -> bool:
        """Whether a good connection may not be kept."""
        is_surplus = len(self.existing) > self.max_size
        return conn.is_stale or conn.has_expired(self.now) or is_surplus or self.state in ("closing", "closed")

    @precondition(lambda self: self.lent)
    @rule(index=st.integers(0, 9), how=st.sampled_from(["good", "good", "good", "broken", "discarded", "orphan"]))
    def give_back(self, index: int, how: str) -> None:
        entry, since = self.lent.pop(index % len(self.lent))
        conn = entry.conn
        self.count_use(since)
        conn.place = "returned"
        is_worn = self.max_uses is not None and conn.uses >= self.max_uses
        must_close = how != "good" or is_worn or self.must_close(conn)
        reason = {"good": "max_uses" if is_worn else self.reason(conn), "orphan": "abandoned"}.get(how, how)
        before = getattr(self.core.stats(), f"closed_{reason}")
        if how == "orphan":
            self.core.orphaned(entry, self.now)
        else:
            self.core.give_back(entry, self.now, None if how == "good" else how)
        conn.seen = conn.since = self.now
        self.look(conn)
        assert conn.is_closed == must_close
        assert getattr(self.core.stats(), f"closed_{reason}") == before + must_close

    def reason(self, conn: Connection) -> str:
        """Why a good connection is closed, if it is."""
        if self.state in ("closing", "closed"):
            return "pool_closed"
        if conn.is_stale:
            return "stale"
        return "lifetime" if conn.has_expired(self.now) else "surplus"

    @precondition(lambda self: self.lent)
    @rule(index=st.integers(0, 9))
    def detach(self, index: int) -> None:
        entry, since = self.lent.pop(index % len(self.lent))
        self.count_use(since)
        self.existing.remove(entry.conn)
        self.ended += 1
        self.core.give_up(entry, self.now)
        self.look()
        assert not entry.conn.is_closed

    def count_use(self, since: float) -> None:
        self.returns += 1
        self.used_for += self.now - since
        self.longest_use = max(self.longest_use, self.now - since)

    # -- the usual course of things, so that the unusual meets a pool in use ---------------------

    @rule(times=st.integers(1, 4), returns=st.sampled_from(["none", "one", "all", "all"]))
    def all_goes_well(self, times: int, returns: str) -> None:
        for _ in range(times):
            self.acquire()
            self.same_as_always()
        while self.opening or self.handed or self.testing:
            if self.opening:
                self.opening_ends("good")
            if self.handed:
                self.caller_looks(0)
            if self.testing:
                self.ping_ends(0, "good")
            self.same_as_always()
        while self.lent and returns != "none":
            self.give_back(0, "good")
            self.same_as_always()
            if returns == "one":
                break

    def same_as_always(self) -> None:
        self.counts_are_those_of_the_model()
        self.idle_connections_are_in_the_order_of_their_return()
        self.no_more_connections_than_allowed()

    # -- connections come and go ----------------------------------------------------------------

    @precondition(lambda self: self.opening)
    @rule(how=st.sampled_from(["good", "good", "good", "down", "fatal", "fatal", "configure"]))
    def opening_ends(self, how: str) -> None:
        self.opening -= 1
        self.is_refused = how == "fatal"
        if how == "good":
            self.made += 1
            self.opened += 1
            conn = Connection(self.made, self.now)
            self.came(conn)
            must_close = self.must_close(conn)
            self.core.opened(conn, self.now, 0.0)
            self.look(conn)
            assert conn.is_closed == must_close
            return
        if how == "configure":
            self.opened += 1
            self.ended += 1
        self.core.open_failed(OSError("down"), self.now, fatal=how == "fatal", configured=how != "configure")
        self.look()

    @rule()
    def add(self) -> None:
        conn = Connection(-1, self.now)
        has_room = len(self.existing) + self.opening < self.max_size
        try:
            self.came(conn)
            self.core.add(conn, self.now)
        except PoolClosed:
            assert self.state in ("closing", "closed")
            self.existing.remove(conn)
        except PoolFull:
            assert not has_room
            self.existing.remove(conn)
        else:
            assert has_room
            self.added += 1
            self.look(conn)

    @precondition(lambda self: self.checking)
    @rule(index=st.integers(0, 9), good=st.booleans())
    def check_ends(self, index: int, good: bool) -> None:
        entry = self.checking.pop(index % len(self.checking))
        conn = entry.conn
        conn.place = "returned"
        must_close = not good or self.must_close(conn)
        self.core.checked(entry, self.now, good=good)
        conn.seen = self.now
        self.look(conn)
        assert conn.is_closed == must_close

    @rule()
    def check(self) -> None:
        for entry in self.core.take_for_check():
            self.idle.remove(entry.conn)
            entry.conn.place = "checked"
            self.checking.append(entry)
        assert not self.idle

    @rule()
    def invalidate(self) -> None:
        self.outdate()
        self.core.invalidate(self.now)
        self.look()
        assert not self.idle

    @rule()
    def drain(self) -> None:
        assert self.core.drain(self.now) == len(self.idle)
        self.look()
        assert not self.idle

    @rule(max_size=st.sampled_from([1, 2, 3, 4, 4]), min_idle=st.integers(0, 2))
    def resize(self, max_size: int, min_idle: int) -> None:
        self.max_size, self.min_idle = max_size, min(min_idle, max_size)
        self.core.resize(self.now, self.max_size, self.min_idle)
        self.look()
        surplus = len(self.existing) + self.opening - max_size
        assert surplus <= 0 or not self.idle, "an idle connection too many was kept"

    # -- life -----------------------------------------------------------------------------------

    @rule(really=st.sampled_from([False, False, True]))
    def pause(self, really: bool) -> None:
        if not really:
            return
        self.core.pause()
        self.look()
        if self.state == "open":
            self.state = "paused"

    @rule()
    def resume(self) -> None:
        if self.state == "paused":
            self.state = "open"
        self.core.resume(self.now)
        self.look()

    @precondition(lambda self: self.now > 20.0)
    @rule()
    def close(self) -> None:
        if self.state in ("open", "paused"):
            self.state = "closing"
            self.outdate()
        self.core.stop(self.now)
        self.look()
        assert not self.queue
        assert not self.idle

    @precondition(lambda self: self.state == "closing")
    @rule()
    def finish_and_open_again(self) -> None:
        with contextlib.suppress(PoolClosed):
            self.core.start(self.now)
            pytest.fail("a pool that is being closed was opened")
        self.core.finish()
        self.core.start(self.now)
        self.state = "open"
        self.is_refused = False
        self.look()

    # -- what always holds ----------------------------------------------------------------------

    @invariant()
    def counts_are_those_of_the_model(self) -> None:
        if not hasattr(self, "state"):
            return
        stats = self.core.stats()
        if stats.size + stats.opening <= stats.max_size:
            check_stats(stats)
        assert {one: getattr(stats, f"acquires_{one}") for one in OUTCOMES} == {
            one: self.counts[one] for one in OUTCOMES
        }
        in_progress = len(self.queue) + len(self.handed) + len(self.testing)
        assert stats.acquires_started == sum(self.counts.values()) + in_progress
        assert (stats.waiting, stats.testing) == (len(self.queue), len(self.handed) + len(self.testing))
        idle = len(self.idle) + len(self.checking)
        assert (stats.size, stats.idle, stats.opening) == (len(self.existing), idle, self.opening)
        assert stats.in_use == len(self.lent)
        assert (stats.connections_opened, stats.connections_added) == (self.opened, self.added)
        assert (stats.closed, stats.returns, stats.state) == (self.ended, self.returns, self.state)
        assert stats.usage_time_total == pytest.approx(self.used_for)
        assert stats.usage_time_max == pytest.approx(self.longest_use)
        assert stats.wait_time_max == pytest.approx(self.longest_wait)
        assert stats.peak_waiting == self.peak_waiting
        assert stats.peak_in_use == self.peak_in_use

    @invariant()
    def idle_connections_are_in_the_order_of_their_return(self) -> None:
        if hasattr(self, "state"):
            assert [entry.conn for entry in self.core.idle] == self.idle

    @invariant()
    def no_more_connections_than_allowed(self) -> None:
        if hasattr(self, "state"):
            assert self.opening <= MAX_OPENING
            wanted = max(len(self.queue), self.min_idle - len(self.idle) - len(self.checking))
            assert self.opening <= max(wanted, self.opening_before)
            self.opening_before = self.opening

    opening_before = 0

    @invariant()
    def nobody_waits_beside_an_idle_connection(self) -> None:
        if hasattr(self, "state") and self.state == "open":
            assert not (self.queue and [one for one in self.idle if not one.has_expired(self.now)])

    @invariant()
    def nobody_waits_for_what_cannot_succeed(self) -> None:
        if hasattr(self, "state") and self.state == "open" and self.is_refused and not self.existing:
            assert self.opening or not self.queue, "the error is known, and nobody can give a connection back"

    @invariant()
    def whoever_waits_will_be_served(self) -> None:
        """Something is on its way: a connection that can return, one being opened, or an attempt that is due."""
        if hasattr(self, "state") and self.state == "open" and self.queue:
            assert self.opening or self.existing or self.armed < float("inf")
            has_room = len(self.existing) + self.opening < self.max_size
            if has_room and not self.opening:
                assert self.armed < float("inf"), "there is room, and nobody opens"


# A failure is told as it was found, at once: to make a machine's steps fewer takes minutes, and is for whoever asks.
PHASES = [one for one in Phase if one not in (Phase.shrink, Phase.explain) or os.environ.get("DATALAYER_TEST_SHRINK")]
PoolMachine.TestCase.settings = hypothesis_settings(
    max_examples=60, stateful_step_count=40, deadline=None, phases=PHASES
)
TestPoolMachine = PoolMachine.TestCase

# Seen to be found, each put into the core by hand: the last in the queue is served first; a caller whose ping failed
# goes to the end; a stale, worn or surplus connection is kept; a failed attempt, a ping of the queue or a
# refusal is not counted; a refused caller waits in vain, or is refused beside one who may give back; an abandoned or
# detached connection keeps its place; one connection more than max_size; lifo is fifo; cancelled counts as timed out;
# resume serves nobody; no growth after a broken return; no timer for the next attempt; the peak is not kept;
# connections that are pinged are replaced meanwhile.
