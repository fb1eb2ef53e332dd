"""An awaiting pool belongs to one event loop: what awaits its connections in another one is refused, by every pool."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import datalayer
from datalayer import pools
from datalayer._links.postgresql import aconnect_postgresql
from datalayer._links.sqlite import aconnect_sqlite
from datalayer._plans.plan import Command
from datalayer.conf import reset
from datalayer.errors import WrongEventLoop
from datalayer.pooling import AsyncNullPool, AsyncPool, AsyncSQLitePool, PoolConfig
from datalayer.pooling.links import AsyncLinkConnector
from datalayer.pooling.psycopg import AsyncPsycopgPool

LIMITS = PoolConfig(max_size=3)
KINDS = {
    "sqlite": lambda file, url: AsyncPool(AsyncLinkConnector(lambda: aconnect_sqlite(file, alias="shop")), LIMITS),
    "sqlite-facade": lambda file, url: AsyncSQLitePool(file, config=LIMITS),
    "sqlite-memory": lambda file, url: AsyncSQLitePool(":memory:"),
    "postgresql-generic": lambda file, url: AsyncPool(
        AsyncLinkConnector(lambda: aconnect_postgresql(url, alias="shop")), LIMITS
    ),
    "postgresql-psycopg": lambda file, url: AsyncPsycopgPool(url, LIMITS),
    "null": lambda file, url: AsyncNullPool(AsyncLinkConnector(lambda: aconnect_sqlite(file, alias="shop"))),
}
METHODS = ("acquire", "try_acquire", "open", "close", "wait_ready", "check", "drain", "resize")


class Two:
    """Two event loops, and a pool that lives in the first."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.home = asyncio.Runner()
        self.other = asyncio.Runner()

    def in_home(self, method: Any, *args: Any) -> Any:
        return self.home.run(awaited(method, *args))

    def in_other(self, method: Any, *args: Any) -> Any:
        return self.other.run(awaited(method, *args))


async def awaited(method: Any, *args: Any) -> Any:
    return await method(*args)


async def in_a_block(acquiring: Any) -> None:
    async with acquiring:
        pass


@pytest.fixture(params=KINDS)
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Two]:
    url = request.getfixturevalue("postgresql_url") if request.param.startswith("postgresql") else ""
    two = Two(KINDS[request.param](str(tmp_path / "db.sqlite3"), url))
    with two.home, two.other:
        yield two
        two.in_home(two.pool.close, 1.0)


def test_whatever_awaits_a_connection_is_refused_and_changes_nothing(two: Two) -> None:
    lease = two.in_home(two.pool.acquire)
    before = two.pool.stats()
    for name in METHODS:
        if (method := getattr(two.pool, name, None)) is not None:  # the pool of two pools has no `resize`
            with pytest.raises(WrongEventLoop, match=r"belongs to another event loop.*one pool for each loop"):
                two.in_other(method)
    with pytest.raises(WrongEventLoop):
        two.in_other(in_a_block, two.pool.acquire())
    assert two.pool.stats() == before
    two.in_home(lease.release)


def test_lease_is_given_back_where_it_was_lent(two: Two) -> None:
    lease = two.in_home(two.pool.acquire)
    two.in_home(lease.conn.execute, Command("begin", returns_rows=False))
    with pytest.raises(WrongEventLoop, match="give it back where it was lent"):
        two.in_other(lease.release)
    assert two.in_home(lease.conn.execute, Command("select 1")).rows == [(1,)]
    two.in_home(lease.release)
    assert (two.pool.stats().in_use, two.pool.stats().returns) == (0, 1)


def test_lease_may_be_thrown_away_from_anywhere(two: Two) -> None:
    lease = two.in_home(two.pool.acquire)
    two.in_other(discarded, lease)

    async def is_gone() -> None:
        while two.pool.stats().size:
            await asyncio.sleep(0)

    two.in_home(is_gone)
    assert two.pool.stats().closed_discarded == 1


async def discarded(lease: Any) -> None:
    lease.discard()


def test_pool_that_holds_nothing_moves_to_another_loop(two: Two) -> None:
    lease = two.in_home(two.pool.acquire)
    two.in_home(lease.release)
    two.in_home(two.pool.close)
    two.in_other(two.pool.open)
    lease = two.in_other(two.pool.acquire)
    two.in_other(lease.release)
    two.in_other(two.pool.close)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql-generic", "postgresql-psycopg"])
def test_registry_has_a_pool_for_each_loop(request: pytest.FixtureRequest, kind: str) -> None:
    backend, _, implementation = kind.partition("-")
    url = request.getfixturevalue(f"{backend}_url")
    chosen = {"implementation": implementation} if implementation else {}
    reset()
    datalayer.configure(databases={"default": {"url": url, "pool": chosen}})

    async def use() -> None:
        async with pools["default"].alink() as link:
            assert (await link.execute(Command("select 1"))).rows == [(1,)]

    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(use())
        second.run(use())
        first.run(use())
        lease = first.run(pools["default"].aborrow())
        with pytest.raises(WrongEventLoop):
            second.run(awaited(lease.release))
        first.run(awaited(lease.release))
    pools.reset()
    reset()
