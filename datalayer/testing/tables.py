"""Tables straight from the models, without migrations: for tests, notebooks and first tries."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from datalayer._plans.plan import Command, Plan
from datalayer._plans.transaction import nested
from datalayer._schema.table import TableSpec
from datalayer.databases.database import databases
from datalayer.errors import ModelError

if TYPE_CHECKING:
    from datalayer._compile.compiler import BackendName, Compiler
    from datalayer.models.model import ModelBase


def create_tables(*models: type[ModelBase], using: str = "default") -> None:
    """Makes the tables, indexes and constraints of models.

    Args:
        models: Which ones; all that are declared when none is named.
        using: The alias of the database.

    Raises:
        ProgrammingError: One of them is there already.
    """
    databases[using].run(_create, _tables(models), databases[using].depth)


async def acreate_tables(*models: type[ModelBase], using: str = "default") -> None:
    """The awaiting twin of `create_tables`."""
    await databases[using].arun(_create, _tables(models), databases[using].depth)


def drop_tables(*models: type[ModelBase], using: str = "default") -> None:
    """Drops the tables of models, and everything in them.

    Args:
        models: Which ones; all that are declared when none is named.
        using: The alias of the database.
    """
    databases[using].run(_drop, _tables(models), databases[using].depth)


async def adrop_tables(*models: type[ModelBase], using: str = "default") -> None:
    """The awaiting twin of `drop_tables`."""
    await databases[using].arun(_drop, _tables(models), databases[using].depth)


def _tables(models: Iterable[type[ModelBase]]) -> list[TableSpec]:
    from datalayer.models import registry  # noqa: PLC0415  (models are only needed when tables are made)

    for model in models:
        if getattr(model, "table", None) is None:
            raise ModelError(f"create_tables() and drop_tables() take models, not {model!r}: create_tables(Author)")
    chosen = [model.table for model in models]
    if not chosen:
        return [table for table in registry.tables() if table.view is None]
    # The table of a many to many without a model of its own comes with the models it joins.
    joining = {
        relation.through.name: relation.through
        for table in chosen
        for relation in table.relations.values()
        if relation.through is not None and relation.through.is_automatic and relation.target in chosen
    }
    return [*chosen, *(table for table in joining.values() if table not in chosen)]


def _referred(tables: list[TableSpec]) -> list[TableSpec]:
    """The tables that foreign keys of some tables lead to, step by step, without those tables."""
    from datalayer.models import registry  # noqa: PLC0415  (models are only needed when tables are made)

    known = {table.name: table for table in registry.tables()}
    seen = {table.name for table in tables}
    found: list[TableSpec] = []
    waiting = list(tables)
    while waiting:
        for key in waiting.pop().foreign_keys:
            if key.target not in seen and key.target in known:
                seen.add(key.target)
                found.append(known[key.target])
                waiting.append(known[key.target])
    return found


@lru_cache(maxsize=32)
def _creation(backend: BackendName, tables: tuple[TableSpec, ...], existing: tuple[TableSpec, ...]) -> list[str]:
    """The statements, kept: tests make the same tables again and again."""
    from datalayer._compile.tables import create_all_statements  # noqa: PLC0415  (imports SQLAlchemy)

    return create_all_statements(tables, backend, existing)


def _create(compiler: Compiler, tables: list[TableSpec], depth: int) -> Plan[None]:
    statements = _creation(compiler.backend, tuple(tables), tuple(_referred(tables)))
    return nested(compiler.backend, partial(_send, compiler.backend, statements), depth=depth)


def _drop(compiler: Compiler, tables: list[TableSpec], depth: int) -> Plan[None]:
    from datalayer._compile.tables import drop_all_statements  # noqa: PLC0415  (imports SQLAlchemy)

    statements = drop_all_statements(tables, compiler.backend, _referred(tables))
    return nested(compiler.backend, partial(_send, compiler.backend, statements), depth=depth)


def _send(backend: str, statements: list[str]) -> Plan[None]:
    for sql in statements:
        if backend == "postgresql":
            sql = sql.replace("%", "%%")  # a command has values, if only none, and its driver looks for their places
        yield Command(sql, returns_rows=False, writes=True)
