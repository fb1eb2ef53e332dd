"""Aggregates over relations to many rows that a filter has chosen among: they go over the rows that it chose.

`filter(books__price__gt=5)` is about books; an aggregate over books that comes after it goes over those books alone,
one that came before over all. Of several filters over one relation each is about rows of its own, and the last one
counts. No aggregate sees a row more often for what other filters or aggregates join.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from datalayer._compile.joins import Element, Path
from datalayer._compile.walk import Walk
from datalayer._query.condition import Condition, Junction
from datalayer._query.expression import Aggregate, Expression

if TYPE_CHECKING:
    from datalayer._compile.writer import Writer

Part = tuple[Condition, int]
"""A condition and the offset of its values."""

ONCE = frozenset({"min", "max", "any_value", "bool_and", "bool_or"})
"""Aggregates that do not mind seeing a row several times."""


def conjuncts(condition: Condition, at: int) -> list[Part]:
    """The parts that must all hold, each with the offset of its values."""
    if not isinstance(condition, Junction) or condition.connector != "and" or not condition.children:
        return [(condition, at)]
    found: list[Part] = []
    for child in condition.children:
        found += conjuncts(child, at)
        at += len(child.values)
    return found


def crossed_by(walk: Walk, node: Aggregate) -> frozenset[Path]:
    """The relations to many rows that an aggregate goes over; `~` in its filter= is about those rows themselves."""
    if node.condition is None:
        return walk.crossings(*node.children)
    return walk.crossings(*node.children[:-1]) | walk.joined(node.condition)


def _roots(paths: Iterable[Path]) -> set[Path]:
    known = set(paths)
    return {path for path in known if not any(path[:length] in known for length in range(1, len(path)))}


def _root_of(path: Path, roots: set[Path]) -> Path:
    return next(root for root in roots if path[: len(root)] == root)


class _Chosen(NamedTuple):
    """What a filter says about the rows of an aggregate.

    Attributes:
        parts: The conditions that have to do with them.
        rows: The crossings that the filter and the aggregate share.
        is_whole: Whether the conditions are about no other rows.
    """

    parts: list[Part]
    rows: frozenset[Path]
    is_whole: bool


def _choices(walk: Walk, filters: tuple[Part, ...], node: Aggregate) -> Iterator[_Chosen]:
    crossed = crossed_by(walk, node)
    if not crossed or not filters:
        return
    roots = _roots(crossed)
    joined = [walk.joined(condition) for condition, _ in filters]
    owners = {root: max((i for i, paths in enumerate(joined) if root in paths), default=None) for root in roots}
    for number in sorted({owner for owner in owners.values() if owner is not None}):
        rows = frozenset(path for path in crossed if path in joined[number] and owners[_root_of(path, roots)] == number)
        parts = _connected(walk, conjuncts(*filters[number]), _roots(rows))
        about = walk.joined(*[part for part, _ in parts])
        yield _Chosen(parts, rows, about <= rows)


def _connected(walk: Walk, parts: list[Part], roots: set[Path]) -> list[Part]:
    """The parts about some rows, and about rows that others of them tie these to; the rest holds already."""
    own = {number: _roots(walk.joined(part)) for number, (part, _) in enumerate(parts)}
    taken: set[int] = set()
    while True:
        fresh = [number for number in own if number not in taken and own[number] & roots]
        if not fresh:
            return [part for number, part in enumerate(parts) if number in taken]
        taken.update(fresh)
        roots = roots.union(*[own[number] for number in fresh])


def restriction(writer: Writer, node: Aggregate) -> Element | None:
    """What the filters before an aggregate ask of the rows that it goes over; they are joined in the writer's scope."""
    found: list[Element] = []
    for chosen in _choices(writer.walk, writer.filters[: writer.reach], node):
        if not chosen.is_whole:
            found.append(writer.on_these_rows(chosen.parts, chosen.rows))
            continue
        kept, writer.one_row = writer.one_row, frozenset()
        try:
            found += [writer.condition(part, at) for part, at in chosen.parts]
        finally:
            writer.one_row = kept
    return sa.and_(*found) if found else None


def must_be_apart(
    walk: Walk, filters: tuple[Part, ...], nodes: Iterable[tuple[Aggregate, int]], keys: Iterable[Expression]
) -> bool:
    """Whether the rows that filters join would make an aggregate over groups wrong, so that they must not be joined.

    Args:
        walk: Of the query.
        filters: Its filters.
        nodes: The aggregates, each with the number of filters before it.
        keys: What is grouped by.
    """
    joined = [(number, paths) for number, (part, _) in enumerate(filters) if (paths := walk.joined(part))]
    if not joined or walk.crossings(*keys):
        return False
    (first, paths), *others = joined
    ends = {path for path in paths if not any(other != path and other[: len(path)] == path for other in paths)}
    for node, reach in nodes:
        crossed = crossed_by(walk, node)
        if not crossed:
            continue
        is_once = node.distinct or node.name in ONCE
        if others or reach <= first or not crossed <= paths or not (is_once or (len(ends) == 1 and crossed == paths)):
            return True
    return False
