"""A test that takes `world` runs blocking and awaiting."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.worlds import World


class Pair:
    def get(self, value: int, *, more: int = 0) -> tuple[str, int]:
        return "blocking", value + more

    async def aget(self, value: int, *, more: int = 0) -> tuple[str, int]:
        return "awaiting", value + more

    def __iter__(self) -> Iterator[str]:
        yield "blocking"

    async def __aiter__(self) -> AsyncIterator[str]:
        yield "awaiting"

    def __enter__(self) -> str:
        return "blocking"

    def __exit__(self, *exception: object) -> bool:
        return exception[0] is KeyError

    async def __aenter__(self) -> str:
        return "awaiting"

    async def __aexit__(self, *exception: object) -> bool:
        return exception[0] is KeyError


def test_world_calls_iterates_and_enters(world: World) -> None:
    pair: Any = Pair()
    assert world.call(pair, "get", 1, more=2) == (world.name, 3)
    assert world.run(lambda: pair.get(1), lambda: pair.aget(1)) == (world.name, 1)
    assert world.iterate(pair) == [world.name]
    with world.enter(pair) as name:
        assert name == world.name


def test_errors_pass_through_a_context(world: World) -> None:
    pair: Any = Pair()
    with world.enter(pair):
        raise KeyError
    with pytest.raises(ValueError, match="mine"), world.enter(pair):
        raise ValueError("mine")
