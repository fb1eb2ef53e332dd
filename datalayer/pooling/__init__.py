"""Connection pools for anything, and the pools of the databases in the settings."""

from __future__ import annotations

from datalayer.pooling.async_pool import AsyncLease, AsyncNullPool, AsyncPool
from datalayer.pooling.config import PoolConfig
from datalayer.pooling.connectors import AsyncConnector, Connector
from datalayer.pooling.pool import Lease, NullPool, Pool
from datalayer.pooling.registry import DatabasePool, PoolRegistry, pools
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
