"""The question: an immutable value. Every refinement gives a new one."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypedDict, Unpack

from datalayer._query.condition import Condition
from datalayer._query.expression import Expression, Ordering
from datalayer._schema.table import TableSpec


class QueryParts(TypedDict, total=False):
    """What `Query.replaced` may replace."""

    where: tuple[Condition, ...]
    order: tuple[Ordering, ...]
    limit: int | None
    offset: int | None
    distinct: bool
    columns: tuple[tuple[str, Expression], ...] | None
    annotations: tuple[tuple[str, Expression], ...]
    joined: tuple[tuple[str, ...], ...]
    only: tuple[str, ...] | None
    group_by: tuple[Expression, ...] | None
    lock: str | None


class Query:
    """A SELECT over one table and what hangs on it.

    Attributes:
        table: Where the rows come from.
        where: One condition for each `filter()` call. Inside one, a to-many relation means the same row; two of
            them look at the relation separately.
        order: ORDER BY; empty means the caller did not ask (plans add the primary key where an order is needed).
        limit, offset: Values, not shape; only their presence is shape.
        distinct: SELECT DISTINCT.
        columns: What `values()`/`values_list()` asked for, named; None for whole instances.
        annotations: Named expressions beside the columns.
        joined: `select_related`: paths of to-one relations whose rows come along.
        only: Field names to load; None for all. The primary key always comes.
        group_by: GROUP BY; None for none.
        lock: `select_for_update` text, or None.
    """

    __slots__ = (
        "_shape",
        "annotations",
        "columns",
        "distinct",
        "group_by",
        "joined",
        "limit",
        "lock",
        "offset",
        "only",
        "order",
        "table",
        "where",
    )

    def __init__(self, table: TableSpec) -> None:
        self.table = table
        self.where: tuple[Condition, ...] = ()
        self.order: tuple[Ordering, ...] = ()
        self.limit: int | None = None
        self.offset: int | None = None
        self.distinct = False
        self.columns: tuple[tuple[str, Expression], ...] | None = None
        self.annotations: tuple[tuple[str, Expression], ...] = ()
        self.joined: tuple[tuple[str, ...], ...] = ()
        self.only: tuple[str, ...] | None = None
        self.group_by: tuple[Expression, ...] | None = None
        self.lock: str | None = None
        self._shape: Hashable = None

    def replaced(self, **parts: Unpack[QueryParts]) -> Query:
        """A copy with some parts replaced."""
        new = Query.__new__(Query)
        new.table = self.table
        new.where = self.where
        new.order = self.order
        new.limit = self.limit
        new.offset = self.offset
        new.distinct = self.distinct
        new.columns = self.columns
        new.annotations = self.annotations
        new.joined = self.joined
        new.only = self.only
        new.group_by = self.group_by
        new.lock = self.lock
        new._shape = None
        for name, value in parts.items():
            setattr(new, name, value)
        return new

    def filtered(self, condition: Condition) -> Query:
        """A copy with one more condition, in a scope of its own."""
        return self.replaced(where=(*self.where, condition))

    @property
    def shape(self) -> Hashable:
        """The query without its values: equal shapes compile to equal SQL."""
        if self._shape is None:
            self._shape = (
                self.table.key,
                tuple([condition.shape for condition in self.where]),
                tuple([item.shape for item in self.order]) if self.order else (),
                self.limit is not None,
                self.offset is not None,
                self.distinct,
                None if self.columns is None else tuple([(name, e.shape) for name, e in self.columns]),
                tuple([(name, e.shape) for name, e in self.annotations]) if self.annotations else (),
                self.joined,
                self.only,
                None if self.group_by is None else tuple([e.shape for e in self.group_by]),
                self.lock,
            )
        return self._shape

    @property
    def values(self) -> tuple[object, ...]:
        """Values in walking order: columns, annotations, where, group by, order, then limit and offset if present."""
        found: list[object] = []
        for _, expression in self.columns or ():
            found.extend(expression.values)
        for _, expression in self.annotations:
            found.extend(expression.values)
        for condition in self.where:
            found.extend(condition.values)
        for expression in self.group_by or ():
            found.extend(expression.values)
        for item in self.order:
            found.extend(item.values)
        if self.limit is not None:
            found.append(self.limit)
        if self.offset is not None:
            found.append(self.offset)
        return tuple(found)
