"""Looking into conditions and expressions: which columns they touch, what they need, whether they may be NULL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from datalayer._compile.joins import Path, is_to_many
from datalayer._query import added
from datalayer._query.condition import Comparison, Condition, Junction, Negation, Truth
from datalayer._query.expression import (
    Aggregate,
    AnnotationRef,
    Arithmetic,
    Case,
    Expression,
    FieldRef,
    Function,
    Predicate,
    Together,
    Value,
    Window,
)
from datalayer._query.path import is_nullable
from datalayer._query.walk import parts
from datalayer._schema.table import TableSpec

_NEVER_NULL = frozenset({"now", "concat", "random", "pi", "uuid4", "uuid7", "json_object", "json_array", "json_null"})
NULL_SAFE = _NEVER_NULL | {"coalesce", "greatest", "least"}
"""Functions that may give something although an argument is NULL."""

_NEVER_NULL_WINDOWS = frozenset({"row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile"})


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
        """Whether an aggregate takes part, through annotations as well; one of a window is not over groups."""
        return self._has(node, lambda part: isinstance(part, Aggregate))

    def has_window(self, node: Condition | Expression) -> bool:
        """Whether a window takes part, through annotations as well."""
        return self._has(node, lambda part: isinstance(part, Window))

    def _has(self, node: Condition | Expression, is_it: Callable[[Condition | Expression], bool]) -> bool:
        if is_it(node):
            return True
        if isinstance(node, AnnotationRef):
            return self._has(self.annotations[node.name], is_it)
        below = node.children
        if isinstance(node, Window) and isinstance(node.function, Aggregate):
            below = (*node.function.children, *below[1:])
        return any(self._has(child, is_it) for child in below)

    def paths(self, node: Condition | Expression) -> Iterator[Path]:
        """Every path of relations outside aggregates."""
        if isinstance(node, Aggregate):
            return
        if isinstance(node, FieldRef):
            if not node.outer and node.path:
                yield node.path
            return
        for child in node.children:
            yield from self.paths(child)

    def aggregates(self, node: Condition | Expression) -> Iterator[Aggregate]:
        """Every aggregate over groups, through annotations that are known as well."""
        if isinstance(node, Aggregate):
            yield node
        elif isinstance(node, AnnotationRef):
            if node.name in self.annotations:
                yield from self.aggregates(self.annotations[node.name])
        elif not isinstance(node, Window):
            for child in node.children:
                yield from self.aggregates(child)

    def paths_inside(self, node: Aggregate) -> set[Path]:
        """The paths to many rows that an aggregate runs over."""
        found = {part.path for part in parts(node) if isinstance(part, FieldRef) and part.path and not part.outer}
        return {path for path in found if is_to_many(self.table, path)}

    def crossings(self, *nodes: Condition | Expression) -> frozenset[Path]:
        """Where the paths of nodes cross relations to many rows, each crossing as the path up to it."""
        steps = {path[:length] for node in nodes for path in self.paths(node) for length in range(1, len(path) + 1)}
        return frozenset(path for path in steps if _ends_at_many(self.table, path))

    def end_of(self, path: Path) -> TableSpec:
        """The table that a path leads to."""
        table = self.table
        for part in path:
            table = table.relations[part].target
        return table

    def joined(self, *nodes: Condition | Expression) -> frozenset[Path]:
        """The crossings whose rows a filter is about; `~` over many rows looks at them apart and is about none."""
        return self.crossings(*[leaf for node in nodes for leaf in self._positive(node)])

    def _positive(self, node: Condition | Expression) -> Iterator[Condition | Expression]:
        if isinstance(node, FieldRef):
            yield node
        elif not isinstance(node, Aggregate) and not (isinstance(node, Negation) and self.is_to_many(node.child)):
            for child in node.children:
                yield from self._positive(child)

    def is_to_many(self, node: Condition | Expression) -> bool:
        """Whether a relation to many rows takes part, outside aggregates."""
        return any(is_to_many(self.table, path) for path in self.paths(node))

    def required(self, condition: Condition) -> set[Path]:
        """The paths at whose end a row must stand for the condition to be true."""
        if isinstance(condition, Comparison):
            if condition.lookup == "isnull" or condition.lookup in added.comparisons:  # NULL may be equal to that
                return set()
            found = self._strict(condition.left)
            return found | self._strict(condition.right) if condition.right is not None else found
        if isinstance(condition, Truth):
            return self._strict(condition.expression)
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
        if isinstance(expression, Together):  # a pair with NULL in it is never known to be one of the rows
            return {path for part in expression.parts for path in self._strict(part)}
        if isinstance(expression, Arithmetic):
            return self._strict(expression.left) | self._strict(expression.right)
        if isinstance(expression, Function) and not _may_make_something_of_null(expression.name):
            if expression.name == "nullif":
                return self._strict(expression.arguments[0])
            return {path for argument in expression.arguments for path in self._strict(argument)}
        return set()

    def may_be_null(self, node: Condition | Expression) -> bool:
        """Whether a value, or the truth of a condition, may be NULL; True where it is not known."""
        if isinstance(node, Comparison):
            if node.lookup in {"isnull", "notnull"}:
                return False
            return self.may_be_null(node.left) or (node.right is not None and self.may_be_null(node.right))
        if isinstance(node, Truth):
            return self.may_be_null(node.expression)
        if isinstance(node, Junction):
            return node.connector != "xor" and any(self.may_be_null(child) for child in node.children)
        if isinstance(node, Condition):
            return False  # NOT, EXISTS and "nothing" are made so that they are never NULL
        if isinstance(node, FieldRef):
            return bool(node.outer) or is_nullable(self.table, node.path, node.field)
        if isinstance(node, Value):
            return False
        return self._computed_may_be_null(node)

    def _computed_may_be_null(self, node: Expression) -> bool:
        if isinstance(node, Aggregate):
            return node.name != "count"
        if isinstance(node, AnnotationRef):
            return self.may_be_null(self.annotations[node.name])
        if isinstance(node, Together):
            return any(self.may_be_null(part) for part in node.parts)
        if isinstance(node, Predicate):
            return self.may_be_null(node.condition)
        if isinstance(node, Window):
            return not (isinstance(node.function, Function) and node.function.name in _NEVER_NULL_WINDOWS)
        if isinstance(node, Arithmetic):
            return self.may_be_null(node.left) or self.may_be_null(node.right) or node.operator in "/%"
        if isinstance(node, Case):
            values = [then for _, then in node.pairs]
            return node.default is None or any(self.may_be_null(value) for value in (*values, node.default))
        if isinstance(node, Function) and node.name in _NEVER_NULL:
            return False
        if isinstance(node, Function) and node.name == "coalesce":
            return all(self.may_be_null(argument) for argument in node.arguments)
        return True


def _may_make_something_of_null(name: str) -> bool:
    return name in NULL_SAFE or name.startswith("added:")  # of the SQL of an application nothing is known


def _ends_at_many(table: TableSpec, path: Path) -> bool:
    for part in path[:-1]:
        table = table.relations[part].target
    return table.relations[path[-1]].kind.is_to_many
