"""What every pool must do alike: our own and psycopg-pool's, on SQLite and PostgreSQL, blocking and awaiting.

EXCUSED lists the few things psycopg-pool cannot do. Each is refused in words that name the way out, which is tested
here too; everything else in this file holds for all pools.
"""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import Any

import pytest

from datalayer._plans.plan import Command
from datalayer.errors import (
    ConnectionFailed,
    ConnectionLost,
    DoubleRelease,
    ForeignLease,
    LeaseReleased,
    PoolClosed,
    PoolConfigError,
    PoolDeadlock,
    PoolError,
    PoolFull,
    PoolTimeout,
    TooManyWaiting,
    WrongEventLoop,
)
from datalayer.pooling import events
from tests.database.pooling.conftest import Maker, adds_up
from tests.database.pooling.scripts import Join, Script, Spawn, Until, call, play
from tests.worlds import World

EXCUSED = {
    "pause": "psycopg-pool serves whoever asks",
    "resume": "psycopg-pool serves whoever asks",
    "add": "psycopg-pool takes in nothing that it has not opened",
    "detach": "psycopg-pool counts a connection as its own until it is closed",
    "queue_strategy": "psycopg-pool always lends the connection that was idle for longest",
    "keepalive": "psycopg-pool has no timer for idle connections",
    "max_opening": "psycopg-pool grows by one connection at a time",
    "fail_fast": "psycopg-pool always waits",
    "queue_target": "psycopg-pool never sheds load",
}


def execute(link: Any, sql: str, **options: Any) -> Any:
    return call(link.execute, Command(sql, **options))


def test_lends_in_a_block_and_takes_back(make: Maker, world: World) -> None:
    pool = make()
    with world.enter(pool.acquire()) as link:
        assert play(world, iter_one(execute(link, "select 1"))).rows == [(1,)]
        assert pool.stats().in_use == 1
    assert (pool.stats().in_use, pool.stats().idle) == (0, 1)


def iter_one(step: Any) -> Script:
    return (yield step)


def test_same_connection_is_lent_again(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        lease = yield pool.acquire
        first = lease.conn.raw
        yield lease.release
        lease = yield pool.acquire
        assert lease.conn.raw is first
        assert lease.uses == 2
        yield lease.release

    play(world, script())
    assert pool.stats().connections_opened == 1


def test_notes_live_with_the_connection(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        lease = yield pool.acquire
        lease.info["seen"] = True
        yield lease.release
        lease = yield pool.acquire
        assert lease.info == {"seen": True}
        assert lease.age >= 0
        yield lease.release

    play(world, script())


def test_open_transaction_is_rolled_back_at_return(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        lease = yield pool.acquire
        yield execute(lease.conn, "create table t (x int)", returns_rows=False, writes=True)
        yield execute(lease.conn, "begin", returns_rows=False)
        yield execute(lease.conn, "insert into t values (1)", returns_rows=False, writes=True)
        yield lease.release
        lease = yield pool.acquire
        assert (yield execute(lease.conn, "select count(*) from t")).rows == [(0,)]
        yield lease.release

    play(world, script())
    assert pool.stats().connections_opened == 1


def test_broken_connection_is_closed_at_return(make: Maker, world: World) -> None:
    heard: list[Any] = []
    pool = make(listeners=[heard.append])

    def script() -> Script:
        lease = yield pool.acquire
        yield lease.conn.close
        heard.clear()
        yield lease.release
        lease = yield pool.acquire
        assert not lease.conn.is_broken
        yield lease.release

    play(world, script())
    assert pool.stats().closed_broken == 1


def test_order_of_events_of_a_discarded_connection(make: Maker, world: World) -> None:
    heard: list[Any] = []
    pool = make(listeners=[heard.append])

    def script() -> Script:
        lease = yield pool.acquire
        lease.discard("no good")
        yield Until(lambda: pool.stats().closed_discarded == 1)

    play(world, script())
    of_connections = [type(one) for one in heard if hasattr(one, "id")]
    assert of_connections[:4] == [
        events.ConnectionOpened, events.CheckedOut, events.CheckedIn, events.ConnectionClosed,
    ]  # fmt: skip


def test_second_release_is_refused_and_changes_nothing(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        lease = yield pool.acquire
        yield lease.release
        before = pool.stats()
        with pytest.raises(DoubleRelease, match="given back"):
            yield lease.release
        assert (pool.stats().idle, pool.stats().returns) == (before.idle, before.returns)
        discarded = yield pool.acquire
        discarded.discard()
        with pytest.raises(DoubleRelease, match="discarded"):
            yield discarded.release

    play(world, script())


def test_lease_is_of_no_use_after_its_end(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        lease = yield pool.acquire
        yield lease.release
        with pytest.raises(LeaseReleased, match="acquire a new one"):
            lease.conn  # noqa: B018
        with pytest.raises(LeaseReleased):
            lease.info  # noqa: B018

    play(world, script())


def test_foreign_lease_is_refused_and_its_connection_untouched(make: Maker, world: World) -> None:
    mine, other = make(), make()

    def script() -> Script:
        lease = yield mine.acquire
        with pytest.raises(ForeignLease, match="own pool"):
            yield call(other.release_entry, lease._entry)
        assert not lease.conn.is_broken
        assert mine.stats().in_use == 1
        yield lease.release

    play(world, script())


def test_dropped_lease_warns_and_frees_its_place(make: Maker, world: World) -> None:
    heard: list[Any] = []
    pool = make(max_size=1, listeners=[heard.append])

    async def forget() -> None:
        await pool.acquire()

    def script() -> Script:
        again = yield call(pool.acquire, 5.0)
        yield again.release

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        world.run(lambda: (pool.acquire(), None)[1], forget)
        gc.collect()
    assert any(issubclass(one.category, ResourceWarning) for one in caught)
    play(world, script())
    assert (pool.stats().leaks, pool.stats().closed_abandoned) == (1, 1)
    assert any(isinstance(one, events.LeaseAbandoned) for one in heard)


def test_timeout_tells_reason_and_who_borrowed_where(make: Maker, world: World) -> None:
    pool = make(max_size=1, on_deadlock="ignore")

    def script() -> Script:
        lease = yield pool.acquire
        with pytest.raises(PoolTimeout, match="max_size=1") as caught:
            yield call(pool.acquire, 0.01)
        yield lease.release
        return caught.value

    error = play(world, script())
    assert error.reason == "exhausted"
    assert error.stats.in_use == 1
    assert error.waited >= 0.01
    [holder] = error.holders
    assert "borrowed at" in holder
    assert __file__.rpartition("/")[2] in holder or "scripts.py" in holder
    assert isinstance(error, TimeoutError)
    assert pool.stats().acquires_timed_out == 1


def test_timeout_of_zero_serves_what_is_idle_and_else_ends_at_once(make: Maker, world: World) -> None:
    pool = make(max_size=1, on_deadlock="ignore")

    def script() -> Script:
        lease = yield pool.acquire
        yield lease.release
        lease = yield call(pool.acquire, 0)
        with pytest.raises(PoolTimeout):
            yield call(pool.acquire, 0)
        yield lease.release

    play(world, script())


def test_try_acquire_takes_only_what_is_idle(make: Maker, world: World) -> None:
    pool = make(max_size=2)

    def script() -> Script:
        assert (yield pool.try_acquire) is None
        lease = yield pool.acquire
        yield lease.release
        lease = yield pool.try_acquire
        assert lease is not None
        assert (yield pool.try_acquire) is None
        yield lease.release

    play(world, script())
    assert pool.stats().connections_opened == 1


def test_queue_is_limited(make: Maker, world: World) -> None:
    pool = make(max_size=1, max_waiting=1, on_deadlock="ignore")

    def borrow() -> Script:
        lease = yield pool.acquire
        yield lease.release

    def script() -> Script:
        lease = yield pool.acquire
        waiter = yield Spawn(borrow())
        yield Until(lambda: pool.stats().waiting == 1)
        with pytest.raises(TooManyWaiting, match="max_waiting is 1"):
            yield pool.acquire
        yield lease.release
        yield Join(waiter)

    play(world, script())
    assert pool.stats().acquires_rejected == 1


def test_callers_that_gave_up_do_not_fill_the_queue(make: Maker, world: World) -> None:
    pool = make(max_size=1, max_waiting=1, on_deadlock="ignore")

    def script() -> Script:
        lease = yield pool.acquire
        for _ in range(3):
            with pytest.raises(PoolTimeout):
                yield call(pool.acquire, 0.01)
        yield lease.release

    play(world, script())


def test_returned_connection_goes_to_who_asked_first(make: Maker, world: World) -> None:
    pool = make(max_size=1, on_deadlock="ignore")
    order: list[int] = []

    def borrow(number: int) -> Script:
        lease = yield pool.acquire
        order.append(number)
        yield lease.release

    def script() -> Script:
        lease = yield pool.acquire
        waiters = []
        for number in range(4):
            waiters.append((yield Spawn(borrow(number))))
            yield Until(lambda number=number: pool.stats().waiting == number + 1)
        yield lease.release
        for waiter in waiters:
            yield Join(waiter)

    play(world, script())
    assert order == [0, 1, 2, 3]
    assert pool.stats().acquires_waited >= 4


def test_callers_of_one_moment_wait_but_as_many_as_connections_are_idle(make: Maker, world: World) -> None:
    pool = make(max_size=1, on_deadlock="ignore")

    def borrow(started: int) -> Script:
        lease = yield pool.acquire
        yield Until(lambda: pool.stats().acquires_started == started)
        yield lease.release

    def script() -> Script:
        lease = yield pool.acquire
        yield lease.release
        before = pool.stats()
        borrowers = []
        for _ in range(4):
            borrowers.append((yield Spawn(borrow(before.acquires_started + 4))))
        for borrower in borrowers:
            yield Join(borrower)
        after = pool.stats()
        assert after.acquires_immediate - before.acquires_immediate == 1
        assert after.acquires_waited - before.acquires_waited == 3

    play(world, script())


def test_waiting_for_oneself_is_a_deadlock_found_at_once(make: Maker, world: World) -> None:
    heard: list[Any] = []
    pool = make(max_size=1, listeners=[heard.append])

    def script() -> Script:
        lease = yield pool.acquire
        with pytest.raises(PoolDeadlock, match="borrowed at"):
            yield pool.acquire
        yield lease.release

    play(world, script())
    assert pool.stats().deadlocks == 1
    assert any(isinstance(one, events.DeadlockDetected) for one in heard)


def test_two_who_wait_for_each_other_are_a_deadlock(make: Maker, world: World) -> None:
    pool = make(max_size=2)
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

    def script() -> Script:
        workers = [(yield Spawn(greedy())), (yield Spawn(greedy()))]
        for worker in workers:
            yield Join(worker)

    play(world, script())
    assert sorted(ends) == ["deadlock", "served"]


def test_holder_that_does_not_wait_is_no_deadlock(make: Maker, world: World) -> None:
    pool = make(max_size=1)

    def borrow() -> Script:
        lease = yield pool.acquire
        yield lease.release

    def script() -> Script:
        lease = yield pool.acquire
        waiter = yield Spawn(borrow())
        yield Until(lambda: pool.stats().waiting == 1)
        yield lease.release
        yield Join(waiter)

    play(world, script())
    assert pool.stats().deadlocks == 0


def test_lease_that_was_passed_on_counts_for_its_new_holder(make: Maker, world: World) -> None:
    pool = make(max_size=1)
    box: list[Any] = []

    def take_over() -> Script:
        yield Until(lambda: box)
        box[0].transfer()
        with pytest.raises(PoolDeadlock):
            yield pool.acquire
        yield box[0].release

    def script() -> Script:
        worker = yield Spawn(take_over())
        box.append((yield pool.acquire))
        yield Join(worker)

    play(world, script())


@pytest.mark.parametrize("world", ["awaiting"], indirect=True)  # a thread that waits takes over nothing
def test_task_that_waits_may_not_take_over_the_last_lease(make: Maker, world: World) -> None:
    pool = make(max_size=1)

    async def hold() -> Any:
        return await pool.acquire()

    async def script() -> None:
        lease = await asyncio.create_task(hold())
        waiting = pool.acquire().__await__()
        next(waiting)._asyncio_future_blocking = False  # a task that drives two things by hand: it waits, and it runs
        with pytest.raises(PoolDeadlock, match="borrowed at"):
            lease.transfer()
        with pytest.raises(asyncio.CancelledError):
            waiting.throw(asyncio.CancelledError())
        lease.transfer()
        await lease.release()

    world.run(lambda: None, script)
    assert (pool.stats().deadlocks, pool.stats().acquires_rejected) == (1, 0)


def test_close_fails_the_queue(make: Maker, world: World) -> None:
    pool = make(max_size=1, on_deadlock="ignore")

    def borrow() -> Script:
        yield pool.acquire

    def script() -> Script:
        lease = yield pool.acquire
        waiter = yield Spawn(borrow())
        yield Until(lambda: pool.stats().waiting == 1)
        yield call(pool.close, 0.05, force=False)
        with pytest.raises(PoolClosed, match="while this caller waited"):
            yield Join(waiter)
        yield lease.release

    play(world, script())
    assert pool.stats().size == 0


def test_closed_pool_says_so_and_opens_again(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        lease = yield pool.acquire
        yield lease.release
        yield pool.close
        yield pool.close
        assert pool.closed
        with pytest.raises(PoolClosed, match=r"open\(\) opens it again"):
            yield pool.acquire
        yield pool.open
        lease = yield pool.acquire
        yield lease.release

    play(world, script())


def test_close_reports_who_still_holds_a_connection(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        lease = yield pool.acquire
        report = yield call(pool.close, 0.05, force=False)
        assert [one.id for one in report.leftovers] == [lease.id]
        assert report.terminated == 0
        yield lease.release

    play(world, script())
    assert pool.stats().closed_pool_closed == 1


def test_listener_that_fails_harms_nobody(make: Maker, world: World) -> None:
    def angry(event: object) -> None:
        raise RuntimeError("no")

    pool = make(listeners=[angry])

    def script() -> Script:
        lease = yield pool.acquire
        yield lease.release

    play(world, script())
    assert pool.stats().returns == 1


def test_hooks_see_each_connection(make: Maker, world: World) -> None:
    seen: list[tuple[str, int]] = []
    names = ("configure", "check", "reset", "on_close")
    pool = make(hooks={name: lambda link, name=name: seen.append((name, id(link))) for name in names})

    def script() -> Script:
        lease = yield pool.acquire
        yield lease.release
        lease = yield pool.acquire
        lease.discard()
        yield Until(lambda: pool.stats().closed_discarded == 1)

    play(world, script())
    world.run(pool.close, pool.close)
    of_first = [name for name, link in seen[:4] if link == seen[0][1]]
    assert of_first == ["configure", "reset", "check", "on_close"]


def test_connection_whose_check_fails_is_replaced(make: Maker, world: World) -> None:
    wanted = [ValueError("no good")]

    def check(link: Any) -> None:
        if wanted:
            raise wanted.pop()

    pool = make(hooks={"check": check})

    def script() -> Script:
        lease = yield pool.acquire
        first = lease.conn
        yield lease.release
        lease = yield pool.acquire
        assert lease.conn is not first
        yield lease.release

    play(world, script())
    assert (pool.stats().ping_failures, pool.stats().closed_invalid) == (1, 1)


def test_connection_whose_reset_fails_is_closed(make: Maker, world: World) -> None:
    def reset(link: Any) -> None:
        raise ValueError("dirty")

    pool = make(hooks={"reset": reset})

    def script() -> Script:
        lease = yield pool.acquire
        yield lease.release

    play(world, script())
    assert pool.stats().closed_reset_failed == 1


def test_configure_that_always_fails_is_the_cause_of_the_timeout(make: Maker, world: World) -> None:
    def configure(link: Any) -> None:
        raise ValueError("not like this")

    pool = make(hooks={"configure": configure}, connection_timeout=0.2, backoff_initial=0.01)

    def script() -> Script:
        with pytest.raises(PoolTimeout, match="not like this") as caught:
            yield pool.acquire
        assert isinstance(caught.value.__cause__, ValueError)
        assert caught.value.reason == "unavailable"

    play(world, script())
    stats = pool.stats()
    assert stats.closed_configure_failed >= 1
    assert stats.connect_errors == stats.closed_configure_failed


def test_connection_is_replaced_after_so_many_uses(make: Maker, world: World) -> None:
    pool = make(max_uses=2)

    def script() -> Script:
        for _ in range(3):
            lease = yield pool.acquire
            yield lease.release

    play(world, script())
    assert (pool.stats().closed_max_uses, pool.stats().connections_opened >= 2) == (1, True)


def test_old_connection_is_not_lent(make: Maker, world: World) -> None:
    pool = make(max_lifetime=100.0, idle_timeout=None)

    def script() -> Script:
        lease = yield pool.acquire
        first = lease.conn
        yield lease.release
        make.clock.ahead += 101
        lease = yield pool.acquire
        assert lease.conn is not first
        yield lease.release

    play(world, script())
    assert pool.stats().closed_lifetime == 1


def borrowed(pool: Any) -> Script:
    """Borrows a connection, gives it back, and says which it was."""
    lease = yield pool.acquire
    link = lease.conn
    yield lease.release
    return link


def test_connection_that_grows_old_while_lent_is_closed_at_its_return(make: Maker, world: World) -> None:
    pool = make(max_size=1, max_lifetime=100.0)

    def script() -> Script:
        lease = yield pool.acquire
        first = lease.conn
        waiter = yield Spawn(borrowed(pool))
        yield Until(lambda: pool.stats().waiting == 1)
        make.clock.ahead += 101
        assert (yield execute(lease.conn, "select 1")).rows == [(1,)]
        yield lease.release
        assert (yield Join(waiter)) is not first

    play(world, script())
    assert pool.stats().closed_lifetime == 1


def test_new_generation_closes_idle_now_and_lent_at_return(make: Maker, world: World) -> None:
    heard: list[Any] = []
    pool = make(listeners=[heard.append])

    def script() -> Script:
        lent = yield pool.acquire
        idle = yield pool.acquire
        yield idle.release
        pool.invalidate()
        yield Until(lambda: pool.stats().closed_stale == 1)
        assert not lent.conn.is_broken
        yield lent.release
        yield Until(lambda: pool.stats().closed_stale == 2)

    play(world, script())
    assert pool.stats().generation == 1
    assert any(isinstance(one, events.GenerationChanged) for one in heard)


def test_reported_loss_makes_all_connections_stale(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        lease = yield pool.acquire
        lease.report(ValueError("the data was wrong"))
        assert pool.stats().generation == 0
        lease.report(ConnectionLost("gone", alias="shop"))
        with pytest.raises(LeaseReleased):
            lease.conn  # noqa: B018
        yield Until(lambda: pool.stats().closed_broken == 1)

    play(world, script())
    assert pool.stats().generation == 1


def test_loss_that_leaves_a_block_is_reported(make: Maker, world: World) -> None:
    pool = make()
    with pytest.raises(ConnectionLost), world.enter(pool.acquire()):
        raise ConnectionLost("gone", alias="shop")
    assert pool.stats().generation == 1


def test_drain_replaces_what_is_idle(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        lease = yield pool.acquire
        first = lease.conn
        yield lease.release
        assert (yield pool.drain) == 1
        lease = yield pool.acquire
        assert lease.conn is not first
        yield lease.release

    play(world, script())
    assert pool.stats().closed_stale == 1


def test_check_finds_dead_connections(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        leases = [(yield pool.acquire), (yield pool.acquire)]
        link = leases[0].conn
        for lease in leases:
            yield lease.release
        # psycopg-pool must not hear of it: the socket goes, not the connection object.
        yield link.close if make.kind == "sqlite" else link.raw.pgconn.finish
        report = yield pool.check
        assert (report.checked, report.failed) == (2, 1)

    play(world, script())


def test_raised_limit_serves_who_waits(make: Maker, world: World) -> None:
    pool = make(max_size=1, on_deadlock="ignore")

    def borrow() -> Script:
        lease = yield pool.acquire
        yield lease.release

    def script() -> Script:
        lease = yield pool.acquire
        waiter = yield Spawn(borrow())
        yield Until(lambda: pool.stats().waiting == 1)
        yield call(pool.resize, max_size=2)
        yield Join(waiter)
        yield lease.release

    play(world, script())
    assert pool.stats().max_size == 2


def test_lowered_limit_closes_the_surplus_at_its_return(make: Maker, world: World) -> None:
    pool = make(max_size=2)

    def script() -> Script:
        leases = [(yield pool.acquire), (yield pool.acquire)]
        yield call(pool.resize, max_size=1)
        yield leases[0].release
        yield Until(lambda: pool.stats().closed_surplus == 1)
        yield leases[1].release

    play(world, script())


def test_wrong_limit_is_refused_and_changes_nothing(make: Maker, world: World) -> None:
    pool = make(max_size=2)

    def script() -> Script:
        with pytest.raises(PoolConfigError, match="max_size=-1"):
            yield call(pool.resize, max_size=-1)

    play(world, script())
    assert pool.stats().max_size == 2


def test_dedicated_connection_is_not_the_pools(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        link = yield pool.dedicated
        assert (yield execute(link, "select 1")).rows == [(1,)]
        assert pool.stats().size == 0
        yield link.close

    play(world, script())


def test_min_idle_is_there_when_the_pool_says_it_is_ready(make: Maker, world: World) -> None:
    pool = make(min_idle=2)
    world.run(lambda: pool.open(wait=True), lambda: pool.open(wait=True))
    assert pool.stats().idle == 2


def test_error_that_cannot_be_cured_reaches_the_caller_at_once(make: Maker, world: World) -> None:
    pool = make(make.missing)

    def script() -> Script:
        with pytest.raises(ConnectionFailed, match="shop") as caught:
            yield pool.acquire
        assert caught.value.is_fatal
        with pytest.raises(ConnectionFailed):
            yield call(pool.open, wait=True)

    play(world, script())
    assert pool.stats().acquires_failed >= 1


def test_suspected_leak_is_told_with_its_place(make: Maker, world: World) -> None:
    heard: list[Any] = []
    pool = make(leak_threshold=0.01, reaper_rate=0.01, listeners=[heard.append])

    def script() -> Script:
        lease = yield pool.acquire
        yield Until(lambda: any(isinstance(one, events.LeakSuspected) for one in heard))
        yield lease.release

    play(world, script())
    [found] = [one for one in heard if isinstance(one, events.LeakSuspected)]
    assert "borrowed at" in found.where


def test_counters_start_again(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        lease = yield pool.acquire
        assert pool.stats(reset=True).acquires_started == 1
        yield lease.release

    play(world, script())
    stats = pool.stats()
    assert (stats.acquires_started, stats.returns, stats.connections_opened) == (0, 1, 1)
    adds_up(stats)


# -- what psycopg-pool is excused from -----------------------------------------------------------


def test_pause_lets_callers_queue(make: Maker, world: World) -> None:
    pool = make(on_deadlock="ignore")
    if make.is_psycopg:
        with pytest.raises(PoolError, match="generic"):
            pool.pause()
        with pytest.raises(PoolError, match="generic"):
            pool.resume()
        return

    def borrow() -> Script:
        lease = yield pool.acquire
        yield lease.release

    def script() -> Script:
        yield pool.open
        pool.pause()
        waiter = yield Spawn(borrow())
        yield Until(lambda: pool.stats().waiting == 1)
        pool.resume()
        yield Join(waiter)

    play(world, script())


def test_added_connection_is_lent_and_a_full_pool_hands_it_back(make: Maker, world: World) -> None:
    pool = make(max_size=1)

    def script() -> Script:
        link = yield pool.dedicated
        if make.is_psycopg:
            with pytest.raises(PoolError, match="generic"):
                yield call(pool.add, link)
            yield link.close
            return
        yield pool.open
        yield call(pool.add, link)
        lease = yield pool.acquire
        assert lease.conn is link
        other = yield pool.dedicated
        with pytest.raises(PoolFull) as caught:
            yield call(pool.add, other)
        assert caught.value.connection is other
        yield other.close
        yield lease.release

    play(world, script())


def test_detached_connection_is_the_callers(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        lease = yield pool.acquire
        link = lease.conn
        if make.is_psycopg:
            with pytest.raises(PoolError, match="dedicated"):
                lease.detach()
            return
        assert lease.detach() is link
        assert pool.stats().closed_detached == 1
        yield link.close

    play(world, script())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"queue_strategy": "fifo"}, "queue_strategy"),
        ({"keepalive": 60.0}, "keepalive"),
        ({"max_opening": 2}, "max_opening"),
        ({"fail_fast": True}, "fail_fast"),
        ({"queue_target": 0.1}, "queue_target"),
    ],
)
def test_option_is_honoured_or_refused(make: Maker, world: World, options: Any, named: str) -> None:
    assert named in EXCUSED
    if make.is_psycopg:
        with pytest.raises(PoolConfigError, match=f"{named}.*generic"):
            make(**options)
        return
    pool = make(**options)

    def script() -> Script:
        lease = yield pool.acquire
        yield lease.release

    play(world, script())


def test_pool_without_room_is_refused_and_a_resize_to_none_changes_nothing(make: Maker, world: World) -> None:
    with pytest.raises(PoolConfigError, match="max_size=0 is out of range: use 1 or more"):
        make(max_size=0)
    pool = make(max_size=2)

    def script() -> Script:
        with pytest.raises(PoolConfigError, match="max_size=0"):
            yield call(pool.resize, max_size=0)
        assert (pool.config.max_size, pool.stats().max_size) == (2, 2)
        lease = yield pool.acquire
        yield lease.release

    play(world, script())


def test_entry_that_is_not_lent_is_refused_and_nothing_changes(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        lease = yield pool.acquire
        entry = lease._entry
        yield lease.release
        before = pool.stats()
        with pytest.raises(DoubleRelease, match="give each lease back once"):
            yield call(pool.release_entry, entry)
        assert pool.stats() == before

    play(world, script())


@pytest.mark.parametrize("timeout", [-1, "3", float("nan"), True])
def test_wrong_times_are_refused_before_anything_happens(make: Maker, world: World, timeout: Any) -> None:
    pool = make(min_idle=1)

    def script() -> Script:
        for method in (pool.acquire, pool.wait_ready, pool.close):
            with pytest.raises(PoolConfigError, match="is no time to wait"):
                yield call(method, timeout)
        assert (pool.state, pool.stats().acquires_started, pool.stats().connections_opened) == ("new", 0, 0)

    play(world, script())


def test_caller_without_a_limit_waits_until_it_is_served(make: Maker, world: World) -> None:
    pool = make(max_size=1, connection_timeout=0.01)

    def borrow() -> Script:
        lease = yield call(pool.acquire, None)
        yield lease.release

    def script() -> Script:
        lease = yield call(pool.acquire, None)
        waiter = yield Spawn(borrow())
        yield Until(lambda: pool.stats().waiting == 1)
        yield lease.release
        yield Join(waiter)

    play(world, script())
    assert pool.stats().acquires_waited >= 1


def test_every_change_of_the_pool_is_told(make: Maker, world: World) -> None:
    heard: list[Any] = []
    pool = make(max_size=1, max_waiting=1, on_deadlock="ignore", listeners=[heard.append])

    def borrow() -> Script:
        lease = yield pool.acquire
        yield lease.release

    def script() -> Script:
        yield pool.open
        lease = yield pool.acquire
        with pytest.raises(PoolTimeout):
            yield call(pool.acquire, 0.01)
        waiter = yield Spawn(borrow())
        yield Until(lambda: pool.stats().waiting == 1)
        with pytest.raises(TooManyWaiting):
            yield pool.acquire
        yield lease.release
        yield Join(waiter)
        yield call(pool.resize, max_size=2)
        pool.invalidate()
        yield pool.close

    play(world, script())
    kinds = {type(one) for one in heard}
    assert kinds >= {
        events.StateChanged, events.ConnectionOpened, events.CheckedOut, events.CheckedIn, events.AcquireTimeout,
        events.AcquireRejected, events.Resized, events.GenerationChanged, events.ConnectionClosed,
    }  # fmt: skip
    states = [one.state for one in heard if isinstance(one, events.StateChanged)]
    assert states == ["open", "closing", "closed"]
    assert [one.reason for one in heard if isinstance(one, events.AcquireRejected)] == ["max_waiting"]
    assert [one.reason for one in heard if isinstance(one, events.AcquireTimeout)] == ["exhausted"]


def test_outage_is_told_when_it_begins_and_when_it_is_over(make: Maker, world: World) -> None:
    heard: list[Any] = []
    is_down = [True]

    def configure(_link: Any) -> None:
        if is_down[0]:
            raise OSError("down")

    pool = make(
        hooks={"configure": configure}, listeners=[heard.append],
        unavailable_after=0.001, backoff_initial=0.01, backoff_max=0.01,
    )  # fmt: skip

    def script() -> Script:
        with pytest.raises(PoolTimeout) as caught:
            yield call(pool.acquire, 0.2)
        assert caught.value.reason == "unavailable"
        is_down[0] = False
        lease = yield pool.acquire
        yield lease.release

    play(world, script())
    kinds = [type(one) for one in heard]
    assert kinds.index(events.ConnectFailed) < kinds.index(events.Unavailable) < kinds.index(events.Available)
    assert pool.stats().outages == 1


def test_idle_connections_end_after_their_time_down_to_min_idle(make: Maker, world: World) -> None:
    pool = make(max_size=3, min_idle=1, idle_timeout=0.05, reaper_rate=0.01)

    def script() -> Script:
        leases = []
        for _ in range(3):
            leases.append((yield pool.acquire))
        for lease in leases:
            yield lease.release
        yield Until(lambda: pool.stats().closed_idle >= 2 and pool.stats().size == 1)

    play(world, script())


@pytest.mark.parametrize("world", ["awaiting"], indirect=True)
def test_another_loop_is_refused_while_a_connection_lives_in_the_first(make: Maker, world: World) -> None:
    pool = make()
    first = asyncio.new_event_loop()
    try:
        lease = first.run_until_complete(pool.acquire())
        before = pool.stats()
        for method in (pool.acquire, pool.open, pool.close):
            with pytest.raises(WrongEventLoop, match="one pool for each loop"):
                asyncio.run(awaited(method))
        assert pool.stats() == before
        first.run_until_complete(lease.release())
        first.run_until_complete(pool.close())
    finally:
        first.close()


async def awaited(method: Any) -> Any:
    return await method()


def test_closed_pool_refuses_everything_that_needs_it_open(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        lease = yield pool.acquire
        yield lease.release
        yield pool.close
        for method in (pool.acquire, pool.try_acquire):
            with pytest.raises(PoolClosed, match=r"open\(\) opens it again"):
                yield method
        assert (pool.closed, pool.state, pool.stats().size) == (True, "closed", 0)

    play(world, script())


def test_queue_of_no_length_serves_what_can_be_served_and_refuses_the_rest(make: Maker, world: World) -> None:
    pool = make(max_size=1, max_waiting=0, on_deadlock="ignore")

    def script() -> Script:
        lease = yield pool.acquire
        with pytest.raises(TooManyWaiting, match="max_waiting is 0"):
            yield pool.acquire
        yield lease.release
        lease = yield pool.acquire
        yield lease.release

    play(world, script())
    assert (pool.stats().acquires_rejected, pool.stats().connections_opened) == (1, 1)


def test_pool_that_is_not_open_cannot_be_paused(make: Maker, world: World) -> None:
    pool = make()
    refused, words = (PoolError, "psycopg-pool cannot be paused") if make.is_psycopg else (PoolClosed, "not open yet")
    with pytest.raises(refused, match=words):
        pool.pause()
    assert pool.state == "new"
    play(world, iter_of(pool.close))
    with pytest.raises(refused, match=words.replace("not open yet", r"open\(\) opens it again")):
        pool.pause()
    assert pool.state == "closed"


def iter_of(method: Any) -> Script:
    yield method
