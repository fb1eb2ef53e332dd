"""The CHECK constraints that the limits of a field amount to, as SQL of each backend."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
from typing import Final

from pydantic.fields import FieldInfo

from datalayer._compile.values import is_numeric_decimal, to_driver
from datalayer._schema.field import ColumnType, FieldSpec, Kind
from datalayer._schema.names import constraint_name
from datalayer._schema.table import CheckSpec
from datalayer.models._pydantic import limits
from datalayer.models.unwrap import unwrapped

_OPERATORS: Final = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def checks_of(table: str, spec: FieldSpec, info: FieldInfo) -> list[CheckSpec]:
    """The CHECKs that pydantic's constraints amount to."""
    found = limits((*unwrapped(info.annotation)[2], *info.metadata))
    column = '"' + spec.column.replace('"', '""') + '"'
    checks: list[CheckSpec] = []

    def add(tail: str, sql: str | dict[str, str]) -> None:
        checks.append(CheckSpec(constraint_name("ck", table, (spec.column,), tail), sql, (spec.name,)))

    for limit, operator in _OPERATORS.items():
        if limit in found:
            texts = _limit(column, operator, found[limit], spec.type)
            if texts is not None:
                add(limit, texts["sqlite"] if len(set(texts.values())) == 1 else texts)
    if found.get("min_length") and spec.type.kind in (Kind.STRING, Kind.TEXT):
        add("min_length", f"length({column}) >= {int(found['min_length'])}")
    if spec.type.kind is Kind.ENUM:
        values = ", ".join(_quoted(v) if isinstance(v, str) else str(int(v)) for v in spec.type.choices)
        add("choices", f"{column} IN ({values})")
    return checks


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _limit(column: str, operator: str, value: object, kind: ColumnType) -> dict[str, str] | None:
    """A limit as a condition of each backend; None where it cannot be written."""
    if isinstance(value, enum.Enum):
        value = value.value
    text = None if isinstance(value, bool) else _literal(value)
    if text is None:
        return None
    postgresql = f"{column} {operator} {text}"
    if kind.kind is Kind.DECIMAL and not is_numeric_decimal(kind):
        # SQLite keeps these as text, which the collation compares by value; a float would make two numbers one.
        return {"sqlite": f"{column} COLLATE datalayer_decimal {operator} '{text}'", "postgresql": postgresql}
    convert = to_driver(kind, "sqlite")
    kept = _literal(value if convert is None else convert(value))
    return {"sqlite": f"{column} {operator} {kept}", "postgresql": postgresql}


def _literal(value: object) -> str | None:
    if isinstance(value, int):
        return repr(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    if isinstance(value, decimal.Decimal):
        return format(value, "f") if value.is_finite() else None
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            return _quoted(value.isoformat(" ", "microseconds"))
        return _quoted(value.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(" ", "microseconds") + "+00")
    if isinstance(value, datetime.date | datetime.time):
        return _quoted(value.isoformat())
    if isinstance(value, datetime.timedelta):
        return _quoted(f"{value // datetime.timedelta(microseconds=1)} microseconds")
    return _quoted(value) if isinstance(value, str) else None
