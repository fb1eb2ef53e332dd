# ruff: noqa: PT012  (how a block ends is what is tested)
"""`capture_on_commit`: what would follow a commit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datalayer import atomic, on_commit
from datalayer.errors import TransactionError
from datalayer.testing import capture_on_commit
from tests.worlds import World

Functions = list[Callable[[], object]]


def first() -> None:
    """Given to on_commit."""


def second() -> None:
    """Given to on_commit after the first."""


def test_only_the_functions_of_the_block_are_given(configured: str, world: World) -> None:
    def fill() -> Functions:
        on_commit(first)
        with capture_on_commit() as functions:
            on_commit(second)
            assert functions == []
        on_commit(first)
        return functions

    def blocking() -> Functions:
        with atomic():
            return fill()

    async def awaiting() -> Functions:
        async with atomic():
            return fill()

    assert world.run(blocking, awaiting) == [second]


def test_functions_of_a_savepoint_that_was_rolled_back_are_left_out(configured: str, world: World) -> None:
    def blocking() -> Functions:
        with atomic(), capture_on_commit() as functions:
            on_commit(first)
            with pytest.raises(KeyError), atomic():
                on_commit(second)
                raise KeyError
        return functions

    async def awaiting() -> Functions:
        async with atomic():
            with capture_on_commit() as functions:
                on_commit(first)
                with pytest.raises(KeyError):
                    async with atomic():
                        on_commit(second)
                        raise KeyError
        return functions

    assert world.run(blocking, awaiting) == [first]


def test_without_a_transaction_it_names_the_fixture(configured: str, world: World) -> None:
    async def awaiting() -> None:
        with capture_on_commit():
            pass

    def blocking() -> None:
        with capture_on_commit():
            pass

    with pytest.raises(TransactionError, match="the fixture 'db'"):
        world.run(blocking, awaiting)
