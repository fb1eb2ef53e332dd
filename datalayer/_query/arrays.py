"""Arrays: their items, slices and lengths, and what lookups mean for them, as nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeGuard, cast

from datalayer._query.arithmetic import WHOLE
from datalayer._query.condition import Comparison, Condition, Junction, Nothing, Truth
from datalayer._query.expression import BOOLEAN, Expression, Function, Key, Value
from datalayer._schema.field import ColumnType, Kind
from datalayer.errors import InvalidValue, QueryError

_PARTS: Final = {"contains": "array_contains", "contained_by": "array_contained", "overlap": "array_overlap"}
_FARTHEST: Final = 2**31 - 2


def is_place(place: object) -> TypeGuard[int]:
    """Whether something is a place, counted from 0."""
    return type(place) is int and 0 <= place <= _FARTHEST


def item(node: Expression, place: object, name: str) -> Expression:
    """The item at a place, from 0; NULL where there is none.

    Raises:
        QueryError: No place.
    """
    if not is_place(place):
        raise QueryError(f"{name}[{place!r}]: an array has places 0, 1, 2 ... and slices of them, such as [0:2]")
    return Function("array_item", (node, Key(place, WHOLE)), _type(node).item)


def part(node: Expression, start: int, stop: int | None = None) -> Expression:
    """The items from a place up to another, or to the end."""
    return Function(
        "array_slice", (node, Key(start, WHOLE), Key(_FARTHEST if stop is None else stop, WHOLE)), _type(node)
    )


def length(node: Expression) -> Expression:
    """The number of items."""
    return Function("array_length", (node,), ColumnType(Kind.INTEGER, int))


def any_of(left: Expression, value: object, checked: Callable[[object], object]) -> Condition | None:
    """`in` as one comparison for each of some values; None where they are no plain values."""
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Expression):
        return None
    items = [one for one in cast("Iterable[object]", value) if one is not None]
    each = [Comparison(left, "exact", Value(checked(one), left.type)) for one in items]
    return Junction("or", tuple(each)) if each else Nothing()


def _type(node: Expression) -> ColumnType:
    assert node.type is not None
    return node.type


def compared(
    left: Expression, lookup: str, value: object, name: str, checked: Callable[[object], object]
) -> Condition | None:
    """What a lookup means for arrays; None where it means the same as for every column.

    Raises:
        InvalidValue: No array of such items.
    """
    if lookup == "in":  # an array of arrays is one array to PostgreSQL
        return any_of(left, value, checked)
    if lookup not in _PARTS or value is None:
        return None
    if isinstance(value, Expression):
        if value.type is not None and value.type != left.type:
            raise InvalidValue(f"{name}: {lookup} needs an array of the same type")
        return Truth(Function(_PARTS[lookup], (left, value), BOOLEAN))
    return Truth(Function(_PARTS[lookup], (left, Value(checked(value), left.type)), BOOLEAN))
