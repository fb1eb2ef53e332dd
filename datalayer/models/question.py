"""Chaining: every refinement of a question gives a new one, and nothing is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar

from datalayer._query.comparing import named_at_once
from datalayer._query.condition import Condition as ConditionNode
from datalayer._query.condition import Junction, Negation, Nothing, OfRow
from datalayer._query.expression import FieldRef
from datalayer._query.query import Query
from datalayer._query.source import NO_DISTINCT_ON, NO_EXTRA
from datalayer._schema.field import ColumnType
from datalayer._schema.relation import RelationSpec
from datalayer._schema.table import TableSpec
from datalayer.errors import FieldError, NotSupported, QueryError
from datalayer.models.bound import backend_of
from datalayer.models.column import Condition, Deferred, Expr, OrderBy, operand
from datalayer.models.combining import Join, compound, joined, merged, with_cte
from datalayer.models.elsewhere import refuse_elsewhere, refuse_query_elsewhere
from datalayer.models.expressions import (
    DeferredOrder,
    Q,
    condition_of,
    expression_of,
    is_own,
    is_simple,
    lookup_of,
    owned,
)
from datalayer.models.grouping import check_ungrouped
from datalayer.models.loading import Lookup
from datalayer.models.ordering import default_order, is_total, order_item, ordered_by, spread
from datalayer.models.ties import shown_tied, tied

if TYPE_CHECKING:
    from datalayer.models.model import ModelBase

M = TypeVar("M", bound="ModelBase")
R = TypeVar("R")


def own_name(item: Expr[Any, Any], table: TableSpec) -> str:
    """The name of a column of the table itself; a text that is no name for everything else."""
    owned(item.node, table)
    return item.node.field if isinstance(item.node, FieldRef) and not item.node.path else repr(item)


class Question(Generic[M, R]):
    """What is asked about the rows of a model; `R` is what one row becomes.

    Attributes:
        model: The model.
        query: The description that the compiler reads.
    """

    __slots__ = (
        "_alias",
        "_behind_of",
        "_by_value",
        "_is_all",
        "_is_unordered",
        "_kept",
        "_parent",
        "_prefetched",
        "model",
        "query",
    )
    __datalayer_manager__ = False

    model: type[M]
    query: Query

    def _start(self, model: Any, alias: str = "default", query: Query | None = None) -> None:
        self.model = model
        self.query = Query(model.table) if query is None else query
        self._alias = alias
        self._kept: list[R] | None = None
        self._prefetched: tuple[Lookup, ...] = ()
        # What `get` was asked before, by the column that told the row, and what relations were loaded from it; None
        # while it was not asked at all.
        self._by_value: dict[Any, Any] | None = None
        self._is_all = False
        self._is_unordered = False  # `order_by()` took `Meta.ordering` away
        # Of a related manager: the instance and the relation. The first is for all of its rows, the second stays with
        # every part of them.
        self._behind_of: tuple[Any, RelationSpec] | None = None
        self._parent: tuple[Any, RelationSpec] | None = None

    def _with(self, query: Query) -> Self:
        new = object.__new__(type(self))
        new.model = self.model
        new.query = query
        new._alias = self._alias
        new._kept = None
        new._by_value = None
        new._prefetched = self._prefetched
        new._is_all = self._is_all
        new._is_unordered = self._is_unordered
        new._behind_of = None
        new._parent = self._parent
        own = getattr(self, "__dict__", None)
        if own:
            new.__dict__.update(own)
        return new

    def __reduce__(self) -> NoReturn:
        # It speaks of tables by numbers of this process: elsewhere it would be another question.
        raise TypeError(f"a {self.__class__.__name__} cannot be pickled; pickle its rows instead: list(queryset)")

    def __copy__(self) -> Self:
        return self._with(self.query)

    def __deepcopy__(self, memo: object) -> Self:
        return self._with(self.query)

    @property
    def _annotations(self) -> dict[str, ColumnType | None]:
        return {name: expression.type for name, expression in self.query.annotations}

    def _condition(self, conditions: tuple[Any, ...], named: dict[str, Any]) -> ConditionNode | None:
        outline = self.query.outline
        table = outline.table
        annotations = self._annotations if outline.annotations else None
        found: list[ConditionNode] = []
        for item in conditions:
            if is_own(item, table):
                found.append(item)
            else:
                self._take(condition_of(item, table, annotations), found)
        for name, value in named.items():
            condition = None if annotations else named_at_once(table, name, value)
            if condition is not None:
                found.append(condition)
            else:
                self._take(lookup_of(name, value, table, annotations), found)
        if len(found) < 2:
            return found[0] if found else None
        return Junction("and", tuple(found))

    def _take(self, condition: ConditionNode | None, found: list[ConditionNode]) -> None:
        """Puts a condition to the others, once it is sure that it may stand in this query."""
        if condition is None:
            return
        if not is_simple(condition):
            refuse_elsewhere(condition, self._alias)
            if self.query.outline.group_by is None:
                check_ungrouped(condition, self.query)
        elif type(condition) is OfRow:
            refuse_elsewhere(condition, self._alias)
        found.append(condition)

    def _unsliced(self, verb: str) -> None:
        if self.query.limit is not None or self.query.offset is not None:
            raise QueryError(f"{verb}() of a sliced query; call {verb}() first, then slice")

    def filter(self, *conditions: Condition[M] | Q | Deferred, **named: Any) -> Self:
        """The rows that satisfy every condition.

        Args:
            conditions: `Book.price < 10`, `Q(...)`.
            named: Lookups by name, `author__name__icontains="guin"`.

        Raises:
            FieldError: An unknown name.
            InvalidValue: A value of the wrong type.
        """
        self._unsliced("filter")
        condition = self._condition(conditions, named)
        if condition is not None:
            return self._with(self.query.filtered(condition if self._parent is None else tied(self._parent, condition)))
        return self._with(self.query)

    def exclude(self, *conditions: Condition[M] | Q | Deferred, **named: Any) -> Self:
        """The rows that do not satisfy all the conditions; NULL counts as not satisfying."""
        self._unsliced("exclude")
        condition = self._condition(conditions, named)
        return self._with(self.query if condition is None else self.query.filtered(Negation(condition)))

    def all(self) -> Self:
        """The same question again, with nothing kept; also says that update() and delete() may take the whole table."""
        new = self._with(self.query)
        new._is_all = True
        new._behind_of = self._behind_of
        return new

    def none(self) -> Self:
        """No row at all, without asking the database."""
        return self._with(self.query.filtered(Nothing()))

    def order_by(self, *items: OrderBy[M] | Expr[M, Any] | DeferredOrder | Deferred | Q | str) -> Self:
        """The rows in an order: columns, `Book.price.desc()`, names, `-name`; without any, in no order.

        Raises:
            FieldError: An unknown name.
        """
        self._unsliced("order_by")
        try:  # as `ordered_by`, without the call
            order = tuple([order_item(self.query.table, item, self._annotations) for item in items])
        except FieldError:
            order = spread(self.query.table, items, self._annotations)
        for item in order:
            if type(item.expression) is not FieldRef:
                refuse_elsewhere(item.expression, self._alias)
        query = self.query.replaced(order=order)
        new = self._with(query if self._parent is None else shown_tied(self._parent, query))
        new._is_all = self._is_all
        new._is_unordered = not items
        return new

    def reverse(self) -> Self:
        """The rows in the opposite order."""
        self._unsliced("reverse")
        query = self._ordered(self.query)
        return self._with(query.replaced(order=tuple([item.reversed() for item in query.order])))

    @property
    def db(self) -> str:
        """The alias of the database that is asked; a replica may answer for it."""
        return self._alias

    @property
    def ordered(self) -> bool:
        """Whether the rows come in an order, its own or that of `Meta.ordering`."""
        return bool(self._ordered(self.query).order)

    @property
    def totally_ordered(self) -> bool:
        """Whether the order leaves no choice: it names the primary key, or other columns that no two rows share."""
        return is_total(self._ordered(self.query))

    def distinct(self, *columns: str | Expr[M, Any] | Deferred) -> Self:
        """Equal rows once; with columns (PostgreSQL only) the first row of each of their values, as they are ordered.

        Raises:
            FieldError: An unknown name.
            NotSupported: Columns on SQLite.
        """
        self._unsliced("distinct")
        query = self.query.replaced(distinct=True)
        if columns:
            known = self._annotations
            on = tuple([expression_of(item, query.table, known) for item in columns])
            if backend_of(self._alias) == "sqlite":
                raise NotSupported(NO_DISTINCT_ON)
            query = query.replaced(extra=(query.extra or NO_EXTRA).replaced(distinct_on=on))
            refuse_query_elsewhere(query, self._alias)
        return self._with(query)

    # -- made of several -------------------------------------------------------------------------

    def union(self, *others: Question[Any, R], all: bool = False) -> Self:
        """The rows of all querysets, equal ones once unless `all`. The result can be filtered and ordered like any.

        Raises:
            QueryError: The columns differ.
        """
        return self._of_several(compound(self, others, "union all" if all else "union", "union"))

    def intersection(self, *others: Question[Any, R]) -> Self:
        """The rows that all querysets have."""
        return self._with(compound(self, others, "intersect", "intersection"))

    def difference(self, *others: Question[Any, R]) -> Self:
        """The rows that none of the others has."""
        return self._with(compound(self, others, "except", "difference"))

    def __and__(self, other: Self) -> Self:
        return self._with(merged(self, other, "and"))

    def __or__(self, other: Self) -> Self:
        return self._of_several(merged(self, other, "or"))

    def __xor__(self, other: Self) -> Self:
        return self._of_several(merged(self, other, "xor"))

    def _of_several(self, query: Query) -> Self:
        new = self._with(query)
        new._parent = None  # the rows of the others are not behind it
        return new

    def with_cte(
        self,
        name: str,
        start: Question[M, R] | Callable[[Self], Question[M, R]],
        *,
        recursive: Callable[[Self], Question[M, R]] | None = None,
        distinct: bool = False,
    ) -> Self:
        """The rows of a CTE: those of `start`, and with `recursive` all that come out of the rows found so far.

        Called again it adds another CTE, whose rows are then those of the query; `start` may be made of those before.

        Args:
            name: Its name in the statement.
            start: The first rows; or what makes them, given the rows of the CTE before.
            recursive: Given the rows of the CTE, which it may only `join()`, the next ones, with the same columns.
            distinct: Whether equal rows come once, which ends circles.

        Raises:
            QueryError: The two have other columns, `start` has rows of another model or form, or the name is taken.
        """
        rows: Any = start(self) if callable(start) else start
        query = with_cte(self.query, name, rows, recursive, distinct)
        refuse_query_elsewhere(query, self._alias)
        return self._with(query)

    def join(self, **joins: Join) -> Self:
        """More rows beside each row, by a condition; their columns are reached by the name of the join.

        `Book.objects.join(other=Join(Book, Q(author=F("other__author")))).filter(other__price__lt=F("price"))`

        Raises:
            QueryError: A name that is taken, or no condition.
        """
        self._unsliced("join")
        query = self.query
        for name, join in joins.items():
            rows = operand(getattr(join, "source", None))
            if isinstance(rows, Query):
                refuse_query_elsewhere(rows, self._alias)
            query = joined(query, name, join)
        refuse_query_elsewhere(query, self._alias)
        return self._with(query)

    def using(self, alias: str) -> Self:
        """The same question to another database.

        Raises:
            QueryError: Something in it is of a database: a query that asks one by name, a row that it is compared with.
        """
        if not isinstance(alias, str):  # pyright: ignore[reportUnnecessaryIsInstance] - who does not check types
            raise QueryError(f"using({alias!r}) takes the alias of a database, such as 'default'")
        if alias != self._alias:
            refuse_query_elsewhere(self.query, alias)
        new = self._with(self.query)
        new._alias = alias
        new._is_all = self._is_all
        return new

    # -- what arguments mean ---------------------------------------------------------------------

    def _ordered(self, query: Query) -> Query:
        """With `Meta.ordering` where the caller asked for no order."""
        table = query.table
        if query.order or self._is_unordered or query.group_by is not None or query.distinct:
            return query
        if table.python_model is not self.model:
            model: Any = self.model
            own: tuple[str, ...] = model.__datalayer_options__.ordering  # that of a proxy
            try:
                return query.replaced(order=ordered_by(table, own, {}))
            except FieldError:
                if table.python_model is None:  # values of other queries, without what the order goes by
                    return query
                raise
        return query.replaced(order=default_order(table)) if table.ordering else query
