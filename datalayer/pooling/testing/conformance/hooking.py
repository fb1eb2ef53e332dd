"""What every pool must tell, and what it must let others do and fail to do."""

from __future__ import annotations

from functools import partial
from typing import Any

from datalayer.errors import PoolTimeout, TooManyWaiting
from datalayer.pooling import events
from datalayer.pooling.testing.conformance.bench import PoolBench
from datalayer.pooling.testing.conformance.scripts import Join, Script, Spawn, Until, borrow, call, raising
from datalayer.pooling.testing.report import check_stats


def listener_that_fails_harms_nobody(bench: PoolBench) -> Script:
    def angry(event: object) -> None:
        raise RuntimeError("no")

    pool = bench.pool(listeners=[angry])

    lease = yield pool.acquire
    yield lease.release
    assert pool.stats().returns == 1


def hooks_see_each_connection(bench: PoolBench) -> Script:
    seen: list[tuple[str, int]] = []
    names = ("configure", "check", "reset", "on_close")

    def see(name: str, conn: Any) -> None:
        seen.append((name, id(conn)))

    pool = bench.pool(hooks={name: partial(see, name) for name in names})

    lease = yield pool.acquire
    yield lease.release
    lease = yield pool.acquire
    lease.discard()
    yield Until(lambda: pool.stats().closed_discarded == 1)
    yield pool.close
    of_first = [name for name, link in seen[:4] if link == seen[0][1]]
    assert of_first == ["configure", "reset", "check", "on_close"]


def connection_whose_check_fails_is_replaced(bench: PoolBench) -> Script:
    wanted = [ValueError("no good")]

    def check(link: Any) -> None:
        if wanted:
            raise wanted.pop()

    pool = bench.pool(hooks={"check": check})

    lease = yield pool.acquire
    first = lease.conn
    yield lease.release
    lease = yield pool.acquire
    assert lease.conn is not first
    yield lease.release
    assert (pool.stats().ping_failures, pool.stats().closed_invalid) == (1, 1)


def connection_whose_reset_fails_is_closed(bench: PoolBench) -> Script:
    def reset(link: Any) -> None:
        raise ValueError("dirty")

    pool = bench.pool(hooks={"reset": reset})

    lease = yield pool.acquire
    yield lease.release
    assert pool.stats().closed_reset_failed == 1


def configure_that_always_fails_is_the_cause_of_the_timeout(bench: PoolBench) -> Script:
    def configure(link: Any) -> None:
        raise ValueError("not like this")

    pool = bench.pool(hooks={"configure": configure}, connection_timeout=0.2, backoff_initial=0.01)

    with raising(PoolTimeout) as caught:
        yield pool.acquire
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.reason == "unavailable"
    stats = pool.stats()
    assert stats.closed_configure_failed >= 1
    assert stats.connect_errors == stats.closed_configure_failed


def order_of_events_of_a_discarded_connection(bench: PoolBench) -> Script:
    heard: list[events.Event] = []
    pool = bench.pool(listeners=[heard.append])

    lease = yield pool.acquire
    lease.discard("no good")
    yield Until(lambda: pool.stats().closed_discarded == 1)
    of_connections: list[object] = [type(one) for one in heard if hasattr(one, "id")]
    assert of_connections[:4] == [
        events.ConnectionOpened, events.CheckedOut, events.CheckedIn, events.ConnectionClosed,
    ]  # fmt: skip


def every_change_of_the_pool_is_told(bench: PoolBench) -> Script:
    heard: list[events.Event] = []
    pool = bench.pool(max_size=1, max_waiting=1, on_deadlock="ignore", listeners=[heard.append])

    yield pool.open
    lease = yield pool.acquire
    with raising(PoolTimeout):
        yield call(pool.acquire, timeout=0.01)
    waiter = yield Spawn(borrow(pool))
    yield Until(lambda: pool.stats().waiting == 1)
    with raising(TooManyWaiting):
        yield pool.acquire
    yield lease.release
    yield Join(waiter)
    yield call(pool.resize, max_size=2)
    pool.invalidate()
    yield pool.close
    kinds: set[object] = {type(one) for one in heard}
    assert kinds >= {
        events.StateChanged, events.ConnectionOpened, events.CheckedOut, events.CheckedIn, events.AcquireTimeout,
        events.AcquireRejected, events.Resized, events.GenerationChanged, events.ConnectionClosed,
    }  # fmt: skip
    states = [one.state for one in heard if isinstance(one, events.StateChanged)]
    assert list(dict.fromkeys(states)) == ["open", "closing", "closed"]  # where there are several parts, of each
    assert [one.reason for one in heard if isinstance(one, events.AcquireRejected)] == ["max_waiting"]
    assert [one.reason for one in heard if isinstance(one, events.AcquireTimeout)] == ["exhausted"]


def outage_is_told_when_it_begins_and_when_it_is_over(bench: PoolBench) -> Script:
    heard: list[events.Event] = []
    is_down = [True]

    def configure(_link: Any) -> None:
        if is_down[0]:
            raise OSError("down")

    pool = bench.pool(
        hooks={"configure": configure}, listeners=[heard.append],
        unavailable_after=0.001, backoff_initial=0.01, backoff_max=0.01,
    )  # fmt: skip

    with raising(PoolTimeout) as caught:
        yield call(pool.acquire, timeout=0.2)
    assert caught.value.reason == "unavailable"
    for _ in range(20):  # on a busy machine one attempt takes as long, and an outage begins with the second
        if not any(isinstance(one, events.Unavailable) for one in heard):
            with raising(PoolTimeout):
                yield call(pool.acquire, timeout=0.2)
    is_down[0] = False
    lease = yield pool.acquire
    yield lease.release
    kinds: list[object] = [type(one) for one in heard]
    assert kinds.index(events.ConnectFailed) < kinds.index(events.Unavailable) < kinds.index(events.Available)
    assert pool.stats().outages == 1


def suspected_leak_is_told_with_its_place(bench: PoolBench) -> Script:
    heard: list[events.Event] = []
    pool = bench.pool(leak_threshold=0.01, reaper_rate=0.01, listeners=[heard.append])

    lease = yield pool.acquire
    yield Until(lambda: any(isinstance(one, events.LeakSuspected) for one in heard))
    yield lease.release
    [found] = [one for one in heard if isinstance(one, events.LeakSuspected)]
    assert "borrowed at" in found.where


def counters_start_again(bench: PoolBench) -> Script:
    pool = bench.pool()

    lease = yield pool.acquire
    assert pool.stats(reset=True).acquires_started == 1
    yield lease.release
    stats = pool.stats()
    assert (stats.acquires_started, stats.returns, stats.connections_opened) == (0, 1, 1)
    check_stats(stats)


SCRIPTS = (
    listener_that_fails_harms_nobody, hooks_see_each_connection, connection_whose_check_fails_is_replaced,
    connection_whose_reset_fails_is_closed, configure_that_always_fails_is_the_cause_of_the_timeout,
    order_of_events_of_a_discarded_connection, every_change_of_the_pool_is_told,
    outage_is_told_when_it_begins_and_when_it_is_over, suspected_leak_is_told_with_its_place, counters_start_again,
)  # fmt: skip
