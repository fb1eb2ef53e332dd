"""What is written to a column: plain values, expressions over the row, over its relations, over what a row brought."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from datalayer._compile import values
from datalayer._compile.backends.base import Backend
from datalayer._compile.backends.postgresql_functions import type_name
from datalayer._compile.joins import Element, Scope, Statement
from datalayer._compile.pieces import Finished, one_line
from datalayer._compile.prepared import Convert, Output
from datalayer._compile.selection import subquery
from datalayer._compile.writer import Writer
from datalayer._query.change import Given
from datalayer._query.condition import Condition
from datalayer._query.expression import Expression, FieldRef, Value
from datalayer._schema.field import FieldSpec, Kind
from datalayer._schema.table import TableSpec
from datalayer.errors import QueryError

Binds = list[tuple[int, Convert | None]]


class GivenWriter(Writer):
    """Writes nodes over a row in the way and over what the new row brought, which has names of its own."""

    def __init__(self, backend: Backend, statement: Statement, table: TableSpec, given: Mapping[str, str]) -> None:
        super().__init__(backend, statement, Scope(statement, table), nested=subquery)
        self.given = given

    def expression(self, node: Expression, at: int) -> Element:
        if isinstance(node, Given):
            return Finished(self.given[node.field])
        return super().expression(node, at)


def element_of(writer: Writer, field: FieldSpec, expression: Expression, at: int) -> Element:
    """What is assigned to a column.

    Raises:
        QueryError: The expression walks over a relation to many rows.
    """
    backend, statement = writer.backend, writer.statement
    if isinstance(expression, Value):
        return statement.bind(at, values.to_column(writer.scope.table, field.name, backend.name))
    if any(writer.walk.paths(expression)):
        if isinstance(writer, GivenWriter):
            raise QueryError(
                f"{writer.scope.table.model}.{field.name} is computed over a relation, and here an expression may only "
                f"use columns of {writer.scope.table.model} itself"
            )
        element = writer.on_own_row(expression, at)
    else:
        element = writer.expression(expression, at)
    return fitted(backend, element, expression, field)


def fitted(backend: Backend, element: Element, expression: Expression, field: FieldSpec) -> Element:
    """A computed value as its column keeps it; what comes out of such a column fits already."""
    if isinstance(expression, FieldRef | Given) and expression.type == field.type:
        return element
    return backend.fitted(element, field.type, field.column)


def given_text(
    backend: Backend,
    table: TableSpec,
    given: Mapping[str, str],
    at: int,
    assignments: tuple[tuple[str, Expression], ...],
    where: Condition | None = None,
) -> tuple[str, Binds]:
    """`a = ..., b = ...` and the condition behind it, with what is bound in them.

    Args:
        backend: Which SQL to write.
        table: The table written to.
        given: How the values that a row brought are called, by field.
        at: The offset of the first value.
        assignments: What is written.
        where: Which rows are written.
    """
    statement = Statement()
    writer = GivenWriter(backend, statement, table, given)
    parts: list[str] = []
    binds: Binds = []

    def text(element: Element) -> str:
        compiled: Any = element.compile(dialect=backend.dialect)
        binds.extend(statement.binds[name] for name in compiled.positiontup or ())
        return one_line(str(compiled))

    for name, expression in assignments:
        field = table.fields[name]
        parts.append(f"{quoted(backend, field.column)} = {text(element_of(writer, field, expression, at))}")
        at += len(expression.values)
    written = ", ".join(parts)
    if where is not None:
        if any(writer.walk.paths(where)):
            raise QueryError(f"where= may only use columns of {table.model} itself and what the new rows brought")
        written += f" WHERE {text(writer.condition(where, at))}"
    return written, binds


def by_row(backend: Backend, table: TableSpec, fields: tuple[str, ...], rows: int) -> Binds:
    """The binds of rows of values, row after row."""
    converters = [values.to_column(table, name, backend.name) for name in fields]
    return [(number * len(converters) + place, c) for number in range(rows) for place, c in enumerate(converters)]


def by_column(backend: Backend, table: TableSpec, fields: tuple[str, ...]) -> tuple[str, Binds]:
    """PostgreSQL: `unnest` of one list for each field, and its binds.

    Lists go in binary form (`%b`): as text the driver quotes every item of them in Python, for half of the time.
    """
    arrays: list[str] = []
    binds: Binds = []
    kinds = [table.fields[name].type for name in fields]
    for place, (name, type) in enumerate(zip(fields, kinds, strict=True)):
        if type.kind is Kind.ARRAY:  # unnest would take arrays of arrays apart
            arrays.append("%b::text[]")
            binds.append((place, _each(values.array_text(type))))
            continue
        arrays.append(f"%b::{type_name(type)}[]")
        binds.append((place, _each(values.to_column(table, name, backend.name))))
    source = f"unnest({', '.join(arrays)})"
    if any(type.kind is Kind.ARRAY for type in kinds):
        names = [f"a{number}" for number in range(len(fields))]
        shown = [
            f"{name}::{type_name(type)}" if type.kind is Kind.ARRAY else name
            for name, type in zip(names, kinds, strict=True)
        ]
        source = f"(SELECT {', '.join(shown)} FROM {source} AS given ({', '.join(names)}))"
    return source, binds


def _each(convert: Callable[[object], object] | None) -> Convert | None:
    if convert is None:
        return None
    return lambda column: [None if item is None else convert(item) for item in column]  # type: ignore[attr-defined]


def outputs(backend: Backend, table: TableSpec, names: tuple[str, ...]) -> tuple[Output, ...]:
    """What comes back for some fields."""
    fields = [table.fields[name] for name in names]
    return tuple([Output(f.name, (), f, values.from_driver(f.type, backend.name)) for f in fields])


def columns(backend: Backend, table: TableSpec, names: tuple[str, ...]) -> str:
    """The columns of some fields, in quotes where they need them."""
    return ", ".join(quoted(backend, table.fields[name].column) for name in names)


def quoted(backend: Backend, name: str) -> str:
    """An identifier, in quotes where it needs them."""
    return backend.dialect.identifier_preparer.quote(name)
