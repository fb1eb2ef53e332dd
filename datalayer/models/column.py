"""Columns as queries see them: `Book.title`, `Book.price * 2`. Relations are in `walk`.

To a type checker every expression knows the model it belongs to and the type of its value; at run time it wraps a node
of `_query`. Conditions are those nodes themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar, cast, overload

from datalayer._query import arrays, documents, items, ranges
from datalayer._query import condition as nodes
from datalayer._query.arithmetic import arithmetic
from datalayer._query.comparing import at_once, compare
from datalayer._query.expression import Expression, FieldRef, Function, Ordering
from datalayer._query.lookup import DATE_PARTS, TIME_PARTS, transformed
from datalayer._query.query import Query
from datalayer._schema.field import ColumnType, Kind
from datalayer._schema.table import TableSpec
from datalayer.errors import FieldError, QueryError, choices_text, nearest
from datalayer.models import registry
from datalayer.models.checks import checked
from datalayer.models.literals import operand_value

M = TypeVar("M")
R = TypeVar("R")
T = TypeVar("T")
T1 = TypeVar("T1")
N = TypeVar("N")

if TYPE_CHECKING:
    from datalayer.models.ranges import Range

    T_co = TypeVar("T_co", covariant=True)

    class Several(Protocol[T_co]):
        """A list, a tuple, a set: several values, and no text, whose letters nobody means."""

        def __contains__(self, value: object, /) -> bool: ...
        def __iter__(self) -> Iterator[T_co]: ...
        def __len__(self) -> int: ...

    Moment = TypeVar("Moment", date, datetime)
    Texts: TypeAlias = "Expr[M, str] | Expr[M, str | None]"
    Wholes: TypeAlias = "Expr[M, int] | Expr[M, int | None]"
    Numbers: TypeAlias = (
        "Wholes[M] | Expr[M, float] | Expr[M, float | None] | Expr[M, Decimal] | Expr[M, Decimal | None]"
    )
    Ranges: TypeAlias = "Expr[M, Range[N]] | Expr[M, Range[N] | None]"
    Lengths: TypeAlias = "Expr[M, timedelta] | Expr[M, timedelta | None]"
    Days: TypeAlias = "Expr[M, date] | Expr[M, date | None]"
    Moments: TypeAlias = "Days[M] | Expr[M, datetime] | Expr[M, datetime | None] | Lengths[M]"

    class Condition(Generic[M]):
        """What a row of a model must satisfy; combined with `&`, `|` and `~`."""

        def __and__(self, other: Condition[M]) -> Condition[M]: ...
        def __or__(self, other: Condition[M]) -> Condition[M]: ...
        def __invert__(self) -> Condition[M]: ...
        def __bool__(self) -> None: ...  # no bool: pyright refuses `if` and `not` around it

    class OrderBy(Generic[M]):
        """One item of `order_by`."""
else:
    Condition = nodes.Condition
    OrderBy = Ordering
    Several = Collection


class Asked(Protocol):
    """Anything that holds a query: a queryset, rows as values."""

    query: Query


def operand(value: object) -> object:
    """What a comparison works on: the node inside an expression, the query inside a queryset, or the value itself."""
    if isinstance(value, Expr):
        return value.node
    query = None if isinstance(value, Expression) else getattr(value, "query", None)
    if not isinstance(query, Query):
        return value
    rows = cast("Any", value)
    if not query.order and (query.limit is not None or query.offset is not None):
        query = rows._ordered(query)  # which rows a slice has depends on the order
    return query if rows._alias == "default" else query.replaced(alias=rows._alias)


def nulls_of(nulls: str | None) -> str | None:
    """Where NULLs go in an order.

    Raises:
        QueryError: Neither `first` nor `last`.
    """
    if nulls not in (None, "first", "last"):
        raise QueryError(f"nulls is {nulls!r}; NULLs go 'first' or 'last'")
    return nulls


def _operator(lookup: str) -> Callable[[Any, object], object]:
    """The method for = != < > <= >=: `_compared`, without a detour for a plain value of the right type."""

    def compared(self: Expr[Any, Any], other: Any) -> object:
        found = at_once(self.node, lookup, other)
        if found is None:
            return self._compared(lookup, other)  # pyright: ignore[reportPrivateUsage]  # it is a method of that class
        return found

    return compared


class Expr(Generic[M, T]):
    """A typed SQL value over the rows of a model."""

    __slots__ = ("name", "node", "table")

    def __init__(self, node: Expression, table: TableSpec | None, name: str) -> None:
        self.node = node
        self.table = table
        self.name = name

    def _compared(self, lookup: str, value: object) -> Any:
        if isinstance(value, Deferred):
            from datalayer.models.expressions import Compared  # noqa: PLC0415 - what is named by text needs columns

            return Compared(self, lookup, value)
        return compare(self.node, lookup, operand(value), name=self.name, check=checked)

    if TYPE_CHECKING:

        def __eq__(self, other: T | Expr[M, T] | None) -> Condition[M]: ...  # type: ignore[override]

        def __ne__(self, other: T | Expr[M, T] | None) -> Condition[M]: ...  # type: ignore[override]

        @overload
        def __lt__(self: Expr[M, Decimal] | Expr[M, Decimal | None], other: int) -> Condition[M]: ...
        @overload
        def __lt__(self, other: T | Expr[M, T]) -> Condition[M]: ...
        @overload
        def __lt__(self: Expr[M, T1 | None], other: Expr[M, T1]) -> Condition[M]: ...
        @overload
        def __lt__(self, other: Expr[M, T | None] | Deferred) -> Condition[M]: ...
        def __lt__(self, other: Any) -> Any: ...

        @overload
        def __le__(self: Expr[M, Decimal] | Expr[M, Decimal | None], other: int) -> Condition[M]: ...
        @overload
        def __le__(self, other: T | Expr[M, T]) -> Condition[M]: ...
        @overload
        def __le__(self: Expr[M, T1 | None], other: Expr[M, T1]) -> Condition[M]: ...
        @overload
        def __le__(self, other: Expr[M, T | None] | Deferred) -> Condition[M]: ...
        def __le__(self, other: Any) -> Any: ...

        @overload
        def __gt__(self: Expr[M, Decimal] | Expr[M, Decimal | None], other: int) -> Condition[M]: ...
        @overload
        def __gt__(self, other: T | Expr[M, T]) -> Condition[M]: ...
        @overload
        def __gt__(self: Expr[M, T1 | None], other: Expr[M, T1]) -> Condition[M]: ...
        @overload
        def __gt__(self, other: Expr[M, T | None] | Deferred) -> Condition[M]: ...
        def __gt__(self, other: Any) -> Any: ...

        @overload
        def __ge__(self: Expr[M, Decimal] | Expr[M, Decimal | None], other: int) -> Condition[M]: ...
        @overload
        def __ge__(self, other: T | Expr[M, T]) -> Condition[M]: ...
        @overload
        def __ge__(self: Expr[M, T1 | None], other: Expr[M, T1]) -> Condition[M]: ...
        @overload
        def __ge__(self, other: Expr[M, T | None] | Deferred) -> Condition[M]: ...
        def __ge__(self, other: Any) -> Any: ...
    else:
        __eq__, __ne__ = _operator("exact"), _operator("ne")
        __lt__, __le__, __gt__, __ge__ = map(_operator, ("lt", "lte", "gt", "gte"))

    __hash__ = object.__hash__

    def __bool__(self) -> None:  # no bool: pyright refuses `if` and `not` around it
        raise QueryError(f"{self.name} has no truth value of its own; compare it, and combine conditions with & | ~")

    def in_(self, values: Several[T] | Asked) -> Condition[M]:
        """Whether it is one of some values, or in the one column of a query."""
        return cast("Condition[M]", self._compared("in", values))

    @overload
    def between(self, low: T | Expr[M, T], high: T | Expr[M, T]) -> Condition[M]: ...
    @overload
    def between(self, low: T | Expr[M, Any] | Deferred, high: T | Expr[M, Any] | Deferred) -> Condition[M]: ...
    def between(self, low: Any, high: Any) -> Any:
        """Whether it lies between two values, both included."""
        if isinstance(low, Deferred) or isinstance(high, Deferred):
            from datalayer.models.expressions import Compared  # noqa: PLC0415 - as in `_compared`

            return Compared(self, "range", (low, high))
        return self._compared("range", (operand(low), operand(high)))

    def is_null(self) -> Condition[M]:
        """Whether it is NULL."""
        return cast("Condition[M]", self._compared("isnull", True))

    def is_not_null(self) -> Condition[M]:
        """Whether it has a value."""
        return cast("Condition[M]", self._compared("isnull", False))

    @overload
    def contains(self: Expr[M, str] | Expr[M, str | None], text: str) -> Condition[M]: ...
    @overload
    def contains(self: Expr[M, list[N]] | Expr[M, list[N] | None], text: list[N]) -> Condition[M]: ...
    @overload
    def contains(self: Expr[M, Range[N]], text: N | Range[N] | Expr[M, N] | Ranges[M, N]) -> Condition[M]: ...
    @overload
    def contains(self: Expr[M, Range[N] | None], text: N | Range[N] | Expr[M, N] | Ranges[M, N]) -> Condition[M]: ...
    def contains(self, text: Any) -> Any:
        """Whether text is part of it, an array has all of some items, or a value or range lies in a range."""
        return cast("Condition[M]", self._compared("contains", text))

    def icontains(self: Expr[M, str] | Expr[M, str | None], text: str) -> Condition[M]:
        """As `contains`, whatever the case."""
        return cast("Condition[M]", self._compared("icontains", text))

    def startswith(self: Expr[M, str] | Expr[M, str | None], text: str) -> Condition[M]:
        """Whether it begins with text."""
        return cast("Condition[M]", self._compared("startswith", text))

    def istartswith(self: Expr[M, str] | Expr[M, str | None], text: str) -> Condition[M]:
        """As `startswith`, whatever the case."""
        return cast("Condition[M]", self._compared("istartswith", text))

    def endswith(self: Expr[M, str] | Expr[M, str | None], text: str) -> Condition[M]:
        """Whether it ends with text."""
        return cast("Condition[M]", self._compared("endswith", text))

    def iendswith(self: Expr[M, str] | Expr[M, str | None], text: str) -> Condition[M]:
        """As `endswith`, whatever the case."""
        return cast("Condition[M]", self._compared("iendswith", text))

    def iexact(self: Expr[M, str] | Expr[M, str | None], text: str) -> Condition[M]:
        """Whether it is the text, whatever the case."""
        return cast("Condition[M]", self._compared("iexact", text))

    def regex(self: Expr[M, str] | Expr[M, str | None], pattern: str) -> Condition[M]:
        """Whether a regular expression is found in it."""
        return cast("Condition[M]", self._compared("regex", pattern))

    def iregex(self: Expr[M, str] | Expr[M, str | None], pattern: str) -> Condition[M]:
        """As `regex`, whatever the case."""
        return cast("Condition[M]", self._compared("iregex", pattern))

    __iter__ = None  # steps into JSON have no end: nothing is gone through one by one

    @overload
    def __getitem__(self: Expr[M, list[N]], key: int) -> Expr[M, N | None]: ...
    @overload
    def __getitem__(self: Expr[M, list[N] | None], key: int) -> Expr[M, N | None]: ...
    @overload
    def __getitem__(self: Expr[M, str], key: int) -> Expr[M, str]: ...
    @overload
    def __getitem__(self, key: slice) -> Expr[M, T]: ...
    @overload
    def __getitem__(self, key: str | int) -> Expr[M, Any]: ...
    def __getitem__(self, key: Any) -> Any:
        """Into JSON: what is under a name of an object, or at a place of an array; NULL where there is nothing.

        Of an array or a text: the item or the character at a place, from 0, or a slice. Behind the end of a text is
        an empty text.

        Raises:
            QueryError: It has no such parts.
        """
        found: Expr[M, Any] = Expr(items.item(self.node, key, self.name), self.table, f"{self.name}[{key!r}]")
        return found

    def length(self: Expr[M, list[N]] | Expr[M, list[N] | None]) -> Expr[M, int]:
        """The number of items of an array.

        Raises:
            QueryError: It is no array.
        """
        if self.node.type is None or self.node.type.kind is not Kind.ARRAY:
            raise QueryError(f"{self.name} is no array, and only arrays have a length(); use functions.Length for text")
        return Expr(arrays.length(self.node), self.table, f"{self.name}.length()")

    def contained_by(self, values: T | Expr[M, T]) -> Condition[M]:
        """Whether every item of an array is among some values, or a range lies in another one."""
        return self._among("contained_by", values, Kind.ARRAY, Kind.RANGE)

    def overlaps(self, values: T | Expr[M, T]) -> Condition[M]:
        """Whether an array or range has a value in common with another one."""
        return self._among("overlap", values, Kind.ARRAY, Kind.RANGE)

    def _among(self, lookup: str, values: object, *kinds: Kind) -> Condition[M]:
        if self.node.type is None or self.node.type.kind not in kinds:
            words = " or ".join(kind.value for kind in kinds)
            raise QueryError(f"{self.name} is no {words}, and {lookup} is about {words}s")
        return cast("Condition[M]", self._compared(lookup, values))

    def fully_lt(self: Ranges[M, N], other: Range[N] | Ranges[M, N]) -> Condition[M]:
        """Whether a range ends before another one begins."""
        return self._among("fully_lt", other, Kind.RANGE)

    def fully_gt(self: Ranges[M, N], other: Range[N] | Ranges[M, N]) -> Condition[M]:
        """Whether a range begins after another one has ended."""
        return self._among("fully_gt", other, Kind.RANGE)

    def not_lt(self: Ranges[M, N], other: Range[N] | Ranges[M, N]) -> Condition[M]:
        """Whether a range begins no earlier than another one."""
        return self._among("not_lt", other, Kind.RANGE)

    def not_gt(self: Ranges[M, N], other: Range[N] | Ranges[M, N]) -> Condition[M]:
        """Whether a range ends no later than another one."""
        return self._among("not_gt", other, Kind.RANGE)

    def adjacent_to(self: Ranges[M, N], other: Range[N] | Ranges[M, N]) -> Condition[M]:
        """Whether one of two ranges begins just where the other has ended."""
        return self._among("adjacent_to", other, Kind.RANGE)

    @overload
    def lower(self: Expr[M, Range[N]]) -> Expr[M, N | None]: ...
    @overload
    def lower(self: Expr[M, Range[N] | None]) -> Expr[M, N | None]: ...
    def lower(self) -> Expr[M, Any]:
        """Where a range begins; NULL where it has no beginning."""
        return self._of_range("startswith", "lower")

    @overload
    def upper(self: Expr[M, Range[N]]) -> Expr[M, N | None]: ...
    @overload
    def upper(self: Expr[M, Range[N] | None]) -> Expr[M, N | None]: ...
    def upper(self) -> Expr[M, Any]:
        """Where a range ends; NULL where it has no end."""
        return self._of_range("endswith", "upper")

    def is_empty(self: Ranges[M, N]) -> Expr[M, bool]:
        """Whether a range has no values: `Stay.days.is_empty() == True`."""
        return self._of_range("isempty", "is_empty")

    def lower_inc(self: Ranges[M, N]) -> Expr[M, bool]:
        """Whether the lower end of a range belongs to it."""
        return self._of_range("lower_inc", "lower_inc")

    def upper_inc(self: Ranges[M, N]) -> Expr[M, bool]:
        """Whether the upper end of a range belongs to it."""
        return self._of_range("upper_inc", "upper_inc")

    def lower_inf(self: Ranges[M, N]) -> Expr[M, bool]:
        """Whether a range has no beginning."""
        return self._of_range("lower_inf", "lower_inf")

    def upper_inf(self: Ranges[M, N]) -> Expr[M, bool]:
        """Whether a range has no end."""
        return self._of_range("upper_inf", "upper_inf")

    def _of_range(self, word: str, called: str) -> Expr[M, Any]:
        if self.node.type is None or self.node.type.kind is not Kind.RANGE:
            raise QueryError(f"{self.name} is no range, and only ranges have {called}()")
        return Expr(ranges.taken(self.node, word), self.table, f"{self.name}.{called}()")

    def as_text(self) -> Expr[M, str]:
        """A JSON value as text, a string without its quotes: to search in, to `Cast`, to order by."""
        return Expr(documents.as_text(self.node, self.name), self.table, f"{self.name}.as_text()")

    def _in_document(self, lookup: str, value: object) -> Condition[M]:
        documents.looked_into(self.node, self.name)
        return cast("Condition[M]", self._compared(lookup, value))

    def has_key(self, key: str) -> Condition[M]:
        """Whether a JSON object has a key."""
        return self._in_document("has_key", key)

    def has_keys(self, keys: Several[str]) -> Condition[M]:
        """Whether a JSON object has all of some keys."""
        return self._in_document("has_keys", keys)

    def has_any_keys(self, keys: Several[str]) -> Condition[M]:
        """Whether a JSON object has any of some keys."""
        return self._in_document("has_any_keys", keys)

    def contains_json(self, value: object) -> Condition[M]:
        """Whether a JSON document contains another one: its keys and values, its items."""
        return self._in_document("contains", value)

    def contained_by_json(self, value: object) -> Condition[M]:
        """Whether a JSON document is contained in another one."""
        return self._in_document("contained_by", value)

    def part(self, name: str) -> Expr[M, int]:
        """A part of a date or time: `year`, `month`, `day`, `hour`, ...

        Raises:
            FieldError: There is no such part.
        """
        known = DATE_PARTS | TIME_PARTS
        if name not in known:
            raise FieldError(
                f"{self.name} has no part {name!r}; the choices are {choices_text(known)}{nearest(name, known)}"
            )
        node = Function(name, (self.node,), transformed(self.node.type, name))
        return Expr(node, self.table, f"{self.name}.part({name!r})")

    def asc(self, *, nulls: str | None = None) -> OrderBy[M]:
        """Smallest first; `nulls` is `first` or `last`."""
        return cast("OrderBy[M]", Ordering(self.node, nulls=nulls_of(nulls)))

    def desc(self, *, nulls: str | None = None) -> OrderBy[M]:
        """Greatest first; `nulls` is `first` or `last`."""
        return cast("OrderBy[M]", Ordering(self.node, descending=True, nulls=nulls_of(nulls)))

    def _computed(self, operator: str, other: object, *, swapped: bool = False) -> Expr[M, T]:
        if isinstance(other, Deferred):
            from datalayer.models.expressions import Combined  # noqa: PLC0415 - what is named by text needs columns

            sides = (other, self) if swapped else (self, other)
            return cast("Expr[M, T]", Combined(operator, *sides))
        given: Any = other
        owner = given.table if isinstance(other, Expr) else None
        if owner is not None and self.table is not None and owner is not self.table:
            raise QueryError(f"{self.name} and {given!r} are columns of two models; walk over a relation")
        found = operand(given)
        node = found if isinstance(found, Expression) else operand_value(found, self.node.type, self.name)
        left, right = (node, self.node) if swapped else (self.node, node)
        return Expr(arithmetic(operator, left, right), self.table, f"{self.name} {operator} ...")

    @overload
    def __add__(self: Texts[M], other: str | Texts[M] | Deferred) -> Expr[M, T]: ...
    @overload
    def __add__(self: Moments[M], other: timedelta | Lengths[M] | Deferred) -> Expr[M, T]: ...
    @overload
    def __add__(self: Numbers[M], other: float | Decimal | Numbers[M] | Deferred) -> Expr[M, T]: ...
    def __add__(self, other: Any) -> Any:
        return self._computed("+", other)

    def __radd__(self, other: float | Decimal | str | timedelta | Deferred) -> Expr[M, T]:
        return self._computed("+", other, swapped=True)

    @overload
    def __sub__(self: Moments[M], other: timedelta | Lengths[M] | Deferred) -> Expr[M, T]: ...
    @overload
    def __sub__(self: Expr[M, Moment], other: Moment | Expr[M, Moment]) -> Expr[M, timedelta]: ...
    @overload
    def __sub__(self: Numbers[M], other: float | Decimal | Numbers[M] | Deferred) -> Expr[M, T]: ...
    def __sub__(self, other: Any) -> Any:
        return self._computed("-", other)

    def __rsub__(self, other: float | Decimal | date | timedelta | Deferred) -> Expr[M, T]:
        return self._computed("-", other, swapped=True)

    @overload
    def __mul__(self: Lengths[M], other: float | Decimal | Numbers[M] | Deferred) -> Expr[M, T]: ...
    @overload
    def __mul__(self: Numbers[M], other: float | Decimal | Numbers[M] | Deferred) -> Expr[M, T]: ...
    def __mul__(self, other: Any) -> Any:
        return self._computed("*", other)

    def __rmul__(self, other: float | Decimal | Deferred) -> Expr[M, T]:
        return self._computed("*", other, swapped=True)

    @overload
    def __truediv__(self: Lengths[M], other: float | Decimal | Numbers[M] | Deferred) -> Expr[M, T]: ...
    @overload
    def __truediv__(self: Numbers[M], other: float | Decimal | Numbers[M] | Deferred) -> Expr[M, T]: ...
    def __truediv__(self, other: Any) -> Any:
        return self._computed("/", other)

    def __rtruediv__(self, other: float | Decimal | Deferred) -> Expr[M, T]:
        return self._computed("/", other, swapped=True)

    def __mod__(self: Numbers[M], other: float | Decimal | Numbers[M] | Deferred) -> Expr[M, T]:
        return cast("Expr[M, T]", self._computed("%", other))

    def __rmod__(self, other: float | Decimal | Deferred) -> Expr[M, T]:
        return self._computed("%", other, swapped=True)

    def __pow__(self: Numbers[M], other: float | Decimal | Numbers[M] | Deferred) -> Expr[M, float]:
        return cast("Expr[M, float]", self._computed("**", other))

    def __rpow__(self, other: float | Decimal | Deferred) -> Expr[M, float]:
        return cast("Expr[M, float]", self._computed("**", other, swapped=True))

    def __neg__(self) -> Expr[M, T]:
        return self._computed("*", -1)

    def bitand(self: Expr[M, int], other: int | Expr[M, int]) -> Expr[M, int]:
        """The bits that both whole numbers have."""
        return self._computed("&", other)

    def bitor(self: Expr[M, int], other: int | Expr[M, int]) -> Expr[M, int]:
        """The bits that one of two whole numbers has."""
        return self._computed("|", other)

    def bitxor(self: Expr[M, int], other: int | Expr[M, int]) -> Expr[M, int]:
        """The bits that only one of two whole numbers has."""
        return self._computed("^", other)

    def bitleftshift(self: Expr[M, int], other: int | Expr[M, int]) -> Expr[M, int]:
        """A whole number with its bits moved up."""
        return self._computed("<<", other)

    def bitrightshift(self: Expr[M, int], other: int | Expr[M, int]) -> Expr[M, int]:
        """A whole number with its bits moved down."""
        return self._computed(">>", other)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class Column(Expr[M, T]):
    """A column of a model, as its class attribute gives it."""

    __slots__ = ()


class Deferred:
    """Parent of what names columns by text and waits for a table: `F`, aggregates."""

    __slots__ = ()

    def resolved(self, table: TableSpec | None, annotations: dict[str, ColumnType | None] | None = None) -> Expression:
        """The node it means in a query over that table."""
        raise NotImplementedError


def make_column(model: Any, name: str) -> Column[Any, Any]:
    """The column of a model; kept, since class attributes are read often."""
    columns: dict[str, Column[Any, Any]] | None = model.__dict__.get("__datalayer_columns__")
    if columns is None:
        columns = {}
        type.__setattr__(model, "__datalayer_columns__", columns)
    found = columns.get(name)
    if found is None:
        table = registry.table_of(model)
        field = name
        if name == "pk":
            if len(table.primary_key) != 1:
                raise FieldError(
                    f"{model.__name__} has a key of several columns: {', '.join(table.primary_key)}; name one of them"
                )
            field = table.primary_key[0]
        spec = table.fields[field]
        node = FieldRef((), field, spec.type, nullable=spec.nullable)
        node.table = table
        found = columns[name] = Column(node, table, f"{model.__name__}.{name}")
    return found


__all__ = [
    "Column",
    "Condition",
    "Deferred",
    "Expr",
    "OrderBy",
    "Several",
    "make_column",
    "operand",
]
