"""The whole difference between the two worlds: `run` blocks and `arun` awaits; everything else is in the plans.

An error of the link is thrown into the plan at its `yield`, so that the plan may recover. Only `Exception` is: a
cancellation or Ctrl-C ends the plan where it stands, and whoever lent the link rolls back.
"""

from __future__ import annotations

from typing import TypeVar, cast

from datalayer._links.link import AsyncLink, Link
from datalayer._plans.plan import Plan

T = TypeVar("T")


def run(plan: Plan[T], link: Link) -> T:
    """The result of the plan, each of its statements run on a blocking link.

    Args:
        plan: A plan that was not started.
        link: The connection all its statements run on.
    """
    try:
        command = next(plan)
        while True:
            try:
                reply = link.execute(command)
            except Exception as error:
                command = plan.throw(error)
            else:
                command = plan.send(reply)
    except StopIteration as stop:
        return cast("T", stop.value)
    finally:
        plan.close()


async def arun(plan: Plan[T], link: AsyncLink) -> T:
    """The awaiting twin of `run`."""
    try:
        command = next(plan)
        while True:
            try:
                reply = await link.execute(command)
            except Exception as error:
                command = plan.throw(error)
            else:
                command = plan.send(reply)
    except StopIteration as stop:
        return cast("T", stop.value)
    finally:
        plan.close()
