"""Which of several references was wrong: SQLite says only that one was, so it is looked up afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NoReturn

from datalayer._compile.compiler import Compiler
from datalayer._plans.plan import Plan, Row
from datalayer._plans.read import tuples
from datalayer._plans.related import matching, unique
from datalayer._query.expression import FieldRef
from datalayer._query.query import Query
from datalayer._schema.table import TableSpec
from datalayer.errors import ForeignKeyViolation

_AT_ONCE: Final = 200
"""Keys looked up by one statement."""


def explained(
    compiler: Compiler,
    table: TableSpec,
    fields: Sequence[str],
    rows: Sequence[Sequence[object]],
    error: ForeignKeyViolation,
) -> Plan[NoReturn]:
    """Raises the error again, with the reference to nothing named where one is found among what was written.

    Args:
        compiler: For the backend at hand.
        table: Where the rows were written.
        fields: What was written.
        rows: Its values, for each row.
        error: What the database said.

    Raises:
        ForeignKeyViolation: Always.
    """
    if compiler.backend != "sqlite" or error.columns:
        raise error
    places = {name: place for place, name in enumerate(fields)}
    for relation in table.relations.values():
        if not relation.kind.is_forward or not places.keys() >= set(relation.local):
            continue
        keys = unique([tuple([row[places[name]] for name in relation.local]) for row in rows])
        target = relation.target
        if target is table and places.keys() >= set(relation.remote):  # rows may refer to each other
            brought = {tuple([row[places[name]] for name in relation.remote]) for row in rows}
            keys = [key for key in keys if key not in brought]
        key = yield from _missing(compiler, target, relation.remote, keys)
        if key is None:
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


def _missing(compiler: Compiler, target: TableSpec, names: tuple[str, ...], keys: Sequence[Row]) -> Plan[Row | None]:
    """The first key that no row of a table has."""
    wanted = tuple([FieldRef((), name, target.fields[name].type) for name in names])
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        query = Query(target).filtered(matching(wanted, some))
        known = set((yield from tuples(compiler, query.replaced(columns=tuple(zip(names, wanted, strict=True))))))
        for key in some:
            if key not in known:
                return key
    return None
