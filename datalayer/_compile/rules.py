"""Conditions as SQL text with their values in it: for CHECKs and for the conditions of indexes, which take none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import sqlalchemy as sa
from sqlalchemy.sql.elements import quoted_name

from datalayer._compile import values
from datalayer._compile.backends.base import BACKENDS, Backend
from datalayer._compile.joins import Element, Path, Scope, Statement
from datalayer._compile.pieces import one_line
from datalayer._compile.prepared import Convert
from datalayer._compile.tables import DIALECTS, literal_sql
from datalayer._compile.types import BackendSql, sql
from datalayer._compile.writer import Writer
from datalayer._query.condition import Condition
from datalayer._query.expression import Expression, Value
from datalayer._schema.field import ColumnType
from datalayer._schema.table import SqlText, TableSpec
from datalayer.errors import InvalidValue


class _Spelled(Statement):
    """Values stand in the text, as the driver would be given them."""

    def __init__(self, backend: Backend, given: Sequence[object]) -> None:
        super().__init__()
        self.backend = backend
        self.given = given

    def bind(self, offset: int, convert: Convert | None = None) -> Element:
        value = self.given[offset]
        return spelled(value if convert is None or value is None else convert(value))


class _Bare(Scope):
    """Columns stand alone, in quotes: what renames one finds it so."""

    def column(self, path: Path, name: str, filter: int | None = None) -> Element:
        return sa.column(quoted_name(self.table.fields[name].column, quote=True))


class _RuleWriter(Writer):
    """Writes the conditions of a table."""

    def expression(self, node: Expression, at: int) -> Element:
        if isinstance(node, Value):
            found = self.statement.bind(at, values.to_driver(node.type, self.backend.name))
            is_text = isinstance(found, BackendSql) and found.postgresql.startswith("'")
            return self.backend.typed(found, node.type) if is_text else found
        return super().expression(node, at)

    def _against_value(self, lookup: str, left: Element, type: ColumnType | None, at: int) -> Element:
        if lookup != "in":
            return super()._against_value(lookup, left, type, at)
        convert = values.to_driver(type, self.backend.name)
        given = cast("tuple[object, ...]", cast("_Spelled", self.statement).given[at])
        items = [spelled(item if convert is None else convert(item)) for item in given if item is not None]
        return left.in_([self.backend.same(item, type) for item in items])


def spelled(value: object) -> Element:
    """A driver's value in the text.

    Raises:
        InvalidValue: There is no way to write it.
    """
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            raise InvalidValue("NaN is equal to nothing, and has no place in a condition")
        sign = "-" if value < 0 else ""
        return sql(sqlite=f"{sign}9e999", postgresql=f"'{sign}Infinity'::float8")
    if isinstance(value, list):
        return literal_sql(values.array_text(None)(cast("object", value)))
    try:
        return literal_sql(value)
    except TypeError:
        raise InvalidValue(f"{value!r} cannot be written into SQL; write the condition as SQL") from None


def text_of(condition: Condition, table: TableSpec) -> SqlText:
    """A condition as the text of a CHECK or of a partial index.

    Args:
        condition: About columns of the table alone.
        table: The table.
    """
    found: dict[str, str] = {}
    for name in ("sqlite", "postgresql"):
        backend = BACKENDS[name]
        statement = _Spelled(backend, condition.values)
        element = _RuleWriter(backend, statement, _Bare(statement, table)).condition(condition, 0)
        compiled = element.compile(dialect=DIALECTS[name], compile_kwargs={"literal_binds": True})
        found[name] = one_line(str(compiled))
    return found["sqlite"] if found["sqlite"] == found["postgresql"] else found
