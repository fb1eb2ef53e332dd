"""Faults of the server and of the network, on a real server behind a proxy: numbers 1 to 8 of docs/pools-faults.md."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from datalayer._plans.plan import Command
from datalayer.errors import ConnectionFailed, ConnectionLost, PoolTimeout, ReadOnlyTransaction
from datalayer.pooling import events
from tests.database.pooling.conftest import Maker
from tests.database.pooling.faults.conftest import PASSWORD
from tests.database.pooling.scripts import Join, Script, Spawn, Until, call, play
from tests.postgres_server import PostgresServer
from tests.tcp_proxy import Proxy
from tests.worlds import World


def ask(link: Any, sql: str = "select 1") -> Any:
    return call(link.execute, Command(sql))


def borrow(pool: Any, timeout: float | None = 10.0) -> Script:
    """Borrows a connection, uses it and gives it back; gives the process of the server behind it."""
    lease = yield call(pool.acquire, timeout)
    reply = yield ask(lease.conn, "select pg_backend_pid()")
    yield lease.release
    return reply.rows[0][0]


# -- 1, 2, 8: nobody answers ---------------------------------------------------------------------


def test_server_that_is_down_is_waited_for_and_told_as_the_cause(make: Maker, world: World, proxy: Proxy) -> None:
    proxy.refuse()
    pool = make(connection_timeout=0.2, backoff_initial=0.01)

    def script() -> Script:
        yield pool.open
        with pytest.raises(PoolTimeout, match=r"127\.0\.0\.1") as caught:
            yield pool.acquire
        assert caught.value.reason == "unavailable"
        assert isinstance(caught.value.__cause__, ConnectionFailed)
        assert not caught.value.__cause__.is_fatal
        proxy.accept()
        yield from borrow(pool)

    play(world, script())


def test_caller_who_waits_is_served_when_the_server_comes(make: Maker, world: World, proxy: Proxy) -> None:
    proxy.refuse()
    pool = make(backoff_initial=0.01, backoff_max=0.02)

    def script() -> Script:
        waiter = yield Spawn(borrow(pool))
        yield Until(lambda: pool.stats().connect_errors >= 3)
        proxy.accept()
        yield Join(waiter)

    play(world, script())
    assert pool.stats().acquires_waited == 1


def test_outage_is_told_when_it_begins_and_when_it_ends(make: Maker, world: World, proxy: Proxy) -> None:
    heard: list[Any] = []
    proxy.refuse()
    pool = make(backoff_initial=0.01, backoff_max=0.02, unavailable_after=0.03, listeners=[heard.append])

    def script() -> Script:
        waiter = yield Spawn(borrow(pool))
        yield Until(lambda: any(isinstance(one, events.Unavailable) for one in heard))
        proxy.accept()
        yield Join(waiter)
        yield Until(lambda: any(isinstance(one, events.Available) for one in heard))

    play(world, script())
    assert pool.stats().outages == 1


def test_new_caller_need_not_wait_for_the_end_of_a_long_pause(make: Maker, world: World, proxy: Proxy) -> None:
    proxy.refuse()
    pool = make(backoff_initial=0.02, backoff_max=60.0, backoff_jitter=0.0)

    def script() -> Script:
        waiter = yield Spawn(borrow(pool, None))
        yield Until(lambda: pool.stats().connect_errors >= 7)  # from now on the pause is a second
        began = time.monotonic()
        while pool.stats().connect_errors < 14:
            with pytest.raises(PoolTimeout):
                yield call(pool.acquire, 0.03)
        assert time.monotonic() - began < 4, "the server was not asked for the new callers"
        proxy.accept()
        yield from borrow(pool)
        yield Join(waiter)

    play(world, script())


def test_opening_a_pool_of_a_server_that_is_down_fails_in_time(make: Maker, world: World, proxy: Proxy) -> None:
    proxy.refuse()
    pool = make(min_idle=2, backoff_initial=0.01, backoff_max=0.02)

    def script() -> Script:
        with pytest.raises(PoolTimeout) as caught:
            yield call(pool.open, wait=True, timeout=0.1)
        assert isinstance(caught.value.__cause__, ConnectionFailed)
        proxy.accept()
        yield call(pool.open, wait=True, timeout=10.0)
        assert pool.stats().idle == 2

    play(world, script())


def test_one_failed_connect_is_not_seen(make: Maker, world: World, proxy: Proxy) -> None:
    pool = make(backoff_initial=0.01)
    proxy.refuse_next(1)
    play(world, borrow(pool))
    stats = pool.stats()
    assert stats.connect_errors == 1
    assert (stats.acquires_waited, stats.acquires_failed) == (1, 0)


# -- 3, 4: it was restarted ----------------------------------------------------------------------


def test_restart_under_load_costs_no_more_than_what_was_under_way(
    make: Maker, world: World, server: PostgresServer
) -> None:
    pool = make(max_size=4, backoff_initial=0.05, backoff_max=0.1, on_deadlock="ignore")
    failed: list[int] = []
    ended = [0]
    back_at: list[float] = []
    late: list[float] = []
    stop: list[bool] = []

    def work() -> Script:
        while not stop:
            began = time.monotonic()
            lease = yield call(pool.acquire, 20.0)
            if back_at:
                late.append(time.monotonic() - max(began, back_at[0]))
            try:
                yield ask(lease.conn)
            except ConnectionLost as error:
                failed.append(lease.id)
                lease.report(error)
            else:
                yield lease.release
            ended[0] += 1

    def script() -> Script:
        workers: list[Any] = []
        for _ in range(8):
            workers.append((yield Spawn(work())))
        yield Until(lambda: ended[0] > 100)
        yield server.kill
        yield server.start_again
        back_at.append(time.monotonic())
        before = ended[0]
        yield Until(lambda: ended[0] > before + 200)
        stop.append(True)
        for worker in workers:
            yield Join(worker)

    play(world, script())
    assert len(failed) <= 4
    assert len(set(failed)) == len(failed), "a stale connection was lent twice"
    assert max(late) < 0.9, "somebody waited for longer than a pause, a connect and a ping"
    assert pool.stats().acquires_timed_out == 0


def test_fifty_idle_connections_are_stale_at_once_and_not_replaced_at_once(
    make: Maker, world: World, server: PostgresServer, proxy: Proxy
) -> None:
    pool = make(max_size=50, backoff_initial=0.02)

    def script() -> Script:
        leases: list[Any] = []
        for _ in range(50):
            leases.append((yield pool.acquire))
        for lease in leases:
            yield lease.release
        yield server.kill
        yield server.start_again
        accepted = proxy.accepted
        yield from borrow(pool)
        assert pool.stats().pings == 1
        assert proxy.accepted - accepted <= 4
        yield Until(lambda: pool.stats().size <= 4)

    play(world, script())
    assert pool.stats().ping_failures == 1


# -- 5: it became a standby ----------------------------------------------------------------------


def test_server_that_turns_read_only_is_left_for_its_successor(
    make: Maker, world: World, server: PostgresServer, proxy: Proxy, postgresql_server_url: str
) -> None:
    pool = make(max_size=2)
    write = Command("create temporary table t (x int)", returns_rows=False, writes=True)

    def script() -> Script:
        first, second = (yield pool.acquire), (yield pool.acquire)
        set_read_only(server, True)
        try:
            while not is_read_only(first.conn):  # a session hears of it between two statements
                yield ask(first.conn)
            while not is_read_only(second.conn):
                yield ask(second.conn)
            with pytest.raises(ReadOnlyTransaction) as caught:
                yield call(first.conn.execute, write)
            assert caught.value.is_failover
            with pytest.raises(ReadOnlyTransaction) as again:
                yield call(second.conn.execute, write)
        finally:
            set_read_only(server, False)
        proxy.retarget(postgresql_server_url)  # which has a user and a database of the same names
        first.report(caught.value)
        assert pool.stats().generation == 1
        third = yield pool.acquire
        second.report(again.value)
        assert pool.stats().generation == 1, "a connection of before says nothing about those of now"
        yield call(third.conn.execute, write)
        yield third.release

    play(world, script())
    assert pool.stats().closed_broken == 2


def set_read_only(server: PostgresServer, is_on: bool) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        change = "SET default_transaction_read_only = on" if is_on else "RESET default_transaction_read_only"
        connection.execute(f"ALTER SYSTEM {change}".encode())
        connection.execute("SELECT pg_reload_conf()")


def is_read_only(link: Any) -> bool:
    """Whether the server has told this very session."""
    return bool(link.raw.info.parameter_status("default_transaction_read_only") == "on")


# -- 6: nothing comes back -----------------------------------------------------------------------


def test_connect_into_nothing_holds_nobody_up_and_frees_its_place(make: Maker, world: World, proxy: Proxy) -> None:
    proxy.freeze()
    pool = make(max_size=1, connect_timeout=1.0, backoff_initial=0.01)

    def script() -> Script:
        for _ in range(2):
            with pytest.raises(PoolTimeout) as caught:
                yield call(pool.acquire, 0.1)
            assert caught.value.waited < 1
            assert caught.value.reason == "connecting"
        yield Until(lambda: pool.stats().connect_errors == 1)
        assert pool.stats().opening == 0
        proxy.thaw()
        yield from borrow(pool)

    play(world, script())


def test_ping_into_nothing_is_bounded_by_the_patience_of_the_caller(make: Maker, world: World, proxy: Proxy) -> None:
    pool = make(connect_timeout=1.0, backoff_initial=0.01)

    def script() -> Script:
        pid = yield from borrow(pool)
        proxy.freeze()
        with pytest.raises(PoolTimeout) as caught:
            yield call(pool.acquire, 0.1)
        assert caught.value.waited < 1
        proxy.thaw()
        assert (yield from borrow(pool)) != pid

    play(world, script())
    assert pool.stats().closed_invalid == 1


def test_return_into_nothing_ends_with_its_time(make: Maker, world: World, proxy: Proxy) -> None:
    pool = make(reset_timeout=0.2)

    def give_back(lease: Any) -> Script:
        yield lease.release

    def script() -> Script:
        lease = yield pool.acquire
        yield call(lease.conn.execute, Command("begin", returns_rows=False))
        proxy.freeze()
        worker = yield Spawn(give_back(lease))
        try:
            yield Join(worker)
        finally:
            proxy.thaw()

    play(world, script())
    assert pool.stats().closed_reset_failed == 1


def test_server_that_shuts_its_side_is_noticed(make: Maker, world: World, proxy: Proxy) -> None:
    pool = make()

    def script() -> Script:
        pid = yield from borrow(pool)
        proxy.half_close()
        assert (yield from borrow(pool)) != pid

    play(world, script())
    assert pool.stats().acquires_failed == 0


def test_slow_network_is_only_slow(make: Maker, world: World, proxy: Proxy) -> None:
    proxy.slow_down(16)
    pool = make()

    def script() -> Script:
        assert (yield from borrow(pool)) == (yield from borrow(pool))

    play(world, script())
    assert pool.stats().connect_errors == 0


# -- 7: it refuses -------------------------------------------------------------------------------


def test_wrong_password_reaches_all_at_once_and_the_right_one_cures_it(
    make: Maker, world: World, server: PostgresServer, proxy: Proxy
) -> None:
    url = proxy.url(server.url).replace("postgres@", "locked:hidden@")
    pool = make(url, backoff_initial=0.01, backoff_max=0.05)
    began = time.monotonic()

    def refused() -> Script:
        with pytest.raises(ConnectionFailed, match="password authentication failed") as caught:
            yield call(pool.acquire, 30.0)
        assert caught.value.is_fatal
        assert "hidden" not in str(caught.value)

    def cured() -> Script:
        try:
            yield from borrow(pool)
        except ConnectionFailed:
            return False
        return True

    def script() -> Script:
        callers = [(yield Spawn(refused())), (yield Spawn(refused())), (yield Spawn(refused()))]
        for caller in callers:
            yield Join(caller)
        yield from refused()
        assert time.monotonic() - began < 5
        set_password(server, "hidden")
        try:
            while not (yield from cured()):
                yield Until(lambda: True)
        finally:
            set_password(server, PASSWORD)

    play(world, script())


@pytest.fixture
def changed(make: Maker, server: PostgresServer, proxy: Proxy) -> Iterator[Any]:
    """A pool whose password was changed by somebody after its first connection; it does not try again by itself."""
    set_password(server, "hidden")
    url = proxy.url(server.url).replace("postgres@", "locked:hidden@")
    yield make(url, max_size=2, backoff_initial=20.0, backoff_max=20.0)
    set_password(server, PASSWORD)


def test_wrong_password_fails_nobody_whom_a_returned_connection_will_serve(
    changed: Any, world: World, server: PostgresServer
) -> None:
    def script() -> Script:
        lease = yield changed.acquire
        set_password(server, PASSWORD)
        first = yield Spawn(borrow(changed))
        yield Until(lambda: changed.stats().connect_errors == 1)
        second = yield Spawn(borrow(changed))
        yield Until(lambda: changed.stats().waiting == 2)
        yield lease.release
        assert (yield Join(first)) == (yield Join(second))

    play(world, script())
    assert changed.stats().acquires_failed == 0


def test_wrong_password_fails_who_waits_when_the_last_connection_is_lost(
    changed: Any, world: World, server: PostgresServer
) -> None:
    def script() -> Script:
        lease = yield changed.acquire
        set_password(server, PASSWORD)
        waiter = yield Spawn(borrow(changed))
        yield Until(lambda: changed.stats().connect_errors == 1)
        lease.discard()
        with pytest.raises(ConnectionFailed, match="password authentication failed"):
            yield Join(waiter)

    play(world, script())


def test_wrong_password_is_told_at_once_to_who_holds_the_only_connection(
    changed: Any, world: World, server: PostgresServer
) -> None:
    def script() -> Script:
        lease = yield changed.acquire
        set_password(server, PASSWORD)
        with pytest.raises(ConnectionFailed, match="password authentication failed"):
            yield call(changed.acquire, 10.0)
        with pytest.raises(ConnectionFailed, match="password authentication failed"):
            yield call(changed.acquire, 10.0)
        yield lease.release

    play(world, script())


def test_connection_that_comes_back_after_a_refusal_is_lent_again(
    changed: Any, world: World, server: PostgresServer
) -> None:
    def script() -> Script:
        first = yield from borrow(changed)
        lease = yield changed.acquire
        set_password(server, PASSWORD)
        with pytest.raises(ConnectionFailed, match="password authentication failed"):
            yield call(changed.acquire, 10.0)
        yield lease.release
        assert (yield from borrow(changed)) == first

    play(world, script())
    assert changed.stats().connections_opened == 1


def test_caller_who_queues_in_the_moment_of_a_refusal_is_told_at_once(
    make: Maker, changed: Any, world: World, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not make.is_psycopg:
        return  # our own pool has one lock for both
    ask = changed._home_for

    def asked_before(owner: object) -> Any:
        monkeypatch.undo()
        return changed._home

    def script() -> Script:
        lease = yield changed.acquire
        set_password(server, PASSWORD)
        with pytest.raises(ConnectionFailed, match="password authentication failed"):
            yield call(changed.acquire, 10.0)
        monkeypatch.setattr(changed, "_home_for", asked_before)
        with pytest.raises(ConnectionFailed, match="password authentication failed"):
            yield call(changed.acquire, 10.0)
        assert changed._home_for == ask
        yield lease.release

    play(world, script())


def set_password(server: PostgresServer, password: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = on")  # the next test may kill the server
        connection.execute(f"ALTER ROLE locked PASSWORD '{password}'".encode())
