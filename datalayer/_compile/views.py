"""REFRESH MATERIALIZED VIEW."""

from __future__ import annotations

from datalayer._compile.assignments import quoted
from datalayer._compile.select import BACKENDS
from datalayer._schema.table import TableSpec


def refresh_text(table: TableSpec, concurrently: bool) -> str:
    """The statement of PostgreSQL that computes a materialized view anew."""
    name = quoted(BACKENDS["postgresql"], table.name)
    return f"REFRESH MATERIALIZED VIEW {'CONCURRENTLY ' if concurrently else ''}{name}"
