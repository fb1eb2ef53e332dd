"""Databases by alias, and transactions."""

from __future__ import annotations

from datalayer.databases.atomic import Atomic, atomic, get_rollback, on_commit, set_rollback
from datalayer.databases.database import Database, Databases, databases

__all__ = ["Atomic", "Database", "Databases", "atomic", "databases", "get_rollback", "on_commit", "set_rollback"]
