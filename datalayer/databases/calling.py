"""Plans that call hooks: a link that also calls functions, in the transaction that the caller has opened."""

from __future__ import annotations

import inspect

from datalayer._links.run import AsyncExecutes, Executes
from datalayer._plans.plan import Call, Command, Reply
from datalayer.errors import QueryError

_NOTHING = Reply([])


def check_blocking(call: Call) -> None:
    """Refuses a plan that needs awaiting, before anything is sent.

    Raises:
        QueryError: It has a hook that is an `async def`.
    """
    if call.awaiting is not None:
        raise QueryError(
            f"{call.awaiting} is an 'async def' hook, which a blocking call cannot await; use the awaiting twin, or "
            "make the hook a plain function"
        )


class Calling:
    """A blocking link that also calls."""

    __slots__ = ("_link",)

    def __init__(self, link: Executes) -> None:
        self._link = link

    def execute(self, command: Command | Call) -> Reply:
        """Runs the statement, or calls the function."""
        if not isinstance(command, Call):
            return self._link.execute(command)
        if command.function is not None:
            command.function()
        return _NOTHING


class AsyncCalling:
    """The awaiting twin of `Calling`; plain functions are called, and what can be awaited is."""

    __slots__ = ("_link",)

    def __init__(self, link: AsyncExecutes) -> None:
        self._link = link

    async def execute(self, command: Command | Call) -> Reply:
        """Runs the statement, or calls the function."""
        if not isinstance(command, Call):
            return await self._link.execute(command)
        if command.function is not None:
            result = command.function()
            if inspect.isawaitable(result):
                await result
        return _NOTHING
