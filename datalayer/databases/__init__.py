"""Databases by alias, and transactions."""

from __future__ import annotations

from datalayer.databases.atomic import Atomic, atomic
from datalayer.databases.database import Database, Databases, databases
from datalayer.databases.inside import get_rollback, on_commit, set_rollback

__all__ = ["Atomic", "Database", "Databases", "atomic", "databases", "get_rollback", "on_commit", "set_rollback"]
