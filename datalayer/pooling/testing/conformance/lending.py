"""What every pool must do for those who borrow."""

from __future__ import annotations

import gc
import warnings
from functools import partial
from typing import Any

from datalayer.errors import (
    DoubleRelease,
    LeaseReleased,
    PoolConfigError,
    PoolError,
    PoolFull,
    PoolTimeout,
)
from datalayer.pooling import events
from datalayer.pooling.testing.conformance.bench import PoolBench
from datalayer.pooling.testing.conformance.scripts import Join, Script, Spawn, Until, Within, borrow, call, raising


def lends_in_a_block_and_takes_back(bench: PoolBench) -> Script:
    pool = bench.pool()

    def body(conn: Any) -> Script:
        yield call(bench.case.use, conn)
        assert pool.stats().in_use == 1

    yield Within(pool.acquire(), body)
    assert (pool.stats().in_use, pool.stats().idle) == (0, 1)


def same_connection_is_lent_again(bench: PoolBench) -> Script:
    pool = bench.pool()

    lease = yield pool.acquire
    first = lease.conn
    yield lease.release
    lease = yield pool.acquire
    assert lease.conn is first
    assert lease.uses == 2
    yield lease.release
    assert pool.stats().connections_opened == 1


def notes_live_with_the_connection(bench: PoolBench) -> Script:
    pool = bench.pool()

    lease = yield pool.acquire
    lease.info["seen"] = True
    yield lease.release
    lease = yield pool.acquire
    assert lease.info == {"seen": True}
    assert lease.age >= 0
    yield lease.release


def what_a_borrower_left_is_gone_at_return(bench: PoolBench) -> Script:
    pool = bench.pool()

    lease = yield pool.acquire
    yield call(bench.case.soil, lease.conn)
    yield lease.release
    lease = yield pool.acquire
    assert (yield call(bench.case.is_clean, lease.conn))
    yield lease.release
    assert pool.stats().connections_opened == 1


def broken_connection_is_closed_at_return(bench: PoolBench) -> Script:
    pool = bench.pool()
    lease = yield pool.acquire
    yield call(bench.case.close, lease.conn)
    yield lease.release
    lease = yield pool.acquire
    yield call(bench.case.use, lease.conn)
    yield lease.release
    assert pool.stats().closed_broken == 1


def second_release_is_refused_and_changes_nothing(bench: PoolBench) -> Script:
    pool = bench.pool()

    lease = yield pool.acquire
    yield lease.release
    before = pool.stats()
    with raising(DoubleRelease):
        yield lease.release
    assert (pool.stats().idle, pool.stats().returns) == (before.idle, before.returns)
    discarded = yield pool.acquire
    discarded.discard()
    with raising(DoubleRelease):
        yield discarded.release


def lease_is_of_no_use_after_its_end(bench: PoolBench) -> Script:
    pool = bench.pool()

    lease = yield pool.acquire
    yield lease.release
    with raising(LeaseReleased):
        lease.conn  # noqa: B018
    with raising(LeaseReleased):
        lease.info  # noqa: B018


def dropped_lease_warns_and_frees_its_place(bench: PoolBench) -> Script:
    heard: list[Any] = []
    pool = bench.pool(max_size=1, listeners=[heard.append])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield pool.acquire  # and nobody keeps what it gives
        yield gc.collect
    assert any(issubclass(one.category, ResourceWarning) for one in caught)
    again = yield call(pool.acquire, timeout=5.0)
    yield again.release
    assert (pool.stats().leaks, pool.stats().closed_abandoned) == (1, 1)
    assert any(isinstance(one, events.LeaseAbandoned) for one in heard)


def timeout_tells_reason_and_who_borrowed_where(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=1, on_deadlock="ignore")

    lease = yield pool.acquire
    with raising(PoolTimeout) as caught:
        yield call(pool.acquire, timeout=0.01)
    error = caught.value
    yield lease.release
    assert error.reason == "exhausted"
    assert error.stats.in_use == 1
    assert error.waited >= 0.01
    [holder] = error.holders
    assert "borrowed at" in holder
    assert isinstance(error, TimeoutError)
    assert pool.stats().acquires_timed_out == 1


def timeout_of_zero_serves_what_is_idle_and_else_ends_at_once(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=1, on_deadlock="ignore")

    lease = yield pool.acquire
    yield lease.release
    lease = yield call(pool.acquire, timeout=0)
    with raising(PoolTimeout):
        yield call(pool.acquire, timeout=0)
    yield lease.release


def try_acquire_takes_only_what_is_idle(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=2)

    assert (yield pool.try_acquire) is None
    lease = yield pool.acquire
    yield lease.release
    lease = yield pool.try_acquire
    assert lease is not None
    assert (yield pool.try_acquire) is None
    yield lease.release
    assert pool.stats().connections_opened == 1


def returned_connection_goes_to_who_asked_first(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=1, on_deadlock="ignore")
    order: list[int] = []

    def is_waiting(number: int) -> bool:
        return bool(pool.stats().waiting == number)

    def take(number: int) -> Script:
        lease = yield pool.acquire
        order.append(number)
        yield lease.release

    lease = yield pool.acquire
    waiters: list[Any] = []
    for number in range(4):
        waiters.append((yield Spawn(take(number))))
        yield Until(partial(is_waiting, number + 1))
    yield lease.release
    for waiter in waiters:
        yield Join(waiter)
    assert order == [0, 1, 2, 3]
    assert pool.stats().acquires_waited >= 4


def callers_of_one_moment_wait_but_as_many_as_connections_are_idle(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=1, on_deadlock="ignore")

    def take(started: int) -> Script:
        lease = yield pool.acquire
        yield Until(lambda: pool.stats().acquires_started == started)
        yield lease.release

    lease = yield pool.acquire
    yield lease.release
    before = pool.stats()
    borrowers: list[Any] = []
    for _ in range(4):
        borrowers.append((yield Spawn(take(before.acquires_started + 4))))
    for borrower in borrowers:
        yield Join(borrower)
    after = pool.stats()
    assert after.acquires_immediate - before.acquires_immediate == 1
    assert after.acquires_waited - before.acquires_waited == 3


def caller_without_a_limit_waits_until_it_is_served(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=1, connection_timeout=0.01)

    lease = yield call(pool.acquire, timeout=None)
    waiter = yield Spawn(borrow(pool, timeout=None))
    yield Until(lambda: pool.stats().waiting == 1)
    yield lease.release
    yield Join(waiter)
    assert pool.stats().acquires_waited >= 1


def wrong_times_are_refused_before_anything_happens(bench: PoolBench) -> Script:
    pool = bench.pool(min_idle=int(bench.case.keeps))

    for timeout in (-1, "3", float("nan"), True):
        for method in (pool.acquire, pool.wait_ready, pool.close):
            with raising(PoolConfigError):
                yield call(method, timeout=timeout)
    assert (pool.state, pool.stats().acquires_started, pool.stats().connections_opened) == ("new", 0, 0)


def dedicated_connection_is_not_the_pools(bench: PoolBench) -> Script:
    pool = bench.pool()

    link = yield pool.dedicated
    yield call(bench.case.use, link)
    assert pool.stats().size == 0
    yield call(bench.case.close, link)


def added_connection_is_lent_and_a_full_pool_hands_it_back(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=1)

    link = yield pool.dedicated
    if "add" in bench.case.excused:
        with raising(PoolError):
            yield call(pool.add, link)
        yield call(bench.case.close, link)
        return
    yield pool.open
    yield call(pool.add, link)
    lease = yield pool.acquire
    assert lease.conn is link
    other = yield pool.dedicated
    with raising(PoolFull) as caught:
        yield call(pool.add, other)
    assert caught.value.connection is other
    yield call(bench.case.close, other)
    yield lease.release


def detached_connection_is_the_callers(bench: PoolBench) -> Script:
    pool = bench.pool()

    lease = yield pool.acquire
    link = lease.conn
    if "detach" in bench.case.excused:
        with raising(PoolError):
            lease.detach()
        return
    assert lease.detach() is link
    assert pool.stats().closed_detached == 1
    yield call(bench.case.close, link)


SCRIPTS = (
    lends_in_a_block_and_takes_back, same_connection_is_lent_again, notes_live_with_the_connection,
    what_a_borrower_left_is_gone_at_return, broken_connection_is_closed_at_return,
    second_release_is_refused_and_changes_nothing, lease_is_of_no_use_after_its_end,
    dropped_lease_warns_and_frees_its_place, timeout_tells_reason_and_who_borrowed_where,
    timeout_of_zero_serves_what_is_idle_and_else_ends_at_once, try_acquire_takes_only_what_is_idle,
    returned_connection_goes_to_who_asked_first, callers_of_one_moment_wait_but_as_many_as_connections_are_idle,
    caller_without_a_limit_waits_until_it_is_served, wrong_times_are_refused_before_anything_happens,
    dedicated_connection_is_not_the_pools, added_connection_is_lent_and_a_full_pool_hands_it_back,
    detached_connection_is_the_callers,
)  # fmt: skip
