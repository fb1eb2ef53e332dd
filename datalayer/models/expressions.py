"""What names columns by text: `Q`, `F`, and the aggregates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias, cast

from datalayer._query.condition import Comparison, Condition, Junction, Negation
from datalayer._query.expression import Aggregate as AggregateNode
from datalayer._query.expression import Arithmetic, Expression, FieldRef, Ordering, Value
from datalayer._query.path import comparison, reference
from datalayer._query.walk import parts
from datalayer._schema.field import ColumnType, Kind
from datalayer._schema.table import TableSpec
from datalayer.errors import QueryError, choices_text
from datalayer.models.checks import checked
from datalayer.models.column import Deferred, Expr, Related, nulls_of, operand

Annotations: TypeAlias = Mapping[str, ColumnType | None]

_NUMBERS: Final = frozenset(
    {Kind.SMALL_INTEGER, Kind.INTEGER, Kind.BIG_INTEGER, Kind.FLOAT, Kind.DECIMAL, Kind.DURATION}
)
_ORDERED: Final = frozenset(Kind) - {Kind.JSON, Kind.BOOLEAN, Kind.BYTES, Kind.UUID}
_COUNT = ColumnType(Kind.BIG_INTEGER, python=int)
_FLOAT = ColumnType(Kind.FLOAT, python=float)


class Q:
    """Conditions by name, to be combined: `Q(price__lt=5) | ~Q(title__startswith="The")`.

    Args:
        conditions: Typed conditions or other Qs, all of which must hold.
        named: Lookups, all of which must hold.
    """

    __slots__ = ("children", "connector", "is_negated")

    def __init__(self, *conditions: Any, **named: Any) -> None:
        self.children: tuple[Any, ...] = (*conditions, *named.items())
        self.connector = "and"
        self.is_negated = False

    def _joined(self, connector: str, other: Any) -> Q:
        if not isinstance(other, Q | Condition):
            raise QueryError(f"Q can be combined with Q and with conditions, not with {other!r}")
        new = Q()
        new.children, new.connector = (self, other), connector
        return new

    def __and__(self, other: Any) -> Q:
        return self._joined("and", other)

    def __or__(self, other: Any) -> Q:
        return self._joined("or", other)

    def __rand__(self, other: Any) -> Q:
        return Q(other)._joined("and", self)

    def __ror__(self, other: Any) -> Q:
        return Q(other)._joined("or", self)

    def __xor__(self, other: Any) -> Q:
        return self._joined("xor", other)

    def __invert__(self) -> Q:
        new = Q()
        new.children, new.is_negated = (self,), True
        return new

    def __bool__(self) -> bool:
        raise TypeError("a Q has no truth value of its own; combine conditions with & | ~, not and, or, not")

    def resolved(self, table: TableSpec, annotations: Annotations | None = None) -> Condition | None:
        """The condition it means in a query over that table; None for an empty one."""
        found = [condition_of(child, table, annotations) for child in self.children]
        kept = tuple([child for child in found if child is not None])
        if not kept:
            return None
        condition = kept[0] if len(kept) == 1 else Junction(self.connector, kept)
        return Negation(condition) if self.is_negated else condition

    def __repr__(self) -> str:
        inner = f" {self.connector} ".join(repr(child) for child in self.children)
        return f"<Q {'not ' if self.is_negated else ''}({inner})>"


def condition_of(item: Any, table: TableSpec, annotations: Annotations | None = None) -> Condition | None:
    """What an argument of `filter` means."""
    if isinstance(item, Condition):
        owned(item, table)
        return item
    if isinstance(item, Q):
        return item.resolved(table, annotations)
    pair = cast("tuple[object, ...]", item) if isinstance(item, tuple) else ()
    name, value = pair if len(pair) == 2 else (None, None)
    if isinstance(name, str):
        if isinstance(value, Deferred):
            value = value.resolved(table, dict(annotations or {}))
        return comparison(table, name, operand(value), check=checked, annotations=annotations)
    raise QueryError(
        f"filter() takes conditions such as {table.model}.name == 'x', Q objects and lookups by name, not {item!r}; "
        "a comparison with a value of another type gives a plain bool"
    )


class F(Deferred):
    """A column by its name: `F("price") * 2`, `filter(paid__lt=F("price"))`."""

    __slots__ = ("name", "parts")

    def __init__(self, name: str) -> None:
        self.name = name
        self.parts: tuple[str, Any, Any] | None = None

    def _computed(self, operator: str, left: Any, right: Any) -> F:
        new = F(self.name)
        new.parts = (operator, left, right)
        return new

    def __add__(self, other: Any) -> F:
        return self._computed("+", self, other)

    def __radd__(self, other: Any) -> F:
        return self._computed("+", other, self)

    def __sub__(self, other: Any) -> F:
        return self._computed("-", self, other)

    def __rsub__(self, other: Any) -> F:
        return self._computed("-", other, self)

    def __mul__(self, other: Any) -> F:
        return self._computed("*", self, other)

    def __rmul__(self, other: Any) -> F:
        return self._computed("*", other, self)

    def __truediv__(self, other: Any) -> F:
        return self._computed("/", self, other)

    def __mod__(self, other: Any) -> F:
        return self._computed("%", self, other)

    def asc(self, *, nulls: str | None = None) -> DeferredOrder:
        """Smallest first; `nulls` is `first` or `last`."""
        return DeferredOrder(self, False, nulls_of(nulls))

    def desc(self, *, nulls: str | None = None) -> DeferredOrder:
        """Greatest first; `nulls` is `first` or `last`."""
        return DeferredOrder(self, True, nulls_of(nulls))

    def resolved(self, table: TableSpec | None, annotations: dict[str, ColumnType | None] | None = None) -> Expression:
        """The node it means in a query over that table."""
        if table is None:
            raise QueryError(f"F({self.name!r}) needs a query to belong to")
        if self.parts is None:
            return reference(table, self.name, annotations=annotations)
        operator, left, right = self.parts
        nodes = [expression_of(side, table, annotations) if not _is_plain(side) else None for side in (left, right)]
        known = next(node.type for node in nodes if node is not None)
        first, second = (
            node if node is not None else Value(checked(known, "exact", f"F({self.name!r})", side), known)
            for node, side in zip(nodes, (left, right), strict=True)
        )
        if operator == "+" and known is not None and known.kind in (Kind.STRING, Kind.TEXT):
            operator = "||"
        return Arithmetic(operator, first, second, known)

    def __repr__(self) -> str:
        return f"F({self.name!r})" if self.parts is None else f"({self.parts[1]!r} {self.parts[0]} {self.parts[2]!r})"


class DeferredOrder:
    """`F("name").desc()`, until a query gives it a table."""

    __slots__ = ("is_descending", "nulls", "source")

    def __init__(self, source: F, is_descending: bool, nulls: str | None) -> None:
        self.source = source
        self.is_descending = is_descending
        self.nulls = nulls

    def resolved(self, table: TableSpec, annotations: dict[str, ColumnType | None] | None = None) -> Ordering:
        """The item of ORDER BY in a query over that table."""
        return Ordering(self.source.resolved(table, annotations), descending=self.is_descending, nulls=self.nulls)


def _is_plain(side: object) -> bool:
    return not isinstance(side, Deferred | Expr | Expression)


def expression_of(item: Any, table: TableSpec, annotations: dict[str, ColumnType | None] | None = None) -> Expression:
    """The node of anything that stands for a column: a name, a column, an F, an aggregate."""
    if isinstance(item, str):
        return reference(table, item, annotations=annotations)
    if isinstance(item, Deferred):
        return item.resolved(table, annotations)
    if isinstance(item, Expr):
        owned(item.node, table)
        return item.node
    if isinstance(item, Expression):
        return item
    if isinstance(item, Related):
        if item.table is not table:
            raise QueryError(f"{item!r} starts at {item.table.model}, not at {table.model}")
        return reference(table, "__".join(item.path), annotations=annotations)
    raise QueryError(f"{item!r} is no column; give a name, a column such as {table.model}.pk, or F()")


def owned(node: Condition | Expression, table: TableSpec) -> None:
    """Makes sure that every typed column in a node belongs to a model.

    Raises:
        QueryError: One is another model's.
    """
    if isinstance(node, Comparison) and type(node.right) is Value and type(node.left) is FieldRef:
        found: Iterable[Condition | Expression] = (node.left,)  # what most conditions look like
    else:
        found = parts(node)
    for part in found:
        if isinstance(part, FieldRef) and part.table is not None and part.table is not table and not part.outer:
            other = cast("TableSpec", part.table)
            raise QueryError(
                f"{other.model}.{part.field} is a column of {other.model}, not of {table.model}; "
                f"walk over a relation, such as {table.model}.relation[{other.model}.{part.field}]"
            )


class Aggregate(Deferred):
    """Parent of the aggregates.

    Args:
        source: A column or its name; a relation counts its rows.
        filter: Only rows that satisfy it.
        distinct: Each value once.
    """

    __slots__ = ("condition", "is_distinct", "source")
    word = ""
    kinds: frozenset[Kind] | None = None

    def __init__(self, source: Any, *, filter: Any = None, distinct: bool = False) -> None:
        self.source = source
        self.condition = filter
        self.is_distinct = distinct

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
        argument = None if is_star else expression_of(self.source, table, annotations)
        self._check(argument)
        condition = None if self.condition is None else condition_of(self.condition, table, annotations)
        kind = self.result(None if argument is None else argument.type)
        return AggregateNode(self.word, argument, kind, distinct=self.is_distinct, condition=condition)

    def _check(self, argument: Expression | None) -> None:
        name = type(self).__name__
        if argument is None:
            if self.kinds is not None:
                raise QueryError(f"{name}({self.source!r}) needs a column; only Count() counts whole rows")
        elif self.kinds is not None and argument.type is not None and argument.type.kind not in self.kinds:
            shown = choices_text(kind.value for kind in self.kinds)
            raise QueryError(f"{name}({self.source!r}) is over {argument.type.kind.value} values; it takes {shown}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source!r})"


class Count(Aggregate):
    """How many rows, or how many that are not NULL."""

    __slots__ = ()
    word = "count"

    def __init__(self, source: Any = "*", *, filter: Any = None, distinct: bool = False) -> None:
        super().__init__(source, filter=filter, distinct=distinct)

    def result(self, argument: ColumnType | None) -> ColumnType | None:
        """A whole number."""
        return _COUNT


class Sum(Aggregate):
    """The sum; None over no rows."""

    __slots__ = ()
    word = "sum"
    kinds = _NUMBERS

    def result(self, argument: ColumnType | None) -> ColumnType | None:
        """The type of what is added; wide for integers."""
        if argument is not None and argument.kind in (Kind.SMALL_INTEGER, Kind.INTEGER):
            return _COUNT
        return argument


class Avg(Aggregate):
    """The mean; None over no rows."""

    __slots__ = ()
    word = "avg"
    kinds = _NUMBERS

    def result(self, argument: ColumnType | None) -> ColumnType | None:
        """A decimal for decimals, a duration for durations, a float for the rest."""
        if argument is not None and argument.kind is Kind.DECIMAL:
            return ColumnType(Kind.DECIMAL, python=argument.python)
        return argument if argument is not None and argument.kind is Kind.DURATION else _FLOAT


class Min(Aggregate):
    """The smallest value."""

    __slots__ = ()
    word = "min"
    kinds = _ORDERED


class Max(Aggregate):
    """The greatest value."""

    __slots__ = ()
    word = "max"
    kinds = _ORDERED
