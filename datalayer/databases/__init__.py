"""Databases by alias, and transactions."""

from __future__ import annotations

from datalayer.databases.atomic import Atomic, atomic, on_commit
from datalayer.databases.database import Database, Databases, databases

__all__ = ["Atomic", "Database", "Databases", "atomic", "databases", "on_commit"]
