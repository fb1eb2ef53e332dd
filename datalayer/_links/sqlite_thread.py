"""The thread of an awaiting SQLite connection, and the connection as its borrower sees it.

The law of this file: the event loop never waits for SQLite, and a cancelled caller gets its `CancelledError` when the
thread has let go of the connection, so that it can be rolled back and lent again. All statements run on the thread but
the short ones of `sqlite_short.py`.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from datalayer._links.numbered import Connection
from datalayer._links.translate import code_of
from datalayer.late import asyncio, futures

T = TypeVar("T")

# An interruption that comes before SQLite has begun is lost: after so many of its steps (some hundredths of a second)
# a long query asks by itself whether it is still wanted.
_STEPS_BETWEEN_QUESTIONS = 4_000_000

# SQLite cannot be interrupted while it waits for the locks of others: an awaiting connection waits in turns this long.
LOCK_TURN = 0.1


def is_closed(raw: sqlite3.Connection) -> bool:
    """Whether the connection was closed."""
    try:
        raw.in_transaction  # noqa: B018
    except sqlite3.ProgrammingError:
        return True
    return False


class _Job:
    """One piece of work for the thread, and the future its event loop waits on.

    `deliver` runs on the event loop, as does everything but `run` and `tell`: no lock is needed.
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
        work = self.work
        del self.work  # what it knows is free when its result is told, and not when the thread has its next turn
        if self.is_cancelled:
            self.error = sqlite3.ProgrammingError("Cannot operate on a closed database.")
        else:
            self.is_started = True
            try:
                self.result = work()
            except BaseException as error:
                self.error = error

    def tell(self) -> None:
        try:
            self.loop.call_soon_threadsafe(self.deliver)
        except RuntimeError:
            return  # the loop was closed: nobody waits any more

    def deliver(self) -> None:
        self.is_delivered = True
        if self.acknowledged is not None:
            if not self.acknowledged.done():
                self.acknowledged.set_result(None)
        elif self.future.done():
            pass  # cancelled in this very turn of the loop; `Worker.call` sees is_delivered
        elif self.error is not None:
            # A StopIteration cannot travel through a future; sqlite3 raises none.
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Worker:
    """The one thread that works on a connection, in the order it is asked.

    Attributes:
        pending: How much of what it was asked the event loop has not seen the end of: it has nothing to do at 0.
        heeded: What SQLite asks, now and then, whether to go on.
    """

    __slots__ = ("__weakref__", "_is_unwanted", "_queue", "_state", "_thread", "heeded", "pending")

    def __init__(self, name: str, *, lock_timeout: float) -> None:
        self.pending = 0
        self.heeded: Callable[[], bool] | None = None
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._state = _State(lock_timeout)
        self._is_unwanted: Callable[[], bool] = self._state.is_unwanted
        # The thread knows the queue and the connection only: a forgotten worker can be collected and ends its thread.
        self._thread = threading.Thread(target=_serve, args=(self._queue, self._state), name=name, daemon=True)
        self._thread.start()

    def adopt(self, raw: sqlite3.Connection) -> None:
        self._state.raw = raw
        self.heed(raw, self._is_unwanted, _STEPS_BETWEEN_QUESTIONS)

    def heed(self, raw: sqlite3.Connection, asked: Callable[[], bool], steps: int) -> None:
        """Lets queries ask whether to stop, each time SQLite has made so many steps.

        On the thread long ones ask whether they are still wanted; that is so again before it is given anything to do.
        """
        raw.set_progress_handler(asked, steps)
        self.heeded = asked

    @property
    def is_stopped(self) -> bool:
        return self._state.is_stopped

    async def call(self, work: Callable[[], T]) -> T:
        """Runs the work on the thread. A cancelled caller gets its cancellation when the work has ended."""
        if self._state.is_stopped:
            raise sqlite3.ProgrammingError("Cannot operate on a closed database.")
        if self.heeded is not self._is_unwanted and self._state.raw is not None:
            self.heed(self._state.raw, self._is_unwanted, _STEPS_BETWEEN_QUESTIONS)
        job = _Job(work, asyncio.get_running_loop())
        self.pending += 1
        self._queue.put(job)
        try:
            result: T = await job.future
        except asyncio.CancelledError:
            if not job.is_delivered:
                await self._acknowledgement(job)
            self.pending -= 1
            raise
        except Exception:
            self.pending -= 1
            raise
        # A coroutine that is closed with its loop comes by none of these: nobody knows then what the thread does.
        self.pending -= 1
        return result

    def patiently(self, work: Callable[[], T]) -> Coroutine[Any, Any, T]:
        """`call` for work that may meet the locks of others."""
        return self.call(partial(self._state.patiently, work))

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

    def ended(self) -> futures.Future[None]:
        return self._state.ended


class _State:
    """What the thread and its worker both know."""

    __slots__ = ("ended", "is_stopped", "is_terminated", "job", "lock_timeout", "raw")

    def __init__(self, lock_timeout: float) -> None:
        self.lock_timeout = lock_timeout
        self.raw: sqlite3.Connection | None = None
        self.job: _Job | None = None
        self.is_stopped = False
        self.is_terminated = False
        self.ended: futures.Future[None] = futures.Future()

    def is_unwanted(self) -> bool:
        return self.is_terminated or (self.job is not None and self.job.is_cancelled)

    def patiently(self, work: Callable[[], T]) -> T:
        """Does the work again while it meets locks, until the time is up or nobody wants it any more."""
        deadline = None
        changes = None if self.raw is None else self.raw.total_changes
        while True:
            started = time.monotonic()
            try:
                return work()
            except sqlite3.OperationalError as error:
                now = time.monotonic()
                deadline = deadline or started + self.lock_timeout
                # SQLite gives up before its turn has passed where waiting would be a deadlock.
                has_waited = now - started >= LOCK_TURN / 2
                is_lock = code_of(error) == "SQLITE_BUSY"
                if not is_lock or not has_waited or now >= deadline - LOCK_TURN / 2 or self.is_unwanted():
                    raise
                if self.raw is not None and self.raw.total_changes != changes:
                    raise  # a part of it was done: twice would be wrong


def _serve(queue: SimpleQueue[_Job | None], state: _State) -> None:
    while (job := queue.get()) is not None:
        state.job = job
        if state.is_terminated:
            job.is_cancelled = True
        job.run()
        state.job = None  # before anybody is told, who may look whether the thread is idle
        job.tell()
        del job  # its result must not live until the next one comes
    try:
        if state.raw is not None:
            state.raw.close()
    finally:
        state.ended.set_result(None)


def _interrupt(raw: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.ProgrammingError):  # closed meanwhile
        raw.interrupt()


class AsyncSQLiteCursor:
    """The cursor of an `AsyncSQLiteConnection`: sqlite3's, with its fetching awaited.

    Attributes:
        raw: The cursor of sqlite3.
    """

    __slots__ = ("raw", "worker")

    def __init__(self, raw: sqlite3.Cursor, worker: Worker) -> None:
        self.raw = raw
        self.worker = worker

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
        return await self.worker.call(self.raw.fetchone)

    async def fetchmany(self, size: int = 100) -> list[Any]:
        """The next rows, at most `size`."""
        return await self.worker.call(lambda: self.raw.fetchmany(size))

    async def fetchall(self) -> list[Any]:
        """All remaining rows."""
        return await self.worker.call(self.raw.fetchall)

    async def close(self) -> None:
        """Lets go of the result."""
        await self.worker.call(self.raw.close)

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

    def __init__(self, raw: Connection, worker: Worker) -> None:
        self.raw = raw
        self.worker = worker

    def __del__(self) -> None:
        # During interpreter shutdown attributes may be gone, hence the getattr.
        worker = getattr(self, "worker", None)
        if worker is not None and not worker.is_stopped:
            warnings.warn("an AsyncSQLiteConnection was not closed", ResourceWarning, source=self, stacklevel=2)
            worker.stop()

    async def execute(self, sql: str, params: Sequence[object] | dict[str, object] = ()) -> AsyncSQLiteCursor:
        """Runs one statement and gives the cursor of its result."""
        raw = await self.worker.patiently(lambda: self.raw.execute(sql, params))
        return AsyncSQLiteCursor(raw, self.worker)

    async def executemany(self, sql: str, rows: Sequence[Sequence[object]]) -> AsyncSQLiteCursor:
        """Runs one statement for many rows of values."""
        raw = await self.worker.patiently(lambda: self.raw.executemany(sql, rows))
        return AsyncSQLiteCursor(raw, self.worker)

    async def executescript(self, sql: str) -> None:
        """Runs several statements that give no rows."""
        await self.worker.call(lambda: self.raw.executescript(sql))

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Calls `work` with the sqlite3 connection, on the connection's own thread."""
        return await self.worker.call(lambda: work(self.raw))

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return not self.is_closed and self.raw.in_transaction

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self.worker.is_stopped or is_closed(self.raw)

    def interrupt(self) -> None:
        """Makes the running statement fail."""
        self.worker.interrupt()

    async def close(self) -> None:
        """Closes the connection and ends its thread."""
        self.worker.stop()
        await asyncio.shield(asyncio.wrap_future(self.worker.ended()))

    def terminate(self) -> None:
        """Interrupts what runs and lets the thread close the connection; waits for nothing."""
        self.worker.terminate()
