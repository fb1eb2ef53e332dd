"""SQLite's SQL, with the functions that every connection registers (`_links/functions.py`)."""

from __future__ import annotations

import enum
import json
import math
import re
from collections.abc import Iterable
from typing import Any, ClassVar, Final, cast

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.elements import Grouping

from datalayer._compile import values
from datalayer._compile.backends import sqlite_functions
from datalayer._compile.backends.base import Backend, Element, Ordered, Types
from datalayer._compile.prepared import Convert
from datalayer._schema.field import INTEGER_BITS, ColumnType, Kind
from datalayer.errors import InvalidValue, NotSupported, choices_text

_FORMATS: Final = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H", "minute": "%M", "second": "%S"}
_EXTREMES: Final = {"bool_and": "min", "bool_or": "max", "any_value": "min"}
"""Aggregates that are an extreme to SQLite, which orders values of every kind."""
_COLLATIONS: Final = ("BINARY", "NOCASE", "RTRIM")
_OF_DAY: Final = frozenset({"week_day", "iso_week_day", "iso_year", "week"})


_DIALECT: Final = sqlite.dialect(paramstyle="qmark")
# Words that SQLAlchemy does not know to be reserved: what carries such a name is quoted.
_DIALECT.identifier_preparer.reserved_words = _DIALECT.identifier_preparer.reserved_words | {
    "always", "current", "do", "exclude", "filter", "following", "generated", "groups", "materialized", "nothing",
    "others", "over", "partition", "preceding", "range", "recursive", "returning", "rows", "ties", "unbounded",
    "window", "within", "without", "first", "last", "nulls",
}  # fmt: skip


def _text(value: object) -> str:
    return str(value.value if isinstance(value, enum.Enum) else value)


def _glob_prefix(value: object) -> object:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in _text(value)) + "*"


def _pattern(value: object) -> object:
    try:
        re.compile(_text(value))
    except re.error as error:
        raise InvalidValue(f"{value!r} is no regular expression: {error}") from None
    return _text(value)


def _lower(value: object) -> object:
    return _text(value).lower()


def _listed(items: list[object]) -> str:
    """A list as JSON, which has no word for infinity: a number beyond all others is read as that."""
    if not any(isinstance(item, float) and not math.isfinite(item) for item in items):
        return json.dumps(items)
    words: dict[object, str] = {math.inf: "9e999", -math.inf: "-9e999"}
    kept = [item for item in items if item == item]  # NaN is equal to nothing
    return f"[{','.join([words[item] if item in words else json.dumps(item) for item in kept])}]"


class SQLite(Backend):
    """See `Backend`."""

    name: ClassVar[str] = "sqlite"
    dialect: ClassVar[sa.Dialect] = _DIALECT
    sorts_null_last: ClassVar[bool] = False
    has_lock: ClassVar[bool] = False
    knows_again: ClassVar[bool] = True
    ends: ClassVar[tuple[str, str]] = ("", ":")  # dates are text, and a colon comes after every digit

    def typed(self, bound: Element, type: ColumnType | None) -> Element:
        return bound

    def one_of(self, left: Element, bound: Element, type: ColumnType | None) -> Element:
        if type is not None and type.kind is Kind.BYTES:
            left = sa.case((left.is_not(None), sa.func.hex(left)))  # hex(NULL) is the text of no bytes
        rows = sa.func.json_each(bound).table_valued("value")
        return left.in_(sa.select(self.same(rows.c.value, type)).select_from(rows).correlate_except(rows))

    def list_converter(self, type: ColumnType | None) -> Convert:
        convert = values.to_driver(type, self.name)

        def run(found: object) -> object:
            items = [item for item in cast("Iterable[object]", found) if item is not None]
            if convert is not None:
                items = [convert(item) for item in items]
            return _listed([item.hex().upper() if isinstance(item, bytes) else item for item in items])

        return run

    def text_converter(self, lookup: str) -> Convert | None:
        if lookup == "startswith":
            return _glob_prefix
        if lookup in {"regex", "iregex"}:
            return _pattern
        return _lower if lookup in {"iexact", "icontains", "istartswith", "iendswith"} else _text

    def text_value(self, lookup: str, left: Element, bound: Element) -> Element:
        if lookup == "startswith":  # GLOB minds the case, and uses an index for a prefix
            return left.op("GLOB", is_comparison=True)(bound)
        if lookup in {"iexact", "icontains", "istartswith", "iendswith"}:
            return self._test(lookup[1:], sa.func.datalayer_lower(left), bound)
        return self._test(lookup, left, bound)

    def text_expression(self, lookup: str, left: Element, right: Element) -> Element:
        if lookup in {"iexact", "icontains", "istartswith", "iendswith"}:
            return self._test(lookup[1:], sa.func.datalayer_lower(left), sa.func.datalayer_lower(right))
        return self._test(lookup, left, right)

    def _test(self, lookup: str, left: Element, right: Element) -> Element:
        if lookup == "regex":
            return cast("Element", sa.func.regexp(right, left))
        if lookup == "iregex":
            return cast("Element", sa.func.iregexp(right, left))
        if lookup == "exact":
            return left == right
        if lookup == "contains":
            return sa.func.instr(left, right) > sa.literal_column("0")
        if lookup == "startswith":
            return sa.func.substr(left, sa.literal_column("1"), sa.func.length(right)) == right
        start = (sa.func.length(left).op("-")(sa.func.length(right))).op("+")(sa.literal_column("1"))
        return sa.func.substr(left, start) == right

    def part(self, name: str, value: Element, type: ColumnType | None) -> Element:
        if name == "date":
            return cast("Element", sa.func.date(value))
        if name == "time":
            return cast("Element", sa.func.substr(value, sa.literal_column("12")))
        # Without the fraction of a second, which SQLite rounds: the last microsecond of a day is of the next one to it.
        length = "10" if name in _OF_DAY else "19"
        value = sa.func.substr(value, sa.literal_column("1"), sa.literal_column(length))
        if name == "quarter":
            return self._number("%m", value).op("+")(sa.literal_column("2")).op("/")(sa.literal_column("3"))
        if name == "week_day":
            return self._number("%w", value).op("+")(sa.literal_column("1"))
        if name == "iso_week_day":
            return (
                self._number("%w", value)
                .op("+")(sa.literal_column("6"))
                .op("%")(sa.literal_column("7"))
                .op("+")(sa.literal_column("1"))
            )
        if name in {"iso_year", "week"}:  # the ISO week is the week of its Thursday
            thursday = sa.func.date(value, sa.literal_column("'-3 days'"), sa.literal_column("'weekday 4'"))
            if name == "iso_year":
                return self._number("%Y", thursday)
            return self._number("%j", thursday).op("+")(sa.literal_column("6")).op("/")(sa.literal_column("7"))
        return self._number(_FORMATS[name], value)

    def _number(self, format: str, value: Element) -> Element:
        return sa.cast(sa.func.strftime(sa.literal_column(f"'{format}'"), value), sa.Integer)

    def function(
        self, name: str, arguments: list[Element], types: list[ColumnType | None], type: ColumnType | None
    ) -> Element | None:
        return sqlite_functions.written(name, arguments, types, type)

    def distant(self, value: Element, type: ColumnType | None) -> tuple[Element, int]:
        if type is None or type.kind is not Kind.DECIMAL:
            return value, 1
        if _is_wide(type):
            raise NotSupported(
                "decimals of more than 15 digits are text to SQLite: a window cannot count by their value"
            )
        if type.scale is None:
            return value, 1
        parts: Element = sa.literal_column(f"{10**type.scale}.0")  # whole numbers: 1.10 + 5 is 6.10 exactly
        return sa.cast(sa.func.round(value.op("*")(parts)), sa.Integer), 10**type.scale

    def collation(self, name: str) -> str:
        if name.upper() not in _COLLATIONS:
            raise NotSupported(f"SQLite has no collation {name!r}; the choices are {choices_text(_COLLATIONS)}")
        return name.upper()

    def arithmetic(
        self, operator: str, left: Element, right: Element, types: Types, type: ColumnType | None
    ) -> Element | None:
        return sqlite_functions.arithmetic(operator, left, right, types, type)

    def aggregate(
        self, name: str, arguments: list[Element], type: ColumnType | None, *, distinct: bool, order: list[Ordered]
    ) -> Any:
        if name in sqlite_functions.COLLECTORS:
            keys = [one._replace(element=self.sorting(one.element, one.item.expression.type)) for one in order]
            return sqlite_functions.collected(name, arguments, type, distinct=distinct, order=keys)
        (first,) = arguments
        if name in {"min", "max"} and sqlite_functions.is_placed(type):
            first = sqlite_functions.with_place(first, type)
        name = _EXTREMES.get(name, name)
        if name in {"min", "max"} and getattr(first, "is_literal", True):  # not a column itself, whose order is known
            first = self.collated(first, type, is_column=False)
        is_money = type is not None and type.kind is Kind.DECIMAL and name in {"sum", "avg"}
        if is_money and name == "sum" and _is_units(type):  # whole numbers add up without rounding
            first = sa.cast(sa.func.round(first.op("*")(_unit(type))), sa.Integer)
            is_money = False
        if distinct:
            first = sa.distinct(first)
        if is_money or name.startswith(("stddev", "var")):
            name = f"datalayer_decimal_{name}" if is_money else f"datalayer_{name}"
        return getattr(sa.func, name)(first)

    def divided(self, total: Element, count: Element, type: ColumnType | None) -> Element:
        if type is not None and type.kind is Kind.DECIMAL:
            return cast("Element", sa.func.datalayer_decimal_divide(total, count))
        return Grouping(Grouping(total).op("*")(sa.literal_column("1.0")).op("/")(count))

    def scaled(self, total: Element, name: str, type: ColumnType | None) -> Element:
        if name in {"min", "max"} and sqlite_functions.is_placed(type):
            return cast("Element", sa.func.datalayer_without_place(total))
        if name != "sum" or type is None or not values.is_numeric_decimal(type):
            return total
        return total.op("/")(_unit(type)) if _is_units(type) else sa.cast(total, sa.REAL)

    def fitted(self, value: Element, type: ColumnType, name: str) -> Element:
        label: Element = sa.literal_column("'" + name.replace("'", "''") + "'")
        if type.kind is Kind.DECIMAL and type.scale is not None:
            limits = (type.scale, -1 if type.precision is None else type.precision)
            return cast("Element", sa.func.datalayer_decimal_fitted(value, *_numbers(*limits), label))
        if type.kind in INTEGER_BITS:
            return cast("Element", sa.func.datalayer_integer_fitted(value, *_numbers(INTEGER_BITS[type.kind]), label))
        if type.length is not None:
            return cast("Element", sa.func.datalayer_text_fitted(value, *_numbers(type.length), label))
        return value

    def collated(self, value: Element, type: ColumnType | None, *, is_column: bool) -> Element:
        if not _is_wide(type):
            return value
        # What SQLite computes may be a number, and to SQLite every number is less than every text.
        return (value if is_column else sa.cast(value, sa.Text)).collate("datalayer_decimal")

    def same(self, value: Element, type: ColumnType | None) -> Element:
        if type is not None and type.kind is Kind.ARRAY:
            return cast("Element", sa.func.datalayer_array_place(value))
        if type is not None and type.kind is Kind.RANGE:
            return cast("Element", sa.func.datalayer_range_place(value))
        is_json = type is not None and type.kind is Kind.JSON
        return cast("Element", sa.func.datalayer_json_same(value)) if is_json else value

    def placed(self, value: Element, type: ColumnType | None) -> Element:
        if type is not None and type.kind is Kind.INET:
            return cast("Element", sa.func.datalayer_inet_place(value))
        return self.same(value, type)

    def sorting(self, value: Element, type: ColumnType | None) -> Element:
        if type is not None and type.kind in {Kind.ARRAY, Kind.RANGE, Kind.INET}:
            return self.placed(value, type)
        is_json = type is not None and type.kind is Kind.JSON
        return cast("Element", sa.func.datalayer_json_place(value)) if is_json else value


def _numbers(*numbers: int) -> list[Element]:
    return [sa.literal_column(str(number)) for number in numbers]


def _is_units(type: ColumnType | None) -> bool:
    """Whether decimals of a type are doubles that stand for whole numbers of their last digit."""
    return type is not None and values.is_numeric_decimal(type) and type.scale is not None


def _unit(type: ColumnType | None) -> Element:
    return sa.literal_column(f"{10 ** (0 if type is None or type.scale is None else type.scale)}.0")


def _is_wide(type: ColumnType | None) -> bool:
    return type is not None and type.kind is Kind.DECIMAL and not values.is_numeric_decimal(type)


BACKEND: Final = SQLite()
