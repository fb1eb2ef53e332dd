"""A year or a day as a span of time, so that an index on the column can be used."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from datalayer._compile import values
from datalayer._compile.joins import Element
from datalayer._query.condition import Comparison
from datalayer._schema.field import ColumnType, Kind

if TYPE_CHECKING:
    from datalayer._compile.writer import Writer


def is_dated(type: ColumnType | None) -> bool:
    """Whether values of a type have a year and a day."""
    return type is not None and type.kind in {Kind.DATE, Kind.DATETIME, Kind.NAIVE_DATETIME}


def span(writer: Writer, node: Comparison, left: Element, at: int) -> Element | None:
    """A year or a day as a span from its begin to the begin of the next, so that an index can be used."""
    type = node.left.type
    convert = values.to_driver(type, writer.backend.name)
    is_date = type is not None and type.kind is Kind.DATE
    is_aware = type is not None and type.kind is Kind.DATETIME
    ends = writer.backend.ends

    def edge(step: int, place: int | None = None) -> Element:
        def run(value: object) -> object:
            item = cast("tuple[object, ...]", value)[place] if place is not None else value
            begin = _begin(item, step, is_date=is_date, is_aware=is_aware)
            if isinstance(begin, bool):
                return ends[begin]
            return begin if convert is None else convert(begin)

        return writer.statement.bind(at, run)

    begin: Any = left.op(">=", is_comparison=True)
    before: Any = left.op("<", is_comparison=True)
    match node.lookup:
        case "exact":
            return sa.and_(begin(edge(0)), before(edge(1)))
        case "ne":
            return sa.or_(before(edge(0)), begin(edge(1)))
        case "gt":
            return cast("Element", begin(edge(1)))
        case "gte":
            return cast("Element", begin(edge(0)))
        case "lt":
            return cast("Element", before(edge(0)))
        case "lte":
            return cast("Element", before(edge(1)))
        case "range":
            return sa.and_(begin(edge(0, 0)), before(edge(1, 1)))
        case _:
            return None


def _begin(value: object, step: int, *, is_date: bool, is_aware: bool) -> object:
    """The first moment of a year or day, or of the one after it; True or False for after or before all of Python's."""
    if isinstance(value, date):
        ordinal = value.toordinal() + step
        if ordinal > date.max.toordinal():
            return True
        day = date.fromordinal(ordinal)
    else:
        year = int(str(value)) + step
        if not date.min.year <= year <= date.max.year:
            return year > date.max.year
        day = date(year, 1, 1)
    if is_date:
        return day
    return datetime(day.year, day.month, day.day, tzinfo=UTC if is_aware else None)
