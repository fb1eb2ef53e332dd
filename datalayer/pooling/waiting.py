"""How a task waits for the pool, and how a crowd of cancelled tasks leaves it.

Cancelled tasks run on in the next turn of the loop, all of them: ten thousand that give up at once (a deadline of a
whole server) would hold up everything else for a long moment. So a pool lets them go in portions, in turns of the loop
that follow one another; the first ones, which is all of them in daily life, go at once. Whoever is on the way out is
served no more, whatever comes in between.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from datalayer.pooling.entry import Entry

C = TypeVar("C")

PORTION = 50
"""How many cancelled waiters leave in one turn of the loop."""

task_of: Callable[[asyncio.AbstractEventLoop], asyncio.Task[Any] | None] = asyncio.current_task
"""The task that a loop runs at this moment."""
if sys.version_info < (3, 12):
    # There `current_task` is a function of Python around this, which costs as much again.
    task_of = asyncio.tasks._current_tasks.get  # type: ignore[attr-defined]  # pyright: ignore  # no stub has it


class Door:
    """Where cancelled waiters of one loop leave, `PORTION` in a turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._line: deque[tuple[Seat, Any]] = deque()
        self._passed = 0  # in this turn

    def leave(self, seat: Seat, message: Any) -> None:
        """Lets a waiter go now, or as soon as it is its turn."""
        if not self._passed:
            self.loop.call_soon(self._next_turn)
        if self._passed < PORTION:
            self._passed += 1
            seat.go(message)
        else:
            self._line.append((seat, message))

    def _next_turn(self) -> None:
        self._passed = min(len(self._line), PORTION)
        if self._passed:
            self.loop.call_soon(self._next_turn)
            for _ in range(self._passed):
                seat, message = self._line.popleft()
                seat.go(message)


class Seat(asyncio.Future[None]):
    """What a waiting task awaits: a future whose cancellation may take some turns."""

    def __init__(self, waiter: TaskWaiter[Any], door: Door) -> None:
        super().__init__(loop=door.loop)
        self._waiter = waiter
        self._door = door

    def cancel(self, msg: Any = None) -> bool:
        """Begins to leave."""
        if self.done():
            return False
        if not self._waiter.is_leaving:
            self._waiter.is_leaving = True
            self._door.leave(self, msg)
        return True

    def go(self, message: Any) -> None:
        """Leaves."""
        super().cancel(message)


class TaskWaiter(Generic[C]):
    """A one-shot over a future, which is made only when somebody really waits."""

    __slots__ = ("_door", "_seat", "_woken", "entry", "error", "is_leaving", "owner", "since")

    def __init__(self, owner: object, door: Door) -> None:
        self.entry: Entry[C] | None = None
        self.error: BaseException | None = None
        self.is_leaving = False
        self.owner = owner
        self.since = 0.0
        self._door = door
        self._seat: Seat | None = None
        self._woken = False

    def wake(self) -> None:
        """Lets the waiting task go on, unless it is on its way out already."""
        self._woken = True
        seat = self._seat
        if seat is not None and not self.is_leaving and not seat.done():
            seat.set_result(None)

    async def wait(self, timeout: float | None) -> None:
        """Waits until woken, or for so many seconds."""
        if self._woken:
            return
        self._seat = seat = Seat(self, self._door)
        handle = None if timeout is None else self._door.loop.call_later(timeout, self.wake)
        try:
            await seat
        finally:
            if handle is not None:
                handle.cancel()
