"""REFRESH MATERIALIZED VIEW."""

from __future__ import annotations

from datalayer._compile.assignments import quoted
from datalayer._compile.backends.base import BACKENDS
from datalayer._compile.prepared import Prepared
from datalayer._schema.table import TableSpec


def refresh(table: TableSpec, concurrently: bool) -> Prepared:
    """See `Compiler.refresh`."""
    name = quoted(BACKENDS["postgresql"], table.name)
    text = f"REFRESH MATERIALIZED VIEW {'CONCURRENTLY ' if concurrently else ''}{name}"
    return Prepared(text, (), table=table, writes=True)
