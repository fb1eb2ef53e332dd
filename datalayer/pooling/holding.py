"""What a thread or task holds for longer than one statement: the connection of its open transaction, by alias.

It lies below the transactions, so that a pool lends this connection to SQL by hand, and not another one: that would see
nothing of the transaction, and would not be undone with it.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, Protocol


class Holder(Protocol):
    """Who holds a connection: a transaction.

    Attributes:
        is_open: Whether it still goes on: tasks may inherit one that has ended.
    """

    is_open: bool

    def lent(self, *, is_async: bool) -> AbstractContextManager[Any]:
        """Lends the driver's own connection for a block."""
        ...


variables: dict[str, ContextVar[Any]] = {}
"""Who holds a connection of a database here; never forgotten, since a ContextVar lives for ever."""

_lock = threading.Lock()


def variable(alias: str) -> ContextVar[Any]:
    """The context variable of a database."""
    found = variables.get(alias)
    if found is None:
        with _lock:
            found = variables.setdefault(alias, ContextVar(f"datalayer_transaction_{alias}", default=None))
    return found


def holder(alias: str) -> Holder | None:
    """Who holds a connection here; None when nobody does."""
    known = variables.get(alias)
    found: Holder | None = None if known is None else known.get()
    return found if found is not None and found.is_open else None
