"""How the generic pool handles links: what `Link` says about itself is all it needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from datalayer._links.link import AsyncLink, Link
from datalayer.errors import ConnectionFailed, ConnectionLost


class _Judge:
    """Reads our own errors; drivers' errors never come this far."""

    def is_disconnect(self, exc: BaseException) -> bool:
        """Whether the server is gone."""
        return isinstance(exc, ConnectionLost | ConnectionFailed)

    def is_fatal(self, exc: BaseException) -> bool:
        """Whether trying again cannot help."""
        return isinstance(exc, ConnectionFailed) and exc.is_fatal


class LinkConnector(_Judge):
    """Connector over blocking links.

    Args:
        connect: Makes one.
        fast_open: Whether it is made in the thread of the caller.
    """

    def __init__(self, connect: Callable[[], Link], *, fast_open: bool = False) -> None:
        self.connect = connect
        self.fast_open = fast_open

    def close(self, conn: Link) -> None:
        """Closes the link."""
        conn.close()

    def ping(self, conn: Link) -> None:
        """Asks the database for a sign of life."""
        conn.ping()

    def is_broken(self, conn: Link) -> bool:
        """Whether the link is known to be unusable."""
        return conn.is_broken

    def reset(self, conn: Link) -> None:
        """Rolls back what is open."""
        conn.reset()


class AsyncLinkConnector(_Judge):
    """Connector over awaiting links; the twin of `LinkConnector`."""

    fast_open = False

    def __init__(self, connect: Callable[[], Awaitable[AsyncLink]]) -> None:
        self._connect = connect

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

    async def reset(self, conn: AsyncLink) -> None:
        """Rolls back what is open."""
        await conn.reset()

    def terminate(self, conn: AsyncLink) -> None:
        """Drops the link without awaiting anything."""
        conn.terminate()
