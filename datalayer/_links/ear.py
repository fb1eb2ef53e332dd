"""How an awaiting connection of PostgreSQL hears the server: its socket stays with the event loop between statements.

psycopg gives the socket to the event loop for each wait, with a timer beside it, and takes it away again: that is more
work than the statement. Here it stays until somebody else needs it (psycopg itself, a user who was lent the
connection), until the connection is closed, or until the server says something that nobody waits for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from psycopg import DatabaseError
from psycopg.pq import ExecStatus

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn, PGresult

_FATAL = ExecStatus.FATAL_ERROR


class Ear:
    """The hearing of one connection."""

    __slots__ = ("_loop", "_pgconn", "_socket", "_waiter")

    def __init__(self, pgconn: PGconn) -> None:
        self._pgconn = pgconn
        self._loop: asyncio.AbstractEventLoop | None = None  # that has the socket now
        self._socket = -1
        self._waiter: asyncio.Future[None] | None = None

    async def results(self) -> list[PGresult]:
        """Everything the server answers to what was sent, as psycopg's `execute` gives it.

        Raises:
            psycopg.OperationalError: The connection is lost.
        """
        pgconn = self._pgconn
        found: list[PGresult] = []
        try:
            while True:
                while pgconn.is_busy():
                    await self._until_heard()
                while (notice := pgconn.notifies()) is not None:
                    if pgconn.notify_handler is not None:
                        pgconn.notify_handler(notice)
                result = pgconn.get_result()
                if result is None:
                    return found
                found.append(result)
        except DatabaseError:
            # The server has said why it ends the connection: that is what the caller must hear of.
            if any(result.status == _FATAL for result in found):
                return found
            raise

    async def _until_heard(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self.rest()
            self._socket = self._pgconn.socket
            loop.add_reader(self._socket, self._hear)
            self._loop = loop
        self._waiter = waiter = loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def _hear(self) -> None:
        """The socket is readable."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            self.rest()  # whoever comes next reads it; until then the event loop would report it again and again
            return
        try:
            self._pgconn.consume_input()
        except Exception as error:
            waiter.set_exception(error)
            return
        if not self._pgconn.is_busy():
            waiter.set_result(None)

    def rest(self) -> None:
        """Takes the socket back from the event loop; who waits for an answer looks for himself, and goes on waiting."""
        loop, self._loop = self._loop, None
        if loop is not None and not loop.is_closed():
            loop.remove_reader(self._socket)
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
