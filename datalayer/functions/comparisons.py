"""Comparisons as values: `GreaterThan("pages", 100)` where a column or a condition could stand.

Each is a lookup with a name of its own: to filter by, to be annotated, ordered by or grouped by, in `When` and in
aggregates. What stands left is a column, a name or something computed; text on the right is a value, as in `filter`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from datalayer.models.column import Deferred, Expr, Several
from datalayer.models.expressions import Compared

M = TypeVar("M")
T = TypeVar("T")

if TYPE_CHECKING:
    from typing import TypeAlias

    from datalayer.models.column import Asked, Texts

    Left: TypeAlias = str | Deferred
    Some: TypeAlias = Expr[M, T] | Expr[M, T | None]


@overload
def Exact(left: Some[M, T], right: T | Some[M, T] | Deferred, /) -> Compared: ...
@overload
def Exact(left: Left, right: Any, /) -> Compared: ...
def Exact(left: Any, right: Any, /) -> Compared:
    """Whether it is the value; None asks for NULL."""
    return Compared(left, "exact", right)


@overload
def GreaterThan(left: Some[M, T], right: T | Some[M, T] | Deferred, /) -> Compared: ...
@overload
def GreaterThan(left: Left, right: Any, /) -> Compared: ...
def GreaterThan(left: Any, right: Any, /) -> Compared:
    """Whether it is more."""
    return Compared(left, "gt", right)


@overload
def GreaterThanOrEqual(left: Some[M, T], right: T | Some[M, T] | Deferred, /) -> Compared: ...
@overload
def GreaterThanOrEqual(left: Left, right: Any, /) -> Compared: ...
def GreaterThanOrEqual(left: Any, right: Any, /) -> Compared:
    """Whether it is more or the same."""
    return Compared(left, "gte", right)


@overload
def LessThan(left: Some[M, T], right: T | Some[M, T] | Deferred, /) -> Compared: ...
@overload
def LessThan(left: Left, right: Any, /) -> Compared: ...
def LessThan(left: Any, right: Any, /) -> Compared:
    """Whether it is less."""
    return Compared(left, "lt", right)


@overload
def LessThanOrEqual(left: Some[M, T], right: T | Some[M, T] | Deferred, /) -> Compared: ...
@overload
def LessThanOrEqual(left: Left, right: Any, /) -> Compared: ...
def LessThanOrEqual(left: Any, right: Any, /) -> Compared:
    """Whether it is less or the same."""
    return Compared(left, "lte", right)


@overload
def In(left: Some[M, T], right: Several[T] | Asked, /) -> Compared: ...
@overload
def In(left: Left, right: Iterable[Any] | Asked, /) -> Compared: ...
def In(left: Any, right: Any, /) -> Compared:
    """Whether it is one of some values, or in the one column of a query."""
    return Compared(left, "in", right)


@overload
def Between(left: Some[M, T], low: T | Some[M, T] | Deferred, high: T | Some[M, T] | Deferred, /) -> Compared: ...
@overload
def Between(left: Left, low: Any, high: Any, /) -> Compared: ...
def Between(left: Any, low: Any, high: Any, /) -> Compared:
    """Whether it lies between two values, both included; the lookup `range`."""
    return Compared(left, "range", (low, high))


def IsNull(left: str | Expr[Any, Any] | Deferred, is_null: bool = True, /) -> Compared:
    """Whether it is NULL, or with False whether it is not."""
    return Compared(left, "isnull", is_null)


@overload
def IExact(left: Texts[M], right: str | Texts[M] | Deferred, /) -> Compared: ...
@overload
def IExact(left: Left, right: Any, /) -> Compared: ...
def IExact(left: Any, right: Any, /) -> Compared:
    """Whether it is the text, whatever the case."""
    return Compared(left, "iexact", right)


@overload
def Contains(left: Expr[M, Any], right: Any, /) -> Compared: ...
@overload
def Contains(left: Left, right: Any, /) -> Compared: ...
def Contains(left: Any, right: Any, /) -> Compared:
    """Whether text is part of it; of arrays, ranges and JSON, whether it has what is given."""
    return Compared(left, "contains", right)


@overload
def IContains(left: Texts[M], right: str | Texts[M] | Deferred, /) -> Compared: ...
@overload
def IContains(left: Left, right: Any, /) -> Compared: ...
def IContains(left: Any, right: Any, /) -> Compared:
    """Whether text is part of it, whatever the case."""
    return Compared(left, "icontains", right)


@overload
def StartsWith(left: Texts[M], right: str | Texts[M] | Deferred, /) -> Compared: ...
@overload
def StartsWith(left: Left, right: Any, /) -> Compared: ...
def StartsWith(left: Any, right: Any, /) -> Compared:
    """Whether it begins with text."""
    return Compared(left, "startswith", right)


@overload
def IStartsWith(left: Texts[M], right: str | Texts[M] | Deferred, /) -> Compared: ...
@overload
def IStartsWith(left: Left, right: Any, /) -> Compared: ...
def IStartsWith(left: Any, right: Any, /) -> Compared:
    """Whether it begins with text, whatever the case."""
    return Compared(left, "istartswith", right)


@overload
def EndsWith(left: Texts[M], right: str | Texts[M] | Deferred, /) -> Compared: ...
@overload
def EndsWith(left: Left, right: Any, /) -> Compared: ...
def EndsWith(left: Any, right: Any, /) -> Compared:
    """Whether it ends with text."""
    return Compared(left, "endswith", right)


@overload
def IEndsWith(left: Texts[M], right: str | Texts[M] | Deferred, /) -> Compared: ...
@overload
def IEndsWith(left: Left, right: Any, /) -> Compared: ...
def IEndsWith(left: Any, right: Any, /) -> Compared:
    """Whether it ends with text, whatever the case."""
    return Compared(left, "iendswith", right)


@overload
def Regex(left: Texts[M], right: str | Texts[M] | Deferred, /) -> Compared: ...
@overload
def Regex(left: Left, right: Any, /) -> Compared: ...
def Regex(left: Any, right: Any, /) -> Compared:
    """Whether a regular expression is found in it."""
    return Compared(left, "regex", right)


@overload
def IRegex(left: Texts[M], right: str | Texts[M] | Deferred, /) -> Compared: ...
@overload
def IRegex(left: Left, right: Any, /) -> Compared: ...
def IRegex(left: Any, right: Any, /) -> Compared:
    """Whether a regular expression is found in it, whatever the case."""
    return Compared(left, "iregex", right)


def ContainedBy(left: str | Expr[Any, Any] | Deferred, right: Any, /) -> Compared:
    """Whether all that an array, a range or JSON has is in what is given."""
    return Compared(left, "contained_by", right)


def Overlap(left: str | Expr[Any, Any] | Deferred, right: Any, /) -> Compared:
    """Whether an array or a range has a value in common with what is given."""
    return Compared(left, "overlap", right)


def HasKey(left: str | Expr[Any, Any] | Deferred, right: str, /) -> Compared:
    """Whether a JSON object has a key."""
    return Compared(left, "has_key", right)


def HasKeys(left: str | Expr[Any, Any] | Deferred, right: Several[str], /) -> Compared:
    """Whether a JSON object has all of some keys."""
    return Compared(left, "has_keys", right)


def HasAnyKeys(left: str | Expr[Any, Any] | Deferred, right: Several[str], /) -> Compared:
    """Whether a JSON object has any of some keys."""
    return Compared(left, "has_any_keys", right)
