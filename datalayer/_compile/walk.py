"""Looking into conditions and expressions: which columns they touch, what they need, whether they may be NULL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from datalayer._compile.joins import Path, is_to_many
from datalayer._query.condition import Comparison, Condition, Junction, Negation
from datalayer._query.expression import (
    Aggregate,
    AnnotationRef,
    Arithmetic,
    Expression,
    FieldRef,
    Function,
    Value,
)
from datalayer._query.path import is_nullable
from datalayer._query.walk import parts
from datalayer._schema.table import TableSpec

_NULL_SAFE = frozenset({"coalesce", "concat", "now", "greatest", "least"})
"""Functions that may give something although an argument is NULL."""


@dataclass(frozen=True)
class Walk:
    """Questions about nodes of one query.

    Attributes:
        table: The query's table.
        annotations: Its annotations by name.
    """

    table: TableSpec
    annotations: Mapping[str, Expression]

    def has_aggregate(self, node: Condition | Expression) -> bool:
        """Whether an aggregate takes part, through annotations as well."""
        for part in parts(node):
            if isinstance(part, Aggregate):
                return True
            if isinstance(part, AnnotationRef) and self.has_aggregate(self.annotations[part.name]):
                return True
        return False

    def paths(self, node: Condition | Expression) -> Iterator[Path]:
        """Every path of relations outside aggregates."""
        if isinstance(node, Aggregate):
            return
        if isinstance(node, FieldRef):
            if not node.outer and node.path:
                yield node.path
            return
        if isinstance(node, Comparison):
            yield from self.paths(node.left)
            if node.right is not None:
                yield from self.paths(node.right)
        elif isinstance(node, Junction):
            for child in node.children:
                yield from self.paths(child)
        elif isinstance(node, Negation):
            yield from self.paths(node.child)
        elif isinstance(node, Arithmetic):
            yield from self.paths(node.left)
            yield from self.paths(node.right)
        elif isinstance(node, Function):
            for argument in node.arguments:
                yield from self.paths(argument)

    def is_to_many(self, node: Condition | Expression) -> bool:
        """Whether a relation to many rows takes part, outside aggregates."""
        return any(is_to_many(self.table, path) for path in self.paths(node))

    def required(self, condition: Condition) -> set[Path]:
        """The paths at whose end a row must stand for the condition to be true."""
        if isinstance(condition, Comparison):
            if condition.lookup == "isnull":
                return set()
            found = self._strict(condition.left)
            return found | self._strict(condition.right) if condition.right is not None else found
        if isinstance(condition, Junction) and condition.children:
            children = [self.required(child) for child in condition.children]
            if condition.connector == "and":
                return children[0].union(*children[1:])
            if condition.connector == "or":
                return children[0].intersection(*children[1:])
        return set()

    def _strict(self, expression: Expression) -> set[Path]:
        """The paths whose missing end makes an expression NULL."""
        if isinstance(expression, FieldRef):
            if expression.outer:
                return set()
            return {expression.path[:length] for length in range(1, len(expression.path) + 1)}
        if isinstance(expression, Arithmetic):
            return self._strict(expression.left) | self._strict(expression.right)
        if isinstance(expression, Function) and expression.name not in _NULL_SAFE:
            return {path for argument in expression.arguments for path in self._strict(argument)}
        return set()

    def may_be_null(self, node: Condition | Expression) -> bool:
        """Whether a value, or the truth of a condition, may be NULL; True where it is not known."""
        if isinstance(node, Comparison):
            if node.lookup in {"isnull", "notnull"}:
                return False
            return self.may_be_null(node.left) or (node.right is not None and self.may_be_null(node.right))
        if isinstance(node, Junction):
            return any(self.may_be_null(child) for child in node.children)
        if isinstance(node, Condition):
            return False  # NOT, EXISTS and "nothing" are made so that they are never NULL
        if isinstance(node, FieldRef):
            return bool(node.outer) or is_nullable(self.table, node.path, node.field)
        if isinstance(node, Value):
            return False
        if isinstance(node, Aggregate):
            return node.name != "count"
        if isinstance(node, AnnotationRef):
            return self.may_be_null(self.annotations[node.name])
        if isinstance(node, Arithmetic):
            return self.may_be_null(node.left) or self.may_be_null(node.right) or node.operator in "/%"
        if isinstance(node, Function) and node.name in {"now", "concat"}:
            return False
        if isinstance(node, Function) and node.name == "coalesce":
            return all(self.may_be_null(argument) for argument in node.arguments)
        return True
