"""Events: every statement and transaction, told to whoever listens.

While nobody listens nothing of this runs: the runners look at one empty tuple. While somebody does, a link is stood in
for by `Heard`, which tells about each statement before and after it. A listener is called in the thread or task that
sends the statement, so it must be quick and must not wait; an error of a listener is logged, and the statement goes on.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from pathlib import Path
from time import perf_counter
from types import FrameType, TracebackType
from typing import Any, Final, Literal, Self, TypeAlias, cast

from datalayer._links.link import AsyncLink, BackendName, IsOurs, Link
from datalayer._plans.plan import Command, Reply, Row
from datalayer.errors import ConfigurationError

log = logging.getLogger("datalayer.events")

Moment: TypeAlias = Literal["begun", "committed", "rolled back"]


class Statement:
    """One statement, from the moment it is sent; the same object is told at its end.

    Attributes:
        alias: The database.
        backend: Which SQL it speaks.
        sql: The text.
        params: The values.
        table: The table it is about, where that is known.
        origin: The line of the user's code that sent it, as `file:line in function`, where a listener wants it.
        took: Seconds from sending to the answer; 0.0 until then.
        rows: How many rows came back or were written; -1 where it is not known.
        error: What it ended with, if it failed.
    """

    __slots__ = ("alias", "backend", "error", "origin", "params", "rows", "sql", "started", "table", "took")

    def __init__(self, link: Link | AsyncLink, command: Command, origin: str | None) -> None:
        self.alias = link.alias
        self.backend: BackendName = link.backend
        self.sql = command.sql
        self.params: Any = command.params
        self.table = None if command.table is None else command.table.name
        self.origin = origin
        self.took = 0.0
        self.rows = -1
        self.error: BaseException | None = None
        self.started = perf_counter()

    def __repr__(self) -> str:
        # The values stay out: they may be secrets, and reprs end in logs.
        return f"<Statement {self.sql!r} on {self.alias!r}>"


class Listener:
    """Hears of statements and transactions; override what you want to hear of, and give an instance to `listen`.

    Attributes:
        wants_origin: Whether statements carry the line of the user's code that sent them: that costs some microseconds
            each.
    """

    wants_origin: bool = False

    def statement_started(self, statement: Statement) -> None:
        """A statement is about to be sent."""

    def statement_finished(self, statement: Statement) -> None:
        """A statement was answered; of a stream, its last row was read, or its reader had enough."""

    def statement_failed(self, statement: Statement) -> None:
        """A statement ended with `statement.error`."""

    def transaction(self, alias: str, moment: Moment) -> None:
        """A transaction was begun, committed or rolled back; savepoints are statements only.

        Args:
            alias: The database.
            moment: What has happened.
        """


listeners: tuple[Listener, ...] = ()
"""Who hears of every statement; replaced as a whole, so that reading it needs no lock."""

_lock = threading.Lock()


class Listening:
    """What `listen` gives: it ends with `stop()`, or with the `with` block it is used in."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener

    def stop(self) -> None:
        """Stops telling the listener; doing it twice does no harm."""
        global listeners
        with _lock:
            listeners = tuple(each for each in listeners if each is not self.listener)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()


def listen(listener: Listener) -> Listening:
    """Tells the listener about every statement and transaction of the process from now on, in both worlds.

    Args:
        listener: Whom to tell.

    Returns:
        What ends it: call its `stop()`, or use it in a `with`.

    Raises:
        ConfigurationError: It is no listener, and could hear of nothing.
    """
    global listeners
    if not isinstance(cast("object", listener), Listener):
        raise ConfigurationError(
            f"listen() takes an instance of a subclass of Listener, not {listener!r}; override what it wants to hear "
            "of: statement_started, statement_finished, statement_failed, transaction"
        )
    with _lock:
        listeners = (*listeners, listener)
    return Listening(listener)


# -- telling -------------------------------------------------------------------------------------

_OURS: Final = str(Path(__file__).parents[1])
_STANDARD: Final = str(Path(threading.__file__).parent)


def _is_users(file: str) -> bool:
    if file.startswith((_OURS, "<")):
        return False
    return not file.startswith(_STANDARD) or "site-packages" in file


def _origin() -> str | None:
    """The nearest frame outside of datalayer and of the standard library."""
    frame: FrameType | None = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        if _is_users(frame.f_code.co_filename):
            return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        frame = frame.f_back
    return None


def _tell(listener: Listener, method: str, *arguments: object) -> None:
    try:
        getattr(listener, method)(*arguments)
    except Exception:
        log.exception("a listener failed: %s.%s", type(listener).__name__, method)


def _begun(link: Link | AsyncLink, command: Command) -> Statement:
    wanted = any(listener.wants_origin for listener in listeners)
    statement = Statement(link, command, _origin() if wanted else None)
    for listener in listeners:
        _tell(listener, "statement_started", statement)
    statement.started = perf_counter()
    return statement


def _ended(link: Link | AsyncLink, statement: Statement, rows: int, error: BaseException | None = None) -> None:
    statement.took = perf_counter() - statement.started
    statement.rows = rows
    statement.error = error
    method = "statement_finished" if error is None else "statement_failed"
    is_control = statement.sql.startswith(("BEGIN", "COMMIT", "ROLLBACK"))
    moment = _moment(link, statement.sql, error) if is_control else None
    for listener in listeners:
        _tell(listener, method, statement)
        if moment is not None:
            _tell(listener, "transaction", statement.alias, moment)


def _moment(link: Link | AsyncLink, sql: str, error: BaseException | None) -> Moment | None:
    """What a statement that begins or ends a transaction has done."""
    if sql.startswith("BEGIN"):
        return "begun" if error is None else None
    if sql == "COMMIT" and error is None:
        return "committed"
    # PostgreSQL has rolled back when it refuses a commit; where the connection was lost nobody knows.
    is_undone = sql == "ROLLBACK" or (sql == "COMMIT" and not link.in_transaction and not link.is_broken)
    return "rolled back" if is_undone else None


def _count(command: Command, reply: Reply) -> int:
    return len(reply.rows) if command.returns_rows else reply.count


class Heard:
    """A link whose statements are told to the listeners; stands in for the link while there are any."""

    __slots__ = ("_link",)

    def __init__(self, link: Link) -> None:
        self._link = link

    def execute(self, command: Command) -> Reply:
        """Runs the statement and tells about it."""
        command.in_chunks = False  # the rows are counted, and the time is that of all of them
        statement = _begun(self._link, command)
        try:
            reply = self._link.execute(command)
        except BaseException as error:
            _ended(self._link, statement, -1, error)
            raise
        _ended(self._link, statement, _count(command, reply))
        return reply

    def stream(self, command: Command, chunk_size: int, is_ours: IsOurs | None = None) -> Iterator[list[Row]]:
        """Streams the rows, and tells about the statement when the stream ends."""
        statement = _begun(self._link, command)
        error: BaseException | None = None
        rows = 0
        try:
            with closing(cast("Any", self._link.stream(command, chunk_size, is_ours))) as chunks:
                for chunk in chunks:
                    rows += len(chunk)
                    yield chunk
        except GeneratorExit:  # who reads has enough
            raise
        except BaseException as failed:
            error = failed
            raise
        finally:
            _ended(self._link, statement, rows, error)


class AsyncHeard:
    """The awaiting twin of `Heard`."""

    __slots__ = ("_link",)

    def __init__(self, link: AsyncLink) -> None:
        self._link = link

    async def execute(self, command: Command) -> Reply:
        """Runs the statement and tells about it."""
        command.in_chunks = False  # the rows are counted, and the time is that of all of them
        statement = _begun(self._link, command)
        try:
            reply = await self._link.execute(command)
        except BaseException as error:
            _ended(self._link, statement, -1, error)
            raise
        _ended(self._link, statement, _count(command, reply))
        return reply

    async def stream(
        self, command: Command, chunk_size: int, is_ours: IsOurs | None = None
    ) -> AsyncIterator[list[Row]]:
        """Streams the rows, and tells about the statement when the stream ends."""
        statement = _begun(self._link, command)
        error: BaseException | None = None
        rows = 0
        try:
            async with aclosing(cast("Any", self._link.stream(command, chunk_size, is_ours))) as chunks:
                async for chunk in chunks:
                    rows += len(chunk)
                    yield chunk
        except GeneratorExit:  # who reads has enough
            raise
        except BaseException as failed:
            error = failed
            raise
        finally:
            _ended(self._link, statement, rows, error)
