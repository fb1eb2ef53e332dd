"""The reader and writer pool of SQLite: each promise of it, in both worlds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datalayer._links import sqlite_short
from datalayer._plans.plan import Command
from datalayer.errors import (
    ConnectionFailed,
    DiskFull,
    DoubleRelease,
    ForeignLease,
    LeaseReleased,
    PoolClosed,
    PoolConfigError,
    PoolError,
    PoolTimeout,
    ReadOnlyTransaction,
    SerializationFailure,
)
from datalayer.pooling import AsyncSQLitePool, PoolConfig, SQLitePool
from datalayer.pooling.events import ConnectionOpened
from datalayer.pooling.testing import check_stats
from tests.database.pooling.scripts import Join, Script, Spawn, Until, call, play
from tests.worlds import World


@pytest.fixture
def make(world: World, tmp_path: Path) -> Iterator[Any]:
    pools: list[Any] = []

    def made(path: Any = None, **options: Any) -> Any:
        kind: Any = AsyncSQLitePool if world.is_async else SQLitePool
        pools.append(kind(tmp_path / "db.sqlite3" if path is None else path, **options))
        return pools[-1]

    yield made
    for pool in pools:
        world.run(lambda pool=pool: pool.close(1.0), lambda pool=pool: pool.close(1.0))
        check_stats(pool.stats())
        assert pool.stats().size == 0


def say(link: Any, sql: str, *params: Any) -> Any:
    is_query = sql.lower().startswith(("select", "pragma"))
    return call(link.execute, Command(sql, params, returns_rows=is_query, writes=not is_query))


def once(pool: Any, *statements: str, mode: str = "write") -> Script:
    """Borrows, runs, gives back; the rows of the last statement."""
    lease = yield call(pool.acquire, mode)
    try:
        for sql in statements:
            reply = yield say(lease.conn, sql)
    except BaseException:
        yield lease.release
        raise
    yield lease.release
    return reply.rows


def test_file_is_in_wal_mode_and_every_connection_is_set_up(make: Any, world: World) -> None:
    pool = make()
    for mode in ("write", "read"):
        for pragma, value in (("journal_mode", "wal"), ("foreign_keys", 1), ("synchronous", 1), ("busy_timeout", None)):
            [(found,)] = play(world, once(pool, f"pragma {pragma}", mode=mode))
            assert found == value or (value is None and found > 0), (mode, pragma)


def test_there_is_one_writer_and_as_many_readers_as_told(make: Any, world: World) -> None:
    pool = make(readers=3, config=PoolConfig(max_size=50, on_deadlock="ignore"))
    assert (pool.writer.stats().max_size, pool.readers.stats().max_size) == (1, 3)


@pytest.mark.parametrize(
    ("path", "mode", "words"),
    [
        (None, "write", r"the one connection of SQLite that writes is lent out.*atomic\(read_only=True\)"),
        (None, "read", "all 1 of the 1 readers are lent out; raise readers"),
        (":memory:", "write", "the one connection of a database in memory is lent out"),
    ],
)
def test_caller_in_vain_is_told_what_helps_on_sqlite(
    make: Any, world: World, path: str | None, mode: str, words: str
) -> None:
    pool = make(path, readers=1, config=PoolConfig(on_deadlock="ignore"))

    def script() -> Script:
        lease = yield call(pool.acquire, mode)
        with pytest.raises(PoolTimeout, match=words) as caught:
            yield call(pool.acquire, mode, 0.01)
        assert "max_size" not in str(caught.value)
        (note,) = caught.value.__notes__
        assert note.startswith("lent out: connection "), note
        yield lease.release

    play(world, script())


def test_reader_refuses_to_write(make: Any, world: World) -> None:
    pool = make()
    play(world, once(pool, "create table t (x)"))
    with pytest.raises(ReadOnlyTransaction):
        play(world, once(pool, "insert into t values (1)", mode="read"))


def test_unknown_mode_is_refused(make: Any, world: World) -> None:
    with pytest.raises(PoolError, match="did you mean 'write'"):
        make().acquire("wirte")


def test_reader_sees_what_was_committed_before_it_was_borrowed(make: Any, world: World) -> None:
    pool = make()
    play(world, once(pool, "create table t (x)"))
    for number in range(5):
        play(world, once(pool, f"insert into t values ({number})"))
        assert play(world, once(pool, "select count(*) from t", mode="read")) == [(number + 1,)]


def test_readers_do_not_wait_for_a_writer_nor_see_what_it_has_not_committed(make: Any, world: World) -> None:
    pool = make()
    play(world, once(pool, "create table t (x)"))

    def script() -> Script:
        writer = yield call(pool.acquire, "write")
        yield say(writer.conn, "begin immediate")
        yield say(writer.conn, "insert into t values (1)")
        reader = yield call(pool.acquire, "read")
        assert (yield say(reader.conn, "select count(*) from t")).rows == [(0,)]
        yield say(writer.conn, "commit")
        assert (yield say(reader.conn, "select count(*) from t")).rows == [(1,)]
        yield reader.release
        yield writer.release

    play(world, script())


def test_writers_take_turns_in_the_order_of_asking(make: Any, world: World) -> None:
    pool = make(config=PoolConfig(on_deadlock="ignore"))
    order: list[int] = []

    def write(number: int) -> Script:
        lease = yield call(pool.acquire, "write")
        order.append(number)
        yield lease.release

    def script() -> Script:
        lease = yield call(pool.acquire, "write")
        handles = []
        for number in range(6):
            handles.append((yield Spawn(write(number))))
            yield Until(lambda number=number: pool.writer.stats().waiting == number + 1)
        yield lease.release
        for handle in handles:
            yield Join(handle)

    play(world, script())
    assert order == list(range(6))


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_file_that_was_removed_or_replaced_is_noticed_and_opened_anew(
    make: Any, world: World, how: str, tmp_path: Path
) -> None:
    pool = make(config=PoolConfig(test_bypass=0.0))
    path = tmp_path / "db.sqlite3"
    play(world, once(pool, "create table old (x)"))
    assert play(world, once(pool, "select count(*) from old", mode="read")) == [(0,)]
    for name in ("db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(tmp_path / name, tmp_path / f"away-{name}")
    if how == "replaced":
        other = sqlite3.connect(path)
        other.execute("create table new (x)")
        other.close()
    wanted = [("new",)] if how == "replaced" else []
    assert play(world, once(pool, "select name from sqlite_master")) == wanted
    assert play(world, once(pool, "select name from sqlite_master", mode="read")) == wanted
    assert pool.stats().closed_invalid >= 1


def test_memory_is_one_database_for_both_modes_and_never_a_shared_cache(make: Any, world: World) -> None:
    pool = make(":memory:")
    assert "vfs=memdb" in pool.path
    assert "cache=shared" not in pool.path
    play(world, once(pool, "create table t (x)", "insert into t values (1)"))
    assert play(world, once(pool, "select x from t", mode="read")) == [(1,)]
    assert pool.readers is pool.writer


def test_two_databases_in_memory_are_two(make: Any, world: World) -> None:
    first, second = make(":memory:"), make(":memory:")
    play(world, once(first, "create table t (x)"))
    assert play(world, once(second, "select name from sqlite_master")) == []


def test_close_leaves_statistics_for_the_planner_and_a_small_log(make: Any, world: World, tmp_path: Path) -> None:
    pool = make()
    play(world, once(pool, "create table t (x)", "create index i on t (x)"))
    play(world, once(pool, "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000) "
                           "insert into t select i % 10 from n"))  # fmt: skip
    play(world, once(pool, "select x from t where x = 3"))
    world.run(pool.close, pool.close)
    raw = sqlite3.connect(tmp_path / "db.sqlite3")
    assert raw.execute("select count(*) from t").fetchone() == (5000,)
    assert raw.execute("select tbl from sqlite_stat1").fetchall() == [("t",)]
    raw.close()
    assert not (tmp_path / "db.sqlite3-wal").exists()


def test_close_copies_the_log_into_the_file_though_others_keep_it_open(make: Any, world: World, tmp_path: Path) -> None:
    pool = make()
    play(world, once(pool, "create table t (x)", "insert into t values (1)"))
    other = sqlite3.connect(tmp_path / "db.sqlite3")
    other.execute("select * from t").fetchall()
    world.run(pool.close, pool.close)
    busy, log, copied = other.execute("pragma wal_checkpoint(passive)").fetchone()
    assert (busy, log) == (0, copied)
    assert (tmp_path / "db.sqlite3").stat().st_size >= 2 * 4096  # it is in the file itself
    other.close()


def test_file_that_may_only_be_read_can_be_read(make: Any, world: World, tmp_path: Path) -> None:
    raw = sqlite3.connect(tmp_path / "db.sqlite3")
    raw.execute("create table t (x)")
    raw.close()
    pool = make(f"file:{tmp_path}/db.sqlite3?mode=ro")
    assert play(world, once(pool, "select count(*) from t", mode="read")) == [(0,)]
    with pytest.raises(ReadOnlyTransaction):
        play(world, once(pool, "insert into t values (1)"))


def test_file_where_wal_is_not_to_be_had_works_without(make: Any, world: World, tmp_path: Path) -> None:
    """As on a network file system: here another process has locked the file for itself, in the old mode."""
    path = tmp_path / "db.sqlite3"
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("create table t (x)")
    raw.execute("begin")
    raw.execute("select * from t").fetchall()  # a reader is enough to refuse the change of mode
    pool = make()
    assert play(world, once(pool, "select count(*) from t")) == [(0,)]
    raw.close()
    play(world, once(pool, "insert into t values (1)"))


def test_missing_folder_is_told_at_once(make: Any, world: World, tmp_path: Path) -> None:
    pool = make(tmp_path / "no" / "db.sqlite3")
    with pytest.raises(ConnectionFailed, match="folder"):
        play(world, once(pool, "select 1"))


def fill(link: Any) -> Script:
    for _ in range(50):
        yield say(link, "insert into t values (zeroblob(4096))")
    yield say(link, "commit")


def test_full_disk_at_a_commit_is_named_and_undone(make: Any, world: World) -> None:
    pool = make()
    play(world, once(pool, "create table t (x)"))

    def script() -> Script:
        lease = yield call(pool.acquire, "write")
        [(pages,)] = (yield say(lease.conn, "pragma page_count")).rows
        yield say(lease.conn, f"pragma max_page_count = {pages}")
        yield say(lease.conn, "begin immediate")
        with pytest.raises(DiskFull):
            yield from fill(lease.conn)
        yield lease.release
        lease = yield call(pool.acquire, "write")
        assert (yield say(lease.conn, "select count(*) from t")).rows == [(0,)]
        yield say(lease.conn, "pragma max_page_count = 1000000")
        yield say(lease.conn, "insert into t values (1)")
        yield lease.release

    play(world, script())


def test_read_transaction_that_would_write_after_others_did_has_to_begin_again(
    make: Any, world: World, tmp_path: Path
) -> None:
    """The deferred upgrade: no waiting helps, since what it has read is of the past."""
    pool = make()
    play(world, once(pool, "create table t (x)"))

    def script() -> Script:
        lease = yield call(pool.acquire, "write")
        yield say(lease.conn, "begin")
        yield say(lease.conn, "select * from t")
        other = sqlite3.connect(tmp_path / "db.sqlite3")
        other.execute("insert into t values (1)")
        other.commit()
        other.close()
        with pytest.raises(SerializationFailure):
            yield say(lease.conn, "insert into t values (2)")
        yield lease.release

    play(world, script())
    play(world, once(pool, "insert into t values (3)"))


WRITER = """
import sqlite3, sys
raw = sqlite3.connect(sys.argv[1], isolation_level=None)
raw.execute("begin immediate")
raw.execute("insert into t values (99)")
print("locked", flush=True)
sys.stdin.readline()
raw.execute("commit")
print("done", flush=True)
"""


def test_writer_of_another_process_is_waited_for(make: Any, world: World, tmp_path: Path) -> None:
    pool = make()
    play(world, once(pool, "create table t (x)"))
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "db.sqlite3")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"

        def script() -> Script:
            writer = yield Spawn(once(pool, "insert into t values (1)"))
            yield Until(lambda: pool.writer.stats().in_use == 1)
            reader = yield call(pool.acquire, "read")
            assert (yield say(reader.conn, "select count(*) from t")).rows == [(0,)]  # readers go on
            yield reader.release
            other.stdin.write("\n")
            other.stdin.flush()
            yield Join(writer)

        play(world, script())
        assert other.stdout.readline() == "done\n"
    assert play(world, once(pool, "select count(*) from t")) == [(2,)]


def test_log_shrinks_again_though_somebody_always_reads(make: Any, world: World, tmp_path: Path) -> None:
    """Readers that overlap without end keep a checkpoint from starting the log anew: each borrow is a new snapshot."""
    pool = make(readers=2)
    play(world, once(pool, "create table t (x)"))

    def script() -> Script:
        old = yield call(pool.acquire, "read")
        yield say(old.conn, "begin")
        yield say(old.conn, "select * from t")
        for _ in range(40):
            yield from once(pool, "insert into t values (zeroblob(200000))")
        grown = (tmp_path / "db.sqlite3-wal").stat().st_size
        yield old.release  # which ends its snapshot
        for _ in range(40):
            young = yield call(pool.acquire, "read")
            yield say(young.conn, "select count(*) from t")
            yield from once(pool, "insert into t values (zeroblob(200000))")
            yield young.release
        assert (tmp_path / "db.sqlite3-wal").stat().st_size <= 1.5 * grown

    play(world, script())


def test_connections_may_be_passed_from_thread_to_thread(tmp_path: Path) -> None:
    assert sqlite3.threadsafety == 3
    with SQLitePool(tmp_path / "db.sqlite3") as pool:
        lease = pool.acquire()
        found: list[Any] = []
        thread = threading.Thread(
            target=lambda: (found.append(lease.conn.execute(Command("select 1")).rows), lease.release())
        )
        thread.start()
        thread.join()
        assert found == [[(1,)]]


def test_cancelled_query_is_interrupted_and_its_connection_discarded_or_clean(tmp_path: Path) -> None:
    async def work() -> None:
        async with AsyncSQLitePool(tmp_path / "db.sqlite3") as pool:

            async def endless() -> None:
                async with pool.acquire("write") as link:
                    await link.execute(
                        Command("with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n")
                    )

            with pytest.raises(TimeoutError):
                await asyncio.wait_for(endless(), 0.1)
            async with asyncio.timeout(5), pool.acquire("write") as link:
                assert (await link.execute(Command("SELECT 1"))).rows == [(1,)]
            check_stats(pool.stats())

    asyncio.run(work())


def test_many_tasks_that_read_for_a_moment_do_not_queue_for_the_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_short, "LONG", 60.0)  # a machine that is busy holds up none

    async def read(pool: AsyncSQLitePool) -> None:
        for _ in range(100):
            async with pool.acquire("read") as link:
                await link.execute(Command("SELECT 1"))

    async def main() -> int:
        async with AsyncSQLitePool(tmp_path / "db.sqlite3", readers=2) as pool:
            holders = [await pool.acquire("read") for _ in range(2)]
            tasks = [asyncio.create_task(read(pool)) for _ in range(10)]
            while pool.readers.stats().waiting < 10:
                await asyncio.sleep(0)
            for lease in holders:  # all of them have queued by now: that must end
                await lease.release()
            await asyncio.gather(*tasks)
            return pool.readers.stats().acquires_waited

    assert asyncio.run(main()) < 50


def test_cancelled_while_others_have_their_turn_nothing_is_lost(tmp_path: Path) -> None:
    async def read(pool: AsyncSQLitePool) -> None:
        while True:
            async with pool.acquire("read") as link:
                await link.execute(Command("SELECT 1"))

    async def main() -> None:
        async with AsyncSQLitePool(tmp_path / "db.sqlite3", readers=2) as pool:
            for turns in range(40):
                tasks = [asyncio.create_task(read(pool)) for _ in range(5)]
                for _ in range(turns):
                    await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            check_stats(pool.stats())
            assert pool.stats().in_use == 0
            for lease in [await pool.acquire("read", 1.0) for _ in range(2)]:
                await lease.release()

    asyncio.run(main())


def test_no_thread_is_left_when_an_awaiting_pool_is_closed(tmp_path: Path) -> None:
    async def work() -> None:
        pool = AsyncSQLitePool(tmp_path / "db.sqlite3", name="threads")
        async with pool, pool.acquire("write"), pool.acquire("read"):
            threads.extend(one for one in threading.enumerate() if one.name == "datalayer-sqlite-threads")

    threads: list[threading.Thread] = []
    asyncio.run(work())
    assert len(threads) == 2
    assert all(one.daemon for one in threads)
    for one in threads:
        one.join(5.0)
        assert not one.is_alive()


@pytest.mark.parametrize("readers", [0, -1, 2.5, True, "4"])
def test_wrong_number_of_readers_is_refused_with_what_is_allowed(make: Any, readers: Any) -> None:
    with pytest.raises(PoolConfigError, match=r"readers=.* is out of range: use an int of 1 or more"):
        make(readers=readers)


def test_both_modes_have_the_surface_of_a_pool(make: Any, world: World) -> None:
    heard: list[Any] = []
    pool = make(readers=2)
    pool.listen(heard.append)

    def script() -> Script:
        assert pool.state == "new"
        yield pool.wait_ready
        assert (pool.state, pool.closed) == ("open", False)
        for mode, size in (("write", 1), ("read", 2)):
            lease = yield call(pool.try_acquire, mode)
            assert pool.stats().max_size == 3
            yield lease.release
            own = yield call(pool.dedicated, mode)
            assert pool.stats().in_use == 0
            yield own.close
            assert pool._part(mode).stats().max_size == size
        report = yield pool.check
        assert (report.checked, report.failed) == (2, 0)
        assert (yield pool.drain) == 2
        pool.pause()
        assert pool.state == "paused"
        with pytest.raises(PoolTimeout, match="paused"):
            yield call(pool.acquire, "read", 0.01)
        pool.resume()
        pool.unlisten(heard.append)
        before = len(heard)
        yield pool.close
        assert (pool.closed, len(heard)) == (True, before)

    play(world, script())
    assert any(isinstance(one, ConnectionOpened) for one in heard)
    assert "db.sqlite3" in repr(pool)


def test_wrong_use_of_a_lease_is_refused_and_changes_nothing(make: Any, world: World) -> None:
    pool, other = make(), make()

    def script() -> Script:
        for mode in ("write", "read"):
            lease = yield call(pool.acquire, mode)
            with pytest.raises(ForeignLease, match="own pool"):
                yield call(other._part(mode).release_entry, lease._entry)
            yield lease.release
            before = pool.stats()
            with pytest.raises(DoubleRelease):
                yield lease.release
            with pytest.raises(LeaseReleased):
                lease.conn  # noqa: B018
            for wrong in (-1, "3", float("nan")):
                with pytest.raises(PoolConfigError, match="is no time to wait"):
                    yield call(pool.acquire, mode, wrong)
            assert pool.stats() == before
        yield pool.close
        with pytest.raises(PoolClosed, match=r"open\(\) opens it again"):
            yield call(pool.acquire, "read")

    play(world, script())
