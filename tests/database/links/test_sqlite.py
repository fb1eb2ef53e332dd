"""What is SQLite's own: opening, pragmas, functions, and the thread of an awaiting connection."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import tempfile
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from datalayer import errors
from datalayer._links.sqlite import aconnect_sqlite, connect_sqlite
from datalayer._plans.plan import Command
from tests import forks, processes
from tests.worlds import World

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def backend() -> str:
    return "sqlite"


def opened(world: World, path: Any, **options: Any) -> Any:
    return world.run(lambda: connect_sqlite(path, **options), lambda: aconnect_sqlite(path, **options))


def value(link: Any, sql: str, *params: object) -> Any:
    return link.rows(sql, *params)[0][0]


def test_file_is_in_wal_mode_with_foreign_keys(link: Any) -> None:
    assert value(link, "PRAGMA journal_mode") == "wal"
    assert value(link, "PRAGMA foreign_keys") == 1
    assert value(link, "PRAGMA synchronous") == 1
    assert value(link, "PRAGMA query_only") == 0


def test_timeout_is_in_seconds(connect: Any) -> None:
    link = connect(timeout=1.5)
    # An awaiting connection waits in short turns, so that it can be cancelled.
    assert value(link, "PRAGMA busy_timeout") == (100 if link.world.is_async else 1500)


def test_lock_is_waited_for(connect: Any) -> None:
    holder, waiter = connect(), connect(timeout=60)
    holder.execute("CREATE TABLE t (id integer)")
    holder.execute("BEGIN IMMEDIATE")
    holder.execute("INSERT INTO t VALUES (1)")
    raw = holder.link.raw.raw if holder.world.is_async else holder.link.raw
    release = threading.Timer(0.3, raw.execute, ["COMMIT"])
    release.start()
    waiter.execute("INSERT INTO t VALUES (2)")
    release.join()
    assert waiter.rows("SELECT id FROM t ORDER BY id") == [(1,), (2,)]


def test_lock_is_waited_for_no_longer_than_the_timeout(connect: Any) -> None:
    holder, waiter = connect(), connect(timeout=0.25)
    holder.execute("CREATE TABLE t (id integer)")
    holder.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    with pytest.raises(errors.LockTimeout):
        waiter.execute("BEGIN IMMEDIATE")
    assert 0.2 < time.monotonic() - started < 5


def test_first_write_of_a_transaction_waits_for_the_lock(connect: Any) -> None:
    holder, waiter = connect(), connect(timeout=60)
    holder.execute("CREATE TABLE t (id integer)")
    holder.execute("BEGIN IMMEDIATE")
    waiter.execute("BEGIN")
    raw = holder.link.raw.raw if holder.world.is_async else holder.link.raw
    release = threading.Timer(0.3, raw.execute, ["COMMIT"])
    release.start()
    assert waiter.execute("INSERT INTO t VALUES (1), (2)").count == 2
    waiter.execute("COMMIT")
    release.join()
    assert waiter.rows("SELECT id FROM t ORDER BY id") == [(1,), (2,)]


def test_reader_may_not_write(connect: Any) -> None:
    writer = connect()
    writer.execute("CREATE TABLE t (id integer)")
    reader = connect(read_only=True)
    with pytest.raises(errors.ReadOnlyTransaction):
        reader.execute("INSERT INTO t VALUES (1)")
    writer.execute("INSERT INTO t VALUES (1)")
    assert reader.rows("SELECT id FROM t") == [(1,)]


def test_memory_is_empty_for_each_connection(connect: Any) -> None:
    one, other = connect("sqlite:///:memory:"), connect("sqlite:///:memory:")
    one.execute("CREATE TABLE t (id integer)")
    with pytest.raises(errors.UndefinedTable):
        other.rows("SELECT * FROM t")
    one.do("ping")


def test_uri(connect: Any, tmp_path: Path) -> None:
    connect().execute("CREATE TABLE t (id integer)")
    link = connect(f"file:{tmp_path / 'db.sqlite3'}?mode=ro", uri=True)
    assert link.rows("SELECT * FROM t") == []


def test_missing_folder(world: World, tmp_path: Path) -> None:
    with pytest.raises(errors.ConnectionFailed, match=r"folder .* does not exist") as caught:
        opened(world, tmp_path / "nowhere" / "db.sqlite3", alias="archive")
    assert caught.value.is_fatal
    assert caught.value.alias == "archive"
    assert "'archive'" in str(caught.value)


def test_folder_instead_of_file(world: World, tmp_path: Path) -> None:
    with pytest.raises(errors.ConnectionFailed, match="it is a folder"):
        opened(world, tmp_path)


def test_file_that_is_no_database(world: World, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be asked about\n" * 40)
    with pytest.raises(errors.ConnectionFailed, match="not an SQLite database"):
        opened(world, path)
    assert path.read_text().startswith("not a database")


OPEN_THE_UNREADABLE = """
import asyncio, sys
from datalayer import errors
from datalayer._links.sqlite import aconnect_sqlite, connect_sqlite
{unprivileged}
try:
    asyncio.run(aconnect_sqlite("db.sqlite3")) if sys.argv[1] == "awaiting" else connect_sqlite("db.sqlite3")
except errors.ConnectionFailed as error:
    print(error)
"""


def test_file_that_is_not_readable(world: World) -> None:
    with tempfile.TemporaryDirectory() as name:  # the folders of tmp_path are closed to others
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "db.sqlite3").touch(mode=0)
        code = OPEN_THE_UNREADABLE.format(unprivileged=processes.UNPRIVILEGED)
        assert "not readable" in forks.output_of(code, world.name, folder=folder)


def test_failed_open_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()

    async def attempt() -> None:
        with pytest.raises(errors.ConnectionFailed):
            await aconnect_sqlite(tmp_path / "nowhere" / "db.sqlite3")

    asyncio.run(attempt())
    for thread in threading.enumerate():
        if thread.name.startswith("datalayer-sqlite"):
            thread.join(10)
    assert threading.active_count() == before


def test_file_removed_under_the_link(link: Any, tmp_path: Path) -> None:
    link.execute("CREATE TABLE t (id integer)")
    (tmp_path / "db.sqlite3").unlink()
    with pytest.raises(errors.ConnectionLost, match="removed or replaced"):
        link.do("ping")


def test_wal_is_kept_out_while_another_writes(connect: Any, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "db.sqlite3", isolation_level=None)
    other.execute("CREATE TABLE t (id integer)")
    other.execute("BEGIN IMMEDIATE")
    link = connect(timeout=0.01)
    assert link.rows("SELECT count(*) FROM t") == [(0,)]
    other.execute("COMMIT")
    other.close()


def test_regular_expressions(link: Any) -> None:
    assert value(link, "SELECT 'Straße 7' REGEXP ?", r"\d$") == 1
    assert value(link, "SELECT 'abc' REGEXP ?", "B") == 0
    assert value(link, "SELECT iregexp(?, 'abc')", "B") == 1
    assert value(link, "SELECT NULL REGEXP 'a'") is None


def test_wrong_regular_expression_is_a_data_error(link: Any) -> None:
    with pytest.raises(errors.DataError):
        link.rows("SELECT 'a' REGEXP ?", "(")


def test_case_of_every_alphabet(link: Any) -> None:
    assert link.rows("SELECT datalayer_lower('ÄÉЖ'), datalayer_upper('äéж'), datalayer_lower(NULL)") == [
        ("äéж", "ÄÉЖ", None)
    ]


def test_decimals_sort_and_compare_by_value(link: Any) -> None:
    link.execute("CREATE TABLE t (price text COLLATE datalayer_decimal)")
    link.insert("INSERT INTO t VALUES (?)", [("10",), ("9.50",), ("-3",), ("100000000000000000000.01",)])
    assert link.rows("SELECT price FROM t ORDER BY price") == [
        ("-3",), ("9.50",), ("10",), ("100000000000000000000.01",)
    ]  # fmt: skip
    assert link.rows("SELECT price FROM t WHERE price = '9.5'") == [("9.50",)]
    assert link.rows("SELECT count(*) FROM t WHERE price > '9.5000'") == [(2,)]


def test_decimal_sum_and_average_are_exact(link: Any) -> None:
    link.execute("CREATE TABLE t (price text)")
    link.insert("INSERT INTO t VALUES (?)", [("0.1",), ("0.2",), (None,), ("123456789012345678901234567890.05",)])
    assert Decimal(value(link, "SELECT datalayer_decimal_sum(price) FROM t")) == Decimal(
        "123456789012345678901234567890.35"
    )
    assert value(link, "SELECT datalayer_decimal_avg(price) FROM t WHERE length(price) < 5") == "0.15"
    assert link.rows("SELECT datalayer_decimal_sum(price), datalayer_decimal_avg(price) FROM t WHERE 0") == [
        (None, None)
    ]


def test_function_may_be_indexed(link: Any) -> None:
    link.execute("CREATE TABLE t (name text)")
    link.execute("CREATE INDEX t_name ON t (datalayer_lower(name))")


# -- the thread of an awaiting connection --------------------------------------------------------


def run_awaiting(path: Path, test: Any) -> Any:
    async def begin() -> Any:
        link = await aconnect_sqlite(path)
        try:
            return await asyncio.wait_for(test(link), 60)
        finally:
            await link.close()

    return asyncio.run(begin())


def test_cancelled_query_ends_before_its_error_goes_on(tmp_path: Path) -> None:
    async def cancel(link: Any) -> None:
        task = asyncio.create_task(link.execute(Command(ENDLESS)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await link.execute(Command("SELECT 1"))).rows == [(1,)]

    run_awaiting(tmp_path / "db.sqlite3", cancel)


def test_cancelled_query_that_runs_for_long(tmp_path: Path) -> None:
    async def cancel(link: Any) -> None:
        started = asyncio.Event()
        loop = asyncio.get_running_loop()
        link.raw.raw.create_function("started", 0, lambda: loop.call_soon_threadsafe(started.set) and None)
        task = asyncio.create_task(link.execute(Command(f"SELECT started(), ({ENDLESS})")))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await link.ping()

    run_awaiting(tmp_path / "db.sqlite3", cancel)


def test_query_cancelled_twice(tmp_path: Path) -> None:
    async def cancel(link: Any) -> None:
        task = asyncio.create_task(link.execute(Command(ENDLESS)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await link.ping()

    run_awaiting(tmp_path / "db.sqlite3", cancel)


def test_cancelled_before_its_turn_never_runs(tmp_path: Path) -> None:
    async def cancel(link: Any) -> None:
        await link.execute(Command("CREATE TABLE t (id integer)"))
        first = asyncio.create_task(link.execute(Command(ENDLESS)))
        second = asyncio.create_task(link.execute(Command("INSERT INTO t VALUES (1)", returns_rows=False)))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        first.cancel()
        for task in (second, first):
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (await link.execute(Command("SELECT count(*) FROM t"))).rows == [(0,)]

    run_awaiting(tmp_path / "db.sqlite3", cancel)


def test_cancelled_write_can_be_rolled_back(tmp_path: Path) -> None:
    async def cancel(link: Any) -> None:
        await link.execute(Command("CREATE TABLE t (id integer)"))
        await link.execute(Command("BEGIN IMMEDIATE"))
        await link.execute(Command("INSERT INTO t VALUES (1)", returns_rows=False))
        task = asyncio.create_task(link.execute(Command(ENDLESS)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await link.reset()
        assert not link.in_transaction
        assert (await link.execute(Command("SELECT count(*) FROM t"))).rows == [(0,)]

    run_awaiting(tmp_path / "db.sqlite3", cancel)


def test_timeout_ends_a_query(tmp_path: Path) -> None:
    async def wait(link: Any) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await link.execute(Command(ENDLESS))
        await link.ping()

    run_awaiting(tmp_path / "db.sqlite3", wait)


def test_cancelled_while_it_waits_for_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "db.sqlite3"
    holder = connect_sqlite(path)
    holder.execute(Command("CREATE TABLE t (id integer)", returns_rows=False))
    holder.execute(Command("BEGIN IMMEDIATE", returns_rows=False))

    async def cancel() -> None:
        link = await aconnect_sqlite(path, timeout=3600)
        task = asyncio.create_task(link.execute(Command("BEGIN IMMEDIATE", returns_rows=False)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not link.in_transaction
        await link.close()

    asyncio.run(cancel())
    holder.close()


def test_event_loop_runs_on_during_a_query(tmp_path: Path) -> None:
    async def turn(link: Any) -> None:
        task = asyncio.create_task(link.execute(Command(ENDLESS)))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not task.done()
        link.raw.interrupt()
        while not task.done():
            link.raw.interrupt()
            await asyncio.sleep(0)
        with pytest.raises(errors.StatementTimeout):
            await task

    run_awaiting(tmp_path / "db.sqlite3", turn)


def test_terminate_ends_a_running_query_and_the_thread(tmp_path: Path) -> None:
    async def terminate() -> None:
        link = await aconnect_sqlite(tmp_path / "db.sqlite3")
        started = asyncio.Event()
        loop = asyncio.get_running_loop()
        here = threading.get_ident()

        def begun() -> None:
            if threading.get_ident() != here:  # there it is only tried, and handed to the thread
                loop.call_soon_threadsafe(started.set)

        link.raw.raw.create_function("started", 0, begun)
        task = asyncio.create_task(link.execute(Command(f"SELECT started(), ({ENDLESS})")))
        await started.wait()
        link.terminate()
        assert link.is_broken
        with pytest.raises(errors.StatementTimeout):
            await task
        await link.close()

    asyncio.run(terminate())
    for thread in threading.enumerate():
        if thread.name.startswith("datalayer-sqlite"):
            thread.join(10)
            assert not thread.is_alive()


def test_forgotten_connection_warns_and_ends_its_thread(tmp_path: Path) -> None:
    async def forget() -> None:
        link = await aconnect_sqlite(tmp_path / "db.sqlite3", alias="forgotten")
        await link.ping()

    def collected() -> None:
        asyncio.run(forget())
        gc.collect()

    with pytest.warns(ResourceWarning, match="was not closed"):
        collected()
    for thread in threading.enumerate():
        if thread.name == "datalayer-sqlite-forgotten":
            thread.join(10)
            assert not thread.is_alive()


def test_link_serves_one_loop_after_the_other(tmp_path: Path) -> None:
    link = asyncio.run(aconnect_sqlite(tmp_path / "db.sqlite3"))
    asyncio.run(link.ping())
    asyncio.run(link.close())


def test_loop_closed_during_a_query(tmp_path: Path) -> None:
    loop = asyncio.new_event_loop()
    link = loop.run_until_complete(aconnect_sqlite(tmp_path / "db.sqlite3"))

    async def begin() -> asyncio.Task[Any]:
        task = asyncio.ensure_future(link.execute(Command(ENDLESS)))
        await asyncio.sleep(0)
        return task

    task = loop.run_until_complete(begin())
    loop.close()
    link.terminate()
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        if thread.name.startswith("datalayer-sqlite"):
            thread.join(10)
            assert not thread.is_alive()


def test_raw_connection_of_the_awaiting_world(tmp_path: Path) -> None:
    async def use(link: Any) -> None:
        connection = link.raw
        await connection.execute("CREATE TABLE t (id integer, name text)")
        cursor = await connection.executemany("INSERT INTO t VALUES (?, ?)", [(1, "a"), (2, "b"), (3, "c")])
        assert cursor.rowcount == 3
        cursor = await connection.execute("SELECT id, name FROM t WHERE id > :least ORDER BY id", {"least": 0})
        assert [column[0] for column in cursor.description] == ["id", "name"]
        assert await cursor.fetchone() == (1, "a")
        assert await cursor.fetchmany(1) == [(2, "b")]
        assert await cursor.fetchall() == [(3, "c")]
        assert await cursor.fetchone() is None
        await cursor.close()
        assert [row async for row in await connection.execute("SELECT id FROM t ORDER BY id")] == [(1,), (2,), (3,)]
        assert await connection.run(lambda raw: raw.total_changes) == 3
        with pytest.raises(sqlite3.OperationalError):
            await connection.execute("SELEKT 1")

    run_awaiting(tmp_path / "db.sqlite3", use)
