"""What may happen to a file of SQLite under its pool, in both worlds: the second table of docs/pools-faults.md."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datalayer._plans.plan import Command
from datalayer.errors import DatabaseError, LockTimeout, PoolTimeout, ReadOnlyTransaction
from datalayer.pooling import AsyncSQLitePool, PoolConfig, SQLitePool
from tests.database.pooling.conftest import adds_up
from tests.database.pooling.scripts import Join, Script, Spawn, Until, call, play
from tests.worlds import World


class Files:
    """Makes pools of one file, closes them at the end."""

    def __init__(self, world: World, path: Path) -> None:
        self.world = world
        self.path = path
        self.pools: list[Any] = []

    def __call__(self, path: str | Path | None = None, *, readers: int = 4, **config: Any) -> Any:
        kind: Any = AsyncSQLitePool if self.world.is_async else SQLitePool
        pool = kind(path or self.path, config=PoolConfig(**{"test_bypass": 0.0, **config}), readers=readers)
        self.pools.append(pool)
        return pool


@pytest.fixture
def make(world: World, tmp_path: Path) -> Iterator[Files]:
    with sqlite3.connect(tmp_path / "shop.sqlite3") as made:
        made.execute("create table t (x integer)")
    made.close()
    files = Files(world, tmp_path / "shop.sqlite3")
    yield files
    for pool in files.pools:
        world.run(lambda pool=pool: pool.close(1.0), lambda pool=pool: pool.close(1.0))
        adds_up(pool.stats())
        assert pool.stats().size == 0


def ask(link: Any, sql: str, *, writes: bool = False) -> Any:
    return call(link.execute, Command(sql, returns_rows=not writes, writes=writes))


def write(pool: Any, sql: str = "insert into t values (1)") -> Script:
    lease = yield call(pool.acquire, "write", 10.0)
    try:
        yield ask(lease.conn, "begin immediate", writes=True)
        yield ask(lease.conn, sql, writes=True)
        yield ask(lease.conn, "commit", writes=True)
    finally:
        yield lease.release


def count(pool: Any) -> Script:
    lease = yield call(pool.acquire, "read", 10.0)
    try:
        return (yield ask(lease.conn, "select count(*) from t")).rows[0][0]
    finally:
        yield lease.release


def test_writers_queue_in_turn_while_readers_read_on(make: Files, world: World) -> None:
    pool = make()
    order: list[int] = []

    def take_turn(number: int) -> Script:
        yield from write(pool)
        order.append(number)

    def script() -> Script:
        busy = yield call(pool.acquire, "write")
        yield ask(busy.conn, "begin immediate", writes=True)
        yield ask(busy.conn, "insert into t values (0)", writes=True)
        writers: list[Any] = []
        for number in range(5):
            writers.append((yield Spawn(take_turn(number))))
            yield Until(lambda number=number: pool.writer.stats().waiting == number + 1)
        assert (yield from count(pool)) == 0
        yield ask(busy.conn, "commit", writes=True)
        yield busy.release
        for writer in writers:
            yield Join(writer)
        assert (yield from count(pool)) == 6

    play(world, script())
    assert order == [0, 1, 2, 3, 4]


def test_reader_cannot_become_a_writer(make: Files, world: World) -> None:
    """What SQLite answers with an error that no waiting cures: a transaction that began to read and then writes."""
    pool = make()

    def script() -> Script:
        reader = yield call(pool.acquire, "read")
        yield ask(reader.conn, "begin", writes=True)
        yield ask(reader.conn, "select count(*) from t")
        yield from write(pool)
        with pytest.raises(ReadOnlyTransaction):
            yield ask(reader.conn, "insert into t values (2)", writes=True)
        yield reader.release
        assert (yield from count(pool)) == 1

    play(world, script())


def test_memory_has_one_connection_and_both_modes_see_its_rows(make: Files, world: World) -> None:
    pool = make(":memory:", max_size=8)

    def script() -> Script:
        yield from write(pool, "create table t (x)")
        yield from write(pool)
        assert (yield from count(pool)) == 1

    play(world, script())
    assert pool.stats().size == 1


def test_memory_of_two_pools_is_two_databases(make: Files, world: World) -> None:
    first, second = make(":memory:"), make(":memory:")

    def script() -> Script:
        yield from write(first, "create table t (x)")
        yield from write(second, "create table t (y)")
        yield from write(first)
        assert (yield from count(second)) == 0

    play(world, script())


def test_replaced_file_is_opened_anew_by_every_connection(make: Files, world: World, tmp_path: Path) -> None:
    pool = make()
    other = tmp_path / "restored.sqlite3"
    with sqlite3.connect(other) as made:
        made.execute("create table t (x integer)")
        made.execute("insert into t values (1), (2), (3)")
    made.close()

    def script() -> Script:
        yield from write(pool)
        assert (yield from count(pool)) == 1
        for suffix in ("-wal", "-shm"):
            make.path.with_name(make.path.name + suffix).unlink(missing_ok=True)
        os.replace(other, make.path)
        assert (yield from count(pool)) == 3
        yield from write(pool)
        assert (yield from count(pool)) == 4

    play(world, script())
    assert pool.stats().ping_failures >= 1


def test_deleted_file_is_told_and_comes_back(make: Files, world: World, tmp_path: Path) -> None:
    pool = make(connection_timeout=0.2, backoff_initial=0.01, backoff_max=0.01)
    kept = tmp_path / "kept.sqlite3"

    def script() -> Script:
        yield from count(pool)
        yield call(shutil.copy, make.path, kept)
        make.path.unlink()
        make.path.parent.joinpath("shop.sqlite3").mkdir()  # so that no connection may make it again
        with pytest.raises((PoolTimeout, DatabaseError)):
            yield from count(pool)
        make.path.rmdir()
        os.replace(kept, make.path)
        yield Until(lambda: pool.readers.now() > pool.readers.stats().last_error_at + 0.01)  # it is not asked before
        assert (yield from count(pool)) == 0

    play(world, script())


def test_lock_of_another_program_is_waited_for_and_then_told(make: Files, world: World) -> None:
    pool = make()
    for part in pool.parts:
        assert part.name
    other = sqlite3.connect(make.path, isolation_level=None, check_same_thread=False)
    other.execute("begin immediate")

    def script() -> Script:
        lease = yield call(pool.acquire, "write")
        yield ask(lease.conn, "pragma busy_timeout = 50")
        with pytest.raises(LockTimeout):
            yield ask(lease.conn, "begin immediate", writes=True)
        other.execute("rollback")
        yield ask(lease.conn, "begin immediate", writes=True)
        yield lease.release

    play(world, script())
    other.close()
    assert pool.stats().closed == 0


def test_idle_readers_do_not_keep_the_log_from_being_written_back(make: Files, world: World) -> None:
    """A reader that holds a snapshot keeps the log growing; one that was given back holds none."""
    pool = make(readers=3)

    def script() -> Script:
        readers: list[Any] = []
        for _ in range(3):
            readers.append((yield call(pool.acquire, "read")))
            yield ask(readers[-1].conn, "begin", writes=True)
            yield ask(readers[-1].conn, "select count(*) from t")
        for _ in range(20):
            yield from write(pool)
        lease = yield call(pool.acquire, "write")
        busy, log, done = (yield ask(lease.conn, "pragma wal_checkpoint(passive)")).rows[0]
        assert done < log, "the snapshots are in the way"
        for reader in readers:
            yield reader.release
        busy, log, done = (yield ask(lease.conn, "pragma wal_checkpoint(truncate)")).rows[0]
        assert (busy, log) == (0, 0)
        yield lease.release

    play(world, script())
    assert pool.readers.stats().idle == 3


def test_close_leaves_one_file(make: Files, world: World) -> None:
    pool = make()

    def script() -> Script:
        yield from write(pool)
        yield from count(pool)
        yield pool.close

    play(world, script())
    assert sorted(one.name for one in make.path.parent.iterdir()) == ["shop.sqlite3"]


def test_connection_is_used_by_one_thread_after_the_other(make: Files, world: World) -> None:
    pool = make(readers=1)

    def script() -> Script:
        yield from count(pool)  # in this thread, which lives on: the others may take each other's number over
        for _ in range(3):
            reader = yield Spawn(count(pool))
            assert (yield Join(reader)) == 0

    play(world, script())
    assert pool.readers.stats().connections_opened == 1


def test_folder_without_space_for_a_log_is_told_by_name(make: Files, world: World, tmp_path: Path) -> None:
    """Beside a file whose log cannot be made, as on a file system of the network, SQLite says only what it cannot."""
    pool = make(connection_timeout=0.2)
    make.path.with_name("shop.sqlite3-wal").mkdir()

    def script() -> Script:
        with pytest.raises(DatabaseError, match="default"):
            yield from write(pool)

    try:
        play(world, script())
    finally:
        make.path.with_name("shop.sqlite3-wal").rmdir()


def test_thread_of_an_awaiting_connection_ends_with_it(make: Files, world: World) -> None:
    before = set(threading.enumerate())
    pool = make()

    def script() -> Script:
        yield from write(pool)
        yield from count(pool)
        yield pool.close

    play(world, script())
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert not [one for one in set(threading.enumerate()) - before if one.is_alive()]
