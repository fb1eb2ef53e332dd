"""What is asked of a query: its rows, their number, whether there are any, aggregates over them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from datalayer._compile import aggregates, values
from datalayer._compile.backends.base import BACKENDS
from datalayer._compile.finishing import finished
from datalayer._compile.joins import Element, Statement
from datalayer._compile.locks import lock_text
from datalayer._compile.outside import PART, Aggregating
from datalayer._compile.prepared import Output, Prepared
from datalayer._compile.selection import Selection
from datalayer._compile.walk import Walk
from datalayer._query.condition import Condition
from datalayer._query.expression import Expression
from datalayer._query.query import Query


def select(backend_name: str, query: Query) -> Prepared:
    """See `Compiler.select`."""
    backend, statement = BACKENDS[backend_name], Statement()
    selection = Selection(backend, statement, query)
    element = selection.full()
    tail = lock_text(backend, query, selection.writer.scope)
    return finished(backend, statement, element, query, tuple(selection.outputs), tail)


def _is_simple(selection: Selection) -> bool:
    """Whether the number of rows is decided by FROM and WHERE alone."""
    query = selection.query
    if query.distinct or query.limit is not None or query.offset is not None or query.group_by is not None:
        return False
    if selection.is_qualified:
        return False
    walk = selection.writer.walk
    shown = [expression for _, expression in (*(query.columns or ()), *query.annotations)]
    return not any(walk.is_to_many(expression) for expression in shown) and not any(
        walk.is_to_many(item.expression) for item in query.order
    )


def count(backend_name: str, query: Query) -> Prepared:
    """See `Compiler.count`."""
    backend, statement = BACKENDS[backend_name], Statement()
    selection = Selection(backend, statement, query)
    star = sa.func.count(sa.literal_column("*"))
    if _is_simple(selection):
        element = selection.bare([star])
    else:
        if query.limit is None and query.offset is None and not query.distinct and query.group_by is None:
            selection.drop_order()
        element = sa.select(star).select_from(selection.full().subquery("counted"))
    return finished(backend, statement, element, query, (Output("count", (), None, None),))


def exists(backend_name: str, query: Query) -> Prepared:
    """See `Compiler.exists`."""
    backend, statement = BACKENDS[backend_name], Statement()
    selection = Selection(backend, statement, query)
    one: Element = sa.literal_column("1")
    if query.group_by is None and query.limit is None and query.offset is None and not selection.is_qualified:
        element = selection.bare([one])
    else:
        element = sa.select(one).select_from(selection.full().subquery("found"))
    return finished(backend, statement, element, query, (Output("exists", (), None, None),), " LIMIT 1")


def aggregate(backend_name: str, query: Query, aggregates_: tuple[tuple[str, Expression], ...]) -> Prepared:
    """See `Compiler.aggregate`."""
    backend, statement = BACKENDS[backend_name], Statement()
    own = sum(len(expression.values) for _, expression in aggregates_)
    is_cut = query.distinct or query.limit is not None or query.offset is not None or query.group_by is not None
    is_cut = is_cut or _needs_rows(query, aggregates_)
    selection = Selection(backend, statement, query, own, is_aggregate=not is_cut)
    writer = Aggregating(selection.writer) if is_cut else selection.writer
    if not is_cut:
        every = [node for _, expression in aggregates_ for node in selection.writer.walk.aggregates(expression)]
        selection.take_apart((node, len(query.where)) for node in every)
    where = [] if is_cut else selection.conditions()[0]
    shown: list[Element] = []
    outputs: list[Output] = []

    def write() -> list[Element]:
        at = 0
        for name, expression in aggregates_:
            shown.append(writer.expression(expression, at).label(name))
            outputs.append(Output(name, (), None, values.reader(expression, backend.name)))
            at += len(expression.values)
        return writer.shipped if isinstance(writer, Aggregating) else []

    element: Any
    if is_cut:
        if query.columns is None and query.group_by is None and not query.distinct:
            selection.query = query.replaced(only=query.table.primary_key, joined=())
        inside = selection.full(write)
        element = sa.select(*shown).select_from(inside.subquery(PART))
    else:
        aggregates.join_together(selection.writer, [expression for _, expression in aggregates_])
        write()
        element = selection.assembled(shown, where)
    return finished(backend, statement, element, query, tuple(outputs), is_whole=False)


def _needs_rows(query: Query, aggregates_: tuple[tuple[str, Expression], ...]) -> bool:
    """Whether something of each row must be computed before the rows are brought together: windows, aggregates."""
    walk = Walk(query.table, dict(query.annotations))
    every: list[Condition | Expression] = [*[e for _, e in aggregates_], *query.where]
    if any(walk.has_window(node) for node in every) or any(walk.has_aggregate(node) for node in query.where):
        return True
    inside = [child for _, e in aggregates_ for aggregate in walk.aggregates(e) for child in aggregate.children]
    return any(walk.has_aggregate(node) for node in inside)
