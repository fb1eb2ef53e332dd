"""SQLite behind the protocol of `link.py`: sqlite3 in autocommit mode, blocking, and awaiting through a thread.

The awaiting link gives each connection one daemon thread, which is the only one that runs its statements: the law of
this file is that the event loop never waits for SQLite, and that a cancelled query has really ended before its
`CancelledError` goes on, so that the connection can be rolled back and lent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future as ThreadFuture
from queue import SimpleQueue
from typing import Any, TypeVar

from datalayer import errors
from datalayer._links import functions, translate
from datalayer._links.link import BackendName
from datalayer._plans.plan import Batch, Command, Reply, Row

T = TypeVar("T")

_CACHED_STATEMENTS = 512

# Python raises these about values (an int of more than 64 bits, a lone surrogate) before SQLite sees them.
_RAISED_BY_SQLITE: tuple[type[Exception], ...] = (sqlite3.Error, sqlite3.Warning, OverflowError, ValueError)

# An interruption that comes before SQLite has begun is lost: after so many of its steps (some hundredths of a second)
# a long query asks by itself whether it is still wanted.
_STEPS_BETWEEN_QUESTIONS = 4_000_000


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
) -> AsyncSQLiteLink:
    """The awaiting twin of `connect_sqlite`."""
    worker = _Worker(f"datalayer-sqlite-{alias}")
    try:
        raw, identity = await worker.call(
            lambda: _open(path, alias=alias, read_only=read_only, timeout=timeout, uri=uri, keep=worker.adopt)
        )
    except BaseException:
        worker.stop()
        raise
    return AsyncSQLiteLink(AsyncSQLiteConnection(raw, worker), alias=alias, file=identity)


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
) -> tuple[sqlite3.Connection, _File | None]:
    name = os.fspath(path)
    try:
        raw = sqlite3.connect(
            name,
            timeout=timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_CACHED_STATEMENTS,
            uri=uri,
        )
    except sqlite3.Error as error:
        raise _cannot_open(name, alias, error, uri=uri) from error
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
    if read_only:
        raw.execute("PRAGMA query_only = ON")
    elif mode not in ("wal", "memory"):
        _switch_to_wal(raw)


def _switch_to_wal(raw: sqlite3.Connection) -> None:
    try:
        raw.execute("PRAGMA journal_mode = wal").fetchone()
    except sqlite3.OperationalError as error:
        # Another connection is switching or writing, or the file is read-only: both work without WAL, and the
        # next connection tries again.
        if not (error.sqlite_errorname or "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_READONLY")):
            raise


def _cannot_open(name: str, alias: str, error: sqlite3.Error, *, uri: bool) -> errors.DatabaseError:
    code = getattr(error, "sqlite_errorname", None) or ""
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return translate.from_sqlite(error, alias=alias)
    reason = str(error)
    if not uri:
        folder = os.path.dirname(os.path.abspath(name))
        if not os.path.isdir(folder):
            reason = f"the folder {folder!r} does not exist; make it first"
        elif os.path.isdir(name):
            reason = "it is a folder; name a file in it"
        elif code.startswith("SQLITE_NOTADB"):
            reason = "it is not an SQLite database; check the url"
        elif os.path.exists(name) and not os.access(name, os.R_OK):
            reason = "the file is not readable for this user"
    return translate.connection_failed(alias, f"SQLite {name!r}", reason, fatal=True)


# -- what both links do --------------------------------------------------------------------------


def _execute(raw: sqlite3.Connection, command: Command | Batch) -> Reply:
    if isinstance(command, Command):
        cursor = raw.execute(command.sql, command.params)
        if command.returns_rows:
            rows = cursor.fetchall()
            return Reply(rows, cursor.rowcount)
        return Reply([], cursor.rowcount)
    return _execute_batch(raw, command)


def _execute_batch(raw: sqlite3.Connection, batch: Batch) -> Reply:
    if raw.in_transaction:
        return Reply([], raw.executemany(batch.sql, batch.rows).rowcount)
    # One transaction for all rows, as PostgreSQL does it: all or nothing, and not one wait for the disk a row.
    raw.execute("BEGIN IMMEDIATE")
    try:
        count = raw.executemany(batch.sql, batch.rows).rowcount
        raw.execute("COMMIT")
    except BaseException:
        if raw.in_transaction:
            raw.execute("ROLLBACK")
        raise
    return Reply([], count)


def _reset(raw: sqlite3.Connection) -> None:
    if raw.in_transaction:
        raw.execute("ROLLBACK")


def _is_closed(raw: sqlite3.Connection) -> bool:
    try:
        raw.in_transaction  # noqa: B018
    except sqlite3.ProgrammingError:
        return True
    return False


class SQLiteLink:
    """A blocking connection to SQLite; `connect_sqlite` makes it.

    Attributes:
        backend: Always `sqlite`.
        alias: The alias of its database.
        raw: The connection of sqlite3.
    """

    __slots__ = ("_file", "alias", "backend", "raw")

    def __init__(self, raw: sqlite3.Connection, *, alias: str = "default", file: _File | None = None) -> None:
        self.backend: BackendName = "sqlite"
        self.alias = alias
        self.raw = raw
        self._file = file

    def __repr__(self) -> str:
        return f"<SQLiteLink {self.alias!r}{' closed' if self.is_broken else ''}>"

    def execute(self, command: Command | Batch) -> Reply:
        """Runs one statement, or one statement for many rows of values."""
        try:
            return _execute(self.raw, command)
        except _RAISED_BY_SQLITE as error:
            raise translate.from_sqlite(error, alias=self.alias, command=command) from error

    def stream(self, command: Command, chunk_size: int) -> Iterator[list[Row]]:
        """Runs a query and gives its rows in lists of at most `chunk_size`."""
        cursor = self.raw.cursor()
        try:
            cursor.execute(command.sql, command.params)
            while rows := cursor.fetchmany(chunk_size):
                yield rows
        except _RAISED_BY_SQLITE as error:
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
        return _is_closed(self.raw)

    def reset(self) -> None:
        """Rolls back what is open."""
        try:
            _reset(self.raw)
        except sqlite3.Error as error:
            raise translate.from_sqlite(error, alias=self.alias) from error

    def ping(self) -> None:
        """Reads from the database, and makes sure that its file is still the one that was opened."""
        try:
            self.raw.execute("SELECT 1").fetchone()
        except sqlite3.Error as error:
            raise translate.from_sqlite(error, alias=self.alias) from error
        if self._file is not None:
            self._file.check(self.alias)

    def close(self) -> None:
        """Closes the connection; what is open in it is rolled back."""
        self.raw.close()

    def terminate(self) -> None:
        """Interrupts what runs in another thread; the connection is for closing only then."""
        if not self.is_broken:
            self.raw.interrupt()


# -- the thread of an awaiting connection --------------------------------------------------------


class _Job:
    """One piece of work for the thread, and the future its event loop waits on.

    `deliver` runs on the event loop, as does everything but `run`: no lock is needed.
    """

    __slots__ = (
        "acknowledged",
        "error",
        "future",
        "is_cancelled",
        "is_delivered",
        "is_started",
        "loop",
        "result",
        "work",
    )

    def __init__(self, work: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.acknowledged: asyncio.Future[None] | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_started = False
        self.is_cancelled = False
        self.is_delivered = False

    def run(self) -> None:
        if self.is_cancelled:
            self.error = sqlite3.ProgrammingError("Cannot operate on a closed database.")
        else:
            self.is_started = True
            try:
                self.result = self.work()
            except BaseException as error:
                self.error = error
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            self.loop.call_soon_threadsafe(self.deliver)

    def deliver(self) -> None:
        self.is_delivered = True
        if self.acknowledged is not None:
            if not self.acknowledged.done():
                self.acknowledged.set_result(None)
        elif self.future.done():
            pass  # cancelled in this very turn of the loop; `_Worker.call` sees is_delivered
        elif self.error is not None:
            # A StopIteration cannot travel through a future; sqlite3 raises none.
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class _Worker:
    """The one thread that works on a connection, in the order it is asked."""

    __slots__ = ("__weakref__", "_queue", "_state", "_thread")

    def __init__(self, name: str) -> None:
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._state = _WorkerState()
        # The thread knows the queue and the connection only: a forgotten worker can be collected and ends its thread.
        self._thread = threading.Thread(target=_serve, args=(self._queue, self._state), name=name, daemon=True)
        self._thread.start()

    def adopt(self, raw: sqlite3.Connection) -> None:
        self._state.raw = raw
        raw.set_progress_handler(self._state.is_unwanted, _STEPS_BETWEEN_QUESTIONS)

    @property
    def is_stopped(self) -> bool:
        return self._state.is_stopped

    async def call(self, work: Callable[[], T]) -> T:
        """Runs the work on the thread. A cancelled caller gets its cancellation when the work has ended."""
        if self._state.is_stopped:
            raise sqlite3.ProgrammingError("Cannot operate on a closed database.")
        job = _Job(work, asyncio.get_running_loop())
        self._queue.put(job)
        try:
            result: T = await job.future
        except asyncio.CancelledError:
            if not job.is_delivered:
                await self._acknowledgement(job)
            raise
        return result

    async def _acknowledgement(self, job: _Job) -> None:
        job.is_cancelled = True
        job.acknowledged = job.loop.create_future()
        if job.is_started:
            self.interrupt()
        while not job.acknowledged.done():
            # A second cancellation changes nothing: the thread still has to let go of the connection.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([job.acknowledged])

    def interrupt(self) -> None:
        if self._state.raw is not None:
            _interrupt(self._state.raw)

    def terminate(self) -> None:
        """Lets what runs fail, leaves out what waits, and stops."""
        self._state.is_terminated = True
        self.interrupt()
        self.stop()

    def stop(self) -> None:
        """Lets the thread close the connection and end, after what it was asked before."""
        if not self._state.is_stopped:
            self._state.is_stopped = True
            self._queue.put(None)

    def ended(self) -> ThreadFuture[None]:
        return self._state.ended


class _WorkerState:
    """What the thread and its worker both know."""

    __slots__ = ("ended", "is_stopped", "is_terminated", "job", "raw")

    def __init__(self) -> None:
        self.raw: sqlite3.Connection | None = None
        self.job: _Job | None = None
        self.is_stopped = False
        self.is_terminated = False
        self.ended: ThreadFuture[None] = ThreadFuture()

    def is_unwanted(self) -> bool:
        return self.is_terminated or (self.job is not None and self.job.is_cancelled)


def _serve(queue: SimpleQueue[_Job | None], state: _WorkerState) -> None:
    while (job := queue.get()) is not None:
        state.job = job
        if state.is_terminated:
            job.is_cancelled = True
        job.run()
        # Its result must not live until the next job comes.
        state.job = None
        del job
    try:
        if state.raw is not None:
            state.raw.set_progress_handler(None, 0)
            state.raw.close()
    finally:
        state.ended.set_result(None)


def _interrupt(raw: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.ProgrammingError):  # closed meanwhile
        raw.interrupt()


# -- awaiting ------------------------------------------------------------------------------------


class AsyncSQLiteCursor:
    """The cursor of an `AsyncSQLiteConnection`: sqlite3's, with its fetching awaited.

    Attributes:
        raw: The cursor of sqlite3.
    """

    __slots__ = ("_worker", "raw")

    def __init__(self, raw: sqlite3.Cursor, worker: _Worker) -> None:
        self.raw = raw
        self._worker = worker

    @property
    def rowcount(self) -> int:
        """The number of affected rows; -1 for a query."""
        return self.raw.rowcount

    @property
    def lastrowid(self) -> int | None:
        """The rowid of the last inserted row."""
        return self.raw.lastrowid

    @property
    def description(self) -> Any:
        """The columns of the result, as PEP 249 describes them; None when there are none."""
        return self.raw.description

    async def fetchone(self) -> Any:
        """The next row, or None."""
        return await self._worker.call(self.raw.fetchone)

    async def fetchmany(self, size: int = 100) -> list[Any]:
        """The next rows, at most `size`."""
        return await self._worker.call(lambda: self.raw.fetchmany(size))

    async def fetchall(self) -> list[Any]:
        """All remaining rows."""
        return await self._worker.call(self.raw.fetchall)

    async def close(self) -> None:
        """Lets go of the result."""
        await self._worker.call(self.raw.close)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while rows := await self.fetchmany():
            for row in rows:
                yield row


class AsyncSQLiteConnection:
    """An sqlite3 connection whose statements are awaited; `aconnection()` of a pool lends it.

    It is in autocommit mode: say `BEGIN` and `COMMIT` yourself, or use `atomic()`.

    Attributes:
        raw: The connection of sqlite3; only its own thread may run statements on it.
    """

    def __init__(self, raw: sqlite3.Connection, worker: _Worker) -> None:
        self.raw = raw
        self._worker = worker

    def __del__(self) -> None:
        # During interpreter shutdown attributes may be gone, hence the getattr.
        worker = getattr(self, "_worker", None)
        if worker is not None and not worker.is_stopped:
            warnings.warn("an AsyncSQLiteConnection was not closed", ResourceWarning, source=self, stacklevel=2)
            worker.stop()

    async def execute(self, sql: str, params: Sequence[object] | dict[str, object] = ()) -> AsyncSQLiteCursor:
        """Runs one statement and gives the cursor of its result."""
        raw = await self._worker.call(lambda: self.raw.execute(sql, params))
        return AsyncSQLiteCursor(raw, self._worker)

    async def executemany(self, sql: str, rows: Sequence[Sequence[object]]) -> AsyncSQLiteCursor:
        """Runs one statement for many rows of values."""
        raw = await self._worker.call(lambda: self.raw.executemany(sql, rows))
        return AsyncSQLiteCursor(raw, self._worker)

    async def executescript(self, sql: str) -> None:
        """Runs several statements that give no rows."""
        await self._worker.call(lambda: self.raw.executescript(sql))

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Calls `work` with the sqlite3 connection, on the connection's own thread."""
        return await self._worker.call(lambda: work(self.raw))

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return not self.is_closed and self.raw.in_transaction

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._worker.is_stopped or _is_closed(self.raw)

    def interrupt(self) -> None:
        """Makes the running statement fail."""
        self._worker.interrupt()

    async def close(self) -> None:
        """Closes the connection and ends its thread."""
        self._worker.stop()
        await asyncio.shield(asyncio.wrap_future(self._worker.ended()))

    def terminate(self) -> None:
        """Interrupts what runs and lets the thread close the connection; waits for nothing."""
        self._worker.terminate()


class AsyncSQLiteLink:
    """An awaiting connection to SQLite; `aconnect_sqlite` makes it.

    Attributes:
        backend: Always `sqlite`.
        alias: The alias of its database.
        raw: The connection, an `AsyncSQLiteConnection`.
    """

    __slots__ = ("_file", "_raw", "alias", "backend", "raw")

    def __init__(self, raw: AsyncSQLiteConnection, *, alias: str = "default", file: _File | None = None) -> None:
        self.backend: BackendName = "sqlite"
        self.alias = alias
        self.raw = raw
        self._raw = raw.raw
        self._file = file

    def __repr__(self) -> str:
        return f"<AsyncSQLiteLink {self.alias!r}{' closed' if self.is_broken else ''}>"

    async def execute(self, command: Command | Batch) -> Reply:
        """The awaiting twin of `SQLiteLink.execute`."""
        try:
            return await self.raw._worker.call(lambda: _execute(self._raw, command))
        except _RAISED_BY_SQLITE as error:
            raise translate.from_sqlite(error, alias=self.alias, command=command) from error

    async def stream(self, command: Command, chunk_size: int) -> AsyncIterator[list[Row]]:
        """The awaiting twin of `SQLiteLink.stream`."""
        call = self.raw._worker.call
        try:
            cursor = await call(lambda: self._raw.execute(command.sql, command.params))
            try:
                while rows := await call(lambda: cursor.fetchmany(chunk_size)):
                    yield rows
            finally:
                if not self.is_broken:
                    await call(cursor.close)
        except _RAISED_BY_SQLITE as error:
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

    async def reset(self) -> None:
        """The awaiting twin of `SQLiteLink.reset`."""
        if not self.is_broken and not self._raw.in_transaction:
            return
        try:
            await self.raw._worker.call(lambda: _reset(self._raw))
        except sqlite3.Error as error:
            raise translate.from_sqlite(error, alias=self.alias) from error

    async def ping(self) -> None:
        """The awaiting twin of `SQLiteLink.ping`."""
        try:
            await self.raw._worker.call(lambda: self._raw.execute("SELECT 1").fetchone())
        except sqlite3.Error as error:
            raise translate.from_sqlite(error, alias=self.alias) from error
        if self._file is not None:
            self._file.check(self.alias)

    async def close(self) -> None:
        """The awaiting twin of `SQLiteLink.close`."""
        await self.raw.close()

    def terminate(self) -> None:
        """Interrupts what runs and lets the thread close the connection; waits for nothing."""
        self.raw.terminate()
