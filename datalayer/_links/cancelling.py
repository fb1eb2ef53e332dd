"""psycopg's connections, with a cancellation that is asked for until the server has heard it.

PostgreSQL takes a cancellation over a connection of its own, and one that overtakes its query finds nothing to cancel
(https://www.postgresql.org/docs/current/protocol-flow.html, "Canceling Requests in Progress"). psycopg asks once, and
after five seconds closes the connection: the server, which does not look at its clients while it works, would go on
with the statement and keep the locks of its transaction for as long as that takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import psycopg
from psycopg.abc import PQGen
from psycopg.generators import execute
from psycopg.pq import ExecStatus

from datalayer._links.ear import Ear

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

T = TypeVar("T")

_FATAL: Final = ExecStatus.FATAL_ERROR

_FIRST_PAUSE: Final = 0.05
"""How long the server has to answer before it is asked again, in seconds; twice as long each time."""


class Connection(psycopg.Connection[Any]):
    """A blocking connection."""

    def _try_cancel(self, *, timeout: float = 5.0) -> None:
        until, pause = time.monotonic() + timeout, _FIRST_PAUSE
        with selectors.DefaultSelector() as selector:
            selector.register(self.pgconn.socket, selectors.EVENT_READ)
            while (left := until - time.monotonic()) > 0:
                super()._try_cancel(timeout=left)
                if selector.select(min(pause, left)):
                    return
                pause *= 2


class AsyncConnection(psycopg.AsyncConnection[Any]):
    """An awaiting connection.

    Attributes:
        ear: How it hears the server while psycopg itself does not wait for it.
    """

    ear: Ear

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ear = Ear(self.pgconn)

    async def results(self) -> list[PGresult]:
        """Everything the server answers to what was sent, as psycopg's `execute` gives it.

        A cancellation ends the statement as psycopg does it.

        Raises:
            psycopg.OperationalError: The connection is lost.
        """
        pgconn = self.pgconn
        if pgconn.flush():  # not all could be sent at once
            return await self.wait(execute(pgconn))
        found: list[PGresult] = []
        try:
            while True:
                while pgconn.is_busy():
                    await self.ear.heard()
                while (notice := pgconn.notifies()) is not None:
                    if pgconn.notify_handler is not None:
                        pgconn.notify_handler(notice)
                result = pgconn.get_result()
                if result is None:
                    return found
                found.append(result)
        except psycopg.DatabaseError:
            # The server has said why it ends the connection: that is what the caller must hear of.
            if any(result.status == _FATAL for result in found):
                return found
            raise
        except (asyncio.CancelledError, KeyboardInterrupt) as interruption:
            await self.wait(cast("PQGen[object]", _Interrupted(interruption, execute(pgconn))))
            raise

    async def wait(self, gen: PQGen[T], *args: Any, **options: Any) -> T:
        """Whatever psycopg waits for: the socket is its own then."""
        self.ear.rest()
        return await super().wait(gen, *args, **options)

    async def close(self) -> None:
        """Closes the connection."""
        self.ear.rest()
        await super().close()

    def drop(self) -> None:
        """Closes the socket and awaits nothing."""
        self.ear.rest()
        self.pgconn.finish()

    async def _try_cancel(self, *, timeout: float = 5.0) -> None:
        until, pause = time.monotonic() + timeout, _FIRST_PAUSE
        answered = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.pgconn.socket, answered.set)
        try:
            while (left := until - time.monotonic()) > 0 and not answered.is_set():
                await super()._try_cancel(timeout=left)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(answered.wait(), min(pause, left))
                pause *= 2
        finally:
            loop.remove_reader(self.pgconn.socket)


class _Interrupted:
    """A generator of psycopg that is interrupted when it is first asked, and goes on from there."""

    def __init__(self, interruption: BaseException, rest: PQGen[Any]) -> None:
        self._interruption: BaseException | None = interruption
        self._rest = rest

    def __iter__(self) -> Iterator[object]:
        return self

    def __next__(self) -> object:
        interruption, self._interruption = self._interruption, None
        if interruption is not None:
            raise interruption
        return next(self._rest)

    def send(self, ready: Any) -> object:
        """What the wait has found goes to psycopg."""
        return self._rest.send(ready)


__all__ = ["AsyncConnection", "Connection"]
