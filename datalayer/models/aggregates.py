"""Aggregates: one value out of many rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar, overload

from datalayer._query.arithmetic import FLOAT, INTEGERS, WHOLE, added_up
from datalayer._query.comparing import comparison
from datalayer._query.expression import BOOLEAN, Case, Expression, FieldRef, Function, Ordering, Window
from datalayer._query.expression import Aggregate as AggregateNode
from datalayer._query.path import references, resolve
from datalayer._query.walk import parts
from datalayer._schema.field import ColumnType, Kind
from datalayer._schema.table import TableSpec
from datalayer.errors import QueryError, choices_text
from datalayer.models.column import Condition, Deferred, Expr
from datalayer.models.expressions import Computable, Q, condition_of, expression_of, is_plain
from datalayer.models.literals import literal
from datalayer.models.walk import Related

M = TypeVar("M")
T = TypeVar("T")
R = TypeVar("R")
N = TypeVar("N")

_NUMBERS: Final = INTEGERS | {Kind.FLOAT, Kind.DECIMAL, Kind.DURATION}
_ORDERED: Final = frozenset(Kind) - {Kind.JSON, Kind.BOOLEAN, Kind.BYTES, Kind.UUID, Kind.RANGE}


if TYPE_CHECKING:
    Source: TypeAlias = str | Deferred | Related[Any, Any] | None
    Filter: TypeAlias = Condition[M] | Q | None
    Some: TypeAlias = Expr[M, T] | Expr[M, T | None]


class Aggregate(Computable, Generic[M, T]):
    """Parent of the aggregates.

    Args:
        source: A column or its name, or something computed; a relation counts its rows.
        filter: Only rows that satisfy it.
        distinct: Each value once.
        default: What it is over no rows, instead of None.
    """

    __slots__ = ("condition", "default", "is_distinct", "source")
    word = ""
    kinds: frozenset[Kind] | None = None

    def __init__(self, source: Any, *, filter: Any = None, distinct: bool = False, default: Any = None) -> None:
        self.source = source
        self.condition = filter
        self.is_distinct = distinct
        self.default = default

    @property
    def default_name(self) -> str:
        """The name it has in `aggregate()` when none is given: `price__avg`."""
        if not isinstance(self.source, str):
            name = getattr(getattr(self.source, "node", None), "field", None)
            if name is None:
                raise QueryError(
                    f"{type(self).__name__}({self.source!r}) needs a name: name={type(self).__name__}(...)"
                )
            return f"{name}__{self.word}"
        return self.word if self.source == "*" else f"{self.source}__{self.word}"

    def result(self, argument: ColumnType | None) -> ColumnType | None:
        """The type of its value."""
        return argument

    def resolved(self, table: TableSpec | None, annotations: dict[str, ColumnType | None] | None = None) -> Expression:
        """The node it means in a query over that table."""
        if table is None:
            raise QueryError(f"{type(self).__name__}() needs a query to belong to")
        is_star = self.source is None or (isinstance(self.source, str) and self.source == "*")
        argument = None if is_star else self._argument(table, annotations)
        self._check(argument)
        condition = None if self.condition is None else condition_of(self.condition, table, annotations)
        found = AggregateNode(
            self.word,
            argument,
            self._type(argument),
            distinct=self.is_distinct,
            condition=condition,
            extra=self._extra(),
            order=self._order(table, annotations),
        )
        if any(isinstance(part, AggregateNode | Window) for child in found.children for part in parts(child)):
            raise QueryError(f"{self!r} is over an aggregate or a window; compute that in a Subquery, or group by it")
        if self.default is None:
            return found
        other = (
            literal(self.default, found.type)
            if is_plain(self.default)
            else expression_of(self.default, table, annotations)
        )
        return Function("coalesce", (found, other), found.type)

    def _argument(self, table: TableSpec, annotations: dict[str, ColumnType | None] | None) -> Expression:
        return expression_of(self.source, table, annotations)

    def _type(self, argument: Expression | None) -> ColumnType | None:
        return self.result(None if argument is None else argument.type)

    def _extra(self) -> tuple[Expression, ...]:
        return ()

    def _order(self, table: TableSpec, annotations: dict[str, ColumnType | None] | None) -> tuple[Ordering, ...]:
        return ()

    def _check(self, argument: Expression | None) -> None:
        name = type(self).__name__
        if argument is None:
            if self.kinds is not None:
                raise QueryError(f"{name}({self.source!r}) needs a column; only Count() counts whole rows")
            if self.is_distinct:
                raise QueryError("Count('*', distinct=True) has no column to tell rows apart by; use Count('pk')")
        elif self.kinds is not None and argument.type is not None and argument.type.kind not in self.kinds:
            shown = choices_text(kind.value for kind in self.kinds)
            raise QueryError(f"{name}({self.source!r}) is over {argument.type.kind.value} values; it takes {shown}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source!r})"


class Count(Aggregate[M, int]):
    """How many rows, or how many that are not NULL."""

    __slots__ = ()
    word = "count"

    @overload
    def __init__(
        self: Count[R], source: Expr[R, Any] | Related[R, Any], *, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: Count[Any], source: str | Deferred = "*", *, filter: Filter[Any] = None, distinct: bool = False
    ) -> None: ...
    def __init__(self, source: Any = "*", *, filter: Any = None, distinct: bool = False) -> None:
        super().__init__(source, filter=filter, distinct=distinct)

    def result(self, argument: ColumnType | None) -> ColumnType | None:
        """A whole number."""
        return WHOLE

    def _argument(self, table: TableSpec, annotations: dict[str, ColumnType | None] | None) -> Expression:
        path = self.source if isinstance(self.source, str) else getattr(self.source, "path", None)
        if path is None or self.is_distinct:
            return super()._argument(table, annotations)
        name = path if isinstance(path, str) else "__".join(path)
        found = resolve(table, name, annotations=annotations)
        first, *others = references(table, found)
        if not others:
            return super()._argument(table, annotations)
        if found.relation is None or not found.relation.kind.is_forward:
            return first  # a column of the row's own key tells whether there is a row
        return Case(((comparison(table, f"{name}__isnull", False), first),), None, first.type)


class Sum(Aggregate[M, T]):
    """The sum; None over no rows, or `default`."""

    __slots__ = ()
    word = "sum"
    kinds = _NUMBERS

    @overload
    def __init__(
        self: Sum[R, N], source: Expr[R, N | None], *, default: N, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: Sum[R, N], source: Expr[R, N], *, default: N, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: Sum[R, N | None], source: Expr[R, N | None], *, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: Sum[R, N | None], source: Expr[R, N], *, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: Sum[Any, Any], source: Source, *, default: Any = None, filter: Filter[Any] = None, distinct: bool = False
    ) -> None: ...
    def __init__(self, source: Any, *, default: Any = None, filter: Any = None, distinct: bool = False) -> None:
        super().__init__(source, filter=filter, distinct=distinct, default=default)

    def result(self, argument: ColumnType | None) -> ColumnType | None:
        """The type of what is added; wide for integers."""
        if argument is not None and argument.kind in (Kind.SMALL_INTEGER, Kind.INTEGER):
            return WHOLE
        return argument

    def _type(self, argument: Expression | None) -> ColumnType | None:
        return self.result(None if argument is None else added_up(argument))


class Avg(Aggregate[M, T]):
    """The mean; None over no rows, or `default`."""

    __slots__ = ()
    word = "avg"
    kinds = _NUMBERS

    @overload
    def __init__(
        self: Avg[R, float | None],
        source: Some[R, int] | Some[R, float],
        *,
        filter: Filter[R] = None,
        distinct: bool = False,
    ) -> None: ...
    @overload
    def __init__(
        self: Avg[R, N | None], source: Expr[R, N | None], *, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: Avg[R, N | None], source: Expr[R, N], *, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: Avg[R, float],
        source: Some[R, int] | Some[R, float],
        *,
        default: float,
        filter: Filter[R] = None,
        distinct: bool = False,
    ) -> None: ...
    @overload
    def __init__(
        self: Avg[R, N], source: Expr[R, N | None], *, default: N, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: Avg[R, N], source: Expr[R, N], *, default: N, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: Avg[Any, Any], source: Source, *, default: Any = None, filter: Filter[Any] = None, distinct: bool = False
    ) -> None: ...
    def __init__(self, source: Any, *, default: Any = None, filter: Any = None, distinct: bool = False) -> None:
        super().__init__(source, filter=filter, distinct=distinct, default=default)

    def result(self, argument: ColumnType | None) -> ColumnType | None:
        """A decimal for decimals, a duration for durations, a float for the rest."""
        if argument is not None and argument.kind is Kind.DECIMAL:
            return ColumnType(Kind.DECIMAL, python=argument.python)
        return argument if argument is not None and argument.kind is Kind.DURATION else FLOAT


class Min(Aggregate[M, T]):
    """The smallest value."""

    __slots__ = ()
    word = "min"
    kinds = _ORDERED

    @overload
    def __init__(
        self: Min[R, N], source: Expr[R, N | None], *, default: N, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: Min[R, N], source: Expr[R, N], *, default: N, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: Min[R, N | None], source: Expr[R, N | None], *, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: Min[R, N | None], source: Expr[R, N], *, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: Min[Any, Any], source: Source, *, default: Any = None, filter: Filter[Any] = None, distinct: bool = False
    ) -> None: ...
    def __init__(self, source: Any, *, default: Any = None, filter: Any = None, distinct: bool = False) -> None:
        super().__init__(source, filter=filter, distinct=distinct, default=default)


class Max(Aggregate[M, T]):
    """The greatest value."""

    __slots__ = ()
    word = "max"
    kinds = _ORDERED

    @overload
    def __init__(
        self: Max[R, N], source: Expr[R, N | None], *, default: N, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: Max[R, N], source: Expr[R, N], *, default: N, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: Max[R, N | None], source: Expr[R, N | None], *, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: Max[R, N | None], source: Expr[R, N], *, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: Max[Any, Any], source: Source, *, default: Any = None, filter: Filter[Any] = None, distinct: bool = False
    ) -> None: ...
    def __init__(self, source: Any, *, default: Any = None, filter: Any = None, distinct: bool = False) -> None:
        super().__init__(source, filter=filter, distinct=distinct, default=default)


class AnyValue(Aggregate[M, T]):
    """The value of any row that has one: for a column that has the same value in every row of a group.

    PostgreSQL knows it from 16 on.
    """

    __slots__ = ()
    word = "any_value"
    kinds = frozenset(Kind)

    @overload
    def __init__(
        self: AnyValue[R, N], source: Expr[R, N | None], *, default: N, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: AnyValue[R, N], source: Expr[R, N], *, default: N, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: AnyValue[R, N | None], source: Expr[R, N | None], *, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: AnyValue[R, N | None], source: Expr[R, N], *, filter: Filter[R] = None, distinct: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: AnyValue[Any, Any],
        source: Source,
        *,
        default: Any = None,
        filter: Filter[Any] = None,
        distinct: bool = False,
    ) -> None: ...
    def __init__(self, source: Any, *, default: Any = None, filter: Any = None, distinct: bool = False) -> None:
        super().__init__(source, filter=filter, distinct=distinct, default=default)


class _Spread(Aggregate[Any, float | None]):
    """How far numbers are from their mean.

    Args:
        source: A column of numbers.
        filter: As in `Aggregate`.
        distinct: As in `Aggregate`.
        default: As in `Aggregate`.
        sample: Whether the rows are a sample of more (divided by n - 1).
    """

    __slots__ = ("is_sample",)
    kinds = _NUMBERS - {Kind.DURATION}

    def __init__(
        self, source: Any, *, filter: Any = None, distinct: bool = False, default: Any = None, sample: bool = False
    ) -> None:
        super().__init__(source, filter=filter, distinct=distinct, default=default)
        self.is_sample = sample

    def result(self, argument: ColumnType | None) -> ColumnType | None:
        """A float."""
        return FLOAT


class StdDev(_Spread):
    """The standard deviation, of the whole or with `sample=True` of a sample."""

    __slots__ = ()

    @property
    def word(self) -> str:  # type: ignore[override]  # the same in SQL, in two words
        """The word of SQL."""
        return "stddev_samp" if self.is_sample else "stddev_pop"


class Variance(_Spread):
    """The variance, of the whole or with `sample=True` of a sample."""

    __slots__ = ()

    @property
    def word(self) -> str:  # type: ignore[override]  # the same in SQL, in two words
        """The word of SQL."""
        return "var_samp" if self.is_sample else "var_pop"


class BoolAnd(Aggregate[Any, bool | None]):
    """Whether all values are true; NULLs are looked past."""

    __slots__ = ()
    word = "bool_and"
    kinds = frozenset({Kind.BOOLEAN})

    def result(self, argument: ColumnType | None) -> ColumnType | None:
        """A boolean."""
        return BOOLEAN


class BoolOr(BoolAnd):
    """Whether any value is true; NULLs are looked past."""

    __slots__ = ()
    word = "bool_or"


def check_aggregate(node: Expression, name: str) -> None:
    """Makes sure that a value of `aggregate()` is over all rows.

    Raises:
        QueryError: It is of one row, or partly.
    """
    if isinstance(node, Window):
        raise QueryError(f"aggregate({name}=...): a window is of each row; annotate() it first")
    found = list(_outside(node))
    if any(isinstance(part, FieldRef) for part in found) or not any(isinstance(part, AggregateNode) for part in found):
        raise QueryError(f"aggregate({name}=...) takes Count, Sum, Avg, Min, Max and what is computed of such")


def _outside(node: Any) -> Any:
    """The parts of a node, aggregates not entered."""
    yield node
    if not isinstance(node, AggregateNode):
        for child in node.children:
            yield from _outside(child)
