"""Functions of dates and times. Parts of moments are those in UTC, or in the time zone that is given."""

from __future__ import annotations

from datetime import date, datetime, time, tzinfo
from typing import Any, Final, TypeVar, cast, overload

from datalayer._query.expression import Expression, Function
from datalayer._query.lookup import TRANSFORMS, transformed, transforms_of
from datalayer._schema.field import ColumnType, Kind
from datalayer.errors import FieldError, choices_text, nearest
from datalayer.models.column import Deferred, Expr
from datalayer.models.computed import computed, function
from datalayer.models.expressions import Computable
from datalayer.models.moments import local_time, truncated, zone_name

M = TypeVar("M")
D = TypeVar("D")

_AWARE: Final = ColumnType(Kind.DATETIME, datetime)
_DATE: Final = ColumnType(Kind.DATE, date)


def Now() -> Computable:
    """The moment of the statement, or of the transaction it is in; with milliseconds on SQLite."""
    found: Computable = function("Now", "now", (), _AWARE)
    return found


@overload
def Extract(source: Expr[M, Any], part: str, /, *, tzinfo: tzinfo | str | None = None) -> Expr[M, int]: ...
@overload
def Extract(source: str | Deferred, part: str, /, *, tzinfo: tzinfo | str | None = None) -> Computable: ...
def Extract(source: Any, part: str, /, *, tzinfo: tzinfo | str | None = None) -> Any:
    """A part of a date or time: `Extract("sold_at", "hour", tzinfo="Europe/Berlin")`.

    Args:
        source: A date, time or moment.
        part: `year`, `iso_year`, `quarter`, `month`, `week`, `day`, `week_day`, `iso_week_day`, `hour`, `minute`,
            `second`.
        tzinfo: A ZoneInfo or its name, for moments; UTC when nothing is given.

    Raises:
        FieldError: There is no such part.
    """
    if part not in TRANSFORMS:
        raise FieldError(
            f"there is no part {part!r}; the choices are {choices_text(TRANSFORMS)}{nearest(part, TRANSFORMS)}"
        )
    zone = zone_name(tzinfo)

    def build(nodes: list[Expression]) -> Expression:
        (node,) = nodes
        if part not in transforms_of(node.type):
            kind = "this" if node.type is None else f"a {node.type.kind.value}"
            raise FieldError(
                f"Extract(): {kind} has no {part}; the choices are {choices_text(transforms_of(node.type))}"
            )
        local = node if zone is None else local_time(node, zone, "Extract")
        return Function(part, (local,), transformed(node.type, part))

    return computed("Extract", (source,), build)


@overload
def Trunc(source: Expr[M, D], step: str, /, *, tzinfo: tzinfo | str | None = None) -> Expr[M, D]: ...
@overload
def Trunc(source: str | Deferred, step: str, /, *, tzinfo: tzinfo | str | None = None) -> Computable: ...
def Trunc(source: Any, step: str, /, *, tzinfo: tzinfo | str | None = None) -> Any:
    """The begin of the year, quarter, month, week (Monday), day, hour, minute or second that a date or moment lies in.

    Args:
        source: A date, a moment or a time; the result is of the same type.
        step: Of what.
        tzinfo: A ZoneInfo or its name, for moments: whose midnight it is; UTC when nothing is given.

    Raises:
        FieldError: There is no such step.
    """
    return truncated(source, step, tzinfo)


@overload
def TruncYear(source: Expr[M, D], /, *, tzinfo: tzinfo | str | None = None) -> Expr[M, D]: ...
@overload
def TruncYear(source: str | Deferred, /, *, tzinfo: tzinfo | str | None = None) -> Computable: ...
def TruncYear(source: Any, /, *, tzinfo: tzinfo | str | None = None) -> Any:
    """`Trunc(source, "year")`."""
    return cast("Any", Trunc)(source, "year", tzinfo=tzinfo)


@overload
def TruncQuarter(source: Expr[M, D], /, *, tzinfo: tzinfo | str | None = None) -> Expr[M, D]: ...
@overload
def TruncQuarter(source: str | Deferred, /, *, tzinfo: tzinfo | str | None = None) -> Computable: ...
def TruncQuarter(source: Any, /, *, tzinfo: tzinfo | str | None = None) -> Any:
    """`Trunc(source, "quarter")`."""
    return cast("Any", Trunc)(source, "quarter", tzinfo=tzinfo)


@overload
def TruncMonth(source: Expr[M, D], /, *, tzinfo: tzinfo | str | None = None) -> Expr[M, D]: ...
@overload
def TruncMonth(source: str | Deferred, /, *, tzinfo: tzinfo | str | None = None) -> Computable: ...
def TruncMonth(source: Any, /, *, tzinfo: tzinfo | str | None = None) -> Any:
    """`Trunc(source, "month")`."""
    return cast("Any", Trunc)(source, "month", tzinfo=tzinfo)


@overload
def TruncWeek(source: Expr[M, D], /, *, tzinfo: tzinfo | str | None = None) -> Expr[M, D]: ...
@overload
def TruncWeek(source: str | Deferred, /, *, tzinfo: tzinfo | str | None = None) -> Computable: ...
def TruncWeek(source: Any, /, *, tzinfo: tzinfo | str | None = None) -> Any:
    """`Trunc(source, "week")`."""
    return cast("Any", Trunc)(source, "week", tzinfo=tzinfo)


@overload
def TruncDay(source: Expr[M, D], /, *, tzinfo: tzinfo | str | None = None) -> Expr[M, D]: ...
@overload
def TruncDay(source: str | Deferred, /, *, tzinfo: tzinfo | str | None = None) -> Computable: ...
def TruncDay(source: Any, /, *, tzinfo: tzinfo | str | None = None) -> Any:
    """`Trunc(source, "day")`."""
    return cast("Any", Trunc)(source, "day", tzinfo=tzinfo)


@overload
def TruncHour(source: Expr[M, D], /, *, tzinfo: tzinfo | str | None = None) -> Expr[M, D]: ...
@overload
def TruncHour(source: str | Deferred, /, *, tzinfo: tzinfo | str | None = None) -> Computable: ...
def TruncHour(source: Any, /, *, tzinfo: tzinfo | str | None = None) -> Any:
    """`Trunc(source, "hour")`."""
    return cast("Any", Trunc)(source, "hour", tzinfo=tzinfo)


@overload
def TruncMinute(source: Expr[M, D], /, *, tzinfo: tzinfo | str | None = None) -> Expr[M, D]: ...
@overload
def TruncMinute(source: str | Deferred, /, *, tzinfo: tzinfo | str | None = None) -> Computable: ...
def TruncMinute(source: Any, /, *, tzinfo: tzinfo | str | None = None) -> Any:
    """`Trunc(source, "minute")`."""
    return cast("Any", Trunc)(source, "minute", tzinfo=tzinfo)


@overload
def TruncSecond(source: Expr[M, D], /, *, tzinfo: tzinfo | str | None = None) -> Expr[M, D]: ...
@overload
def TruncSecond(source: str | Deferred, /, *, tzinfo: tzinfo | str | None = None) -> Computable: ...
def TruncSecond(source: Any, /, *, tzinfo: tzinfo | str | None = None) -> Any:
    """`Trunc(source, "second")`."""
    return cast("Any", Trunc)(source, "second", tzinfo=tzinfo)


@overload
def TruncDate(source: Expr[M, Any], /, *, tzinfo: tzinfo | str | None = None) -> Expr[M, date]: ...
@overload
def TruncDate(source: str | Deferred, /, *, tzinfo: tzinfo | str | None = None) -> Computable: ...
def TruncDate(source: Any, /, *, tzinfo: tzinfo | str | None = None) -> Any:
    """The date of a moment."""
    return cast("Any", Extract)(source, "date", tzinfo=tzinfo)


@overload
def TruncTime(source: Expr[M, Any], /, *, tzinfo: tzinfo | str | None = None) -> Expr[M, time]: ...
@overload
def TruncTime(source: str | Deferred, /, *, tzinfo: tzinfo | str | None = None) -> Computable: ...
def TruncTime(source: Any, /, *, tzinfo: tzinfo | str | None = None) -> Any:
    """The time of a moment."""
    return cast("Any", Extract)(source, "time", tzinfo=tzinfo)
