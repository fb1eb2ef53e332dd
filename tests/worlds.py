"""One test for two worlds: a `world` calls `obj.get()` when it is blocking and awaits `obj.aget()` when it is not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


class BlockingWorld:
    """The world of threads."""

    name = "blocking"
    is_async = False

    def call(self, target: Any, method: str, *args: Any, **named: Any) -> Any:
        """Calls the method of that name."""
        return getattr(target, method)(*args, **named)

    def run(self, blocking: Callable[[], T], awaiting: Callable[[], Awaitable[T]]) -> T:
        """Calls the first of the two."""
        return blocking()

    def iterate(self, items: Any) -> list[Any]:
        """Everything a `for` gives."""
        return list(items)

    def enter(self, context: Any) -> contextlib.AbstractContextManager[Any]:
        """The context manager, for a `with`."""
        return context  # type: ignore[no-any-return]

    def close(self) -> None:
        """Nothing to end."""


class AwaitingWorld:
    """The world of asyncio; one event loop for each test, and one context for all its calls."""

    name = "awaiting"
    is_async = True

    def __init__(self) -> None:
        self.runner = asyncio.Runner()

    def call(self, target: Any, method: str, *args: Any, **named: Any) -> Any:
        """Awaits the twin of the method: its name with an `a` in front."""
        return self.wait(getattr(target, f"a{method}")(*args, **named))

    def run(self, blocking: Callable[[], T], awaiting: Callable[[], Awaitable[T]]) -> T:
        """Awaits the second of the two."""

        async def begin() -> T:
            return await awaiting()

        return self.runner.run(begin())

    def wait(self, awaitable: Awaitable[T]) -> T:
        """The result of an awaitable."""

        async def begin() -> T:
            return await awaitable

        return self.runner.run(begin())

    def iterate(self, items: Any) -> list[Any]:
        """Everything an `async for` gives."""

        async def collect() -> list[Any]:
            return [item async for item in items]

        return self.runner.run(collect())

    @contextlib.contextmanager
    def enter(self, context: Any) -> Iterator[Any]:
        """An asynchronous context manager, for a `with`."""

        async def begin() -> Any:
            return await context.__aenter__()

        async def end(error: BaseException | None) -> Any:
            return await context.__aexit__(type(error) if error else None, error, error and error.__traceback__)

        value = self.runner.run(begin())
        try:
            yield value
        except BaseException as error:
            if not self.runner.run(end(error)):
                raise
        else:
            self.runner.run(end(None))

    def tasks(self) -> set[asyncio.Task[Any]]:
        """The tasks that still live on the loop."""
        return {task for task in asyncio.all_tasks(self.runner.get_loop()) if not task.done()}

    def close(self) -> None:
        """Ends the loop."""
        self.runner.close()


World = BlockingWorld | AwaitingWorld


async def collect(items: AsyncIterator[T]) -> list[T]:
    """Everything an `async for` gives."""
    return [item async for item in items]
