"""Going through the nodes of a question."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from datalayer._query.condition import Condition, ExistsCondition
from datalayer._query.expression import Expression, Key, OuterRef, Subquery, Value
from datalayer._query.query import Query


def parts(node: Condition | Expression) -> Iterator[Condition | Expression]:
    """A node and everything below it; nested queries are not entered."""
    yield node
    for child in node.children:
        yield from parts(child)


def nodes_of(query: Query) -> Iterator[Condition | Expression]:
    """Every node of a query, in no special order; nested queries are not entered."""
    for _, expression in chain(query.columns or (), query.annotations):
        yield from parts(expression)
    for condition in query.where:
        yield from parts(condition)
    for expression in chain(query.group_by or (), [item.expression for item in query.order]):
        yield from parts(expression)


def is_fixed(expression: Expression) -> bool:
    """Whether a shape says all about an expression: what is bound in it belongs to the question."""
    return all(
        isinstance(node, Key) if isinstance(node, Value) else not isinstance(node, Subquery | ExistsCondition)
        for node in parts(expression)
    )


def names_outside(query: Query, levels: int = 1) -> Iterator[OuterRef]:
    """What a query asks by name of the query around it."""
    for node in nodes_of(query):
        if isinstance(node, OuterRef) and node.levels == levels:
            yield node
        elif isinstance(node, Subquery | ExistsCondition):
            yield from names_outside(node.query, levels + 1)
