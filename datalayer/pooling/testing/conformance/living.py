"""What every pool must do from its opening to its end."""

from __future__ import annotations

from typing import Any

from datalayer.errors import LeaseReleased, PoolClosed, PoolConfigError, PoolError, PoolTimeout
from datalayer.pooling import events
from datalayer.pooling.testing.conformance.bench import PoolBench
from datalayer.pooling.testing.conformance.scripts import Join, Script, Spawn, Until, Within, borrow, call, raising


def close_fails_the_queue(bench: PoolBench) -> Script:
    pool = bench.pool(max_size=1, on_deadlock="ignore")

    lease = yield pool.acquire
    waiter = yield Spawn(borrow(pool))
    yield Until(lambda: pool.stats().waiting == 1)
    yield call(pool.close, 0.05, force=False)
    with raising(PoolClosed):
        yield Join(waiter)
    yield lease.release
    assert pool.stats().size == 0


def closed_pool_says_so_and_opens_again(bench: PoolBench) -> Script:
    pool = bench.pool()

    lease = yield pool.acquire
    yield lease.release
    yield pool.close
    yield pool.close
    assert pool.closed
    with raising(PoolClosed):
        yield pool.acquire
    yield pool.open
    assert pool.stats().generation == 1, "a pool that is opened again begins a new generation"
    lease = yield pool.acquire
    yield lease.release


def closed_pool_refuses_everything_that_needs_it_open(bench: PoolBench) -> Script:
    pool = bench.pool()

    lease = yield pool.acquire
    yield lease.release
    yield pool.close
    for method in (pool.acquire, pool.try_acquire):
        with raising(PoolClosed):
            yield method
    assert (pool.closed, pool.state, pool.stats().size) == (True, "closed", 0)


def close_reports_who_still_holds_a_connection(bench: PoolBench) -> Script:
    pool = bench.pool()

    lease = yield pool.acquire
    report = yield call(pool.close, 0.05, force=False)
    assert [one.id for one in report.leftovers] == [lease.id]
    assert report.terminated == 0
    yield lease.release
    assert pool.stats().closed == 1


def new_generation_closes_idle_now_and_lent_at_return(bench: PoolBench) -> Script:
    heard: list[Any] = []
    pool = bench.pool(listeners=[heard.append])

    lent = yield pool.acquire
    idle = yield pool.acquire
    yield idle.release
    pool.invalidate()
    yield Until(lambda: pool.stats().closed_stale == 1)
    yield call(bench.case.use, lent.conn)
    yield lent.release
    yield Until(lambda: pool.stats().closed_stale == 2)
    assert pool.stats().generation == 1
    yield Until(lambda: any(isinstance(one, events.GenerationChanged) for one in heard))  # told by another thread


def reported_loss_makes_all_connections_stale(bench: PoolBench) -> Script:
    pool = bench.pool()

    lease = yield pool.acquire
    lease.report(ValueError("the data was wrong"))
    assert pool.stats().generation == 0
    lease.report(bench.case.loss())
    with raising(LeaseReleased):
        lease.conn  # noqa: B018
    yield Until(lambda: pool.stats().closed_broken == 1)
    assert pool.stats().generation == 1


def loss_that_leaves_a_block_is_reported(bench: PoolBench) -> Script:
    pool = bench.pool()
    loss: BaseException = bench.case.loss()

    def body(conn: Any) -> Script:
        yield call(bench.case.use, conn)
        raise loss

    with raising(type(loss)):
        yield Within(pool.acquire(), body)
    assert pool.stats().generation == 1


def drain_replaces_what_is_idle(bench: PoolBench) -> Script:
    pool = bench.pool()

    lease = yield pool.acquire
    first = lease.conn
    yield lease.release
    assert (yield pool.drain) == 1
    lease = yield pool.acquire
    assert lease.conn is not first
    yield lease.release
    assert pool.stats().closed_stale == 1


def check_finds_dead_connections(bench: PoolBench) -> Script:
    pool = bench.pool()

    leases = [(yield pool.acquire), (yield pool.acquire)]
    link = leases[0].conn
    for lease in leases:
        yield lease.release
    yield call(bench.case.cut, link)
    report = yield pool.check
    assert (report.checked, report.failed) == (2, 1)


def error_that_cannot_be_cured_reaches_the_caller_at_once(bench: PoolBench) -> Script:
    pool = bench.pool(make=bench.case.refused)
    with raising(Exception) as caught:
        yield pool.acquire
    assert not isinstance(caught.value, PoolTimeout)
    error: BaseException = caught.value
    with raising(type(error)):
        yield call(pool.open, wait=True)
    assert pool.stats().acquires_failed >= 1


def pause_lets_callers_queue(bench: PoolBench) -> Script:
    pool = bench.pool(on_deadlock="ignore")
    if "pause" in bench.case.excused:
        for method in (pool.pause, pool.resume):
            with raising(PoolError):
                method()
        return
    yield pool.open
    pool.pause()
    waiter = yield Spawn(borrow(pool))
    yield Until(lambda: pool.stats().waiting == 1)
    pool.resume()
    yield Join(waiter)


def pool_that_is_not_open_cannot_be_paused(bench: PoolBench) -> Script:
    pool = bench.pool()
    refused = PoolError if "pause" in bench.case.excused else PoolClosed
    with raising(refused):
        pool.pause()
    assert pool.state == "new"
    yield pool.close
    with raising(refused):
        pool.pause()
    assert pool.state == "closed"


def option_is_honoured_or_refused(bench: PoolBench) -> Script:
    options: dict[str, Any] = {
        "queue_strategy": "fifo", "keepalive": 60.0, "max_opening": 2, "fail_fast": True, "queue_target": 0.1,
    }  # fmt: skip
    for name, value in options.items():
        if name in bench.case.excused:
            with raising(PoolConfigError, match=name):
                bench.pool(**{name: value})
        else:
            yield from borrow(bench.pool(**{name: value}))


SCRIPTS = (
    close_fails_the_queue, closed_pool_says_so_and_opens_again, closed_pool_refuses_everything_that_needs_it_open,
    close_reports_who_still_holds_a_connection, new_generation_closes_idle_now_and_lent_at_return,
    reported_loss_makes_all_connections_stale, loss_that_leaves_a_block_is_reported, drain_replaces_what_is_idle,
    check_finds_dead_connections, error_that_cannot_be_cured_reaches_the_caller_at_once, pause_lets_callers_queue,
    pool_that_is_not_open_cannot_be_paused, option_is_honoured_or_refused,
)  # fmt: skip
