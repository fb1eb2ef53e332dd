"""Pools that keep nothing: the surface of a pool for what is better opened anew each time."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, TypeVar

from datalayer.pooling.async_pool import AsyncPool
from datalayer.pooling.config import PoolConfig
from datalayer.pooling.connectors import AsyncConnector, Connector
from datalayer.pooling.pool import Pool

C = TypeVar("C")


class NullPool(Pool[C]):
    """A pool that keeps nothing: every lease opens a connection, every return closes it.

    Args:
        connector: As for `Pool`.
        config: As for `Pool`; `max_size` limits how many exist at one time, and 0, the default here, is no limit.
        options: As for `Pool`.
    """

    def __init__(self, connector: Connector[C], config: PoolConfig | None = None, **options: Any) -> None:
        super().__init__(connector, keeping_nothing(config), **options)


class AsyncNullPool(AsyncPool[C]):
    """A pool that keeps nothing: every lease opens a connection, every return closes it.

    Args:
        connector: As for `AsyncPool`.
        config: As for `AsyncPool`; `max_size` limits how many exist at one time, and 0, the default here, is no limit.
        options: As for `AsyncPool`.
    """

    def __init__(self, connector: AsyncConnector[C], config: PoolConfig | None = None, **options: Any) -> None:
        super().__init__(connector, keeping_nothing(config), **options)


def keeping_nothing(config: PoolConfig | None) -> PoolConfig:
    """The configuration of a pool that closes every connection at its return."""
    chosen = config if config is not None else PoolConfig(max_size=0)
    return replace(chosen, min_idle=0, max_uses=1, max_size=chosen.max_size or sys.maxsize)
