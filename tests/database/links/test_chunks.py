"""Many rows come in chunks to whoever asks for them so."""

from __future__ import annotations

import pytest

from datalayer._plans.plan import CHUNK, Row
from datalayer.errors import DatabaseError, DataError
from tests.database.links.conftest import Connect, LinkDriver

MANY = 2 * CHUNK + 50
NUMBERS = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < ?)"


def lists(link: LinkDriver, sql: str, *params: object) -> list[list[Row]]:
    """The rows as they come: in one list, or in chunks."""
    command = link.command(sql, *params)
    command.in_chunks = True
    reply = link.do("execute", command)
    return [reply.rows] if reply.chunks is None else list(reply.chunks)


def many(link: LinkDriver) -> None:
    link.execute("CREATE TABLE t (id integer)")
    link.execute(f"INSERT INTO t {NUMBERS} SELECT id FROM n", MANY)


@pytest.mark.parametrize("time", ["first", "second"])
def test_all_rows_come_in_order(link: LinkDriver, time: str) -> None:
    many(link)
    for _ in range(1 if time == "first" else 2):
        found = lists(link, "SELECT id FROM t WHERE id > ? ORDER BY id", 0)
    assert [row for rows in found for row in rows] == [(number,) for number in range(1, MANY + 1)]


@pytest.mark.parametrize("count", [0, 1, CHUNK - 1])
def test_few_rows_come_in_one_list(link: LinkDriver, count: int) -> None:
    many(link)
    for _ in range(2):
        assert [len(rows) for rows in lists(link, "SELECT id FROM t WHERE id <= ?", count)] == [count]


@pytest.mark.parametrize("count", [CHUNK, 2 * CHUNK])
def test_no_chunk_is_empty(link: LinkDriver, count: int) -> None:
    many(link)
    for _ in range(2):
        assert all(lists(link, "SELECT id FROM t WHERE id <= ?", count))


def test_an_error_after_the_first_chunk_is_one_of_ours(link: LinkDriver) -> None:
    many(link)
    failing = f"SELECT abs(CASE WHEN id = {MANY} THEN -9223372036854775807 - 1 ELSE id END) FROM t WHERE id > ?"
    if not link.is_sqlite:
        failing = (
            f"SELECT CASE WHEN id = {MANY} THEN date '0001-01-01 BC' ELSE date '2024-01-01' END FROM t WHERE id > ?"
        )
    for _ in range(2):
        with pytest.raises(DataError if not link.is_sqlite else DatabaseError):
            lists(link, failing, 0)
    assert link.rows("SELECT count(*) FROM t") == [(MANY,)]


def test_chunks_that_are_left_keep_nothing_open(connect: Connect) -> None:
    link = connect()
    many(link)
    for _ in range(2):
        command = link.command("SELECT id FROM t WHERE id > ?", 0)
        command.in_chunks = True
        reply = link.do("execute", command)
        if reply.chunks is not None:
            assert len(next(reply.chunks)) == CHUNK
            reply.chunks.close()
    link.execute("DROP TABLE t")  # SQLite refuses this while a statement of the connection stands between two rows


def test_the_same_statement_can_run_between_two_chunks(link: LinkDriver) -> None:
    many(link)
    sql = "SELECT id FROM t WHERE id > ? ORDER BY id"
    lists(link, sql, 0)
    command = link.command(sql, 0)
    command.in_chunks = True
    reply = link.do("execute", command)
    chunks = [reply.rows] if reply.chunks is None else reply.chunks
    found = []
    for rows in chunks:
        found += rows
        assert link.rows(sql, MANY - 1) == [(MANY,)]
    assert [number for (number,) in found] == list(range(1, MANY + 1))
