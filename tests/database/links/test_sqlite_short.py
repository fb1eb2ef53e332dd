"""Short statements of an awaiting SQLite connection stay on the event loop; everything else goes to the thread."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from datalayer import errors
from datalayer._links import sqlite_short
from datalayer._links.sqlite import aconnect_sqlite
from datalayer._plans.plan import Command

LONG = (
    "SELECT where_am_i(count(*)) FROM "
    "(WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 100000) SELECT x FROM n)"
)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is late: a machine that is busy may hold up any statement."""
    monkeypatch.setattr(sqlite_short, "LONG", 60.0)


def run(path: Path, test: Callable[[Any, list[int]], Awaitable[None]]) -> None:
    async def begin() -> None:
        link = await aconnect_sqlite(path)
        threads: list[int] = []

        def where_am_i(value: Any) -> Any:
            threads.append(threading.get_ident())
            return value

        link.raw.raw.create_function("where_am_i", 1, where_am_i)
        try:
            await test(link, threads)
        finally:
            await link.close()

    asyncio.run(begin())


def test_short_read_runs_on_the_event_loop(tmp_path: Path) -> None:
    async def read(link: Any, threads: list[int]) -> None:
        assert (await link.execute(Command("SELECT where_am_i(?)", (5,)))).rows == [(5,)]
        assert threads == [threading.get_ident()]

    run(tmp_path / "db.sqlite3", read)


def test_long_read_runs_on_the_thread(tmp_path: Path) -> None:
    async def read(link: Any, threads: list[int]) -> None:
        assert (await link.execute(Command(LONG))).rows == [(100_000,)]
        assert threading.get_ident() not in threads

    run(tmp_path / "db.sqlite3", read)


def test_read_that_was_long_goes_to_the_thread_at_once(tmp_path: Path) -> None:
    async def read(link: Any, threads: list[int]) -> None:
        sql = "SELECT where_am_i(x) FROM n"
        await link.execute(Command("CREATE TABLE n (x integer)", returns_rows=False, writes=True))
        fill = (
            "INSERT INTO n WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 9999) SELECT x FROM c"
        )
        await link.execute(Command(fill, returns_rows=False, writes=True))
        await link.execute(Command(sql))
        assert threading.get_ident() in threads  # it was tried
        threads.clear()
        await link.execute(Command(sql))
        assert threading.get_ident() not in threads

    run(tmp_path / "db.sqlite3", read)


@pytest.mark.usefixtures("patient")
def test_every_run_of_a_short_read_stays_short(tmp_path: Path) -> None:
    # SQLite counts the steps of all runs of a prepared statement together.
    async def read(link: Any, threads: list[int]) -> None:
        for number in range(500):
            await link.execute(Command("SELECT where_am_i(?)", (number,)))
        assert set(threads) == {threading.get_ident()}

    run(tmp_path / "db.sqlite3", read)


def test_read_that_ends_late_goes_to_the_thread_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # SQLite counts the rows of a whole table in one step, and asks nobody meanwhile.
    monkeypatch.setattr(sqlite_short, "LONG", 0.0)

    async def read(link: Any, threads: list[int]) -> None:
        for _ in range(2):
            await link.execute(Command("SELECT where_am_i(1)"))
        first, second = threads
        assert first == threading.get_ident() != second

    run(tmp_path / "db.sqlite3", read)


def test_read_that_was_late_for_once_comes_back_to_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(link: Any, threads: list[int]) -> None:
        with monkeypatch.context() as busy:
            busy.setattr(sqlite_short, "LONG", 0.0)
            await link.execute(Command("SELECT where_am_i(1)"))
        monkeypatch.setattr(sqlite_short, "LONG", 60.0)
        for _ in range(10):
            await link.execute(Command("SELECT where_am_i(1)"))
        here = [thread == threading.get_ident() for thread in threads]
        assert here == [True, False, *[True] * 9]

    run(tmp_path / "db.sqlite3", read)


def test_read_that_is_late_time_and_again_is_tried_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_short, "LONG", 0.0)

    async def read(link: Any, threads: list[int]) -> None:
        for _ in range(100):
            await link.execute(Command("SELECT where_am_i(1)"))
        assert threads.count(threading.get_ident()) == 5  # then once, 4, 16, 64 and 256 times on the thread

    run(tmp_path / "db.sqlite3", read)


def test_statement_by_hand_after_a_short_read_is_not_stopped(tmp_path: Path) -> None:
    async def read(link: Any, threads: list[int]) -> None:
        await link.execute(Command("SELECT 1"))
        assert link.raw.raw.execute(LONG).fetchall() == [(100_000,)]
        assert (await link.raw.run(lambda raw: raw.execute(LONG).fetchall())) == [(100_000,)]

    run(tmp_path / "db.sqlite3", read)


def test_write_runs_on_the_thread(tmp_path: Path) -> None:
    async def write(link: Any, threads: list[int]) -> None:
        await link.execute(Command("CREATE TABLE t (id integer)", returns_rows=False, writes=True))
        await link.execute(Command("INSERT INTO t VALUES (where_am_i(1)) RETURNING id", writes=True))
        assert threading.get_ident() not in threads

    run(tmp_path / "db.sqlite3", write)


def small(sql: str) -> Command:
    return Command(sql, returns_rows=False, writes=True, is_small=True)


async def begun(link: Any, *statements: str) -> None:
    for sql in ("CREATE TABLE t (id integer)", *statements):
        await link.execute(Command(sql, returns_rows=False, writes=True))


def test_write_of_one_row_in_a_transaction_runs_on_the_event_loop(tmp_path: Path) -> None:
    async def write(link: Any, threads: list[int]) -> None:
        await begun(link, "BEGIN IMMEDIATE")
        assert (await link.execute(small("INSERT INTO t VALUES (where_am_i(1))"))).count == 1
        assert threads == [threading.get_ident()]
        assert (await link.execute(Command("SELECT count(*) FROM t"))).rows == [(1,)]

    run(tmp_path / "db.sqlite3", write)


def test_write_of_one_row_outside_a_transaction_runs_on_the_thread(tmp_path: Path) -> None:
    async def write(link: Any, threads: list[int]) -> None:
        await begun(link)
        await link.execute(small("INSERT INTO t VALUES (where_am_i(1))"))
        assert threading.get_ident() not in threads

    run(tmp_path / "db.sqlite3", write)


def test_write_of_one_row_that_sets_off_much_has_the_thread_from_then_on(tmp_path: Path) -> None:
    async def write(link: Any, threads: list[int]) -> None:
        much = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 2000) SELECT x FROM n"
        trigger = f"CREATE TRIGGER more AFTER INSERT ON t BEGIN INSERT INTO many {much}; END"
        await begun(link, "CREATE TABLE many (x integer)", trigger, "BEGIN IMMEDIATE")
        for _ in range(2):
            await link.execute(small("INSERT INTO t VALUES (where_am_i(1))"))
        first, second = threads
        assert first == threading.get_ident() != second
        assert (await link.execute(Command("SELECT count(*) FROM many"))).rows == [(4_000,)]

    run(tmp_path / "db.sqlite3", write)


def test_refused_write_of_one_row_leaves_the_transaction_open(tmp_path: Path) -> None:
    async def write(link: Any, threads: list[int]) -> None:
        await begun(link, "CREATE UNIQUE INDEX only ON t (id)", "BEGIN IMMEDIATE")
        await link.execute(small("INSERT INTO t VALUES (1)"))
        with pytest.raises(errors.IntegrityError):
            await link.execute(small("INSERT INTO t VALUES (1)"))
        assert link.in_transaction

    run(tmp_path / "db.sqlite3", write)


def test_stopped_read_leaves_the_transaction_as_it_was(tmp_path: Path) -> None:
    async def read(link: Any, threads: list[int]) -> None:
        for sql in ("CREATE TABLE t (id integer)", "BEGIN IMMEDIATE", "INSERT INTO t VALUES (1)"):
            await link.execute(Command(sql, returns_rows=False, writes=True))
        assert (await link.execute(Command(LONG))).rows == [(100_000,)]
        assert link.in_transaction
        assert (await link.execute(Command("SELECT count(*) FROM t"))).rows == [(1,)]

    run(tmp_path / "db.sqlite3", read)


def test_short_reads_let_other_tasks_have_their_turn(tmp_path: Path) -> None:
    async def read(link: Any, threads: list[int]) -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        for _ in range(1_000):
            await link.execute(Command("SELECT 1"))
        task.cancel()
        assert turns >= 20

    run(tmp_path / "db.sqlite3", read)


def test_row_of_short_reads_can_be_cancelled(tmp_path: Path) -> None:
    async def read(link: Any, threads: list[int]) -> None:
        async def endless() -> None:
            while True:
                await link.execute(Command("SELECT 1"))

        task = asyncio.create_task(endless())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await link.execute(Command("SELECT 1"))).rows == [(1,)]

    run(tmp_path / "db.sqlite3", read)


def test_error_of_a_short_read_is_ours(tmp_path: Path) -> None:
    async def read(link: Any, threads: list[int]) -> None:
        with pytest.raises(errors.DatabaseError, match="nowhere"):
            await link.execute(Command("SELECT * FROM nowhere"))

    run(tmp_path / "db.sqlite3", read)


def test_read_that_meets_a_lock_waits_on_the_thread(tmp_path: Path) -> None:
    path = tmp_path / "db.sqlite3"

    async def read(link: Any, threads: list[int]) -> None:
        await link.execute(Command("CREATE TABLE t (id integer)", returns_rows=False, writes=True))
        link.raw.raw.execute("PRAGMA journal_mode = delete")  # without WAL a writer keeps readers out
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        task = asyncio.create_task(link.execute(Command("SELECT where_am_i(count(*)) FROM t")))
        await asyncio.sleep(0)
        assert not task.done()
        holder.execute("COMMIT")
        assert (await task).rows == [(0,)]
        assert threading.get_ident() not in threads
        holder.close()

    run(path, read)


def test_memory_of_long_reads_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_short, "_REMEMBERED", 3)

    async def read(link: Any, threads: list[int]) -> None:
        for number in range(5):
            await link.execute(Command(f"{LONG} -- {number}"))
        assert len(link._time.late) <= 3

    run(tmp_path / "db.sqlite3", read)
