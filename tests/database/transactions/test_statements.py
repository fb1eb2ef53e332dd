# ruff: noqa: PT012, SIM117  (how a block ends is what is tested)
"""What was sent: captured and counted, on the connection that fits."""

from __future__ import annotations

from typing import Any

import pytest

from datalayer._plans.plan import Plan
from datalayer._plans.write import writing
from datalayer.conf import configure, reset
from datalayer.databases import atomic, databases
from datalayer.errors import ConfigurationError, ReadOnlyTransaction, UniqueViolation
from datalayer.pooling.registry import pools
from datalayer.testing import assert_num_queries, capture_queries
from tests.worlds import AwaitingWorld, World

from .conftest import Table, sql


def read_then_write(compiler: Any, number: int) -> Plan[int]:
    yield from sql(compiler, "select id from t")
    count: int = yield from sql(compiler, "insert into t (id) values (?)", number)
    return count


def nothing(compiler: Any) -> Plan[str]:
    yield from ()
    return "nothing was sent"


def test_statements_are_captured_in_order(table: Table, world: World) -> None:
    with capture_queries() as outer, capture_queries("other") as other:
        with world.enter(atomic()):
            table.add(1)
        with pytest.raises(UniqueViolation):
            table.add(1)
        assert table.all() == [1]
    assert [each.sql.split()[0] for each in outer] == ["insert", "insert", "select"]
    assert outer.all[0].sql.startswith("BEGIN")
    assert isinstance(outer[1].error, UniqueViolation)
    assert outer[0].params == (1,)
    assert "1" not in repr(outer[0]).replace("'default'", "")
    assert len(other) == 0
    table.all()
    assert len(outer) == 3


def test_statements_are_counted(table: Table, world: World) -> None:
    with assert_num_queries(2), world.enter(atomic()):
        table.add(1)
        table.all()
    with pytest.raises(AssertionError, match=r"(?s)1 statements were expected and 2 were sent.*1\. insert.*2\. select"):
        with assert_num_queries(1):
            table.add(2)
            table.all()


def test_a_stream_is_one_statement(table: Table, world: World) -> None:
    table.add(1)
    table.add(2)
    stream = table.database.astream if world.is_async else table.database.stream
    with assert_num_queries(2):
        assert world.iterate(stream(1, rows_of_t)) == [(1,), (2,)]
        with world.enter(atomic()):
            assert world.iterate(stream(1, rows_of_t)) == [(1,), (2,)]


def test_a_plan_that_sends_nothing_borrows_nothing(table: Table, world: World) -> None:
    before = pools["default"].stats().acquires_started
    with assert_num_queries(0):
        assert world.call(databases["default"], "run", nothing) == "nothing was sent"
    assert pools["default"].stats().acquires_started == before


def test_a_marked_operation_reads_and_writes_on_the_writer(table: Table, world: World, backend: str) -> None:
    marked = writing(lambda compiler, number: read_then_write(compiler, number))
    assert world.call(databases["default"], "run", marked, 1) == 1
    if backend == "sqlite":
        with pytest.raises(ReadOnlyTransaction):
            world.call(databases["default"], "run", read_then_write, 2)
    assert table.all() == [1]


def test_the_database_knows_itself(table: Table, backend: str) -> None:
    database = databases["default"]
    assert database is databases["default"]
    assert database.backend == database.compiler.backend == backend
    assert repr(database) == "<Database 'default'>"
    assert (database.depth, database.in_transaction) == (0, False)


def test_depth_counts_blocks(table: Table, world: World) -> None:
    depths: list[int] = []

    async def ask() -> None:
        depths.append(databases["default"].depth)

    def now() -> None:
        world.run(lambda: depths.append(databases["default"].depth), ask)

    now()
    with world.enter(atomic()):
        now()
        with world.enter(atomic()):
            now()
    now()
    assert depths == [0, 1, 2, 0]


def test_an_unknown_alias_names_the_choices(table: Table) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'default'"):
        databases["defualt"]


def rows_of_t(compiler: Any) -> Any:
    def load(rows: list[Any]) -> Any:
        return rows
        yield  # a plan that sends nothing

    return next(sql(compiler, "select id from t order by id")), load


async def ask_in_the_loop(table: Table, streamed: Any) -> list[int]:
    return [len(await table.database.arun(sql, "select id from t")) async for _ in streamed]


def test_a_database_in_memory(world: World) -> None:
    configure(databases={"default": "sqlite:///:memory:"})
    try:
        table = Table(world)
        table.send("create table t (id integer primary key)")
        with world.enter(atomic()):
            table.add(1)
        with pytest.raises(ReadOnlyTransaction), world.enter(atomic(read_only=True)):
            table.add(2)
        table.add(3)
        assert table.all() == [1, 3]
        streamed = (table.database.astream if world.is_async else table.database.stream)(1, rows_of_t)
        if isinstance(world, AwaitingWorld):
            assert world.wait(ask_in_the_loop(table, streamed)) == [2, 2]
        else:
            assert [len(table.all()) for _ in streamed] == [2, 2]
    finally:
        world.run(lambda: None, pools.aclose_all)
        pools.reset()
        reset()
