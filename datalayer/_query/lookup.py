"""The words that may follow a name: what is compared how (`price__gt`) and which part of a date (`born__year`)."""

from __future__ import annotations

from datetime import date, time
from typing import Final

from datalayer._schema.field import ColumnType, Kind

LOOKUPS: Final = frozenset(
    {
        "exact", "ne", "gt", "gte", "lt", "lte", "in", "range", "isnull",
        "iexact", "contains", "icontains", "startswith", "istartswith", "endswith", "iendswith", "regex", "iregex",
        "contained_by", "overlap", "fully_lt", "fully_gt", "not_lt", "not_gt", "adjacent_to",
        "has_key", "has_keys", "has_any_keys",
    }
)  # fmt: skip
"""Every lookup by name. Nodes have one more, `notnull`, which is what `isnull=False` becomes."""

TEXT_LOOKUPS: Final = frozenset(
    {"iexact", "contains", "icontains", "startswith", "istartswith", "endswith", "iendswith", "regex", "iregex"}
)
"""Lookups on text only."""

PATTERN_LOOKUPS: Final = frozenset({"regex", "iregex"})
"""Lookups by a regular expression."""

PART_LOOKUPS: Final = frozenset({"contains", "contained_by", "overlap"})
"""Lookups on values that have parts."""

RANGE_LOOKUPS: Final = PART_LOOKUPS | {"fully_lt", "fully_gt", "not_lt", "not_gt", "adjacent_to"}
"""Lookups on ranges."""

KEY_LOOKUPS: Final = frozenset({"has_key", "has_keys", "has_any_keys"})
"""Lookups on JSON only."""

ORDER_LOOKUPS: Final = frozenset({"gt", "gte", "lt", "lte", "range"})
"""Lookups on values that have an order."""

DATE_PARTS: Final = frozenset(
    {"date", "year", "iso_year", "quarter", "month", "week", "day", "week_day", "iso_week_day", "time"}
)
TIME_PARTS: Final = frozenset({"hour", "minute", "second"})
TRANSFORMS: Final = DATE_PARTS | TIME_PARTS
"""Parts of dates and times that may stand between a name and its lookup. `week_day` counts from Sunday, which is 1."""

_TEXT = frozenset({Kind.STRING, Kind.TEXT, Kind.ENUM, Kind.INET})
_UNORDERED = frozenset({Kind.BOOLEAN})
_OF_PARTS = (RANGE_LOOKUPS | KEY_LOOKUPS) - TEXT_LOOKUPS
_DATETIMES = frozenset({Kind.DATETIME, Kind.NAIVE_DATETIME})


def lookups_of(type: ColumnType | None) -> frozenset[str]:
    """The lookups that make sense for a type; all of them where it is not known."""
    if type is None:
        return LOOKUPS
    if type.kind is Kind.JSON:
        return (LOOKUPS - RANGE_LOOKUPS) | {"contains", "contained_by"}
    if type.kind is Kind.ARRAY:
        return (LOOKUPS - TEXT_LOOKUPS - KEY_LOOKUPS - RANGE_LOOKUPS) | PART_LOOKUPS
    if type.kind is Kind.RANGE:
        return (LOOKUPS - TEXT_LOOKUPS - KEY_LOOKUPS) | RANGE_LOOKUPS
    found = LOOKUPS - _OF_PARTS
    if type.kind not in _TEXT:
        found -= TEXT_LOOKUPS
    if type.kind in _UNORDERED:
        found -= ORDER_LOOKUPS
    return found


def transforms_of(type: ColumnType | None) -> frozenset[str]:
    """The parts that can be taken of a type."""
    if type is None or type.kind in _DATETIMES:
        return TRANSFORMS
    if type.kind is Kind.DATE:
        return DATE_PARTS - {"date", "time"}
    return TIME_PARTS if type.kind is Kind.TIME else frozenset()


def transformed(type: ColumnType | None, transform: str | None) -> ColumnType | None:
    """The type of a part of a date or time; the type itself where no part is taken."""
    if transform is None:
        return type
    return _PARTS.get(transform, _NUMBER)


_NUMBER = ColumnType(Kind.INTEGER, int)


_PARTS = {"date": ColumnType(Kind.DATE, date), "time": ColumnType(Kind.TIME, time)}
