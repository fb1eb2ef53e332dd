"""The question: an immutable value. Every refinement gives a new one."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypedDict, Unpack

from datalayer._query.condition import Condition
from datalayer._query.expression import Expression, Ordering
from datalayer._query.lock import Lock
from datalayer._query.source import Extra
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
    lock: Lock | None
    table: TableSpec
    extra: Extra | None


_OFTEN = frozenset({"where", "limit", "offset"})
"""What most queries differ in, of all that were made from one."""


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
        lock: What `select_for_update` locks, or None.
        extra: What few queries have: other sources, CTEs, joins by name, DISTINCT ON; None for nothing of it.
    """

    __slots__ = (
        "_form",
        "_shape",
        "annotations",
        "columns",
        "distinct",
        "extra",
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
        self.lock: Lock | None = None
        self.extra: Extra | None = None
        self._form: Hashable = None
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
        new.extra = self.extra
        new._form = self._form or self._formed()
        new._shape = None
        for name, value in parts.items():
            setattr(new, name, value)
            if name not in _OFTEN:
                new._form = None
        return new

    def filtered(self, condition: Condition) -> Query:
        """A copy with one more condition, in a scope of its own."""
        return self.replaced(where=(*self.where, condition))

    @property
    def shape(self) -> Hashable:
        """The query without its values: equal shapes compile to equal SQL."""
        if self._shape is None:
            self._shape = (
                self._form or self._formed(),
                tuple([condition.shape for condition in self.where]),
                self.limit is not None,
                self.offset is not None,
            )
        return self._shape

    def _formed(self) -> Hashable:
        """The part of the shape that filter(), get() and slices leave as it is: worked out once for all of them."""
        self._form = (
            self.table.key,
            tuple([item.shape for item in self.order]),
            self.distinct,
            None if self.columns is None else tuple([(name, e.shape) for name, e in self.columns]),
            tuple([(name, e.shape) for name, e in self.annotations]),
            self.joined,
            self.only,
            None if self.group_by is None else tuple([e.shape for e in self.group_by]),
            self.lock,
            None if self.extra is None else self.extra.shape,
        )
        return self._form

    @property
    def values(self) -> tuple[object, ...]:
        """Values in walking order: columns, annotations, where, group by, order, limit and offset if present, extra."""
        found: list[object] = []
        if self.columns:
            for _, expression in self.columns:
                found.extend(expression.values)
        if self.annotations:
            for _, expression in self.annotations:
                found.extend(expression.values)
        for condition in self.where:
            found.extend(condition.values)
        if self.group_by:
            for expression in self.group_by:
                found.extend(expression.values)
        if self.order:
            for item in self.order:
                found.extend(item.values)
        if self.limit is not None:
            found.append(self.limit)
        if self.offset is not None:
            found.append(self.offset)
        if self.extra is not None:
            found.extend(self.extra.values)
        return tuple(found)
