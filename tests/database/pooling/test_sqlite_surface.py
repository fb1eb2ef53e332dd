"""What the pool of a SQLite file has of the surface of a pool, where its writer and its readers make a difference."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from datalayer.errors import ConnectionBroken, PoolConfigError, PoolError
from tests.database.pooling.conftest import Maker
from tests.database.pooling.scripts import Join, Script, Spawn, Until, call, play
from tests.database.pooling.test_sqlite_pool import once
from tests.worlds import World

pytestmark = pytest.mark.parametrize("make", ["facade"], indirect=True)


def test_added_connection_must_be_of_its_mode(make: Maker, world: World) -> None:
    pool, elsewhere = make(), make()

    def script() -> Script:
        for mode, other in (("write", "read"), ("read", "write")):
            wrong = yield call(elsewhere.dedicated, other)
            with pytest.raises(PoolError, match=rf"dedicated\('{mode}'\); it stays with you"):
                yield call(pool.add, wrong, mode)
            yield wrong.close
            with pytest.raises(ConnectionBroken, match="stays with you"):
                yield call(pool.add, wrong, mode)
            link = yield call(elsewhere.dedicated, mode)
            yield call(pool.add, link, mode)
            lease = yield call(pool.acquire, mode)
            assert lease.conn is link
            yield lease.release

    play(world, script())


def test_resize_is_about_the_readers_and_the_writer_stays_one(make: Maker, world: World) -> None:
    pool = make(max_size=2)

    def borrowed() -> Script:
        lease = yield call(pool.acquire, "read")
        yield lease.release

    def script() -> Script:
        lease = yield call(pool.acquire, "read")
        waiter = yield Spawn(borrowed())
        yield Until(lambda: pool.stats().waiting == 1)
        yield call(pool.resize, max_size=3)
        yield Join(waiter)
        assert (pool.config.max_size, pool.writer.stats().max_size, pool.stats().max_size) == (3, 1, 3)
        for size in (1, 0):
            with pytest.raises(PoolConfigError, match=f"max_size={size} is out of range: use 2 or more"):
                yield call(pool.resize, max_size=size)
        yield call(pool.resize, min_idle=2)
        assert (pool.writer.stats().min_idle, pool.readers.stats().min_idle) == (1, 2)
        yield call(pool.resize, max_size=2, min_idle=0)
        assert pool.readers.stats().closed_surplus == 1
        yield lease.release

    play(world, script())
    memory = make(":memory:")

    def more() -> Script:
        with pytest.raises(PoolConfigError, match="a database in memory has one connection"):
            yield call(memory.resize, max_size=2)

    play(world, more())


def test_sqlite_without_locks_of_its_own_is_refused(make: Maker, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "threadsafety", 1)
    with pytest.raises(PoolConfigError, match=r"sqlite3\.threadsafety is 1, and must be 3"):
        make()


def test_hook_that_closes_comes_before_the_file_is_tidied(make: Maker, world: World) -> None:
    seen: list[str] = []

    def hook(link: Any) -> None:
        seen.append(link.alias)
        raise ValueError("no")

    pool = make(hooks={"on_close": hook})

    def script() -> Script:
        yield from once(pool, "create table t (x int)")
        yield from once(pool, "select * from t", mode="read")
        yield pool.close

    play(world, script())
    assert seen == ["shop", "shop"]
