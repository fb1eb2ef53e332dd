"""Connection pools for anything, and the pools of the databases in the settings."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from datalayer.pooling.config import PoolConfig
from datalayer.pooling.connectors import AsyncConnector, Connector
from datalayer.pooling.database import DatabasePool
from datalayer.pooling.lease import Lease
from datalayer.pooling.null import NullPool
from datalayer.pooling.pool import Pool
from datalayer.pooling.registry import PoolRegistry, pools
from datalayer.pooling.sqlite import AsyncSQLitePool, SQLitePool
from datalayer.pooling.stats import CheckReport, CloseReport, LeaseInfo, PoolStats

if TYPE_CHECKING:
    from datalayer.pooling.async_lease import AsyncLease
    from datalayer.pooling.async_null import AsyncNullPool
    from datalayer.pooling.async_pool import AsyncPool

__all__ = [
    "AsyncConnector",
    "AsyncLease",
    "AsyncNullPool",
    "AsyncPool",
    "AsyncSQLitePool",
    "CheckReport",
    "CloseReport",
    "Connector",
    "DatabasePool",
    "Lease",
    "LeaseInfo",
    "NullPool",
    "Pool",
    "PoolConfig",
    "PoolRegistry",
    "PoolStats",
    "SQLitePool",
    "pools",
]

_LATE = {"AsyncLease": "async_lease", "AsyncNullPool": "async_null", "AsyncPool": "async_pool"}
"""What needs asyncio, and where it is."""


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
