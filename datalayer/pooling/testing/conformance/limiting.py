"""What every pool must do at its limits: of size, of time, of the queue, and of those who wait for each other."""

from __future__ import annotations

from typing import Any

from datalayer.errors import PoolConfigError, PoolDeadlock, PoolTimeout, TooManyWaiting
from datalayer.pooling import events
from datalayer.pooling.testing.conformance.bench import PoolBench
from datalayer.pooling.testing.conformance.scripts import Join, Script, Spawn, Until, borrow, call, raising


def queue_is_limited(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=1, max_waiting=1, on_deadlock="ignore")

    lease = yield pool.acquire
    waiter = yield Spawn(borrow(pool))
    yield Until(lambda: pool.stats().waiting == 1)
    with raising(TooManyWaiting):
        yield pool.acquire
    yield lease.release
    yield Join(waiter)
    assert pool.stats().acquires_rejected == 1


def callers_that_gave_up_do_not_fill_the_queue(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=1, max_waiting=1, on_deadlock="ignore")

    lease = yield pool.acquire
    for _ in range(3):
        with raising(PoolTimeout):
            yield call(pool.acquire, timeout=0.01)
    yield lease.release


def queue_of_no_length_serves_what_can_be_served_and_refuses_the_rest(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=1, max_waiting=0, on_deadlock="ignore")

    lease = yield pool.acquire
    with raising(TooManyWaiting):
        yield pool.acquire
    yield lease.release
    lease = yield pool.acquire
    yield lease.release
    assert (pool.stats().acquires_rejected, pool.stats().connections_opened) == (1, 1)


def waiting_for_oneself_is_a_deadlock_found_at_once(bench: PoolBench) -> Script:
    heard: list[Any] = []
    pool = bench.pool(max_size=1, listeners=[heard.append])

    lease = yield pool.acquire
    with raising(PoolDeadlock):
        yield pool.acquire
    yield lease.release
    assert pool.stats().deadlocks == 1
    assert any(isinstance(one, events.DeadlockDetected) for one in heard)


def two_who_wait_for_each_other_are_a_deadlock(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=2)
    ends: list[str] = []

    def greedy() -> Script:
        first = yield pool.acquire
        yield Until(lambda: pool.stats().in_use == 2 or ends)
        try:
            second = yield pool.acquire
            yield second.release
            ends.append("served")
        except PoolDeadlock:
            ends.append("deadlock")
        yield first.release

    workers = [(yield Spawn(greedy())), (yield Spawn(greedy()))]
    for worker in workers:
        yield Join(worker)
    assert sorted(ends) == ["deadlock", "served"]


def holder_that_does_not_wait_is_no_deadlock(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=1)

    lease = yield pool.acquire
    waiter = yield Spawn(borrow(pool))
    yield Until(lambda: pool.stats().waiting == 1)
    yield lease.release
    yield Join(waiter)
    assert pool.stats().deadlocks == 0


def lease_that_was_passed_on_counts_for_its_new_holder(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=1)
    box: list[Any] = []

    def take_over() -> Script:
        yield Until(lambda: box)
        box[0].transfer()
        with raising(PoolDeadlock):
            yield pool.acquire
        yield box[0].release

    worker = yield Spawn(take_over())
    box.append((yield pool.acquire))
    yield Join(worker)


def raised_limit_serves_who_waits(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=1, on_deadlock="ignore")

    lease = yield pool.acquire
    waiter = yield Spawn(borrow(pool))
    yield Until(lambda: pool.stats().waiting == 1)
    yield call(pool.resize, max_size=2)
    yield Join(waiter)
    yield lease.release
    assert pool.stats().max_size == 2


def lowered_limit_closes_the_surplus_at_its_return(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=2)

    leases = [(yield pool.acquire), (yield pool.acquire)]
    yield call(pool.resize, max_size=1)
    yield leases[0].release
    yield Until(lambda: pool.stats().closed_surplus == 1)
    yield leases[1].release


def wrong_limit_is_refused_and_changes_nothing(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=2)

    with raising(PoolConfigError):
        yield call(pool.resize, max_size=-1)
    assert pool.stats().max_size == 2


def pool_without_room_is_refused_and_a_resize_to_none_changes_nothing(bench: PoolBench) -> Script:
    with raising(PoolConfigError):
        bench.pool(max_size=0)
    pool = bench.pool(max_size=2)

    with raising(PoolConfigError):
        yield call(pool.resize, max_size=0)
    assert (pool.config.max_size, pool.stats().max_size) == (2, 2)
    lease = yield pool.acquire
    yield lease.release


def connection_is_replaced_after_so_many_uses(bench: PoolBench) -> Script:
    pool = bench.pool(max_uses=2)

    for _ in range(3):
        lease = yield pool.acquire
        yield lease.release
    assert (pool.stats().closed_max_uses, pool.stats().connections_opened >= 2) == (1, True)


def old_connection_is_not_lent(bench: PoolBench) -> Script:
    pool = bench.pool(max_lifetime=100.0, idle_timeout=None)

    lease = yield pool.acquire
    first = lease.conn
    yield lease.release
    bench.clock.ahead += 101
    lease = yield pool.acquire
    assert lease.conn is not first
    yield lease.release
    assert pool.stats().closed_lifetime == 1


def connection_that_grows_old_while_lent_is_closed_at_its_return(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=1, max_lifetime=100.0)

    lease = yield pool.acquire
    first = lease.conn
    waiter = yield Spawn(borrow(pool))
    yield Until(lambda: pool.stats().waiting == 1)
    bench.clock.ahead += 101
    yield call(bench.case.use, lease.conn)
    yield lease.release
    assert (yield Join(waiter)) is not first
    assert pool.stats().closed_lifetime == 1


def idle_connections_end_after_their_time_down_to_min_idle(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=3, min_idle=1, idle_timeout=0.05, reaper_rate=0.01)

    leases: list[Any] = []
    for _ in range(3):
        leases.append((yield pool.acquire))
    for lease in leases:
        yield lease.release
    yield Until(lambda: pool.stats().closed_idle >= 2 and pool.stats().size == 1)


def min_idle_is_there_when_the_pool_says_it_is_ready(bench: PoolBench) -> Script:
    pool = bench.pool(min_idle=2)
    yield call(pool.open, wait=True)
    assert pool.stats().idle == 2


SCRIPTS = (
    queue_is_limited, callers_that_gave_up_do_not_fill_the_queue,
    queue_of_no_length_serves_what_can_be_served_and_refuses_the_rest,
    waiting_for_oneself_is_a_deadlock_found_at_once, two_who_wait_for_each_other_are_a_deadlock,
    holder_that_does_not_wait_is_no_deadlock, lease_that_was_passed_on_counts_for_its_new_holder,
    raised_limit_serves_who_waits, lowered_limit_closes_the_surplus_at_its_return,
    wrong_limit_is_refused_and_changes_nothing, pool_without_room_is_refused_and_a_resize_to_none_changes_nothing,
    connection_is_replaced_after_so_many_uses, old_connection_is_not_lent,
    connection_that_grows_old_while_lent_is_closed_at_its_return,
    idle_connections_end_after_their_time_down_to_min_idle, min_idle_is_there_when_the_pool_says_it_is_ready,
)  # fmt: skip
