"""Deletes that rows of others stand in the way of: they are looked up, but only when the database has refused.

On PostgreSQL a refused statement would spoil the transaction around, so there the delete of a row that others may
protect runs behind a savepoint. Rows that nothing can protect are deleted as always.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from datalayer._compile.compiler import Compiler
from datalayer._plans import read, transaction
from datalayer._plans.plan import Plan
from datalayer._query.condition import Comparison, Condition, ExistsCondition, Junction
from datalayer._query.expression import FieldRef, Subquery
from datalayer._query.query import Query
from datalayer._schema.table import ForeignKeySpec, TableSpec
from datalayer.databases import databases
from datalayer.errors import ForeignKeyViolation, ProtectedError
from datalayer.models.hydrate import loader
from datalayer.models.state import key_values

T = TypeVar("T")

SHOWN: Final = 5
"""Rows that a message names of each reference."""

MOST: Final = 100
"""Rows that are looked up of each reference."""

DEEPEST: Final = 4
"""How often a table that refers to itself is gone through."""

_PROTECTS: Final = frozenset({"RESTRICT", "NO ACTION"})


def may_be_protected(table: TableSpec) -> bool:
    """Whether a reference to a row, or to one that goes with it, may keep it from being deleted."""
    return any(key.on_delete in _PROTECTS for _, key in _references(table, set()))


def _references(table: TableSpec, seen: set[str]) -> Iterator[tuple[TableSpec, ForeignKeySpec]]:
    """The foreign keys that lead to a table or to one whose rows go with it."""
    seen.add(table.name)
    for other, key in table.referrers:
        yield other, key
        if key.on_delete == "CASCADE" and other.name not in seen:
            yield from _references(other, seen)


def protected(compiler: Compiler, query: Query, alias: str, delete: Callable[[], Plan[T]]) -> Plan[T]:
    """Deletes rows, and says which rows of others are in the way when the database refuses.

    Args:
        compiler: For the backend at hand.
        query: The rows to be deleted.
        alias: The database.
        delete: Makes the plan that deletes them.

    Raises:
        ProtectedError: Rows that refer to them, or to rows that go with them, must not be left without.
    """
    if not may_be_protected(query.table):
        return (yield from delete())
    depth = databases[alias].depth
    try:
        if compiler.backend == "postgresql" and depth:
            return (yield from transaction.nested(compiler.backend, delete, depth=depth))
        return (yield from delete())
    except ForeignKeyViolation as error:
        found: list[tuple[TableSpec, ForeignKeySpec, list[Any]]] = []
        yield from _in_the_way(compiler, query.replaced(only=None, order=(), joined=()), alias, {}, found)
        if not found:
            raise  # they are gone meanwhile
        raise _error(query.table, error, found) from error


def _in_the_way(
    compiler: Compiler,
    query: Query,
    alias: str,
    seen: dict[str, int],
    found: list[tuple[TableSpec, ForeignKeySpec, list[Any]]],
) -> Plan[None]:
    """Collects the rows that protect the rows of a query, or rows that go with them."""
    table = query.table
    seen = {**seen, table.name: seen.get(table.name, 0) + 1}
    for other, key in table.referrers:
        if key.on_delete not in _PROTECTS and key.on_delete != "CASCADE":
            continue
        referring = Query(other).filtered(_refers(query, other, key))
        if key.on_delete == "CASCADE":
            if seen.get(other.name, 0) < DEEPEST:
                yield from _in_the_way(compiler, referring, alias, seen, found)
            continue
        rows: list[Any] = yield from read.fetch(
            compiler, read.ordered(referring).replaced(limit=MOST), loader(other.python_model, alias)
        )
        if rows:
            found.append((other, key, rows))


def _refers(query: Query, other: TableSpec, key: ForeignKeySpec) -> Condition:
    """The condition that a row of another table refers to a row of a query."""
    table = query.table
    theirs = [table.fields[name].type for name in key.target_fields]
    if len(theirs) == 1:
        wanted = FieldRef((), key.target_fields[0], theirs[0])
        inner = query.replaced(columns=((key.target_fields[0], wanted),))
        own = FieldRef((), key.fields[0], other.fields[key.fields[0]].type)
        return Comparison(own, "in", Subquery(inner, own.type))
    ties = [
        Comparison(FieldRef((), target, type), "exact", FieldRef((), name, other.fields[name].type, outer=1))
        for name, target, type in zip(key.fields, key.target_fields, theirs, strict=True)
    ]
    return ExistsCondition(query.filtered(Junction("and", tuple(ties))))


def _name(table: TableSpec, key: ForeignKeySpec) -> str:
    names = [name for name, spec in table.relations.items() if spec.kind.is_forward and spec.local == key.fields]
    return names[0] if names else ", ".join(key.fields)


def _error(
    table: TableSpec, cause: ForeignKeyViolation, found: list[tuple[TableSpec, ForeignKeySpec, list[Any]]]
) -> ProtectedError:
    parts: list[str] = []
    for other, key, rows in found:
        shown = ", ".join(_shown(row) for row in rows[:SHOWN])
        more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
        parts.append(f"{other.model}.{_name(other, key)} of {shown}{more}")
    # SQLite says nothing, and PostgreSQL speaks of the row that is referred to: here it is the reference, as in other
    # violations of a foreign key.
    first, reference, (row, *_) = found[0]
    error = ProtectedError(
        f"{table.model} rows cannot be deleted while others still refer to them: {'; '.join(parts)}; "
        "delete those first, or let them refer to another row",
        alias=cause.alias,
        model=table.model,
        table=first.name,
        columns=[first.fields[name].column for name in reference.fields],
        constraint=reference.name,
        values={first.fields[name].column: row.__dict__[name] for name in reference.fields},
        sqlstate=cause.sqlstate,
    )
    error.protected_objects = tuple([row for *_, rows in found for row in rows])
    return error


def _shown(row: Any) -> str:
    key = key_values(row, row.__class__.table.primary_key) or ()
    return f"{row.__class__.__name__} {key[0] if len(key) == 1 else key!r}"
