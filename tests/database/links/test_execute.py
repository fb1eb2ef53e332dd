"""What a link answers: the same facts on both backends and in both worlds."""

from __future__ import annotations

from typing import Any

import pytest

from datalayer import errors
from datalayer._plans.plan import Command, Plan, Reply


def test_query_gives_rows(link: Any) -> None:
    assert link.rows("SELECT 1, 'a' UNION ALL SELECT 2, 'b' ORDER BY 1") == [(1, "a"), (2, "b")]


def test_values_are_bound(link: Any) -> None:
    link.execute("CREATE TABLE t (id integer, name text)")
    link.execute("INSERT INTO t VALUES (?, ?)", 1, "it's; -- quoted")
    assert link.rows("SELECT name FROM t WHERE id = ?", 1) == [("it's; -- quoted",)]


def test_change_gives_the_number_of_rows(link: Any) -> None:
    link.execute("CREATE TABLE t (id integer)")
    link.insert("INSERT INTO t VALUES (?)", [(1,), (2,), (3,)])
    assert link.execute("UPDATE t SET id = id + 10 WHERE id > ?", 1).count == 2


def test_returning_gives_rows_and_count(link: Any) -> None:
    link.execute("CREATE TABLE t (id integer)")
    reply = link.do("execute", link.command("INSERT INTO t VALUES (?), (?) RETURNING id", 1, 2, writes=True))
    assert (reply.rows, reply.count) == ([(1,), (2,)], 2)


def test_transaction_is_text(link: Any) -> None:
    link.execute("CREATE TABLE t (id integer)")
    link.execute("BEGIN")
    assert link.link.in_transaction
    link.execute("INSERT INTO t VALUES (1)")
    link.execute("ROLLBACK")
    assert not link.link.in_transaction
    assert link.rows("SELECT count(*) FROM t") == [(0,)]


@pytest.mark.parametrize("in_transaction", [False, True])
def test_stream_gives_rows_in_chunks(link: Any, in_transaction: bool) -> None:
    link.execute("CREATE TABLE t (id integer)")
    link.insert("INSERT INTO t VALUES (?)", [(n,) for n in range(5)])
    if in_transaction:
        link.execute("BEGIN")
    chunks = link.stream("SELECT id FROM t WHERE id >= ? ORDER BY id", 0, size=2)
    assert chunks == [[(0,), (1,)], [(2,), (3,)], [(4,)]]
    assert link.link.in_transaction is in_transaction


def test_stream_that_is_left_early_leaves_no_transaction(link: Any) -> None:
    command = link.command("SELECT 1 UNION ALL SELECT 2")

    def blocking() -> object:
        chunks = link.link.stream(command, 1)
        first = next(chunks)
        chunks.close()
        return first

    async def awaiting() -> object:
        chunks = link.link.stream(command, 1)
        first = await anext(chunks)
        await chunks.aclose()
        return first

    assert link.world.run(blocking, awaiting) == [(1,)]
    assert not link.link.in_transaction
    assert link.rows("SELECT 3") == [(3,)]


def test_stream_translates_errors(link: Any) -> None:
    with pytest.raises(errors.UndefinedTable):
        link.stream("SELECT * FROM nowhere", size=2)
    assert not link.link.in_transaction


def test_reset_rolls_back(link: Any) -> None:
    link.execute("CREATE TABLE t (id integer)")
    link.execute("BEGIN")
    link.execute("INSERT INTO t VALUES (1)")
    link.do("reset")
    assert not link.link.in_transaction
    assert link.rows("SELECT count(*) FROM t") == [(0,)]


def test_reset_rolls_back_a_failed_transaction(link: Any) -> None:
    link.execute("BEGIN")
    with pytest.raises(errors.UndefinedTable):
        link.rows("SELECT * FROM nowhere")
    link.do("reset")
    assert not link.link.in_transaction
    assert link.rows("SELECT 1") == [(1,)]


def test_reset_of_a_clean_link_does_nothing(link: Any) -> None:
    link.do("reset")
    assert link.rows("SELECT 1") == [(1,)]


def test_ping(link: Any) -> None:
    link.do("ping")


def test_closed_link_is_broken(link: Any) -> None:
    assert not link.link.is_broken
    link.do("close")
    assert link.link.is_broken
    assert not link.link.in_transaction
    for attempt in (lambda: link.rows("SELECT 1"), lambda: link.do("ping"), lambda: link.do("reset")):
        with pytest.raises(errors.ConnectionLost):
            attempt()


def test_close_twice(link: Any) -> None:
    link.do("close")
    link.do("close")


def test_plan_result_comes_back(link: Any) -> None:
    def plan() -> Plan[int]:
        reply = yield Command("SELECT 20")
        (first,) = reply.rows[0]
        reply = yield Command("SELECT 22")
        return first + reply.rows[0][0]  # type: ignore[operator,return-value]

    assert link.run(plan()) == 42


def test_plan_recovers_from_an_error(link: Any) -> None:
    def plan() -> Plan[str]:
        try:
            yield Command("SELECT * FROM nowhere")
        except errors.UndefinedTable as error:
            yield Command("SELECT 1")
            return str(error.table)
        return "no error"

    assert link.run(plan()) == "nowhere"


def test_plan_error_comes_out(link: Any) -> None:
    def plan() -> Plan[Reply]:
        return (yield Command("SELECT * FROM nowhere"))

    with pytest.raises(errors.UndefinedTable) as caught:
        link.run(plan())
    assert caught.value.__cause__ is not None


def test_repr_tells_the_alias_only(link: Any) -> None:
    assert "'default'" in repr(link.link)
    assert "/" not in repr(link.link)
