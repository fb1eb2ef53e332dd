"""Plans of querysets: what needs models beside the plans of `_plans`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from datalayer._compile.compiler import Compiler
from datalayer._compile.prepared import Output
from datalayer._plans import by_value, read
from datalayer._plans.by_value import ByValue
from datalayer._plans.plan import Command, Plan, Row
from datalayer._query.expression import Expression
from datalayer._query.query import Query
from datalayer._schema.relation import RelationKind, RelationSpec
from datalayer._schema.table import TableSpec
from datalayer.errors import QueryError, UndefinedColumn, choices_text
from datalayer.late import dataclass
from datalayer.models import hydrate, loading, related
from datalayer.models.loading import Lookup
from datalayer.models.state import cache_of, peek

if TYPE_CHECKING:
    from datalayer.models.rows import Rows

R = TypeVar("R")


@dataclass(slots=True)
class Fetched:
    """Everything a plan needs to fetch the rows of a queryset."""

    query: Query
    load: Any
    prefetched: tuple[Lookup, ...]
    alias: str
    behind: tuple[Any, RelationSpec] | None
    parent: tuple[Any, RelationSpec] | None


def fetch(compiler: Compiler, rows: Fetched) -> Plan[list[Any]]:
    """The rows of a queryset, with everything that comes along."""
    if rows.behind is not None:
        instance, spec = rows.behind
        if peek(instance, spec.name) is None:
            yield from loading.load(compiler, related.lacking(instance, spec), spec, rows.alias)
        found: list[Any] = list(peek(instance, spec.name) or ())
    else:
        found = yield from read.fetch(compiler, rows.query, rows.load)
        if rows.parent is not None:
            _know_their_parent(found, *rows.parent)
    if rows.prefetched and found:
        yield from loading.prefetch(compiler, found, rows.prefetched, rows.alias)
    return found


def _know_their_parent(found: list[Any], instance: Any, spec: RelationSpec) -> None:
    """Rows that were found by what they refer to have it without asking for it."""
    if spec.kind is RelationKind.REVERSE_FOREIGN_KEY and spec.reverse is not None:
        for row in found:
            if type(row) is spec.target.python_model:
                cache_of(row)[spec.reverse] = instance


def get(compiler: Compiler, query: Query, asked: Rows[Any, R]) -> Plan[R]:
    """The one row.

    Args:
        compiler: For the backend at hand.
        query: Finds it.
        asked: The queryset that asks: what comes along with its rows.

    Raises:
        DoesNotExist: There is none.
        MultipleObjectsReturned: There are several.
    """
    asking: Any = asked  # of what is no part of its face
    found: list[R] = yield from read.one(compiler, query, asking._load)
    if len(found) != 1:
        raise _not_one(asking.model, found)
    if asking._prefetched:
        yield from loading.prefetch(compiler, found, asking._prefetched, asking._alias)
    if asking._parent is not None:
        _know_their_parent(found, *asking._parent)
    return found[0]


def get_by_value(compiler: Compiler, rows: ByValue[R], value: object, asked: Rows[Any, R]) -> Plan[R]:
    """As `get`, of rows behind nothing, found by one value."""
    found = yield from by_value.fetch(compiler, rows, value)
    if len(found) != 1:
        raise _not_one(asked.model, found)
    asking: Any = asked
    if asking._prefetched:
        yield from loading.prefetch(compiler, found, asking._prefetched, asking._alias)
    return found[0]


def _not_one(model: Any, found: list[Any]) -> Exception:
    """The error about no row or several."""
    error: Exception
    if found:
        error = model.MultipleObjectsReturned(
            f"get() found more than one {model.__name__}; use filter() for several, or first()"
        )
    else:
        error = model.DoesNotExist(f"no {model.__name__} matches the query")
    return error


def first(compiler: Compiler, rows: Fetched) -> Plan[Any]:
    """The first row, or None."""
    found = yield from fetch(compiler, rows)
    return found[0] if found else None


def earliest(compiler: Compiler, rows: Fetched, model: Any) -> Plan[Any]:
    """The first row.

    Raises:
        DoesNotExist: There is none.
    """
    found = yield from first(compiler, rows)
    if found is None:
        raise model.DoesNotExist(f"no {model.__name__} matches the query")
    return found


def aggregate_list(
    compiler: Compiler, query: Query, aggregates: tuple[tuple[str, Expression], ...]
) -> Plan[tuple[object, ...]]:
    """Aggregates over all rows of a query, in their order."""
    found = yield from read.aggregate(compiler, query, aggregates)
    return tuple(found.values())


def in_bulk(compiler: Compiler, rows: Fetched, field: str) -> Plan[dict[Any, Any]]:
    """Rows by key."""
    found = yield from fetch(compiler, rows)
    return {getattr(row, field): row for row in found}


def streamed(compiler: Compiler, rows: Fetched) -> tuple[Command, Callable[[list[Row]], Plan[Iterable[Any]]]]:
    """The statement of a stream, and the plan that makes instances of a chunk of rows, with what comes along."""
    prepared = compiler.select(rows.query)

    def load(chunk: list[Row]) -> Plan[Iterable[Any]]:
        found: list[Any] = rows.load(prepared, (chunk,))
        if rows.parent is not None:
            _know_their_parent(found, *rows.parent)
        if rows.prefetched:
            yield from loading.prefetch(compiler, found, rows.prefetched, rows.alias)
        return found

    return prepared.command(rows.query.values), load


# -- SQL by hand ---------------------------------------------------------------------------------


_MARK = re.compile(r"%(?:(%)|(s)|\((\w+)\)s)?")


def placeholders(sql: str, params: Mapping[str, object] | Sequence[object], backend: str) -> tuple[str, list[object]]:
    """SQL with `%(name)s` or `%s` in the words of a backend; without params, a `%` is only a `%`.

    Raises:
        QueryError: The placeholders and the params do not fit.
    """
    percent, mark = ("%", "?") if backend == "sqlite" else ("%%", "%s")
    if not params:
        return sql.replace("%", percent), []
    named = params if isinstance(params, Mapping) else None
    given = [] if isinstance(params, Mapping) else list(params)
    found: list[object] = []

    def one(match: re.Match[str]) -> str:
        if match[1]:
            return percent
        if match[0] == "%":
            raise QueryError("a % that is no placeholder is written %% in SQL with params")
        if (named is None) == (match[3] is not None):
            raise QueryError(f"the SQL asks for {match[0]}; give a {'list' if named is not None else 'dict'} of params")
        if named is None:
            if len(found) == len(given):
                raise QueryError(f"the SQL asks for more than the {len(given)} params it was given")
            found.append(given[len(found)])
        elif match[3] not in named:
            raise QueryError(f"the SQL asks for %({match[3]})s, and params have {choices_text(named)}")
        else:
            found.append(named[match[3]])
        return mark

    text = _MARK.sub(one, sql)
    if named is None and len(found) < len(given):
        raise QueryError(f"the SQL asks for {len(found)} params and was given {len(given)}")
    return text, found


def _incomplete(table: TableSpec, name: str, error: UndefinedColumn) -> UndefinedColumn:
    """The error about SQL that lacks a column of the model."""
    return UndefinedColumn(
        f"raw(): the SQL does not return {name!r}, which {table.model} has; select all of "
        f"{choices_text(field.column for field in table.fields.values())}, or say which it does: "
        f"{table.model}.objects.only(...).raw(...) leaves the others to be loaded when they are read",
        alias=error.alias,
        model=table.model,
        table=table.name,
        columns=(name,),
        sqlstate=error.sqlstate,
    )


_ASKED = re.compile(r'datalayer_raw\."?([^"\s;]+)')


def raw(
    compiler: Compiler,
    model: Any,
    alias: str,
    sql: str,
    params: Mapping[str, object] | Sequence[object],
    only: tuple[str, ...] | None,
) -> Plan[list[Any]]:
    """Instances from SQL written by hand; the columns are told apart by asking for them by name around it."""
    text, given = placeholders(sql.strip().rstrip(";"), params, compiler.backend)
    if "--" in text:
        text += "\n"  # what follows is no part of a comment
    convert, _ = compiler.converter(None)
    values = [value if value is None or convert is None else convert(value) for value in given]
    table = model.table
    # With the name in front: SQLite would take a quoted name that is no column for text.
    fields = [field for field in table.fields.values() if only is None or field.name in only]
    columns = ", ".join('datalayer_raw."' + field.column.replace('"', '""') + '"' for field in fields)
    try:
        reply = yield Command(f"SELECT {columns} FROM ({text}) AS datalayer_raw", values, table=table)
    except UndefinedColumn as error:
        found = _ASKED.search(str(error))
        if found is None:  # of the SQL itself
            raise
        raise _incomplete(table, found[1], error) from error
    outputs = tuple([Output(field.name, (), field, compiler.converter(field.type)[1]) for field in fields])
    return hydrate.maker(model, outputs, compiler.backend)((reply.rows,), alias)


__all__ = ["Fetched", "cache_of"]
