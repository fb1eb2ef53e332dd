"""UPDATE and DELETE."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from datalayer._compile.assignments import by_column, by_row, element_of, given_text, outputs, quoted
from datalayer._compile.backends.base import BACKENDS, Backend
from datalayer._compile.filtered import conjuncts
from datalayer._compile.joins import Element, Statement
from datalayer._compile.pieces import one_line
from datalayer._compile.prepared import Prepared
from datalayer._compile.selection import Selection, layout
from datalayer._compile.sources import with_ctes
from datalayer._compile.writer import Writer
from datalayer._query.change import Delete, Update, UpdateMany
from datalayer._query.condition import Comparison, Condition, ExistsCondition
from datalayer._query.expression import Expression, FieldRef, Subquery, Value
from datalayer._query.query import Query
from datalayer._query.walk import parts
from datalayer._schema.table import TableSpec


def update(backend_name: str, change: Update) -> Prepared:
    """See `Compiler.update`."""
    backend, statement = BACKENDS[backend_name], Statement()
    query, table = change.query, change.query.table
    at = sum(len(expression.values) for _, expression in change.assignments)
    selection, where = _rows(backend, statement, query, at)
    writer = selection.writer
    target: Any = writer.scope.root
    assigned: dict[Any, Element] = {}
    plain: dict[int, str] = {}
    at = 0
    for name, expression in change.assignments:
        field = table.fields[name]
        assigned[target.c[field.column]] = element_of(writer, field, expression, at)
        if isinstance(expression, Value):
            plain[at] = field.column
        at += len(expression.values)
    must_read = statement.ctes or any(_looks_at_rows(writer, expression) for _, expression in change.assignments)
    if backend.name == "sqlite" and must_read:
        assigned, where = _read_first(target, table, assigned, where)
    element: Any = sa.update(target).values(assigned).where(*where)
    prepared = _compiled(backend, statement, element, table, change.returning, target, len(change.values), plain)
    prepared.is_small = is_by_key(query) and len(plain) == len(change.assignments)
    return prepared


def is_by_key(query: Query) -> bool:
    """Whether a query names one row by its primary key, and says nothing else."""
    every = [part for condition in query.where for part, _ in conjuncts(condition, 0)]
    named = [_named_by(part) for part in every]
    return sorted(named) == sorted(query.table.primary_key) and query.extra is None


def _named_by(condition: Condition) -> str:
    """The field of the query's own table that a condition compares with a value; nothing for other conditions."""
    if not isinstance(condition, Comparison) or condition.lookup != "exact" or condition.transform is not None:
        return ""
    left = condition.left
    if not isinstance(left, FieldRef) or left.path or left.outer or not isinstance(condition.right, Value):
        return ""
    return left.field


def _looks_at_rows(writer: Writer, expression: Expression) -> bool:
    """Whether an assigned value is read from other rows."""
    walk = writer.walk
    nested = any(isinstance(part, Subquery | ExistsCondition) for part in parts(expression))
    return nested or walk.has_aggregate(expression) or next(walk.paths(expression), None) is not None


def _read_first(
    target: Any, table: TableSpec, assigned: dict[Any, Element], where: list[Element]
) -> tuple[dict[Any, Element], list[Element]]:
    """All values read before a row is written: SQLite would read what the statement has written already."""
    keys = [target.c[table.fields[name].column] for name in table.primary_key]
    shown = [key.label(f"k{number}") for number, key in enumerate(keys)]
    shown += [value.label(f"v{number}") for number, value in enumerate(assigned.values())]
    found = sa.select(*shown).select_from(target).where(*where).subquery("found")
    values: dict[Any, Element] = {column: found.c[f"v{number}"] for number, column in enumerate(assigned)}
    return values, [key == found.c[f"k{number}"] for number, key in enumerate(keys)]


def update_many(backend_name: str, change: UpdateMany, rows: int) -> Prepared:
    """See `Compiler.update_many`."""
    backend, table = BACKENDS[backend_name], change.table
    name = quoted(backend, table.name)
    if backend.name == "sqlite" and not rows:
        return _update_each(backend, change)
    if backend.name == "sqlite":
        row = "(" + ", ".join(["?"] * len(change.fields)) + ")"
        source, binds = f"(VALUES {', '.join([row] * rows)}) AS new", by_row(backend, table, change.fields, rows)
        names = [f"column{number}" for number in range(1, len(change.fields) + 1)]
    else:
        source, binds = by_column(backend, table, change.fields)
        names = [f"c{number}" for number in range(1, len(change.fields) + 1)]
        source += f" AS new ({', '.join(names)})"
    new = {field: f"new.{column}" for field, column in zip(change.fields, names, strict=True)}
    written, more = given_text(backend, table, new, len(binds), change.assignments)
    own = [f"{name}.{quoted(backend, table.fields[field].column)} = {new[field]}" for field in table.primary_key]
    # SET comes before FROM in the text.
    text = f"UPDATE {name} SET {written} FROM {source} WHERE {' AND '.join(own)}"
    if change.returning:
        returned = [f"{name}.{quoted(backend, table.fields[field].column)}" for field in change.returning]
        text += f" RETURNING {', '.join(returned)}"
    return Prepared(
        text,
        more + binds,
        columns=outputs(backend, table, change.returning),
        table=table,
        writes=True,
        is_whole=not more,
    )


def _update_each(backend: Backend, change: UpdateMany) -> Prepared:
    """The statement that writes one row and is repeated for all: its text is the same for any number of them."""
    table = change.table
    own = [f"{quoted(backend, table.fields[name].column)} = ?" for name in change.fields]
    written, keys = own[: -len(table.primary_key)], own[-len(table.primary_key) :]
    text = f"UPDATE {quoted(backend, table.name)} SET {', '.join(written)} WHERE {' AND '.join(keys)}"
    return Prepared(text, by_row(backend, table, change.fields, 1), table=table, writes=True, is_whole=True)


def delete(backend_name: str, change: Delete) -> Prepared:
    """See `Compiler.delete`."""
    backend, statement = BACKENDS[backend_name], Statement()
    selection, where = _rows(backend, statement, change.query, 0, is_one_query=backend.name == "sqlite")
    target: Any = selection.writer.scope.root
    prepared = _compiled(
        backend,
        statement,
        sa.delete(target).where(*where),
        change.query.table,
        change.returning,
        target,
        len(change.values),
    )
    # Rows that refer to it are looked for, and may go along.
    prepared.is_small = is_by_key(change.query) and not change.query.table.referrers
    return prepared


def _rows(
    backend: Backend, statement: Statement, query: Query, at: int, *, is_one_query: bool = False
) -> tuple[Selection, list[Element]]:
    """Which rows a change is about: plain conditions where they suffice, else by their primary keys.

    With `is_one_query` they do not where a CTE is asked: it stands in front of the query of the keys.
    """
    selection = Selection(backend, statement, query, at)
    walk = selection.writer.walk
    is_cut = query.limit is not None or query.offset is not None or query.distinct or query.group_by is not None
    is_cut = is_cut or selection.is_qualified or query.extra is not None
    every = [
        part
        for condition, place in zip(query.where, selection.places.where, strict=True)
        for part, _ in conjuncts(condition, place)
    ]
    if not is_cut and not any(next(walk.paths(part), None) for part in every):
        where, _, _ = selection.conditions()
        if not (is_one_query and statement.ctes):
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
        places.extra,
    )
    found = inner.full()
    root: Any = selection.writer.scope.root
    own = [root.c[query.table.fields[name].column] for name in keys]
    return selection, [own[0].in_(found) if len(own) == 1 else sa.tuple_(*own).in_(found)]


def _compiled(
    backend: Backend,
    statement: Statement,
    element: Any,
    table: TableSpec,
    returning: tuple[str, ...],
    target: Any,
    given: int,
    plain: dict[int, str] | None = None,
) -> Prepared:
    if returning:
        element = element.returning(*[target.c[table.fields[name].column] for name in returning])
    compiled = element.compile(dialect=backend.dialect)
    binds = [statement.binds[name] for name in compiled.positiontup or ()]
    text, binds = with_ctes(statement, one_line(str(compiled)), binds, is_inside=backend.name == "sqlite")
    written = [(plain[offset], place) for place, (offset, _) in enumerate(binds) if offset in plain] if plain else ()
    return Prepared(
        text,
        binds,
        columns=outputs(backend, table, returning),
        table=table,
        writes=True,
        is_whole=len(binds) == given,
        written=tuple(written),
        twins=statement.twins,
    )
