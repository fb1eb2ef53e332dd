"""PostgreSQL through psycopg-pool, with the leases, numbers, events and errors of the generic pool."""

from __future__ import annotations

from datalayer.pooling.psycopg.awaiting import AsyncPsycopgPool
from datalayer.pooling.psycopg.blocking import PsycopgPool

__all__ = ["AsyncPsycopgPool", "PsycopgPool"]
