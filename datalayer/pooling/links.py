"""How the generic pool handles links: what `Link` says about itself is all it needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from operator import attrgetter
from typing import Any

from datalayer._links.link import AsyncLink, Link
from datalayer.errors import ConnectionFailed, ConnectionLost, ReadOnlyTransaction


class LinkJudge:
    """Reads our own errors; drivers' errors never come this far."""

    is_clean = staticmethod(attrgetter("is_clean"))

    def is_disconnect(self, exc: BaseException) -> bool:
        """Whether the server is gone, or became a standby that takes no writes."""
        if isinstance(exc, ReadOnlyTransaction):
            return exc.is_failover
        return isinstance(exc, ConnectionLost | ConnectionFailed)

    def is_fatal(self, exc: BaseException) -> bool:
        """Whether trying again cannot help."""
        return isinstance(exc, ConnectionFailed) and exc.is_fatal


class LinkConnector(LinkJudge):
    """Connector over blocking links.

    Args:
        connect: Makes one.
        fast_open: Whether it is made in the thread of the caller.
        ping_timeout: How long a ping may take, in seconds; None leaves it to the network.
        reset_timeout: The same for the clean-up at the return of a connection.
    """

    def __init__(
        self,
        connect: Callable[[], Link],
        *,
        fast_open: bool = False,
        ping_timeout: float | None = None,
        reset_timeout: float | None = None,
    ) -> None:
        self.connect = connect
        self.fast_open = fast_open
        self.ping_timeout = ping_timeout
        self.reset_timeout = reset_timeout

    def close(self, conn: Link) -> None:
        """Closes the link."""
        conn.close()

    def ping(self, conn: Link) -> None:
        """Asks the database for a sign of life."""
        conn.ping(self.ping_timeout)

    def ping_within(self, conn: Link, seconds: float) -> None:
        """Asks the database for a sign of life that comes in time."""
        conn.ping(seconds if self.ping_timeout is None else min(seconds, self.ping_timeout))

    def is_broken(self, conn: Link) -> bool:
        """Whether the link is known to be unusable."""
        return conn.is_broken

    def reset(self, conn: Link) -> None:
        """Rolls back what is open."""
        conn.reset(self.reset_timeout)

    def terminate(self, conn: Link) -> None:
        """Ends what runs on the link in another thread."""
        conn.terminate()


class AsyncLinkConnector(LinkJudge):
    """Connector over awaiting links; the twin of `LinkConnector`."""

    def __init__(self, connect: Callable[[], Awaitable[AsyncLink]], *, reset_timeout: float | None = None) -> None:
        self._connect = connect
        self.reset_timeout = reset_timeout

    async def connect(self) -> AsyncLink:
        """Makes a link."""
        return await self._connect()

    async def close(self, conn: AsyncLink) -> None:
        """Closes the link."""
        await conn.close()

    async def ping(self, conn: AsyncLink) -> None:
        """Asks the database for a sign of life."""
        await conn.ping()

    def is_broken(self, conn: AsyncLink) -> bool:
        """Whether the link is known to be unusable."""
        return conn.is_broken

    def reset(self, conn: AsyncLink) -> Coroutine[Any, Any, None]:
        """Rolls back what is open."""
        return conn.reset(self.reset_timeout)

    def terminate(self, conn: AsyncLink) -> None:
        """Drops the link without awaiting anything."""
        conn.terminate()
