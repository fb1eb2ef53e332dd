"""INSERT, UPDATE and DELETE."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from datalayer._compile import values
from datalayer._compile.backends.base import Backend
from datalayer._compile.backends.postgresql import type_name
from datalayer._compile.joins import Element, Statement
from datalayer._compile.prepared import Convert, Output, Prepared
from datalayer._compile.select import BACKENDS, Selection, conjuncts, layout, one_line
from datalayer._query.change import Delete, Insert, Update
from datalayer._query.expression import FieldRef, Value
from datalayer._query.query import Query
from datalayer._schema.field import Kind
from datalayer._schema.table import TableSpec
from datalayer.errors import QueryError


def insert(backend_name: str, change: Insert, rows: int) -> Prepared:
    """See `Compiler.insert`."""
    backend, table = BACKENDS[backend_name], change.table
    mark = "?" if backend.name == "sqlite" else "%s"
    head = f"INSERT INTO {_quoted(backend, table.name)}"
    if change.fields:
        row = "(" + ", ".join([mark] * len(change.fields)) + ")"
        text = f"{head} ({_columns(backend, table, change.fields)}) VALUES {', '.join([row] * rows)}"
    elif rows == 1:
        text = f"{head} DEFAULT VALUES"
    else:
        raise QueryError("rows without any value are inserted one by one")
    converters = [values.to_driver(table.fields[name].type, backend.name) for name in change.fields]
    binds = [(n * len(converters) + place, c) for n in range(rows) for place, c in enumerate(converters)]
    text += _conflict(backend, change)
    given = [name for name in change.fields if table.fields[name].is_identity]
    if backend.name == "postgresql" and given:
        return _moving_on(backend, change, text, binds, given[0])
    return _prepared(backend, change.table, text, binds, change.returning)


def _moving_on(
    backend: Backend, change: Insert, text: str, binds: list[tuple[int, Convert | None]], name: str
) -> Prepared:
    """An INSERT that moves the numbering of a key on in the same statement, in one more column at the end."""
    table = change.table
    column, sequence = _quoted(backend, table.fields[name].column), _sequence(backend, table, name)
    moved = (
        f"CASE WHEN {column} > coalesce(pg_sequence_last_value({sequence}), 0) THEN setval({sequence}, {column}) END"
    )
    names = _columns(backend, table, change.returning)
    text += f" RETURNING {names}, {moved}" if names else f" RETURNING {moved}"
    columns = _outputs(backend, table, change.returning) or (Output("numbering", (), None, None),)
    return Prepared(text, binds, columns=columns, table=table, writes=True, is_whole=True)


def _sequence(backend: Backend, table: TableSpec, name: str) -> str:
    quoted = _quoted(backend, table.name).replace("'", "''")
    column = table.fields[name].column.replace("'", "''")
    return f"pg_get_serial_sequence('{quoted}', '{column}')::regclass"


def insert_columns(backend_name: str, change: Insert) -> Prepared:
    """See `Compiler.insert_columns`."""
    backend, table = BACKENDS[backend_name], change.table
    arrays: list[str] = []
    binds: list[tuple[int, Convert | None]] = []
    for place, name in enumerate(change.fields):
        type = table.fields[name].type
        arrays.append(f"%s::{type_name(type)}[]")
        binds.append((place, _each(values.to_driver(type, backend.name))))
    text = (
        f"INSERT INTO {_quoted(backend, table.name)} ({_columns(backend, table, change.fields)}) "
        f"SELECT * FROM unnest({', '.join(arrays)})"
    )
    return _prepared(backend, table, text + _conflict(backend, change), binds, change.returning)


def numbering(backend_name: str, table: TableSpec, name: str) -> Prepared:
    """See `Compiler.numbering`."""
    sequence = _sequence(BACKENDS[backend_name], table, name)
    text = (
        f"SELECT setval(sequence, number) FROM (SELECT {sequence} AS sequence, %s::bigint AS number) AS given "
        "WHERE number > coalesce(pg_sequence_last_value(sequence), 0)"
    )
    return Prepared(text, [(0, None)], table=table, writes=True, is_whole=True)


def _each(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None
    return lambda column: [None if item is None else convert(item) for item in column]  # type: ignore[attr-defined]


def _conflict(backend: Backend, change: Insert) -> str:
    if change.conflict is None:
        return ""
    target = f" ({_columns(backend, change.table, change.conflict)})" if change.conflict else ""
    if not change.update:
        return f" ON CONFLICT{target} DO NOTHING"
    if not target:
        raise QueryError("an upsert that updates needs the columns whose conflict it is about: on_conflict=(...)")
    columns = [_quoted(backend, change.table.fields[name].column) for name in change.update]
    return f" ON CONFLICT{target} DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in columns)


def update_many(backend_name: str, change: Insert, rows: int) -> Prepared:
    """See `Compiler.update_many`."""
    backend, table = BACKENDS[backend_name], change.table
    keys, written = table.primary_key, change.fields[len(table.primary_key) :]
    name = _quoted(backend, table.name)
    types = [table.fields[field].type for field in change.fields]
    if backend.name == "sqlite":
        first = row = "(" + ", ".join(["?"] * len(types)) + ")"
        source = "(VALUES {}) AS new"
        columns = [f"new.column{number}" for number in range(1, len(types) + 1)]
    else:
        row = "(" + ", ".join(["%s"] * len(types)) + ")"
        first = "(" + ", ".join([f"%s::{type_name(type)}" for type in types]) + ")"
        columns = [f"new.c{number}" for number in range(1, len(types) + 1)]
        source = "(VALUES {}) AS new (" + ", ".join(column.removeprefix("new.") for column in columns) + ")"
    new = dict(zip(change.fields, columns, strict=True))
    text = (
        f"UPDATE {name} SET "
        + ", ".join(f"{_quoted(backend, table.fields[field].column)} = {new[field]}" for field in written)
        + f" FROM {source.format(', '.join([first, *[row] * (rows - 1)]))} WHERE "
        + " AND ".join(f"{name}.{_quoted(backend, table.fields[field].column)} = {new[field]}" for field in keys)
    )
    converters = [values.to_driver(type, backend.name) for type in types]
    binds = [(n * len(converters) + place, c) for n in range(rows) for place, c in enumerate(converters)]
    return _prepared(backend, table, text, binds, change.returning)


def update(backend_name: str, change: Update) -> Prepared:
    """See `Compiler.update`."""
    backend, statement = BACKENDS[backend_name], Statement()
    query, table = change.query, change.query.table
    at = sum(len(expression.values) for _, expression in change.assignments)
    selection, where = _rows(backend, statement, query, at)
    writer = selection.writer
    assigned: dict[Any, Element] = {}
    at = 0
    for name, expression in change.assignments:
        field = table.fields[name]
        if isinstance(expression, Value):
            element = statement.bind(at, values.to_driver(field.type, backend.name))
        else:
            if any(writer.walk.paths(expression)):
                raise QueryError(f"update({name}=...): an expression may only use columns of {table.model} itself")
            element = writer.expression(expression, at)
            if backend.name == "sqlite" and field.type.kind is Kind.DECIMAL and field.type.scale is not None:
                element = sa.func.round(element, sa.literal_column(str(field.type.scale)))
        assigned[sa.column(field.column)] = element
        at += len(expression.values)
    target: Any = writer.scope.root
    element_: Any = sa.update(target).values({target.c[column.name]: e for column, e in assigned.items()}).where(*where)
    return _compiled(backend, statement, element_, table, change.returning, target)


def delete(backend_name: str, change: Delete) -> Prepared:
    """See `Compiler.delete`."""
    backend, statement = BACKENDS[backend_name], Statement()
    selection, where = _rows(backend, statement, change.query, 0)
    target: Any = selection.writer.scope.root
    return _compiled(backend, statement, sa.delete(target).where(*where), change.query.table, change.returning, target)


def _rows(backend: Backend, statement: Statement, query: Query, at: int) -> tuple[Selection, list[Element]]:
    """Which rows a change is about: plain conditions where they suffice, else by their primary keys."""
    selection = Selection(backend, statement, query, at)
    walk = selection.writer.walk
    is_cut = query.limit is not None or query.offset is not None or query.distinct or query.group_by is not None
    parts = [
        part
        for condition, place in zip(query.where, selection.places.where, strict=True)
        for part, _ in conjuncts(condition, place)
    ]
    if not is_cut and not any(next(walk.paths(part), None) for part in parts):
        where, _ = selection.conditions()
        return selection, where
    keys = query.table.primary_key
    columns = tuple((name, FieldRef((), name, query.table.fields[name].type)) for name in keys)
    order = query.order if is_cut and not query.distinct else ()
    plain = query.replaced(joined=(), only=None, annotations=query.annotations)
    places = layout(query, at)
    inner = Selection(backend, statement, plain, at, parent=selection.writer)
    inner.query = plain.replaced(columns=columns, order=order, distinct=False)
    inner.places = type(places)(
        [0] * len(columns),
        places.annotations,
        places.where,
        places.group_by,
        places.order if order else [],
        places.limit,
        places.offset,
    )
    found = inner.full()
    root: Any = selection.writer.scope.root
    own = [root.c[query.table.fields[name].column] for name in keys]
    return selection, [own[0].in_(found) if len(own) == 1 else sa.tuple_(*own).in_(found)]


def _compiled(
    backend: Backend, statement: Statement, element: Any, table: TableSpec, returning: tuple[str, ...], target: Any
) -> Prepared:
    if returning:
        element = element.returning(*[target.c[table.fields[name].column] for name in returning])
    compiled = element.compile(dialect=backend.dialect)
    binds = [statement.binds[name] for name in compiled.positiontup or ()]
    return Prepared(
        one_line(str(compiled)), binds, columns=_outputs(backend, table, returning), table=table, writes=True
    )


def _prepared(
    backend: Backend,
    table: TableSpec,
    text: str,
    binds: list[tuple[int, Convert | None]],
    returning: tuple[str, ...],
) -> Prepared:
    if returning:
        text += f" RETURNING {_columns(backend, table, returning)}"
    return Prepared(text, binds, columns=_outputs(backend, table, returning), table=table, writes=True, is_whole=True)


def _outputs(backend: Backend, table: TableSpec, names: tuple[str, ...]) -> tuple[Output, ...]:
    fields = [table.fields[name] for name in names]
    return tuple([Output(f.name, (), f, values.from_driver(f.type, backend.name)) for f in fields])


def _columns(backend: Backend, table: TableSpec, names: tuple[str, ...]) -> str:
    return ", ".join(_quoted(backend, table.fields[name].column) for name in names)


def _quoted(backend: Backend, name: str) -> str:
    return backend.dialect.identifier_preparer.quote(name)
