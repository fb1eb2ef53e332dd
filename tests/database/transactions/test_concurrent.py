# ruff: noqa: PT012  (how a block ends is what is tested)
"""Tasks and threads: who may use a transaction, and what a cancellation leaves behind."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from typing import Any

import pytest

import datalayer
from datalayer.databases import atomic, databases, on_commit
from datalayer.errors import SerializationFailure, SyncInAsyncContext, TransactionError
from datalayer.pooling.registry import pools
from tests.worlds import AwaitingWorld, World

from .conftest import Table, sql

AWAITING = pytest.mark.parametrize("world", ["awaiting"], indirect=True)
BLOCKING = pytest.mark.parametrize("world", ["blocking"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)


def send(text: str, *values: object) -> Any:
    return databases["default"].arun(sql, text, *values)


async def add(number: int) -> None:
    await send("insert into t (id) values (?)", number)


def slow(backend: str) -> str:
    """A statement that would take for ever."""
    if backend == "postgresql":
        return "select pg_sleep(1000)"
    return (
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000000000) select count(*) from n"
    )


def in_use() -> int:
    return pools["default"].stats().in_use


@AWAITING
def test_children_are_refused_not_interleaved(table: Table, world: AwaitingWorld) -> None:
    async def main() -> None:
        async with atomic():
            await add(1)
            results = await asyncio.gather(add(2), add(3), return_exceptions=True)
            assert [type(result) for result in results] == [TransactionError, TransactionError]
            assert "another task" in str(results[0])
            await add(4)

    world.wait(main())
    assert table.all() == [1, 4]


@AWAITING
def test_a_child_in_a_context_of_its_own_is_independent(table: Table, world: AwaitingWorld) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="undo"):
            async with atomic(read_only=True):
                await asyncio.get_running_loop().create_task(add(1), context=contextvars.Context())
                raise ValueError("undo")

    world.wait(main())
    assert table.all() == [1]


@AWAITING
def test_a_child_that_outlives_the_block_is_outside_of_it(table: Table, world: AwaitingWorld) -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def after() -> None:
            await ended.wait()
            await add(2)

        async with atomic():
            await add(1)
            child = asyncio.create_task(after())
        ended.set()
        await child

    world.wait(main())
    assert table.all() == [1, 2]


@AWAITING
def test_tasks_beside_each_other_have_transactions_of_their_own(table: Table, world: AwaitingWorld) -> None:
    async def one(number: int) -> None:
        async with atomic():
            await add(number)
            await asyncio.sleep(0)
            if number % 2:
                raise ValueError

    async def main() -> None:
        await asyncio.gather(*(one(number) for number in range(20)), return_exceptions=True)

    world.wait(main())
    assert table.all() == list(range(0, 20, 2))
    assert in_use() == 0


@AWAITING
def test_a_cancelled_task_leaves_the_pool_clean(table: Table, world: AwaitingWorld, backend: str) -> None:
    async def inside(begun: asyncio.Event) -> None:
        async with atomic():
            await add(1)
            async with atomic():
                await add(2)
                begun.set()
                await send(slow(backend))

    async def main() -> None:
        for _ in range(3):
            begun = asyncio.Event()
            task = asyncio.create_task(inside(begun))
            await begun.wait()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert in_use() == 0
        async with atomic():
            await add(3)

    world.wait(main())
    assert table.all() == [3]


@AWAITING
def test_a_task_cancelled_at_any_moment_leaves_the_pool_clean(table: Table, world: AwaitingWorld) -> None:
    called: list[int] = []

    async def inside(number: int) -> None:
        async with atomic():
            await add(2 * number)
            async with atomic():
                await add(2 * number + 1)
            on_commit(lambda: called.append(2 * number))

    async def main() -> None:
        for steps in range(40):
            task = asyncio.create_task(inside(steps))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert in_use() == 0
        async with atomic():
            await add(1000)

    world.wait(main())
    found = table.all()
    assert found[-1] == 1000
    assert called == [number for number in found[:-1] if number % 2 == 0]
    assert [number + 1 for number in called] == [number for number in found[:-1] if number % 2]


@AWAITING
def test_a_timeout_inside_breaks_only_what_it_must(table: Table, world: AwaitingWorld, backend: str) -> None:
    async def main() -> None:
        async with atomic():
            await add(1)
            with pytest.raises(TimeoutError):
                async with atomic(), asyncio.timeout(0.05):
                    await add(2)
                    await send(slow(backend))
            await add(3)

    world.wait(main())
    assert table.all() == [1, 3]


@AWAITING
def test_an_async_function_is_awaited_after_the_commit(table: Table, world: AwaitingWorld) -> None:
    async def later() -> None:
        await add(2)

    async def main() -> None:
        async with atomic():
            await add(1)
            on_commit(later)
        with pytest.raises(TransactionError, match="async def"):
            on_commit(later)

    world.wait(main())
    assert table.all() == [1, 2]


@AWAITING
def test_blocking_calls_in_a_loop_are_refused_and_name_the_twin(table: Table, world: AwaitingWorld) -> None:
    def get() -> Any:
        return databases["default"].run(sql, "select 1")

    async def main() -> None:
        with pytest.raises(SyncInAsyncContext, match=r"get\(\) would block.*aget"):
            get()
        with pytest.raises(SyncInAsyncContext, match="async with"), atomic():
            pass
        with datalayer.override(allow_sync_in_async=True):
            with atomic():
                assert get() == [(1,)]
                with pytest.raises(TransactionError, match="awaiting call"):
                    await send("select 1")
            await asyncio.to_thread(pools.close_all)

    world.wait(main())


@AWAITING
def test_a_thread_cannot_join_an_awaiting_transaction(table: Table, world: AwaitingWorld) -> None:
    async def main() -> None:
        async with atomic():
            with pytest.raises(TransactionError):
                await asyncio.to_thread(databases["default"].run, sql, "select 1")

    world.wait(main())


@BLOCKING
def test_a_thread_cannot_join_a_blocking_transaction(table: Table, world: World) -> None:
    found: list[BaseException] = []

    def other() -> None:
        try:
            table.add(2)
        except TransactionError as error:
            found.append(error)

    with atomic():
        table.add(1)
        thread = threading.Thread(target=contextvars.copy_context().run, args=(other,))
        thread.start()
        thread.join()
    assert "another thread" in str(found[0])
    assert table.all() == [1]


@BLOCKING
def test_a_loop_inside_a_blocking_transaction_is_refused(table: Table, world: World) -> None:
    with atomic(), pytest.raises(TransactionError, match="awaiting call"), asyncio.Runner() as runner:
        runner.run(send("select 1"))


@BLOCKING
def test_threads_write_one_after_the_other(table: Table, world: World) -> None:
    def work(start: int) -> None:
        for number in range(start, start + 10):
            with atomic():
                table.add(number)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 80, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert table.all() == list(range(80))
    assert in_use() == 0


@POSTGRESQL
@BLOCKING
def test_a_real_serialization_failure_is_tried_again(table: Table, world: World) -> None:
    table.add(1)
    attempts: list[int] = []

    def interfere() -> None:
        table.send("update t set id = id + 10")

    @atomic(isolation="serializable", retries=3)
    def double() -> None:
        attempts.append(1)
        (number,) = table.all()
        if len(attempts) == 1:
            thread = threading.Thread(target=interfere)
            thread.start()
            thread.join()
        table.send("update t set id = ?", number * 2)

    double()
    assert len(attempts) == 2
    assert table.all() == [22]


@POSTGRESQL
@BLOCKING
def test_a_serialization_failure_of_a_block_is_raised(table: Table, world: World) -> None:
    table.add(1)
    with pytest.raises(SerializationFailure), atomic(isolation="repeatable read"):
        table.all()
        thread = threading.Thread(target=table.send, args=("update t set id = id + 10",))
        thread.start()
        thread.join()
        table.send("update t set id = 5")
    assert table.all() == [11]


@BLOCKING
def test_ctrl_c_inside_leaves_the_pool_clean(table: Table, world: World) -> None:
    for number in range(12):
        with pytest.raises(KeyboardInterrupt), atomic():
            table.add(number)
            raise KeyboardInterrupt
    assert in_use() == 0
    assert table.all() == []


@BLOCKING
def test_generators_are_refused(world: World) -> None:
    with pytest.raises(TransactionError, match="generator"):

        @atomic
        def numbers() -> Any:
            yield 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"isolation": "serialisable"}, "did you mean 'serializable'"),
        ({"retries": -1}, "0 or more"),
        ({"retries": True}, "0 or more"),
    ],
)
def test_wrong_options_are_refused(options: Any, words: str) -> None:
    with pytest.raises(TransactionError, match=words):
        atomic(**options)


@pytest.mark.filterwarnings("ignore:a lease of connection:ResourceWarning")
def test_who_ends_with_a_transaction_open_leaves_the_connection_to_others(table: Table, world: World) -> None:
    def blocking() -> None:
        def leave() -> None:
            atomic().__enter__()
            databases["default"].run(sql, "insert into t (id) values (?)", 1)

        thread = threading.Thread(target=leave)
        thread.start()
        thread.join()
        gc.collect()
        databases["default"].run(sql, "insert into t (id) values (?)", 2)

    async def awaiting() -> None:
        async def leave() -> None:
            await atomic().__aenter__()
            await add(1)

        await asyncio.create_task(leave())
        await asyncio.sleep(0)  # this task was woken by that one, which is held until the next turn of the loop
        gc.collect()
        await add(2)

    world.run(blocking, awaiting)
    assert table.all() == [2]
