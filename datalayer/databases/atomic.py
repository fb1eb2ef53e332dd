"""Transactions for users: `atomic()` as a block and as a decorator, in both worlds.

What is sent when a block is entered and left is written once, as plans (`steps.py`); the blocking and awaiting halves
below only borrow the link, run the plan and give the link back. The law: whatever
happens, a link goes back with no transaction open, and a block that ends without an error has committed.
"""

from __future__ import annotations

import functools
import inspect
import random
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, ParamSpec, TypeVar, cast, overload

from datalayer._compile.compiler import COMPILERS
from datalayer._links.run import arun, run
from datalayer._plans.plan import Plan
from datalayer._plans.transaction import ISOLATIONS, Isolation
from datalayer.databases import current, events, router, steps
from datalayer.databases.current import Transaction
from datalayer.databases.ending import given_back, to_the_end
from datalayer.databases.events import AsyncHeard, Heard
from datalayer.databases.inside import acall_back, call_back
from datalayer.errors import (
    DatabaseError,
    DeadlockDetected,
    LockTimeout,
    SerializationFailure,
    TransactionError,
    choices_text,
    nearest,
)
from datalayer.late import asyncio
from datalayer.pooling.database import DatabasePool
from datalayer.pooling.registry import pools

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_WORTH_ANOTHER_TRY: Final = (SerializationFailure, DeadlockDetected, LockTimeout)
_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 1.0


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
        if current.running_loop() is not None and current.is_in_event_loop():
            current.refuse_in_event_loop(1)
        outer = current.transaction(self.using)
        if outer is None:
            self._start()
        else:
            self._check_inner(outer, is_async=False)
            self._run(steps.enter(outer, savepoint=self._saves(outer)), outer)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        transaction = self._open()
        if transaction.frames:
            self._run(steps.leave(transaction, error), transaction)
            return
        reason = transaction.failure or error
        try:
            self._run(steps.end(transaction, error), transaction)
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
            call_back(transaction.callbacks)
        self._advise(error)

    def _start(self) -> None:
        pool = self._pool()
        lease = pool.borrow("read" if self.read_only else "write")
        transaction = self._made(pool, lease, is_async=False)
        try:
            for left in range(self.retries, -1, -1):
                try:
                    self._run(steps.begin(transaction), transaction)
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
            await self._arun(steps.enter(outer, savepoint=self._saves(outer)), outer)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        transaction = self._open()
        if transaction.frames:
            if cancelled := await to_the_end(self._arun(steps.leave(transaction, error), transaction), transaction):
                raise cancelled
            return
        cancelled = None
        reason = transaction.failure or error
        try:
            cancelled = await to_the_end(self._arun(steps.end(transaction, error), transaction), transaction)
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
            cancelled = await given_back(transaction, reason) or cancelled
        if transaction.is_committed:
            # Also when cancelled meanwhile: the data is committed, and its consequences must follow.
            await acall_back(transaction.callbacks)
        if cancelled is not None:
            raise cancelled
        self._advise(error)

    async def _astart(self) -> None:
        pool = self._pool()
        lease = await pool.asking("read" if self.read_only else "write")
        transaction = self._made(pool, lease, is_async=True)
        try:
            for left in range(self.retries, -1, -1):
                try:
                    await self._arun(steps.begin(transaction), transaction)
                    break
                except LockTimeout:
                    if not left:
                        raise
        except BaseException as error:
            self._close(transaction)
            await to_the_end(lease.__aexit__(None, error, None), None)
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

    def _made(self, pool: DatabasePool, lease: Any, *, is_async: bool) -> Transaction:
        return Transaction(
            self.using,
            compiler=COMPILERS[lease.conn.backend],
            pool=pool,
            lease=lease,
            is_async=is_async,
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
