"""Aggregates and groups: where an aggregate has rows to run over."""

from __future__ import annotations

from collections.abc import Mapping

from datalayer._query.condition import Condition
from datalayer._query.expression import Aggregate, AnnotationRef, Expression, FieldRef, Window
from datalayer._query.query import Query
from datalayer._query.walk import parts
from datalayer._schema.table import TableSpec
from datalayer.errors import QueryError


def check_ungrouped(condition: Condition, query: Query) -> None:
    """Makes sure that every aggregate in a condition on single rows is over rows that are related to each.

    Raises:
        QueryError: One is over the row itself, which is never meant: a group, or all rows, must have been.
    """
    annotations = dict(query.annotations)

    def look(node: Condition | Expression) -> None:
        if isinstance(node, Window):
            return
        if isinstance(node, Aggregate):
            if not _is_over_many(node, query.table, annotations):
                raise QueryError(
                    f"filter(): {node.name}() of {_named(node)} is over the one row of {query.table.model} itself; for "
                    "groups, annotate() it after values(...) and filter by its name; for all rows, give "
                    "Subquery(...) or compute aggregate() first"
                )
            return
        for child in node.children:
            look(child)

    look(condition)


def _is_over_many(node: Condition | Expression, table: TableSpec, annotations: Mapping[str, Expression]) -> bool:
    """Whether a relation to many rows takes part."""
    if isinstance(node, FieldRef):
        for part in node.path:
            relation = table.relations[part]
            if relation.kind.is_to_many:
                return True
            table = relation.target
        return False
    if isinstance(node, AnnotationRef):
        return _is_over_many(annotations[node.name], table, annotations)
    return any(_is_over_many(child, table, annotations) for child in node.children)


def filters_before(query: Query, node: Expression) -> int:
    """How many filters choose among the rows that an aggregate in a node goes over; 0 where none does."""
    if not query.where or not any(isinstance(part, Aggregate) for part in parts(node)):
        return 0
    annotations = dict(query.annotations)
    if not _is_over_many(node, query.table, annotations):
        return 0
    is_about_many = any(_is_over_many(condition, query.table, annotations) for condition in query.where)
    return len(query.where) if is_about_many else 0


def _named(node: Aggregate) -> str:
    if isinstance(node.argument, FieldRef):
        return repr("__".join((*node.argument.path, node.argument.field)))
    return "all rows" if node.argument is None else "a value"
