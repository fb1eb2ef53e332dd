"""Coroutines that are seldom held up: the first step is made by hand, and costs no task and no timer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Rest(Generic[T]):
    """What is left of a coroutine whose first step was made by hand and gave `waits_for`; await it for the result."""

    __slots__ = ("_coroutine", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, T], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, T]:
        step = self._waits_for
        while True:
            try:
                try:
                    sent = yield step
                except BaseException as error:
                    step = self._coroutine.throw(error)
                else:
                    step = self._coroutine.send(sent)
            except StopIteration as stop:
                result: T = stop.value
                return result


async def in_time(coroutine: Coroutine[Any, Any, T], seconds: float) -> T:
    """Awaits with a time limit that costs nothing when there is nothing to wait for, which is the usual case."""
    try:
        step = coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    async with asyncio.timeout(seconds):
        return await Rest(coroutine, step)
