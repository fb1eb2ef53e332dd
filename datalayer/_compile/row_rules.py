"""One SELECT that tells which constraints a row would not meet: the database reads its own words.

The row stands in FROM, under the name of its table, so that the SQL of a constraint finds its columns there. What the
row is compared by stands beside, in columns of other names: inside EXISTS the names of the table mean the other rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from datalayer._compile import values
from datalayer._compile.assignments import quoted
from datalayer._compile.backends.base import BACKENDS, Backend
from datalayer._compile.backends.postgresql_functions import type_name
from datalayer._compile.compiler import Rules
from datalayer._compile.prepared import Output, Prepared
from datalayer._schema.field import FieldSpec, Kind
from datalayer._schema.table import CheckSpec, ExclusionSpec, TableSpec, UniqueSpec, text_for

_AFFINITIES = {
    Kind.STRING: "TEXT",
    Kind.TEXT: "TEXT",
    Kind.SMALL_INTEGER: "INTEGER",
    Kind.INTEGER: "INTEGER",
    Kind.BIG_INTEGER: "INTEGER",
    Kind.BOOLEAN: "INTEGER",
    Kind.FLOAT: "REAL",
    Kind.DECIMAL: "NUMERIC",
}
"""The kinds whose values a cast leaves as they are."""

Rule = CheckSpec | UniqueSpec | ExclusionSpec


@dataclass
class _Beside:
    """The columns beside those of the row."""

    found: list[str]

    def add(self, text: str) -> str:
        name = f"datalayer_{len(self.found)}"
        self.found.append(f"{text} AS {name}")
        return name


def row_rules(backend_name: str, table: TableSpec, fields: tuple[str, ...], rules: Rules, own: bool) -> Prepared:
    """A column for each rule, true where the row does not meet it.

    Args:
        backend_name: The backend.
        table: The table of the row.
        fields: What is known of the row; the values are bound in this order.
        rules: Each needs nothing but these fields.
        own: Whether the row is in the table already, and not in its own way.
    """
    backend = BACKENDS[backend_name]
    beside = _Beside([])
    keys = (
        [(_column(backend, table, name), beside.add(_column(backend, table, name))) for name in table.primary_key]
        if own
        else []
    )
    tests = [_test(backend, table, rule, beside, keys) for rule in rules]
    row = ", ".join([f"{_bound(backend, table.fields[name])} AS {_column(backend, table, name)}" for name in fields])
    name = quoted(backend, table.name)
    more = "".join(f", {text}" for text in beside.found)
    text = f"SELECT {', '.join(tests)} FROM (SELECT *{more} FROM (SELECT {row}) AS {name}) AS {name}"
    binds = [(place, values.to_column(table, field, backend.name)) for place, field in enumerate(fields)]
    return Prepared(text, binds, columns=tuple([Output(rule.name, (), None, None) for rule in rules]), table=table)


def _column(backend: Backend, table: TableSpec, name: str) -> str:
    return quoted(backend, table.fields[name].column)


def _bound(backend: Backend, field: FieldSpec) -> str:
    """The placeholder of a value that compares as the column does: to SQLite, a bare value is of no type."""
    if backend.name == "postgresql":
        return f"%s::{type_name(field.type)}"
    if field.type.kind is Kind.DECIMAL and not values.is_numeric_decimal(field.type):
        return "CAST(? AS TEXT) COLLATE datalayer_decimal"
    found = _AFFINITIES.get(field.type.kind)
    return "?" if found is None else f"CAST(? AS {found})"


def _test(backend: Backend, table: TableSpec, rule: Rule, beside: _Beside, keys: list[tuple[str, str]]) -> str:
    def said(sql: str) -> str:
        return sql if backend.name == "sqlite" else sql.replace("%", "%%")

    if isinstance(rule, CheckSpec):
        return f"(({said(text_for(rule.sql, backend.name))}) IS FALSE)"
    condition = None if rule.condition is None else f"({said(text_for(rule.condition, backend.name))})"
    if isinstance(rule, UniqueSpec):
        sign = "=" if rule.nulls_distinct else "IS NOT DISTINCT FROM" if backend.name == "postgresql" else "IS"
        parts = [(said(f) if f.startswith("(") else _column(backend, table, f), sign) for f in rule.fields]
    else:
        parts = [(_column(backend, table, f), said(sign)) for f, sign in rule.pairs]
    meets = [f"{part} {sign} {beside.add(part)}" for part, sign in parts]
    if condition is not None:
        meets.append(condition)
    if keys:
        meets.append(f"NOT ({' AND '.join(f'{column} = {mine}' for column, mine in keys)})")
    found = f"EXISTS (SELECT 1 FROM {quoted(backend, table.name)} WHERE {' AND '.join(meets)})"
    return found if condition is None else f"({condition} IS TRUE AND {found})"
