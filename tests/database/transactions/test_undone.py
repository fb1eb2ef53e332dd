# ruff: noqa: PT012  (how a block ends is what is tested)
"""Blocks that are undone at their end without an error: `set_rollback` and `get_rollback`."""

from __future__ import annotations

from typing import Any

import pytest

from datalayer import atomic, on_commit
from datalayer.databases import get_rollback, set_rollback
from datalayer.errors import ConfigurationError, TransactionError, UniqueViolation
from tests.worlds import World

from .accounts import Account, Accounts


def in_world(world: World, function: Any) -> Any:
    """Calls a plain function where the world is: in its thread, or in its event loop."""

    async def awaiting() -> Any:
        return function()

    return world.run(function, awaiting)


def undo(world: World) -> None:
    in_world(world, set_rollback)


def is_undone(world: World) -> bool:
    return bool(in_world(world, get_rollback))


def test_the_outermost_block_is_undone(accounts: Accounts, world: World) -> None:
    with world.enter(atomic()):
        accounts.add("Ada")
        undo(world)
        accounts.add("Grace")
        assert list(accounts.all()) == ["Ada", "Grace"]
    assert accounts.all() == {}


def test_an_inner_block_is_undone_alone(accounts: Accounts, world: World) -> None:
    with world.enter(atomic()):
        accounts.add("Ada")
        with world.enter(atomic()):
            accounts.add("Grace")
            undo(world)
        accounts.add("Edith")
    assert list(accounts.all()) == ["Ada", "Edith"]


def test_a_block_beside_it_is_not_undone(accounts: Accounts, world: World) -> None:
    with world.enter(atomic()):
        for name in ("Ada", "Grace"):
            with world.enter(atomic()):
                accounts.add(name)
                if name == "Ada":
                    undo(world)
    assert list(accounts.all()) == ["Grace"]


def test_a_block_without_a_savepoint_takes_the_one_around_it_along(accounts: Accounts, world: World) -> None:
    with world.enter(atomic()):
        accounts.add("Ada")
        with world.enter(atomic()):
            accounts.add("Grace")
            with world.enter(atomic(savepoint=False)):
                accounts.add("Edith")
                undo(world)
            accounts.add("Joan")
    assert list(accounts.all()) == ["Ada"]


def test_what_was_to_follow_the_commit_does_not(accounts: Accounts, world: World) -> None:
    called: list[str] = []
    with world.enter(atomic()):
        in_world(world, lambda: on_commit(lambda: called.append("outer")))
        with world.enter(atomic()):
            in_world(world, lambda: on_commit(lambda: called.append("inner")))
            undo(world)
    assert called == ["outer"]
    with world.enter(atomic()):
        in_world(world, lambda: on_commit(lambda: called.append("again")))
        undo(world)
    assert called == ["outer"]


def test_the_instances_know_that_they_are_not_saved(accounts: Accounts, world: World) -> None:
    with world.enter(atomic()):
        ada = accounts.add("Ada")
        undo(world)
    accounts.save(ada)
    assert list(accounts.all()) == ["Ada"]


def test_an_error_leaves_it_as_ever(accounts: Accounts, world: World) -> None:
    with pytest.raises(KeyError), world.enter(atomic()):
        accounts.add("Ada")
        undo(world)
        raise KeyError
    assert accounts.all() == {}


def test_it_is_told_before(accounts: Accounts, world: World) -> None:
    with world.enter(atomic()):
        assert not is_undone(world)
        with world.enter(atomic()):
            undo(world)
            assert is_undone(world)
        assert not is_undone(world)


def test_a_broken_block_is_told_as_undone(accounts: Accounts, world: World, backend: str) -> None:
    accounts.add("Ada")
    told: list[bool] = []

    def broken() -> None:
        with world.enter(atomic()):
            with pytest.raises(UniqueViolation):
                accounts.add("Ada")
            told.append(is_undone(world))

    if backend == "sqlite":
        broken()
    else:
        with pytest.raises(TransactionError):
            broken()
    assert told == [backend == "postgresql"]


@pytest.mark.parametrize("function", [set_rollback, get_rollback])
def test_outside_of_a_block_there_is_nothing_to_undo(configured: str, world: World, function: Any) -> None:
    with pytest.raises(TransactionError, match=r"there is no atomic\(\) on 'default' that could be undone"):
        in_world(world, function)
    with pytest.raises(ConfigurationError, match="no database 'nowhere'"):
        in_world(world, lambda: function("nowhere"))


def test_a_decorated_function_is_undone_and_gives_its_result(accounts: Accounts, world: World) -> None:
    @atomic
    def blocking() -> int:
        Account.objects.create(owner="Ada")
        set_rollback()
        return Account.objects.count()

    @atomic
    async def awaiting() -> int:
        await Account.objects.acreate(owner="Ada")
        set_rollback()
        return await Account.objects.acount()

    assert world.run(blocking, awaiting) == 1
    assert accounts.all() == {}
