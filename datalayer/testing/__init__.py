"""What tests of an application need: tables from models, captured and counted statements, a pytest plugin."""

from __future__ import annotations

from datalayer.testing.consequences import capture_on_commit
from datalayer.testing.isolation import isolated_models
from datalayer.testing.statements import Statements, assert_num_queries, capture_queries
from datalayer.testing.tables import acreate_tables, adrop_tables, create_tables, drop_tables

__all__ = [
    "Statements",
    "acreate_tables",
    "adrop_tables",
    "assert_num_queries",
    "capture_on_commit",
    "capture_queries",
    "create_tables",
    "drop_tables",
    "isolated_models",
]
