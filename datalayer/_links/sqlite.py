"""SQLite behind the protocol of `link.py`: sqlite3 in autocommit mode, blocking, and awaiting through a thread.

The awaiting link hands its work to the connection's thread (`sqlite_thread.py`), but for short statements
(`sqlite_short.py`).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any, TypeVar

from datalayer import errors
from datalayer._links import functions, sqlite_thread, translate
from datalayer._links.link import BackendName, IsOurs
from datalayer._links.numbered import Connection, check_numbered
from datalayer._links.sqlite_short import RAISED_BY_SQLITE, LoopTime, ShortStatements, key_row
from datalayer._plans.plan import CHUNK, Command, Repeated, Reply, Row

T = TypeVar("T")

_CACHED_STATEMENTS = 512

# Python raises these about values (an int of more than 64 bits, a lone surrogate) before SQLite sees them.

# -- opening -------------------------------------------------------------------------------------


def connect_sqlite(
    path: str | os.PathLike[str],
    *,
    alias: str = "default",
    read_only: bool = False,
    timeout: float = 5.0,
    uri: bool = False,
) -> SQLiteLink:
    """A blocking link to an SQLite database.

    Args:
        path: The file, `:memory:`, or with `uri` a `file:` URI.
        alias: The alias of the database, for error messages.
        read_only: Refuses every write on this connection; the file may still be written by others.
        timeout: How long a statement waits for the locks of others, in seconds.
        uri: Whether `path` is a URI.

    Raises:
        ConnectionFailed: the folder is missing, or the file cannot be read or is no database.
    """
    raw, identity = _open(path, alias=alias, read_only=read_only, timeout=timeout, uri=uri)
    return SQLiteLink(raw, alias=alias, file=identity)


async def aconnect_sqlite(
    path: str | os.PathLike[str],
    *,
    alias: str = "default",
    read_only: bool = False,
    timeout: float = 5.0,
    uri: bool = False,
    time: LoopTime | None = None,
) -> AsyncSQLiteLink:
    """The awaiting twin of `connect_sqlite`.

    Args:
        path: As there.
        alias: As there.
        read_only: As there.
        timeout: As there.
        uri: As there.
        time: What it shares with other connections of the same event loop; its own where there are none.
    """
    worker = sqlite_thread.Worker(f"datalayer-sqlite-{alias}", lock_timeout=timeout)
    turn = min(timeout, sqlite_thread.LOCK_TURN)
    try:
        raw, identity = await worker.patiently(
            lambda: _open(path, alias=alias, read_only=read_only, timeout=turn, uri=uri, keep=worker.adopt)
        )
    except BaseException:
        worker.stop()
        raise
    return AsyncSQLiteLink(sqlite_thread.AsyncSQLiteConnection(raw, worker), alias=alias, file=identity, time=time)


class _File:
    """Which file a connection was opened on: a replaced one has the same name and another inode."""

    __slots__ = ("inode", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.inode = self._current()

    def _current(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def check(self, alias: str) -> None:
        if self._current() != self.inode:
            raise errors.ConnectionLost(
                f"database {alias!r}: the file {self.path!r} was removed or replaced since it was opened", alias=alias
            )


def _open(
    path: str | os.PathLike[str],
    *,
    alias: str,
    read_only: bool,
    timeout: float,
    uri: bool,
    keep: Callable[[sqlite3.Connection], None] | None = None,
) -> tuple[Connection, _File | None]:
    name = os.fspath(path)
    try:
        raw = sqlite3.connect(
            name,
            timeout=timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_CACHED_STATEMENTS,
            factory=Connection,
            uri=uri,
        )
    except sqlite3.Error as error:
        raise _cannot_open(name, alias, error, uri=uri) from error
    raw.numbered = set()
    try:
        _configure(raw, read_only=read_only)
        if keep is not None:
            keep(raw)
    except sqlite3.Error as error:
        raw.close()
        raise _cannot_open(name, alias, error, uri=uri) from error
    except BaseException:
        raw.close()
        raise
    return raw, None if uri or _is_memory(name) else _File(name)


def _is_memory(name: str) -> bool:
    return name in ("", ":memory:")


def _configure(raw: sqlite3.Connection, *, read_only: bool) -> None:
    functions.register(raw)
    raw.execute("PRAGMA foreign_keys = ON")
    raw.execute("PRAGMA synchronous = NORMAL")
    # The first statement that reads the file: a file that is no database is found out here.
    (mode,) = raw.execute("PRAGMA journal_mode").fetchone()
    if mode not in ("wal", "memory"):
        _switch_to_wal(raw)  # for readers too: with the old journal one that reads keeps all others from writing
    if read_only:
        raw.execute("PRAGMA query_only = ON")


def _switch_to_wal(raw: sqlite3.Connection) -> None:
    try:
        raw.execute("PRAGMA journal_mode = wal").fetchone()
    except sqlite3.OperationalError as error:
        # Another connection is switching or writing, or the file is read-only: both work without WAL, and the
        # next connection tries again.
        if not translate.code_of(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_READONLY")):
            raise


def _cannot_open(name: str, alias: str, error: sqlite3.Error, *, uri: bool) -> errors.DatabaseError:
    if translate.code_of(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return translate.from_sqlite(error, alias=alias)
    reason = str(error) if uri else why_not_open(name, error)
    return translate.connection_failed(alias, f"SQLite {name!r}", reason, fatal=True)


def why_not_open(name: str, error: BaseException) -> str:
    """Why SQLite could not open a file, which its own words never tell.

    Args:
        name: The path of the file.
        error: What SQLite raised.
    """
    folder = os.path.dirname(os.path.abspath(name))
    if not os.path.isdir(folder):
        return f"the folder {folder!r} does not exist; make it first"
    if os.path.isdir(name):
        return "it is a folder; name a file in it"
    if translate.code_of(error).startswith("SQLITE_NOTADB"):
        return "it is not an SQLite database; check the url"
    if os.path.exists(name) and not os.access(name, os.R_OK):
        return "the file is not readable for this user"
    return str(error)


# -- what both links do --------------------------------------------------------------------------


_reply = Reply.__new__


def _execute(raw: Connection, command: Command, alias: str) -> Reply:
    if command.returns_key and command.table is not None and command.table.name not in raw.numbered:
        check_numbered(raw, command.table, alias)
    reply = _reply(Reply)  # a call of the class takes twice the time
    if command.returns_rows:
        cursor = raw.execute(command.sql, command.params)
        reply.rows = cursor.fetchall()
    elif type(command) is Repeated:
        rows: Any = command.params
        cursor = raw.executemany(command.sql, rows)
        reply.rows = []
    else:
        cursor = raw.execute(command.sql, command.params)
        reply.rows = key_row(cursor) if command.returns_key else []
    reply.count = cursor.rowcount
    reply.chunks = None
    return reply


def _execute_in_thread(raw: Connection, command: Command, alias: str) -> Reply:
    try:
        return _execute(raw, command, alias)
    except sqlite3.OperationalError as error:
        functions.explain(error)
        raise


def _reset(raw: sqlite3.Connection) -> None:
    if raw.in_transaction:
        raw.execute("ROLLBACK")


def _tidy(raw: sqlite3.Connection) -> None:
    """Leaves fresh statistics for the planner and what was written in the file itself; never waits for others."""
    with contextlib.suppress(sqlite3.Error):  # a duty of nobody in particular: the next one to close may do it
        if not raw.in_transaction:
            raw.execute("PRAGMA busy_timeout = 0")
            raw.execute("PRAGMA optimize")
            raw.execute("PRAGMA wal_checkpoint(PASSIVE)")


class SQLiteLink:
    """A blocking connection to SQLite; `connect_sqlite` makes it.

    Attributes:
        backend: Always `sqlite`.
        alias: The alias of its database.
        raw: The connection of sqlite3.
    """

    __slots__ = ("_file", "alias", "backend", "raw")

    def __init__(self, raw: Connection, *, alias: str = "default", file: _File | None = None) -> None:
        self.backend: BackendName = "sqlite"
        self.alias = alias
        self.raw = raw
        self._file = file

    def __repr__(self) -> str:
        return f"<SQLiteLink {self.alias!r}{' closed' if self.is_broken else ''}>"

    def execute(self, command: Command) -> Reply:
        """Runs one statement, or one statement for many rows of values."""
        try:
            return self._in_chunks(command) if command.in_chunks else _execute(self.raw, command, self.alias)
        except RAISED_BY_SQLITE as error:
            raise translate.from_sqlite(error, alias=self.alias, command=command) from error

    def _in_chunks(self, command: Command) -> Reply:
        cursor = self.raw.execute(command.sql, command.params)
        rows = cursor.fetchmany(CHUNK)
        if len(rows) < CHUNK:
            return Reply(rows)
        reply = Reply([])
        reply.chunks = self._chunks(command, cursor, rows)
        return reply

    def _chunks(self, command: Command, cursor: sqlite3.Cursor, rows: list[Row]) -> Generator[list[Row], None, None]:
        try:
            while rows:
                yield rows
                rows = cursor.fetchmany(CHUNK)
        except RAISED_BY_SQLITE as error:
            raise translate.from_sqlite(error, alias=self.alias, command=command) from error
        finally:
            cursor.close()

    def stream(self, command: Command, chunk_size: int, is_ours: IsOurs | None = None) -> Iterator[list[Row]]:
        """Runs a query and gives its rows in lists of at most `chunk_size`."""
        cursor = self.raw.cursor()
        try:
            cursor.execute(command.sql, command.params)
            while rows := cursor.fetchmany(chunk_size):
                yield rows
        except RAISED_BY_SQLITE as error:
            raise translate.from_sqlite(error, alias=self.alias, command=command) from error
        finally:
            cursor.close()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return not self.is_broken and self.raw.in_transaction

    @property
    def is_failed(self) -> bool:
        """Never: SQLite undoes a failed statement alone, or ends the transaction with it."""
        return False

    @property
    def is_broken(self) -> bool:
        """Whether it was closed."""
        try:
            self.raw.in_transaction  # noqa: B018 - as `is_closed`, without the call
        except sqlite3.ProgrammingError:
            return True
        return False

    @property
    def is_clean(self) -> bool:
        """Whether it is open, and no transaction is."""
        try:
            return not self.raw.in_transaction
        except sqlite3.ProgrammingError:
            return False

    def reset(self, timeout: float | None = None) -> None:
        """Rolls back what is open; waits for nobody."""
        try:
            if self.raw.in_transaction:
                self.raw.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise translate.from_sqlite(error, alias=self.alias) from error

    def ping(self, timeout: float | None = None) -> None:
        """Reads from the database, and makes sure that its file is still the one that was opened; waits for nobody."""
        try:
            self.raw.execute("SELECT 1").fetchone()
        except sqlite3.Error as error:
            raise translate.from_sqlite(error, alias=self.alias) from error
        if self._file is not None:
            self._file.check(self.alias)

    def tidy(self) -> None:
        """Before a writer is closed: statistics for the planner, and a checkpoint."""
        if not self.is_broken:
            _tidy(self.raw)

    def close(self) -> None:
        """Closes the connection; what is open in it is rolled back."""
        self.raw.close()

    def terminate(self) -> None:
        """Interrupts what runs in another thread; the connection is for closing only then."""
        if not self.is_broken:
            self.raw.interrupt()


class AsyncSQLiteLink:
    """An awaiting connection to SQLite; `aconnect_sqlite` makes it.

    Attributes:
        backend: Always `sqlite`.
        alias: The alias of its database.
        raw: The connection, an `AsyncSQLiteConnection`.
        at_once: Runs a short statement without awaiting anything; None where it has to be awaited.
    """

    __slots__ = ("_file", "_raw", "_time", "_worker", "alias", "at_once", "backend", "raw")

    def __init__(
        self,
        raw: sqlite_thread.AsyncSQLiteConnection,
        *,
        alias: str = "default",
        file: _File | None = None,
        time: LoopTime | None = None,
    ) -> None:
        self.backend: BackendName = "sqlite"
        self.alias = alias
        self.raw = raw
        self._raw = raw.raw
        self._worker = raw.worker
        self._time = LoopTime() if time is None else time
        self.at_once = ShortStatements(raw.raw, raw.worker, alias, self._time).at_once
        self._file = file

    def __repr__(self) -> str:
        return f"<AsyncSQLiteLink {self.alias!r}{' closed' if self.is_broken else ''}>"

    async def execute(self, command: Command) -> Reply:
        """The awaiting twin of `SQLiteLink.execute`."""
        reply = self.at_once(command)
        if reply is None and self._time.is_over:
            await self._time.pass_on()
            reply = self.at_once(command)
        if reply is not None:
            return reply
        self._time.hand_over(command.sql)
        try:
            return await self._worker.patiently(lambda: _execute_in_thread(self._raw, command, self.alias))
        except RAISED_BY_SQLITE as error:
            raise translate.from_sqlite(error, alias=self.alias, command=command) from error

    async def stream(
        self, command: Command, chunk_size: int, is_ours: IsOurs | None = None
    ) -> AsyncIterator[list[Row]]:
        """The awaiting twin of `SQLiteLink.stream`."""
        call = self.raw.worker.call
        try:
            cursor = await self.raw.worker.patiently(lambda: self._raw.execute(command.sql, command.params))
            try:
                while rows := await call(lambda: cursor.fetchmany(chunk_size)):
                    yield rows
            finally:
                if not self.is_broken:
                    await call(cursor.close)
        except RAISED_BY_SQLITE as error:
            raise translate.from_sqlite(error, alias=self.alias, command=command) from error

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self.raw.in_transaction

    @property
    def is_failed(self) -> bool:
        """Never: SQLite undoes a failed statement alone, or ends the transaction with it."""
        return False

    @property
    def is_broken(self) -> bool:
        """Whether it was closed."""
        return self.raw.is_closed

    @property
    def is_clean(self) -> bool:
        """Whether it is open, and no transaction is."""
        return not self.raw.is_closed and not self._raw.in_transaction

    async def reset(self, timeout: float | None = None) -> None:
        """The awaiting twin of `SQLiteLink.reset`."""
        if self.is_clean:
            return
        try:
            await self.raw.worker.call(lambda: _reset(self._raw))
        except sqlite3.Error as error:
            raise translate.from_sqlite(error, alias=self.alias) from error

    async def ping(self, timeout: float | None = None) -> None:
        """The awaiting twin of `SQLiteLink.ping`."""
        try:
            await self.raw.worker.call(lambda: self._raw.execute("SELECT 1").fetchone())
        except sqlite3.Error as error:
            raise translate.from_sqlite(error, alias=self.alias) from error
        if self._file is not None:
            self._file.check(self.alias)

    async def tidy(self) -> None:
        """The awaiting twin of `SQLiteLink.tidy`."""
        if not self.is_broken:
            await self.raw.worker.call(lambda: _tidy(self._raw))

    async def close(self) -> None:
        """The awaiting twin of `SQLiteLink.close`."""
        await self.raw.close()

    def terminate(self) -> None:
        """Interrupts what runs and lets the thread close the connection; waits for nothing."""
        self.raw.terminate()
