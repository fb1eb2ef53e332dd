"""Moments and dates: the clocks of a time zone, and the beginning of the year, month or hour that one lies in."""

from __future__ import annotations

import zoneinfo
from datetime import datetime, tzinfo
from typing import Any, Final

from datalayer._query.arithmetic import MOMENTS, TEXT
from datalayer._query.expression import Expression, Function
from datalayer._query.expression import Value as ValueNode
from datalayer._schema.field import ColumnType, Kind
from datalayer.errors import FieldError, QueryError, choices_text, nearest
from datalayer.models.computed import computed

_AWARE: Final = ColumnType(Kind.DATETIME, datetime)
_NAIVE: Final = ColumnType(Kind.NAIVE_DATETIME, datetime)
STEPS: Final = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
"""What a date or moment can be cut down to."""


def zone_name(zone: tzinfo | str | None) -> str | None:
    """The name of a time zone, which both backends know by it.

    Raises:
        QueryError: There is none of that name, or it has no name.
    """
    if zone is None:
        return None
    name = zone if isinstance(zone, str) else getattr(zone, "key", None)
    if name is None and zone.utcoffset(None) is not None and str(zone) == "UTC":  # type: ignore[union-attr]
        name = "UTC"
    if not isinstance(name, str):
        raise QueryError(f"{zone!r} is no zone with a name; use ZoneInfo('Europe/Berlin')")
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise QueryError(f"there is no time zone {name!r}; use names such as 'Europe/Berlin'") from None
    return name


def local_time(node: Expression, zone: str | None, word: str) -> Expression:
    """A moment as the clocks of a zone show it."""
    if node.type is None or node.type.kind is not Kind.DATETIME:
        if zone is not None:
            what = "it" if node.type is None else f"a {node.type.kind.value}"
            raise QueryError(f"{word}(): {what} is in no time zone, so tzinfo= has no meaning for it")
        return node
    return Function("in_zone", (node, ValueNode(zone or "UTC", TEXT)), _NAIVE)


def truncated(source: Any, step: str, tzinfo: tzinfo | str | None = None, word: str = "Trunc", *kinds: Kind) -> Any:
    """What `functions.Trunc` gives.

    Args:
        source: A date, a moment or a time.
        step: One of `STEPS`.
        tzinfo: A ZoneInfo or its name.
        word: Who asks, for messages.
        kinds: What it may be of; any date, moment or time when not given.

    Raises:
        FieldError: There is no such step.
    """
    if step not in STEPS:
        raise FieldError(f"there is no step {step!r}; the choices are {choices_text(STEPS)}{nearest(step, STEPS)}")
    zone = zone_name(tzinfo)

    def build(nodes: list[Expression]) -> Expression:
        (node,) = nodes
        kind = None if node.type is None else node.type.kind
        if kind not in (kinds or {*MOMENTS, Kind.TIME}):
            what = "dates, moments and times" if not kinds else " and ".join(f"{one.value}s" for one in kinds)
            twin = {"dates": "datetimes", "datetimes": "dates"}.get(word) if kind in MOMENTS else None
            cure = f"; {twin}() is" if twin else ""
            raise QueryError(f"{word}() is of {what}, not of {'this' if kind is None else kind.value}{cure}")
        is_of_clock = step in {"hour", "minute", "second"}
        if (kind is Kind.DATE and is_of_clock) or (kind is Kind.TIME and not is_of_clock):
            raise QueryError(f"{word}(): a {kind.value} has no {step}")
        local = local_time(node, zone, word)
        found = Function(f"trunc_{step}", (local,), local.type)
        if kind is not Kind.DATETIME:
            return found
        return Function("from_zone", (found, ValueNode(zone or "UTC", TEXT)), _AWARE)

    return computed(f"Trunc{step.capitalize()}", (source,), build)
