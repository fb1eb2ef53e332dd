"""PostgreSQL behind the protocol of `link.py`: psycopg connections in autocommit mode, blocking and awaiting.

Whoever imports this module needs the `postgres` extra; nobody imports it before a PostgreSQL database is used.
Rows come in the binary format, statements with values or of a table are prepared on the server, timestamps are aware
and in UTC, and JSON comes as text: the converters of the compiler decide what it becomes.

psycopg types its queries as literal SQL, as a guard against injection; ours comes from the compiler, where every value
is bound, and so its type is ignored where it is run.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.generators import execute
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row

from datalayer import errors
from datalayer._links import translate
from datalayer._links.answers import aawait_answer, await_answer
from datalayer._links.cancelling import AsyncConnection, Connection
from datalayer._links.link import BackendName, IsOurs
from datalayer._links.loaders import ANY_ZONE, IN_UTC
from datalayer._links.statements import MOST, Statements
from datalayer._plans.plan import Command, Reply, Row

# Python raises these about values (an int too wide, a lone surrogate, a NUL) before the server sees them.
_RAISED_BY_PSYCOPG: Final[tuple[type[Exception], ...]] = (psycopg.Error, OverflowError, ValueError, TypeError)

_KEPT_ROWS: Final = 100
"""A cursor keeps its last result: one with more rows is not used again, so that an idle connection holds little."""
_CURSOR_NAMES = itertools.count(1)

_IDLE: Final = TransactionStatus.IDLE  # by way of the enum it takes twice the time of asking the connection
_NO_PIPELINE: Final = PipelineStatus.OFF


# -- connecting ----------------------------------------------------------------------------------


def connect_arguments(
    conninfo: str, *, alias: str = "default", connect_timeout: float = 10.0, transaction_pooling: bool = False
) -> tuple[str, dict[str, Any]]:
    """What to give `psycopg.connect`, or a pool of psycopg connections, so that `PostgresLink` works on the result.

    Args:
        conninfo: A URL or a conninfo string.
        alias: The alias of the database, for error messages.
        connect_timeout: The longest wait for one host, in seconds.
        transaction_pooling: Whether a pooler such as PgBouncer gives each transaction another session: then nothing
            of the session is set and no statement is prepared.

    Returns:
        The conninfo and the keyword arguments.

    Raises:
        ConnectionFailed: the conninfo cannot be read.
    """
    try:
        given = conninfo_to_dict(conninfo)
    except psycopg.Error:
        # libpq's message repeats parts of the text, and one of them may be the password.
        raise translate.connection_failed(
            alias, "PostgreSQL", "the url cannot be read; write postgresql://user:password@host:port/name", fatal=True
        ) from None
    settings: dict[str, Any] = {}
    if "connect_timeout" not in given:
        settings["connect_timeout"] = max(1, round(connect_timeout))
    if not transaction_pooling:
        settings["options"] = f"{given.get('options') or ''} -c TimeZone=UTC".strip()
    return make_conninfo(conninfo, **settings), {
        "autocommit": True,
        "prepare_threshold": None if transaction_pooling else 5,
        "context": ANY_ZONE if transaction_pooling else IN_UTC,
    }


def connect_postgresql(
    conninfo: str, *, alias: str = "default", connect_timeout: float = 10.0, transaction_pooling: bool = False
) -> PostgresLink:
    """A blocking link to a PostgreSQL database.

    Args:
        conninfo: A URL or a conninfo string.
        alias: The alias of the database, for error messages.
        connect_timeout: The longest wait for one host, in seconds.
        transaction_pooling: Whether a pooler such as PgBouncer stands between.

    Raises:
        ConnectionFailed: the server cannot be reached or refuses; `is_fatal` when trying again cannot help.
    """
    text, arguments = connect_arguments(
        conninfo, alias=alias, connect_timeout=connect_timeout, transaction_pooling=transaction_pooling
    )
    try:
        raw = Connection.connect(text, **arguments)
    except psycopg.Error as error:
        raise cannot_connect(error, text, alias) from error
    return PostgresLink(raw, alias=alias)


async def aconnect_postgresql(
    conninfo: str, *, alias: str = "default", connect_timeout: float = 10.0, transaction_pooling: bool = False
) -> AsyncPostgresLink:
    """The awaiting twin of `connect_postgresql`."""
    text, arguments = connect_arguments(
        conninfo, alias=alias, connect_timeout=connect_timeout, transaction_pooling=transaction_pooling
    )
    try:
        raw = await AsyncConnection.connect(text, **arguments)
    except psycopg.Error as error:
        raise cannot_connect(error, text, alias) from error
    return AsyncPostgresLink(raw, alias=alias)


def cannot_connect(error: psycopg.Error, conninfo: str, alias: str) -> errors.ConnectionFailed:
    """The error of a failed connect: names host, port and database, and never the password.

    Args:
        error: What psycopg raised.
        conninfo: What it was to connect to, readable.
        alias: The alias of the database.
    """
    given = {name: str(value) for name, value in conninfo_to_dict(conninfo).items() if value is not None}
    host = given.get("host") or given.get("hostaddr") or "the local socket"
    target = f"PostgreSQL at {host}, port {given.get('port', '5432')}, database {given.get('dbname', '(default)')!r}"
    reason = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
    if "unsupported startup parameter" in reason:
        reason += "; a pooler such as PgBouncer stands between: set transaction_pooling = true beside the url"
    if password := given.get("password"):
        reason = reason.replace(password, "***")
    return translate.connection_failed(alias, target, reason)


# -- what both links do --------------------------------------------------------------------------


def _translated(
    error: Exception, raw: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], alias: str, command: Any = None
) -> errors.DatabaseError:
    if isinstance(error, psycopg.Error):
        translated = translate.from_postgresql(
            error,
            alias=alias,
            command=command,
            sqlstate=error.sqlstate,
            diagnostic=error.diag if error.sqlstate else None,
            is_closed=raw.closed,
        )
        if isinstance(translated, errors.ReadOnlyTransaction):
            translated.is_failover = _takes_no_writes(raw)
        return translated
    return translate.from_postgresql(error, alias=alias, command=command, is_closed=raw.closed)


def _translating(
    reply: Reply, raw: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], alias: str, command: Command
) -> Reply:
    """A reply in chunks; what these raise is translated."""
    loaded = reply.chunks

    def chunks() -> Generator[list[Row], None, None]:
        try:
            yield from loaded or ()
        except _RAISED_BY_PSYCOPG as error:
            raise _translated(error, raw, alias, command) from error

    reply.chunks = chunks()
    return reply


def _takes_no_writes(raw: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    """Whether the server, and not just a transaction, is read-only; it reports these two by itself (since 14)."""
    status = raw.info.parameter_status
    return "on" in (status("in_hot_standby"), status("default_transaction_read_only"))


def _silent(alias: str, timeout: float | None) -> errors.ConnectionLost:
    return errors.ConnectionLost(
        f"database {alias!r}: the server did not answer within {timeout or 0.0:.3g} s", alias=alias
    )


def _is_stale_plan(error: Exception, raw: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    """Whether a migration changed a table under a statement we had prepared, and it can be run again."""
    return (
        isinstance(error, psycopg.errors.FeatureNotSupported)
        and "cached plan" in str(error)
        and raw.pgconn.transaction_status == TransactionStatus.IDLE
    )


def _needs_rollback(raw: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], alias: str) -> bool:
    status = raw.pgconn.transaction_status
    if raw.closed or status == TransactionStatus.UNKNOWN:
        raise errors.ConnectionLost(f"database {alias!r}: the connection is closed and cannot be reset", alias=alias)
    if status == TransactionStatus.ACTIVE:
        raise errors.OperationalError(
            f"database {alias!r}: a statement or COPY still runs on the connection; end it before giving it back",
            alias=alias,
        )
    if raw.pgconn.pipeline_status != PipelineStatus.OFF:
        raise errors.OperationalError(
            f"database {alias!r}: the connection is in pipeline mode; leave it before giving it back", alias=alias
        )
    return status != TransactionStatus.IDLE


def _in_transaction(raw: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    return raw.pgconn.transaction_status in (
        TransactionStatus.INTRANS,
        TransactionStatus.INERROR,
        TransactionStatus.ACTIVE,
    )


def _is_broken(raw: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    return raw.closed or raw.pgconn.transaction_status == TransactionStatus.UNKNOWN


def is_clean(raw: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    """Whether a connection is as a `reset` would leave it."""
    pgconn = raw.pgconn  # one that is lost has a status of its own
    return pgconn.transaction_status == _IDLE and pgconn.pipeline_status == _NO_PIPELINE and raw.autocommit


def _cursor_name() -> str:
    return f"datalayer_{next(_CURSOR_NAMES)}"


class PostgresLink:
    """A blocking connection to PostgreSQL; `connect_postgresql` makes it.

    Attributes:
        backend: Always `postgresql`.
        alias: The alias of its database.
        raw: The connection of psycopg.
    """

    __slots__ = ("_cursor", "_prepares", "_statements", "alias", "backend", "raw")

    def __init__(self, raw: psycopg.Connection[Any], *, alias: str = "default") -> None:
        self.backend: BackendName = "postgresql"
        self.alias = alias
        self.raw = raw
        self._cursor: psycopg.Cursor[Row] | None = None  # making one costs a quarter of a get by key
        self._prepares = raw.prepare_threshold is not None
        self._statements = Statements(raw)
        if self._prepares:
            raw.prepared_max = MOST

    def __repr__(self) -> str:
        return f"<PostgresLink {self.alias!r}{' broken' if self.is_broken else ''}>"

    def execute(self, command: Command) -> Reply:
        """Runs one statement."""
        try:
            statements = self._statements
            if statements.send(command):
                reply = statements.reply(self.raw.wait(execute(self.raw.pgconn)), command.in_chunks)
                return reply if reply.chunks is None else _translating(reply, self.raw, self.alias, command)
            return self._by_cursor(command)
        except _RAISED_BY_PSYCOPG as error:
            if not _is_stale_plan(error, self.raw):
                raise _translated(error, self.raw, self.alias, command) from error
        return self._execute_again(command)

    def _by_cursor(self, command: Command) -> Reply:
        """Lets a cursor run it, which prepares it and lets it be remembered."""
        cursor = self._cursor
        if cursor is None:
            cursor = self._cursor = self.raw.cursor(binary=True, row_factory=tuple_row)
        prepare = self._prepares and (bool(command.params) or command.table is not None)
        params = self._statements.widened(command)
        cursor.execute(command.sql, params, prepare=prepare)  # pyright: ignore[reportArgumentType]
        if prepare:
            self._statements.note(command, cursor)
        if not command.returns_rows:
            return Reply([], cursor.rowcount)
        rows = cursor.fetchall()
        if len(rows) > _KEPT_ROWS:
            self._cursor = None
        return Reply(rows, cursor.rowcount)

    def _execute_again(self, command: Command) -> Reply:
        try:
            self.raw.execute("DEALLOCATE ALL")
            return self._by_cursor(command)
        except _RAISED_BY_PSYCOPG as error:
            raise _translated(error, self.raw, self.alias, command) from error

    def stream(self, command: Command, chunk_size: int, is_ours: IsOurs | None = None) -> Iterator[list[Row]]:
        """Runs a query behind a cursor of the server, in a transaction of its own where none is open."""
        owns = not self.in_transaction
        try:
            if owns:
                self.raw.execute("BEGIN")
            cursor = self.raw.cursor(_cursor_name(), binary=True, row_factory=tuple_row)
            try:
                cursor.execute(command.sql, command.params)  # pyright: ignore[reportArgumentType]
                while rows := cursor.fetchmany(chunk_size):
                    yield rows
            finally:
                try:
                    if is_ours is None or is_ours():
                        cursor.close()
                finally:
                    # Sends nothing: where Ctrl-C has interrupted the CLOSE, a rollback is what closes it.
                    psycopg.Cursor.close(cursor)
            if owns:
                self.raw.execute("COMMIT")
                owns = False
        except _RAISED_BY_PSYCOPG as error:
            raise _translated(error, self.raw, self.alias, command) from error
        finally:
            if owns and not self.raw.closed:
                self.raw.rollback()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, a failed one included."""
        return _in_transaction(self.raw)

    @property
    def is_failed(self) -> bool:
        """Whether a failed statement has left a transaction that can only be rolled back."""
        return self.raw.pgconn.transaction_status == TransactionStatus.INERROR

    @property
    def is_broken(self) -> bool:
        """Whether it was closed, or the server went away while it was used."""
        return _is_broken(self.raw)

    @property
    def is_clean(self) -> bool:
        """Whether `reset` would find nothing to do."""
        return is_clean(self.raw)

    def reset(self, timeout: float | None = None) -> None:
        """Rolls back what is open. Raises when a statement, a COPY or a pipeline still runs.

        A rollback of psycopg waits for its answer for ever: the server is asked for a sign of life before it.
        """
        needs_rollback = _needs_rollback(self.raw, self.alias)
        if needs_rollback and timeout is not None:
            self.ping(timeout)
        try:
            if needs_rollback:
                self.raw.rollback()
            if not self.raw.autocommit:
                self.raw.autocommit = True
        except psycopg.Error as error:
            raise _translated(error, self.raw, self.alias) from error

    def ping(self, timeout: float | None = None) -> None:
        """Sends the server an empty query and waits for the answer, for so many seconds at most."""
        try:
            self.raw.pgconn.send_query(b"")
            await_answer(self.raw, timeout)
        except psycopg.Error as error:
            raise _translated(error, self.raw, self.alias) from error
        except TimeoutError as error:
            raise _silent(self.alias, timeout) from error

    def close(self) -> None:
        """Closes the connection; the server rolls back what is open in it."""
        self.raw.close()

    def terminate(self) -> None:
        """Drops the connection."""
        self.raw.close()


class AsyncPostgresLink:
    """An awaiting connection to PostgreSQL; `aconnect_postgresql` makes it.

    Attributes:
        backend: Always `postgresql`.
        alias: The alias of its database.
    """

    __slots__ = ("_cursor", "_prepares", "_raw", "_statements", "alias", "backend")

    def __init__(self, raw: AsyncConnection, *, alias: str = "default") -> None:
        self.backend: BackendName = "postgresql"
        self.alias = alias
        self._raw = raw
        self._cursor: psycopg.AsyncCursor[Row] | None = None  # making one costs a quarter of a get by key
        self._prepares = raw.prepare_threshold is not None
        self._statements = Statements(raw)
        if self._prepares:
            raw.prepared_max = MOST

    def __repr__(self) -> str:
        return f"<AsyncPostgresLink {self.alias!r}{' broken' if self.is_broken else ''}>"

    @property
    def raw(self) -> AsyncConnection:
        """The connection of psycopg; its socket is with no event loop, whatever is done with it."""
        self._raw.ear.rest()
        return self._raw

    async def execute(self, command: Command) -> Reply:
        """The awaiting twin of `PostgresLink.execute`."""
        try:
            statements = self._statements
            if statements.send(command):
                reply = statements.reply(await self._raw.results(), command.in_chunks)
                return reply if reply.chunks is None else _translating(reply, self._raw, self.alias, command)
            return await self._by_cursor(command)
        except _RAISED_BY_PSYCOPG as error:
            if not _is_stale_plan(error, self._raw):
                raise _translated(error, self._raw, self.alias, command) from error
        return await self._execute_again(command)

    async def _by_cursor(self, command: Command) -> Reply:
        """Lets a cursor run it, which prepares it and lets it be remembered."""
        cursor = self._cursor
        if cursor is None:
            cursor = self._cursor = self._raw.cursor(binary=True, row_factory=tuple_row)
        prepare = self._prepares and (bool(command.params) or command.table is not None)
        params = self._statements.widened(command)
        await cursor.execute(command.sql, params, prepare=prepare)  # pyright: ignore[reportArgumentType]
        if prepare:
            self._statements.note(command, cursor)
        if not command.returns_rows:
            return Reply([], cursor.rowcount)
        rows = await cursor.fetchall()
        if len(rows) > _KEPT_ROWS:
            self._cursor = None
        return Reply(rows, cursor.rowcount)

    async def _execute_again(self, command: Command) -> Reply:
        try:
            await self._raw.execute("DEALLOCATE ALL")
            return await self._by_cursor(command)
        except _RAISED_BY_PSYCOPG as error:
            raise _translated(error, self._raw, self.alias, command) from error

    async def stream(
        self, command: Command, chunk_size: int, is_ours: IsOurs | None = None
    ) -> AsyncIterator[list[Row]]:
        """The awaiting twin of `PostgresLink.stream`."""
        owns = not self.in_transaction
        try:
            if owns:
                await self._raw.execute("BEGIN")
            cursor = self._raw.cursor(_cursor_name(), binary=True, row_factory=tuple_row)
            try:
                await cursor.execute(command.sql, command.params)  # pyright: ignore[reportArgumentType]
                while rows := await cursor.fetchmany(chunk_size):
                    yield rows
            finally:
                try:
                    if is_ours is None or is_ours():
                        await cursor.close()
                finally:
                    # Sends nothing: where a cancellation has interrupted the CLOSE, a rollback is what closes it.
                    await psycopg.AsyncCursor.close(cursor)
            if owns:
                await self._raw.execute("COMMIT")
                owns = False
        except _RAISED_BY_PSYCOPG as error:
            raise _translated(error, self._raw, self.alias, command) from error
        finally:
            if owns and not self._raw.closed:
                await self._raw.rollback()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, a failed one included."""
        return _in_transaction(self._raw)

    @property
    def is_failed(self) -> bool:
        """Whether a failed statement has left a transaction that can only be rolled back."""
        return self._raw.pgconn.transaction_status == TransactionStatus.INERROR

    @property
    def is_broken(self) -> bool:
        """Whether it was closed, or the server went away while it was used."""
        return _is_broken(self._raw)

    @property
    def is_clean(self) -> bool:
        """Whether `reset` would find nothing to do."""
        return is_clean(self._raw)

    async def reset(self, timeout: float | None = None) -> None:
        """The awaiting twin of `PostgresLink.reset`."""
        needs_rollback = _needs_rollback(self._raw, self.alias)
        if needs_rollback and timeout is not None:
            await self.ping(timeout)
        try:
            if needs_rollback:
                await self._raw.rollback()
            if not self._raw.autocommit:
                await self._raw.set_autocommit(True)
        except psycopg.Error as error:
            raise _translated(error, self._raw, self.alias) from error

    async def ping(self, timeout: float | None = None) -> None:
        """The awaiting twin of `PostgresLink.ping`."""
        try:
            async with asyncio.timeout(timeout):
                self._raw.pgconn.send_query(b"")
                await aawait_answer(self.raw)
        except psycopg.Error as error:
            raise _translated(error, self._raw, self.alias) from error
        except TimeoutError as error:
            raise _silent(self.alias, timeout) from error

    async def close(self) -> None:
        """The awaiting twin of `PostgresLink.close`."""
        await self._raw.close()

    def terminate(self) -> None:
        """Drops the connection at once: the socket is closed and nothing is awaited."""
        self._raw.drop()
