"""The registry and its pools on real databases, in both worlds."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import datalayer
from datalayer._plans.plan import Command
from datalayer.conf import DatabaseUrl, reset
from datalayer.errors import ConnectionFailed, PoolConfigError, PoolDeadlock, PoolTimeout
from datalayer.pooling import PoolConfig, pools
from datalayer.pooling.psycopg import AsyncPsycopgPool, PsycopgPool
from tests.database.pooling.scripts import Script, play


def adds_up(stats: Any) -> None:
    assert stats.acquires_started == (
        stats.acquires_immediate + stats.acquires_waited + stats.acquires_timed_out + stats.acquires_cancelled
        + stats.acquires_rejected + stats.acquires_failed + stats.waiting + stats.testing
    )  # fmt: skip
    assert stats.connections_opened + stats.connections_added - stats.closed == stats.size
    assert stats.size == stats.idle + stats.in_use + stats.testing


@pytest.fixture
def settings(world: Any) -> Iterator[Any]:
    """`settings(url, **pool)` configures `default`; everything is closed and forgotten afterwards."""

    def configure(url: str, **pool: object) -> Any:
        datalayer.configure(databases={"default": {"url": url, "pool": pool}})
        return pools["default"]

    reset()
    yield configure
    world.run(lambda: None, pools.aclose_all)
    pools.reset()
    reset()


def borrow(world: Any, pool: Any, mode: str = "write") -> Any:
    return world.call(pool, "borrow", mode)


def release(world: Any, lease: Any) -> None:
    world.run(lambda: lease.release(), lambda: lease.release())


def execute(world: Any, link: Any, sql: str, **options: Any) -> Any:
    command = Command(sql, **options)
    return world.run(lambda: link.execute(command), lambda: link.execute(command))


def test_lends_a_link_and_takes_it_back(database_url: str, settings: Any, world: Any) -> None:
    pool = settings(database_url)
    lease = borrow(world, pool)
    assert execute(world, lease.conn, "select 1").rows == [(1,)]
    assert pool.stats().in_use == 1
    first = lease.conn.raw
    release(world, lease)
    lease = borrow(world, pool)
    assert lease.conn.raw is first
    release(world, lease)
    stats = pool.stats()
    assert (stats.in_use, stats.idle, stats.returns) == (0, 1, 2)
    adds_up(stats)


def test_open_transaction_is_rolled_back_at_return(database_url: str, settings: Any, world: Any) -> None:
    pool = settings(database_url)
    lease = borrow(world, pool)
    execute(world, lease.conn, "create table t (x int)", returns_rows=False, writes=True)
    execute(world, lease.conn, "begin", returns_rows=False)
    execute(world, lease.conn, "insert into t values (1)", returns_rows=False, writes=True)
    release(world, lease)
    lease = borrow(world, pool)
    assert not lease.conn.in_transaction
    assert execute(world, lease.conn, "select count(*) from t").rows == [(0,)]
    release(world, lease)


def test_close_and_open_again(database_url: str, settings: Any, world: Any) -> None:
    pool = settings(database_url)
    world.call(pool, "open", wait=True)
    assert pool.stats().size >= 1
    world.call(pool, "close")
    assert pool.stats().size == 0
    release(world, borrow(world, pool))


@pytest.mark.parametrize("implementation", ["psycopg", "generic"])
class TestPostgreSQL:
    """What the adapter of psycopg-pool and our own pool must do alike."""

    def test_unknown_database_fails_at_once_and_hides_the_password(
        self, postgresql_url: str, settings: Any, world: Any, implementation: str
    ) -> None:
        url = dataclasses.replace(DatabaseUrl.parse(postgresql_url), database="no_such_database").render()
        pool = settings(url, implementation=implementation)
        with pytest.raises(ConnectionFailed, match="no_such_database") as caught:
            borrow(world, pool)
        assert "'default'" in str(caught.value)
        assert caught.value.is_fatal
        assert caught.value.__cause__ is not None
        with pytest.raises(ConnectionFailed):
            world.call(pool, "open", wait=True)
        adds_up(pool.stats())

    def test_server_down_is_a_timeout_with_the_real_error(self, settings: Any, world: Any, implementation: str) -> None:
        pool = settings("postgresql://me:hidden@127.0.0.1:1/x", implementation=implementation, connection_timeout=0.2)
        with pytest.raises(PoolTimeout, match=r"127\.0\.0\.1") as caught:
            borrow(world, pool)
        assert caught.value.reason == "unavailable"
        assert isinstance(caught.value.__cause__, ConnectionFailed)
        assert "hidden" not in str(caught.value) + str(caught.value.__cause__) + repr(pool)
        adds_up(pool.stats())

    def test_lost_connection_is_replaced(
        self, postgresql_url: str, settings: Any, world: Any, implementation: str
    ) -> None:
        pool = settings(postgresql_url, implementation=implementation, test_bypass=0)
        lease = borrow(world, pool)
        victim = lease.conn.raw.info.backend_pid
        other = borrow_two(world, pool)
        execute(world, other.conn, f"select pg_terminate_backend({victim}, 5000)")
        release(world, lease)
        release(world, other)
        for _ in range(3):
            lease = borrow(world, pool)
            assert execute(world, lease.conn, "select 1").rows == [(1,)]
            release(world, lease)
        adds_up(pool.stats())

    def test_own_deadlock_is_found(self, postgresql_url: str, settings: Any, world: Any, implementation: str) -> None:
        pool = settings(postgresql_url, implementation=implementation, max_size=1)

        async def nested() -> None:
            lease = await pool.aborrow()
            try:
                with pytest.raises(PoolDeadlock):
                    await pool.aborrow()
            finally:
                await lease.release()

        def nested_blocking() -> None:
            lease = pool.borrow()
            with pytest.raises(PoolDeadlock):
                pool.borrow()
            lease.release()

        world.run(nested_blocking, nested)
        adds_up(pool.stats())

    def test_discarded_connection_is_closed(
        self, postgresql_url: str, settings: Any, world: Any, implementation: str
    ) -> None:
        pool = settings(postgresql_url, implementation=implementation)
        lease = borrow(world, pool)
        raw = lease.conn.raw
        lease.discard("for the test")
        lease = borrow(world, pool)
        assert lease.conn.raw is not raw
        release(world, lease)
        world.call(pool, "close")
        assert raw.closed

    @pytest.mark.parametrize("behind", [False, True])
    def test_pooler_of_transactions_gets_sessions_as_they_are(
        self, postgresql_url: str, settings: Any, world: Any, implementation: str, behind: bool
    ) -> None:
        reset()  # `settings` cleans up
        datalayer.configure(
            databases={
                "default": {
                    "url": postgresql_url, "transaction_pooling": behind, "pool": {"implementation": implementation},
                }
            }
        )  # fmt: skip
        pool = pools["default"]
        lease = borrow(world, pool)
        for number in range(10):
            execute(world, lease.conn, "select %s::int", params=(number,))
        prepared = execute(world, lease.conn, "select count(*) from pg_prepared_statements").rows[0][0]
        zone = execute(world, lease.conn, "show timezone").rows[0][0]
        execute(world, lease.conn, "set application_name to 'mine'", returns_rows=False)
        release(world, lease)
        lease = borrow(world, pool)
        kept = execute(world, lease.conn, "show application_name").rows[0][0]
        release(world, lease)
        assert (prepared == 0, zone != "UTC") == (behind, behind)
        assert kept == "mine", "what a borrower sets in a session is its own to take back: no pool resets sessions"

    def test_all_are_opened_and_closed_at_once(
        self, postgresql_url: str, sqlite_url: str, world: Any, implementation: str
    ) -> None:
        reset()
        datalayer.configure(
            databases={
                "default": {"url": postgresql_url, "pool": {"implementation": implementation, "min_idle": 2}},
                "other": {"url": sqlite_url, "pool": {"min_idle": 1}},
            }
        )
        world.call(pools, "open_all", wait=True)
        assert pools.stats()["default"].idle == 2
        assert set(pools.parts()) == {"default", "other", "other (read)"}
        world.call(pools, "close_all")
        assert sum(stats.size for stats in pools.stats().values()) == 0
        pools.reset()
        reset()


def borrow_two(world: Any, pool: Any) -> Any:
    """A second connection beside one that is held; the awaiting world lends it to another task."""
    return borrow(world, pool)


def test_psycopg_pool_refuses_what_it_cannot_honour() -> None:
    from datalayer.pooling.psycopg import PsycopgPool

    for options in ({"queue_strategy": "fifo"}, {"keepalive": 5.0}, {"max_opening": 9}):
        with pytest.raises(PoolConfigError, match="generic"):
            PsycopgPool("postgresql://localhost/x", config=PoolConfig(**options))


def test_address_by_function_is_asked_for_at_each_connect(postgresql_url: str, world: Any) -> None:
    names = iter(("first", "second"))

    def address() -> str:
        return f"{postgresql_url}{'&' if '?' in postgresql_url else '?'}application_name={next(names)}"

    pool: Any = (AsyncPsycopgPool if world.is_async else PsycopgPool)(address, PoolConfig(max_size=1))

    def name(link: Any) -> str:
        return str(link.raw.info.parameter_status("application_name"))

    def script() -> Script:
        for expected in ("first", "second"):
            lease = yield pool.acquire
            assert name(lease.conn) == expected
            yield lease.release
            lease = yield pool.acquire
            assert name(lease.conn) == expected
            lease.discard()
        yield pool.close

    play(world, script())


def test_threads_share_the_psycopg_pool(postgresql_url: str) -> None:
    from datalayer.pooling.psycopg import PsycopgPool

    with PsycopgPool(postgresql_url, config=PoolConfig(max_size=3)) as pool:

        def work() -> None:
            for _ in range(20):
                with pool.acquire() as link:
                    link.execute(Command("select 1"))

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stats = pool.stats()
        adds_up(stats)
        assert stats.returns == 120
        assert stats.peak_in_use <= 3
    assert pool.stats().size == 0


def test_writers_of_sqlite_take_turns(sqlite_url: str) -> None:
    from datalayer.pooling import SQLitePool

    with SQLitePool(sqlite_url.removeprefix("sqlite:///")) as pool:
        with pool.acquire() as link:
            link.execute(Command("create table t (x)", returns_rows=False, writes=True))

        def work() -> None:
            for _ in range(20):
                with pool.acquire("write") as link:
                    link.execute(Command("begin immediate", returns_rows=False))
                    link.execute(Command("insert into t values (1)", returns_rows=False, writes=True))
                    link.execute(Command("commit", returns_rows=False))
                with pool.acquire("read") as link:
                    link.execute(Command("select count(*) from t"))

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with pool.acquire("read") as link:
            assert link.execute(Command("select count(*) from t")).rows == [(120,)]
        adds_up(pool.stats())


# -- the place of a lease ------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql-generic", "postgresql-psycopg"])
def lender(request: pytest.FixtureRequest, settings: Any, world: Any) -> Iterator[Any]:
    """The pool `default` on each backend and implementation."""
    backend, _, implementation = request.param.partition("-")
    url = request.getfixturevalue(f"{backend}_url")
    yield settings(url, implementation=implementation) if implementation else settings(url)
    world.run(lambda: None, pools.aclose_all)
    pools.close_all()


def with_lease(pool: Any) -> str:
    lease = pool.borrow()
    site = pool.leases()[0].site
    lease.release()
    return str(site)


async def awith_lease(pool: Any) -> str:
    lease = await pool.aborrow()
    site = pool.leases()[0].site
    await lease.release()
    return str(site)


def with_link(pool: Any) -> str:
    with pool.link():
        return str(pool.leases()[0].site)


async def awith_link(pool: Any) -> str:
    async with pool.alink():
        return str(pool.leases()[0].site)


def with_connection(pool: Any) -> str:
    with pool.connection():
        return str(pool.leases()[0].site)


async def awith_connection(pool: Any) -> str:
    async with pool.aconnection():
        return str(pool.leases()[0].site)


@pytest.mark.parametrize(
    ("blocking", "awaiting"),
    [(with_lease, awith_lease), (with_link, awith_link), (with_connection, awith_connection)],
    ids=["lease", "link", "connection"],
)
def test_lease_names_the_line_of_its_borrower(lender: Any, world: Any, blocking: Any, awaiting: Any) -> None:
    site = world.run(lambda: blocking(lender), lambda: awaiting(lender))
    function = awaiting if world.is_async else blocking
    assert site == f"{__file__}:{function.__code__.co_firstlineno + 1}"
    assert world.run(lambda: blocking(lender), lambda: awaiting(lender)) == site  # an idle one as well as a new one


def test_timeout_through_the_registry_names_the_line_of_the_holder(
    postgresql_url: str, settings: Any, world: Any
) -> None:
    pool = settings(postgresql_url, max_size=1, on_deadlock="ignore")

    def blocking() -> Any:
        with pool.connection(), pytest.raises(PoolTimeout) as caught:
            pool.borrow(timeout=0.01)
        return caught.value

    async def awaiting() -> Any:
        async with pool.aconnection():
            with pytest.raises(PoolTimeout) as caught:
                await pool.aborrow(timeout=0.01)
        return caught.value

    error = world.run(blocking, awaiting)
    function = awaiting if world.is_async else blocking
    assert f"borrowed at {__file__}:{function.__code__.co_firstlineno + 1}" in error.holders[0]
