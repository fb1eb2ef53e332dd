"""Which of several rows was wrong: SQLite says only that one was, so it is looked up afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from datalayer._compile.compiler import Compiler
from datalayer._compile.secrets import HIDDEN, is_secret
from datalayer._plans.plan import Plan, Row
from datalayer._plans.read import tuples
from datalayer._plans.related import matching, unique
from datalayer._query.expression import FieldRef
from datalayer._query.query import Query
from datalayer._schema.table import TableSpec
from datalayer.errors import ForeignKeyViolation, UniqueViolation

_AT_ONCE: Final = 200
"""Keys looked up by one statement."""


def explained(
    compiler: Compiler,
    table: TableSpec,
    fields: Sequence[str],
    rows: Sequence[Sequence[object]],
    error: ForeignKeyViolation | UniqueViolation,
) -> Plan[NoReturn]:
    """Raises the error again, with what was wrong named where it is found among what was written.

    Args:
        compiler: For the backend at hand.
        table: Where the rows were written.
        fields: What was written.
        rows: Its values, for each row.
        error: What the database said.

    Raises:
        ForeignKeyViolation: A row refers to nothing.
        UniqueViolation: There is a row like it.
    """
    if isinstance(error, UniqueViolation):
        yield from _twice(compiler, table, fields, rows, error)
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


def _twice(
    compiler: Compiler,
    table: TableSpec,
    fields: Sequence[str],
    rows: Sequence[Sequence[object]],
    error: UniqueViolation,
) -> Plan[NoReturn]:
    """Raises the error again, with the values that are there already, or twice among what was written."""
    names = [field.name for column in error.columns if (field := table.by_column.get(column)) is not None]
    if compiler.backend != "sqlite" or error.values or not names or not set(names) <= set(fields):
        raise error
    places = [list(fields).index(name) for name in names]
    keys = [tuple([row[place] for place in places]) for row in rows]
    counted = Counter(keys)
    key = next((key for key in keys if counted[key] > 1 and None not in key), None)
    if key is None:
        own = [list(fields).index(name) for name in table.primary_key if name in fields]
        mine = {tuple([row[place] for place in own]): key for row, key in zip(rows, keys, strict=True)}
        key = yield from _present(compiler, table, tuple(names), unique(keys), mine if own else {})
    if key is not None:
        values = dict(zip(error.columns, key, strict=True))
        error.values = {name: HIDDEN if is_secret(name, table) else value for name, value in values.items()}
    raise error


def _present(
    compiler: Compiler, table: TableSpec, names: tuple[str, ...], keys: Sequence[Row], mine: Mapping[Row, Row]
) -> Plan[Row | None]:
    """The first key that a row of a table has which is not the one that it is written to."""
    wanted = tuple([FieldRef((), name, table.fields[name].type) for name in (*names, *table.primary_key)])
    columns = tuple([(f"c{place}", node) for place, node in enumerate(wanted)])
    for start in range(0, len(keys), _AT_ONCE):
        query = Query(table).filtered(matching(wanted[: len(names)], keys[start : start + _AT_ONCE]))
        for row in (yield from tuples(compiler, query.replaced(columns=columns))):
            key: Row = row[: len(names)]
            if mine.get(row[len(names) :]) != key:
                return key
    return None


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
