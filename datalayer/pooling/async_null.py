"""The awaiting pool that keeps nothing."""

from __future__ import annotations

from typing import TypeVar

from datalayer.pooling.async_pool import AsyncPool
from datalayer.pooling.null import KeepingNothing

C = TypeVar("C")


class AsyncNullPool(KeepingNothing[C], AsyncPool[C]):
    """A pool that keeps nothing; the twin of `NullPool`, made as an `AsyncPool`."""
