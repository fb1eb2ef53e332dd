"""Values on their way to a driver and back, for each kind of column and backend.

None is never given to a converter: NULL stays NULL. A converter that would do nothing is None, so that the hot path
can leave it out.

SQLite keeps decimals of up to 15 digits in a NUMERIC column, where numbers compare as numbers and come back exact
after rounding to the scale; wider ones are text with the collation `datalayer_decimal`. Datetimes are text in UTC
with six digits of microseconds, so that text order is time order.
"""

from __future__ import annotations

import enum
import inspect
import ipaddress
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from pydantic_core import from_json

from datalayer._compile.prepared import Convert
from datalayer._compile.reading import SHORTS, Short, read_moment
from datalayer._query.expression import Aggregate, Expression, FieldRef
from datalayer._schema.field import ColumnType, Kind
from datalayer._schema.ranges import Interval
from datalayer._schema.table import TableSpec
from datalayer.errors import InvalidValue

_EXACT = Context(prec=2_000, rounding=ROUND_HALF_UP)  # half away from zero, as PostgreSQL rounds
_TO_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
EXACT_DIGITS = 15
"""Decimal digits that a binary double keeps."""
_SURE = 10.0**EXACT_DIGITS


def is_numeric_decimal(type: ColumnType) -> bool:
    """Whether SQLite keeps decimals of this type as numbers rather than as text."""
    return type.kind is Kind.DECIMAL and type.precision is not None and type.precision <= EXACT_DIGITS


def to_driver(type: ColumnType | None, backend: str) -> Convert | None:
    """How a value becomes one that the driver takes; None where the driver takes it as it is."""
    if type is None:
        return _untyped_to_sqlite if backend == "sqlite" else _plain_enum
    if type.stored is not None:
        return _chained(type.to_stored, to_driver(type.stored, backend))
    if type.kind is Kind.ENUM:
        return _plain_enum
    if type.kind is Kind.JSON:
        return json_text if type.codec is None else type.codec.dump
    if type.kind is Kind.ARRAY:
        return _items_to(type, backend)
    if type.kind is Kind.RANGE:
        return _range_text(type, backend)
    if backend == "postgresql":
        return _inet_text if type.kind is Kind.INET else None
    if type.kind is Kind.DECIMAL:
        return _decimal_number if is_numeric_decimal(type) else _decimal_text
    return _TO_SQLITE.get(type.kind)


def to_column(table: TableSpec, name: str, backend: str) -> Convert | None:
    """`to_driver` of a field that is written: what cannot be kept is refused in its name."""
    convert = to_driver(table.fields[name].type, backend)
    if convert is None or table.fields[name].type.kind is not Kind.JSON:
        return convert

    def run(value: object) -> object:
        try:
            return convert(value)
        except InvalidValue as error:
            raise InvalidValue(f"{table.model}.{name}: {error}") from None

    return run


@lru_cache(maxsize=1_000)
def from_driver(type: ColumnType | None, backend: str) -> Convert | None:
    """How a value of the driver becomes ours; None where it is right as it is."""
    if type is None:
        return None
    if type.stored is not None:
        return _chained(from_driver(type.stored, backend), type.from_stored)
    if type.kind is Kind.ENUM:
        return type.python if inspect.isclass(type.python) and issubclass(type.python, enum.Enum) else None
    if type.kind is Kind.JSON:
        # PostgreSQL's driver has parsed the text already where nobody asked for a type.
        return _parse_json if type.codec is None else _typed_json(type.codec.load)
    if type.kind is Kind.ARRAY:
        return _items_from(type, backend)
    if type.kind is Kind.RANGE:
        return _range_reader(type, backend)
    if type.kind is Kind.INET:
        return _inet_reader(type.python, backend)
    if backend == "postgresql":
        return None
    if type.kind is Kind.DECIMAL:
        return _padding_reader(type) if type.is_open else _decimal_reader(type)
    return _FROM_SQLITE.get(type.kind)


def _chained(first: Callable[[Any], object] | None, second: Callable[[Any], object] | None) -> Convert | None:
    """One converter after the other."""
    if first is None or second is None:
        return first or second
    return lambda value: second(first(value))


def _items_to(type: ColumnType, backend: str) -> Convert:
    """An array on its way: a list of what the driver takes, or JSON text on SQLite."""
    if backend == "postgresql":
        return lambda value: [_plain_enum(item) for item in cast("list[object]", value)]
    item = bool if type.item is not None and type.item.kind is Kind.BOOLEAN else to_driver(type.item, backend)

    def run(value: object) -> object:
        items = cast("list[object]", value)
        kept = items if item is None else [None if one is None else item(one) for one in items]
        return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))  # with Infinity, as arrays have it

    return run


def _items_from(type: ColumnType, backend: str) -> Convert | None:
    """An array on its way back."""
    item = from_driver(type.item, backend)
    if backend == "postgresql" and item is None:
        return None

    def run(value: object) -> object:
        items = cast("list[object]", json.loads(value) if isinstance(value, str | bytes) else value)
        return items if item is None else [None if one is None else item(one) for one in items]

    return run


def array_text(type: ColumnType | None) -> Callable[[object], str]:
    """How an array becomes the text that PostgreSQL reads as one: arrays of arrays would be taken apart by `unnest`."""

    def item(value: object) -> str:
        if value is None:
            return "NULL"
        if isinstance(value, enum.Enum):
            value = value.value
        if isinstance(value, timedelta):
            value = f"{_microseconds(value)} microseconds"
        text = value.isoformat() if isinstance(value, date | time) else str(value)
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    keep = _as_it_is if type is None or type.to_stored is None else type.to_stored
    return lambda value: "{" + ",".join([item(one) for one in cast("list[object]", keep(value))]) + "}"


def _as_it_is(value: object) -> object:
    return value


def _range_text(type: ColumnType, backend: str) -> Convert:
    """A range as the text that PostgreSQL reads as one; on SQLite its ends are what columns of their type keep."""
    kept = to_driver(type.item, backend)

    def end(value: object) -> object:
        if value is None:
            return ""
        if isinstance(value, Decimal):  # 1.50 and 1.5 are one value and must be one text
            return format(value.normalize(_EXACT), "f")
        return value if kept is None else kept(value)

    def run(value: object) -> object:
        found = cast("Interval[object]", value)
        if found.is_empty:
            return "empty"
        return f"{found.bounds[0]}{end(found.lower)},{end(found.upper)}{found.bounds[1]}"

    return run


def _range_reader(type: ColumnType, backend: str) -> Convert:
    """A range on its way back: text on SQLite, a range of the driver on PostgreSQL."""
    make, kind = cast("Any", type.python), Kind.INTEGER if type.item is None else type.item.kind
    read = (_FROM_SQLITE if backend == "sqlite" else _ENDS).get(kind) or _ENDS[kind]

    def from_text(text: str) -> object:
        if text == "empty":
            return make.empty()
        lower, upper = [read(end) if end else None for end in text[1:-1].split(",")]
        return make(lower, upper, text[0] + text[-1])

    def run(value: Any) -> object:
        if isinstance(value, str):  # on PostgreSQL what was sent, for the message of an error
            return from_text(value)
        return make.empty() if value.isempty else make(value.lower, value.upper, value.bounds)

    return run


def _plain_enum(value: object) -> object:
    return value.value if isinstance(value, enum.Enum) else value


def _untyped_to_sqlite(value: object) -> object:
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return _datetime_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return _time_text(value)
    if isinstance(value, timedelta):
        return _microseconds(value)
    return str(value) if isinstance(value, UUID) else value


def json_text(value: object) -> str:
    """A value as JSON text.

    Raises:
        InvalidValue: JSON has no word for it.
    """
    try:
        return _TO_JSON(value)  # `json.dumps` would make an encoder each time
    except (TypeError, ValueError) as error:
        raise no_json(value, error) from None


def no_json(value: object, error: Exception) -> InvalidValue:
    """The refusal of a value that JSON has no word for, NaN and infinity among them."""
    shown = repr(value)
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    if isinstance(error, ValueError) and "not JSON compliant" in str(error):
        return InvalidValue(
            f"{shown} cannot be kept as JSON, which has no NaN and no infinity; use None or text instead"
        )
    return InvalidValue(f"{shown} cannot be kept as JSON: {error}")


def _parse_json(value: object) -> object:
    if isinstance(value, str):
        try:
            return from_json(value)  # gives what `json.loads` gives, in half the time
        except ValueError:  # but refuses half a surrogate, and what is nested deeper than it likes
            pass
    return json.loads(value) if isinstance(value, (str, bytes)) else value


def _typed_json(parse: Callable[[str | bytes], object]) -> Convert:
    def read(value: object) -> object:
        return parse(value if isinstance(value, (str, bytes)) else json_text(value))

    SHORTS[read] = Short("{call}({value})", parse)
    return read


def _inet_text(value: object) -> object:
    return value if isinstance(value, str) else str(value)


def _inet_reader(python: type, backend: str) -> Convert | None:
    # The driver of PostgreSQL makes an address of what has no prefix and an interface of what has one, whatever it was.
    if python is object:
        return None if backend == "postgresql" else _any_inet
    return lambda value: value if type(value) is python else python(str(value))


def _any_inet(value: object) -> object:
    text = str(value)
    return ipaddress.ip_interface(text) if "/" in text else ipaddress.ip_address(text)


def _decimal_number(value: object) -> object:
    # Exact: at most 15 digits. Other numbers (a float in arithmetic) pass as they are.
    return float(value) if isinstance(value, Decimal) else value


def _decimal_text(value: object) -> object:
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _decimal_reader(type: ColumnType) -> Convert:
    if type.scale is None:
        return lambda value: Decimal(str(value))
    unit = Decimal(1).scaleb(-type.scale)
    factor, shift, scaled = 10.0**type.scale, -type.scale, cast("Callable[[int, int], Decimal]", _EXACT.scaleb)

    def read(value: object) -> object:
        if isinstance(value, float):
            # A double that stands for a decimal of so few digits is this near to it; a third of the time.
            moved = value * factor
            if -_SURE < moved < _SURE:
                whole = round(moved)
                if -0.25 < moved - whole < 0.25:
                    return scaled(whole, shift)
        if isinstance(value, int):
            return Decimal(value).quantize(unit, context=_EXACT)
        return Decimal(repr(value) if isinstance(value, float) else str(value)).quantize(unit, context=_EXACT)

    # The first way of `read` as one expression. A whole number takes it too, and is the same.
    near = f"{-_SURE} < (moved := {{value}} * {factor!r}) < {_SURE} and -0.25 < moved - (whole := round(moved)) < 0.25"
    SHORTS[read] = Short(f"{{call}}(whole, {shift}) if {near} else {{convert}}({{value}})", scaled)
    return read


def _datetime_text(value: object) -> object:
    if not isinstance(value, datetime):
        return value
    zone = value.tzinfo
    if zone is UTC:  # a third of the time of what is below
        return value.isoformat(" ", "microseconds")[:-6]
    if zone is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    return value.isoformat(" ", "microseconds")


def _read_naive_datetime(value: object) -> object:
    return datetime.fromisoformat(str(value)).replace(tzinfo=None)


def _date_text(value: object) -> object:
    if isinstance(value, datetime):
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, date) else value


def _time_text(value: object) -> object:
    return value.isoformat("microseconds") if isinstance(value, time) else value


def _microseconds(value: object) -> object:
    return value // timedelta(microseconds=1) if isinstance(value, timedelta) else value


def _read_duration(value: object) -> object:
    return timedelta(microseconds=round(float(value)) if isinstance(value, float) else int(str(value)))


def _read_date(value: object) -> object:
    return date.fromisoformat(str(value)[:10])


def _read_time(value: object) -> object:
    return time.fromisoformat(str(value))


def _read_uuid(value: object) -> object:
    return UUID(str(value))


_TO_SQLITE: dict[Kind, Convert] = {
    Kind.BOOLEAN: lambda value: int(bool(value)),
    Kind.DATE: _date_text,
    Kind.TIME: _time_text,
    Kind.DATETIME: _datetime_text,
    Kind.NAIVE_DATETIME: _datetime_text,
    Kind.DURATION: _microseconds,
    Kind.UUID: str,
    Kind.INET: _inet_text,
}
_FROM_SQLITE: dict[Kind, Convert] = {
    Kind.BOOLEAN: bool,
    Kind.DATE: _read_date,
    Kind.TIME: _read_time,
    Kind.DATETIME: read_moment,
    Kind.NAIVE_DATETIME: _read_naive_datetime,
    Kind.DURATION: _read_duration,
    Kind.UUID: _read_uuid,
    Kind.FLOAT: float,  # type: ignore[dict-item]
}


_ENDS: dict[Kind, Callable[[str], object]] = {
    Kind.INTEGER: int,
    Kind.BIG_INTEGER: int,
    Kind.DECIMAL: Decimal,
    Kind.DATE: date.fromisoformat,
    Kind.DATETIME: datetime.fromisoformat,
    Kind.NAIVE_DATETIME: datetime.fromisoformat,
}
"""How the text of a range's end becomes a value."""


def reader(expression: Expression, backend: str) -> Convert | None:
    """How a computed value comes back: its SQL type may be wider than the one it is declared with."""
    type = expression.type
    if type is None or isinstance(expression, FieldRef):
        return from_driver(type, backend)
    if type.stored is not None:
        return _chained(_computed_reader(expression, type.stored, backend), type.from_stored)
    return _computed_reader(expression, type, backend)


def _computed_reader(expression: Expression, type: ColumnType, backend: str) -> Convert | None:
    if type.item is not None and type.kind not in {Kind.ARRAY, Kind.RANGE}:
        return _array_reader(type, backend)
    if type.kind is Kind.DECIMAL:
        if backend != "sqlite":
            return as_decimal
        return from_driver(type, backend) if is_of_column(expression) else _padding_reader(type)
    if type.kind is Kind.FLOAT:
        return float  # type: ignore[return-value]
    if type.kind in {Kind.SMALL_INTEGER, Kind.INTEGER, Kind.BIG_INTEGER}:
        return int if backend == "postgresql" else None  # type: ignore[return-value]
    return from_driver(type, backend)


def is_of_column(expression: Expression) -> bool:
    """Whether a value is a column's own, or the sum of such: with the digits of the column and no more."""
    if not isinstance(expression, Aggregate):
        return isinstance(expression, FieldRef)
    return isinstance(expression.argument, FieldRef) and expression.name in {"sum", "min", "max", "any_value"}


def _array_reader(type: ColumnType, backend: str) -> Convert:
    """A list of values: JSON text on SQLite, a list of the driver on PostgreSQL."""
    item = as_decimal if type.item is not None and type.item.kind is Kind.DECIMAL else from_driver(type.item, backend)

    def run(value: object) -> object:
        found = json.loads(value) if isinstance(value, str) else value
        items = cast("list[object]", found)
        return items if item is None else [None if one is None else item(one) for one in items]

    return run


def _padding_reader(type: ColumnType) -> Convert:
    """Reads what was computed from decimals as PostgreSQL gives it: with the zeros of the scale, and never rounded."""
    if not type.scale:
        return as_decimal
    last = -type.scale
    unit = Decimal(1).scaleb(last)

    def run(value: object) -> object:
        found = as_decimal(value)
        is_short = found.is_finite() and cast("int", found.as_tuple().exponent) > last
        return found.quantize(unit, context=_EXACT) if is_short else found

    return run


def as_decimal(number: object) -> Decimal:
    """A number or its text exactly; of a double the 15 digits that it keeps, as PostgreSQL does."""
    return Decimal(format(number, ".15g")) if isinstance(number, float) else Decimal(str(number))
