"""Connection pools for anything, and the pools of the databases in the settings."""

from __future__ import annotations

from datalayer.pooling.async_lease import AsyncLease
from datalayer.pooling.async_pool import AsyncPool
from datalayer.pooling.config import PoolConfig
from datalayer.pooling.connectors import AsyncConnector, Connector
from datalayer.pooling.database import DatabasePool
from datalayer.pooling.lease import Lease
from datalayer.pooling.null import AsyncNullPool, NullPool
from datalayer.pooling.pool import Pool
from datalayer.pooling.registry import PoolRegistry, pools
from datalayer.pooling.sqlite import AsyncSQLitePool, SQLitePool
from datalayer.pooling.stats import CheckReport, CloseReport, LeaseInfo, PoolStats

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
