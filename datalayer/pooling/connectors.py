"""What a pool must be told about the things it holds: seven small methods, in either world."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

C = TypeVar("C")


class Judge(Protocol):
    """The part of a connector that judges errors; the same in both worlds."""

    def is_disconnect(self, exc: BaseException) -> bool:
        """Whether the error says that the server is gone, so that all connections to it are stale."""
        ...

    def is_fatal(self, exc: BaseException) -> bool:
        """Whether trying to connect again cannot help: a wrong password, an unknown database."""
        ...


class Connector(Protocol[C]):
    """How to make, test, clean and end one kind of connection.

    Four more things are used where there are any: `ping_within(conn, seconds)` instead of `ping`, for a ping that ends
    in time where nobody answers (no thread can be interrupted from outside); `terminate(conn)`, which ends what
    another thread does on a connection when the pool is closed by force; `is_clean(conn)`, which tells at a return
    that a connection is good and `reset` would find nothing to do, so that neither it nor `is_broken` is asked; and an
    attribute `fast_open = True`, which has the pool connect in the thread of the caller because it takes no time
    (SQLite, fakes).
    """

    def connect(self) -> C:
        """Opens a connection. Raises when it cannot."""
        ...

    def close(self, conn: C) -> None:
        """Ends a connection; it may be a broken one."""
        ...

    def ping(self, conn: C) -> None:
        """Raises when the connection is not usable; may ask the server."""
        ...

    def is_broken(self, conn: C) -> bool:
        """Whether the connection is known to be unusable; asks nobody."""
        ...

    def reset(self, conn: C) -> None:
        """Makes a returned connection as good as new; raises when that is not possible, and it is thrown away."""
        ...

    def is_disconnect(self, exc: BaseException) -> bool:
        """Whether the error says that the server is gone, so that all connections to it are stale."""
        ...

    def is_fatal(self, exc: BaseException) -> bool:
        """Whether trying to connect again cannot help: a wrong password, an unknown database."""
        ...


class AsyncConnector(Protocol[C]):
    """The twin of `Connector`: what may do I/O is awaited, and `terminate` ends a connection without awaiting.

    `is_clean(conn)` is asked where there is one, as in `Connector`.
    """

    async def connect(self) -> C:
        """Opens a connection."""
        ...

    async def close(self, conn: C) -> None:
        """Closes a connection."""
        ...

    async def ping(self, conn: C) -> None:
        """Raises when the connection is not usable; may ask the server."""
        ...

    def is_broken(self, conn: C) -> bool:
        """As in `Connector`."""
        ...

    def reset(self, conn: C) -> Coroutine[Any, Any, None] | None:
        """As in `Connector`; an `async def`, or a function that gives None when there is nothing to await."""
        ...

    def is_disconnect(self, exc: BaseException) -> bool:
        """As in `Connector`."""
        ...

    def is_fatal(self, exc: BaseException) -> bool:
        """As in `Connector`."""
        ...

    def terminate(self, conn: C) -> None:
        """Drops the connection at once, for a loop that is gone."""
        ...
