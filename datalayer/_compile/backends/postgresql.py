"""PostgreSQL's SQL."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.elements import Grouping

from datalayer._compile import values
from datalayer._compile.backends import postgresql_functions
from datalayer._compile.backends.base import Backend, Element, Ordered, Types, escaped_like
from datalayer._compile.backends.postgresql_functions import cast_to, type_name
from datalayer._compile.prepared import Convert
from datalayer._schema.field import ColumnType, Kind

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


class PostgreSQL(Backend):
    """See `Backend`."""

    name: ClassVar[str] = "postgresql"
    dialect: ClassVar[sa.Dialect] = postgresql.base.PGDialect(paramstyle="format")  # type: ignore[no-untyped-call]
    sorts_null_last: ClassVar[bool] = True
    has_lock: ClassVar[bool] = True
    knows_again: ClassVar[bool] = False
    ends: ClassVar[tuple[str, str]] = ("-infinity", "infinity")

    def typed(self, bound: Element, type: ColumnType | None) -> Element:
        return bound if type is None else cast_to(bound, type_name(type))

    def typed_composite(self, bound: Element, type: ColumnType | None) -> Element:
        return self.typed(bound, type) if type is not None and type.kind in {Kind.ARRAY, Kind.RANGE} else bound

    def as_text(self, value: Element, type: ColumnType | None) -> Element:
        # For a varchar this is what PostgreSQL does by itself, indexes included; for an ENUM it has no such comparison.
        is_text = type is not None and type.kind is Kind.ENUM and type_name(type) == "text"
        return cast_to(value, "text") if is_text else value

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

    def function(
        self, name: str, arguments: list[Element], types: list[ColumnType | None], type: ColumnType | None
    ) -> Element | None:
        return postgresql_functions.written(name, arguments, types, type)

    def arithmetic(
        self, operator: str, left: Element, right: Element, types: Types, type: ColumnType | None
    ) -> Element | None:
        if operator == "^":  # which is the power there
            return Grouping(cast_to(left, "bigint").op("#")(cast_to(right, "bigint")))
        if operator in {"<<", ">>"}:
            return Grouping(cast_to(left, "bigint").op(operator)(cast_to(right, "integer")))
        kinds = tuple([None if item is None else item.kind for item in types])
        if operator == "%" and Kind.FLOAT in kinds:
            return cast_to(sa.func.mod(cast_to(left, "numeric"), cast_to(right, "numeric")), "double precision")
        if type is not None and type.kind is Kind.DATE and Kind.DURATION in kinds:
            return cast_to(left.op(operator)(right), "date")
        if operator == "-" and kinds == (Kind.DATE, Kind.DATE):
            return Grouping(Grouping(left.op("-")(right)).op("*")(sa.literal_column("interval '1 day'")))
        return None

    def aggregate(
        self, name: str, arguments: list[Element], type: ColumnType | None, *, distinct: bool, order: list[Ordered]
    ) -> Any:
        first, *rest = arguments
        if type is not None and type.kind is Kind.JSON and name == "jsonb_agg":
            first = cast_to(first, "jsonb")
        if distinct:
            first = sa.distinct(first)
        if order:
            last = (rest or [first])[-1]
            ordered = postgresql.aggregate_order_by(last, *[item.clause for item in order])
            return getattr(sa.func, name)(*([first, ordered] if rest else [ordered]))
        return getattr(sa.func, name)(first, *rest)

    def divided(self, total: Element, count: Element, type: ColumnType | None) -> Element:
        number = sa.func.nullif(count, sa.literal_column("0"))
        is_duration = type is not None and type.kind is Kind.DURATION
        return Grouping(total.op("/")(cast_to(number, "double precision") if is_duration else number))


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

BACKEND: Final = PostgreSQL()
