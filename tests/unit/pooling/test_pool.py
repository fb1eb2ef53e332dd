from __future__ import annotations

import gc
import threading
import tracemalloc
import warnings
from typing import Any

import pytest
from pooling_fakes import FakeConnection, FakeConnector

from datalayer.errors import (
    ConnectionBroken,
    DoubleRelease,
    ForeignLease,
    LeaseReleased,
    PoolClosed,
    PoolDeadlock,
    PoolFull,
    PoolTimeout,
    TooManyWaiting,
)
from datalayer.pooling import NullPool, Pool, PoolConfig
from datalayer.pooling.flows import Machine


def until(pool: Machine[Any], **wanted: int) -> None:
    """Waits, without a clock of its own, until the numbers of the pool are these."""
    for _ in range(2_000_000):
        stats = pool.stats()
        if all(getattr(stats, name) == value for name, value in wanted.items()):
            return
    raise AssertionError(f"never came to {wanted}: {pool.stats()}")


def test_lends_cleans_and_lends_again() -> None:
    connector = FakeConnector()
    with Pool(connector) as pool:
        with pool.acquire() as first:
            assert isinstance(first, FakeConnection)
            assert pool.stats().in_use == 1
        with pool.acquire() as second:
            assert second is first
        assert first.resets == 2
        assert first.pings == 1
    assert connector.closed == 1
    assert pool.closed


def test_opens_on_first_use_unless_told_not_to() -> None:
    pool = Pool(FakeConnector())
    with pool.acquire():
        pass
    pool.close()
    strict = Pool(FakeConnector(), auto_open=False)
    with pytest.raises(PoolClosed, match="not open yet"):
        strict.acquire()


def test_closed_pool_says_so_and_opens_again() -> None:
    connector = FakeConnector()
    pool = Pool(connector).open()
    pool.close()
    pool.close()
    with pytest.raises(PoolClosed, match="is closed"):
        pool.acquire()
    with pool, pool.acquire():
        pass
    assert connector.closed == len(connector.made) == 1


def test_connects_in_a_thread_when_opening_is_slow() -> None:
    connector = FakeConnector()
    connector.fast_open = False
    with Pool(connector) as pool, pool.acquire():
        pass
    assert connector.closed == 1


def test_timeout_tells_reason_and_holders() -> None:
    with Pool(FakeConnector(), PoolConfig(max_size=1), name="mail") as pool:
        lease = pool.acquire()
        error: list[PoolTimeout] = []

        def other() -> None:
            try:
                pool.acquire(timeout=0)
            except PoolTimeout as found:
                error.append(found)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert error[0].reason == "exhausted"
        assert "'mail'" in str(error[0])
        assert "MainThread" in error[0].holders[0]
        assert error[0].stats.in_use == 1
        lease.release()
        assert pool.stats().acquires_timed_out == 1


def test_waiting_thread_gets_the_returned_connection() -> None:
    with Pool(FakeConnector(), PoolConfig(max_size=1)) as pool:
        lease = pool.acquire()
        got: list[int] = []

        def other() -> None:
            with pool.acquire(timeout=None) as conn:
                got.append(conn.number)

        thread = threading.Thread(target=other)
        thread.start()
        until(pool, waiting=1)
        lease.release()
        thread.join()
        assert got == [1]


def test_waiters_are_served_in_turn(identities: Any) -> None:
    with Pool(FakeConnector(), PoolConfig(max_size=1)) as pool:
        lease = pool.acquire()
        order: list[int] = []

        def other(number: int) -> None:
            with pool.acquire(timeout=None):
                order.append(number)

        threads = []
        for number in range(5):
            threads.append(threading.Thread(target=other, args=(number,)))
            threads[-1].start()
            until(pool, waiting=number + 1)
        lease.release()
        for thread in threads:
            thread.join()
        assert order == [0, 1, 2, 3, 4]
        identities(pool.stats())


def test_connect_error_is_the_cause_of_the_timeout() -> None:
    connector = FakeConnector()
    connector.connect_errors = [OSError("no route") for _ in range(9)]
    with Pool(connector) as pool:
        with pytest.raises(PoolTimeout, match="no route") as caught:
            pool.acquire(timeout=0)
        assert caught.value.reason == "unavailable"
        assert isinstance(caught.value.__cause__, OSError)


def test_failed_connect_is_repeated() -> None:
    connector = FakeConnector()
    connector.connect_errors = [OSError("not yet")]
    with Pool(connector, PoolConfig(backoff_initial=0.001)) as pool, pool.acquire(timeout=30) as conn:
        assert conn.number == 1
        assert pool.stats().connect_errors == 1


def test_fatal_connect_error_reaches_the_caller_at_once() -> None:
    connector = FakeConnector()
    connector.fatal = PermissionError
    connector.connect_errors = [PermissionError("wrong password")]
    with Pool(connector) as pool:
        with pytest.raises(PermissionError, match="wrong password"):
            pool.acquire()
        assert pool.stats().acquires_failed == 1


def test_failed_ping_is_invisible_and_a_lost_server_makes_all_stale() -> None:
    connector = FakeConnector()
    with Pool(connector) as pool:
        leases = [pool.acquire() for _ in range(3)]
        for lease in leases:
            lease.release()
        connector.ping_errors = [ConnectionResetError()]
        with pool.acquire() as conn:
            assert conn.number == 4
        stats = pool.stats()
        assert (stats.closed_invalid, stats.closed_stale, stats.generation) == (1, 2, 1)


@pytest.mark.parametrize("how", ["broken", "reset_failed"])
def test_unusable_connection_is_thrown_away(how: str) -> None:
    connector = FakeConnector()
    with Pool(connector) as pool:
        with pool.acquire() as conn:
            if how == "broken":
                conn.broken = True
            else:
                connector.reset_errors = [OSError("gone")]
        assert getattr(pool.stats(), f"closed_{how}") == 1
        assert conn.closed == 1
        with pool.acquire() as other:
            assert other is not conn


def test_failing_configure_closes_the_connection() -> None:
    connector = FakeConnector()

    def configure(conn: FakeConnection) -> None:
        raise RuntimeError("bad hook")

    with Pool(connector, PoolConfig(retry_connection=False), configure=configure) as pool:
        with pytest.raises(RuntimeError, match="bad hook"):
            pool.acquire()
        assert pool.stats().closed_configure_failed == 1
    assert connector.closed == 1


def test_lease_ends_once() -> None:
    with Pool(FakeConnector()) as pool:
        lease = pool.acquire()
        lease.release()
        with pytest.raises(DoubleRelease, match="given back already"):
            lease.release()
        with pytest.raises(LeaseReleased):
            _ = lease.conn
        lease = pool.acquire()
        lease.discard("for the test")
        with pytest.raises(DoubleRelease, match="discarded"):
            lease.release()
        assert pool.stats().closed_discarded == 1


def test_detached_connection_is_the_callers() -> None:
    with Pool(FakeConnector(), PoolConfig(max_size=1)) as pool:
        conn = pool.acquire().detach()
        assert conn.closed == 0
        with pool.acquire() as other:
            assert other is not conn


def test_no_thread_is_started_before_the_first_use() -> None:
    connector = FakeConnector()
    connector.fast_open = False
    before = threading.active_count()
    with Pool(connector) as pool:
        assert pool.stats().state == "open"
        assert threading.active_count() == before
    assert threading.active_count() == before


def test_idle_connection_takes_less_than_500_bytes() -> None:
    count = 500
    with Pool(FakeConnector(), PoolConfig(max_size=count)) as pool:
        conns = [FakeConnection(number) for number in range(count)]
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for conn in conns:
                pool.add(conn)
            taken = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert taken / count < 500


def test_second_return_of_the_same_connection_is_refused_and_changes_nothing() -> None:
    """What two threads that end one lease at the same moment may come to."""
    with Pool(FakeConnector()) as pool:
        lease = pool.acquire()
        entry = lease._entry
        assert entry is not None
        lease.release()
        before = pool.stats()
        with pytest.raises(DoubleRelease, match="not lent at this moment"):
            pool.release_entry(entry)
        assert pool.stats() == before


@pytest.mark.parametrize("kind", [Pool, NullPool])
def test_foreign_entry_is_refused(kind: type[Pool[FakeConnection]]) -> None:
    with kind(FakeConnector()) as ours, kind(FakeConnector()) as theirs:
        lease = theirs.acquire()
        assert lease._entry is not None
        with pytest.raises(ForeignLease, match="own pool"):
            ours.release_entry(lease._entry)
        assert (ours.stats().in_use, theirs.stats().in_use) == (0, 1)
        lease.release()


def test_dropped_lease_is_noticed_however_often_its_connection_was_lent_before() -> None:
    with Pool(FakeConnector(), PoolConfig(max_size=1)) as pool:
        ended = []
        for _ in range(2):
            ended.append(pool.acquire())
            ended[-1].release()
        lost = pool.acquire()
        with pytest.warns(ResourceWarning, match="dropped without being given back"):
            del lost
        assert (pool.stats().leaks, pool.stats().in_use) == (1, 0)
        with pytest.raises(DoubleRelease):
            ended[0].release()
        pool.acquire(0).release()


def test_lease_that_has_ended_is_no_loss_whoever_keeps_it() -> None:
    with Pool(FakeConnector(), PoolConfig(max_size=1)) as pool:
        before = pool.acquire()
        before.release()
        lease = pool.acquire()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del before
        assert lease.conn is not None
        assert pool.stats().in_use == 1
        lease.release()


def test_dropped_lease_warns_and_frees_its_place() -> None:
    with Pool(FakeConnector(), PoolConfig(max_size=1)) as pool:
        lease = pool.acquire()
        held = [lease]
        del lease
        with pytest.warns(ResourceWarning, match="without being given back"):
            held.clear()
        with pool.acquire(timeout=0):
            pass
        assert pool.stats().leaks == 1


def test_lease_dropped_in_a_circle_of_garbage_frees_its_place() -> None:
    class Holder:
        lease: object
        me: object

    with Pool(FakeConnector(), PoolConfig(max_size=1)) as pool:
        holder = Holder()
        holder.lease, holder.me = pool.acquire(), holder
        del holder
        with pytest.warns(ResourceWarning, match="without being given back"):
            gc.collect()
        pool.acquire(timeout=0).release()
        assert pool.stats().leaks == 1


def test_interrupt_in_the_middle_of_a_return_loses_neither_the_lock_nor_the_place() -> None:
    interrupts: list[BaseException] = []

    def clock() -> float:  # asked for the time of the return while the lock is held
        if interrupts:
            raise interrupts.pop()
        return 1.0

    with Pool(FakeConnector(), PoolConfig(max_size=1), clock=clock) as pool:
        lease = pool.acquire()
        interrupts.append(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            lease.release()
        with pool.acquire(timeout=0):
            pass
        assert pool.stats().in_use == 0


def test_usage_is_counted_in_buckets_whatever_ends_the_lease() -> None:
    now = [0.0]
    with Pool(FakeConnector(), clock=lambda: now[0]) as pool:
        for seconds, how in ((0.0, "release"), (0.00005, "release"), (0.05, "detach"), (2.0, "discard")):
            lease = pool.acquire()
            now[0] += seconds
            getattr(lease, how)()
        stats = pool.stats()
        assert sum(stats.usage_histogram) == stats.returns == 4
        assert stats.usage_histogram[0] == 2
        assert sum(stats.open_histogram) == stats.connections_opened
        assert stats.usage_time_max == pytest.approx(2.0)


def test_self_deadlock_is_found_at_once() -> None:
    with Pool(FakeConnector(), PoolConfig(max_size=1)) as pool, pool.acquire():
        with pytest.raises(PoolDeadlock, match="raise max_size"):
            pool.acquire()
        assert pool.stats().acquires_rejected == 1


def test_queue_is_limited() -> None:
    with Pool(FakeConnector(), PoolConfig(max_size=1, max_waiting=0, on_deadlock="ignore")) as pool:
        with pool.acquire(), pytest.raises(TooManyWaiting, match="max_waiting is 0"):
            pool.acquire()
        with pool.acquire():
            pass


def test_try_acquire_never_opens() -> None:
    with Pool(FakeConnector()) as pool:
        assert pool.try_acquire() is None
        with pool.acquire():
            pass
        lease = pool.try_acquire()
        assert lease is not None
        lease.release()


def test_add_and_dedicated() -> None:
    connector = FakeConnector()
    with Pool(connector, PoolConfig(max_size=1)) as pool:
        own = pool.dedicated()
        assert pool.stats().size == 0
        pool.add(own)
        with pytest.raises(PoolFull) as full:
            pool.add(pool.dedicated())
        assert full.value.connection is connector.made[1]
        connector.made[1].broken = True
        with pytest.raises(ConnectionBroken):
            pool.add(connector.made[1])
        with pool.acquire() as conn:
            assert conn is own


def test_close_reports_who_still_holds_a_connection() -> None:
    connector = FakeConnector()
    pool = Pool(connector).open()
    lease = pool.acquire()
    report = pool.close(timeout=0)
    assert [one.id for one in report.leftovers] == [1]
    assert "MainThread" in str(report.leftovers[0])
    lease.release()
    assert connector.closed == 1


def test_close_fails_the_queue() -> None:
    pool = Pool(FakeConnector(), PoolConfig(max_size=1)).open()
    lease = pool.acquire()
    errors: list[BaseException] = []

    def other() -> None:
        try:
            pool.acquire(timeout=None)
        except PoolClosed as error:
            errors.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    until(pool, waiting=1)
    pool.close(timeout=0)
    thread.join()
    assert len(errors) == 1
    lease.release()


def test_min_idle_is_kept() -> None:
    with Pool(FakeConnector(), PoolConfig(min_idle=3)).open(wait=True) as pool:
        assert pool.stats().idle == 3
        assert pool.drain() == 3
        assert pool.stats().idle == 3


def test_resize_and_check() -> None:
    connector = FakeConnector()
    with Pool(connector) as pool:
        for lease in [pool.acquire() for _ in range(4)]:
            lease.release()
        pool.resize(max_size=2)
        assert pool.stats().closed_surplus == 2
        connector.ping_errors = [OSError("dead")]
        report = pool.check()
        assert (report.checked, report.failed) == (2, 1)


def test_null_pool_has_no_limit_unless_told() -> None:
    with NullPool(FakeConnector()) as pool:
        leases = [pool.acquire() for _ in range(50)]
        for lease in leases:
            lease.release()
        assert pool.stats().peak_in_use == 50


def test_many_threads_leave_the_numbers_right(identities: Any) -> None:
    connector = FakeConnector()
    with Pool(connector, PoolConfig(max_size=3)) as pool:

        def work() -> None:
            for _ in range(50):
                with pool.acquire(timeout=None):
                    pass

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stats = pool.stats()
        identities(stats)
        assert stats.returns == 400
        assert stats.peak_in_use <= 3
    assert connector.closed == len(connector.made)
