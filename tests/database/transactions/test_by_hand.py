# ruff: noqa: PT012  (how a block ends is what is tested)
"""SQL by hand inside a transaction: the pool lends the connection of the transaction, and not another one."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from datalayer import atomic
from datalayer.databases import databases
from datalayer.errors import TransactionError
from datalayer.pooling.registry import pools
from tests.worlds import World

from .accounts import Account, Accounts

COUNT = "SELECT count(*) FROM transactions_account"


def by_hand(world: World, *texts: str) -> list[Any]:
    """Runs statements on the connection that the pool lends; gives the first row of each that has one."""

    def blocking() -> list[Any]:
        with pools["default"].connection() as raw:
            cursors = [raw.execute(text) for text in texts]
            return [tuple(cursor.fetchone()) for cursor in cursors if cursor.description]

    async def awaiting() -> list[Any]:
        async with pools["default"].aconnection() as raw:
            cursors = [await raw.execute(text) for text in texts]
            return [tuple(await cursor.fetchone()) for cursor in cursors if cursor.description]

    return world.run(blocking, awaiting)


def test_it_sees_what_the_transaction_has_written(accounts: Accounts, world: World) -> None:
    with world.enter(atomic()):
        accounts.add("Ada")
        assert by_hand(world, COUNT) == [(1,)]


def test_it_is_undone_with_the_transaction(accounts: Accounts, world: World) -> None:
    accounts.add("Ada")
    with pytest.raises(KeyError), world.enter(atomic()):
        by_hand(world, "UPDATE transactions_account SET balance = 5")
        assert accounts.get("Ada").balance == 5
        raise KeyError
    assert accounts.all() == {"Ada": 0}


def test_it_is_undone_with_its_savepoint(accounts: Accounts, world: World) -> None:
    accounts.add("Ada")
    with world.enter(atomic()):
        by_hand(world, "UPDATE transactions_account SET balance = 1")
        with pytest.raises(KeyError), world.enter(atomic()):
            by_hand(world, "UPDATE transactions_account SET balance = 2")
            raise KeyError
    assert accounts.all() == {"Ada": 1}


def test_it_takes_turns_with_queries_in_one_block(accounts: Accounts, world: World) -> None:
    def blocking() -> Any:
        with atomic(), pools["default"].connection() as raw:
            Account.objects.create(owner="Ada")
            first = raw.execute(COUNT).fetchone()[0]
            Account.objects.create(owner="Grace")
            return first, raw.execute(COUNT).fetchone()[0]

    async def awaiting() -> Any:
        async with atomic(), pools["default"].aconnection() as raw:
            await Account.objects.acreate(owner="Ada")
            first = (await (await raw.execute(COUNT)).fetchone())[0]
            await Account.objects.acreate(owner="Grace")
            return first, (await (await raw.execute(COUNT)).fetchone())[0]

    assert world.run(blocking, awaiting) == (1, 2)


def test_an_error_of_it_that_was_caught_breaks_the_transaction_on_postgresql(
    accounts: Accounts, world: World, backend: str
) -> None:
    def attempt() -> None:
        with world.enter(atomic()):
            accounts.add("Ada")
            with pytest.raises(Exception, match="nothing_here"):
                by_hand(world, "SELECT * FROM nothing_here")
            accounts.add("Grace")

    if backend == "sqlite":
        attempt()
        assert list(accounts.all()) == ["Ada", "Grace"]
    else:
        with pytest.raises(TransactionError, match="put what may fail into an atomic") as caught:
            attempt()
        assert "nothing_here" in str(caught.value.__cause__)
        assert accounts.all() == {}


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_block_inside_of_what_it_has_broken_is_told_why_while_the_connection_is_lent(
    accounts: Accounts, world: World
) -> None:
    def blocking() -> None:
        with atomic(), pools["default"].connection() as raw:
            with pytest.raises(Exception, match="nothing_here"):
                raw.execute("SELECT * FROM nothing_here")
            with atomic():
                pass

    async def awaiting() -> None:
        async with atomic(), pools["default"].aconnection() as raw:
            with pytest.raises(Exception, match="nothing_here"):
                await raw.execute("SELECT * FROM nothing_here")
            async with atomic():
                pass

    told = r"is broken and can only be rolled back.*\(DatabaseError: a statement of SQL by hand failed\)"
    with pytest.raises(TransactionError, match=told):
        world.run(blocking, awaiting)
    assert accounts.all() == {}


def test_it_may_not_end_the_savepoint_of_a_block(accounts: Accounts, world: World) -> None:
    def attempt() -> None:
        with world.enter(atomic()):
            with world.enter(atomic()):
                by_hand(world, "RELEASE SAVEPOINT datalayer_1")
            accounts.add("Ada")

    told = "SQL by hand has ended the savepoint 'datalayer_1' on 'default', which only its atomic"
    with pytest.raises(TransactionError, match=told):
        attempt()
    assert accounts.all() == {}


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_it_may_not_end_the_transaction(accounts: Accounts, world: World, end: str) -> None:
    told = "SQL by hand has ended the transaction on 'default'"
    with pytest.raises(TransactionError, match=told), world.enter(atomic()):
        by_hand(world, end)
    accounts.add("Ada")
    assert list(accounts.all()) == ["Ada"]


def test_nothing_goes_on_in_a_transaction_that_it_has_ended(accounts: Accounts, world: World) -> None:
    with pytest.raises(TransactionError, match="is broken"), world.enter(atomic()):
        with pytest.raises(TransactionError):
            by_hand(world, "COMMIT")
        accounts.add("Ada")
    assert accounts.all() == {}


def test_a_child_that_inherits_the_transaction_is_refused(accounts: Accounts, world: World) -> None:
    refused: list[str] = []

    def blocking() -> None:
        def child() -> None:
            with pytest.raises(TransactionError) as caught, pools["default"].connection():
                pass
            refused.append(str(caught.value))

        with atomic():
            thread = threading.Thread(target=contextvars.copy_context().run, args=(child,))
            thread.start()
            thread.join()

    async def awaiting() -> None:
        async def child() -> None:
            with pytest.raises(TransactionError) as caught:
                async with pools["default"].aconnection():
                    pass
            refused.append(str(caught.value))

        async with atomic():
            await asyncio.create_task(child())

    world.run(blocking, awaiting)
    assert "has begun the atomic() on 'default' that this one inherited" in refused[0]


def test_after_the_transaction_the_pool_lends_as_ever(accounts: Accounts, world: World) -> None:
    with world.enter(atomic()):
        accounts.add("Ada")
    assert not databases["default"].in_transaction
    assert by_hand(world, COUNT) == [(1,)]
