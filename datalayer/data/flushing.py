"""`flush`: every row of the models' tables thrown away."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from datalayer._plans.plan import Plan
from datalayer._plans.write import writing
from datalayer._schema.table import TableSpec
from datalayer.data.order import chosen, late_fields, ordered
from datalayer.databases.atomic import atomic
from datalayer.databases.database import databases

if TYPE_CHECKING:
    from datalayer._compile.compiler import Compiler


def tables_to_flush() -> list[TableSpec]:
    """The tables that `flush` empties, each after those it refers to.

    Raises:
        ModelError: Models refer to each other in a way that no order is right for.
    """
    return ordered(chosen(()).values())


def flush(*, using: str = "default") -> int:
    """Deletes every row of the models' tables, all or none, and begins their numbering anew; gives the tables' number.

    The record of the migrations stays, and so do tables that are not ours to change (`managed = False`). No hooks run.

    Args:
        using: The alias of the database.
    """
    tables = tables_to_flush()
    with atomic(using):
        databases[using].run(_flush, tables)
    return len(tables)


async def aflush(*, using: str = "default") -> int:
    """The awaiting twin of `flush`."""
    tables = tables_to_flush()
    async with atomic(using):
        await databases[using].arun(_flush, tables)
    return len(tables)


@writing
def _flush(compiler: Compiler, tables: list[TableSpec]) -> Plan[None]:
    emptying: Any = import_module("datalayer._compile.emptying")  # imports SQLAlchemy
    for command in emptying.empty(compiler.backend, tables, late_fields(tables)):  # noqa: UP028 - a list takes no replies
        yield command
    if compiler.backend == "sqlite" and (yield emptying.has_numbering()).rows:
        for table in tables:
            yield emptying.number_anew(table)
