"""The functions of the library in SQLite's words: its own where they mean the same, else those of `_links`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

import sqlalchemy as sa
from sqlalchemy.sql.elements import Grouping

from datalayer._compile import values
from datalayer._compile.backends.base import Element, Ordered, Types
from datalayer._schema.field import ColumnType, Kind

Write: TypeAlias = Callable[[list[Element], list["ColumnType | None"]], Element]

COLLECTORS: Final = frozenset({"string_agg", "array_agg", "jsonb_agg"})
"""Aggregates that bring the values together in one text, in an order if there is one."""

_INTEGERS: Final = frozenset({Kind.SMALL_INTEGER, Kind.INTEGER, Kind.BIG_INTEGER})
_DATED: Final = frozenset({Kind.DATE, Kind.DATETIME, Kind.NAIVE_DATETIME})
_OURS: Final = frozenset(
    {
        "lower", "upper", "reverse", "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "lpad", "rpad", "repeat",
        "round", "ceil", "floor", "sign", "mod", "power", "sqrt", "exp", "ln", "log", "sin", "cos", "tan", "asin",
        "acos", "atan", "atan2", "cot", "degrees", "radians", "in_zone", "from_zone",
    }
)  # fmt: skip
"""Functions of `_links/functions.py`, there with `datalayer_` in front."""


def _is_wide(type: ColumnType | None) -> bool:
    return type is not None and type.kind is Kind.DECIMAL and not values.is_numeric_decimal(type)


def _concat(arguments: list[Element], types: list[ColumnType | None]) -> Element:
    parts = [
        sa.func.coalesce(_text(item, type), sa.literal_column("''"))
        for item, type in zip(arguments, types, strict=True)
    ]
    found: Any = parts[0]
    for part in parts[1:]:
        found = found.op("||")(part)
    return Grouping(found)


def _text(value: Element, type: ColumnType | None) -> Element:
    """A value as the text that PostgreSQL would show."""
    kind = None if type is None else type.kind
    if kind is Kind.BOOLEAN:
        words: list[tuple[Any, Any]] = [
            (value, sa.literal_column("'true'")),
            (sa.not_(value), sa.literal_column("'false'")),
        ]
        return Grouping(sa.case(*words))
    if kind is Kind.FLOAT:
        return cast("Element", sa.func.datalayer_float_text(value))
    if kind is Kind.DECIMAL and type is not None and not _is_wide(type):
        scale: Element = sa.literal_column("NULL" if type.scale is None else str(type.scale))
        return cast("Element", sa.func.datalayer_decimal_text(value, scale))
    return sa.cast(value, sa.Text) if kind in _INTEGERS else value


def is_placed(type: ColumnType | None) -> bool:
    """Whether values of a type are texts that are out of order."""
    return type is not None and type.kind in {Kind.ARRAY, Kind.INET}


def with_place(value: Element, type: ColumnType | None) -> Element:
    """A value behind what it is put in order by: `datalayer_without_place` gives it back."""
    word = "inet" if type is not None and type.kind is Kind.INET else "array"
    return cast("Element", getattr(sa.func, f"datalayer_{word}_with_place")(value))


def _extreme(name: str) -> Write:
    """PostgreSQL looks past NULLs; SQLite's `max` of several values does not."""

    def write(arguments: list[Element], types: list[ColumnType | None]) -> Element:
        if types and all(is_placed(type) for type in types):
            placed = [with_place(value, type) for value, type in zip(arguments, types, strict=True)]
            return cast("Element", sa.func.datalayer_without_place(getattr(sa.func, f"datalayer_{name}")(*placed)))
        word = f"{name}_decimal" if any(_is_wide(type) for type in types) else name
        return cast("Element", getattr(sa.func, f"datalayer_{word}")(*arguments))

    return write


def _nullif(arguments: list[Element], types: list[ColumnType | None]) -> Element:
    """A decimal that is text and one that is a number are compared by value."""
    first, second = arguments
    if _is_wide(types[0]) == _is_wide(types[1]):
        return cast("Element", sa.func.nullif(first, second))
    is_same = sa.cast(first, sa.Text).collate("datalayer_decimal") == sa.cast(second, sa.Text)
    return Grouping(sa.case((is_same, sa.null()), else_=first))


def _left(arguments: list[Element], types: list[ColumnType | None]) -> Element:
    return cast("Element", sa.func.substr(arguments[0], sa.literal_column("1"), arguments[1]))


def _right(arguments: list[Element], types: list[ColumnType | None]) -> Element:
    start = sa.func.length(arguments[0]).op("-")(arguments[1]).op("+")(sa.literal_column("1"))
    return cast("Element", sa.func.substr(arguments[0], sa.func.max(start, sa.literal_column("1"))))


def _truncated(word: str) -> Write:
    def write(arguments: list[Element], types: list[ColumnType | None]) -> Element:
        return cast("Element", sa.func.datalayer_trunc(sa.literal_column(f"'{word}'"), arguments[0]))

    return write


def _random(arguments: list[Element], types: list[ColumnType | None]) -> Element:
    bits = sa.func.random().op("&")(sa.literal_column("9007199254740991"))
    return Grouping(Grouping(bits).op("/")(sa.literal_column("9007199254740992.0")))


_MILLISECONDS: Final = "printf('%012x', cast(round((julianday('now') - 2440587.5) * 86400000) as integer))"


def _uuid(beginning: str, version: int) -> Element:
    """A UUID as canonical text, of twelve digits and chance; Python's functions are deterministic to SQLite."""
    text = (
        f"lower(substr({beginning}, 1, 8) || '-' || substr({beginning}, 9) || '-{version}' || "
        "substr(hex(randomblob(2)), 2) || '-' || substr('89ab', 1 + (random() & 3), 1) || "
        "substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))"
    )
    return sa.literal_column(text)


def _now(arguments: list[Element], types: list[ColumnType | None]) -> Element:
    return cast("Element", sa.func.strftime(sa.literal_column("'%Y-%m-%d %H:%M:%f000'"), sa.literal_column("'now'")))


# -- JSON ------------------------------------------------------------------------------------------


def json_value(value: Element, type: ColumnType | None) -> Element:
    """A value of JSON that looks the same on every backend."""
    kind = None if type is None else type.kind
    if kind in {Kind.BOOLEAN, Kind.FLOAT}:  # SQLite itself would write 1 and 0, and 15 digits of a double
        return cast("Element", sa.func.json(_text(value, type)))
    if kind is Kind.JSON:
        return cast("Element", sa.func.json(value))
    if kind in {Kind.DATETIME, Kind.NAIVE_DATETIME}:
        text = sa.func.replace(value, sa.literal_column("' '"), sa.literal_column("'T'"))
        return text.op("||")(sa.literal_column("'Z'")) if kind is Kind.DATETIME else cast("Element", text)
    return sa.cast(value, sa.REAL) if _is_wide(type) else value


def _json(name: str) -> Write:
    def write(arguments: list[Element], types: list[ColumnType | None]) -> Element:
        found = [json_value(item, type) for item, type in zip(arguments, types, strict=True)]
        return cast("Element", getattr(sa.func, name)(*found))

    return write


def _ours(name: str) -> Write:
    def write(arguments: list[Element], types: list[ColumnType | None]) -> Element:
        return cast("Element", getattr(sa.func, f"datalayer_{name}")(*arguments))

    return write


def collected(
    name: str, arguments: list[Element], type: ColumnType | None, *, distinct: bool, order: list[Ordered]
) -> Any:
    """`string_agg` and the like: every order is a letter, every key an argument."""
    letters = "d" if distinct else ""
    for item in order:
        last = not item.item.descending if item.item.nulls is None else item.item.nulls == "last"
        up, down = "by" if _is_wide(item.item.expression.type) else "az"
        letter = down if item.item.descending else up
        letters += letter if last else letter.upper()
    first, *rest = arguments
    value = _text(first, type) if name == "string_agg" else sa.func.json_quote(json_value(first, type))
    between = rest[0] if rest else sa.null()
    keys = [item.element for item in order]
    return getattr(sa.func, f"datalayer_{name}")(value, between, sa.literal_column(f"'{letters}'"), *keys)


# -- numbers and dates -----------------------------------------------------------------------------


def arithmetic(operator: str, left: Element, right: Element, types: Types, type: ColumnType | None) -> Element | None:
    """What SQLite has no operator for; else None."""
    if _is_wide(type) and operator in _EXACT_ARITHMETIC:  # exact, also of columns that are kept as doubles
        return cast("Element", getattr(sa.func, _EXACT_ARITHMETIC[operator])(left, right))
    kinds = tuple([None if item is None else item.kind for item in types])
    if operator == "%" and kinds != (None, None) and not set(kinds) <= _INTEGERS:
        return cast("Element", sa.func.datalayer_mod(left, right))
    if type is not None and type.kind in _DATED and Kind.DURATION in kinds:
        moment, by = (left, right) if kinds[1] is Kind.DURATION else (right, left)
        return cast("Element", sa.func.datalayer_shift(moment, by if operator == "+" else -by))
    if operator == "-" and set(kinds) <= _DATED and type is not None and type.kind is Kind.DURATION:
        return cast("Element", sa.func.datalayer_between(left, right))
    if operator == "^":  # bound once each: a | b has all bits of both, and a & b those that both have
        return cast("Element", sa.func.datalayer_bits_of_one(left, right))
    if operator == "||":
        return Grouping(_text(left, types[0]).op("||")(_text(right, types[1])))
    return None


_EXACT_ARITHMETIC: Final = {
    "+": "datalayer_decimal_add",
    "-": "datalayer_decimal_subtract",
    "*": "datalayer_decimal_multiply",
    "/": "datalayer_decimal_divide",
    "%": "datalayer_decimal_remainder",
}


def _converted(value: Element, source: ColumnType | None, type: ColumnType) -> Element:
    kind = None if source is None else source.kind
    if type.kind in {Kind.TEXT, Kind.STRING}:
        return _text(value, source)
    if type.kind in _INTEGERS:
        return cast("Element", sa.func.datalayer_integer(value, sa.literal_column("1" if kind is Kind.FLOAT else "0")))
    if type.kind is Kind.DECIMAL:
        if _is_wide(type):
            return cast("Element", sa.func.datalayer_decimal_text(value, sa.null()))
        found = sa.func.datalayer_number(value)
        if type.scale is not None:
            found = sa.func.datalayer_round(found, sa.literal_column(str(type.scale)))
        return cast("Element", found)
    if type.kind is Kind.FLOAT:
        return cast("Element", sa.func.datalayer_number(value))
    if type.kind is Kind.BOOLEAN:
        return cast("Element", sa.func.datalayer_boolean(value))
    word = {Kind.DATE: "date", Kind.TIME: "time", Kind.DATETIME: "datetime", Kind.NAIVE_DATETIME: "datetime"}.get(
        type.kind
    )
    if word is not None:
        return cast("Element", sa.func.datalayer_moment(sa.literal_column(f"'{word}'"), value))
    return value


def _end(word: str) -> Write:
    """Where a range begins or ends, as a column of the type of its ends has it."""

    def write(arguments: list[Element], types: list[ColumnType | None]) -> Element:
        found = getattr(sa.func, f"datalayer_range_{word}")(*arguments)
        item = None if types[0] is None else types[0].item
        return sa.cast(found, sa.Integer) if item is not None and item.kind in _INTEGERS else cast("Element", found)

    return write


_FUNCTIONS: Final[dict[str, Write]] = {
    "now": _now,
    "random": _random,
    "uuid4": lambda a, t: _uuid("hex(randomblob(6))", 4),
    "uuid7": lambda a, t: _uuid(_MILLISECONDS, 7),
    "pi": lambda a, t: sa.literal_column("3.141592653589793"),
    "concat": _concat,
    "greatest": _extreme("greatest"),
    "least": _extreme("least"),
    "nullif": _nullif,
    "strpos": lambda a, t: sa.func.instr(*a),
    "chr": lambda a, t: sa.func.char(*a),
    "ord": lambda a, t: sa.func.unicode(*a),
    "substr": lambda a, t: sa.func.substr(*a),
    "left": _left,
    "right": _right,
    "lag": lambda a, t: sa.func.lag(*a),
    "lead": lambda a, t: sa.func.lead(*a),
    "nth_value": lambda a, t: sa.func.nth_value(*a),
    "ntile": lambda a, t: sa.func.ntile(*a),
    "json_object": _json("json_object"),
    "json_array": _json("json_array"),
    "json_key": lambda a, t: sa.func.datalayer_json_key(*a),
    "json_text": lambda a, t: sa.func.datalayer_json_text(*a),
    "json_null": lambda a, t: sa.literal_column("'null'"),
    "json_number": lambda a, t: sa.func.datalayer_json_number(*a),
    "json_string": lambda a, t: sa.func.datalayer_json_string(*a),
    "json_boolean": lambda a, t: sa.func.datalayer_json_boolean(*a),
    "json_has": lambda a, t: sa.func.datalayer_json_has(*a),
    "json_has_all": lambda a, t: sa.func.datalayer_json_has_all(*a),
    "json_has_any": lambda a, t: sa.func.datalayer_json_has_any(*a),
    "array_contains": lambda a, t: sa.func.datalayer_array_contains(*a),
    "array_contained": lambda a, t: sa.func.datalayer_array_contains(*reversed(a)),
    "array_overlap": lambda a, t: sa.func.datalayer_array_overlap(*a),
    "array_length": lambda a, t: sa.func.json_array_length(a[0]),
    "array_item": lambda a, t: sa.func.datalayer_array_item(*a),
    "array_slice": lambda a, t: sa.func.datalayer_array_slice(*a),
    "range_lower": _end("lower"),
    "range_upper": _end("upper"),
    **{
        f"range_{word}": _ours(f"range_{word}")
        for word in (
            "has",
            "contains",
            "contained_by",
            "overlap",
            "fully_lt",
            "fully_gt",
            "not_lt",
            "not_gt",
            "adjacent_to",
            "isempty",
            "lower_inc",
            "upper_inc",
            "lower_inf",
            "upper_inf",
        )
    },
    "json_contains": lambda a, t: sa.func.datalayer_json_contains(*a),
    "json_contained": lambda a, t: sa.func.datalayer_json_contains(*reversed(a)),
    **{
        f"trunc_{word}": _truncated(word)
        for word in ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
    },
    **{name: _ours(name) for name in _OURS},
}


def written(
    name: str, arguments: list[Element], types: list[ColumnType | None], type: ColumnType | None
) -> Element | None:
    """A function that is not the same everywhere, else None."""
    if name == "cast" and type is not None:
        return _converted(arguments[0], types[0], type)
    found = _FUNCTIONS.get(name)
    return None if found is None else found(arguments, types)
