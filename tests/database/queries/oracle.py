"""The same questions answered in plain Python: conditions with SQL's three truths over the rows of the library."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from hypothesis import strategies as st

from datalayer import Q
from datalayer import functions as fn
from tests.database.queries.library import BORN, NAMES, POOLS, Author, Book

Truth: TypeAlias = bool | None


@dataclass(frozen=True)
class Leaf:
    """One lookup: `title__contains`, or written as `Book.title.contains(...)` or `Contains("title", ...)`."""

    path: str
    lookup: str
    value: Any
    form: str = "named"


@dataclass(frozen=True)
class Node:
    """`and`, `or`, `xor` over children, or `not` over one."""

    word: str
    children: tuple[Tree, ...]


Tree: TypeAlias = Leaf | Node

OWN = {name: POOLS[name] for name in POOLS}
JOINED = {
    "author__name": NAMES,
    "author__born": BORN,
    "editor__name": NAMES,
    "editor__born": BORN,
    "author__mentor__name": NAMES,
    "editor__mentor__born": BORN,
}
VALUES: dict[str, list[Any]] = {
    path: [value for value in pool if value is not None] for path, pool in (OWN | JOINED).items()
}
_TEXT = {"title", "note", "author__name", "editor__name", "author__mentor__name"}
_UNORDERED = {"in_print", *_TEXT, "genre"}  # the order of text is the collation's
_DATED = {"published_on": "date", "author__born": "date", "editor__mentor__born": "date", "sold_at": "datetime"}
_TEXT_LOOKUPS = ["contains", "icontains", "startswith", "istartswith", "endswith", "iendswith", "iexact"]
_PARTS: dict[str, Callable[[Any], int]] = {
    "year": lambda v: int(v.year),
    "iso_year": lambda v: int(v.isocalendar().year),
    "quarter": lambda v: (int(v.month) + 2) // 3,
    "month": lambda v: int(v.month),
    "week": lambda v: int(v.isocalendar().week),
    "day": lambda v: int(v.day),
    "week_day": lambda v: int(v.isoweekday()) % 7 + 1,
    "iso_week_day": lambda v: int(v.isoweekday()),
}
_TIMES: dict[str, Callable[[Any], int]] = {
    "hour": lambda v: int(v.hour),
    "minute": lambda v: int(v.minute),
    "second": lambda v: int(v.second),
}


# -- asking ----------------------------------------------------------------------------------------


def condition(tree: Tree) -> Any:
    """The tree as an argument of `filter`."""
    if isinstance(tree, Leaf):
        if tree.form == "called":
            return called(tree)
        return typed(tree) if tree.form == "typed" else Q(**{f"{tree.path}__{tree.lookup}": tree.value})
    first, *rest = (condition(child) for child in tree.children)
    if tree.word == "not":
        return ~first
    for other in rest:
        if tree.word == "and":
            first = first & other
        elif tree.word == "or":
            first = first | other
        else:
            first = (first if isinstance(first, Q) else Q(first)) ^ (other if isinstance(other, Q) else Q(other))
    return first


def column(path: str) -> Any:
    """The typed column of a path."""
    *steps, name = path.split("__")
    found: Any = None
    here: Any = Book
    for step in steps:
        found = getattr(here, step) if found is None else found[getattr(here, step)]
        here = Author
    return getattr(here, name) if found is None else found[getattr(here, name)]


def typed(leaf: Leaf) -> Any:
    """The leaf over a typed column."""
    target, value = column(leaf.path), leaf.value
    match leaf.lookup:
        case "exact":
            return target == value
        case "ne":
            return target != value
        case "gt":
            return target > value
        case "gte":
            return target >= value
        case "lt":
            return target < value
        case "lte":
            return target <= value
        case "in":
            return target.in_(value)
        case "range":
            return target.between(*value)
        case "isnull":
            return target.is_null() if value else target.is_not_null()
    return getattr(target, leaf.lookup)(value)


CALLED: dict[str, Callable[..., Any]] = {
    "exact": fn.Exact, "gt": fn.GreaterThan, "gte": fn.GreaterThanOrEqual, "lt": fn.LessThan,
    "lte": fn.LessThanOrEqual, "in": fn.In, "isnull": fn.IsNull, "iexact": fn.IExact, "contains": fn.Contains,
    "icontains": fn.IContains, "startswith": fn.StartsWith, "istartswith": fn.IStartsWith, "endswith": fn.EndsWith,
    "iendswith": fn.IEndsWith,
}  # fmt: skip


def called(leaf: Leaf) -> Any:
    """The leaf as a function of the column."""
    part, _, lookup = leaf.lookup.rpartition("__")
    left = f"{leaf.path}__{part}" if part else leaf.path
    return fn.Between(left, *leaf.value) if lookup == "range" else CALLED[lookup](left, leaf.value)


# -- answering -------------------------------------------------------------------------------------


def value_of(row: Any, path: str) -> Any:
    """What stands at the end of a path; None where a relation leads nowhere."""
    for step in path.split("__"):
        if row is None:
            return None
        row = getattr(row, step)
    return row


def truth(tree: Tree, row: Any) -> Truth:
    """Whether a row satisfies the tree; None where SQL does not know."""
    if isinstance(tree, Leaf):
        return _leaf(tree, value_of(row, tree.path))
    found = [truth(child, row) for child in tree.children]
    match tree.word:
        case "not":  # what is not known to be true counts as not true
            return found[0] is not True
        case "and":
            return False if False in found else None if None in found else True
        case "or":
            return True if True in found else None if None in found else False
    return sum(item is True for item in found) % 2 == 1


def satisfying(tree: Tree, rows: Iterable[Any]) -> set[int]:
    """The keys of the rows that satisfy the tree."""
    return {row.id for row in rows if truth(tree, row) is True}


def _leaf(leaf: Leaf, value: Any) -> Truth:
    part, _, lookup = leaf.lookup.rpartition("__")
    given = leaf.value
    if lookup == "isnull":
        return (value is None) is given
    if value is None:
        return False if lookup == "in" and not given else None
    if part:
        value = _part(part, value)
    match lookup:
        case "exact":
            return bool(value == given)
        case "ne":
            return bool(value != given)
        case "gt":
            return bool(value > given)
        case "gte":
            return bool(value >= given)
        case "lt":
            return bool(value < given)
        case "lte":
            return bool(value <= given)
        case "in":
            return value in given
        case "range":
            return bool(given[0] <= value <= given[1])
        case "regex":
            return re.search(given, value) is not None
        case "iregex":
            return re.search(given, value, re.IGNORECASE) is not None
    return _text(lookup, value, given)


def _part(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        value = value.astimezone(UTC)
    if name in {"date", "time"}:
        return value.date() if name == "date" else value.timetz().replace(tzinfo=None)
    return (_PARTS | _TIMES)[name](value)


def _text(lookup: str, value: str, given: str) -> bool:
    if lookup.startswith("i"):
        value, given, lookup = value.lower(), given.lower(), lookup[1:]
    if lookup == "exact":
        return value == given
    if lookup == "contains":
        return given in value
    return value.startswith(given) if lookup == "startswith" else value.endswith(given)


# -- drawing ---------------------------------------------------------------------------------------


@st.composite
def leaves(draw: st.DrawFn) -> Leaf:
    """Any lookup that makes sense for a field, with a value of the kind."""
    path = draw(st.sampled_from(sorted(VALUES)))
    pool = VALUES[path]
    lookups = ["exact", "ne", "in", "isnull"]
    if path not in _UNORDERED:
        lookups += ["gt", "gte", "lt", "lte", "range"]
    if path in _TEXT:
        lookups += _TEXT_LOOKUPS
    part = ""
    parts: dict[str, Callable[[Any], Any]] = {}
    if path in _DATED:
        parts = _PARTS if _DATED[path] == "date" else _PARTS | _TIMES
    elif path == "opens_at":
        parts = _TIMES
    if parts and draw(st.booleans()):
        part = draw(st.sampled_from([*sorted(parts), *(["date", "time"] if _DATED.get(path) == "datetime" else [])]))
        pool = sorted({_part(part, value) for value in pool})
        lookups = ["exact", "ne", "in", "gt", "gte", "lt", "lte", "range"]
    lookup = draw(st.sampled_from(lookups))
    one = st.sampled_from(pool)
    value: Any
    if lookup == "isnull":
        value = draw(st.booleans())
    elif lookup == "in":
        value = draw(st.lists(one, max_size=4).map(tuple))
    elif lookup == "range":
        value = tuple(sorted((draw(one), draw(one))))
    else:
        value = draw(one)
    forms = ["named", *(["called"] if lookup in CALLED or lookup == "range" else []), *([] if part else ["typed"])]
    return Leaf(path, f"{part}__{lookup}" if part else lookup, value, draw(st.sampled_from(forms)))


def _joined(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    several = st.tuples(st.sampled_from(["and", "or", "xor"]), st.lists(children, min_size=2, max_size=3).map(tuple))
    one = children.map(lambda child: ("not", (child,)))
    return (several | one).map(lambda item: Node(*item))


trees: st.SearchStrategy[Tree] = st.recursive(leaves(), _joined, max_leaves=6)
