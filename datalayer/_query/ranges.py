"""Ranges: their ends and what lookups mean for them, as nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from datalayer._query.arrays import any_of
from datalayer._query.condition import Condition, Truth
from datalayer._query.expression import BOOLEAN, Expression, Function, Value
from datalayer._query.lookup import RANGE_LOOKUPS
from datalayer._schema.field import ColumnType, Kind
from datalayer._schema.ranges import is_interval
from datalayer.errors import InvalidValue

ENDS: Final = {"startswith": "range_lower", "endswith": "range_upper"}
"""Where a range begins and ends, by Django's words."""
FLAGS: Final = frozenset({"isempty", "lower_inc", "upper_inc", "lower_inf", "upper_inf"})
_BITS: Final = {Kind.INTEGER: 31, Kind.BIG_INTEGER: 63}


def step_type(type: ColumnType, word: str) -> ColumnType | None:
    """The type of what a word such as `startswith` or `isempty` leads to; None where it leads nowhere."""
    return type.item if word in ENDS else BOOLEAN if word in FLAGS else None


def taken(node: Expression, word: str) -> Expression:
    """What such a word leads to."""
    assert node.type is not None
    return Function(ENDS.get(word) or f"range_{word}", (node,), step_type(node.type, word))


def compared(
    left: Expression, lookup: str, value: object, name: str, checked: Callable[[object], object]
) -> Condition | None:
    """What a lookup means for ranges; None where it means the same as for every column.

    Raises:
        InvalidValue: No range of such a type, and no value of it either.
    """
    if lookup == "in":
        return any_of(left, value, checked)
    if lookup not in RANGE_LOOKUPS or value is None:
        return None
    type = left.type
    assert type is not None
    assert type.item is not None
    if isinstance(value, Expression):
        if lookup == "contains" and value.type is not None and value.type.kind is type.item.kind:
            return _test("has", left, value)
        if value.type is not None and value.type != type:
            also = f", or a {type.item.kind.value}" if lookup == "contains" else ""
            raise InvalidValue(f"{name}: {lookup} needs a range of the same type{also}")
        return _test(lookup, left, value)
    bound = checked(value)
    if is_interval(bound):
        return _test(lookup, left, Value(bound, type))
    if isinstance(bound, int) and not -(2 ** _BITS[type.item.kind]) <= bound < 2 ** _BITS[type.item.kind]:
        # No range of the type reaches so far, but those without an end do.
        return Truth(taken(left, "upper_inf" if bound > 0 else "lower_inf"))
    return _test("has", left, Value(bound, type.item))


def _test(word: str, left: Expression, right: Expression) -> Condition:
    return Truth(Function(f"range_{word}", (left, right), BOOLEAN))
