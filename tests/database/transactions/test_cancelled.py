"""A task is cancelled at each of its awaits in turn: nothing is half-committed, and the pool stays whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import AsyncExitStack, aclosing
from typing import Any, cast

import pytest

from datalayer.conf import configure, reset
from datalayer.databases import atomic, on_commit
from datalayer.pooling.registry import pools
from tests.worlds import AwaitingWorld

from .accounts import Account, Accounts

pytestmark = pytest.mark.parametrize("world", ["awaiting"], indirect=True)

_MOST_AWAITS = 400
_ROWS = 2_500  # more than one statement on SQLite

Body = Callable[[str], Coroutine[Any, Any, Any]]


class Cancelled:
    """Runs a coroutine and cancels the task whenever it waits for the time `first`, and `again` more times after it.

    Attributes:
        awaits: How often it has waited.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], first: int, again: int) -> None:
        self._coroutine = coroutine
        self._when = range(first, first + again + 1)
        self.awaits = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        task = asyncio.current_task()
        assert task is not None
        step: Callable[[], Any] = lambda: self._coroutine.send(None)  # noqa: E731
        while True:
            try:
                waited = step()
            except StopIteration as stop:
                return stop.value
            self.awaits += 1
            if self.awaits in self._when:
                task.cancel()
            try:
                yield waited
            except BaseException as error:
                step = lambda error=error: self._coroutine.throw(error)  # type: ignore[misc]  # noqa: E731
            else:
                step = lambda: self._coroutine.send(None)  # noqa: E731


async def cancelled_everywhere(body: Body, again: int, check: Callable[[str, bool], Coroutine[Any, Any, None]]) -> int:
    """Runs the body again and again, each time cancelled one await later, until it ends before that.

    Args:
        body: Takes the name of the round.
        again: How many of the following awaits are cancelled as well.
        check: Called after each round, with its name and whether the body ended without noticing.

    Returns:
        The number of rounds.
    """

    async def attempt(round_: Cancelled) -> None:
        await round_

    for number in range(1, _MOST_AWAITS):
        name = f"round {number}"
        attempted = Cancelled(body(name), number, again)
        task = asyncio.create_task(attempt(attempted))
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
        assert pools["default"].stats().in_use == 0, f"cancelled at await {number}: a connection is not back"
        await check(name, not task.cancelled())
        if attempted.awaits < number:
            return number
    raise AssertionError(f"the body has more than {_MOST_AWAITS} awaits")


async def every_connection_works(url: str) -> None:
    """Borrows all the pool may have at once, and finds none inside a transaction."""
    async with AsyncExitStack() as stack:
        if url.startswith("sqlite"):
            await stack.enter_async_context(atomic())
        else:
            for _ in range(pools["default"].settings.pool.max_size):
                raw = await stack.enter_async_context(pools["default"].aconnection())
                assert raw.info.transaction_status == 0
    assert await Account.objects.acount() >= 0


@pytest.mark.parametrize("again", [0, 1, 2])
@pytest.mark.parametrize("is_cold", [False, True], ids=["open pool", "closed pool"])
def test_a_transaction_is_whole_or_not_at_all(
    accounts: Accounts, world: AwaitingWorld, configured: str, again: int, is_cold: bool
) -> None:
    called: list[str] = []

    async def body(name: str) -> None:
        async with atomic():
            made = await Account.objects.acreate(owner=name, balance=1)
            on_commit(lambda: called.append(name))
            async with atomic():
                made.balance = 2
                await made.asave()
            found = await Account.objects.aget(owner=name)
            assert found.balance == 2
            # Changes of many rows are awaited on SQLite too, where those of one row, or of a few, need no thread.
            await Account.objects.filter(owner__startswith=f"{name},").adelete()
            many = [Account(owner=f"{name}, gone {number}") for number in range(60)]
            await Account.objects.abulk_create([Account(owner=f"{name}, too"), *many])
            await Account.objects.filter(owner=f"{name}, too").aupdate(balance=2)
            await Account.objects.filter(owner__startswith=f"{name}, gone").adelete()

    async def check(name: str, is_finished: bool) -> None:
        found = [(each.owner, each.balance) for each in await Account.objects.filter(owner__startswith=name)]
        assert found in ([], [(name, 2), (f"{name}, too", 2)])
        assert found or not is_finished
        assert called == [name] * bool(found)
        called.clear()
        await Account.objects.all().adelete()
        if is_cold:
            await pools.aclose_all()

    async def main() -> None:
        if is_cold:
            await pools.aclose_all()
        assert await cancelled_everywhere(body, again, check) > 8
        await every_connection_works(configured)

    world.wait(main())


@pytest.mark.parametrize("again", [0, 1])
def test_an_operation_of_several_statements_is_whole_or_not_at_all(
    accounts: Accounts, world: AwaitingWorld, configured: str, again: int
) -> None:
    async def body(name: str) -> None:
        await Account.objects.abulk_create([Account(owner=f"{name} {n}") for n in range(_ROWS)], batch_size=1000)

    async def check(name: str, is_finished: bool) -> None:
        count = await Account.objects.acount()
        assert count in (0, _ROWS)
        assert count == _ROWS or not is_finished
        await Account.objects.all().adelete()

    async def main() -> None:
        assert await cancelled_everywhere(body, again, check) > 4
        await every_connection_works(configured)

    world.wait(main())


def test_get_or_create_is_whole_or_not_at_all(accounts: Accounts, world: AwaitingWorld, configured: str) -> None:
    async def body(name: str) -> None:
        async with atomic():
            await Account.objects.aget_or_create(owner=name, defaults={"balance": 3})
            await Account.objects.aupdate_or_create(owner=name, defaults={"balance": 4})

    async def check(name: str, is_finished: bool) -> None:
        assert [each.balance for each in await Account.objects.filter(owner=name)] in (
            [4],
            [] if not is_finished else [4],
        )

    async def main() -> None:
        assert await cancelled_everywhere(body, 0, check) > 6
        await every_connection_works(configured)

    world.wait(main())


def test_a_stream_gives_its_connection_back(accounts: Accounts, world: AwaitingWorld, configured: str) -> None:
    async def body(name: str) -> None:
        async with aclosing(cast("Any", Account.objects.all().aiterator(chunk_size=2))) as stream:
            async for _ in stream:
                await asyncio.sleep(0)

    async def check(name: str, is_finished: bool) -> None:
        assert await Account.objects.acount() == 7

    async def main() -> None:
        await Account.objects.abulk_create([Account(owner=str(n)) for n in range(7)])
        assert await cancelled_everywhere(body, 0, check) > 6
        await every_connection_works(configured)

    world.wait(main())


@pytest.fixture
def in_memory(world: AwaitingWorld) -> Iterator[None]:
    configure(databases={"default": "sqlite:///:memory:"})
    yield
    world.wait(pools.aclose_all())
    pools.close_all()
    pools.reset()
    reset()


def test_a_read_only_transaction_leaves_no_database_in_memory_read_only(in_memory: None, world: AwaitingWorld) -> None:
    Accounts(world)

    async def body(name: str) -> None:
        async with atomic(read_only=True):
            assert not await Account.objects.filter(owner=name).aexists()

    async def check(name: str, is_finished: bool) -> None:
        await Account.objects.acreate(owner=name)

    assert world.wait(cancelled_everywhere(body, 0, check)) > 4
