"""Which of several references was wrong: SQLite says only that one was, so it is looked up afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from datalayer._compile.compiler import Compiler
from datalayer._plans.plan import Plan, Row
from datalayer._plans.read import exists
from datalayer._plans.related import matching
from datalayer._query.expression import FieldRef
from datalayer._query.query import Query
from datalayer._schema.table import TableSpec
from datalayer.errors import ForeignKeyViolation


def explained(
    compiler: Compiler,
    table: TableSpec,
    fields: Sequence[str],
    values: Sequence[object],
    error: ForeignKeyViolation,
) -> Plan[NoReturn]:
    """Raises the error again, with the reference to nothing named where one is found among what was written.

    Args:
        compiler: For the backend at hand.
        table: Where the row was written.
        fields: What was written.
        values: Its values.
        error: What the database said.

    Raises:
        ForeignKeyViolation: Always.
    """
    if compiler.backend != "sqlite" or error.columns:
        raise error
    written = dict(zip(fields, values, strict=True))
    for relation in table.relations.values():
        if not relation.kind.is_forward or not set(relation.local) <= set(written):
            continue
        key: Row = tuple([written[name] for name in relation.local])
        target = relation.target
        wanted = tuple([FieldRef((), name, target.fields[name].type) for name in relation.remote])
        if None in key or (yield from exists(compiler, Query(target).filtered(matching(wanted, [key])))):
            continue
        columns = [table.fields[name].column for name in relation.local]
        constraint = next((one.name for one in table.foreign_keys if set(one.fields) == set(relation.local)), None)
        raise ForeignKeyViolation(
            f"table {table.name!r}: {', '.join(columns)} refers to a row of {target.name!r} that does not exist",
            alias=error.alias,
            model=table.model,
            table=table.name,
            columns=columns,
            constraint=constraint,
            values=dict(zip(columns, key, strict=True)),
        ) from error.__cause__
    raise error
