"""PostgreSQL's SQL."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from datalayer._compile import values
from datalayer._compile.backends.base import Backend, Element, escaped_like
from datalayer._compile.prepared import Convert
from datalayer._schema.field import ColumnType, Kind

_TYPES: Final[dict[Kind, str]] = {
    # bigint for all whole numbers: a value out of the column's range then finds nothing instead of failing.
    Kind.SMALL_INTEGER: "bigint",
    Kind.INTEGER: "bigint",
    Kind.BIG_INTEGER: "bigint",
    Kind.FLOAT: "double precision",
    Kind.DECIMAL: "numeric",
    Kind.BOOLEAN: "boolean",
    Kind.STRING: "text",
    Kind.TEXT: "text",
    Kind.BYTES: "bytea",
    Kind.DATE: "date",
    Kind.TIME: "time",
    Kind.DATETIME: "timestamp with time zone",
    Kind.NAIVE_DATETIME: "timestamp",
    Kind.DURATION: "interval",
    Kind.UUID: "uuid",
    Kind.JSON: "jsonb",
    Kind.INET: "inet",
}
_PARTS: Final = {
    "year": "year",
    "iso_year": "isoyear",
    "quarter": "quarter",
    "month": "month",
    "week": "week",
    "day": "day",
    "iso_week_day": "isodow",
    "hour": "hour",
    "minute": "minute",
}
_PATTERNS: Final[dict[str, Callable[[str], str]]] = {
    "contains": lambda text: f"%{escaped_like(text)}%",
    "startswith": lambda text: f"{escaped_like(text)}%",
    "endswith": lambda text: f"%{escaped_like(text)}",
}


def type_name(type: ColumnType) -> str:
    """The type of a bound value of a column type."""
    if type.kind is Kind.ENUM:
        return "bigint" if type.choices and all(isinstance(choice, int) for choice in type.choices) else "text"
    return _TYPES[type.kind]


def cast_to(value: Element, name: str) -> Element:
    """`CAST(value AS name)`."""
    return sa.cast(value, _Named(name))


class _Named(sa.types.UserDefinedType[Any]):
    """A type that is written by its name."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: object) -> str:
        return self.name

    def bind_expression(self, bindvalue: Any) -> Any:
        return bindvalue


class PostgreSQL(Backend):
    """See `Backend`."""

    name: ClassVar[str] = "postgresql"
    dialect: ClassVar[sa.Dialect] = postgresql.base.PGDialect(paramstyle="format")  # type: ignore[no-untyped-call]
    sorts_null_last: ClassVar[bool] = True
    has_lock: ClassVar[bool] = True
    ends: ClassVar[tuple[str, str]] = ("-infinity", "infinity")

    def typed(self, bound: Element, type: ColumnType | None) -> Element:
        return bound if type is None else cast_to(bound, type_name(type))

    def one_of(self, left: Element, bound: Element, type: ColumnType | None) -> Element:
        listed = bound if type is None else cast_to(bound, type_name(type) + "[]")
        return left == sa.func.ANY(listed)

    def list_converter(self, type: ColumnType | None) -> Convert:
        return list_of(values.to_driver(type, self.name))

    def text_converter(self, lookup: str) -> Convert | None:
        plain = lookup.removeprefix("i") if lookup != "iexact" else lookup
        return _TEXT_CONVERTERS.get(plain)

    def text_value(self, lookup: str, left: Element, bound: Element) -> Element:
        if lookup == "iexact":
            return sa.func.lower(left) == sa.func.lower(bound)
        if lookup in {"regex", "iregex"}:
            return self.text_expression(lookup, left, bound)
        return left.op("ILIKE" if lookup.startswith("i") else "LIKE", is_comparison=True)(bound)

    def text_expression(self, lookup: str, left: Element, right: Element) -> Element:
        if lookup in {"regex", "iregex"}:
            return left.op("~*" if lookup == "iregex" else "~", is_comparison=True)(right)
        if lookup.startswith("i"):
            left, right, lookup = sa.func.lower(left), sa.func.lower(right), lookup[1:]
        if lookup == "exact":
            return left == right
        if lookup == "contains":
            return sa.func.strpos(left, right) > sa.literal_column("0")
        if lookup == "startswith":
            return cast("Element", sa.func.starts_with(left, right))
        return sa.func.right(left, sa.func.length(right)) == right

    def part(self, name: str, value: Element, type: ColumnType | None) -> Element:
        if type is not None and type.kind is Kind.DATETIME:
            value = value.op("AT TIME ZONE")(sa.literal_column("'UTC'"))
        if name in {"date", "time"}:
            return cast_to(value, name)
        if name == "week_day":
            return cast_to(sa.extract("dow", value), "integer") + sa.literal_column("1")
        if name == "second":
            return cast_to(sa.func.floor(sa.extract("second", value)), "integer")
        return cast_to(sa.extract(_PARTS[name], value), "integer")

    def function(self, name: str, arguments: list[Element], type: ColumnType | None) -> Element | None:
        if name == "now":
            return cast("Element", sa.func.now())
        if name == "concat":
            return cast("Element", sa.func.concat(*arguments))
        if name == "cast" and type is not None:
            return cast_to(arguments[0], type_name(type))
        if name == "round" and len(arguments) == 2:
            return cast("Element", sa.func.round(cast_to(arguments[0], "numeric"), cast_to(arguments[1], "integer")))
        if name in {"substr", "left", "right"}:
            numbers = [cast_to(argument, "integer") for argument in arguments[1:]]
            return cast("Element", getattr(sa.func, name)(arguments[0], *numbers))
        return None

    def aggregate(self, name: str, argument: Element, type: ColumnType | None) -> Element | None:
        return None


def list_of(convert: Convert | None) -> Convert:
    """A converter of every item of a tuple; None is left out, as IN never finds NULL."""

    def run(found: object) -> object:
        items = cast("Iterable[object]", found)
        if convert is None:
            return [item for item in items if item is not None]
        return [convert(item) for item in items if item is not None]

    return run


def _text(value: object) -> str:
    return str(value.value if isinstance(value, enum.Enum) else value)


_TEXT_CONVERTERS: Final[dict[str, Convert]] = {
    name: (lambda value, pattern=pattern: pattern(_text(value)))  # type: ignore[misc]
    for name, pattern in _PATTERNS.items()
}
