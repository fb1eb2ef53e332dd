"""Going through the nodes of a question."""

from __future__ import annotations

from collections.abc import Iterator

from datalayer._query.condition import Comparison, Condition, Junction, Negation
from datalayer._query.expression import Aggregate, Arithmetic, Expression, Function


def parts(node: Condition | Expression) -> Iterator[Condition | Expression]:
    """A node and everything below it; nested queries are not entered."""
    yield node
    if isinstance(node, Comparison):
        yield from parts(node.left)
        if node.right is not None:
            yield from parts(node.right)
    elif isinstance(node, Junction):
        for child in node.children:
            yield from parts(child)
    elif isinstance(node, Negation):
        yield from parts(node.child)
    elif isinstance(node, Arithmetic):
        yield from parts(node.left)
        yield from parts(node.right)
    elif isinstance(node, Function):
        for argument in node.arguments:
            yield from parts(argument)
    elif isinstance(node, Aggregate):
        if node.argument is not None:
            yield from parts(node.argument)
        if node.condition is not None:
            yield from parts(node.condition)
