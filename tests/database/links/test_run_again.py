"""A prepared statement that runs again goes straight to libpq, and nobody can tell by what it gives."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import psycopg
import pytest
from psycopg.generators import execute

from datalayer import errors
from datalayer._links.postgresql import AsyncPostgresLink, aconnect_postgresql, connect_postgresql
from datalayer._links.statements import Statements
from datalayer._plans.plan import Command
from tests.unit.compile.shop import AUTHOR


@pytest.fixture
def backend() -> str:
    return "postgresql"


def ask(value: object) -> Command:
    return Command("SELECT %s", (value,))


SLEEP = "SELECT 1 WHERE pg_sleep(%s) IS NOT NULL"


def test_a_statement_that_runs_again_makes_no_cursor(link: Any) -> None:
    link.rows("SELECT ?::int", 1)
    link.link._cursor = None
    assert link.rows("SELECT ?::int", 2) == [(2,)]
    assert link.link._cursor is None


@pytest.mark.parametrize("value", [5, 70_000, 5_000_000_000, 10**30, None, "text", 1.5])
def test_values_of_other_types_may_follow(link: Any, value: object) -> None:
    for _ in range(3):
        assert link.rows("SELECT ?", 1) == [(1,)]
        assert link.rows("SELECT ?", value) == [(value,)]


def insert(*values: object) -> Command:
    columns = "abc"[: len(values)]
    sql = f"INSERT INTO note ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(values))})"
    written = tuple([(name, place) for place, name in enumerate(columns)])
    return Command(sql, values, returns_rows=False, writes=True, written=written)


def test_one_insert_of_numbers_of_any_size_and_of_none_is_prepared_few_times(link: Any) -> None:
    link.execute("CREATE TABLE note (a bigint, b bigint, c timestamptz)")
    sizes = (5, 70_000, 5_000_000_000, None, -5)
    rows = [(a, b, c) for a in sizes for b in sizes for c in (None, datetime(2024, 1, 1, tzinfo=UTC))]
    for row in rows:
        link.do("execute", insert(*row))
    assert link.rows("SELECT a, b, c FROM note") == rows
    ((count,),) = link.rows("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT INTO note%%'")
    assert count <= 6


def test_one_insert_runs_again_after_the_server_was_told_to_forget_all_of_it(link: Any) -> None:
    link.execute("CREATE TABLE note (a bigint, b bigint)")
    rows = [(5, 5), (70_000, 5), (None, 70_000)]
    for row in rows:
        link.do("execute", insert(*row))
    link.world.run(lambda: link.link.raw.execute("DEALLOCATE ALL"), lambda: link.link.raw.execute("DEALLOCATE ALL"))
    for _ in range(2):
        link.do("execute", insert(None, 70_000))
    link.link._cursor = None
    link.do("execute", insert(None, 70_000))
    assert link.link._cursor is None
    assert link.rows("SELECT a, b FROM note") == [*rows, *[(None, 70_000)] * 3]


@pytest.mark.parametrize("value", [40_000, 10**30, "text", -(2**63) - 1])
def test_what_a_column_cannot_keep_is_refused_again(link: Any, value: object) -> None:
    link.execute("CREATE TABLE note (a smallint)")
    for number in (1, 2):
        link.do("execute", insert(number))
    for _ in range(2):
        with pytest.raises(errors.DatabaseError):
            link.do("execute", insert(value))
    link.do("execute", insert(3))
    assert link.rows("SELECT a FROM note") == [(1,), (2,), (3,)]


def test_the_number_of_written_rows_is_told_again(link: Any) -> None:
    link.execute("CREATE TABLE note (id int)")
    counts = [link.execute("INSERT INTO note SELECT generate_series(1, ?::int)", count).count for count in (2, 3, 4)]
    assert counts == [2, 3, 4]


def test_an_error_of_the_server_is_one_of_ours_again(link: Any) -> None:
    assert link.rows("SELECT 12 / ?::int", 3) == [(4,)]
    assert link.rows("SELECT 12 / ?::int", 4) == [(3,)]
    with pytest.raises(errors.DatabaseError, match="division by zero"):
        link.rows("SELECT 12 / ?::int", 0)
    assert link.rows("SELECT 12 / ?::int", 2) == [(6,)]


def test_the_wrong_number_of_values_is_refused_again(link: Any) -> None:
    for _ in range(2):
        assert link.rows("SELECT ?::int", 1) == [(1,)]
    with pytest.raises(errors.DatabaseError, match="1 placeholders but 2 parameters"):
        link.rows("SELECT ?::int", 1, 2)


def test_a_statement_that_the_server_was_told_to_forget_is_prepared_again(link: Any) -> None:
    for _ in range(2):
        link.rows("SELECT ?::int", 1)
    link.world.run(lambda: link.link.raw.execute("DEALLOCATE ALL"), lambda: link.link.raw.execute("DEALLOCATE ALL"))
    assert link.rows("SELECT ?::int", 2) == [(2,)]


def test_a_column_that_has_another_type_now_comes_as_that(link: Any) -> None:
    link.execute("CREATE TABLE note (id int, body int)")
    link.execute("INSERT INTO note VALUES (1, 5)")
    for _ in range(2):
        assert link.rows("SELECT body FROM note WHERE id = ?", 1) == [(5,)]
    link.execute("ALTER TABLE note ALTER body TYPE text")
    for _ in range(2):
        assert link.rows("SELECT body FROM note WHERE id = ?", 1) == [("5",)]


def test_what_cannot_be_sent_at_once_is_sent(link: Any) -> None:
    text = "x" * 20_000_000
    for _ in range(2):
        assert link.rows("SELECT length(?)", text) == [(20_000_000,)]


def test_a_pipeline_that_a_user_has_opened_is_left_to_psycopg(database_url: str) -> None:
    link = connect_postgresql(database_url)
    for _ in range(2):
        link.execute(ask(1))
    with link.raw.pipeline():
        assert link.execute(ask(2)).rows == [(2,)]
    assert link.execute(ask(3)).rows == [(3,)]
    link.close()


def test_a_notification_is_delivered_by_a_statement_that_runs_again(link: Any) -> None:
    heard: list[str] = []
    for _ in range(2):
        link.rows("SELECT ?::int", 1)

    def hear(notice: psycopg.Notify) -> None:
        heard.append(notice.payload)

    link.link.raw.add_notify_handler(hear)
    link.world.run(lambda: link.link.raw.execute("LISTEN news"), lambda: link.link.raw.execute("LISTEN news"))
    for _ in range(2):
        link.rows("SELECT pg_notify('news', ?)", "hello")
    assert heard == ["hello", "hello"]


def test_a_statement_of_a_table_is_prepared_without_values_too(link: Any) -> None:
    for _ in range(2):
        assert link.do("execute", Command("SELECT 5 AS five", table=AUTHOR)).rows == [(5,)]
    assert link.rows("SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT 5 AS five'") == [(1,)]


def test_transactions_begin_and_end_in_the_middle_of_statements_that_run_again(link: Any) -> None:
    for value in range(3):
        link.execute("BEGIN")
        assert link.link.in_transaction
        assert link.rows("SELECT ?::int", value) == [(value,)]
        link.execute("COMMIT")
        assert not link.link.in_transaction


# -- the socket and the event loop ---------------------------------------------------------------


async def known(url: str) -> AsyncPostgresLink:
    """A link whose socket is with the event loop."""
    link = await aconnect_postgresql(url)
    for _ in range(2):
        await link.execute(Command(SLEEP, (0,)))
        await link.execute(ask(1))
    return link


async def is_running(link: AsyncPostgresLink, task: asyncio.Task[Any], observer: AsyncPostgresLink) -> None:
    """Returns when the server is seen to run the sleep of a link."""
    pid = link._raw.info.backend_pid  # pyright: ignore[reportPrivateUsage]
    seen = Command("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND pid = %s", (pid,))
    while (await observer.execute(seen)).rows == [(0,)]:
        assert not task.done()


def test_a_cancelled_statement_that_ran_again_leaves_a_link_that_can_be_used(database_url: str) -> None:
    async def main() -> None:
        link, observer = await known(database_url), await aconnect_postgresql(database_url)
        task = asyncio.create_task(link.execute(Command(SLEEP, (60,))))
        await is_running(link, task, observer)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await link.execute(ask(2))).rows == [(2,)]
        await link.close()
        await observer.close()

    asyncio.run(main())


def test_who_waits_for_an_answer_hears_that_the_link_was_terminated(database_url: str) -> None:
    async def main() -> None:
        link, observer = await known(database_url), await aconnect_postgresql(database_url)
        task = asyncio.create_task(link.execute(Command(SLEEP, (60,))))
        await is_running(link, task, observer)
        pid = link._raw.info.backend_pid  # pyright: ignore[reportPrivateUsage]
        link.terminate()
        with pytest.raises(errors.ConnectionLost):
            await task
        await observer.execute(Command("SELECT pg_terminate_backend(%s, 10000)", (pid,)))  # it sleeps on
        await observer.close()

    asyncio.run(main())


@pytest.mark.parametrize("sleeps", [False, True])
def test_a_session_that_the_server_ends_is_lost(database_url: str, sleeps: bool) -> None:
    async def main() -> None:
        link, observer = await known(database_url), await aconnect_postgresql(database_url)
        task = asyncio.create_task(link.execute(Command(SLEEP, (60,)) if sleeps else ask(1)))
        if sleeps:
            await is_running(link, task, observer)
        else:
            await task
        pid = link._raw.info.backend_pid  # pyright: ignore[reportPrivateUsage]
        await observer.execute(Command("SELECT pg_terminate_backend(%s, 10000)", (pid,)))
        with pytest.raises(errors.ConnectionLost):
            await (task if sleeps else link.execute(ask(1)))
        assert link.is_broken
        await link.close()
        await observer.close()

    asyncio.run(main())


def test_what_an_idle_connection_is_told_does_not_keep_the_loop_busy(database_url: str) -> None:
    async def main() -> None:
        link, observer = await known(database_url), await aconnect_postgresql(database_url)
        loop, ear = asyncio.get_running_loop(), link._raw.ear  # pyright: ignore[reportPrivateUsage]
        assert ear._loop is loop  # pyright: ignore[reportPrivateUsage]
        pid = link._raw.info.backend_pid  # pyright: ignore[reportPrivateUsage]
        await observer.execute(Command("SELECT pg_terminate_backend(%s, 10000)", (pid,)))
        while ear._loop is not None:  # pyright: ignore[reportPrivateUsage]
            await asyncio.sleep(0)
        assert not loop.remove_reader(link._raw.pgconn.socket)  # pyright: ignore[reportPrivateUsage]
        await link.close()
        await observer.close()

    asyncio.run(main())


def test_who_is_lent_the_connection_may_watch_its_socket(database_url: str) -> None:
    async def main() -> None:
        link = await known(database_url)
        loop, raw = asyncio.get_running_loop(), link.raw
        loop.add_reader(raw.fileno(), print)
        loop.remove_reader(raw.fileno())
        assert (await link.execute(ask(2))).rows == [(2,)]
        await link.close()

    asyncio.run(main())


def test_a_closed_connection_leaves_its_socket_to_the_next(database_url: str) -> None:
    async def main() -> None:
        for _ in range(3):
            link = await known(database_url)
            await link.close()
            link = await known(database_url)
            link.terminate()

    asyncio.run(main())


def test_a_ping_after_a_statement_that_ran_again_is_answered(database_url: str) -> None:
    async def main() -> None:
        link = await known(database_url)
        await link.ping(30)
        assert (await link.execute(ask(2))).rows == [(2,)]
        await link.close()

    asyncio.run(main())


def test_a_stream_and_statements_that_run_again_share_a_connection(database_url: str) -> None:
    async def main() -> None:
        link = await known(database_url)
        await link.execute(Command("BEGIN", returns_rows=False))
        found: list[object] = []
        async for rows in link.stream(Command("SELECT generate_series(1, %s)", (6,)), 2):
            found.append((rows, (await link.execute(ask(7))).rows))
        assert found == [([(1,), (2,)], [(7,)]), ([(3,), (4,)], [(7,)]), ([(5,), (6,)], [(7,)])]
        await link.close()

    asyncio.run(main())


class _Without:
    """Something of psycopg in a release that calls one private part otherwise."""

    def __init__(self, whole: object, part: str) -> None:
        self._whole = whole
        self._part = part

    def __getattr__(self, name: str) -> Any:
        if name == self._part:
            raise AttributeError(name)
        return getattr(self._whole, name)


@pytest.mark.parametrize("part", ["_prepared", "_convert_query", ""])
def test_a_psycopg_that_calls_a_private_part_otherwise_runs_everything_itself(database_url: str, part: str) -> None:
    link = connect_postgresql(database_url)
    try:
        statements = Statements(cast("Any", _Without(link.raw, part)))
        cursor = link.raw.cursor(binary=True)
        cursor.execute("SELECT %s", (1,), prepare=True)
        statements.note(ask(1), cast("Any", _Without(cursor, part)))
        sent = statements.send(ask(2))
        if sent:
            assert statements.reply(link.raw.wait(execute(link.raw.pgconn))).rows == [(2,)]
        assert sent == (not part)
    finally:
        link.close()


@pytest.mark.parametrize("world", ["blocking"], indirect=True)
def test_statements_that_are_prepared_over_and_over_are_forgotten(link: Any) -> None:
    link.link.raw.prepared_max = 1
    for _ in range(40):
        for number in (1, 2):
            assert link.rows(f"SELECT {number} + ?::int", 1) == link.rows(f"SELECT {number} + ?::int", 1)
    kept = [len(known.loaders) for known in link.link._statements._known.values()]
    assert len(kept) == 2
    assert max(kept) <= 16
