"""Views as models: read like tables, never written to."""

from __future__ import annotations

from datalayer._compile.compiler import Compiler
from datalayer._plans.plan import Plan
from datalayer._plans.write import writing
from datalayer._schema.table import TableSpec
from datalayer.errors import NotSupported, QueryError


def refuse_view(table: TableSpec, verb: str) -> None:
    """Refuses a write to a view.

    Raises:
        QueryError: The table is one.
    """
    if table.view is not None:
        raise QueryError(f"{table.model} is a view, which {verb}() cannot write to; write to the tables it reads")


@writing
def refresh(compiler: Compiler, table: TableSpec, concurrently: bool) -> Plan[None]:
    """Computes a materialized view anew.

    Raises:
        QueryError: It is none.
        NotSupported: The backend has none.
    """
    if table.view != "materialized":
        raise QueryError(f"{table.model} is no materialized view; Meta.view = 'materialized' makes it one")
    if compiler.backend == "sqlite":
        raise NotSupported("SQLite has no materialized views; keep a table and fill it with insert_from()")
    yield compiler.refresh(table, concurrently).command(())
