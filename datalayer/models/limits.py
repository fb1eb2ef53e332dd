"""Limits of fields that no value of theirs has, or is within: refused with the model, not with the first row."""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from typing import Any, Final, cast

from datalayer._schema.field import ColumnType, Kind
from datalayer.errors import ModelError, choices_text, nearest

_WITH_LENGTH: Final = frozenset({Kind.STRING, Kind.TEXT, Kind.BYTES, Kind.JSON, Kind.ARRAY, Kind.ENUM, Kind.INET})
_NUMBERS: Final = frozenset({Kind.SMALL_INTEGER, Kind.INTEGER, Kind.BIG_INTEGER, Kind.DECIMAL, Kind.FLOAT})
_TEXTS: Final = frozenset({Kind.STRING, Kind.TEXT})
_BACKENDS: Final = ("sqlite", "postgresql")
_LONGEST: Final = 63  # bytes of a name on PostgreSQL, which cuts the rest in silence
_COLLATION: Final = (
    'give the name of one, such as "C", or one for each backend: {"sqlite": "NOCASE", "postgresql": "de-x-icu"}'
)


def check_limits(where: str, kind: ColumnType, limits: Mapping[str, Any]) -> None:
    """Refuses limits that the values of a field do not have, or that none of them is within.

    Args:
        where: The field, for messages.
        kind: The type of its column.
        limits: What it was given, such as `max_length`.

    Raises:
        ModelError: pydantic and the database would only tell when there is a value.
    """
    if kind.stored is not None:
        return
    for name in ("max_length", "min_length"):
        _check_length(where, kind, name, limits.get(name))
    _check_digits(where, kind, limits)
    for name in ("ge", "gt", "le", "lt"):
        value = limits.get(name)
        if kind.kind in _NUMBERS and value is not None and not isinstance(value, int | float | decimal.Decimal):
            raise ModelError(f"{where} has {name}={value!r}, and its values are numbers; give a number")
        if kind.kind in _TEXTS and value is not None and not isinstance(value, str):
            raise ModelError(f"{where} has {name}={value!r}, and its values are text; use min_length= and max_length=")
    _check_ends(where, limits, ("min_length",), ("max_length",))
    _check_ends(where, limits, ("ge", "gt"), ("le", "lt"))


def collation_of(where: str, kind: ColumnType, given: object) -> tuple[str, str]:
    """The collation of a column on SQLite and on PostgreSQL, empty for the database's own.

    Args:
        where: The field, for messages.
        kind: The type of its column.
        given: What it was given as `collation=`.

    Raises:
        ModelError: It is no name of one, or the column has no text.
    """
    if kind.kind not in _TEXTS:
        raise ModelError(f"{where} has collation={given!r}, and {kind.kind.value} has none, only text; take it away")
    names = dict.fromkeys(_BACKENDS, given) if isinstance(given, str) else given
    if not isinstance(names, Mapping) or not names:
        raise ModelError(f"{where} has collation={given!r}; {_COLLATION}")
    said = cast("Mapping[object, object]", names)
    for backend, name in said.items():
        if backend not in _BACKENDS:
            raise ModelError(
                f"{where} has a collation for {backend!r}; the choices are {choices_text(_BACKENDS)}"
                f"{nearest(str(backend), _BACKENDS)}"
            )
        if not isinstance(name, str) or not name or "\0" in name or len(name.encode("utf-8", "replace")) > _LONGEST:
            raise ModelError(f"{where} has collation={given!r}, and none is called {name!r}; {_COLLATION}")
    return str(said.get("sqlite", "")), str(said.get("postgresql", ""))


def _check_length(where: str, kind: ColumnType, name: str, value: object) -> None:
    if value is None:
        return
    if kind.kind not in _WITH_LENGTH:
        raise ModelError(f"{where} has {name}={value!r}, and {kind.kind.value} has no length; take it away")
    least = 1 if name == "max_length" else 0
    if type(value) is not int or value < least:
        raise ModelError(f"{where} has {name}={value!r}; it is a number, {least} or more")
    if kind.kind is Kind.ENUM and name == "max_length":
        long = next((text for text in kind.choices if isinstance(text, str) and len(text) > value), None)
        if long is not None:
            raise ModelError(f"{where} has max_length={value}, and its choice {long!r} has {len(long)}; raise it")


def _check_digits(where: str, kind: ColumnType, limits: Mapping[str, Any]) -> None:
    digits, places = limits.get("max_digits"), limits.get("decimal_places")
    if kind.kind is not Kind.DECIMAL:
        for name, value in (("max_digits", digits), ("decimal_places", places)):
            if value is not None:
                raise ModelError(f"{where} has {name}={value!r}, which only a Decimal has; take it away")
        return
    if digits is not None and (type(digits) is not int or digits < 1):
        raise ModelError(f"{where} has max_digits={digits!r}; it is the number of all digits, 1 or more")
    if places is not None and (type(places) is not int or not 0 <= places <= (digits or 0)):
        raise ModelError(
            f"{where} has decimal_places={places!r} and max_digits={digits!r}; the digits after the point are some of "
            "all, from 0 to max_digits"
        )


def _check_ends(where: str, limits: Mapping[str, Any], least: tuple[str, ...], most: tuple[str, ...]) -> None:
    for low in least:
        for high in most:
            below, above = limits.get(low), limits.get(high)
            if below is None or above is None:
                continue
            is_open = "t" in (low[-1], high[-1])  # gt and lt take their own end away
            if below > above or (is_open and below == above):
                raise ModelError(f"{where} has {low}={below!r} and {high}={above!r}, so no value is allowed")
