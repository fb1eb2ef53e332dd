from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

import datalayer.conf as conf
from datalayer._plans.plan import Command
from datalayer.errors import ConfigurationError, PoolDeadlock, PoolError, ReadOnlyTransaction
from datalayer.pooling import pools


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    conf.reset()
    pools.reset()
    yield
    pools.reset()
    conf.reset()


def use(url: str) -> None:
    conf.configure(databases={"default": url})


def test_connection_is_the_drivers_own() -> None:
    use("sqlite:///:memory:")
    with pools["default"].connection() as conn:
        assert isinstance(conn, sqlite3.Connection)
        assert conn.execute("select 1").fetchone() == (1,)


def test_both_worlds_see_the_same_memory() -> None:
    use("sqlite:///:memory:")
    with pools["default"].connection() as conn:
        conn.execute("create table t (x)")
        conn.execute("insert into t values (1)")

    async def count() -> int:
        async with pools["default"].aconnection() as conn:
            await conn.execute("insert into t values (2)")
            found = await (await conn.execute("select count(*) from t")).fetchone()
        await pools.aclose_all()
        return int(found[0])

    assert asyncio.run(count()) == 2
    with pools["default"].connection(mode="read") as conn:
        assert conn.execute("select count(*) from t").fetchone() == (2,)


def test_readers_refuse_to_write_and_do_not_wait_for_the_writer(tmp_path: Path) -> None:
    use(f"sqlite:///{tmp_path}/a.db")
    with pools["default"].link() as link:
        link.execute(Command("create table t (x)", returns_rows=False, writes=True))
        with pools["default"].link(mode="read") as reader:
            assert reader.execute(Command("select * from t")).rows == []
            with pytest.raises(ReadOnlyTransaction):
                reader.execute(Command("insert into t values (1)", returns_rows=False, writes=True))
        with pytest.raises(PoolDeadlock):
            pools["default"].borrow("write")


def test_open_transaction_is_rolled_back_at_return(tmp_path: Path) -> None:
    use(f"sqlite:///{tmp_path}/a.db")
    with pools["default"].connection() as conn:
        conn.execute("create table t (x)")
        conn.execute("begin")
        conn.execute("insert into t values (1)")
    with pools["default"].connection() as conn:
        assert conn.execute("select count(*) from t").fetchone() == (0,)


def test_unknown_alias_names_the_nearest() -> None:
    use("sqlite:///:memory:")
    with pytest.raises(ConfigurationError, match="did you mean 'default'"):
        pools["defualt"]


def test_unknown_mode_names_the_choices(tmp_path: Path) -> None:
    use(f"sqlite:///{tmp_path}/a.db")
    with pytest.raises(PoolError, match="did you mean 'read'"):
        pools["default"].borrow("reed")  # type: ignore[arg-type]


def test_override_is_another_database() -> None:
    use("sqlite:///:memory:")
    with pools["default"].connection() as conn:
        conn.execute("create table t (x)")
    with pools.override("default", url="sqlite:///:memory:"), pools["default"].connection() as conn:
        assert conn.execute("select count(*) from sqlite_master").fetchone() == (0,)
    with pools["default"].connection() as conn:
        assert conn.execute("select count(*) from sqlite_master").fetchone() == (1,)


def test_override_keeps_what_the_settings_say_of_the_pool() -> None:
    conf.configure(databases={"default": {"url": "sqlite:///a.db", "pool": {"max_size": 3}}})
    with pools.override("default", url="sqlite:///:memory:") as pool:
        assert (pool.settings.pool.max_size, str(pool.settings.url)) == (3, "sqlite:///:memory:")
    with pools.override("default", url="postgresql://localhost/x") as pool:
        assert pool.settings.pool.max_size == 10  # of another backend: what holds for a file means nothing there


def test_stats_and_close(tmp_path: Path) -> None:
    use(f"sqlite:///{tmp_path}/a.db")
    assert pools["default"].stats().state == "new"
    pools.open_all(wait=True)
    assert pools["default"].stats().idle == 2
    pools.close_all()
    assert pools["default"].stats().size == 0
    with pools["default"].connection():
        pass


def test_async_pools_of_closed_loops_are_dropped(tmp_path: Path) -> None:
    use(f"sqlite:///{tmp_path}/a.db")

    async def once() -> None:
        async with pools["default"].aconnection() as conn:
            await conn.execute("select 1")

    asyncio.run(once())

    async def again() -> None:
        await once()
        assert len(pools["default"]._loops) == 1
        await pools.aclose_all()

    asyncio.run(again())
