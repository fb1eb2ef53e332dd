"""Ends that come to their end: a task that is cancelled leaves no transaction open and no commit half-way."""

from __future__ import annotations

import logging
import time
from collections.abc import Coroutine
from typing import Any, Final

from datalayer.databases.current import Transaction
from datalayer.late import asyncio

log = logging.getLogger("datalayer.transactions")

_PATIENCE: Final = 5.0
"""How long the rollback of a cancelled task may take before its connection is dropped, in seconds."""


async def to_the_end(work: Coroutine[Any, Any, Any], transaction: Transaction | None) -> asyncio.CancelledError | None:
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


async def given_back(transaction: Transaction, reason: BaseException | None) -> asyncio.CancelledError | None:
    """Gives the connection back; needs no task for that where it is clean, since a pool takes those at once."""
    giving = transaction.lease.__aexit__(None, reason, None)
    if reason is not None or transaction.link.in_transaction or transaction.link.is_broken:
        return await to_the_end(giving, transaction)
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
