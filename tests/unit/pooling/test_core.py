"""The core alone: time is a number, opening is a call, and nothing waits."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from datalayer.errors import PoolClosed, PoolDeadlock, PoolFull, PoolOverloaded, PoolUnavailable, TooManyWaiting
from datalayer.pooling import PoolConfig
from datalayer.pooling.actions import Arm, Check, Close, Open, Suspect, Tell
from datalayer.pooling.core import Core
from datalayer.pooling.entry import LENT, TESTING, Entry


class Waiter:
    def __init__(self, owner: object = None) -> None:
        self.entry: Entry[str] | None = None
        self.error: BaseException | None = None
        self.is_leaving = False
        self.owner = owner
        self.since = 0.0
        self.woken = False

    def wake(self) -> None:
        self.woken = True


class Bench:
    """A core, and what it has asked for so far."""

    def __init__(self, **options: Any) -> None:
        self.core: Core[str] = Core(PoolConfig(**options), rng=Random(1), listening=True)
        self.to_open = 0
        self.closed: list[str] = []
        self.armed: float | None = None
        self.events: list[object] = []
        self.to_check: list[Entry[str]] = []
        self.suspects: list[tuple[int, float]] = []
        self.made = 0
        self.core.start(0.0)
        self.collect()

    def collect(self) -> None:
        actions, self.core.actions = self.core.actions, []
        for action in actions:
            if isinstance(action, Open):
                self.to_open += 1
            elif isinstance(action, Close):
                self.closed.append(action.conn)
            elif isinstance(action, Arm):
                self.armed = action.at
            elif isinstance(action, Tell):
                self.events.append(action.event)
            elif isinstance(action, Check):
                self.to_check.append(action.entry)
            elif isinstance(action, Suspect):
                self.suspects.append((action.entry.id, action.held))

    def open(self, now: float) -> str:
        self.to_open -= 1
        self.made += 1
        name = f"c{self.made}"
        self.core.opened(name, now, 0.0)
        self.collect()
        return name

    def lend(self, now: float, owner: object = None) -> Entry[str]:
        """An acquire that goes well, whatever it takes."""
        entry = self.core.take(now, owner)
        self.collect()
        if entry is None:
            waiter = Waiter(owner)
            self.core.queue(waiter, now)
            self.collect()
            while waiter.entry is None:
                self.open(now)
            entry = waiter.entry
            self.core.confirm(entry, now, 0.0, queued=True)
        elif entry.state == TESTING:
            self.core.confirm(entry, now, 0.0, queued=False)
        self.collect()
        return entry

    def give(self, entry: Entry[str], now: float, drop: str | None = None) -> None:
        self.core.give_back(entry, now, drop)
        self.collect()

    def wait(self, now: float, owner: object = None) -> Waiter:
        """A caller who finds nothing idle."""
        assert self.core.take(now, owner) is None
        waiter = Waiter(owner)
        self.core.queue(waiter, now)
        self.collect()
        return waiter

    def tick(self, now: float) -> None:
        self.core.tick(now)
        self.collect()


def test_lifo_and_fifo() -> None:
    for strategy, expected in (("lifo", 3), ("fifo", 1)):
        bench = Bench(queue_strategy=strategy)
        entries = [bench.lend(0.0) for _ in range(3)]
        for entry in entries:
            bench.give(entry, 1.0)
        assert bench.lend(2.0).id == expected


def test_idle_connections_go_down_to_min_idle_and_no_further() -> None:
    bench = Bench(min_idle=1, idle_timeout=10.0, max_lifetime=None, reaper_rate=1.0)
    bench.open(0.0)
    entries = [bench.lend(0.0) for _ in range(3)]
    while bench.to_open:
        bench.open(0.0)
    for entry in entries:
        bench.give(entry, 0.0)
    assert len(bench.core.idle) == 4
    assert bench.armed is not None
    bench.tick(10.0)
    assert len(bench.core.idle) == 1
    assert bench.core.closed["idle"] == 3


def test_old_connection_is_replaced_but_never_while_lent() -> None:
    bench = Bench(max_lifetime=100.0, lifetime_jitter=0.0, idle_timeout=None)
    entry = bench.lend(0.0)
    bench.tick(500.0)
    assert entry.state == LENT
    bench.give(entry, 500.0)
    assert bench.core.closed["lifetime"] == 1
    assert bench.closed == ["c1"]


def test_old_idle_connection_is_not_lent() -> None:
    bench = Bench(max_lifetime=100.0, lifetime_jitter=0.0)
    bench.give(bench.lend(0.0), 1.0)
    assert bench.lend(100.0).id == 2
    assert bench.closed == ["c1"]


def test_lifetimes_are_spread() -> None:
    bench = Bench(max_lifetime=100.0, lifetime_jitter=0.1, max_size=50)
    ends = [bench.lend(0.0).expires for _ in range(50)]
    assert all(90.0 <= end <= 100.0 for end in ends)
    assert max(ends) - min(ends) > 7.0


def test_max_uses() -> None:
    bench = Bench(max_uses=2)
    bench.give(bench.lend(0.0), 0.0)
    bench.give(bench.lend(0.0), 0.0)
    assert bench.core.closed["max_uses"] == 1


def test_new_generation_closes_idle_now_and_lent_at_return() -> None:
    bench = Bench()
    idle, lent = bench.lend(0.0), bench.lend(0.0)
    bench.give(idle, 0.0)
    bench.core.invalidate(1.0)
    bench.collect()
    assert bench.closed == ["c1"]
    bench.give(lent, 2.0)
    assert bench.closed == ["c1", "c2"]
    assert bench.core.closed["stale"] == 2


def test_failed_opens_pause_longer_each_time_and_probe_alone() -> None:
    bench = Bench(backoff_initial=0.25, backoff_max=4.0, backoff_jitter=0.0, max_opening=4)
    waiters = [Waiter() for _ in range(4)]
    for waiter in waiters:
        assert bench.core.take(0.0, None) is None
        bench.core.queue(waiter, 0.0)
    bench.collect()
    assert bench.to_open == 4
    now, pauses = 0.0, []
    for _ in range(4):  # the four that were begun
        bench.core.open_failed(OSError("down"), now, fatal=False)
        bench.collect()
    bench.to_open = 0
    for _ in range(4):
        assert bench.armed is not None
        pauses.append(bench.armed - now)
        now = bench.armed
        bench.tick(now)
        assert bench.to_open == 1  # one probe, however many wait
        bench.to_open = 0
        bench.core.open_failed(OSError("down"), now, fatal=False)
        bench.collect()
    assert pauses == [0.25, 0.5, 1.0, 1.0]  # somebody waits: see the next test
    assert bench.core.reason() == "unavailable"
    now += 4.0
    bench.tick(now)
    bench.open(now)
    assert waiters[0].entry is not None
    assert bench.to_open == 2  # slow start: two at a time after the first success


@pytest.mark.parametrize(("waits", "pause"), [(True, 1.0), (False, 10.0)])
def test_pause_is_short_while_somebody_waits(waits: bool, pause: float) -> None:
    bench = Bench(min_idle=1, backoff_jitter=0.0)
    if waits:
        bench.wait(0.0)
    now = 0.0
    for _ in range(20):
        bench.to_open = 0
        bench.core.open_failed(OSError("down"), now, fatal=False)
        bench.collect()
        assert bench.armed is not None
        now, before = bench.armed, now
        bench.tick(now)
    assert now - before == pytest.approx(pause)


def test_new_caller_has_a_server_that_is_down_asked_at_once() -> None:
    bench = Bench(min_idle=1, backoff_jitter=0.0)
    for now in (0.0, 10.0, 20.0, 30.0, 40.0, 50.0):
        bench.core.tick(now)
        bench.core.open_failed(OSError("down"), now, fatal=False)
    bench.collect()
    bench.to_open = 0
    bench.wait(53.0)  # the next attempt would be at 60
    bench.tick(53.0)
    assert bench.to_open == 1


def test_refused_caller_waits_for_who_may_give_back() -> None:
    bench = Bench(max_size=3)
    mine, lent = bench.lend(0.0, "me"), bench.lend(0.0, "you")
    first = bench.wait(0.0, "me")
    bench.to_open = 0
    bench.core.open_failed(PermissionError("wrong password"), 0.0, fatal=True)
    second = bench.wait(0.0, "them")
    assert not first.woken
    assert bench.core.take(0.0, "you") is None
    with pytest.raises(PermissionError):  # nobody but those who wait holds a connection
        bench.core.queue(Waiter("you"), 0.0)
    bench.give(lent, 0.05)
    assert first.entry is lent
    bench.give(mine, 0.05)
    assert second.entry is mine
    assert bench.core.stats().acquires_failed == 1


def test_refused_caller_fails_when_the_last_connection_is_lost() -> None:
    bench = Bench(max_size=2)
    lent = bench.lend(0.0, "you")
    waiter = bench.wait(0.0, "me")
    error = PermissionError("wrong password")
    bench.core.open_failed(error, 0.0, fatal=True)
    bench.collect()
    assert waiter.error is None
    bench.give(lent, 0.05, "broken")
    assert waiter.error is error


def test_lease_that_is_passed_on_to_one_who_waits_is_refused_and_keeps_its_holder() -> None:
    bench = Bench(max_size=2)
    mine, yours = bench.lend(0.0, "me"), bench.lend(0.0, "you")
    bench.wait(0.0, "me")
    bench.wait(0.0, "them")
    with pytest.raises(PoolDeadlock):
        bench.core.transfer(yours, "them")
    assert yours.owner == "you"
    bench.core.transfer(yours, "somebody")
    bench.core.transfer(mine, "them")
    assert (mine.owner, yours.owner) == ("them", "somebody")
    assert (bench.core.deadlocks, bench.core.stats().acquires_rejected) == (1, 0)


def test_fatal_error_fails_the_whole_queue() -> None:
    bench = Bench(max_size=1)
    waiters = [Waiter(n) for n in range(3)]
    for waiter in waiters:
        bench.core.take(0.0, None)
        bench.core.queue(waiter, 0.0)
    error = PermissionError("wrong password")
    bench.core.open_failed(error, 0.0, fatal=True)
    assert [waiter.error for waiter in waiters] == [error] * 3
    assert bench.core.stats().acquires_failed == 3


def test_outage_is_told_and_may_fail_fast() -> None:
    bench = Bench(unavailable_after=5.0, fail_fast=True)
    waiter = Waiter()
    bench.core.take(0.0, None)
    bench.core.queue(waiter, 0.0)
    bench.core.open_failed(OSError("down"), 0.0, fatal=False)
    bench.tick(20.0)
    bench.core.open_failed(OSError("down"), 20.0, fatal=False)
    bench.collect()
    assert isinstance(waiter.error, PoolUnavailable)
    with pytest.raises(PoolUnavailable):
        bench.core.take(20.0, None)
    assert "Unavailable" in [type(event).__name__ for event in bench.events]
    bench.core.stats()


def test_deadlock_needs_every_holder_in_the_queue() -> None:
    bench = Bench(max_size=2)
    bench.lend(0.0, "a")
    bench.lend(0.0, "b")
    assert bench.core.take(0.0, "a") is None
    bench.core.queue(Waiter("a"), 0.0)  # b can still return
    assert bench.core.take(0.0, "b") is None
    with pytest.raises(PoolDeadlock):
        bench.core.queue(Waiter("b"), 0.0)


def test_queue_limit_does_not_count_those_an_open_will_serve() -> None:
    bench = Bench(max_size=2, max_waiting=0, on_deadlock="ignore")
    for _ in range(2):
        assert bench.core.take(0.0, None) is None
        bench.core.queue(Waiter(), 0.0)
    assert bench.core.take(0.0, None) is None
    with pytest.raises(TooManyWaiting):
        bench.core.queue(Waiter(), 0.0)


def test_pause_and_resume() -> None:
    bench = Bench(max_size=1)
    bench.give(bench.lend(0.0), 0.0)
    bench.core.pause()
    assert bench.core.take(1.0, None) is None
    waiter = Waiter()
    bench.core.queue(waiter, 1.0)
    assert bench.core.reason() == "paused"
    bench.core.resume(2.0)
    assert waiter.woken


def test_closed_core_refuses_and_adds_nothing() -> None:
    bench = Bench()
    bench.core.stop(0.0)
    with pytest.raises(PoolClosed):
        bench.core.take(0.0, None)
    with pytest.raises(PoolClosed):
        bench.core.add("x", 0.0)


def test_add_respects_max_size() -> None:
    bench = Bench(max_size=1)
    bench.core.add("x", 0.0)
    with pytest.raises(PoolFull):
        bench.core.add("y", 0.0)


def test_idle_connection_is_pinged_so_often_and_still_grows_idle() -> None:
    bench = Bench(keepalive=10.0, idle_timeout=25.0, max_lifetime=None, reaper_rate=1.0)
    bench.give(bench.lend(0.0), 0.0)
    assert bench.armed == 10.0
    bench.tick(10.0)
    [entry] = bench.to_check
    assert list(bench.core.idle) == []
    bench.core.checked(entry, 10.0, good=True)
    bench.collect()
    assert list(bench.core.idle) == [entry]
    bench.tick(20.0)
    assert bench.to_check == [entry, entry]
    bench.core.checked(entry, 20.0, good=True)
    bench.tick(25.0)
    assert bench.closed == ["c1"]
    assert bench.core.closed["idle"] == 1


def test_connection_that_fails_its_keepalive_is_closed() -> None:
    bench = Bench(keepalive=10.0, reaper_rate=1.0)
    bench.give(bench.lend(0.0), 0.0)
    bench.tick(10.0)
    bench.core.checked(bench.to_check[0], 10.0, good=False)
    bench.collect()
    assert bench.core.closed["invalid"] == 1


def test_long_lease_is_suspected_once_for_each_use() -> None:
    bench = Bench(leak_threshold=5.0, reaper_rate=1.0)
    entry = bench.lend(0.0, owner="me")
    bench.tick(4.0)
    assert bench.suspects == []
    bench.tick(5.0)
    bench.tick(9.0)
    assert bench.suspects == [(1, 5.0)]
    bench.give(entry, 10.0)
    bench.lend(10.0, owner="me")
    bench.tick(15.0)
    assert bench.suspects == [(1, 5.0), (1, 5.0)]


def test_newest_caller_is_turned_away_when_the_oldest_waits_too_long_for_too_long() -> None:
    bench = Bench(max_size=1, queue_target=1.0, queue_interval=2.0)
    entry = bench.lend(0.0)
    first = Waiter()
    bench.core.queue(first, 0.0)
    for now in (0.5, 1.5, 3.4):
        bench.core.queue(Waiter(), now)  # too slow since 1.5
    with pytest.raises(PoolOverloaded, match="queue_target"):
        bench.core.queue(Waiter(), 3.5)
    assert bench.core.stats().acquires_rejected == 1
    for waiter in list(bench.core.waiters):
        bench.core.abandon(waiter, 3.6, "cancelled")
    bench.core.queue(Waiter(), 3.7)
    bench.give(entry, 3.8)


def test_connections_that_are_pinged_for_nobody_count_as_idle_and_are_not_replaced() -> None:
    bench = Bench(min_idle=2, keepalive=10.0, idle_timeout=None, reaper_rate=1.0)
    while bench.to_open:
        bench.open(0.0)
    bench.tick(10.0)
    assert len(bench.to_check) == 2
    stats = bench.core.stats()
    assert (stats.idle, stats.in_use, stats.opening) == (2, 0, 0)
    assert list(bench.core.lent()) == []


def test_caller_whose_ping_failed_counts_among_those_who_waited_most() -> None:
    bench = Bench()
    bench.give(bench.lend(0.0), 0.0)
    entry = bench.core.take(1.0, None)
    assert entry is not None
    bench.core.ping_failed(entry, Waiter(), 1.0, OSError("no pong"), lost=False)
    assert bench.core.stats().peak_waiting == 1
