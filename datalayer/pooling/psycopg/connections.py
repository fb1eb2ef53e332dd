"""What makes the connections of psycopg-pool, and tells their pool of each: the only way to see what happens inside.

psycopg-pool calls `connect` in one of its workers. It is held at the gate there until it is wanted, and tried again by
our own pauses; psycopg-pool hears of a failure only when there is nothing more to try.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeAlias

import psycopg
import psycopg_pool
from psycopg.pq import TransactionStatus

from datalayer._links.cancelling import AsyncConnection, Connection
from datalayer._links.postgresql import AsyncPostgresLink, PostgresLink, cannot_connect
from datalayer.pooling.psycopg.gate import AsyncGate, Gate, NotWanted

Arguments: TypeAlias = tuple[str, dict[str, Any]]


class Pooled:
    """A connection of ours in psycopg-pool."""


class Reported(Protocol):
    """What the classes ask and tell their pool."""

    alias: str

    def arguments(self, conninfo: str) -> Arguments: ...  # noqa: D102
    def turn_to_connect(self, gate: Gate | AsyncGate) -> float: ...  # noqa: D102
    def connected(self, link: Any, raw: Any, took: float) -> None: ...  # noqa: D102
    def connect_failed(self, error: BaseException, *, configured: bool = True) -> None: ...  # noqa: D102
    def connect_cancelled(self) -> None: ...  # noqa: D102
    def closed_one(self, raw: Any) -> None: ...  # noqa: D102


class ReportedTo(Reported, Protocol):
    """The pool of blocking connections."""

    def conninfo(self) -> str: ...  # noqa: D102
    def configure_link(self, link: PostgresLink) -> None: ...  # noqa: D102


class AsyncReportedTo(Reported, Protocol):
    """The pool of awaiting connections."""

    async def conninfo(self) -> str: ...  # noqa: D102
    async def configure_link(self, link: AsyncPostgresLink) -> None: ...  # noqa: D102


def _failure(error: Exception, conninfo: str, alias: str) -> Exception:
    if not isinstance(error, psycopg.Error):
        return error
    failed = cannot_connect(error, conninfo, alias)
    failed.__cause__ = error
    return failed


def connection_class(ref: weakref.ref[Any], gate: Gate) -> type[psycopg.Connection[Any]]:
    """The class of the connections of one blocking pool.

    Args:
        ref: The pool, a `ReportedTo`; it may be gone.
        gate: Where they wait for their turn.
    """

    def pool() -> ReportedTo | None:
        return ref()

    class PooledConnection(Connection, Pooled):
        @classmethod
        def connect(cls, conninfo: str = "", **options: Any) -> Any:
            while True:
                turn = gate.turn
                adapter = pool()
                if adapter is None:
                    raise NotWanted("the pool is gone")
                wait = adapter.turn_to_connect(gate)
                if wait:
                    del adapter  # a pool nobody else holds must be free to go
                    gate.wait(turn, wait)
                    continue
                try:
                    return cls._made(adapter)
                except Exception:
                    if gate.is_closed:
                        raise
                finally:
                    gate.wake()

        @classmethod
        def _made(cls, adapter: ReportedTo) -> Any:
            began = time.monotonic()
            given = ""
            try:
                given, options = adapter.arguments(adapter.conninfo())
                raw: Any = super().connect(given, **options)
            except Exception as error:
                adapter.connect_failed(_failure(error, given, adapter.alias))
                raise
            link = PostgresLink(raw, alias=adapter.alias)
            try:
                adapter.configure_link(link)
            except BaseException as error:
                raw.close()
                adapter.connect_failed(error, configured=False)
                if not isinstance(error, Exception):  # it would end the worker of psycopg-pool this runs in
                    raise psycopg.OperationalError("the configure hook was interrupted") from error
                raise
            adapter.connected(link, raw, time.monotonic() - began)
            return raw

        def close(self) -> None:
            if (adapter := pool()) is not None:
                adapter.closed_one(self)
            super().close()

    return PooledConnection


def async_connection_class(ref: weakref.ref[Any], gate: AsyncGate) -> type[psycopg.AsyncConnection[Any]]:
    """The twin of `connection_class`."""

    def pool() -> AsyncReportedTo | None:
        return ref()

    class PooledAsyncConnection(AsyncConnection, Pooled):
        @classmethod
        async def connect(cls, conninfo: str = "", **options: Any) -> Any:
            worker = asyncio.current_task()
            assert worker is not None
            gate.working.add(worker)
            try:
                while True:
                    turn = gate.turn
                    adapter = pool()
                    if adapter is None:
                        raise NotWanted("the pool is gone")
                    wait = adapter.turn_to_connect(gate)
                    if wait:
                        del adapter
                        await gate.wait(turn, wait)
                        continue
                    try:
                        return await cls._made(adapter)
                    except Exception:
                        if gate.is_closed:
                            raise
                    except BaseException:
                        adapter.connect_cancelled()
                        raise
                    finally:
                        gate.wake()
            finally:
                gate.working.discard(worker)

        @classmethod
        async def _made(cls, adapter: AsyncReportedTo) -> Any:
            began = time.monotonic()
            given = ""
            try:
                given, options = adapter.arguments(await adapter.conninfo())
                raw: Any = await super().connect(given, **options)
            except Exception as error:
                adapter.connect_failed(_failure(error, given, adapter.alias))
                raise
            link = AsyncPostgresLink(raw, alias=adapter.alias)
            try:
                await adapter.configure_link(link)
            except Exception as error:
                link.terminate()
                adapter.connect_failed(error, configured=False)
                raise
            except BaseException:
                link.terminate()
                raise
            adapter.connected(link, raw, time.monotonic() - began)
            return raw

        async def close(self) -> None:
            if (adapter := pool()) is not None:
                adapter.closed_one(self)
            await super().close()

    return PooledAsyncConnection


# -- the pools of psycopg-pool --------------------------------------------------------------------


class AskAgain(psycopg_pool.PoolClosed):
    """What callers who are turned away from the queue hear: as when the pool was closed, they ask the adapter again."""


class Line(deque[Any]):
    """The queue of a pool of psycopg-pool, in which nobody takes a place in vain.

    Args:
        is_hopeless: Whether nobody can be served; asked under the lock of the queue, with nothing between.
    """

    def __init__(self, is_hopeless: Callable[[], bool]) -> None:
        super().__init__()
        self._is_hopeless = is_hopeless

    def append(self, client: Any) -> None:
        """One more who waits."""
        if self._is_hopeless():
            raise AskAgain
        super().append(client)


def _forget_gone(waiting: deque[Any]) -> None:
    """Takes those who gave up from the head of a queue, where they come to stand sooner or later: no search."""
    while waiting and waiting[0].error:
        waiting.popleft()


_IDLE: Final = TransactionStatus.IDLE  # by way of the enum it takes twice the time of asking the connection


class Home(psycopg_pool.ConnectionPool[Any]):
    """A pool of psycopg-pool that is left alone in a child process.

    Args:
        is_hopeless: As for `Line`.
        lock: That of the adapter, instead of one of its own: one is taken where it would be two.
        options: Those of psycopg-pool.

    Attributes:
        look: Called with each idle connection by `check()`; raises when it is no good.
    """

    look: Callable[[Any], None]
    _is_inherited = False

    def __init__(self, *, is_hopeless: Callable[[], bool], lock: Any, **options: Any) -> None:
        super().__init__(**options)
        self._lock = lock
        self._waiting = Line(is_hopeless)

    def check_connection(self, conn: Any) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  # a static method there
        """Looks at an idle connection."""
        self.look(conn)

    def getconn(self, timeout: float | None = None) -> Any:
        """Lends a connection; a caller who gave up leaves the queue.

        psycopg-pool would keep him, and by the frames of his error whatever he used, until a connection comes: as long
        as an outage lasts.
        """
        try:
            return super().getconn(timeout)
        except BaseException:
            with self._lock:
                _forget_gone(self._waiting)
            raise

    def take(self) -> Any:
        """An idle connection, as `getconn` gives one but in fewer steps; None when there is none. Its lock is held."""
        idle = self._pool
        if not idle or self._closed:
            return None
        raw = idle.popleft()
        if len(idle) < self._nconns_min:
            self._nconns_min = len(idle)
        raw._pool = self
        return raw

    def keep(self, raw: Any) -> bool:
        """Takes a connection back, as `putconn` does but in fewer steps; False when there is more to do than that.

        Its lock is held.
        """
        if (
            self._waiting
            or self._closed
            or self._pool_full_event is not None
            or raw.pgconn.transaction_status != _IDLE  # in a transaction, or lost
            or raw._created_at <= self._drained_at
            or raw._expire_at <= time.monotonic()
        ):
            return False
        raw._pool = None
        self._pool.append(raw)
        return True

    def turn_away(self) -> None:
        """Lets everybody in the queue ask again."""
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
        for one in waiting:
            one.fail(AskAgain())

    def leave_to_parent(self) -> None:
        """In a child process: its threads are not here, and its locks may be held by one of them for ever."""
        self._is_inherited = True

    def __del__(self) -> None:
        if self._is_inherited:
            return
        if threading.current_thread() in getattr(self, "_workers", ()):
            self._signal_stop_worker()  # the last one to let go of it is its own: it cannot wait for itself
        else:
            super().__del__()


class _EndingQueue:
    """The queue of a worker that was cancelled gives it nothing more, so that it ends."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    async def get(self) -> Any:
        worker = asyncio.current_task()
        if worker is not None and worker.cancelling():
            raise asyncio.CancelledError
        return await self._queue.get()


class AsyncHome(psycopg_pool.AsyncConnectionPool[Any]):
    """A pool of psycopg-pool whose tasks end when they are cancelled.

    Its own swallow a cancellation that finds them connecting, or, before Python 3.12, one in the moment when something
    else wakes them; and `asyncio.run`, which cancels everything at its end and waits for it, would wait for ever.

    Args:
        is_hopeless: As for `Line`.
        options: Those of psycopg-pool.

    Attributes:
        look: Awaited with each idle connection by `check()`; raises when it is no good.
    """

    look: Callable[[Any], Awaitable[None]]

    def __init__(self, *, is_hopeless: Callable[[], bool], **options: Any) -> None:
        super().__init__(**options)
        self._waiting = Line(is_hopeless)

    def serves_at_once(self) -> bool:
        """Whether `getconn` waits for nothing: a connection is idle, and nobody is in the middle of taking one."""
        return bool(self._pool) and not self._lock.locked()

    def take(self) -> Any:
        """As `Home.take`; no other task runs in between."""
        idle = self._pool
        if not idle or self._closed or self._lock.locked():
            return None
        raw = idle.popleft()
        if len(idle) < self._nconns_min:
            self._nconns_min = len(idle)
        raw._pool = self
        return raw

    def keep(self, raw: Any) -> bool:
        """As `Home.keep`; no other task runs in between."""
        if (
            self._waiting
            or self._closed
            or self._pool_full_event is not None
            or self._lock.locked()
            or raw.pgconn.transaction_status != _IDLE
            or raw._created_at <= self._drained_at
            or raw._expire_at <= time.monotonic()
        ):
            return False
        raw._pool = None
        self._pool.append(raw)
        return True

    async def getconn(self, timeout: float | None = None) -> Any:
        """The twin of `Home.getconn`."""
        try:
            return await super().getconn(timeout)
        except BaseException:
            _forget_gone(self._waiting)
            raise

    async def turn_away(self) -> None:
        """The twin of `Home.turn_away`."""
        async with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
        for one in waiting:
            await one.fail(AskAgain())

    async def check_connection(self, conn: Any) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  # a static method there
        """The twin of `Home.check_connection`."""
        await self.look(conn)

    @classmethod
    async def worker(cls, q: Any) -> None:
        """Works until it is told to stop, or cancelled."""
        ending: Any = _EndingQueue(q)
        await super().worker(ending)

    async def _signal_stop_worker(self) -> list[Any]:
        """Gives the workers that are still at work, to be waited for.

        At the end of a loop all of them have been cancelled, and waiting for one would raise that instead of closing
        the connections.
        """
        return [worker for worker in await super()._signal_stop_worker() if not worker.done()]

    async def schedule_task(self, task: Any, delay: float) -> None:
        """Runs a task later, by the timer of the loop: the scheduler of psycopg-pool is never woken, and so can end."""
        ref: weakref.ref[AsyncHome] = weakref.ref(self)
        asyncio.get_running_loop().call_later(delay, _run, ref, task)


def _run(ref: weakref.ref[AsyncHome], task: Any) -> None:
    home = ref()
    if home is not None and not home.closed:
        home.run_task(task)
