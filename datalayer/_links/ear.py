"""How an awaiting connection of PostgreSQL hears the server: its socket stays with the event loop between statements.

psycopg gives the socket to the event loop for each wait, with a timer beside it, and takes it away again: that is more
work than the statement. Here it stays until somebody else needs it (psycopg itself, a user who was lent the
connection), until the connection is closed, or until the server says something that nobody waits for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn


class Ear:
    """The hearing of one connection."""

    __slots__ = ("_loop", "_pgconn", "_socket", "_waiter")

    def __init__(self, pgconn: PGconn) -> None:
        self._pgconn = pgconn
        self._loop: asyncio.AbstractEventLoop | None = None  # that has the socket now
        self._socket = -1
        self._waiter: asyncio.Future[None] | None = None

    def heard(self) -> asyncio.Future[None]:
        """Done when the whole answer to what was sent is here, or somebody has taken the socket back."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self.rest()
            self._socket = self._pgconn.socket
            loop.add_reader(self._socket, self._hear)
            self._loop = loop
        self._waiter = waiter = loop.create_future()
        return waiter

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
