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
from typing import Any, Final

import psycopg

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
    """An awaiting connection."""

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


__all__ = ["AsyncConnection", "Connection"]
