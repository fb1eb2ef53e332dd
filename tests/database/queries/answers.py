"""Conditions over a schema by chance, and their truth in plain Python, with SQL's three truths and joins.

What the library promises, put as plainly as it goes: conditions of one `filter()` are about the same related rows, each
combination of them gives the row once more; NOT over a relation to many means that no related row satisfies.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeAlias

from datalayer import F, Q, Range
from tests.database.queries.schemas import KINDS, FieldPlan, ModelPlan, Row

Truth: TypeAlias = bool | None
Path: TypeAlias = tuple[str, ...]
Places: TypeAlias = dict[Path, Row | None]


@dataclass(frozen=True)
class Leaf:
    """One lookup at the end of a path; `other` is a second path, for comparisons of columns."""

    path: Path
    name: str
    lookup: str
    value: Any = None
    other: tuple[Path, str] | None = None


@dataclass(frozen=True)
class Node:
    """`and`, `or`, `xor`, or `not` of one."""

    word: str
    children: tuple[Tree, ...]


Tree: TypeAlias = Leaf | Node


# -- asking ----------------------------------------------------------------------------------------


def named(path: Path, *more: str) -> str:
    return "__".join((*path, *[part for part in more if part]))


def condition(tree: Tree) -> Q:
    """The tree in the words of the library."""
    if isinstance(tree, Leaf):
        value = tree.value if tree.other is None else F(named(*tree.other[:1], tree.other[1]))
        return Q(**{named(tree.path, tree.name, tree.lookup): value})
    first, *rest = [condition(child) for child in tree.children]
    if tree.word == "not":
        return ~first
    for other in rest:
        first = first & other if tree.word == "and" else first | other if tree.word == "or" else first ^ other
    return first


# -- answering -------------------------------------------------------------------------------------


def end(row: Row | None, path: Path, places: Places) -> Row | None:
    """The row at the end of a path; `places` says which one of many."""
    for length, step in enumerate(path, 1):
        if row is None:
            return None
        link = row.plan.links[step]
        row = places[path[:length]] if link.is_many else next(iter(row.at(step)), None)
    return row


def value(row: Row | None, name: str) -> Any:
    """A field of a row, `pk` among them."""
    if row is None:
        return None
    return row.pk if name == "pk" else row.values[name]


def crossings(plan: ModelPlan, tree: Tree) -> set[Path]:
    """The paths of a condition that end at a relation to many rows, those of NOT left out."""
    if isinstance(tree, Leaf):
        if tree.lookup == "in" and not tree.value:  # never true, wherever it leads
            return set()
        ends = [tree.path] + ([tree.other[0]] if tree.other else [])
        return {found for path in ends for found in many_steps(plan, path)}
    return {
        path
        for child in tree.children
        if not (tree.word == "not" and every_crossing(plan, child))
        for path in crossings(plan, child)
    }


def every_crossing(plan: ModelPlan, tree: Tree) -> bool:
    """Whether a relation to many takes part anywhere."""
    if isinstance(tree, Leaf):
        return bool(crossings(plan, tree))
    return any(every_crossing(plan, child) for child in tree.children)


def relations_of(tree: Tree) -> set[Path]:
    """The paths over relations that a condition takes."""
    if isinstance(tree, Leaf):
        return {path for path in (tree.path, tree.other[0] if tree.other else ()) if path}
    return {path for child in tree.children for path in relations_of(child)}


def many_steps(plan: ModelPlan, path: Path) -> Iterator[Path]:
    for length, step in enumerate(path, 1):
        link = plan.links[step]
        if link.is_many:
            yield path[:length]
        plan = link.target


def combinations(row: Row, paths: Iterable[Path]) -> Iterator[Places]:
    """Every choice of one row for each relation to many; None where there is none, as a LEFT JOIN has it."""
    ordered = sorted(paths, key=len)

    def choose(places: Places, left: list[Path]) -> Iterator[Places]:
        if not left:
            yield places
            return
        path, *rest = left
        parent = end(row, path[:-1], places)
        for found in (parent.at(path[-1]) if parent is not None else []) or [None]:
            yield from choose(places | {path: found}, rest)

    yield from choose({}, ordered)


def times(row: Row, tree: Tree) -> int:
    """How often `filter(condition)` gives a row."""
    return sum(truth(tree, row, places) is True for places in combinations(row, crossings(row.plan, tree)))


def chosen(row: Row, filters: Iterable[Tree], path: Path) -> list[Row]:
    """The rows at the end of a path that an aggregate after some filters goes over.

    The last filter about the first relation to many on the path says which of its rows count: those that make it true,
    with whatever other rows it is about.
    """
    crossed = list(many_steps(row.plan, path))
    about = [(tree, crossings(row.plan, tree)) for tree in filters]
    owner = next(((tree, paths) for tree, paths in reversed(about) if crossed[0] in paths), None)
    found: list[Row] = []
    for places in combinations(row, crossed):
        last = end(row, path, places)
        if last is None:
            continue
        if owner is not None:
            tree, paths = owner
            shared = paths.intersection(crossed)
            others = [p for p in combinations(row, paths) if all(p[step] is places[step] for step in shared)]
            if not any(truth(tree, row, other) is True for other in others):
                continue
        found.append(last)
    return found


def truth(tree: Tree, row: Row, places: Places) -> Truth:
    """Whether a row satisfies a condition; None where SQL does not know."""
    if isinstance(tree, Leaf):
        return _leaf(tree, row, places)
    if tree.word == "not":
        (child,) = tree.children
        if every_crossing(row.plan, child):
            return not times(row, child)
        return truth(child, row, places) is not True
    found = [truth(child, row, places) for child in tree.children]
    if tree.word == "and":
        return False if False in found else None if None in found else True
    if tree.word == "or":
        return True if True in found else None if None in found else False
    return sum(item is True for item in found) % 2 == 1


def _leaf(leaf: Leaf, row: Row, places: Places) -> Truth:
    if leaf.lookup == "in" and not leaf.value:
        return False
    left = value(end(row, leaf.path, places), leaf.name)
    if leaf.lookup == "isnull":
        return (left is None) is leaf.value
    right = leaf.value if leaf.other is None else value(end(row, leaf.other[0], places), leaf.other[1])
    if left is None or right is None:
        return None
    return _compared(leaf.lookup, left, right)


_RANGE_LOOKUPS: dict[str, Callable[[Any, Any], bool]] = {
    "contained_by": lambda left, right: right.contains(left),
    "overlap": Range.overlaps,
    "fully_lt": Range.fully_lt,
    "fully_gt": Range.fully_gt,
    "not_lt": Range.not_lt,
    "not_gt": Range.not_gt,
    "adjacent_to": Range.adjacent_to,
}
RANGES = {"stretch", "season"}


def place(found: Any) -> Any:
    """What a value is put in order by: of ranges the empty one comes first, then the one that begins first."""
    if not isinstance(found, Range):
        return found
    if found.is_empty:
        return (0,)
    lower = (0,) if found.lower is None else (1, found.lower, not found.lower_inc)
    return (1, lower, (1,) if found.upper is None else (0, found.upper, found.upper_inc))


def _ranged(lookup: str, left: Range[Any], right: Any) -> Truth:
    match lookup:
        case "contains":
            return left.contains(right) if isinstance(right, Range) else right in left
        case "startswith" | "endswith":
            end = left.lower if lookup == "startswith" else left.upper
            return None if end is None else bool(end == right)
        case "isempty" | "upper_inf":
            return (left.is_empty if lookup == "isempty" else left.upper_inf) is right
    return _RANGE_LOOKUPS[lookup](left, right)


def _compared(lookup: str, left: Any, right: Any) -> Truth:
    if lookup in {"year", "month", "day"}:
        return bool(getattr(left, lookup) == right)
    if isinstance(left, Range) and lookup not in {"", "exact", "ne", "in"}:
        return _ranged(lookup, left, right)
    if lookup.startswith("i") and lookup not in {"in", "isnull"}:
        left, right, lookup = left.lower(), right.lower(), lookup[1:]
    match lookup:
        case "" | "exact":
            return bool(left == right)
        case "ne":
            return bool(left != right)
        case "gt":
            return bool(left > right)
        case "gte":
            return bool(left >= right)
        case "lt":
            return bool(left < right)
        case "lte":
            return bool(left <= right)
        case "in":
            return left in right
        case "range":
            return bool(right[0] <= left <= right[1])
        case "contains":
            return right in left
        case "startswith":
            return bool(left.startswith(right))
        case "endswith":
            return bool(left.endswith(right))
        case "regex":
            return re.search(right, left) is not None
    raise AssertionError(lookup)


# -- drawing ---------------------------------------------------------------------------------------


def path_by_chance(chance: random.Random, plan: ModelPlan, *, is_one: bool = False) -> tuple[Path, ModelPlan]:
    """A walk over up to three relations; `is_one` for those to one row only."""
    path: list[str] = []
    for _ in range(chance.choice([0, 0, 1, 1, 2, 3])):
        names = sorted(name for name, link in plan.links.items() if not (is_one and link.is_many))
        if not names:
            break
        path.append(chance.choice(names))
        plan = plan.links[path[-1]].target
    return tuple(path), plan


def leaf_by_chance(chance: random.Random, plan: ModelPlan, rows: dict[str, list[Row]]) -> Leaf:
    path, last = path_by_chance(chance, plan)
    keys = [row.pk for row in rows[last.name]]
    if chance.random() < 0.15 and keys:
        pick = chance.choice(["exact", "in", "isnull"])
        if pick == "isnull":
            return Leaf(path, "pk", "isnull", chance.random() < 0.5) if path else Leaf((), "pk", "in", tuple(keys[:2]))
        return Leaf(
            path, "pk", pick, chance.choice(keys) if pick == "exact" else tuple(chance.sample(keys, len(keys) // 2))
        )
    item = chance.choice(last.fields)
    kind = KINDS[item.kind]
    if chance.random() < 0.15:
        other = _comparable(chance, plan, item)
        if other is not None:
            return Leaf(
                path, item.name, chance.choice(["", "ne", *(["lt", "gte"] if kind.is_ordered else [])]), None, other
            )
    lookups = ["", "exact", "ne", "in", "isnull"]
    if kind.is_ordered:
        lookups += ["gt", "gte", "lt", "lte", "range"]
    if kind.is_text:
        lookups += ["contains", "icontains", "startswith", "istartswith", "endswith", "iendswith", "iexact", "regex"]
    if item.kind in RANGES:
        lookups += [*_RANGE_LOOKUPS, "contains", "contains", "startswith", "endswith", "isempty", "upper_inf"]
    if item.kind in {"day", "moment"}:
        lookups += ["year", "month", "day"]
    lookup = chance.choice(lookups)
    pick = chance.choice(kind.pool)
    given: Any = pick
    if lookup == "isnull":
        given = chance.random() < 0.5
    elif lookup == "in":
        given = tuple(chance.sample(kind.pool, chance.randint(0, min(4, len(kind.pool)))))
    elif lookup == "range":
        given = tuple(sorted(chance.sample(kind.pool, 2)))
    elif lookup == "regex":
        given = re.escape(pick)
    elif item.kind in RANGES and lookup in {"startswith", "endswith"} | (
        {"contains"} if chance.random() < 0.5 else set()
    ):
        ends = [end for one in kind.pool for end in (one.lower, one.upper) if end is not None]
        given = chance.choice(ends)
    elif lookup in {"isempty", "upper_inf"}:
        given = chance.random() < 0.5
    elif lookup in {"year", "month", "day"}:
        assert isinstance(pick, date | datetime)
        given = getattr(pick, lookup)
    return Leaf(path, item.name, lookup, given)


def _comparable(chance: random.Random, plan: ModelPlan, item: FieldPlan) -> tuple[Path, str] | None:
    path, last = path_by_chance(chance, plan)
    names = [other.name for other in last.fields if other.kind == item.kind]
    return (path, chance.choice(names)) if names else None


def tree_by_chance(chance: random.Random, plan: ModelPlan, rows: dict[str, list[Row]], depth: int = 3) -> Tree:
    """A condition of up to `depth` levels."""
    if depth == 0 or chance.random() < 0.35:
        return leaf_by_chance(chance, plan, rows)
    word = chance.choice(["and", "and", "or", "or", "not", "xor"])
    number = 1 if word == "not" else chance.randint(2, 3)
    return Node(word, tuple(tree_by_chance(chance, plan, rows, depth - 1) for _ in range(number)))
