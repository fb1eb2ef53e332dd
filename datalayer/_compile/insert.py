"""INSERT: of rows, of whole columns, of what a query finds, and what happens to rows that are in the way.

The text is written here rather than by SQLAlchemy: it is the same for every batch of a size, and compiling a
thousand rows of placeholders would cost more than sending them.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from datalayer._compile import nulls
from datalayer._compile.assignments import Binds, by_column, by_row, columns, fitted, given_text, outputs, quoted
from datalayer._compile.backends.base import BACKENDS, Backend
from datalayer._compile.joins import Element, Statement
from datalayer._compile.pieces import one_line
from datalayer._compile.prepared import Output, Prepared
from datalayer._compile.selection import Selection
from datalayer._compile.sources import with_ctes
from datalayer._compile.tables import DIALECTS, sql_type
from datalayer._query.change import Insert, InsertFrom, OnConflict
from datalayer._schema.table import TableSpec, text_for
from datalayer.errors import QueryError

_SHORT_WAY: Final = 1000
_FEW: Final = 100
"""So many values are a small write: a tenth of a millisecond or so of SQLite."""
INSERTED = "datalayer_inserted"
"""The column that says whether a row is new."""
LOCK_KEY: Final = 0x6E756D62_00000000
"""With the number of a sequence: the advisory lock of PostgreSQL under which it is led a long way."""


def insert(backend_name: str, change: Insert, rows: int) -> Prepared:
    """See `Compiler.insert`."""
    backend, table = BACKENDS[backend_name], change.table
    mark = "?" if backend.name == "sqlite" else "%s"
    head = f"INSERT INTO {quoted(backend, table.name)}"
    if change.fields:
        row = "(" + ", ".join([mark] * len(change.fields)) + ")"
        text = f"{head} ({columns(backend, table, change.fields)}) VALUES {', '.join([row] * rows)}"
    elif rows == 1:
        text = f"{head} DEFAULT VALUES"
    else:
        raise QueryError("rows without any value are inserted one by one")
    width = len(change.fields)
    conflict, more = _conflict(backend, table, change.conflict, rows * width)
    # Of many rows alike the binds of one are enough: of each number of rows there may be a statement that is kept.
    is_rows = rows > 1 and not more
    binds = by_row(backend, table, change.fields, 1 if is_rows else rows)
    text += conflict
    given = [name for name in change.fields if table.fields[name].is_identity]
    if backend.name == "postgresql" and given and change.conflict is None:
        return _moving_on(backend, change, text, by_row(backend, table, change.fields, rows), given[0], rows)
    return _prepared(backend, change, text, binds + more, rows, width if is_rows else 0)


def _moving_on(backend: Backend, change: Insert, text: str, binds: Binds, name: str, rows: int) -> Prepared:
    """An INSERT that moves the numbering of a key on in the same statement, in one more column at the end."""
    table = change.table
    column = quoted(backend, table.fields[name].column)
    moved = f"({_moved(_sequence(backend, table, name), column)})"
    names = columns(backend, table, change.returning)
    text += f" RETURNING {names}, {moved}" if names else f" RETURNING {moved}"
    found = outputs(backend, table, change.returning) or (Output("numbering", (), None, None),)
    return Prepared(
        text,
        binds,
        columns=found,
        table=table,
        writes=True,
        is_whole=True,
        written=_written(table, change.fields, rows),
    )


def _moved(sequence: str, number: str) -> str:
    """A SELECT that moves a sequence on to a number, and never back, whoever else moves it meanwhile.

    A short way is gone by `nextval`, which only goes on. A long one is a `setval`, which goes where it is told: so
    one transaction does it after the other, and looks again when its turn has come.
    """
    last = "coalesce(pg_sequence_last_value(sequence), 0)"
    given = f"SELECT {sequence} AS sequence, {number}::bigint AS number"
    return (
        f"SELECT CASE WHEN number <= last THEN NULL WHEN number - last <= {_SHORT_WAY} "
        "THEN (SELECT max(step) FROM (SELECT nextval(sequence) AS step "
        "FROM generate_series(1, number - last)) AS steps) "
        f"WHEN pg_advisory_xact_lock({LOCK_KEY} + sequence::oid::bigint)::text = '' "
        f"THEN CASE WHEN number > {last} THEN setval(sequence, number) END END "
        f"FROM (SELECT sequence, number, {last} AS last FROM ({given}) AS given "
        "WHERE sequence IS NOT NULL OFFSET 0) AS numbering"
    )


def _sequence(backend: Backend, table: TableSpec, name: str) -> str:
    literal = quoted(backend, table.name).replace("'", "''")
    column = table.fields[name].column.replace("'", "''").replace("%", "%%")
    return f"pg_get_serial_sequence('{literal}', '{column}')::regclass"


def insert_columns(backend_name: str, change: Insert) -> Prepared:
    """See `Compiler.insert_columns`."""
    backend, table = BACKENDS[backend_name], change.table
    source, binds = by_column(backend, table, change.fields)
    names = columns(backend, table, change.fields)
    text = f"INSERT INTO {quoted(backend, table.name)} ({names}) SELECT * FROM {source} AS given"
    conflict, more = _conflict(backend, table, change.conflict, len(binds))
    return _prepared(backend, change, text + conflict, binds + more, 0)


def insert_from(backend_name: str, change: InsertFrom) -> Prepared:
    """See `Compiler.insert_from`."""
    backend, statement, table = BACKENDS[backend_name], Statement(), change.table
    selection = Selection(backend, statement, change.query)
    selection.is_inside = True
    compiled: Any = selection.full().compile(dialect=backend.dialect)
    select = one_line(str(compiled))
    binds = [statement.binds[name] for name in compiled.positiontup or ()]
    conflict, more = _conflict(backend, table, change.conflict, len(change.query.values))
    elements = _fitted(backend, change)
    if elements is not None:
        found = ", ".join(f"c{number}" for number in range(len(elements)))
        select = f"WITH found ({found}) AS ({select}) SELECT {', '.join(elements)} FROM found WHERE 1 = 1"
    elif conflict and backend.name == "sqlite":
        # Without a WHERE, SQLite takes ON CONFLICT for the ON of a join.
        select = f"SELECT * FROM ({select}) AS found WHERE 1 = 1"
    text = f"INSERT INTO {quoted(backend, table.name)} ({columns(backend, table, change.fields)}) {select}{conflict}"
    if change.returning:
        text += f" RETURNING {columns(backend, table, change.returning)}"
    text, binds = with_ctes(statement, text, binds + more)
    return Prepared(
        text, binds, columns=outputs(backend, table, change.returning), table=table, writes=True, twins=statement.twins
    )


def _fitted(backend: Backend, change: InsertFrom) -> list[str] | None:
    """The columns of a query as those of the table keep them; None where each does so by itself."""
    query = change.query
    given: list[Element] = [sa.literal_column(f"c{number}") for number in range(len(change.fields))]
    made: list[Element] = [
        fitted(backend, element, expression, change.table.fields[name])
        for element, (_, expression), name in zip(given, query.columns or (), change.fields, strict=True)
    ]
    if all(one is other for one, other in zip(given, made, strict=True)):
        return None
    return [str(element.compile(dialect=backend.dialect)) for element in made]


def numbering(backend_name: str, table: TableSpec, name: str) -> Prepared:
    """See `Compiler.numbering`."""
    sequence = _sequence(BACKENDS[backend_name], table, name)
    text = _moved(sequence, "%s")
    return Prepared(text, [(0, None)], table=table, writes=True, is_whole=True)


def in_the_way(backend_name: str, change: Insert, rows: int) -> Prepared:
    """See `Compiler.in_the_way`."""
    backend, table = BACKENDS[backend_name], change.table
    assert change.conflict is not None
    target = change.conflict.fields
    row = "(" + ", ".join(["?"] * len(target)) + ")"
    names = columns(backend, table, target)
    text = (
        f"SELECT {columns(backend, table, table.primary_key)} FROM {quoted(backend, table.name)} "
        f"WHERE ({names}) IN (VALUES {', '.join([row] * rows)})"
    )
    if _beside(backend, table, change.conflict):
        alike = " AND ".join(
            [f"{quoted(backend, table.fields[name].column)} IS given.column{at + 1}" for at, name in enumerate(target)]
        )
        text = (
            f"SELECT {columns(backend, table, table.primary_key)} FROM {quoted(backend, table.name)} "
            f"WHERE EXISTS (SELECT 1 FROM (VALUES {', '.join([row] * rows)}) AS given WHERE {alike})"
        )
    if change.conflict.index is not None:
        text += f" AND ({text_for(change.conflict.index, backend_name)})"
    binds = by_row(backend, table, target, rows)
    return Prepared(text, binds, columns=outputs(backend, table, table.primary_key), table=table, is_whole=True)


def _conflict(backend: Backend, table: TableSpec, conflict: OnConflict | None, at: int) -> tuple[str, Binds]:
    """The ON CONFLICT of an INSERT, and what is bound in it."""
    if conflict is None:
        return "", []
    target = f" ({columns(backend, table, conflict.fields)})" if conflict.fields else ""
    if conflict.index is not None:
        index = text_for(conflict.index, backend.name)
        target += f" WHERE {index if backend.name == 'sqlite' else index.replace('%', '%%')}"
    targets = [target, *([] if backend.name == "postgresql" else _beside(backend, table, conflict))]
    if not conflict.assignments:
        return "".join([f" ON CONFLICT{one} DO NOTHING" for one in targets]), []
    if not target:
        raise QueryError("an upsert that updates needs the columns whose conflict it is about: on_conflict=(...)")
    given = {name: f"excluded.{quoted(backend, field.column)}" for name, field in table.fields.items()}
    written, binds = given_text(backend, table, given, at, conflict.assignments, conflict.where)
    return "".join([f" ON CONFLICT{one} DO UPDATE SET {written}" for one in targets]), binds * len(targets)


def _beside(backend: Backend, table: TableSpec, conflict: OnConflict) -> list[str]:
    """The index for rows with NULL that SQLite has beside the constraint, as one more target."""
    is_alike = any(
        one.fields == conflict.fields and one.condition == conflict.index and not one.nulls_distinct
        for one in table.unique
    )
    fields = [table.fields[name] for name in conflict.fields]
    nullable = [quoted(backend, field.column) for field in fields if field.nullable]
    if not is_alike or not nullable:
        return []
    parts = [
        part
        for field in fields
        for part in nulls.parts_of(
            quoted(backend, field.column),
            field.nullable,
            nulls.collation_of(str(sql_type(field.type).compile(DIALECTS["sqlite"]))),
        )
    ]
    condition = None if conflict.index is None else text_for(conflict.index, "sqlite")
    return [f" ({', '.join(parts)}) WHERE {nulls.condition_of(nullable, condition)}"]


def _prepared(backend: Backend, change: Insert, text: str, binds: Binds, rows: int, width: int = 0) -> Prepared:
    table = change.table
    found = outputs(backend, table, change.returning)
    shown = [columns(backend, table, change.returning)] if change.returning else []
    if change.is_telling:
        # The row version of an update carries the transaction that locked the old one; a new row has none.
        shown.append("(xmax = 0)")
        found = (*found, Output(INSERTED, (), None, None))
    is_plain = change.conflict is None
    returns_key = rows == 1 and is_plain and backend.name == "sqlite" and _is_key(table, change.returning)
    if shown and not returns_key:
        text += f" RETURNING {', '.join(shown)}"
    has_values = change.conflict is not None and bool(change.conflict.values)
    return Prepared(
        text,
        binds,
        columns=found,
        table=table,
        writes=True,
        is_whole=not has_values,
        returns_key=returns_key,
        is_small=is_plain and (rows == 1 or rows * len(change.fields) <= _FEW),
        written=_written(table, change.fields, rows),
        width=width,
    )


def _is_key(table: TableSpec, names: tuple[str, ...]) -> bool:
    """Whether a field is the key that SQLite numbers rows by: RETURNING would take it as long as the insert itself."""
    return names == table.primary_key and len(names) == 1 and table.fields[names[0]].is_identity


def _written(table: TableSpec, fields: tuple[str, ...], rows: int) -> tuple[tuple[str, int], ...]:
    """Which placeholder fills which column, where one row is written: an error can then tell the value."""
    return tuple([(table.fields[name].column, place) for place, name in enumerate(fields)]) if rows == 1 else ()
