# ruff: noqa: PT012, SIM117  (how a block ends is what is tested)
"""Transactions, on both backends and in both worlds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from datalayer import conf
from datalayer._plans.transaction import nested
from datalayer.databases import atomic, databases, on_commit
from datalayer.errors import (
    DataError,
    IntegrityError,
    ReadOnlyTransaction,
    SerializationFailure,
    TransactionError,
    UniqueViolation,
)
from datalayer.pooling.registry import pools
from tests.worlds import AwaitingWorld, World

from .conftest import Table, sql


class Oops(Exception):
    pass


def in_use(world: World) -> int:
    return pools["default"].stats().in_use


def test_what_is_inside_is_committed(table: Table, world: World) -> None:
    with world.enter(atomic()):
        table.add(1)
        table.add(2)
        assert databases["default"].in_transaction or world.is_async
    assert table.all() == [1, 2]


def test_an_error_undoes_everything(table: Table, world: World) -> None:
    with pytest.raises(Oops), world.enter(atomic()):
        table.add(1)
        raise Oops
    assert table.all() == []


def test_an_inner_block_is_undone_alone(table: Table, world: World) -> None:
    with world.enter(atomic()):
        table.add(1)
        with pytest.raises(Oops), world.enter(atomic()):
            table.add(2)
            with world.enter(atomic()):
                table.add(3)
            raise Oops
        with world.enter(atomic()):
            table.add(4)
    assert table.all() == [1, 4]


def test_a_violation_in_an_inner_block_leaves_the_outer_usable(table: Table, world: World) -> None:
    with world.enter(atomic()):
        table.add(1)
        with pytest.raises(UniqueViolation), world.enter(atomic()):
            table.add(1)
        table.add(2)
    assert table.all() == [1, 2]


def test_a_caught_violation_breaks_the_transaction_on_postgresql(table: Table, world: World, backend: str) -> None:
    def go_on() -> None:
        with world.enter(atomic()):
            table.add(1)
            with pytest.raises(UniqueViolation):
                table.add(1)
            table.add(2)

    if backend == "sqlite":  # undoes the one statement only
        go_on()
        assert table.all() == [1, 2]
        return
    with pytest.raises(TransactionError, match="broken") as caught:
        go_on()
    assert isinstance(caught.value.__cause__, UniqueViolation)
    assert table.all() == []


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_broken_transaction_never_seems_to_commit(table: Table, world: World) -> None:
    with pytest.raises(TransactionError, match="broken") as caught, world.enter(atomic()):
        table.add(1)
        with pytest.raises(UniqueViolation):
            table.add(1)
    assert isinstance(caught.value.__cause__, UniqueViolation)
    assert table.all() == []


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_broken_inner_block_is_undone_and_told(table: Table, world: World) -> None:
    with world.enter(atomic()):
        table.add(1)
        with pytest.raises(TransactionError, match="broken"), world.enter(atomic()):
            with pytest.raises(UniqueViolation):
                table.add(1)
        table.add(2)
    assert table.all() == [1, 2]


def test_without_savepoint_an_inner_error_dooms_the_outer(table: Table, world: World) -> None:
    with pytest.raises(TransactionError, match="broken") as caught, world.enter(atomic()):
        table.add(1)
        with pytest.raises(Oops), world.enter(atomic(savepoint=False)):
            table.add(2)
            raise Oops
        table.add(3)
    assert isinstance(caught.value.__cause__, Oops)
    assert table.all() == []


def test_durable_must_be_the_outermost(table: Table, world: World) -> None:
    with world.enter(atomic(durable=True)):
        table.add(1)
    with pytest.raises(TransactionError, match="durable"), world.enter(atomic()), world.enter(atomic(durable=True)):
        pass
    assert table.all() == [1]


def test_read_only_refuses_writes(table: Table, world: World) -> None:
    table.add(1)
    with pytest.raises(ReadOnlyTransaction), world.enter(atomic(read_only=True)):
        assert table.all() == [1]
        table.add(2)
    with world.enter(atomic(read_only=True)):
        assert table.all() == [1]
    table.add(3)
    assert table.all() == [1, 3]


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_isolation(table: Table, world: World, isolation: Any, backend: str) -> None:
    with world.enter(atomic("default", isolation=isolation, retries=3, read_only=False)):
        table.add(1)
        if backend == "postgresql":
            assert table.send("select current_setting('transaction_isolation')") == [(isolation,)]
    assert table.all() == [1]


def test_only_the_outermost_chooses(table: Table, world: World) -> None:
    with world.enter(atomic(isolation="serializable")):
        with world.enter(atomic(isolation="serializable")):
            table.add(1)
        with pytest.raises(TransactionError, match="outermost"), world.enter(atomic(isolation="repeatable read")):
            pass
        with pytest.raises(TransactionError, match="read_only"), world.enter(atomic(read_only=True)):
            pass
    assert table.all() == [1]


def inserted(compiler: Any, *ids: int) -> Any:
    def each() -> Any:
        for number in ids:
            yield from sql(compiler, "insert into t (id) values (?)", number)

    return nested(compiler.backend, each, depth=0)


def test_an_operation_of_several_statements_borrows_one_connection(table: Table, world: World) -> None:
    world.call(table.database, "run", inserted, 1, 2, 3)
    assert table.all() == [1, 2, 3]
    with pytest.raises(UniqueViolation):
        world.call(table.database, "run", inserted, 4, 1)
    assert table.all() == [1, 2, 3]


def test_a_stream_gives_rows_in_chunks(table: Table, world: World) -> None:
    def select(compiler: Any) -> Any:
        chunks: list[int] = []

        def load(rows: list[Any]) -> Any:
            chunks.append(len(rows))
            assert len(rows) <= 4
            return [row[0] for row in rows]
            yield  # a plan that sends nothing

        return next(sql(compiler, "select id from t order by id")), load

    world.call(table.database, "run", inserted, *range(10))
    stream = table.database.astream if world.is_async else table.database.stream
    assert world.iterate(stream(4, select)) == list(range(10))
    with world.enter(atomic()):
        table.add(10)
        assert world.iterate(stream(4, select)) == list(range(11))
    assert in_use(world) == 0


def numbers(compiler: Any) -> Any:
    def load(rows: list[Any]) -> Any:
        return [row[0] for row in rows]
        yield  # a plan that sends nothing

    return next(sql(compiler, "select id from t order by id")), load


@pytest.mark.parametrize("end", ["next", "close"])
def test_a_stream_ends_with_its_transaction(table: Table, world: World, end: str) -> None:
    table.add(1)
    table.add(2)
    with world.enter(atomic()):
        streamed = (table.database.astream if world.is_async else table.database.stream)(1, numbers)
        assert world.run(lambda: next(streamed), lambda: anext(streamed)) == 1
    with world.enter(atomic()):
        table.add(3)  # on the connection that the stream had
        if end == "close":
            world.run(lambda: streamed.close(), lambda: streamed.aclose())
        else:
            with pytest.raises(TransactionError, match="that this stream was begun in has ended"):
                world.run(lambda: next(streamed), lambda: anext(streamed))
        table.add(4)
    assert table.all() == [1, 2, 3, 4]


@pytest.mark.parametrize("world", ["awaiting"], indirect=True)
def test_a_stream_that_is_left_half_way_is_in_nobodys_way(table: Table, world: AwaitingWorld) -> None:
    async def leave(turns: int) -> None:
        async with atomic():
            async for _ in table.database.astream(1, numbers):
                break  # the event loop closes the stream, in a task of its own
            for _ in range(turns):
                await asyncio.sleep(0)
            assert len(await table.database.arun(sql, "select id from t where id > ?", 0)) == 2

    table.add(1)
    table.add(2)
    for turns in range(6):
        world.wait(leave(turns))


# -- the decorator -------------------------------------------------------------------------------


def transfer(table: Table, **options: Any) -> Callable[..., None]:
    """A decorated function of the world of the test, called in that world."""
    make = atomic(**options) if options else atomic
    if isinstance(table.world, AwaitingWorld):
        world = table.world

        @make
        async def awaiting(number: int, error: Exception | None = None) -> int:
            await table.database.arun(sql, "insert into t (id) values (?)", number)
            if error:
                raise error
            return number

        return lambda *args: world.wait(awaiting(*args))

    @make
    def blocking(number: int, error: Exception | None = None) -> int:
        table.database.run(sql, "insert into t (id) values (?)", number)
        if error:
            raise error
        return number

    return blocking


def test_the_decorator_commits_and_undoes(table: Table) -> None:
    for options in ({}, {"using": "default"}):
        function = transfer(table, **options)
        assert function(1) == 1
        with pytest.raises(Oops):
            function(2, Oops())
        assert table.all() == [1]
        table.send("delete from t")


def test_a_decorated_function_is_tried_again(table: Table) -> None:
    calls: list[int] = []

    class Once(SerializationFailure):
        def __init__(self) -> None:
            super().__init__("in the way")

    def body() -> None:
        calls.append(1)
        if len(calls) < 3:
            raise Once

    world = table.world
    if isinstance(world, AwaitingWorld):

        @atomic(retries=3)
        async def awaiting() -> str:
            await table.database.arun(sql, "insert into t (id) values (?)", 1)
            body()
            return "done"

        assert world.wait(awaiting()) == "done"
    else:

        @atomic(retries=3)
        def blocking() -> str:
            table.add(1)
            body()
            return "done"

        assert blocking() == "done"
    assert len(calls) == 3
    assert table.all() == [1]


def test_retries_end(table: Table) -> None:
    with pytest.raises(SerializationFailure):
        transfer(table, retries=2)(1, SerializationFailure("in the way"))
    assert table.all() == []


def test_a_nested_function_leaves_retrying_to_the_outermost(table: Table, world: World) -> None:
    function = transfer(table, retries=5)
    with pytest.raises(SerializationFailure), world.enter(atomic()):
        function(1, SerializationFailure("in the way"))
    assert table.all() == []


def test_a_block_says_that_it_cannot_be_tried_again(table: Table, world: World) -> None:
    with pytest.raises(SerializationFailure) as caught, world.enter(atomic(retries=3)):
        raise SerializationFailure("in the way")
    assert "decorate" in caught.value.__notes__[0]


# -- on_commit -----------------------------------------------------------------------------------


def register(world: World, function: Callable[[], object], **options: Any) -> None:
    async def awaiting() -> None:
        on_commit(function, **options)

    world.run(lambda: on_commit(function, **options), awaiting)


def test_functions_are_called_after_the_commit(table: Table, world: World) -> None:
    calls: list[object] = []
    with world.enter(atomic()):
        register(world, lambda: calls.append("first"))
        with world.enter(atomic()):
            register(world, lambda: calls.append("second"))
        with pytest.raises(Oops), world.enter(atomic()):
            register(world, lambda: calls.append("undone"))
            raise Oops
        assert calls == []
    assert calls == ["first", "second"]
    with pytest.raises(Oops), world.enter(atomic()):
        register(world, lambda: calls.append("undone"))
        raise Oops
    register(world, lambda: calls.append("at once"))
    assert calls == ["first", "second", "at once"]


def test_the_connection_is_back_when_functions_are_called(table: Table, world: World) -> None:
    found: list[int] = []
    with world.enter(atomic()):
        table.add(1)
        register(world, lambda: found.append(in_use(world)))
    assert found == [0]


def test_an_error_of_a_function(table: Table, world: World, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []

    def fail() -> None:
        raise Oops

    with world.enter(atomic()):
        table.add(1)
        register(world, fail, robust=True)
        register(world, lambda: calls.append("called"))
    assert calls == ["called"]
    assert "on_commit" in caplog.text
    with pytest.raises(Oops), world.enter(atomic()):
        table.add(2)
        register(world, fail)
    assert table.all() == [1, 2]


@pytest.mark.parametrize("world", ["blocking"], indirect=True)
def test_a_coroutine_that_nobody_awaits_is_an_error(table: Table, caplog: pytest.LogCaptureFixture) -> None:
    async def mail() -> None:
        """What a lambda may hide."""

    with pytest.raises(TransactionError, match="nobody can await"), atomic():
        table.add(1)
        on_commit(lambda: mail())
    with atomic():
        on_commit(lambda: mail(), robust=True)
    assert "nobody can await" in caplog.text
    assert table.all() == [1]


# -- nothing is left behind ----------------------------------------------------------------------


@pytest.mark.parametrize("error", [Oops, KeyboardInterrupt, IntegrityError])
def test_the_pool_is_clean_after_an_error(table: Table, world: World, error: Any) -> None:
    for number in range(12):
        with pytest.raises(error), world.enter(atomic()):
            table.add(number)
            raise error("stop")
    assert in_use(world) == 0
    assert table.all() == []
    with world.enter(atomic()):
        table.add(1)
    assert table.all() == [1]


def test_the_connection_goes_back_though_the_settings_have_changed(table: Table, world: World, configured: str) -> None:
    def change() -> None:
        conf.reset()
        conf.configure(databases={"other": configured})

    pool = pools["default"]
    with world.enter(atomic()):
        table.add(1)
        change()
    assert pool.stats().in_use == 0
    world.run(lambda: None, pool.aclose)
    pool.close()


def test_a_value_the_database_cannot_hold_is_an_error_of_its_own(table: Table, world: World) -> None:
    with pytest.raises(DataError), world.enter(atomic()):
        table.add(2**80)
    assert in_use(world) == 0


def test_a_deferred_violation_at_the_commit(table: Table, world: World) -> None:
    table.send("create table c (id integer primary key, t integer references t (id) deferrable initially deferred)")
    with pytest.raises(IntegrityError), world.enter(atomic()):
        table.add(1)
        table.send("insert into c (id, t) values (1, 99)")
    assert table.all() == []
    assert in_use(world) == 0
    table.add(2)
    assert table.all() == [2]
