"""What a test has set in motion: the functions that `on_commit` would call, if the test ever committed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from datalayer.databases import current
from datalayer.errors import TransactionError


@contextmanager
def capture_on_commit(using: str = "default") -> Generator[list[Callable[[], object]], None, None]:
    """Gives the functions that the block gave to `on_commit`, for the test to look at and to call.

    A test with the fixture `db` runs in a transaction that is undone, so nobody else calls them. The list is filled at
    the end of the block, without those whose savepoint was rolled back.

    Args:
        using: The alias of the database.

    Raises:
        TransactionError: There is no transaction, so that `on_commit` calls its functions itself.
    """
    transaction = current.transaction(using)
    if transaction is None:
        raise TransactionError(
            f"capture_on_commit() is used outside of a transaction on {using!r}, where on_commit() calls its functions "
            "by itself; use it in a test with the fixture 'db'"
        )
    captured: list[Callable[[], object]] = []
    before = len(transaction.callbacks)
    yield captured
    captured.extend(callback.function for callback in transaction.callbacks[before:])
