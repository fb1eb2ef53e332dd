"""What could be learned about a failed statement: from the driver's message, from our metadata, from what was sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from datalayer import errors
from datalayer._compile.values import from_driver
from datalayer._schema.field import Kind
from datalayer._schema.table import CheckSpec, ForeignKeySpec, TableSpec, UniqueSpec


class Facts:
    """What could be learned about a failed statement, gathered before the error is built."""

    __slots__ = ("columns", "constraint", "other_table", "sqlstate", "subject", "table", "text", "values")

    def __init__(self, text: str) -> None:
        self.text = text
        self.table: str | None = None
        self.columns: tuple[str, ...] = ()
        self.constraint: str | None = None
        self.values: dict[str, object] = {}
        self.other_table: str | None = None
        # The table the message is about, where that is not the one whose constraint was violated.
        self.subject: str | None = None
        self.sqlstate: str | None = None


def complete(kind: type[errors.DatabaseError], facts: Facts, spec: TableSpec, written: Mapping[str, object]) -> None:
    """Finds the columns of a named constraint, or the name of a constraint on known columns, in our metadata."""
    constraints: list[UniqueSpec | CheckSpec | ForeignKeySpec] = [*spec.unique, *spec.checks, *spec.foreign_keys]
    named = {
        one.name: one.fields or (spec.named_in(one.sql) if isinstance(one, CheckSpec) else ()) for one in constraints
    }
    named |= {exclusion.name: exclusion.fields for exclusion in spec.exclusions}
    beside = (facts.constraint or "").removesuffix("_nulls")
    if facts.constraint not in named and beside in named:  # an index that only SQLite has
        facts.constraint = beside
    if facts.constraint and not facts.columns:
        facts.columns = tuple(_columns(spec, named.get(facts.constraint, ())))
    elif facts.columns and not facts.constraint and kind is errors.UniqueViolation:
        for one in spec.unique:
            if set(_columns(spec, one.fields)) == set(facts.columns):
                facts.constraint = one.name
    if kind is errors.ForeignKeyViolation and not facts.columns:
        # SQLite names nothing; where only one reference was written, it was that one.
        keys = [key for key in spec.foreign_keys if set(_columns(spec, key.fields)) & set(written)]
        if len(keys) == 1:
            facts.constraint = keys[0].name
            facts.columns = tuple(_columns(spec, keys[0].fields))
            facts.other_table = keys[0].target


def told(facts: Facts, spec: TableSpec, written: Mapping[str, object], backend: str) -> dict[str, object]:
    """The offending values by column, as the model has them: what was written, else what the database said."""
    found: dict[str, object] = {}
    for column in facts.columns:
        field = spec.by_column.get(column)
        type = None if field is None else field.type
        if column in written:
            found[column] = _converted(from_driver(type, backend), written[column])
        elif column in facts.values:
            found[column] = _converted(_FROM_TEXT.get(type.kind) if type is not None else None, facts.values[column])
        elif facts.text.startswith(("NOT NULL", "null value")):
            found[column] = None
    return found


def _converted(convert: Callable[[Any], object] | None, value: object) -> object:
    """A value on its way back; as it is where it cannot be converted: an error must not hide another one."""
    if convert is None or value is None:
        return value
    try:
        return convert(value)
    except (ValueError, TypeError, ArithmeticError):
        return value


_FROM_TEXT: dict[Kind, Callable[[Any], object]] = {
    Kind.SMALL_INTEGER: int,
    Kind.INTEGER: int,
    Kind.BIG_INTEGER: int,
    Kind.FLOAT: float,
    Kind.DECIMAL: Decimal,
    Kind.BOOLEAN: lambda text: text == "t",
    Kind.DATE: date.fromisoformat,
    Kind.TIME: time.fromisoformat,
    Kind.DATETIME: datetime.fromisoformat,
    Kind.NAIVE_DATETIME: datetime.fromisoformat,
    Kind.UUID: UUID,
}
"""How the text in a message of PostgreSQL becomes a value."""


def _columns(spec: TableSpec, fields: tuple[str, ...]) -> list[str]:
    return [spec.fields[name].column for name in fields if name in spec.fields]
