"""The pool in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from datalayer.errors import (
    ConnectionFailed,
    ConnectionLost,
    PoolClosed,
    PoolDeadlock,
    PoolTimeout,
    ReadOnlyTransaction,
)
from datalayer.pooling import PoolConfig, PoolStats
from datalayer.pooling.testing import Cancelled, SimPool, SimServer, SimStuck, check_stats


def busy(seed: int, **config: Any) -> SimPool:
    server = SimServer(connect_time=0.02).at(3, "down").at(5, "up").at(8, "read_only").at(10, "frozen").at(11, "up")
    pool = SimPool(PoolConfig(max_size=4, connection_timeout=1.0, **config), server, seed=seed)
    pool.arrivals(rate=60, hold=0.05, seconds=15)
    return pool


@pytest.mark.parametrize("seed", range(5))
def test_same_seed_gives_the_same_run_and_its_numbers_add_up(seed: int) -> None:
    first, second = busy(seed).run(), busy(seed).run()
    assert first == second
    assert first.served > 400
    check_stats(first.stats)
    assert first != busy(seed + 100).run()


@pytest.mark.parametrize(
    "config",
    [
        {"min_idle": 2},
        {"keepalive": 0.5, "reaper_rate": 0.1},
        {"max_uses": 3},
        {"max_lifetime": 1.0, "reaper_rate": 0.1},
        {"queue_strategy": "fifo", "idle_timeout": 0.2, "reaper_rate": 0.05},
        {"max_waiting": 3},
        {"queue_target": 0.2, "queue_interval": 0.2},
        {"fail_fast": True, "unavailable_after": 0.5},
        {"test_bypass": 1.0},
    ],
    ids=str,
)
def test_nothing_is_lost_or_leaked_whatever_the_options(config: dict[str, Any]) -> None:
    pool = busy(1, **config)
    report = pool.run()
    pool.close()
    check_stats(pool.stats())
    assert (pool.stats().size, report.stats.in_use, report.stats.waiting) == (0, 0, 0)
    pool.run(until=100.0)  # what was still being opened
    assert pool.server.opened == pool.server.closed


def test_hour_passes_at_once() -> None:
    pool = SimPool()

    def client() -> Any:
        lease = yield from pool.acquire()
        yield from pool.use(lease, 3600.0)
        lease.release()
        return pool.seconds

    task = pool.spawn(client())
    assert pool.run().seconds == 3600.05
    assert task.result == 3600.05


def test_waiters_are_served_in_the_order_of_asking() -> None:
    pool = SimPool(PoolConfig(max_size=2))
    served: list[int] = []

    def client(number: int) -> Any:
        with (yield from pool.acquire()):
            served.append(number)
            yield from pool.sleep(1.0)

    for number in range(20):
        pool.spawn(client(number), at=number * 0.01)
    pool.run()
    assert served == list(range(20))


def test_cancelled_client_leaves_the_queue() -> None:
    pool = SimPool(PoolConfig(max_size=1))

    def client(seconds: float) -> Any:
        with (yield from pool.acquire(None)):
            yield from pool.sleep(seconds)

    pool.spawn(client(10.0))
    second, third = pool.spawn(client(1.0), at=1.0), pool.spawn(client(1.0), at=2.0)
    pool.at(5.0, second.cancel)
    report = pool.run()
    assert isinstance(second.error, Cancelled)
    assert (third.error, report.seconds) == (None, pytest.approx(11.05, abs=0.01))
    assert report.stats.acquires_cancelled == 1
    check_stats(report.stats)


def test_timeout_names_the_holder_and_where_it_borrowed() -> None:
    pool = SimPool(PoolConfig(max_size=1), name="mail")

    def client() -> Any:
        with (yield from pool.acquire(1.0)):
            yield from pool.sleep(9.0)

    pool.spawn(client(), name="slow one")
    late = pool.spawn(client(), at=1.0)
    pool.run()
    assert isinstance(late.error, PoolTimeout)
    assert late.error.reason == "exhausted"
    [holder] = late.error.holders
    assert "'slow one'" in holder
    assert "test_simulation.py" in holder


def test_deadlock_is_found() -> None:
    pool = SimPool(PoolConfig(max_size=1))

    def greedy() -> Any:
        with (yield from pool.acquire()), (yield from pool.acquire()):
            pass

    task = pool.spawn(greedy())
    pool.run()
    assert isinstance(task.error, PoolDeadlock)


def test_server_that_goes_down_is_told_by_the_timeout() -> None:
    pool = SimPool(PoolConfig(connection_timeout=2.0), SimServer().at(0.0, "down"))

    def client() -> Any:
        yield from pool.acquire()

    task = pool.spawn(client(), at=1.0)
    pool.run()
    assert isinstance(task.error, PoolTimeout)
    assert task.error.reason == "unavailable"
    assert isinstance(task.error.__cause__, ConnectionFailed)


def test_wrong_password_reaches_the_client_at_once() -> None:
    pool = SimPool(server=SimServer(connect_time=0.1).at(0.0, "refusing"))

    def client() -> Any:
        yield from pool.acquire()

    task = pool.spawn(client(), at=1.0)
    assert pool.run().seconds == pytest.approx(1.1)
    assert isinstance(task.error, ConnectionFailed)


@pytest.mark.parametrize(("change", "error"), [("restarted", ConnectionLost), ("read_only", ReadOnlyTransaction)])
def test_one_reported_error_makes_all_connections_stale(change: Any, error: type[Exception]) -> None:
    pool = SimPool(PoolConfig(max_size=5), SimServer().at(5.0, change))

    def client(seconds: float) -> Any:
        lease = yield from pool.acquire()
        with lease:
            yield from pool.use(lease, seconds)

    tasks = [pool.spawn(client(seconds)) for seconds in (1.0, 1.0, 1.0, 6.0)]
    report = pool.run()
    assert isinstance(tasks[-1].error, error)
    assert (report.stats.size, report.stats.generation) == (0, 1)


def test_closed_pool_fails_who_waits() -> None:
    pool = SimPool(PoolConfig(max_size=1))

    def client() -> Any:
        with (yield from pool.acquire()):
            yield from pool.sleep(5.0)

    pool.spawn(client())
    late = pool.spawn(client(), at=1.0)
    pool.at(2.0, pool.close)
    pool.run()
    assert isinstance(late.error, PoolClosed)


def test_client_that_waits_for_ever_is_named() -> None:
    pool = SimPool(PoolConfig(max_size=1, max_lifetime=None, idle_timeout=None))
    pool.at(0.0, pool.open)
    pool.at(0.0, pool.pause)

    def client() -> Any:
        yield from pool.acquire(None)

    pool.spawn(client(), name="Godot")
    with pytest.raises(SimStuck, match="Godot"):
        pool.run()


def test_server_refuses_what_it_cannot_be() -> None:
    with pytest.raises(ValueError, match="did you mean 'frozen'"):
        SimServer().at(1.0, "frozn")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="connect_time"):
        SimServer().at(1.0, conect_time=3.0)


@pytest.mark.parametrize("name", ["rate", "hold", "seconds"])
def test_arrivals_that_make_no_sense_are_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=0"):
        SimPool().arrivals(**{"rate": 1.0, "hold": 1.0, "seconds": 1.0, name: 0})


def test_numbers_that_do_not_add_up_are_named() -> None:
    with pytest.raises(AssertionError, match="idle, tested or lent"):
        check_stats(PoolStats(state="open", size=1, max_size=5, connections_opened=1))
