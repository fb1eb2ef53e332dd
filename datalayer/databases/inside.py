"""What code inside of a transaction says about its end: `on_commit`, `set_rollback`, and `get_rollback`, which asks."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable

from datalayer.databases import current
from datalayer.databases.current import Callback, Transaction
from datalayer.errors import TransactionError
from datalayer.pooling.registry import pools

log = logging.getLogger("datalayer.transactions")


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
        call_back([Callback(function, robust)])
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


def call_back(callbacks: list[Callback]) -> None:
    """Calls what `on_commit` was given, now that it is committed."""
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


async def acall_back(callbacks: list[Callback]) -> None:
    """The awaiting twin of `call_back`."""
    for callback in callbacks:
        try:
            result = callback.function()
            if inspect.isawaitable(result):
                await result
        except Exception:
            if not callback.is_robust:
                raise
            log.exception("a function given to on_commit(robust=True) failed")
