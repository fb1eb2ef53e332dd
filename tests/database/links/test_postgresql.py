"""What is PostgreSQL's own: values, prepared statements, connecting, and the states a connection can be left in."""

from __future__ import annotations

import asyncio
import signal
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from datalayer import errors
from datalayer._links.postgresql import aconnect_postgresql, connect_postgresql
from datalayer._plans.plan import Command
from tests.tcp_proxy import Proxy, proxy_to


@pytest.fixture
def backend() -> str:
    return "postgresql"


@pytest.fixture
def proxy(database_url: str) -> Iterator[Proxy]:
    with proxy_to(database_url) as proxy:
        yield proxy


def value(link: Any, sql: str, *params: object) -> Any:
    return link.rows(sql, *params)[0][0]


def test_values_are_typed(link: Any) -> None:
    key = uuid.uuid4()
    assert link.rows("SELECT 1, 1.50::numeric, date '2024-02-29', ?::uuid, ARRAY[1, 2], true, 'a'::text", key) == [
        (1, Decimal("1.50"), date(2024, 2, 29), key, [1, 2], True, "a")
    ]


@pytest.mark.parametrize("transaction_pooling", [False, True])
def test_timestamps_come_in_utc(connect: Any, transaction_pooling: bool) -> None:
    link = connect(transaction_pooling=transaction_pooling)
    moment = datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=-7)))
    found = value(link, "SELECT ?::timestamptz", moment)
    assert found == moment
    assert found.tzinfo is not None
    assert found.utcoffset() == timedelta(0)
    assert found.isoformat() == "2024-02-29T19:00:00.123456+00:00"


def test_an_enum_of_the_database_is_text(link: Any) -> None:
    link.execute("CREATE TYPE mood AS ENUM ('sad', 'Grüße', '')")
    assert link.rows("SELECT 'sad'::mood, 'Grüße'::mood, ''::mood, NULL::mood") == [("sad", "Grüße", "", None)]


def test_what_is_no_text_of_a_type_of_the_database_stays_bytes(link: Any) -> None:
    link.execute("CREATE TYPE pair AS (a integer, b text)")
    assert isinstance(value(link, "SELECT ROW(1, 'x')::pair"), bytes)
    assert value(link, "SELECT '08:00:2b:01:02:03'::macaddr") == b"\x08\x00\x2b\x01\x02\x03"


def test_session_is_in_utc(link: Any) -> None:
    assert value(link, "SHOW TimeZone") == "UTC"


def test_timestamp_python_cannot_hold(connect: Any) -> None:
    for transaction_pooling in (False, True):
        link = connect(transaction_pooling=transaction_pooling)
        with pytest.raises(errors.DataError):
            link.rows("SELECT timestamptz 'infinity'")
        assert value(link, "SELECT timestamptz '1999-01-01 00:00:00+00'") == datetime(1999, 1, 1, tzinfo=UTC)


def test_json_comes_as_text(link: Any) -> None:
    assert link.rows("""SELECT '{"a": [1, "é"]}'::jsonb, '{"a":1}'::json, NULL::jsonb""") == [
        ('{"a": [1, "é"]}', '{"a":1}', None)
    ]


def test_percent_is_doubled_in_every_command(link: Any) -> None:
    assert value(link, "SELECT 'a%%b'") == "a%b"
    assert value(link, "SELECT 'a%%b' LIKE ?", "a%") is True


def test_statement_with_values_is_prepared(link: Any) -> None:
    value(link, "SELECT 1 + ?::int", 1)
    assert value(link, "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%%1 + $1%%'") == 1


def test_nothing_is_prepared_behind_a_transaction_pooler(connect: Any) -> None:
    link = connect(transaction_pooling=True)
    for _ in range(10):
        value(link, "SELECT 1 + ?::int", 1)
    assert value(link, "SELECT count(*) FROM pg_prepared_statements") == 0


def test_prepared_statement_survives_a_table_changed_by_another_session(connect: Any) -> None:
    link, other = connect(), connect()
    other.execute("CREATE TABLE t (id integer, name text)")
    other.execute("INSERT INTO t VALUES (1, '7')")
    assert link.rows("SELECT * FROM t WHERE id = ?", 1) == [(1, "7")]
    other.execute("ALTER TABLE t ALTER COLUMN name TYPE integer USING name::integer")
    assert link.rows("SELECT * FROM t WHERE id = ?", 1) == [(1, 7)]


def test_table_changed_by_another_session_in_a_transaction(connect: Any) -> None:
    link, other = connect(), connect()
    other.execute("CREATE TABLE t (id integer, name text)")
    link.rows("SELECT * FROM t WHERE id = ?", 1)
    other.execute("ALTER TABLE t DROP COLUMN name")
    link.execute("BEGIN")
    with pytest.raises(errors.SerializationFailure, match="again"):
        link.rows("SELECT * FROM t WHERE id = ?", 1)
    link.do("reset")
    assert link.rows("SELECT * FROM t WHERE id = ?", 1) == []


def test_exclusion(link: Any) -> None:
    link.execute("CREATE TABLE t (during int4range, CONSTRAINT no_overlap EXCLUDE USING gist (during WITH &&))")
    link.execute("INSERT INTO t VALUES ('[1,5)')")
    with pytest.raises(errors.ExclusionViolation) as caught:
        link.execute("INSERT INTO t VALUES ('[4,6)')")
    assert caught.value.constraint == "no_overlap"
    assert caught.value.sqlstate == "23P01"


def test_restricted_delete(link: Any) -> None:
    link.execute("CREATE TABLE a (id integer PRIMARY KEY)")
    link.execute("CREATE TABLE b (a_id integer CONSTRAINT b_to_a REFERENCES a ON DELETE RESTRICT)")
    link.execute("INSERT INTO a VALUES (1)")
    link.execute("INSERT INTO b VALUES (1)")
    with pytest.raises(errors.ForeignKeyViolation, match="still refer") as caught:
        link.execute("DELETE FROM a")
    assert caught.value.constraint == "b_to_a"


def test_text_too_long(link: Any) -> None:
    link.execute("CREATE TABLE t AS SELECT 'abc'::text x")
    with pytest.raises(errors.DataError):
        link.execute("ALTER TABLE t ALTER COLUMN x TYPE varchar(2)")


def test_nul_in_text(link: Any) -> None:
    with pytest.raises(errors.DataError):
        link.rows("SELECT ?::text", "a\0b")


def test_statement_timeout(link: Any) -> None:
    link.execute("SET statement_timeout = 5")
    with pytest.raises(errors.StatementTimeout) as caught:
        link.rows("SELECT pg_sleep(60)")
    assert caught.value.sqlstate == "57014"
    assert not link.link.is_broken


def test_deadlock(connect: Any) -> None:
    one, other = connect(), connect()
    one.execute("CREATE TABLE t (id integer PRIMARY KEY)")
    one.insert("INSERT INTO t VALUES (?)", [(1,), (2,)])
    blocked = connect_postgresql(one.url)
    one.execute("SET deadlock_timeout = 1")
    one.execute("BEGIN")
    one.rows("SELECT id FROM t WHERE id = 1 FOR UPDATE")
    blocked.execute(Command("BEGIN", returns_rows=False))
    blocked.execute(Command("SELECT id FROM t WHERE id = 2 FOR UPDATE"))
    thread = threading.Thread(target=blocked.execute, args=[Command("SELECT id FROM t WHERE id = 1 FOR UPDATE")])
    thread.start()
    while not value(other, "SELECT count(*) FROM pg_locks WHERE NOT granted"):
        pass
    with pytest.raises(errors.DeadlockDetected):
        one.rows("SELECT id FROM t WHERE id = 2 FOR UPDATE")
    one.do("reset")
    thread.join()
    blocked.close()


def test_session_ended_by_the_server(connect: Any) -> None:
    one, other = connect(), connect()
    pid = value(one, "SELECT pg_backend_pid()")
    assert value(other, "SELECT pg_terminate_backend(?, 10000)", pid) is True
    with pytest.raises(errors.ConnectionLost):
        one.rows("SELECT 1")
    assert one.link.is_broken
    with pytest.raises(errors.ConnectionLost):
        one.do("reset")


def test_connection_dropped_on_the_way(connect: Any, proxy: Proxy) -> None:
    link = connect(proxy.url(connect.url))
    link.do("ping")
    proxy.drop()
    with pytest.raises(errors.ConnectionLost):
        link.do("ping")
    assert link.link.is_broken


def test_reset_while_a_pipeline_is_open(link: Any) -> None:
    def blocking() -> None:
        with link.link.raw.pipeline(), pytest.raises(errors.OperationalError, match="pipeline"):
            link.link.reset()

    async def awaiting() -> None:
        async with link.link.raw.pipeline():
            with pytest.raises(errors.OperationalError, match="pipeline"):
                await link.link.reset()

    link.world.run(blocking, awaiting)


def test_reset_while_a_copy_runs(link: Any) -> None:
    def blocking() -> None:
        copy = link.link.raw.cursor().copy("COPY (SELECT 1) TO STDOUT")
        with copy, pytest.raises(errors.OperationalError, match="COPY"):
            link.link.reset()

    async def awaiting() -> None:
        async with link.link.raw.cursor().copy("COPY (SELECT 1) TO STDOUT"):
            with pytest.raises(errors.OperationalError, match="COPY"):
                await link.link.reset()

    link.world.run(blocking, awaiting)


def test_reset_brings_autocommit_back(link: Any) -> None:
    async def awaiting() -> None:
        await link.link.raw.set_autocommit(False)

    link.world.run(lambda: setattr(link.link.raw, "autocommit", False), awaiting)
    link.rows("SELECT 1")
    assert link.link.in_transaction
    link.do("reset")
    assert link.link.raw.autocommit
    assert not link.link.in_transaction


_SLEEPERS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


def test_cancelled_query_leaves_a_link_that_can_be_reset(database_url: str) -> None:
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(60)'"

    async def cancel() -> None:
        link = await aconnect_postgresql(database_url)
        observer = await aconnect_postgresql(database_url)
        await link.execute(Command("BEGIN", returns_rows=False))
        task = asyncio.create_task(link.execute(Command("SELECT pg_sleep(60)")))
        # A cancel request that outruns its query is ignored by the server, so the query must be seen running first.
        while (await observer.execute(Command(sleeping))).rows == [(0,)]:
            assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await link.reset()
        assert (await link.execute(Command("SELECT 1"))).rows == [(1,)]
        await link.close()
        await observer.close()

    asyncio.run(cancel())


def test_interrupted_query_leaves_a_link_that_can_be_reset(database_url: str) -> None:
    link, watcher = connect_postgresql(database_url), connect_postgresql(database_url)

    def interrupt() -> None:
        # psycopg cannot drain a query whose sender is hit before it waits; a sleep seen so often is waited for.
        seen = 0
        while seen < 200:
            seen += watcher.execute(Command(_SLEEPERS)).rows != [(0,)]
        signal.pthread_kill(main, signal.SIGINT)

    main = threading.get_ident()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    try:
        link.execute(Command("BEGIN", returns_rows=False))
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            link.execute(Command("SELECT pg_sleep(60)"))
        thread.join()
        link.reset()
        assert link.execute(Command("SELECT 1")).rows == [(1,)]
    finally:
        signal.signal(signal.SIGINT, before)
        link.close()
        watcher.close()


def test_terminate_without_a_loop(database_url: str) -> None:
    link = asyncio.run(aconnect_postgresql(database_url))
    link.terminate()
    assert link.is_broken


# -- connecting ----------------------------------------------------------------------------------


def refused(connect: Any, url: str, **options: Any) -> errors.ConnectionFailed:
    with pytest.raises(errors.ConnectionFailed) as caught:
        connect(url, **options)
    return caught.value


def test_unknown_database(connect: Any) -> None:
    parts = urlsplit(connect.url)
    error = refused(connect, parts._replace(path="/no_such_database").geturl(), alias="archive")
    assert error.is_fatal
    assert "no_such_database" in str(error)
    assert "'archive'" in str(error)


def test_unknown_user(connect: Any) -> None:
    name = f"nobody_{uuid.uuid4().hex}"
    separator = "&" if "?" in connect.url else "?"
    error = refused(connect, f"{connect.url}{separator}user={name}")
    assert error.is_fatal


def test_server_that_is_down(connect: Any, proxy: Proxy) -> None:
    proxy.refuse()
    error = refused(connect, proxy.url(connect.url))
    assert not error.is_fatal
    assert "127.0.0.1" in str(error)
    assert str(proxy.port) in str(error)


def test_server_that_comes_back(connect: Any, proxy: Proxy) -> None:
    proxy.refuse()
    refused(connect, proxy.url(connect.url))
    proxy.accept()
    assert value(connect(proxy.url(connect.url)), "SELECT 1") == 1


def test_missing_socket(connect: Any, tmp_path: Any) -> None:
    error = refused(connect, f"postgresql://postgres@/test?host={tmp_path}")
    assert not error.is_fatal
    assert str(tmp_path) in str(error)


def test_password_is_never_told(connect: Any, proxy: Proxy) -> None:
    proxy.refuse()
    error = refused(connect, f"postgresql://someone:s3cr3t@127.0.0.1:{proxy.port}/test")
    assert "s3cr3t" not in str(error)
    assert "s3cr3t" not in repr(error)


def test_url_that_cannot_be_read(connect: Any) -> None:
    error = refused(connect, "postgresql://someone:s3cr3t@host:port:5/x?y")
    assert error.is_fatal
    assert "s3cr3t" not in str(error)
    assert error.__cause__ is None


def test_options_of_the_url_are_kept(connect: Any) -> None:
    separator = "&" if "?" in connect.url else "?"
    link = connect(f"{connect.url}{separator}options=-c%20work_mem%3D1234kB&application_name=mine")
    assert value(link, "SHOW work_mem") == "1234kB"
    assert value(link, "SHOW application_name") == "mine"
    assert value(link, "SHOW TimeZone") == "UTC"


def test_proxy_keeps_the_query_of_the_url(proxy: Proxy) -> None:
    url = proxy.url("postgresql://me@/db?host=/tmp/x&application_name=a")
    assert parse_qs(urlsplit(url).query) == {"application_name": ["a"]}
    assert urlsplit(url).port == proxy.port
