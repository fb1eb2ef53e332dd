"""Pools of every kind over real databases, for tests that hold for all of them."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from typing import Any

import pytest

from datalayer._links.postgresql import aconnect_postgresql, connect_postgresql
from datalayer._links.sqlite import aconnect_sqlite, connect_sqlite
from datalayer.pooling import AsyncNullPool, AsyncPool, AsyncSQLitePool, NullPool, Pool, PoolConfig, SQLitePool
from datalayer.pooling.links import AsyncLinkConnector, LinkConnector
from datalayer.pooling.psycopg import AsyncPsycopgPool, PsycopgPool
from tests.worlds import World

pytest.register_assert_rewrite("datalayer.pooling.testing.conformance")

KINDS = ("sqlite", "postgresql-generic", "postgresql-psycopg")
MORE_KINDS = ("null", "facade")
"""Pools of SQLite that keep nothing, and those of a writer and its readers."""


class Clock:
    """The clock of the machine, which a test may move on."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


class Maker:
    """Makes pools of one kind for one world, and closes them all at the end."""

    def __init__(self, kind: str, world: World, url: str, missing: str) -> None:
        self.kind = kind
        self.world = world
        self.url = url
        self.missing = missing
        self.pools: list[Any] = []
        self.clock = Clock()
        self.keeps_clocks = False  # whether pools are made with the clock they choose themselves

    @property
    def is_psycopg(self) -> bool:
        return self.kind.endswith("psycopg")

    @property
    def is_postgresql(self) -> bool:
        return self.kind.startswith("postgresql")

    def hook(self, function: Any) -> Any:
        """A hook for this world made of a plain function; one that waits stays as it is."""
        if not self.world.is_async or inspect.iscoroutinefunction(function):
            return function

        async def hook(conn: Any) -> Any:
            return function(conn)

        return hook

    def __call__(self, url: str | None = None, *, hooks: Any = None, listeners: Any = (), **config: Any) -> Any:
        options: dict[str, Any] = {name: self.hook(one) for name, one in (hooks or {}).items()}
        options |= {"listeners": listeners, "name": "shop"}
        if not self.keeps_clocks:
            options["clock"] = self.clock
        pool = self.bare(PoolConfig(**config), url=url, **options)
        self.pools.append(pool)
        return pool

    def bare(self, limits: PoolConfig, /, *, url: str | None = None, **options: Any) -> Any:
        """A pool with these very options, which its maker does not close."""
        target = url or self.url
        pool: Any
        if self.is_psycopg:
            kind: Any = AsyncPsycopgPool if self.world.is_async else PsycopgPool
            pool = kind(target, limits, **options)
        elif self.kind == "facade":
            kind = AsyncSQLitePool if self.world.is_async else SQLitePool
            pool = kind(target, limits, readers=max(limits.max_size - 1, 1), **options)
        elif self.world.is_async:
            kind = AsyncNullPool if self.kind == "null" else AsyncPool
            connecting = AsyncLinkConnector(lambda: self.aconnect(target, limits), reset_timeout=limits.reset_timeout)
            pool = kind(connecting, limits, **options)
        else:
            connector = LinkConnector(
                lambda: self.connect(target, limits),
                fast_open=self.kind == "sqlite",
                ping_timeout=limits.validation_timeout,
                reset_timeout=limits.reset_timeout,
            )
            pool = NullPool(connector, limits, **options) if self.kind == "null" else Pool(connector, limits, **options)
        return pool

    def connect(self, url: str, limits: PoolConfig) -> Any:
        if not self.is_postgresql:
            return connect_sqlite(url, alias="shop")
        return connect_postgresql(url, alias="shop", connect_timeout=limits.connect_timeout)

    async def aconnect(self, url: str, limits: PoolConfig) -> Any:
        if not self.is_postgresql:
            return await aconnect_sqlite(url, alias="shop")
        return await aconnect_postgresql(url, alias="shop", connect_timeout=limits.connect_timeout)

    def close(self) -> None:
        for pool in self.pools:
            self.world.run(lambda pool=pool: pool.close(1.0), lambda pool=pool: pool.close(1.0))


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, world: World, tmp_path: Any) -> Iterator[Maker]:
    """Makes pools of each kind."""
    kind = str(request.param)
    if not kind.startswith("postgresql"):
        url, missing = str(tmp_path / "db.sqlite3"), str(tmp_path / "no" / "folder" / "db.sqlite3")
    else:
        url = request.getfixturevalue("postgresql_url")
        missing = url.replace("/datalayer", "/no_such_datalayer", 1)
    yield from lend_maker(Maker(kind, world, url, missing))


def lend_maker(maker: Maker) -> Iterator[Maker]:
    """Lends it, then closes its pools and looks whether they are empty and their numbers add up."""
    yield maker
    maker.close()
    for pool in maker.pools:
        stats = pool.stats()
        adds_up(stats)
        assert (stats.size, stats.opening, stats.waiting) == (0, 0, 0), f"something was left in {pool}: {stats}"


def adds_up(stats: Any) -> None:
    """The identities of the statistics."""
    assert stats.acquires_started == (
        stats.acquires_immediate + stats.acquires_waited + stats.acquires_timed_out + stats.acquires_cancelled
        + stats.acquires_rejected + stats.acquires_failed + stats.waiting + stats.testing
    )  # fmt: skip
    assert stats.connections_opened + stats.connections_added - stats.closed == stats.size
    assert stats.size == stats.idle + stats.in_use + stats.testing
    assert min(stats.size, stats.idle, stats.in_use, stats.testing, stats.opening, stats.waiting) >= 0
