"""Faults of leases, hooks, closing and time, on a real server: numbers 17 to 36 of docs/pools-faults.md."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from typing import Any

import psycopg
import pytest

from datalayer._plans.plan import Command
from datalayer.errors import ConnectionLost, DatabaseError, PoolClosed, PoolTimeout
from datalayer.pooling.events import LeakSuspected
from tests.database.pooling.conftest import Maker, adds_up
from tests.database.pooling.faults.conftest import sessions_left
from tests.database.pooling.scripts import Join, Script, Spawn, Until, call, play
from tests.postgres_server import PostgresServer
from tests.tcp_proxy import Proxy
from tests.worlds import World


def borrow(pool: Any) -> Script:
    lease = yield call(pool.acquire, 10.0)
    reply = yield call(lease.conn.execute, Command("select pg_backend_pid()"))
    yield lease.release
    return reply.rows[0][0]


# -- returns -------------------------------------------------------------------------------------


def test_connection_with_a_running_statement_is_thrown_away(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        lease = yield pool.acquire
        pid = lease.conn.raw.info.backend_pid
        lease.conn.raw.pgconn.send_query(b"select pg_sleep(60)")
        yield lease.release
        assert (yield from borrow(pool)) != pid

    play(world, script())
    assert pool.stats().closed_reset_failed == 1


def test_connection_lost_while_lent_is_replaced_for_who_waits(make: Maker, world: World, proxy: Proxy) -> None:
    pool = make(max_size=1)

    def script() -> Script:
        lease = yield pool.acquire
        waiter = yield Spawn(borrow(pool))
        yield Until(lambda: pool.stats().waiting == 1)
        proxy.drop()
        with pytest.raises(ConnectionLost):
            yield call(lease.conn.execute, Command("select 1"))
        yield lease.release
        yield Join(waiter)

    play(world, script())
    assert pool.stats().closed_broken == 1


class Unspeakable(Exception):
    """An error whose own text fails."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("hook", ["configure", "check", "reset", "on_close"])
def test_hook_that_fails_without_words_harms_one_connection(make: Maker, world: World, hook: str) -> None:
    left = [1]

    def fail(link: Any) -> None:
        if left:
            left.pop()
            raise Unspeakable

    pool = make(max_size=1, max_uses=2, backoff_initial=0.01, hooks={hook: fail})

    def script() -> Script:
        for _ in range(4):
            yield from borrow(pool)

    play(world, script())
    assert not left
    assert pool.stats().returns == 4


def test_configure_that_always_fails_has_the_pauses_of_a_failed_connect(
    make: Maker, world: World, proxy: Proxy, server: PostgresServer
) -> None:
    def fail(link: Any) -> None:
        raise Unspeakable

    pool = make(backoff_initial=0.05, backoff_jitter=0.0, hooks={"configure": fail})

    def script() -> Script:
        with pytest.raises(PoolTimeout, match="Unspeakable") as caught:
            yield call(pool.acquire, 0.3)
        assert isinstance(caught.value.__cause__, Unspeakable)
        yield Until(lambda: not pool.stats().opening)

    play(world, script())
    assert proxy.accepted <= 4  # at 0, 0.05, 0.15 and 0.35 s
    assert pool.stats().closed_configure_failed == proxy.accepted


# -- closing -------------------------------------------------------------------------------------


def test_close_while_it_connects_leaves_no_session(
    make: Maker, world: World, proxy: Proxy, server: PostgresServer
) -> None:
    pool = make(connect_timeout=1.0)

    def script() -> Script:
        proxy.freeze()
        waiter = yield Spawn(borrow(pool))
        yield Until(lambda: pool.stats().opening == 1)
        closing = yield Spawn(close(pool))
        with pytest.raises(PoolClosed, match="while this caller waited"):
            yield Join(waiter)
        proxy.thaw()
        yield Join(closing)

    play(world, script())
    stats = pool.stats()
    assert stats.connections_opened == stats.closed
    assert sessions_left(server) == []


def close(pool: Any) -> Script:
    yield call(pool.close, 5.0)


def test_close_during_a_ping_leaves_no_session(make: Maker, world: World, proxy: Proxy, server: PostgresServer) -> None:
    pool = make(validation_timeout=0.2)

    def ask() -> Script:
        with pytest.raises(PoolClosed):
            yield from borrow(pool)

    def script() -> Script:
        yield from borrow(pool)
        proxy.freeze()
        waiter = yield Spawn(ask())
        yield Until(lambda: pool.stats().testing == 1)
        began = time.monotonic()
        closing = yield Spawn(close(pool))
        yield Join(waiter)
        yield Join(closing)
        assert time.monotonic() - began < 4, "close() was not told that the ping is over"
        proxy.thaw()

    play(world, script())
    assert sessions_left(server) == []


def test_close_by_force_ends_what_runs_and_names_who_runs_it(make: Maker, world: World, server: PostgresServer) -> None:
    pool = make()

    def sleep() -> Script:
        lease = yield pool.acquire
        try:
            yield call(lease.conn.execute, Command("select pg_sleep(60)"))
        finally:
            yield lease.release

    def script() -> Script:
        sleeper = yield Spawn(sleep())
        yield Until(lambda: pool.stats().in_use == 1)
        yield Until(lambda: running(server))
        report = yield call(pool.close, 0.05, force=True)
        assert report.terminated == 1
        assert "borrowed at" in str(report.leftovers[0])
        with pytest.raises(DatabaseError):
            yield Join(sleeper)

    play(world, script())
    stats = pool.stats()
    assert (stats.size, stats.closed) == (0, 1)


def running(server: PostgresServer) -> bool:
    with psycopg.connect(server.url, autocommit=True) as connection:
        row = connection.execute(
            "select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'"
        ).fetchone()
        return row == (1,)


def test_close_by_two_at_once_ends_for_both(make: Maker, world: World, server: PostgresServer) -> None:
    pool = make()

    def script() -> Script:
        lease = yield pool.acquire
        closers = [(yield Spawn(close(pool))), (yield Spawn(close(pool)))]
        yield Until(lambda: pool.closed)
        began = time.monotonic()
        yield lease.release
        for closer in closers:
            yield Join(closer)
        assert time.monotonic() - began < 4, "one of them was not told that the pool is empty"
        assert pool.state == "closed"

    play(world, script())
    assert sessions_left(server) == []


# -- time ----------------------------------------------------------------------------------------


def test_connections_of_one_second_do_not_end_in_one_second(make: Maker, world: World) -> None:
    pool = make(max_size=12, max_lifetime=1000.0, lifetime_jitter=0.5, idle_timeout=None)

    def script() -> Script:
        leases: list[Any] = []
        for _ in range(12):
            leases.append((yield pool.acquire))
        for lease in leases:
            yield lease.release
        make.clock.ahead = 750.0
        yield from borrow(pool)
        leases = []
        for _ in range(12):
            leases.append((yield pool.acquire))
        for lease in leases:
            yield lease.release

    play(world, script())
    assert 1 <= pool.stats().closed_lifetime <= 11


def test_wall_clock_may_jump(make: Maker, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    make.keeps_clocks = True
    pool = make(max_lifetime=3600.0, idle_timeout=600.0)
    now = time.time

    def script() -> Script:
        pid = yield from borrow(pool)
        for days in (1, -2):
            monkeypatch.setattr(time, "time", lambda days=days: now() + days * 86400)
            assert (yield from borrow(pool)) == pid

    play(world, script())
    assert pool.stats().closed == 0


def test_machine_that_slept_finds_its_dead_connections_by_ping(make: Maker, world: World, proxy: Proxy) -> None:
    pool = make(max_lifetime=3600.0, idle_timeout=600.0, test_bypass=60.0)

    def script() -> Script:
        pid = yield from borrow(pool)
        proxy.half_close()
        make.clock.ahead = 100.0  # less than any limit, more than the bypass
        assert (yield from borrow(pool)) != pid

    play(world, script())
    assert pool.stats().acquires_failed == 0


ASLEEP = """
import asyncio, sys, time

real = time.clock_gettime
slept = {"hours": 0.0}
# A machine that sleeps: this one clock goes on, and all others stand still.
time.clock_gettime = lambda which: real(which) + (slept["hours"] * 3600 if which == time.CLOCK_BOOTTIME else 0.0)

from datalayer._links.sqlite import aconnect_sqlite, connect_sqlite
from datalayer.pooling import AsyncPool, Pool, PoolConfig
from datalayer.pooling.links import AsyncLinkConnector, LinkConnector
from datalayer.pooling.psycopg import AsyncPsycopgPool, PsycopgPool

kind, is_async, url = sys.argv[1], sys.argv[2] == "async", sys.argv[3]
limits = PoolConfig(max_lifetime=1800.0, idle_timeout=None)
if kind == "psycopg":
    pool = (AsyncPsycopgPool if is_async else PsycopgPool)(url, limits)
elif is_async:
    pool = AsyncPool(AsyncLinkConnector(lambda: aconnect_sqlite(url, alias="shop")), limits)
else:
    pool = Pool(LinkConnector(lambda: connect_sqlite(url, alias="shop"), fast_open=True), limits)

def blocking():
    with pool:
        for hours in (0, 0, 1):
            slept["hours"] = hours
            with pool.acquire():
                print(pool.stats().connections_opened)

async def awaiting():
    async with pool:
        for hours in (0, 0, 1):
            slept["hours"] = hours
            async with pool.acquire():
                print(pool.stats().connections_opened)

asyncio.run(awaiting()) if is_async else blocking()
"""


def test_connection_grows_older_while_the_machine_sleeps(make: Maker, world: World) -> None:
    kind, async_word = "psycopg" if make.is_psycopg else "generic", "async" if world.is_async else "sync"
    url = make.url if make.is_psycopg else ":memory:"
    done = subprocess.run(
        [sys.executable, "-c", ASLEEP, kind, async_word, url], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["1", "1", "2"], done.stderr


@pytest.mark.parametrize("world", ["awaiting"], indirect=True)  # a thread cannot be ended by anybody
def test_on_close_that_hangs_ends_with_its_time_and_cancels_nobody(make: Maker, world: World) -> None:
    ended: list[str] = []

    async def hang(link: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("hook")
            raise

    def dirty(link: Any) -> None:
        raise ValueError("dirty")

    pool = make(max_size=1, close_timeout=0.05, hooks={"on_close": hang, "reset": dirty})

    def script() -> Script:
        lease = yield pool.acquire
        yield lease.release
        yield Until(lambda: ended)
        lease = yield pool.acquire
        lease.discard()
        yield Until(lambda: pool.stats().size == 0)

    play(world, script())
    assert (pool.stats().closed_reset_failed, pool.stats().closed_discarded) == (1, 1)


# -- numbers -------------------------------------------------------------------------------------


def test_numbers_add_up_at_every_moment(make: Maker, world: World) -> None:
    pool = make(max_size=3, max_uses=5, on_deadlock="ignore")
    stop = threading.Event()
    looked = [0]
    wrong: list[BaseException] = []

    def look() -> None:
        while not stop.is_set():
            try:
                stats = pool.stats()
                adds_up(stats)
                assert stats.size + stats.opening <= 3
                pool.leases()
            except BaseException as error:
                wrong.append(error)
                return
            looked[0] += 1

    def work() -> Script:
        for _ in range(25):
            yield from borrow(pool)

    def script() -> Script:
        workers: list[Any] = []
        for _ in range(8):
            workers.append((yield Spawn(work())))
        for worker in workers:
            yield Join(worker)

    watcher = threading.Thread(target=look)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that the watcher comes in between as often as can be
    watcher.start()
    try:
        play(world, script())
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        watcher.join()
    assert not wrong
    assert looked[0] > 10
    assert pool.stats().returns == 200


def test_housekeeping_lives_on_after_an_error_of_a_listener(make: Maker, world: World) -> None:
    heard: list[Any] = []

    def angry(event: object) -> None:
        heard.append(event)
        raise RuntimeError("no")

    pool = make(leak_threshold=0.01, reaper_rate=0.01, listeners=[angry])

    def script() -> Script:
        for number in (1, 2):
            lease = yield pool.acquire
            yield Until(lambda number=number: sum(isinstance(one, LeakSuspected) for one in heard) == number)
            yield lease.release

    play(world, script())
