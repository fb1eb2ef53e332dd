"""The question: an immutable value. Every refinement gives a new one."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, TypedDict, Unpack

from datalayer._query.condition import Condition
from datalayer._query.expression import Expression, Ordering
from datalayer._query.lock import Lock
from datalayer._query.source import Extra
from datalayer._schema.table import TableSpec


class OutlineParts(TypedDict, total=False):
    """What an outline is made of."""

    table: TableSpec
    order: tuple[Ordering, ...]
    distinct: bool
    columns: tuple[tuple[str, Expression], ...] | None
    annotations: tuple[tuple[str, Expression], ...]
    joined: tuple[tuple[str, ...], ...]
    only: tuple[str, ...] | None
    group_by: tuple[Expression, ...] | None
    lock: Lock | None
    extra: Extra | None
    alias: str | None


class QueryParts(OutlineParts, total=False):
    """What `Query.replaced` may replace."""

    where: tuple[Condition, ...]
    limit: int | None
    offset: int | None


class Outline:
    """All of a query but which rows it takes: filter(), get() and slices leave it as it is, and share it.

    What does not depend on rows is worked out once for all of them.

    Attributes:
        shape: It without its values; None before `finish()`, as the values are empty.
        before: The values before those of the conditions: of the columns and annotations.
        after: The values after them: of the groups and the order.
        last: The values after limit and offset.
    """

    __slots__ = (
        "after",
        "alias",
        "annotations",
        "before",
        "columns",
        "distinct",
        "extra",
        "group_by",
        "joined",
        "last",
        "lock",
        "only",
        "order",
        "shape",
        "table",
    )

    def __init__(self, table: TableSpec) -> None:
        self.table = table
        self.order: tuple[Ordering, ...] = ()
        self.distinct = False
        self.columns: tuple[tuple[str, Expression], ...] | None = None
        self.annotations: tuple[tuple[str, Expression], ...] = ()
        self.joined: tuple[tuple[str, ...], ...] = ()
        self.only: tuple[str, ...] | None = None
        self.group_by: tuple[Expression, ...] | None = None
        self.lock: Lock | None = None
        self.extra: Extra | None = None
        self.alias: str | None = None
        self.before: tuple[object, ...] = ()
        self.after: tuple[object, ...] = ()
        self.last: tuple[object, ...] = ()
        self.shape: Hashable = None

    def replaced(self, parts: OutlineParts) -> Outline:
        """A copy with some parts replaced."""
        new = Outline.__new__(Outline)
        new.table = self.table
        new.order = self.order
        new.distinct = self.distinct
        new.columns = self.columns
        new.annotations = self.annotations
        new.joined = self.joined
        new.only = self.only
        new.group_by = self.group_by
        new.lock = self.lock
        new.extra = self.extra
        new.alias = self.alias
        for name, value in parts.items():
            setattr(new, name, value)
        new.before = new.after = new.last = ()
        new.shape = None
        return new

    def finish(self) -> None:
        """Works out the shape and the values; not before they are asked for, since most outlines are only replaced."""
        columns, annotations, groups, order = self.columns, self.annotations, self.group_by, self.order
        if columns or annotations:
            self.before = tuple([value for _, each in (*(columns or ()), *annotations) for value in each.values])
        if groups or order:  # in one step: several threads may be here
            of_groups = [value for each in groups or () for value in each.values]
            self.after = (*of_groups, *[value for item in order for value in item.values])
        if self.extra is not None:
            self.last = self.extra.values
        self.shape = (
            self.table.key,
            tuple([item.shape for item in order]) if order else (),
            self.distinct,
            None if columns is None else tuple([(name, each.shape) for name, each in columns]),
            tuple([(name, each.shape) for name, each in annotations]) if annotations else (),
            self.joined,
            self.only,
            None if groups is None else tuple([each.shape for each in groups]),
            self.lock,
            None if self.extra is None else self.extra.shape,
        )


class Query:
    """A SELECT over one table and what hangs on it.

    Attributes:
        outline: All that is below but `where`, `limit` and `offset`.
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
        alias: Inside of another query: the database that it was asked of by name, if it was; no part of the shape.
    """

    __slots__ = ("_shape", "limit", "offset", "outline", "where")

    def __repr__(self) -> str:
        return f"<Query of {self.table.model}; sql() of the queryset gives its SQL and values>"

    def __init__(self, table: TableSpec) -> None:
        self.outline = Outline(table)
        self.where: tuple[Condition, ...] = ()
        self.limit: int | None = None
        self.offset: int | None = None
        self._shape: Hashable = None

    @property
    def table(self) -> TableSpec:
        return self.outline.table

    @property
    def order(self) -> tuple[Ordering, ...]:
        return self.outline.order

    @property
    def distinct(self) -> bool:
        return self.outline.distinct

    @property
    def columns(self) -> tuple[tuple[str, Expression], ...] | None:
        return self.outline.columns

    @property
    def annotations(self) -> tuple[tuple[str, Expression], ...]:
        return self.outline.annotations

    @property
    def joined(self) -> tuple[tuple[str, ...], ...]:
        return self.outline.joined

    @property
    def only(self) -> tuple[str, ...] | None:
        return self.outline.only

    @property
    def group_by(self) -> tuple[Expression, ...] | None:
        return self.outline.group_by

    @property
    def lock(self) -> Lock | None:
        return self.outline.lock

    @property
    def extra(self) -> Extra | None:
        return self.outline.extra

    @property
    def alias(self) -> str | None:
        return self.outline.alias

    def replaced(self, **parts: Unpack[QueryParts]) -> Query:
        """A copy with some parts replaced."""
        where, limit = parts.pop("where", self.where), parts.pop("limit", self.limit)
        new = self.narrowed(where, limit, parts.pop("offset", self.offset))
        if parts:
            new.outline = self.outline.replaced(parts)
        return new

    def unordered(self) -> Query:
        """The same rows in no order: it stays where it decides which rows there are."""
        is_needed = self.limit is not None or self.offset is not None or (self.extra and self.extra.distinct_on)
        return self.replaced(order=()) if self.order and not is_needed else self

    def narrowed(self, where: tuple[Condition, ...], limit: int | None, offset: int | None) -> Query:
        """The same question about other rows."""
        new = _new(Query)
        new.outline = self.outline
        new.where = where
        new.limit = limit
        new.offset = offset
        new._shape = None
        return new

    def filtered(self, condition: Condition) -> Query:
        """A copy with one more condition, in a scope of its own."""
        return self.narrowed((*self.where, condition), self.limit, self.offset)

    @property
    def shape(self) -> Hashable:
        """The query without its values: equal shapes compile to equal SQL."""
        if self._shape is None:
            outline = self.outline
            if outline.shape is None:
                outline.finish()
            where = self.where
            self._shape = (
                outline.shape,
                (where[0].shape,) if len(where) == 1 else tuple([condition.shape for condition in where]),
                self.limit is not None,
                self.offset is not None,
            )
        return self._shape

    @property
    def values(self) -> tuple[object, ...]:
        """Values in walking order: columns, annotations, where, group by, order, limit and offset if present, extra."""
        outline = self.outline
        if outline.shape is None:
            outline.finish()
        found = outline.before
        for condition in self.where:
            found += condition.values
        found += outline.after
        if self.limit is not None:
            found += (self.limit,)
        if self.offset is not None:
            found += (self.offset,)
        return found + outline.last


class Later(Query):
    """A query whose last condition is made when somebody asks for the conditions.

    Rows that came along with the one they are behind need none; those who look for others among them do.
    """

    __slots__ = ("_made", "_make", "_query")

    def __init__(self, query: Query, make: Callable[[], Condition]) -> None:
        self.outline = query.outline
        self.limit = query.limit
        self.offset = query.offset
        self._shape = None
        self._query = query
        self._make = make
        self._made: tuple[Condition, ...] | None = None

    if not TYPE_CHECKING:

        @property
        def where(self) -> tuple[Condition, ...]:
            found = self._made
            if found is None:
                found = self._made = (*self._query.where, self._make())
            return found


_new = Query.__new__  # half the time of a call of the class
