"""Transactions for users: `atomic()` as a block and as a decorator, in both worlds, and `on_commit`.

What is sent when a block is entered and left is written once, as plans (`_begin`, `_enter`, `_leave`, `_end`); the
blocking and awaiting halves below only borrow the link, run the plan and give the link back. The law: whatever
happens, a link goes back with no transaction open, and a block that ends without an error has committed.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import random
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, ParamSpec, TypeVar, cast, overload

from datalayer._compile.compiler import compiler_for
from datalayer._links.run import arun, run
from datalayer._plans import transaction as texts
from datalayer._plans.plan import Command, Plan
from datalayer._plans.transaction import ISOLATIONS, Isolation
from datalayer.databases import current, events, router
from datalayer.databases.current import Callback, Frame, Transaction
from datalayer.databases.events import AsyncHeard, Heard
from datalayer.errors import (
    ConnectionLost,
    DatabaseError,
    DeadlockDetected,
    LockTimeout,
    SerializationFailure,
    TransactionError,
    TransactionResolutionUnknown,
    choices_text,
    nearest,
)
from datalayer.pooling.database import DatabasePool
from datalayer.pooling.registry import pools

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

log = logging.getLogger("datalayer.transactions")

_WORTH_ANOTHER_TRY: Final = (SerializationFailure, DeadlockDetected, LockTimeout)
_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 1.0

# How long the rollback of a cancelled task may take before its connection is dropped.
_PATIENCE: Final = 5.0


# -- what is sent, written once ------------------------------------------------------------------


def _begin(transaction: Transaction) -> Plan[None]:
    if transaction.backend == "sqlite" and transaction.read_only:
        # A reader of the pool refuses writes already; the one connection of a database in memory does not.
        found = yield Command("PRAGMA query_only")
        if found.rows[0][0] == 0:
            transaction.restores_writing = True  # before it is so: a cancellation may come between the two
            yield Command("PRAGMA query_only = ON", returns_rows=False)
    isolation = cast("Isolation | None", transaction.isolation)
    yield from texts.begin(transaction.backend, isolation=isolation, read_only=transaction.read_only)


def _end(transaction: Transaction, error: BaseException | None) -> Plan[None]:
    """Commits, or rolls back where there is an error or was one that broke the transaction."""
    transaction.look()
    try:
        if error is None and transaction.failure is None and 0 not in transaction.undone:
            yield from _commit(transaction)
            transaction.is_committed = True
        elif transaction.link.in_transaction:
            yield from texts.rollback()
    except DatabaseError:
        # A refused commit: PostgreSQL has rolled back, SQLite keeps the transaction open.
        if transaction.link.in_transaction and not transaction.link.is_broken:
            yield from texts.rollback()
        yield from _writing_again(transaction)
        raise
    yield from _writing_again(transaction)
    if error is None and transaction.failure is not None:
        raise transaction.broken() from transaction.failure


def _commit(transaction: Transaction) -> Plan[None]:
    try:
        yield from texts.commit()
    except ConnectionLost as lost:
        # The server goes on without its client: what it was told to commit may be there.
        raise TransactionResolutionUnknown(
            f"database {transaction.alias!r}: the connection was lost during COMMIT, so the transaction may have been "
            "committed or rolled back; look whether its rows are there before you run it again",
            alias=transaction.alias,
            sqlstate=lost.sqlstate,
        ) from lost


def _writing_again(transaction: Transaction) -> Plan[None]:
    if transaction.restores_writing and not transaction.link.is_broken:
        transaction.restores_writing = False
        yield Command("PRAGMA query_only = OFF", returns_rows=False)


def _enter(transaction: Transaction, *, savepoint: bool) -> Plan[None]:
    name = f"datalayer_{len(transaction.frames) + 1}" if savepoint else None
    if name is not None:
        yield from texts.savepoint(name)
    transaction.frames.append(Frame(name, len(transaction.callbacks), len(transaction.undos)))


def _leave(transaction: Transaction, error: BaseException | None) -> Plan[None]:
    """Ends an inner block: its savepoint is released, or everything since is undone."""
    transaction.look()
    depth = len(transaction.frames)
    frame = transaction.frames.pop()
    name = frame.savepoint
    failure = transaction.failure
    is_undone = depth in transaction.undone
    transaction.undone.discard(depth)
    if error is None and failure is None and not is_undone:
        if name is not None:
            yield from texts.release(name)
        return
    if name is None:
        transaction.failure = failure or error
    else:
        del transaction.callbacks[frame.callbacks :]
        transaction.undo(frame.undos)
        try:
            yield from texts.rollback_to(name)
            yield from texts.release(name)
        except DatabaseError as refused:
            transaction.failure = failure or error or refused
            return  # the error that ends the block says more than this one
        if error is None and failure is not None:
            broken = transaction.broken()
            transaction.failure = None
            raise broken from failure
        transaction.failure = None
        return
    if error is None:
        raise transaction.broken() from failure


# -- the block and the decorator -----------------------------------------------------------------


class Atomic:
    """What `atomic()` gives: enter it with `with` or `async with`, or decorate a function with it.

    It keeps nothing of a transaction itself, so one object may be used many times and by many tasks.
    """

    __slots__ = ("_is_test", "durable", "isolation", "read_only", "retries", "savepoint", "using")

    def __init__(
        self,
        using: str = "default",
        *,
        savepoint: bool = True,
        durable: bool = False,
        isolation: Isolation | None = None,
        read_only: bool = False,
        retries: int = 0,
        _is_test: bool = False,
    ) -> None:
        if isolation is not None and isolation not in ISOLATIONS:
            raise TransactionError(
                f"unknown isolation {isolation!r}; the levels are: {choices_text(ISOLATIONS)}"
                f"{nearest(str(isolation), ISOLATIONS)}"
            )
        if type(retries) is not int or retries < 0:
            raise TransactionError(f"retries={retries!r} is no number of retries: use 0 or more")
        self.using = using
        self.savepoint = savepoint
        self.durable = durable
        self.isolation: Isolation | None = isolation
        self.read_only = read_only
        self.retries = retries
        self._is_test = _is_test

    def __repr__(self) -> str:
        return f"<atomic({self.using!r})>"

    # -- blocking -------------------------------------------------------------------------------

    def __enter__(self) -> None:
        if asyncio._get_running_loop() is not None:
            current.refuse_in_event_loop(1)
        outer = current.transaction(self.using)
        if outer is None:
            self._start()
        else:
            self._check_inner(outer, is_async=False)
            self._run(_enter(outer, savepoint=self._saves(outer)), outer)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        transaction = self._open()
        if transaction.frames:
            self._run(_leave(transaction, error), transaction)
            return
        reason = transaction.failure or error
        try:
            self._run(_end(transaction, error), transaction)
        except DatabaseError as refused:
            reason = refused
            if error is None:
                raise
            error.add_note(f"the rollback failed as well: {refused}")
        except TransactionError:
            self._advise(error)
            raise
        finally:
            # The pool rolls back what is still open, throws away what is broken, and hears whether the server is gone.
            self._close(transaction)
            transaction.lease.__exit__(None, reason, None)
        if transaction.is_committed:
            _call_back(transaction.callbacks)
        self._advise(error)

    def _start(self) -> None:
        pool = self._pool()
        lease = pool.borrow("read" if self.read_only else "write")
        transaction = self._made(pool, lease)
        try:
            for left in range(self.retries, -1, -1):
                try:
                    self._run(_begin(transaction), transaction)
                    break
                except LockTimeout:
                    if not left:
                        raise
        except BaseException as error:
            self._close(transaction)
            lease.__exit__(None, error, None)
            raise
        current.variable(self.using).set(transaction)

    @staticmethod
    def _run(plan: Plan[None], transaction: Transaction) -> None:
        run(plan, Heard(transaction.link) if events.listeners else transaction.link)

    # -- awaiting -------------------------------------------------------------------------------

    async def __aenter__(self) -> None:
        outer = current.transaction(self.using)
        if outer is None:
            await self._astart()
        else:
            self._check_inner(outer, is_async=True)
            await self._arun(_enter(outer, savepoint=self._saves(outer)), outer)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        transaction = self._open()
        if transaction.frames:
            if cancelled := await _to_the_end(self._arun(_leave(transaction, error), transaction), transaction):
                raise cancelled
            return
        cancelled = None
        reason = transaction.failure or error
        try:
            cancelled = await _to_the_end(self._arun(_end(transaction, error), transaction), transaction)
        except DatabaseError as refused:
            reason = refused
            if error is None:
                raise
            error.add_note(f"the rollback failed as well: {refused}")
        except TransactionError:
            self._advise(error)
            raise
        finally:
            self._close(transaction)
            cancelled = await _given_back(transaction, reason) or cancelled
        if transaction.is_committed:
            # Also when cancelled meanwhile: the data is committed, and its consequences must follow.
            await _acall_back(transaction.callbacks)
        if cancelled is not None:
            raise cancelled
        self._advise(error)

    async def _astart(self) -> None:
        pool = self._pool()
        lease = await pool.aborrow("read" if self.read_only else "write")
        transaction = self._made(pool, lease)
        try:
            for left in range(self.retries, -1, -1):
                try:
                    await self._arun(_begin(transaction), transaction)
                    break
                except LockTimeout:
                    if not left:
                        raise
        except BaseException as error:
            self._close(transaction)
            await _to_the_end(lease.__aexit__(None, error, None), None)
            raise
        current.variable(self.using).set(transaction)

    @staticmethod
    async def _arun(plan: Plan[None], transaction: Transaction) -> None:
        await arun(plan, AsyncHeard(transaction.link) if events.listeners else transaction.link)

    # -- both -----------------------------------------------------------------------------------

    def _pool(self) -> DatabasePool:
        pool = pools[self.using]
        if pool.settings.replica_of is not None and not self.read_only:
            raise TransactionError(
                f"{self.using!r} is a replica of {pool.settings.replica_of!r} and takes no writes; use "
                f"atomic({self.using!r}, read_only=True), or atomic({pool.settings.replica_of!r})"
            )
        return pool

    def _made(self, pool: DatabasePool, lease: Any) -> Transaction:
        return Transaction(
            self.using,
            compiler=compiler_for(lease.conn.backend),
            pool=pool,
            lease=lease,
            isolation=self.isolation,
            read_only=self.read_only,
            is_test=self._is_test,
        )

    def _saves(self, outer: Transaction) -> bool:
        # What a test takes for the outermost block must be undone alone.
        return self.savepoint or (outer.is_test and not outer.frames)

    def _open(self) -> Transaction:
        transaction = current.variable(self.using).get()
        if transaction is None or not transaction.is_open:
            raise TransactionError(
                f"atomic() on {self.using!r} is left where it was not entered: another task or context left it first"
            )
        return transaction

    def _close(self, transaction: Transaction) -> None:
        transaction.is_open = False
        if transaction.restores_writing:
            transaction.lease.discard("it was left refusing writes")
        if not transaction.is_committed:
            transaction.undo()
        elif not transaction.read_only:
            router.note_write(transaction.pool)
        # Not reset(token): the end of an asynchronous fixture may run in another context than its start.
        current.variable(self.using).set(None)

    def _check_inner(self, outer: Transaction, *, is_async: bool) -> None:
        outer.check(is_async=is_async)
        if self.durable and not (outer.is_test and not outer.frames):
            raise TransactionError(
                f"atomic(durable=True) on {self.using!r} is inside another atomic(), whose rollback would undo it; "
                "call it outside, or leave out durable"
            )
        if outer.is_test and not outer.frames:
            return
        if self.isolation not in (None, outer.isolation):
            raise TransactionError(
                f"atomic(isolation={self.isolation!r}) on {self.using!r} is inside another atomic(), and only the "
                "outermost chooses the isolation; give it there"
            )
        if self.read_only and not outer.read_only:
            raise TransactionError(
                f"atomic(read_only=True) on {self.using!r} is inside an atomic() that may write; "
                "give read_only to the outermost"
            )

    def _advise(self, error: BaseException | None) -> None:
        if self.retries and isinstance(error, _WORTH_ANOTHER_TRY) and not getattr(error, "__notes__", None):
            error.add_note(
                "the body of a 'with atomic(retries=...)' block cannot be run again, only a function can: "
                "decorate one with @atomic(retries=...)"
            )

    # -- the decorator --------------------------------------------------------------------------

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Wraps a function so that each call of it is one transaction, tried again `retries` times."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TransactionError(
                f"@atomic cannot decorate the generator {function.__qualname__!r}: its transaction would stay open "
                "between two values; use a block inside it, or return a list"
            )
        if inspect.iscoroutinefunction(function):
            return cast("Callable[P, R]", self._awaiting(function))

        @functools.wraps(function)
        def inside(*args: P.args, **kwargs: P.kwargs) -> R:
            for attempt in range(self.retries + 1):
                if attempt:
                    time.sleep(_pause(attempt))
                try:
                    with self._once():
                        return function(*args, **kwargs)
                except (*_WORTH_ANOTHER_TRY, TransactionError) as error:
                    if attempt == self.retries or not self._is_worth_it(error):
                        raise
            raise AssertionError("a loop of at least one turn has ended without a result")

        return inside

    def _awaiting(self, function: Callable[..., Coroutine[Any, Any, T]]) -> Callable[..., Coroutine[Any, Any, T]]:
        @functools.wraps(function)
        async def inside(*args: Any, **kwargs: Any) -> T:
            for attempt in range(self.retries + 1):
                if attempt:
                    await asyncio.sleep(_pause(attempt))
                try:
                    async with self._once():
                        return await function(*args, **kwargs)
                except (*_WORTH_ANOTHER_TRY, TransactionError) as error:
                    if attempt == self.retries or not self._is_worth_it(error):
                        raise
            raise AssertionError("a loop of at least one turn has ended without a result")

        return inside

    def _once(self) -> Atomic:
        """The block of one attempt: all of this but the retries."""
        return Atomic(
            self.using,
            savepoint=self.savepoint,
            durable=self.durable,
            isolation=self.isolation,
            read_only=self.read_only,
        )

    def _is_worth_it(self, error: BaseException) -> bool:
        """Whether the error is one of the moment, and the transaction it ended was ours to begin again."""
        outer = current.transaction(self.using)
        if outer is not None and not (outer.is_test and not outer.frames):
            return False
        return isinstance(error, _WORTH_ANOTHER_TRY) or isinstance(error.__cause__, _WORTH_ANOTHER_TRY)


def _pause(attempt: int) -> float:
    # A random part of a doubling time, so that two that failed together do not meet again.
    return random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**attempt))


@overload
def atomic(using: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def atomic(
    using: str = "default",
    *,
    savepoint: bool = True,
    durable: bool = False,
    isolation: Isolation | None = None,
    read_only: bool = False,
    retries: int = 0,
) -> Atomic: ...
def atomic(
    using: str | Callable[..., Any] = "default",
    *,
    savepoint: bool = True,
    durable: bool = False,
    isolation: Isolation | None = None,
    read_only: bool = False,
    retries: int = 0,
) -> Any:
    """All or nothing: what happens inside is committed at the end, or undone when an error leaves it.

    Use it as `with atomic():`, as `async with atomic():`, or as a decorator of a `def` or `async def`, with or without
    parentheses. Inside another one it is a savepoint: an error that is caught around the inner block undoes that
    block only.

    Args:
        using: The alias of the database.
        savepoint: False saves a nested block its savepoint; an error in it then dooms the outer block too.
        durable: True demands that this is the outermost block: when it ends, everything is on disk.
        isolation: `read committed`, `repeatable read`, `serializable`; None for the database's own default. SQLite is
            always serializable.
        read_only: True refuses writes, and does not wait for the writer of SQLite.
        retries: How often a decorated function is called again after a serialization failure, a deadlock or a lock
            timeout. A `with` block cannot be run again: there only its beginning is tried again.

    Raises:
        TransactionError: It is used wrongly, or an error caught inside has left nothing to commit.
        SyncInAsyncContext: `with` instead of `async with` in a running event loop.
    """
    if not isinstance(using, str):
        if not callable(using):
            raise TransactionError(
                f"atomic() takes the alias of a database, or decorates a function, and {using!r} is neither"
            )
        return Atomic()(using)
    return Atomic(
        using, savepoint=savepoint, durable=durable, isolation=isolation, read_only=read_only, retries=retries
    )


# -- cancelled, and still clean ------------------------------------------------------------------


async def _to_the_end(work: Coroutine[Any, Any, Any], transaction: Transaction | None) -> asyncio.CancelledError | None:
    """Awaits the work though the task is cancelled meanwhile, and gives back the cancellation, to be raised later.

    A commit is never left half-way, and a rollback is what makes the connection clean. Work that outlasts the
    patience after a cancellation loses its connection.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError as cancelled:
        await _patiently(task, transaction)
        if not task.done() or task.cancelled():
            raise
        if (error := task.exception()) is not None:
            raise cancelled from error
        return cancelled
    task.result()
    return None


async def _given_back(transaction: Transaction, reason: BaseException | None) -> asyncio.CancelledError | None:
    """Gives the connection back; needs no task for that where it is clean, since a pool takes those at once."""
    giving = transaction.lease.__aexit__(None, reason, None)
    if reason is not None or transaction.link.in_transaction or transaction.link.is_broken:
        return await _to_the_end(giving, transaction)
    try:
        await giving
    except asyncio.CancelledError as cancelled:
        return cancelled
    return None


async def _patiently(task: asyncio.Future[Any], transaction: Transaction | None) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not task.done():
        left = deadline - time.monotonic()
        if left <= 0:
            if transaction is not None:
                transaction.link.terminate()
            task.cancel()
            log.warning("a connection was dropped: its cancelled transaction could not be ended in %s s", _PATIENCE)
            return
        try:
            await asyncio.wait([task], timeout=left)
        except asyncio.CancelledError:
            continue  # cancelled once more: the connection must be clean first


# -- after the commit ----------------------------------------------------------------------------


def on_commit(function: Callable[[], object], using: str = "default", *, robust: bool = False) -> None:
    """Calls the function once the transaction is committed, or at once where there is none.

    It is forgotten when the transaction, or the savepoint it was registered in, is rolled back. Functions are called
    in the order they came, after the outermost block has ended and its connection is back in the pool. An error of
    one goes to whoever left the block, and those after it are not called; the data is committed all the same.

    Args:
        function: Takes no arguments. In an `async with atomic()` it may be an `async def`.
        using: The alias of the database.
        robust: True logs an error of the function, and goes on.

    Raises:
        TransactionError: The transaction is another task's or is broken, or an `async def` was given where nobody
            could await it.
    """
    if not callable(function):
        raise TransactionError(f"on_commit() takes a function, and {type(function).__name__} is none")
    transaction = current.transaction(using)
    is_awaitable = inspect.iscoroutinefunction(function)
    if transaction is None:
        _ = pools[using]  # an alias that the settings do not have is told here as well
        if is_awaitable:
            raise TransactionError(
                f"on_commit() was given an 'async def' outside of atomic() on {using!r}, where nobody can await it; "
                "await it yourself"
            )
        _call_back([Callback(function, robust)])
        return
    transaction.check(is_async=transaction.is_async)
    if is_awaitable and not transaction.is_async:
        raise TransactionError(
            f"on_commit() was given an 'async def' inside a blocking atomic() on {using!r}, where nobody can await "
            "it; use 'async with', or give it a plain function"
        )
    transaction.callbacks.append(Callback(function, robust))


def set_rollback(using: str = "default") -> None:
    """Lets the innermost `atomic()` end as if an error had left it, without one: what was done in it is undone.

    What runs before its end still runs. A block that has no savepoint of its own takes the one around it along.

    Args:
        using: The alias of the database.

    Raises:
        TransactionError: There is no block, or it is another task's or broken.
    """
    transaction = _inside(using)
    transaction.check(is_async=transaction.is_async)
    transaction.undone.add(_savepoint_around(transaction))


def get_rollback(using: str = "default") -> bool:
    """Whether the innermost `atomic()` can only be undone: by `set_rollback`, or because an error has broken it.

    Args:
        using: The alias of the database.

    Raises:
        TransactionError: There is no block.
    """
    transaction = _inside(using)
    transaction.look()
    return transaction.failure is not None or _savepoint_around(transaction) in transaction.undone


def _inside(using: str) -> Transaction:
    transaction = current.transaction(using)
    if transaction is None or (transaction.is_test and not transaction.frames):
        _ = pools[using]  # an alias that the settings do not have is told here as well
        raise TransactionError(f"there is no atomic() on {using!r} that could be undone; call it inside of one")
    return transaction


def _savepoint_around(transaction: Transaction) -> int:
    """How many blocks are around the innermost one that can be undone alone."""
    depth = len(transaction.frames)
    while depth and transaction.frames[depth - 1].savepoint is None:
        depth -= 1
    return depth


def _call_back(callbacks: list[Callback]) -> None:
    for callback in callbacks:
        try:
            result = callback.function()
            if inspect.iscoroutine(result):
                result.close()
                raise TransactionError(
                    "a function given to on_commit() gave back a coroutine, which nobody can await after a blocking "
                    "atomic(): what it was to do is not done; use 'async with', or give it a plain function"
                )
        except Exception:
            if not callback.is_robust:
                raise
            log.exception("a function given to on_commit(robust=True) failed")


async def _acall_back(callbacks: list[Callback]) -> None:
    for callback in callbacks:
        try:
            result = callback.function()
            if inspect.isawaitable(result):
                await result
        except Exception:
            if not callback.is_robust:
                raise
            log.exception("a function given to on_commit(robust=True) failed")
