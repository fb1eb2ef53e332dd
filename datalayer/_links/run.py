"""The whole difference between the two worlds: `run` blocks and `arun` awaits; everything else is in the plans.

An error of the link is thrown into the plan at its `yield`, so that the plan may recover. Only `Exception` is: a
cancellation or Ctrl-C ends the plan where it stands, and whoever lent the link rolls back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from datalayer._plans.plan import Command, Plan, Reply

T = TypeVar("T")


class Executes(Protocol):
    """All that a runner needs of a link, or of what stands in for one."""

    def execute(self, command: Command) -> Reply:
        """Runs one statement."""
        ...


class AsyncExecutes(Protocol):
    """The twin of `Executes`."""

    async def execute(self, command: Command) -> Reply: ...


def run(plan: Plan[T], link: Executes, first: Command | None = None) -> T:
    """The result of the plan, each of its statements run on a blocking link.

    Args:
        plan: A plan that was not started, or that stands at its first statement.
        link: The connection all its statements run on.
        first: The statement that a started plan stands at.
    """
    try:
        command = next(plan) if first is None else first
        while True:
            try:
                reply = link.execute(command)
            except Exception as error:
                command = plan.throw(error)
            else:
                command = plan.send(reply)
    except StopIteration as stop:
        value: T = stop.value
        return value
    except BaseException:
        plan.close()
        raise


async def arun(plan: Plan[T], link: AsyncExecutes, first: Command | None = None) -> T:
    """The awaiting twin of `run`."""
    at_once: Callable[[Command], Reply | None] | None = getattr(link, "at_once", None)
    try:
        command = next(plan) if first is None else first
        while True:
            try:
                reply = None if at_once is None else at_once(command)
                if reply is None:
                    reply = await link.execute(command)
            except Exception as error:
                command = plan.throw(error)
            else:
                command = plan.send(reply)
    except StopIteration as stop:
        value: T = stop.value
        return value
    except BaseException:
        plan.close()
        raise
