"""What names columns by text: `Q` and `F`, and how they and typed columns become nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias, TypeGuard, cast

from datalayer._query import items
from datalayer._query.added import comparisons, is_of, lookups_for, owners
from datalayer._query.arithmetic import arithmetic
from datalayer._query.comparing import compare, comparison
from datalayer._query.condition import Comparison, Condition, Junction, Negation, OfRow, Truth
from datalayer._query.expression import (
    AnnotationRef,
    Expression,
    FieldRef,
    Ordering,
    Predicate,
    Subquery,
    Value,
)
from datalayer._query.lookup import lookups_of
from datalayer._query.path import reference
from datalayer._query.query import Query
from datalayer._query.walk import parts
from datalayer._schema.field import ColumnType, Kind
from datalayer._schema.table import TableSpec
from datalayer.errors import FieldError, QueryError, choices_text, nearest
from datalayer.models.checks import checked
from datalayer.models.column import Deferred, Expr, nulls_of, operand
from datalayer.models.literals import operand_value
from datalayer.models.nesting import check_inside, check_nested
from datalayer.models.walk import Related

Annotations: TypeAlias = Mapping[str, ColumnType | None]


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
        if not isinstance(other, Q | Condition | Deferred | Expr):
            raise QueryError(
                f"a condition can be combined with conditions, Q and what is true or false, not with {other!r}; the "
                "bits of numbers are combined with bitand() and bitor()"
            )
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

    def __rxor__(self, other: Any) -> Q:
        return Q(other)._joined("xor", self)

    def __invert__(self) -> Q:
        new = Q()
        new.children, new.is_negated = (self,), True
        return new

    def __bool__(self) -> bool:
        raise TypeError("a Q has no truth value of its own; combine conditions with & | ~, not and, or, not")

    def asc(self, *, nulls: str | None = None) -> DeferredOrder:
        """Rows for which it does not hold first; `nulls` is `first` or `last`."""
        return DeferredOrder(self, False, nulls_of(nulls))

    def desc(self, *, nulls: str | None = None) -> DeferredOrder:
        """Rows for which it holds first; `nulls` is `first` or `last`."""
        return DeferredOrder(self, True, nulls_of(nulls))

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
        if not is_simple(item):
            check_nested(item, table, annotations or {})
        return item
    if isinstance(item, Q):
        return item.resolved(table, annotations)
    if isinstance(item, Deferred | Expr):
        return _truth(item, table, annotations)
    pair = cast("tuple[object, ...]", item) if isinstance(item, tuple) else ()
    name, value = pair if len(pair) == 2 else (None, None)
    if isinstance(name, str):
        return lookup_of(name, value, table, annotations)
    raise QueryError(
        f"filter() takes conditions such as {table.model}.name == 'x', Q objects and lookups by name, not {item!r}; "
        "a comparison with a value of another type gives a plain bool"
    )


def lookup_of(name: str, value: object, table: TableSpec, annotations: Annotations | None = None) -> Condition:
    """What `filter(name=value)` means."""
    value = (
        _right(value, table, dict(annotations or {}))
        if isinstance(value, Deferred | Q | list | tuple)
        else operand(value)
    )
    if isinstance(value, Query):
        check_inside(value, table, annotations)
    return comparison(table, name, value, check=checked, annotations=annotations)


_FROM_A_TABLE: Final = (Deferred, Q)


def _right(value: Any, table: TableSpec, annotations: dict[str, ColumnType | None]) -> object:
    """What something is compared with: a node, a query, a plain value, or a list of those."""
    if isinstance(value, F):  # a key may have several columns
        return reference(table, value.name, annotations=annotations, columns=0)
    if isinstance(value, _FROM_A_TABLE):
        return expression_of(value, table, annotations)
    items = cast("list[object]", value) if isinstance(value, list | tuple) else []
    if any(isinstance(item, (*_FROM_A_TABLE, Expr)) for item in items):
        return [
            _right(item, table, annotations) if isinstance(item, (*_FROM_A_TABLE, Expr)) else item for item in items
        ]
    return operand(cast("object", value))


def _truth(item: Any, table: TableSpec, annotations: Annotations | None) -> Condition:
    """A boolean value as a condition."""
    node = expression_of(item, table, dict(annotations or {}))
    if isinstance(node, Predicate):
        return node.condition
    if node.type is not None and node.type.kind is not Kind.BOOLEAN:
        raise QueryError(
            f"{item!r} is a {node.type.kind.value}, and a condition is true or false; compare it with something"
        )
    return Truth(node)


def subquery_of(rows: Any) -> Subquery:
    """A queryset as one value.

    Raises:
        QueryError: It has not one column.
    """
    query: Query = operand(rows)  # type: ignore[assignment]
    columns = query.columns
    if columns is None or len(columns) != 1:
        raise QueryError(
            f"{rows!r} is to be one value, and has {'whole rows' if columns is None else f'{len(columns)} columns'}; "
            "name one column: .values('price')"
        )
    found = columns[0][1]
    if isinstance(found, AnnotationRef):
        found = dict(query.annotations)[found.name]
    return Subquery(query, found.type)


class Computable(Deferred):
    """What names columns by text and can be computed with, compared and ordered by, until a query gives it a table."""

    __slots__ = ()

    __iter__ = None  # parts have no end: nothing is gone through one by one

    def __getitem__(self, key: str | int | slice[Any, Any, Any]) -> Sliced:
        """A character or a slice of a text, an item or a slice of an array, a step into JSON."""
        return Sliced(self, key)

    def __add__(self, other: Any) -> Combined:
        return Combined("+", self, other)

    def __radd__(self, other: Any) -> Combined:
        return Combined("+", other, self)

    def __sub__(self, other: Any) -> Combined:
        return Combined("-", self, other)

    def __rsub__(self, other: Any) -> Combined:
        return Combined("-", other, self)

    def __mul__(self, other: Any) -> Combined:
        return Combined("*", self, other)

    def __rmul__(self, other: Any) -> Combined:
        return Combined("*", other, self)

    def __truediv__(self, other: Any) -> Combined:
        return Combined("/", self, other)

    def __rtruediv__(self, other: Any) -> Combined:
        return Combined("/", other, self)

    def __mod__(self, other: Any) -> Combined:
        return Combined("%", self, other)

    def __rmod__(self, other: Any) -> Combined:
        return Combined("%", other, self)

    def __pow__(self, other: Any) -> Combined:
        return Combined("**", self, other)

    def __rpow__(self, other: Any) -> Combined:
        return Combined("**", other, self)

    def __neg__(self) -> Combined:
        return Combined("*", self, -1)

    def __and__(self, other: Any) -> Q:
        return Q(self)._joined("and", other)  # pyright: ignore[reportPrivateUsage] - of the same file

    def __rand__(self, other: Any) -> Q:
        return Q(other)._joined("and", self)  # pyright: ignore[reportPrivateUsage] - of the same file

    def __or__(self, other: Any) -> Q:
        return Q(self)._joined("or", other)  # pyright: ignore[reportPrivateUsage] - of the same file

    def __ror__(self, other: Any) -> Q:
        return Q(other)._joined("or", self)  # pyright: ignore[reportPrivateUsage] - of the same file

    def __xor__(self, other: Any) -> Q:
        return Q(self)._joined("xor", other)  # pyright: ignore[reportPrivateUsage] - of the same file

    def __rxor__(self, other: Any) -> Q:
        return Q(other)._joined("xor", self)  # pyright: ignore[reportPrivateUsage] - of the same file

    def __invert__(self) -> Q:
        return ~Q(self)

    def bitand(self, other: Any) -> Combined:
        """The bits that both whole numbers have."""
        return Combined("&", self, other)

    def bitor(self, other: Any) -> Combined:
        """The bits that one of two whole numbers has."""
        return Combined("|", self, other)

    def bitxor(self, other: Any) -> Combined:
        """The bits that only one of two whole numbers has."""
        return Combined("^", self, other)

    def bitleftshift(self, other: Any) -> Combined:
        """A whole number with its bits moved up."""
        return Combined("<<", self, other)

    def bitrightshift(self, other: Any) -> Combined:
        """A whole number with its bits moved down."""
        return Combined(">>", self, other)

    def __eq__(self, other: object) -> Compared:  # type: ignore[override]
        return Compared(self, "exact", other)

    def __ne__(self, other: object) -> Compared:  # type: ignore[override]
        return Compared(self, "ne", other)

    def __lt__(self, other: Any) -> Compared:
        return Compared(self, "lt", other)

    def __le__(self, other: Any) -> Compared:
        return Compared(self, "lte", other)

    def __gt__(self, other: Any) -> Compared:
        return Compared(self, "gt", other)

    def __ge__(self, other: Any) -> Compared:
        return Compared(self, "gte", other)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise TypeError(f"{self!r} has no truth value of its own; compare it, and combine conditions with & | ~")

    def in_(self, values: Any) -> Compared:
        """Whether it is one of some values, or in the one column of a query."""
        return Compared(self, "in", values)

    def is_null(self) -> Compared:
        """Whether it is NULL."""
        return Compared(self, "isnull", True)

    def is_not_null(self) -> Compared:
        """Whether it has a value."""
        return Compared(self, "isnull", False)

    def between(self, low: Any, high: Any) -> Compared:
        """Whether it lies between two values, both included."""
        return Compared(self, "range", (low, high))

    def contains(self, text: str) -> Compared:
        """Whether text is part of it."""
        return Compared(self, "contains", text)

    def icontains(self, text: str) -> Compared:
        """As `contains`, whatever the case."""
        return Compared(self, "icontains", text)

    def startswith(self, text: str) -> Compared:
        """Whether it begins with text."""
        return Compared(self, "startswith", text)

    def istartswith(self, text: str) -> Compared:
        """As `startswith`, whatever the case."""
        return Compared(self, "istartswith", text)

    def endswith(self, text: str) -> Compared:
        """Whether it ends with text."""
        return Compared(self, "endswith", text)

    def iendswith(self, text: str) -> Compared:
        """As `endswith`, whatever the case."""
        return Compared(self, "iendswith", text)

    def iexact(self, text: str) -> Compared:
        """Whether it is the text, whatever the case."""
        return Compared(self, "iexact", text)

    def regex(self, pattern: str) -> Compared:
        """Whether a regular expression is found in it."""
        return Compared(self, "regex", pattern)

    def iregex(self, pattern: str) -> Compared:
        """As `regex`, whatever the case."""
        return Compared(self, "iregex", pattern)

    def asc(self, *, nulls: str | None = None) -> DeferredOrder:
        """Smallest first; `nulls` is `first` or `last`."""
        return DeferredOrder(self, False, nulls_of(nulls))

    def desc(self, *, nulls: str | None = None) -> DeferredOrder:
        """Greatest first; `nulls` is `first` or `last`."""
        return DeferredOrder(self, True, nulls_of(nulls))


class F(Computable):
    """A column by its name: `F("price") * 2`, `filter(paid__lt=F("price"))`, `filter(F("paid") < F("price"))`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - who does not check types
            raise QueryError(f"F({name!r}) takes the name of a column; a column stands for itself, without F()")
        self.name = name

    def resolved(self, table: TableSpec | None, annotations: dict[str, ColumnType | None] | None = None) -> Expression:
        """The node it means in a query over that table."""
        if table is None:
            raise QueryError(f"F({self.name!r}) needs a query to belong to")
        return reference(table, self.name, annotations=annotations)

    def __repr__(self) -> str:
        return f"F({self.name!r})"


class Sliced(Computable):
    """A part of something that is named by text: `F("title")[0:2]`."""

    __slots__ = ("key", "source")

    def __init__(self, source: Computable, key: str | int | slice[Any, Any, Any]) -> None:
        self.source = source
        self.key = key

    def resolved(self, table: TableSpec | None, annotations: dict[str, ColumnType | None] | None = None) -> Expression:
        """The node it means in a query over that table."""
        return items.item(self.source.resolved(table, annotations), self.key, repr(self.source))

    def __repr__(self) -> str:
        return f"{self.source!r}[{self.key!r}]"


class Combined(Computable):
    """Arithmetic with something that is named by text."""

    __slots__ = ("left", "operator", "right")

    def __init__(self, operator: str, left: Any, right: Any) -> None:
        self.operator = operator
        self.left = left
        self.right = right

    def resolved(self, table: TableSpec | None, annotations: dict[str, ColumnType | None] | None = None) -> Expression:
        """The node it means in a query over that table."""
        if table is None:
            raise QueryError(f"{self!r} needs a query to belong to")
        sides = [
            None if is_plain(side) else expression_of(side, table, annotations) for side in (self.left, self.right)
        ]
        known = next((node.type for node in sides if node is not None), None)
        left, right = (
            node if node is not None else operand_value(side, known, repr(self))
            for node, side in zip(sides, (self.left, self.right), strict=True)
        )
        return arithmetic(self.operator, left, right)

    def __repr__(self) -> str:
        return f"({self.left!r} {self.operator} {self.right!r})"


class Compared(Q):
    """A comparison with something that is named by text: `F("paid") < 5`."""

    __slots__ = ("left", "lookup", "right")

    def __init__(self, left: Any, lookup: str, right: Any) -> None:
        super().__init__()
        self.left = left
        self.lookup = lookup
        self.right = right

    def resolved(self, table: TableSpec, annotations: Annotations | None = None) -> Condition | None:
        """The condition it means in a query over that table."""
        known = dict(annotations or {})
        left = expression_of(self.left, table, known)
        choices = lookups_of(left.type) | lookups_for(left.type)
        if self.lookup not in choices and self.lookup not in comparisons:
            kind = "" if left.type is None else left.type.kind.value
            raise FieldError(
                f"{self.left!r} is {kind} and has no lookup {self.lookup!r}; the choices are: {choices_text(choices)}"
                f"{nearest(self.lookup, choices)}",
                name=self.lookup,
                choices=choices,
            )
        right = _right(self.right, table, known)
        if isinstance(right, Query):
            check_inside(right, table, known)
        check_owned(self.lookup, left, table, repr(self.left))
        return compare(left, self.lookup, right, name=repr(self.left), check=checked)

    def __repr__(self) -> str:
        return f"<{self.left!r} {self.lookup} {self.right!r}>"


class DeferredOrder:
    """`F("name").desc()`, until a query gives it a table."""

    __slots__ = ("is_descending", "nulls", "source")

    def __init__(self, source: Deferred | Q, is_descending: bool, nulls: str | None) -> None:
        self.source = source
        self.is_descending = is_descending
        self.nulls = nulls

    def resolved(self, table: TableSpec, annotations: dict[str, ColumnType | None] | None = None) -> Ordering:
        """The item of ORDER BY in a query over that table."""
        node = expression_of(self.source, table, annotations)
        return Ordering(node, descending=self.is_descending, nulls=self.nulls)

    def __repr__(self) -> str:
        nulls = "" if self.nulls is None else f"nulls={self.nulls!r}"
        return f"{self.source!r}.{'desc' if self.is_descending else 'asc'}({nulls})"


def check_owned(lookup: str, left: Expression, table: TableSpec | None, name: str) -> None:
    """Makes sure that a lookup which one field alone has is used of that field.

    Raises:
        FieldError: It is another one, or something computed.
    """
    if lookup not in owners:
        return
    here, field = table, ""
    if isinstance(left, FieldRef) and here is not None:
        for step in left.path:
            here = here.relations[step].target
        field = left.field
    if here is None or not is_of(lookup, here, field):
        raise FieldError(
            f"{name} has no lookup {lookup!r}, which is of {owners[lookup][1]!r} of one model", name=lookup
        )


def is_expression(value: object) -> bool:
    """Whether a value to be written is one that only the database can tell."""
    return isinstance(value, Deferred | Expr | Expression | Q | Condition)


def is_plain(side: object) -> bool:
    """Whether something is a value rather than a column or something computed."""
    return not isinstance(side, Deferred | Expr | Expression | Condition | Q | Related)


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
    if isinstance(item, Q | Condition):
        condition = condition_of(item, table, annotations)
        if condition is None:
            raise QueryError("an empty Q() has no value; give it a condition")
        return Predicate(condition)
    query = getattr(item, "query", None)
    if isinstance(query, Query):
        check_inside(query, table, annotations)
        return subquery_of(item)
    if isinstance(item, Related):
        if item.table is not table.origin:
            raise QueryError(f"{item!r} starts at {item.table.model}, not at {table.model}")
        return reference(table, "__".join(item.path), annotations=annotations)
    raise QueryError(f"{item!r} is no column; give a name, a column such as {table.model}.pk, or F()")


_PLAIN: Final[frozenset[type[object]]] = frozenset({Comparison, OfRow})


def is_simple(node: Any) -> TypeGuard[Comparison]:
    """Whether a node is a column compared with a value, as most conditions are: nothing in it needs to be looked at."""
    return type(node) in _PLAIN and type(node.right) is Value and type(node.left) is FieldRef


def is_own(item: object, table: TableSpec) -> TypeGuard[Comparison]:
    """Whether an argument of `filter` is a column of the model itself compared with a value: nothing is left to do."""
    if type(item) is not Comparison or type(item.right) is not Value:
        return False
    left = item.left
    return type(left) is FieldRef and (left.table is table or left.table is None or left.table is table.base)


def owned(node: Condition | Expression, table: TableSpec) -> None:
    """Makes sure that every typed column in a node belongs to a model.

    Raises:
        QueryError: One is another model's.
    """
    found: Iterable[Condition | Expression] = (node.left,) if is_simple(node) else parts(node)
    for part in found:
        if (
            isinstance(part, FieldRef)
            and part.table is not None
            and part.table is not table
            and part.table is not table.base
            and not part.outer
        ):
            other = cast("TableSpec", part.table)
            raise QueryError(
                f"{other.model}.{part.field} is a column of {other.model}, not of {table.model}; "
                f"walk over a relation, such as {table.model}.relation[{other.model}.{part.field}]"
            )
