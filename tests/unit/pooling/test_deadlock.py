"""A deadlock of callers is found at once, and nothing that can still end by itself is taken for one."""

from __future__ import annotations

from typing import Any

import pytest

from datalayer.errors import PoolDeadlock, PoolTimeout
from datalayer.pooling import Pool, PoolConfig
from datalayer.pooling.events import DeadlockDetected
from datalayer.pooling.testing import SimPool, SimServer, check_stats


def greedy(pool: SimPool, pause: float = 1.0, after: float = 0.0) -> Any:
    """Borrows a connection, and after a while a second one."""
    with (yield from pool.acquire(10.0)):
        yield from pool.sleep(pause)
        with (yield from pool.acquire(10.0)):
            yield from pool.sleep(after)


def modest(pool: SimPool, hold: float) -> Any:
    with (yield from pool.acquire(10.0)):
        yield from pool.sleep(hold)


def test_the_last_one_to_ask_is_told_and_the_others_go_on() -> None:
    pool = SimPool(PoolConfig(max_size=3))
    tasks = [pool.spawn(greedy(pool), at=number * 0.1) for number in range(3)]
    report = pool.run()
    assert [type(task.error) for task in tasks] == [type(None), type(None), PoolDeadlock]
    assert report.seconds < 2.0  # found at once, not by a timeout
    assert (report.stats.deadlocks, report.stats.acquires_rejected) == (1, 1)
    check_stats(report.stats)


def test_error_names_each_connection_and_where_it_was_borrowed() -> None:
    pool = SimPool(PoolConfig(max_size=2))
    tasks = [pool.spawn(greedy(pool)) for _ in range(2)]
    pool.run()
    [error] = [str(task.error) for task in tasks if task.error is not None]
    assert error.count("test_deadlock.py:") == 2
    assert "raise max_size" in error


def test_somebody_who_can_still_return_his_is_no_deadlock() -> None:
    pool = SimPool(PoolConfig(max_size=3))
    tasks = [pool.spawn(greedy(pool)), pool.spawn(greedy(pool)), pool.spawn(modest(pool, 5.0))]
    assert pool.run().stats.deadlocks == 0
    assert [task.error for task in tasks] == [None, None, None]


def test_connection_that_is_being_opened_is_no_deadlock() -> None:
    pool = SimPool(PoolConfig(max_size=2), SimServer(connect_time=0.1).at(0.5, connect_time=5.0))
    task = pool.spawn(greedy(pool))
    assert pool.run().stats.deadlocks == 0
    assert task.error is None


def test_connection_that_is_being_pinged_is_no_deadlock() -> None:
    pool = SimPool(PoolConfig(max_size=2), SimServer(ping_time=0.5))
    pool.spawn(modest(pool, 0.2))  # leaves an idle connection
    first = pool.spawn(greedy(pool, pause=0.6), at=1.0)
    second = pool.spawn(modest(pool, 0.1), at=1.05)
    assert pool.run().stats.deadlocks == 0
    assert first.error is second.error is None


def test_outage_is_no_deadlock() -> None:
    pool = SimPool(PoolConfig(max_size=2), SimServer().at(0.5, "down").at(4.0, "up"))
    task = pool.spawn(greedy(pool))
    assert pool.run().stats.deadlocks == 0
    assert task.error is None


def test_lease_that_was_passed_on_is_its_new_holders() -> None:
    pool = SimPool(PoolConfig(max_size=1))
    leases: list[Any] = []

    def giver() -> Any:
        leases.append((yield from pool.acquire()))
        yield from pool.sleep(2.0)
        with (yield from pool.acquire(10.0)):  # no deadlock: somebody else has the first one by now
            return pool.seconds

    def taker() -> Any:
        leases[0].transfer()
        yield from pool.sleep(4.0)
        leases[0].release()

    task = pool.spawn(giver())
    pool.spawn(taker(), at=1.0)
    assert pool.run().stats.deadlocks == 0
    assert task.result == pytest.approx(5.0, abs=0.1)


def test_lease_that_was_passed_on_to_one_who_waits_is_a_deadlock() -> None:
    pool = SimPool(PoolConfig(max_size=1))
    leases: list[Any] = []

    def giver() -> Any:
        leases.append((yield from pool.acquire()))

    def taker() -> Any:
        leases[0].transfer()
        with pytest.raises(PoolDeadlock):
            yield from pool.acquire()
        leases[0].release()

    pool.spawn(giver())
    task = pool.spawn(taker(), at=1.0)
    pool.run()
    assert task.error is None


def test_warning_lets_the_caller_wait_and_tells_the_listeners() -> None:
    heard: list[object] = []
    pool = SimPool(PoolConfig(max_size=1, on_deadlock="warn"), listeners=[heard.append])
    task = pool.spawn(greedy(pool))
    pool.run()
    assert isinstance(task.error, PoolTimeout)
    [event] = [one for one in heard if isinstance(one, DeadlockDetected)]
    assert "borrowed at" in event.holders[0]


def test_ignored_deadlock_ends_by_its_timeout() -> None:
    pool = SimPool(PoolConfig(max_size=1, on_deadlock="ignore"))
    task = pool.spawn(greedy(pool))
    assert pool.run().stats.deadlocks == 0
    assert isinstance(task.error, PoolTimeout)


def test_two_threads_that_wait_for_each_other_are_found() -> None:
    import threading

    from pooling_fakes import FakeConnector

    both = threading.Barrier(2)
    ends: list[str] = []

    def work() -> None:
        with pool.acquire():
            both.wait()
            try:
                with pool.acquire(30.0):
                    ends.append("served")
            except PoolDeadlock:
                ends.append("deadlock")

    with Pool(FakeConnector(), PoolConfig(max_size=2)) as pool:
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(ends) == ["deadlock", "served"]
