"""How the values of a column become another type, on both backends, and which of them cannot.

A change of type never loses a digit, a letter or an hour in silence: values that do not fit stop the migration, with
the query that finds them. A pair of types without an entry has no obvious way at all, and makemigrations says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlalchemy as sa

from datalayer._compile import types
from datalayer._compile.tables import DIALECTS

AnyType: TypeAlias = sa.types.TypeEngine[Any]

_KINDS: tuple[tuple[type[AnyType], str], ...] = (
    (sa.Boolean, "boolean"),
    (sa.Float, "float"),
    (sa.Numeric, "decimal"),
    (sa.Integer, "integer"),
    (sa.String, "text"),
    (sa.Date, "date"),
    (sa.DateTime, "datetime"),
    (sa.Uuid, "uuid"),
    (sa.JSON, "json"),
    (sa.Time, "time"),
    (sa.LargeBinary, "bytes"),
    (types.Duration, "duration"),
    (types.Inet, "inet"),
    (types.Array, "array"),
    (types.Range, "range"),
)
_RANGES = {"SMALLINT": 2**15, "INTEGER": 2**31, "BIGINT": 2**63}


@dataclass(frozen=True)
class Cast:
    """How one backend changes the values.

    Attributes:
        expression: The new value.
        refused: A condition that is true for values that do not fit; None when every one does.
    """

    expression: str
    refused: str | None = None


def _kind(type_: AnyType) -> str:
    found = next((kind for known, kind in _KINDS if isinstance(type_, known)), "")
    if isinstance(type_, types.Range):
        return f"range of {_kind(type_.item)}"
    return "moment" if found == "datetime" and getattr(type_, "timezone", False) else found


def is_known(old: AnyType, new: AnyType) -> bool:
    """Whether there is one obvious way for the values; a type that is not ours has the way its author says."""
    pair = _kind(old), _kind(new)
    return pair[0] == pair[1] or "" in pair or pair in _SQLITE


def sqlite_cast(column: str, old: AnyType, new: AnyType) -> Cast:
    """How SQLite, which keeps in a column what it is given, changes the values.

    Args:
        column: The quoted name.
        old: The type there is.
        new: The type there shall be.
    """
    make = _SQLITE.get((_kind(old), _kind(new)))
    return Cast(column) if make is None else make(column, old, new)


def postgresql_cast(column: str, old: AnyType, new: AnyType) -> Cast:
    """How PostgreSQL changes the values; what its own cast refuses needs no condition.

    Args:
        column: The quoted name.
        old: The type there is.
        new: The type there shall be.
    """
    text = new.compile(DIALECTS["postgresql"])
    make = _POSTGRESQL.get((_kind(old), _kind(new)))
    return Cast(f"{column}::{text}") if make is None else make(column, old, new)


_Make: TypeAlias = Callable[[str, AnyType, AnyType], Cast]


def _either(*conditions: str | None) -> str | None:
    return " OR ".join(filter(None, conditions)) or None


def _plain(c: str, old: AnyType, new: AnyType) -> Cast:
    return Cast(c)


# -- numbers ----------------------------------------------------------------------------------------


def _beyond(c: str, type_: AnyType) -> str | None:
    """What an integer or decimal type has no room for."""
    if isinstance(type_, sa.Integer):
        limit = _RANGES[type_.compile(DIALECTS["postgresql"])]
        return f"{c} NOT BETWEEN {-limit} AND {limit - 1}"
    precision, scale = getattr(type_, "precision", None), getattr(type_, "scale", None)
    return None if precision is None else f"abs({c}) >= 1e{precision - (scale or 0)}"


def _is_text(type_: AnyType) -> bool:
    """Whether SQLite keeps numbers of this type as text."""
    return type_.compile(DIALECTS["sqlite"]) == types.WIDE_DECIMAL


def _digits(scale: int) -> str:
    return r"^\s*[-+]?[0-9]*(\.[0-9]{0," + str(scale) + r"}0*)?\s*$"


def _decimal_for_sqlite(c: str, old: AnyType, new: AnyType) -> Cast:
    """Into a decimal, from an integer, a decimal, or the text of one."""
    beyond = _beyond(f"CAST({c} AS NUMERIC)", new)
    if isinstance(old, sa.Integer):
        return Cast(c, beyond)
    scale = _smaller_scale(old, new)
    more = None if scale is None else f"NOT CAST({c} AS TEXT) REGEXP '{_digits(scale)}'"
    if isinstance(old, sa.String):
        more = _either(f"NOT {c} REGEXP '^\\s*[-+]?([0-9]+\\.?[0-9]*|\\.[0-9]+)\\s*$'", more)
        return Cast(f"trim({c})" if _is_text(new) else f"CAST(trim({c}) AS NUMERIC)", _either(more, beyond))
    made = _number_text(c, old) if _is_text(new) else c
    return Cast(made if _is_text(new) else f"CAST({c} AS NUMERIC)", _either(more, beyond))


def _smaller_scale(old: AnyType, new: AnyType) -> int | None:
    """The scale of `new` where values of `old` may have more digits after the point."""
    before, after = getattr(old, "scale", None), getattr(new, "scale", None)
    return None if after is None or (before is not None and before <= after) else after


def _decimal_for_postgresql(c: str, old: AnyType, new: AnyType) -> Cast:
    number, scale = f"{c}::numeric", _smaller_scale(old, new)
    return Cast(number, None if scale is None else f"{number} <> round({number}, {scale})")


def _whole_for_sqlite(c: str, old: AnyType, new: AnyType) -> Cast:
    """Into an integer, from any number or the text of one."""
    beyond = _beyond(f"CAST({c} AS INTEGER)", new)
    if isinstance(old, sa.Integer):
        return Cast(c, _beyond(c, new))
    if isinstance(old, sa.String):
        return Cast(f"CAST({c} AS INTEGER)", _either(f"NOT {c} REGEXP '^\\s*[-+]?[0-9]{{1,18}}\\s*$'", beyond))
    return Cast(f"CAST({c} AS INTEGER)", _either(f"CAST({c} AS NUMERIC) <> CAST({c} AS INTEGER)", beyond))


def _whole_for_postgresql(c: str, old: AnyType, new: AnyType) -> Cast:
    return Cast(f"{c}::{new.compile(DIALECTS['postgresql'])}", f"{c} <> trunc({c})")


def _rounded_for_sqlite(c: str, old: AnyType, new: AnyType) -> Cast:
    """From a float into a decimal: what a float has beyond the scale is noise."""
    scale = getattr(new, "scale", None)
    made = f"CAST({c} AS TEXT)" if _is_text(new) else c
    return Cast(made if scale is None else made.replace(c, f"round({c}, {scale})"), _beyond(c, new))


def _float_for_sqlite(c: str, old: AnyType, new: AnyType) -> Cast:
    refused: str | None = None
    if isinstance(old, sa.String):
        refused = f"NOT {c} REGEXP '" + r"^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$'"
    elif isinstance(old, sa.Integer):
        refused = f"CAST(CAST({c} AS REAL) AS INTEGER) <> {c}"
    elif _is_text(old):
        refused = f"length(ltrim(replace(replace({c}, '-', ''), '.', ''), '0')) > 15"
    return Cast(f"CAST({c} AS REAL)", refused)


def _float_for_postgresql(c: str, old: AnyType, new: AnyType) -> Cast:
    made = f"{c}::double precision"
    return Cast(made, f"{made}::numeric <> {c}")


def _number_text(c: str, old: AnyType) -> str:
    """The digits of a number on SQLite, those of a decimal with its scale."""
    scale = getattr(old, "scale", None)
    is_exact = _kind(old) == "decimal" and not _is_text(old) and scale is not None
    text = f"printf('%.{scale}f', {c})" if is_exact else f"CAST({c} AS TEXT)"
    return f"CASE WHEN {c} IS NOT NULL THEN {text} END"


def _number_text_for_sqlite(c: str, old: AnyType, new: AnyType) -> Cast:
    text = _number_text(c, old)
    return Cast(text, _too_long(text, new))


def _range_for_sqlite(c: str, old: AnyType, new: AnyType) -> Cast:
    ends = [f"CAST(datalayer_range_{word}({c}) AS INTEGER)" for word in ("lower", "upper")]
    return Cast(c, _either(*[_beyond(end, getattr(new, "item", new)) for end in ends]))


def _range_for_postgresql(c: str, old: AnyType, new: AnyType) -> Cast:
    # A range has no cast to one of another type, except by way of its text.
    return Cast(f"{c}::text::{new.compile(DIALECTS['postgresql'])}")


# -- true and false ---------------------------------------------------------------------------------


def _number_to_boolean(c: str, old: AnyType, new: AnyType) -> Cast:
    return Cast(f"{c} <> 0", f"{c} NOT IN (0, 1)")


def _boolean_to_number(c: str, old: AnyType, new: AnyType) -> Cast:
    return Cast(f"{c}::integer::{new.compile(DIALECTS['postgresql'])}")


def _boolean_text_for_sqlite(c: str, old: AnyType, new: AnyType) -> Cast:
    return Cast(f"CASE WHEN {c} THEN 'true' WHEN NOT {c} THEN 'false' END")


def _text_boolean_for_sqlite(c: str, old: AnyType, new: AnyType) -> Cast:
    true, false = "'true', 't', 'yes', 'y', 'on', '1'", "'false', 'f', 'no', 'n', 'off', '0'"
    return Cast(f"lower(trim({c})) IN ({true})", f"lower(trim({c})) NOT IN ({true}, {false})")


# -- text -------------------------------------------------------------------------------------------


def _too_long(c: str, type_: AnyType) -> str | None:
    length = getattr(type_, "length", None)
    return None if length is None else f"length({c}) > {length}"


def _to_text_for_sqlite(c: str, old: AnyType, new: AnyType) -> Cast:
    return Cast(c, _too_long(c, new))


def _to_text_for_postgresql(c: str, old: AnyType, new: AnyType) -> Cast:
    # Not cast to VARCHAR(n): an explicit cast cuts what is too long, an assigned value is refused.
    return Cast(f"{c}::text")


def _text_uuid_for_sqlite(c: str, old: AnyType, new: AnyType) -> Cast:
    form = r"^\s*[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\s*$"
    return Cast(f"lower(trim({c}))", f"NOT {c} REGEXP '{form}'")


def _text_inet_for_sqlite(c: str, old: AnyType, new: AnyType) -> Cast:
    return Cast(f"trim({c})", f"NOT {c} REGEXP '^\\s*[0-9a-fA-F:.]+(/[0-9]+)?\\s*$'")


def _json_text_for_sqlite(c: str, old: AnyType, new: AnyType) -> Cast:
    made = f"CASE json_type({c}) WHEN 'text' THEN json_extract({c}, '$') ELSE {c} END"
    return Cast(made, _too_long(made, new))


def _text_json_for_sqlite(c: str, old: AnyType, new: AnyType) -> Cast:
    return Cast(f"CASE WHEN {c} IS NOT NULL THEN json_quote({c}) END")


# -- days and moments -------------------------------------------------------------------------------

_CLOCK = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"


def _text_date_for_sqlite(c: str, old: AnyType, new: AnyType) -> Cast:
    return Cast(f"trim({c})", f"{_real_day(f'trim({c})')} <> trim({c})")


def _real_day(c: str) -> str:
    """The day a text begins with: '' for none, and the 2nd of March for the 30th of February."""
    return f"ifnull(date({c}, '+0 days'), '')"


def _text_datetime_for_sqlite(c: str, old: AnyType, new: AnyType) -> Cast:
    made = f"replace(substr({c}, 1, 19), 'T', ' ') || '.' || substr(substr({c}, 21) || '000000', 1, 6)"
    form = f"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[ T]{_CLOCK}$"
    return Cast(made, f"NOT {c} REGEXP '{form}' OR {_real_day(c)} <> substr({c}, 1, 10)")


def _date_datetime_for_sqlite(c: str, old: AnyType, new: AnyType) -> Cast:
    return Cast(f"{c} || ' 00:00:00.000000'")


def _datetime_date_for_sqlite(c: str, old: AnyType, new: AnyType) -> Cast:
    return Cast(f"substr({c}, 1, 10)", f"substr({c}, 11) <> ' 00:00:00.000000'")


def _in_utc(c: str, old: AnyType, new: AnyType) -> Cast:
    return Cast(f"{c} AT TIME ZONE 'UTC'")


def _date_moment(c: str, old: AnyType, new: AnyType) -> Cast:
    return Cast(f"{c}::timestamp AT TIME ZONE 'UTC'")


def _moment_date(c: str, old: AnyType, new: AnyType) -> Cast:
    there = f"({c} AT TIME ZONE 'UTC')"
    return Cast(f"{there}::date", f"{there} <> {there}::date")


def _datetime_date(c: str, old: AnyType, new: AnyType) -> Cast:
    return Cast(f"{c}::date", f"{c} <> {c}::date")


def _text_moment(c: str, old: AnyType, new: AnyType) -> Cast:
    # Read as UTC whatever the session's time zone; a text with a zone of its own would lose it in silence.
    return Cast(f"{c}::timestamp AT TIME ZONE 'UTC'", f"{c} ~ '(Z|[+-][0-9:]+)$' AND {c} ~ ':'")


def _text_datetime(c: str, old: AnyType, new: AnyType) -> Cast:
    return Cast(f"{c}::timestamp", f"{c} ~ '(Z|[+-][0-9:]+)$' AND {c} ~ ':'")


def _moment_text(c: str, old: AnyType, new: AnyType) -> Cast:
    return Cast(f"({c} AT TIME ZONE 'UTC')::text")


_SQLITE: dict[tuple[str, str], _Make] = {
    ("range of integer", "range of integer"): _range_for_sqlite,
    ("range of integer", "range of decimal"): _plain,
    ("integer", "integer"): _whole_for_sqlite,
    ("decimal", "integer"): _whole_for_sqlite,
    ("float", "integer"): _whole_for_sqlite,
    ("text", "integer"): _whole_for_sqlite,
    ("integer", "decimal"): _decimal_for_sqlite,
    ("decimal", "decimal"): _decimal_for_sqlite,
    ("text", "decimal"): _decimal_for_sqlite,
    ("float", "decimal"): _rounded_for_sqlite,
    ("integer", "float"): _float_for_sqlite,
    ("decimal", "float"): _float_for_sqlite,
    ("text", "float"): _float_for_sqlite,
    ("integer", "boolean"): _number_to_boolean,
    ("decimal", "boolean"): _number_to_boolean,
    ("float", "boolean"): _number_to_boolean,
    ("text", "boolean"): _text_boolean_for_sqlite,
    ("boolean", "integer"): _plain,
    ("boolean", "decimal"): _plain,
    ("boolean", "float"): _plain,
    ("boolean", "text"): _boolean_text_for_sqlite,
    ("text", "text"): _to_text_for_sqlite,
    ("integer", "text"): _number_text_for_sqlite,
    ("decimal", "text"): _number_text_for_sqlite,
    ("float", "text"): _number_text_for_sqlite,
    ("uuid", "text"): _to_text_for_sqlite,
    ("inet", "text"): _to_text_for_sqlite,
    ("date", "text"): _to_text_for_sqlite,
    ("datetime", "text"): _to_text_for_sqlite,
    ("moment", "text"): _to_text_for_sqlite,
    ("json", "text"): _json_text_for_sqlite,
    ("text", "uuid"): _text_uuid_for_sqlite,
    ("text", "inet"): _text_inet_for_sqlite,
    ("text", "json"): _text_json_for_sqlite,
    ("text", "date"): _text_date_for_sqlite,
    ("text", "datetime"): _text_datetime_for_sqlite,
    ("text", "moment"): _text_datetime_for_sqlite,
    ("date", "datetime"): _date_datetime_for_sqlite,
    ("date", "moment"): _date_datetime_for_sqlite,
    ("datetime", "date"): _datetime_date_for_sqlite,
    ("moment", "date"): _datetime_date_for_sqlite,
    ("datetime", "moment"): _plain,
    ("moment", "datetime"): _plain,
}


def _text_to_json(c: str, old: AnyType, new: AnyType) -> Cast:
    return Cast(f"to_jsonb({c})")


def _json_to_text(c: str, old: AnyType, new: AnyType) -> Cast:
    return Cast(f"({c} #>> '{{}}')")


_POSTGRESQL: dict[tuple[str, str], _Make] = {
    ("range of integer", "range of integer"): _range_for_postgresql,
    ("range of integer", "range of decimal"): _range_for_postgresql,
    ("decimal", "integer"): _whole_for_postgresql,
    ("float", "integer"): _whole_for_postgresql,
    ("decimal", "decimal"): _decimal_for_postgresql,
    ("decimal", "float"): _float_for_postgresql,
    ("integer", "float"): _float_for_postgresql,
    ("text", "decimal"): _decimal_for_postgresql,
    ("integer", "boolean"): _number_to_boolean,
    ("decimal", "boolean"): _number_to_boolean,
    ("float", "boolean"): _number_to_boolean,
    ("boolean", "integer"): _boolean_to_number,
    ("boolean", "decimal"): _boolean_to_number,
    ("boolean", "float"): _boolean_to_number,
    ("boolean", "text"): _to_text_for_postgresql,
    ("text", "text"): _to_text_for_postgresql,
    ("integer", "text"): _to_text_for_postgresql,
    ("decimal", "text"): _to_text_for_postgresql,
    ("float", "text"): _to_text_for_postgresql,
    ("uuid", "text"): _to_text_for_postgresql,
    ("inet", "text"): _to_text_for_postgresql,
    ("date", "text"): _to_text_for_postgresql,
    ("datetime", "text"): _to_text_for_postgresql,
    ("moment", "text"): _moment_text,
    ("json", "text"): _json_to_text,
    ("text", "json"): _text_to_json,
    ("text", "datetime"): _text_datetime,
    ("text", "moment"): _text_moment,
    ("date", "moment"): _date_moment,
    ("datetime", "date"): _datetime_date,
    ("moment", "date"): _moment_date,
    ("datetime", "moment"): _in_utc,
    ("moment", "datetime"): _in_utc,
}
