"""An answer somebody typed, `0` or `2026-01-31`, as the SQL of a value of the column it is for."""

from __future__ import annotations

import datetime
import decimal
import ipaddress
import json
import re
import uuid
from collections.abc import Callable
from typing import Annotated, Any

import pydantic
import sqlalchemy as sa
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from datalayer._compile import types
from datalayer._compile.tables import literal_sql
from datalayer._schema.field import ColumnType, Kind
from datalayer.errors import MigrationError
from datalayer.migrations.state import Column, Text2
from datalayer.models.ranges import Range

_TRUE, _FALSE = ("true", "yes", "1", "on"), ("false", "no", "0", "off")

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_RANGE = re.compile(r"empty|([\[(])([^,]*),([^,]*)([\])])")
_ENDS: dict[type, tuple[Any, Kind]] = {
    types.Integer: (Range[Annotated[int, Field(ge=-(2**31), lt=2**31)]], Kind.INTEGER),
    types.BigInteger: (Range[Annotated[int, Field(ge=-(2**63), lt=2**63)]], Kind.BIG_INTEGER),
    types.Decimal: (Range[decimal.Decimal], Kind.DECIMAL),
    types.Date: (Range[datetime.date], Kind.DATE),
    types.DateTime: (Range[pydantic.AwareDatetime], Kind.DATETIME),
    types.NaiveDateTime: (Range[pydantic.NaiveDatetime], Kind.NAIVE_DATETIME),
}
_READ: dict[type, tuple[Any, str]] = {
    types.SmallInteger: (Annotated[int, Field(ge=-(2**15), lt=2**15)], "a whole number of 16 bits, such as 0"),
    types.Integer: (Annotated[int, Field(ge=-(2**31), lt=2**31)], "a whole number of 32 bits, such as 0"),
    types.BigInteger: (Annotated[int, Field(ge=-(2**63), lt=2**63)], "a whole number of 64 bits, such as 0"),
    types.Float: (_Finite, "a number such as 0.5"),
    types.Date: (datetime.date, "a day such as 2026-01-31, or now"),
    types.Time: (datetime.time, "a time of day such as 18:30"),
    types.DateTime: (pydantic.AwareDatetime, "a moment with its time zone, such as 2026-01-31T18:30Z, or now"),
    types.NaiveDateTime: (pydantic.NaiveDatetime, "a moment without a time zone, such as 2026-01-31T18:30, or now"),
    types.Duration: (datetime.timedelta, "seconds or an ISO 8601 duration, such as PT1H30M"),
    types.Uuid: (uuid.UUID, "a UUID such as 00000000-0000-0000-0000-000000000000"),
    types.Json: (Annotated[str, AfterValidator(json.loads)], "JSON such as {} or []"),
    types.Inet: (
        ipaddress.IPv4Interface | ipaddress.IPv6Interface,
        "an address or a network such as 10.0.0.0/8",
    ),
}
_NOW: dict[type, Callable[[datetime.datetime], object]] = {
    types.Date: datetime.datetime.date,
    types.DateTime: lambda now: now,
    types.NaiveDateTime: lambda now: now.replace(tzinfo=None),
}


def takes_now(column: Column) -> bool:
    """Whether `now` is an answer: the moment in which it is given."""
    return type(column.type) in _NOW


def answer_sql(column: Column, text: str) -> Text2:
    """An answer as SQL, for SQLite and for PostgreSQL.

    Raises:
        MigrationError: The text is no value of the column's type; the message says how one looks.
    """
    value, kind = _read(column, text)
    found = literal_sql(value, kind)
    return found.sqlite, found.postgresql


def _read(column: Column, text: str) -> tuple[object, ColumnType | None]:
    """The value in an answer, and the type of column where the SQL depends on it."""
    kind = column.type
    if isinstance(kind, sa.Boolean):
        if text.lower() not in _TRUE + _FALSE:
            raise _refused(column, text, "true or false")
        return text.lower() in _TRUE, None
    if isinstance(kind, types.Decimal):
        limits = Field(max_digits=kind.precision, decimal_places=kind.scale if kind.precision else None)
        number = _parsed(Annotated[decimal.Decimal, limits], column, text, _digits(kind))
        return number, ColumnType(Kind.DECIMAL, decimal.Decimal, precision=kind.precision, scale=kind.scale)
    if isinstance(kind, types.Bytes):
        return text.encode(), None
    if isinstance(kind, types.Array):
        items = _parsed(pydantic.Json[list[bool | int | float | str | None]], column, text, "a list such as [] or [1]")
        return items, ColumnType(Kind.ARRAY, list, item=ColumnType(Kind.TEXT))
    if isinstance(kind, types.Range):
        ends, item = _ENDS[type(kind.item)]
        return _range(ends, column, text), ColumnType(Kind.RANGE, Range, item=ColumnType(item))
    if isinstance(kind, sa.String):  # Text is one too
        if kind.length is not None and len(text) > kind.length:
            raise _refused(column, text, f"text of at most {kind.length} characters")
        return text, None
    if text == "now" and type(kind) in _NOW:
        return _NOW[type(kind)](datetime.datetime.now(datetime.UTC)), None
    annotation, words = _READ.get(type(kind), (str, ""))
    value = _parsed(annotation, column, text, words)
    return (text, None) if type(kind) in (types.Json, types.Inet) else (value, None)


def _range(ends: Any, column: Column, text: str) -> Any:
    found = _RANGE.fullmatch(text)
    words = "a range such as [1,5) or empty"
    if found is None:
        raise _refused(column, text, words)
    given = {"lower": found[2] or None, "upper": found[3] or None, "bounds": f"{found[1]}{found[4]}"}
    return _parsed(ends, column, {"bounds": "empty"} if text == "empty" else given, words, text)


def _digits(kind: types.Decimal) -> str:
    if kind.precision is None:
        return "a number such as 0.5"
    return f"a number of at most {kind.precision} digits, {kind.scale or 0} of them after the point"


def _parsed(annotation: Any, column: Column, given: object, words: str, text: str | None = None) -> Any:
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    try:
        return adapter.validate_python(given)
    except ValidationError:
        raise _refused(column, str(given) if text is None else text, words) from None


def _refused(column: Column, text: str, words: str) -> MigrationError:
    return MigrationError(f"{text!r} is no value for the column {column.name!r}; give {words}")
