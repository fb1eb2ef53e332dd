"""A query inside another one: what it asks of the outside must be there, and of a type it can be compared with."""

from __future__ import annotations

from collections.abc import Mapping

from datalayer._query.comparing import compare
from datalayer._query.condition import Comparison, Condition, ExistsCondition
from datalayer._query.expression import Expression, FieldRef, OuterRef, Subquery
from datalayer._query.path import reference
from datalayer._query.query import Query
from datalayer._query.walk import names_outside, nodes_of, parts
from datalayer._schema.field import ColumnType
from datalayer._schema.table import TableSpec
from datalayer.errors import QueryError


def check_inside(query: Query, table: TableSpec, annotations: Mapping[str, ColumnType | None] | None) -> None:
    """Makes sure that a query inside one over a table finds there what it asks for.

    Raises:
        FieldError: A name is unknown outside.
        QueryError: A typed column belongs to another model.
        InvalidValue: A column inside cannot be compared with the one outside.
    """
    for asked in names_outside(query):
        reference(table, asked.name, annotations=annotations, columns=asked.columns)
    for node in nodes_of(query):
        if isinstance(node, FieldRef) and node.outer == 1 and node.table is not None and node.table is not table:
            raise QueryError(f"OuterRef({node.field!r}) is not of {table.model}, which is the model outside")
        if isinstance(node, Comparison) and isinstance(node.right, OuterRef) and node.right.levels == 1:
            outside = reference(table, node.right.name, annotations=annotations, columns=node.right.columns)
            compare(node.left, node.lookup, outside, transform=node.transform, name=f"OuterRef({node.right.name!r})")


def check_nested(node: Condition | Expression, table: TableSpec, annotations: Mapping[str, ColumnType | None]) -> None:
    """`check_inside` for every query in a node.

    Raises:
        FieldError: A name is unknown outside.
        QueryError: A typed column belongs to another model.
    """
    for part in parts(node):
        if isinstance(part, Subquery | ExistsCondition):
            check_inside(part.query, table, annotations)
