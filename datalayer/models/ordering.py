"""What arguments of `order_by` and `Meta.ordering` mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datalayer._query.expression import Function, Ordering
from datalayer._query.path import reference
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
