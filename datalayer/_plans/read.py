"""Reading: rows, one row, numbers. Every function is a plan; the compiler comes first."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Final, TypeAlias, TypeVar, cast

from datalayer._compile.compiler import Compiler
from datalayer._compile.prepared import Prepared
from datalayer._plans.plan import CHUNK, Chunks, Command, Plan, Row
from datalayer._query.condition import Comparison, Condition, Junction, Nothing
from datalayer._query.expression import Aggregate, Expression, FieldRef, Ordering
from datalayer._query.query import Query
from datalayer.errors import NotSupported, QueryError, choices_text, nearest

T = TypeVar("T")

Load: TypeAlias = Callable[[Prepared, Chunks], list[T]]
"""Given by the models: how rows of a prepared query become instances. It may keep what it made in `Prepared.memo`."""


def is_nothing(query: Query) -> bool:
    """Whether a query cannot find any row, so that nothing need be sent."""
    if query.limit == 0:
        return True
    where = query.where
    if len(where) == 1 and type(where[0]) is Comparison:
        return False
    return any(_is_nothing(condition) for condition in where)


def _is_nothing(condition: Condition) -> bool:
    if isinstance(condition, Nothing):
        return True
    if isinstance(condition, Junction):
        found = [_is_nothing(child) for child in condition.children]
        return any(found) if condition.connector == "and" else condition.connector == "or" and all(found)
    return False


def rows(compiler: Compiler, query: Query) -> Plan[tuple[Prepared | None, list[Row]]]:
    """The raw rows of a query and what they mean; no Prepared when nothing had to be sent."""
    if is_nothing(query):
        return None, []
    prepared = compiler.select(query)
    reply = yield prepared.command(query.values)
    return prepared, reply.rows


def fetch(compiler: Compiler, query: Query, load: Load[T]) -> Plan[list[T]]:
    """Every row of a query, as instances."""
    if is_nothing(query):
        return []
    prepared = compiler.select(query)
    command = prepared.command(query.values)
    command.in_chunks = query.limit is None or query.limit > CHUNK
    reply = yield command
    if reply.chunks is None:
        return load(prepared, (reply.rows,)) if reply.rows else []
    return of_chunks(load, prepared, reply.chunks)


def of_chunks(load: Load[T], prepared: Prepared, reply: Generator[list[Row], None, None]) -> list[T]:
    """The instances of many rows."""
    with closing(reply) as chunks:
        return load(prepared, chunks)


def one(compiler: Compiler, query: Query, load: Load[T]) -> Plan[list[T]]:
    """At most two rows: enough to tell none, one and several apart."""
    return fetch(compiler, query if query.limit is not None and query.limit <= 2 else query.replaced(limit=2), load)


def first(compiler: Compiler, query: Query, load: Load[T]) -> Plan[T | None]:
    """The first row, by primary key where the query has no order; None when there is none."""
    if query.limit != 0:
        query = ordered(query).replaced(limit=1)
    found = yield from fetch(compiler, query, load)
    return found[0] if found else None


def ordered(query: Query) -> Query:
    """The query itself when it has an order, else ordered by its primary key."""
    if query.order or query.group_by is not None or (query.columns is not None and query.distinct):
        return query
    table = query.table
    return query.replaced(
        order=tuple([Ordering(FieldRef((), name, table.fields[name].type)) for name in table.primary_key])
    )


def count(compiler: Compiler, query: Query) -> Plan[int]:
    """How many rows there are."""
    if is_nothing(query):
        return 0
    reply = yield compiler.count(query).command(query.values)
    return cast("int", reply.rows[0][0])


def exists(compiler: Compiler, query: Query) -> Plan[bool]:
    """Whether there is any row."""
    if is_nothing(query):
        return False
    reply = yield compiler.exists(query).command(query.values)
    return bool(reply.rows)


def tuples(compiler: Compiler, query: Query) -> Plan[list[Row]]:
    """The rows as tuples, converted, hidden columns left out."""
    prepared, found = yield from rows(compiler, query)
    return prepared.read(found) if prepared is not None else []


def aggregate(
    compiler: Compiler, query: Query, aggregates: tuple[tuple[str, Expression], ...]
) -> Plan[dict[str, object]]:
    """Aggregates over all rows of a query, by name. Nothing is sent for a query that finds no row."""
    if is_nothing(query) and all(isinstance(expression, Aggregate) for _, expression in aggregates):
        return {
            name: 0 if isinstance(expression, Aggregate) and expression.name == "count" else None
            for name, expression in aggregates
        }
    prepared = compiler.aggregate(query, aggregates)
    own = [value for _, expression in aggregates for value in expression.values]
    reply = yield prepared.command((*own, *query.values))
    (row,) = prepared.read(reply.rows)
    return dict(zip([name for name, _ in aggregates], row, strict=True))


EXPLAINED: Final = ("verbose", "costs", "settings", "buffers", "wal", "timing", "summary", "memory")
"""What PostgreSQL can be told about its answer, beside `analyze` and `format`."""
FORMATS: Final = ("text", "json", "yaml", "xml")


def explain(compiler: Compiler, query: Query, format: str, analyze: bool, options: dict[str, bool]) -> Plan[str]:
    """How the database would find the rows, in its own words.

    Raises:
        QueryError: A form or an option that there is not.
        NotSupported: More than the bare plan of SQLite.
    """
    if format not in FORMATS:
        raise QueryError(
            f"explain(format={format!r}): the choices are {choices_text(FORMATS)}{nearest(format, FORMATS)}"
        )
    for name, value in options.items():
        if name not in EXPLAINED:
            known = ("analyze", "format", *EXPLAINED)
            raise QueryError(f"explain({name}=...): the choices are {choices_text(known)}{nearest(name, known)}")
        if not isinstance(value, bool):  # pyright: ignore[reportUnnecessaryIsInstance] - who does not check types
            raise QueryError(f"explain({name}={value!r}): it is True or False")
    prepared = compiler.select(query)
    if compiler.backend == "sqlite":
        if analyze:
            raise NotSupported("SQLite cannot measure a query: explain() without analyze shows its plan")
        if options or format != "text":
            raise NotSupported("SQLite shows its plan in one form: explain() without format and options")
        reply = yield Command("EXPLAIN QUERY PLAN " + prepared.sql, prepared.params(query.values), table=query.table)
        return _tree(reply.rows)
    words = [f"FORMAT {format.upper()}"] if format != "text" else []
    words += [f"{name.upper()} {'ON' if value else 'OFF'}" for name, value in (("analyze", analyze), *options.items())]
    head = f"EXPLAIN ({', '.join(words)}) "
    reply = yield Command(head + prepared.sql, prepared.params(query.values), table=query.table)
    return "\n".join(_shown(row[0]) for row in reply.rows)


def _shown(part: object) -> str:
    """A part of a plan as text: drivers read JSON, and leave XML as bytes."""
    if isinstance(part, bytes):
        return part.decode()
    return part if isinstance(part, str) else json.dumps(part, indent=2)


def _tree(rows: Sequence[Row]) -> str:
    """SQLite's plan, each step indented below the one it is part of: rows of number, parent's number, -, words."""
    depths: dict[object, int] = {0: 0}
    lines: list[str] = []
    for number, parent, _, words in rows:
        depth = depths.get(parent, 0)
        depths[number] = depth + 1
        lines.append("  " * depth + str(words))
    return "\n".join(lines)


def raw(compiler: Compiler, sql: str, params: Sequence[object] = (), *, writes: bool = False) -> Plan[list[Row]]:
    """The rows of SQL written by hand, with the backend's own placeholders; nothing is converted."""
    reply = yield Command(sql, params, writes=writes)
    return reply.rows
