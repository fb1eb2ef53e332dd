"""What the layers above need of a database connection: a protocol so small that two drivers fit it.

A link wraps one driver connection in autocommit mode (`psycopg.Connection(autocommit=True)`,
`sqlite3.Connection(isolation_level=None)`): transactions are commands like any other. Every error of the driver
leaves a link as one of `datalayer.errors`, with the driver's as `__cause__`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Literal, Protocol, TypeAlias

from datalayer._plans.plan import Command, Reply, Row

BackendName: TypeAlias = Literal["sqlite", "postgresql"]

IsOurs: TypeAlias = Callable[[], bool]
"""Whether the connection still belongs to whoever runs now: asked where something is sent behind the caller's back."""


class Link(Protocol):
    """A blocking connection.

    Attributes:
        backend: Which SQL it speaks.
        alias: The alias of its database, for error messages.
        raw: The driver's own connection; `pools[...].connection()` lends it.
    """

    backend: BackendName
    alias: str

    @property
    def raw(self) -> object: ...
    def execute(self, command: Command) -> Reply:
        """Runs one statement, or one statement for many rows of values."""
        ...

    def stream(self, command: Command, chunk_size: int, is_ours: IsOurs | None = None) -> Iterator[list[Row]]:
        """Runs a query and gives its rows in lists of at most `chunk_size`, holding one such list at a time.

        It may be dropped half-way and collected much later, in another thread or task, when somebody else uses the
        connection: where `is_ours` denies it then, nothing is sent, and the end of the transaction closes the cursor.
        """
        ...

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, a failed one included."""
        ...

    @property
    def is_failed(self) -> bool:
        """Whether a failed statement has left a transaction that can only be rolled back."""
        ...

    @property
    def is_broken(self) -> bool:
        """Whether it can no longer be used; known without asking the server."""
        ...

    @property
    def is_clean(self) -> bool:
        """Whether it can be lent to the next borrower as it is: not broken, and `reset` would find nothing to do."""
        ...

    def reset(self, timeout: float | None = None) -> None:
        """Rolls back what is open, so that the next borrower starts clean. Raises when that is not possible.

        Args:
            timeout: How long a server may be silent, in seconds; None leaves it to the network.
        """
        ...

    def ping(self, timeout: float | None = None) -> None:
        """Asks the server for a sign of life. Raises when there is none within so many seconds."""
        ...

    def close(self) -> None: ...
    def terminate(self) -> None:
        """Ends what another thread runs on it; the connection is only good for closing then."""
        ...


class AsyncLink(Protocol):
    """An awaiting connection: the twin of `Link`, member for member."""

    backend: BackendName
    alias: str

    @property
    def raw(self) -> object: ...
    async def execute(self, command: Command) -> Reply: ...
    def stream(self, command: Command, chunk_size: int, is_ours: IsOurs | None = None) -> AsyncIterator[list[Row]]: ...
    @property
    def in_transaction(self) -> bool: ...
    @property
    def is_failed(self) -> bool: ...
    @property
    def is_broken(self) -> bool: ...
    @property
    def is_clean(self) -> bool: ...
    async def reset(self, timeout: float | None = None) -> None: ...
    async def ping(self, timeout: float | None = None) -> None: ...
    async def close(self) -> None: ...
    def terminate(self) -> None:
        """Drops the connection at once without awaiting anything: for a loop that is gone."""
        ...
