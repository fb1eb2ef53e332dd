"""Aggregates and windows -> SQLAlchemy elements.

An aggregate beside whole rows has a subquery of its own, and one over a relation to many rows in a grouped query is
taken row by row and then added up. So two of them never multiply each other: the numbers are right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import Grouping

from datalayer._compile import filtered
from datalayer._compile.filtered import ONCE
from datalayer._compile.joins import Element, is_to_many
from datalayer._compile.walk import Walk
from datalayer._query.arithmetic import added_up
from datalayer._query.condition import Condition
from datalayer._query.expression import Aggregate, Expression, Frame, Function, Window
from datalayer._schema.field import ColumnType
from datalayer.errors import QueryError

if TYPE_CHECKING:
    from datalayer._compile.writer import Writer

Over: TypeAlias = Callable[[Element], Element]

_ADDED_UP: Final = {
    "count": "sum",
    "sum": "sum",
    "min": "min",
    "max": "max",
    "any_value": "any_value",
    "bool_and": "bool_and",
    "bool_or": "bool_or",
}
"""Aggregates that can be taken row by row: what the results of the rows are brought together with."""


def written(writer: Writer, node: Aggregate, at: int) -> Element:
    """An aggregate: over the rows of this SELECT, or in a subquery about each row."""
    if not writer.aggregates_here:
        return of_one_row(writer, node, at)
    if not is_joined(writer, node) and not (writer.is_apart and is_repeated(writer, node)):
        return _plain(writer, node, at)
    if node.name == "avg" and can_be_added_up(node):
        return _average(writer, node, at)
    if can_be_added_up(node):
        each = writer.of_one_row(node, at)
        type = node.type if node.name == "count" else _argument_type(node)
        found = writer.backend.aggregate(_ADDED_UP[node.name], [each], type, distinct=False, order=[])
        found = writer.backend.scaled(found, _ADDED_UP[node.name], type)
        return cast("Element", sa.func.coalesce(found, sa.literal_column("0"))) if node.name == "count" else found
    return _plain(writer, node, at)


def can_be_added_up(node: Aggregate) -> bool:
    """Whether the results of rows can be brought together to the result of all."""
    return node.name in {*_ADDED_UP, "avg"} and not node.distinct


def is_joined(writer: Writer, node: Aggregate) -> bool:
    """Whether the aggregate is over relations to many rows that nothing else has joined."""
    return any(not _is_here(writer, path) for path in writer.walk.paths_inside(node))


def is_repeated(writer: Writer, node: Aggregate) -> bool:
    """Whether an aggregate over our own columns counts a row as often as filters find it, with other related rows."""
    is_own = not filtered.crossed_by(writer.walk, node)
    return is_own and not node.distinct and node.name not in ONCE


def _is_here(writer: Writer, path: tuple[str, ...]) -> bool:
    steps = [path[:length] for length in range(1, len(path) + 1)]
    return any(is_to_many(writer.scope.table, step) and writer.scope.has(step) for step in steps)


def join_together(writer: Writer, nodes: Iterable[Condition | Expression]) -> None:
    """Joins what aggregates need that cannot be taken row by row, where that leaves the others right.

    Raises:
        QueryError: It would not.
    """
    every = [aggregate for node in nodes for aggregate in writer.walk.aggregates(node)]
    joined = [node for node in every if is_joined(writer, node) and not can_be_added_up(node)]
    if not joined:
        return
    paths = {path for node in joined for path in writer.walk.paths_inside(node)}
    for node in every:
        own = writer.walk.paths_inside(node)
        is_same = own == paths and len(_roots(writer.walk, paths)) == 1
        if not (node.distinct or node.name in ONCE or is_same):
            raise QueryError(
                f"{node.name} and {joined[0].name} over {'__'.join(sorted(paths)[0])} in one grouped query would count "
                "rows several times; ask for them in two queries, or in a Subquery"
            )
    for path in sorted(paths):
        writer.scope.source(path)


def _roots(walk: Walk, paths: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """The shortest of the paths: two of them would multiply each other."""
    return {path for path in paths if not any(other != path and path[: len(other)] == other for other in paths)}


def of_one_row(writer: Writer, node: Aggregate, at: int) -> Element:
    """An aggregate over the rows related to one row of this SELECT."""
    is_repeating = writer.is_apart and is_repeated(writer, node)
    sub = writer.inside(is_anchored=not is_repeating)
    element = _plain(sub, node, at)
    if sub.scope.is_anchored and not sub.scope.joins:  # only our own columns: look at our own row alone
        sub = writer.inside(is_anchored=False)
        element = _plain(sub, node, at)
    chosen = sub.joined_filters() if is_repeating else filtered.restriction(sub, node)
    return sub.finished(sa.select(element), writer, chosen).scalar_subquery()


def _average(writer: Writer, node: Aggregate, at: int) -> Element:
    total = Aggregate("sum", node.argument, node.type, condition=node.condition, extra=node.extra, order=node.order)
    count = Aggregate("count", node.argument, node.type, condition=node.condition, extra=node.extra, order=node.order)
    return writer.backend.divided(written(writer, total, at), written(writer, count, at), node.type)


def _plain(writer: Writer, node: Aggregate, at: int, over: Over | None = None) -> Element:
    """The call itself, over rows of this SELECT."""
    kept, writer.aggregates_here = writer.aggregates_here, True
    try:
        return _call(writer, node, at, over)
    finally:
        writer.aggregates_here = kept


def _call(writer: Writer, node: Aggregate, at: int, over: Over | None) -> Element:
    arguments, order, condition = writer.aggregate_parts(node, at)
    chosen = filtered.restriction(writer, node) if writer.is_apart else None
    if chosen is not None:
        condition = chosen if condition is None else sa.and_(condition, chosen)
    type = _argument_type(node)
    found: Any
    if not arguments:
        found = sa.func.count(sa.literal_column("*"))
    else:
        found = writer.backend.aggregate(node.name, arguments, type, distinct=node.distinct, order=order)
    if condition is not None:
        found = found.filter(condition)
    if over is not None:
        found = over(found)
    return writer.backend.scaled(found, node.name, type)


def _argument_type(node: Aggregate) -> ColumnType | None:
    """The type of what an aggregate runs over."""
    if node.argument is None:
        return None
    return added_up(node.argument) if node.name == "sum" else node.argument.type


# -- windows ---------------------------------------------------------------------------------------


class _Over(sa.ColumnElement[Any]):
    """`function OVER (PARTITION BY ... ORDER BY ... frame)`; SQLAlchemy's own would bind the numbers of a frame."""

    inherit_cache = False

    def __init__(self, function: Element, partition: list[Element], order: list[Element], frame: str | None) -> None:
        self.function = function
        self.partition = partition
        self.order = order
        self.frame = frame


def _over_text(element: _Over, compiler: Any, **named: Any) -> str:
    parts: list[str] = []
    if element.partition:
        parts.append("PARTITION BY " + ", ".join(compiler.process(item, **named) for item in element.partition))
    if element.order:
        parts.append("ORDER BY " + ", ".join(compiler.process(item, **named) for item in element.order))
    if element.frame:
        parts.append(element.frame)
    return f"{compiler.process(element.function, **named)} OVER ({' '.join(parts)})"


compiles(_Over)(_over_text)


def window(writer: Writer, node: Window, at: int) -> Element:
    """A window: its values come in the order of the node, the text in the order of SQL."""
    place = at + len(node.function.values)
    partition: list[Element] = []
    for item in node.partition:
        partition.append(writer.expression(item, place))
        place += len(item.values)
    order: list[Element] = []
    frame, unit = node.frame, 1
    for ordering in node.order:
        element = writer.expression(ordering.expression, place)
        if frame is not None and frame.is_by_value:
            element, unit = writer.backend.distant(element, ordering.expression.type)
        order.append(writer.ordered(ordering, element))
        place += len(ordering.values)
    text = None if frame is None else _frame_text(frame, unit)

    def over(found: Element) -> Element:
        return _Over(found, partition, order, text)

    if isinstance(node.function, Aggregate):
        return Grouping(_plain(writer, node.function, at, over))
    if not isinstance(node.function, Function):
        raise QueryError("a window is over a function or an aggregate")  # pragma: no cover
    return Grouping(over(writer.expression(node.function, at)))


def _frame_text(frame: Frame, unit: int) -> str:
    """A frame in SQL, made of known words and numbers only; numbers are counted in parts of one."""
    tail = "" if frame.exclude is None else f" EXCLUDE {frame.exclude}"
    start, end = (None if bound is None else bound * unit for bound in (frame.start, frame.end))
    return f"{frame.unit} BETWEEN {_bound(start, 'PRECEDING')} AND {_bound(end, 'FOLLOWING')}{tail}"


def _bound(number: int | Decimal | None, open_end: str) -> str:
    if number is None:
        return f"UNBOUNDED {open_end}"
    if number == 0:
        return "CURRENT ROW"
    distance = abs(number)
    text = format(distance, "f") if isinstance(distance, Decimal) else str(distance)
    return f"{text} {'PRECEDING' if number < 0 else 'FOLLOWING'}"
