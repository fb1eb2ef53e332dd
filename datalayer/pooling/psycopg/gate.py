"""Where the workers of psycopg-pool wait for their turn to connect.

Left alone, psycopg-pool pauses for 1, 2, 4, ... seconds after a failed connect, opens a connection for each one that
was closed whether anybody wants it or not, and never again looks at somebody who came to wait while it was giving up.
So a connect of ours does not fail there: it waits here, by the pauses of our own configuration, until it succeeds, is
no longer wanted, or the pool is closed. One gate belongs to one pool of psycopg-pool.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading

import psycopg


class NotWanted(psycopg.OperationalError):
    """Tells a worker of psycopg-pool that it need not connect; nobody else sees it."""


class Gate:
    """The gate of the blocking world; workers are threads.

    Attributes:
        turn: Grows each time those who wait should look again.
        is_closed: Whether nobody may connect any more.
    """

    def __init__(self) -> None:
        self.turn = 0
        self.is_closed = False
        self._condition = threading.Condition()

    def wake(self) -> None:
        """Lets everybody who waits look again."""
        with self._condition:
            self.turn += 1
            self._condition.notify_all()

    def close(self) -> None:
        """Turns everybody away, from now on."""
        self.is_closed = True
        self.wake()

    def wait(self, turn: int, seconds: float) -> None:
        """Blocks for so long, or until somebody has woken those who wait since that turn."""
        with self._condition:
            self._condition.wait_for(lambda: self.turn != turn, min(seconds, threading.TIMEOUT_MAX))


class AsyncGate:
    """The twin of `Gate`; workers are tasks of one event loop.

    Attributes:
        working: The tasks that connect or wait here.
    """

    def __init__(self) -> None:
        self.turn = 0
        self.is_closed = False
        self.working: set[asyncio.Task[object]] = set()
        self._event: asyncio.Event | None = None

    def wake(self) -> None:
        """The twin of `Gate.wake`."""
        self.turn += 1
        event, self._event = self._event, None
        if event is not None:
            event.set()

    def close(self) -> None:
        """The twin of `Gate.close`."""
        self.is_closed = True
        self.wake()

    async def wait(self, turn: int, seconds: float) -> None:
        """The twin of `Gate.wait`."""
        if self.turn != turn:
            return
        if self._event is None:
            self._event = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, threading.TIMEOUT_MAX)):
                await self._event.wait()
