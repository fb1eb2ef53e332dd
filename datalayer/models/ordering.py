"""What arguments of `order_by` and `Meta.ordering` mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from datalayer._query.expression import FieldRef, Function, Ordering, Together
from datalayer._query.path import reference
from datalayer._query.query import Query
from datalayer._schema.field import ColumnType
from datalayer._schema.table import TableSpec
from datalayer.errors import FieldError
from datalayer.models.expressions import DeferredOrder, F, expression_of


def default_order(table: TableSpec) -> tuple[Ordering, ...]:
    """`Meta.ordering` as items of ORDER BY."""
    return ordered_by(table, table.ordering, {})


def ordered_by(
    table: TableSpec, items: Iterable[Any], annotations: Mapping[str, ColumnType | None]
) -> tuple[Ordering, ...]:
    """What the arguments of `order_by` mean; a key of several columns is one item for each.

    Raises:
        FieldError: An unknown name.
    """
    try:
        return tuple([order_item(table, item, annotations) for item in items])
    except FieldError:
        return spread(table, items, annotations)


def spread(
    table: TableSpec, items: Iterable[Any], annotations: Mapping[str, ColumnType | None]
) -> tuple[Ordering, ...]:
    """The same, tried again where a name may be a key of several columns.

    Raises:
        FieldError: That was not the reason.
    """
    found: list[Ordering] = []
    for item in items:
        named = item.source if isinstance(item, DeferredOrder) else item
        name = named.name if isinstance(named, F) else named
        if not isinstance(name, str) or name == "?":
            found.append(order_item(table, item, annotations))
            continue
        descending = item.is_descending if isinstance(item, DeferredOrder) else name.startswith("-")
        nulls = item.nulls if isinstance(item, DeferredOrder) else None
        node = reference(table, name.removeprefix("-"), annotations=annotations, columns=0)
        parts = node.parts if isinstance(node, Together) else (node,)
        found += [Ordering(part, descending=descending, nulls=nulls) for part in parts]
    return tuple(found)


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
