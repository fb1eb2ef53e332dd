"""What arguments of `order_by` and `Meta.ordering` mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datalayer._query.expression import FieldRef, Function, Ordering
from datalayer._query.path import reference
from datalayer._query.query import Query
from datalayer._schema.field import ColumnType
from datalayer._schema.table import TableSpec
from datalayer.models.expressions import DeferredOrder, expression_of


def default_order(table: TableSpec) -> tuple[Ordering, ...]:
    """`Meta.ordering` as items of ORDER BY."""
    return tuple([order_item(table, name, {}) for name in table.ordering])


def order_item(table: TableSpec, item: Any, annotations: Mapping[str, ColumnType | None]) -> Ordering:
    """What an argument of `order_by` means.

    Raises:
        FieldError: An unknown name.
    """
    if isinstance(item, Ordering):
        return item
    if isinstance(item, DeferredOrder):
        return item.resolved(table, dict(annotations))
    if isinstance(item, str):
        if item == "?":
            return Ordering(Function("random", (), None))
        name = item.removeprefix("-")
        return Ordering(reference(table, name, annotations=annotations), descending=item.startswith("-"))
    return Ordering(expression_of(item, table, dict(annotations)))


def is_total(query: Query) -> bool:
    """Whether the order of a query never leaves two of its rows in either order.

    Groups, and rows of unions and joins, may be there twice: for them it is not known.
    """
    if query.group_by is not None or (query.extra is not None and (query.extra.source or query.extra.joins)):
        return False
    table = query.table
    expressions = [item.expression for item in query.order]
    named = {item.field for item in expressions if isinstance(item, FieldRef) and not item.path}
    sets = [table.primary_key]
    sets += [
        unique.fields
        for unique in table.unique
        if unique.is_whole and not any(table.fields[name].nullable for name in unique.fields)
    ]
    return any(fields and named.issuperset(fields) for fields in sets)
