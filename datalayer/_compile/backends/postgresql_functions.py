"""The functions of the library in PostgreSQL's words, and the names of its types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

import sqlalchemy as sa
from sqlalchemy.sql.elements import Grouping

from datalayer._compile.backends.base import Element
from datalayer._compile.pieces import Pieces
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


_RANGES: Final[dict[Kind, str]] = {
    Kind.INTEGER: "int4range",
    Kind.BIG_INTEGER: "int8range",
    Kind.DECIMAL: "numrange",
    Kind.DATE: "daterange",
    Kind.DATETIME: "tstzrange",
    Kind.NAIVE_DATETIME: "tsrange",
}


def type_name(type: ColumnType) -> str:
    """The type of a bound value of a column type."""
    if type.kind is Kind.RANGE and type.item is not None:
        return _RANGES[type.item.kind]
    if type.kind is Kind.ARRAY and type.item is not None:
        return f"{_item_name(type.item)}[]"
    if type.kind is Kind.ENUM:
        return "bigint" if type.choices and all(isinstance(choice, int) for choice in type.choices) else "text"
    return _TYPES[type.kind]


def _item_name(item: ColumnType) -> str:
    """The type of the items of an array exactly: PostgreSQL compares arrays of one type only."""
    if item.kind is Kind.ENUM:
        if type_name(item) == "text":
            return "varchar"
        return "integer" if all(-(2**31) <= int(choice) < 2**31 for choice in item.choices) else "bigint"
    exact = {Kind.SMALL_INTEGER: "smallint", Kind.INTEGER: "integer", Kind.STRING: "varchar"}
    return exact.get(item.kind) or type_name(item)


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


_TEXT: Final = ColumnType(Kind.TEXT, str)

Write: TypeAlias = Callable[[list[Element], list["ColumnType | None"]], Element]

_NUMBERS: Final = frozenset({Kind.SMALL_INTEGER, Kind.INTEGER, Kind.BIG_INTEGER, Kind.FLOAT, Kind.DECIMAL})
_FLOATS: Final = frozenset(
    {
        "sqrt", "exp", "ln", "sin", "cos", "tan", "asin", "acos", "atan", "cot", "degrees", "radians",
    }
)  # fmt: skip
"""Functions of one floating point number."""


def _kind(types: list[ColumnType | None], place: int = 0) -> Kind | None:
    found = types[place] if place < len(types) else None
    return None if found is None else found.kind


def _float(value: Element) -> Element:
    return cast_to(value, "double precision")


def _integer(value: Element) -> Element:
    return cast_to(value, "integer")


def _text_and_numbers(name: str) -> Write:
    """A function of a text, whole numbers and then perhaps a text."""

    def write(arguments: list[Element], types: list[ColumnType | None]) -> Element:
        text, number, *rest = arguments
        more = [
            item if _kind(types, place) in {Kind.TEXT, Kind.STRING} else _integer(item)
            for place, item in enumerate(rest, 2)
        ]
        return cast("Element", getattr(sa.func, name)(text, _integer(number), *more))

    return write


def _hashed(name: str) -> Write:
    def write(arguments: list[Element], types: list[ColumnType | None]) -> Element:
        octets = sa.func.convert_to(arguments[0], sa.literal_column("'UTF8'"))
        return cast("Element", sa.func.encode(getattr(sa.func, name)(octets), sa.literal_column("'hex'")))

    return write


def _sha1(arguments: list[Element], types: list[ColumnType | None]) -> Element:
    """Of the extension pgcrypto: PostgreSQL itself has none."""
    octets = sa.func.convert_to(arguments[0], sa.literal_column("'UTF8'"))
    return cast(
        "Element",
        sa.func.encode(sa.func.digest(octets, sa.literal_column("'sha1'")), sa.literal_column("'hex'")),
    )


# The milliseconds take the place of the first six bytes, and two more bits make a version 7 of the version 4: servers
# have a uuidv7() from 18 on only.
_UUID7: Final = (
    "encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing "
    "substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6), "
    "52, 1), 53, 1), 'hex')::uuid"
)


def _rounded(arguments: list[Element], types: list[ColumnType | None]) -> Element:
    # A double is rounded half to even, a numeric half away from zero: numeric, so that both kinds agree.
    places: Element = _integer(arguments[1]) if len(arguments) > 1 else sa.literal_column("0")
    found = sa.func.round(cast_to(arguments[0], "numeric"), places)
    return _float(found) if _kind(types) is Kind.FLOAT else cast("Element", found)


def _modulo(arguments: list[Element], types: list[ColumnType | None]) -> Element:
    found = sa.func.mod(*[cast_to(item, "numeric") for item in arguments])
    return _float(found) if Kind.FLOAT in {_kind(types), _kind(types, 1)} else cast("Element", found)


def _truncated(word: str) -> Write:
    def write(arguments: list[Element], types: list[ColumnType | None]) -> Element:
        found = sa.func.date_trunc(sa.literal_column(f"'{word}'"), arguments[0])
        kind = _kind(types)
        return cast_to(found, kind.value) if kind is Kind.DATE or kind is Kind.TIME else cast("Element", found)

    return write


def _in_zone(arguments: list[Element], types: list[ColumnType | None]) -> Element:
    return Grouping(arguments[0].op("AT TIME ZONE")(arguments[1]))


def _offset(name: str) -> Write:
    """`lag` and `lead`: value, whole number, default."""

    def write(arguments: list[Element], types: list[ColumnType | None]) -> Element:
        value, *rest = arguments
        more = [_integer(rest[0]), *rest[1:]] if rest else []
        return cast("Element", getattr(sa.func, name)(value, *more))

    return write


def _json_value(value: Element, type: ColumnType | None) -> Element:
    """A value of JSON that looks the same on every backend."""
    kind = None if type is None else type.kind
    if kind is Kind.DATETIME:
        value = value.op("AT TIME ZONE")(sa.literal_column("'UTC'"))
        return cast("Element", sa.func.to_char(value, sa.literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'""")))
    if kind is Kind.NAIVE_DATETIME:
        return cast("Element", sa.func.to_char(value, sa.literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US'""")))
    if kind is Kind.TIME:
        return cast("Element", sa.func.to_char(value, sa.literal_column("'HH24:MI:SS.US'")))
    return value


def _json(name: str) -> Write:
    def write(arguments: list[Element], types: list[ColumnType | None]) -> Element:
        values = [_json_value(item, type) for item, type in zip(arguments, types, strict=True)]
        return cast("Element", getattr(sa.func, name)(*values))

    return write


def _json_key(arguments: list[Element], types: list[ColumnType | None]) -> Element:
    """One step into JSON: by name in an object, by number in an array."""
    is_name = _kind(types, 1) is Kind.TEXT
    return Grouping(arguments[0].op("->")(arguments[1] if is_name else _integer(arguments[1])))


def _of_type(word: str, read: Callable[[Element], Element]) -> Write:
    """A JSON value where it is of one type, else NULL."""

    def write(arguments: list[Element], types: list[ColumnType | None]) -> Element:
        is_one = sa.func.jsonb_typeof(arguments[0]) == sa.literal_column(f"'{word}'")
        return Grouping(sa.case((is_one, read(arguments[0])), else_=sa.null()))

    return write


def _json_text(value: Element) -> Element:
    return Grouping(value.op("#>>")(sa.literal_column("'{}'")))


def _placed(arguments: list[Element], types: list[ColumnType | None]) -> Element:
    """An item of an array, or a slice of it; PostgreSQL counts from one."""
    node, *places = arguments
    first = _integer(places[0]).op("+")(sa.literal_column("1"))
    ends: list[str | Element] = ["(", node, ")[", first]
    return Pieces([*ends, ":", _integer(places[1]), "]"] if len(places) > 1 else [*ends, "]"])


def _has(arguments: list[Element], types: list[ColumnType | None]) -> Element:
    """Whether a value lies in a range: PostgreSQL compares a range with values of exactly its type."""
    range, value = arguments
    item = None if types[0] is None else types[0].item
    return Grouping(range.op("@>")(value if item is None else cast_to(value, _item_name(item))))


def _operator(word: str) -> Write:
    def write(arguments: list[Element], types: list[ColumnType | None]) -> Element:
        return Grouping(arguments[0].op(word)(arguments[1]))

    return write


def _keys(word: str) -> Write:
    """`?|` and `?&` take an array of text; the question marks are doubled by nobody, as psycopg's mark is `%s`."""

    def write(arguments: list[Element], types: list[ColumnType | None]) -> Element:
        names = sa.func.array(sa.select(sa.func.jsonb_array_elements_text(arguments[1])).scalar_subquery())
        return Grouping(arguments[0].op(word)(names))

    return write


_FUNCTIONS: Final[dict[str, Write]] = {
    "now": lambda a, t: sa.func.now(),
    "random": lambda a, t: sa.func.random(),
    "uuid4": lambda a, t: sa.func.gen_random_uuid(),
    "uuid7": lambda a, t: sa.literal_column(_UUID7),
    "pi": lambda a, t: sa.func.pi(),
    "lower": lambda a, t: sa.func.lower(a[0]),
    "upper": lambda a, t: sa.func.upper(a[0]),
    "concat": lambda a, t: sa.func.concat(*[_converted(item, type, _TEXT) for item, type in zip(a, t, strict=True)]),
    "greatest": lambda a, t: sa.func.greatest(*a),
    "least": lambda a, t: sa.func.least(*a),
    "strpos": lambda a, t: sa.func.strpos(*a),
    "reverse": lambda a, t: sa.func.reverse(a[0]),
    "chr": lambda a, t: sa.func.chr(_integer(a[0])),
    "ord": lambda a, t: sa.func.nullif(sa.func.ascii(a[0]), sa.literal_column("0")),
    "md5": lambda a, t: sa.func.md5(a[0]),
    "sha1": _sha1,
    "sha224": _hashed("sha224"),
    "sha256": _hashed("sha256"),
    "sha384": _hashed("sha384"),
    "sha512": _hashed("sha512"),
    "substr": _text_and_numbers("substr"),
    "left": _text_and_numbers("left"),
    "right": _text_and_numbers("right"),
    "repeat": _text_and_numbers("repeat"),
    "lpad": _text_and_numbers("lpad"),
    "rpad": _text_and_numbers("rpad"),
    "round": _rounded,
    "ceil": lambda a, t: sa.func.ceil(a[0]),
    "floor": lambda a, t: sa.func.floor(a[0]),
    "sign": lambda a, t: sa.func.sign(a[0]),
    "mod": _modulo,
    "power": lambda a, t: sa.func.power(*[_float(item) for item in a]),
    "atan2": lambda a, t: sa.func.atan2(*[_float(item) for item in a]),
    "log": lambda a, t: _float(sa.func.log(*[cast_to(item, "numeric") for item in a])),
    "in_zone": _in_zone,
    "from_zone": _in_zone,
    "lag": _offset("lag"),
    "lead": _offset("lead"),
    "nth_value": lambda a, t: sa.func.nth_value(a[0], _integer(a[1])),
    "ntile": lambda a, t: sa.func.ntile(_integer(a[0])),
    "json_object": _json("jsonb_build_object"),
    "json_array": _json("jsonb_build_array"),
    "json_key": _json_key,
    "json_text": lambda a, t: _json_text(a[0]),
    "json_null": lambda a, t: cast_to(sa.literal_column("'null'"), "jsonb"),
    "json_number": _of_type("number", lambda value: cast_to(value, "numeric")),
    "json_string": _of_type("string", _json_text),
    "json_boolean": _of_type("boolean", lambda value: cast_to(value, "boolean")),
    "json_has": _operator("?"),
    "json_has_all": _keys("?&"),
    "json_has_any": _keys("?|"),
    "array_contains": _operator("@>"),
    "array_contained": _operator("<@"),
    "array_overlap": _operator("&&"),
    "array_length": lambda a, t: sa.func.cardinality(a[0]),
    "array_item": _placed,
    "array_slice": _placed,
    "range_has": _has,
    "range_contains": _operator("@>"),
    "range_contained_by": _operator("<@"),
    "range_overlap": _operator("&&"),
    "range_fully_lt": _operator("<<"),
    "range_fully_gt": _operator(">>"),
    "range_not_lt": _operator("&>"),
    "range_not_gt": _operator("&<"),
    "range_adjacent_to": _operator("-|-"),
    "range_lower": lambda a, t: sa.func.lower(a[0]),
    "range_upper": lambda a, t: sa.func.upper(a[0]),
    "range_isempty": lambda a, t: sa.func.isempty(a[0]),
    "range_lower_inc": lambda a, t: sa.func.lower_inc(a[0]),
    "range_upper_inc": lambda a, t: sa.func.upper_inc(a[0]),
    "range_lower_inf": lambda a, t: sa.func.lower_inf(a[0]),
    "range_upper_inf": lambda a, t: sa.func.upper_inf(a[0]),
    "json_contains": _operator("@>"),
    "json_contained": _operator("<@"),
    **{
        f"trunc_{word}": _truncated(word)
        for word in ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
    },
    **{name: (lambda a, t, name=name: getattr(sa.func, name)(_float(a[0]))) for name in _FLOATS},  # type: ignore[misc]
}


def written(
    name: str, arguments: list[Element], types: list[ColumnType | None], type: ColumnType | None
) -> Element | None:
    """A function that is not the same everywhere, else None."""
    if name == "cast" and type is not None:
        return _converted(arguments[0], types[0], type)
    found = _FUNCTIONS.get(name)
    return None if found is None else found(arguments, types)


def _converted(value: Element, source: ColumnType | None, type: ColumnType) -> Element:
    kind = None if source is None else source.kind
    if type.kind in {Kind.TEXT, Kind.STRING}:
        formats = {Kind.DATETIME: "YYYY-MM-DD HH24:MI:SS.US", Kind.NAIVE_DATETIME: "YYYY-MM-DD HH24:MI:SS.US"}
        if kind is Kind.DATETIME:
            value = value.op("AT TIME ZONE")(sa.literal_column("'UTC'"))
        if kind is not None and kind in formats:
            return cast("Element", sa.func.to_char(value, sa.literal_column(f"'{formats[kind]}'")))
        if kind is Kind.TIME:
            return cast("Element", sa.func.to_char(value, sa.literal_column("'HH24:MI:SS.US'")))
    if kind is Kind.DATETIME and type.kind in {Kind.DATE, Kind.TIME, Kind.NAIVE_DATETIME}:
        value = value.op("AT TIME ZONE")(sa.literal_column("'UTC'"))
    if type.kind is Kind.DATETIME and kind in {Kind.DATE, Kind.NAIVE_DATETIME}:
        return Grouping(cast_to(value, "timestamp").op("AT TIME ZONE")(sa.literal_column("'UTC'")))
    if kind is Kind.BOOLEAN and type.kind in _NUMBERS:
        value = cast_to(value, "integer")
    if type.kind is Kind.DECIMAL and type.scale is not None:
        return cast_to(value, f"numeric({type.precision}, {type.scale})")
    return cast_to(value, type_name(type))
