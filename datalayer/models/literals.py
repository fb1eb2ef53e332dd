"""Python values that stand in SQL on their own, without a column that says what they are."""

from __future__ import annotations

import datetime
import enum
import ipaddress
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from datalayer._query.arithmetic import FLOAT, MOMENTS, TEXT, TEXTS, WHOLE
from datalayer._query.expression import Expression, Function, Value
from datalayer._schema.field import ColumnType, Kind
from datalayer.errors import InvalidValue
from datalayer.models.checks import checked
from datalayer.models.fields import NAIVE

_PLAIN: Final[Mapping[type, ColumnType]] = {
    bool: ColumnType(Kind.BOOLEAN, bool),
    int: WHOLE,
    float: FLOAT,
    str: TEXT,
    bytes: ColumnType(Kind.BYTES, bytes),
    datetime.date: ColumnType(Kind.DATE, datetime.date),
    datetime.time: ColumnType(Kind.TIME, datetime.time),
    datetime.timedelta: ColumnType(Kind.DURATION, datetime.timedelta),
    uuid.UUID: ColumnType(Kind.UUID, uuid.UUID),
    dict: ColumnType(Kind.JSON, dict),
    list: ColumnType(Kind.JSON, list),
}
_AWARE: Final = ColumnType(Kind.DATETIME, datetime.datetime)
_ADDRESSES: Final = (ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network)
_INET: Final = ColumnType(Kind.INET, object)


def literal(value: object, type: ColumnType | None = None) -> Expression:
    """The node of a plain value.

    Args:
        value: Anything that some column could hold.
        type: What it is to be; found out of the value when None.

    Raises:
        InvalidValue: No column could hold it, or it is not of the type.
    """
    if value is None:
        return Function("null", (), type)
    if isinstance(value, enum.Enum):
        value = value.value
    if type is not None:
        return Value(checked(type, "exact", "the value", value), type)
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            raise InvalidValue(f"{NAIVE}, not {value!r}")
        return Value(value, _AWARE)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise InvalidValue(f"{value!r} is no number that a database can keep")
        digits = len(value.as_tuple().digits)
        return Value(value, ColumnType(Kind.DECIMAL, Decimal, precision=15 if digits <= 15 else None))
    if isinstance(value, _ADDRESSES):
        return Value(value, _INET)
    found = next((kind for python, kind in _PLAIN.items() if isinstance(value, python)), None)
    if found is None:
        raise InvalidValue(f"{value!r} is no value that a column could hold")
    return Value(checked(found, "exact", "the value", _within(value)), found)


def _within(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        raise InvalidValue(f"{value} is beyond the 64 bits of a database's whole numbers")
    return value


def operand_value(value: object, other: ColumnType | None, name: str) -> Expression:
    """A plain value that is computed with something of a type: a number beside a number, a duration beside a date.

    Raises:
        InvalidValue: It fits nothing of that type.
    """
    kind = None if other is None else other.kind
    if kind is None or value is None:
        return literal(value)
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    if is_number:
        if kind is Kind.DECIMAL and not isinstance(value, float) and other is not None:
            return Value(
                checked(ColumnType(Kind.DECIMAL, Decimal, precision=other.precision), "exact", name, value), other
            )
        return literal(value)
    if isinstance(value, datetime.timedelta) and kind in MOMENTS:
        return literal(value)
    if isinstance(value, str) and kind in TEXTS:
        return literal(value)
    return Value(checked(other, "exact", name, value), other)
