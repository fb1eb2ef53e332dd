"""Plain values, conditions and types where a column could stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast, overload

from datalayer._query import documents
from datalayer._query.arithmetic import FLOAT, INTEGERS, MOMENTS, NUMBERS, TEXTS, WIDE_DECIMAL
from datalayer._query.condition import Condition
from datalayer._query.expression import Case as CaseNode
from datalayer._query.expression import Expression, Function
from datalayer._schema.field import UNSET, ColumnType, Kind
from datalayer._schema.table import TableSpec
from datalayer.errors import QueryError
from datalayer.models.column import Expr
from datalayer.models.computed import computed, function, source_node
from datalayer.models.expressions import Computable, Q, condition_of
from datalayer.models.literals import literal
from datalayer.models.types import column_type

_NARROW: Final = 15
"""The digits of decimals that SQLite keeps as numbers."""

M = TypeVar("M")
T = TypeVar("T")


class Value(Computable, Generic[T]):
    """A plain value where a name could stand: `Value("none")` is text, and not a column called none.

    Args:
        value: The value; None is NULL.
        type: The Python type it is to be, where that is not clear from the value: `Value(None, int)`.
    """

    __slots__ = ("type", "value")
    is_literal = True

    def __init__(self, value: T, type: Any = None) -> None:
        self.value = value
        self.type = None if type is None else column_type(type, (), f"Value({value!r})")[0]
        literal(value, self.type)

    def resolved(self, table: TableSpec | None, annotations: dict[str, ColumnType | None] | None = None) -> Expression:
        """The node it means."""
        return literal(self.value, self.type)

    def __repr__(self) -> str:
        return f"Value({self.value!r})"


class When:
    """One case of `Case`: `When(price__lt=5, then=Value("cheap"))`.

    Args:
        conditions: Conditions, as in `filter`.
        then: The value where they hold; text is the name of a column.
        named: Lookups by name, as in `filter`.
    """

    __slots__ = ("conditions", "named", "then")

    if TYPE_CHECKING:

        def __init__(self, *conditions: Any, then: Any, **named: Any) -> None:
            self.conditions, self.named, self.then = conditions, named, then

    else:

        def __init__(self, *conditions, then=UNSET, **named):
            if not conditions and not named:
                raise QueryError("When() was given no condition; say when: When(price__lt=5, then=...)")
            self.conditions = conditions
            self.named = named
            self.then = then
            if then is UNSET:
                self.then = "..."
                raise QueryError(f"{self!r} has no value; say what it is then: When(price__lt=5, then=Value('cheap'))")

    def __repr__(self) -> str:
        shown = [*[repr(item) for item in self.conditions], *[f"{name}={item!r}" for name, item in self.named.items()]]
        return f"When({', '.join(shown)}, then={self.then!r})"


class Case(Computable):
    """The value of the first `When` that holds: `Case(When(price__lt=5, then=Value("cheap")), default=Value("dear"))`.

    Args:
        whens: The cases, in order.
        default: The value where none holds; NULL when nothing is given.
    """

    __slots__ = ("default", "whens")

    def __init__(self, *whens: When, default: Any = None) -> None:
        given = cast("tuple[object, ...]", whens)
        if not given or not all(isinstance(when, When) for when in given):
            raise QueryError(f"Case() takes When(...) first, not {given!r}")
        self.whens = whens
        self.default = default

    def resolved(self, table: TableSpec | None, annotations: dict[str, ColumnType | None] | None = None) -> Expression:
        """The node it means in a query over that table."""
        if table is None:
            raise QueryError(f"{self!r} needs a query to belong to")
        pairs: list[tuple[Condition, Expression]] = []
        for when in self.whens:
            condition = condition_of(Q(*when.conditions, **when.named), table, annotations)
            if condition is None:
                raise QueryError(f"{when!r} has an empty condition")
            pairs.append((condition, source_node(when.then, table, annotations)))
        default = None if self.default is None else source_node(self.default, table, annotations)
        values = [value for _, value in pairs] + ([] if default is None else [default])
        return CaseNode(tuple(pairs), default, common_type([value.type for value in values], "Case()"))

    def __repr__(self) -> str:
        return f"Case({', '.join(repr(when) for when in self.whens)}, default={self.default!r})"


def common_type(types: list[ColumnType | None], word: str) -> ColumnType | None:
    """The one type that several values have in common.

    Raises:
        QueryError: There is none.
    """
    known = [type for type in types if type is not None]
    if not known:
        return None
    kinds = {type.kind for type in known}
    if len(set(known)) == 1 or any(type.stored is not None for type in known):
        return known[0]
    if Kind.DECIMAL in kinds and kinds <= NUMBERS - {Kind.FLOAT}:
        return _common_decimal([type for type in known if type.kind is Kind.DECIMAL], has_others=len(kinds) > 1)
    if len(kinds) == 1:
        return known[0]
    if kinds <= INTEGERS:
        return ColumnType(Kind.BIG_INTEGER, int)
    if kinds <= NUMBERS:
        return FLOAT
    if kinds <= TEXTS:
        return ColumnType(Kind.TEXT, str)
    shown = " and ".join(sorted(kind.value for kind in kinds))
    raise QueryError(f"{word} is of {shown} at once; Cast() them to one type")


def _common_decimal(types: list[ColumnType], *, has_others: bool) -> ColumnType:
    """The type that holds the decimals of several, and whole numbers beside them: SQLite keeps wide ones as text."""
    sizes = [(type.precision - type.scale, type.scale) for type in types if type.precision and type.scale is not None]
    before, places = [max(sides) for sides in zip(*sizes, strict=True)] if sizes else (0, 0)
    if any(type.precision is None for type in types) or before + places > _NARROW:
        return WIDE_DECIMAL
    has_places = bool(sizes) and not has_others
    return ColumnType(Kind.DECIMAL, types[0].python, precision=_NARROW, scale=places if has_places else None)


@overload
def Coalesce(
    first: Expr[M, T | None], second: Expr[M, T] | Value[T] | T, /, *more: Expr[M, T] | Value[T] | T
) -> Expr[M, T]: ...
@overload
def Coalesce(first: Any, second: Any, /, *more: Any) -> Any: ...
def Coalesce(first: Any, second: Any, /, *more: Any) -> Any:
    """The first value that is not NULL; `Coalesce("note", Value("none"))`."""
    return function("Coalesce", "coalesce", (first, second, *more), lambda types: common_type(types, "Coalesce()"))


@overload
def Greatest(
    first: Expr[M, T], second: Expr[M, T] | Value[T] | T, /, *more: Expr[M, T] | Value[T] | T
) -> Expr[M, T]: ...
@overload
def Greatest(first: Any, second: Any, /, *more: Any) -> Any: ...
def Greatest(first: Any, second: Any, /, *more: Any) -> Any:
    """The greatest value; NULLs are looked past, on every backend."""
    return function("Greatest", "greatest", (first, second, *more), lambda types: common_type(types, "Greatest()"))


@overload
def Least(first: Expr[M, T], second: Expr[M, T] | Value[T] | T, /, *more: Expr[M, T] | Value[T] | T) -> Expr[M, T]: ...
@overload
def Least(first: Any, second: Any, /, *more: Any) -> Any: ...
def Least(first: Any, second: Any, /, *more: Any) -> Any:
    """The smallest value; NULLs are looked past, on every backend."""
    return function("Least", "least", (first, second, *more), lambda types: common_type(types, "Least()"))


@overload
def NullIf(first: Expr[M, T], second: Expr[M, T] | Value[T] | T, /) -> Expr[M, T | None]: ...
@overload
def NullIf(first: Any, second: Any, /) -> Any: ...
def NullIf(first: Any, second: Any, /) -> Any:
    """The first value, and NULL where it equals the second."""

    def result(types: list[ColumnType | None]) -> ColumnType | None:
        common_type(types, "NullIf()")
        return types[0]

    return function("NullIf", "nullif", (first, second), result)


_ALWAYS = frozenset({Kind.TEXT, Kind.STRING})
_CASTS: dict[Kind, frozenset[Kind]] = {
    **{kind: NUMBERS | TEXTS | {Kind.BOOLEAN} for kind in (*INTEGERS, Kind.FLOAT, Kind.DECIMAL)},
    Kind.BOOLEAN: INTEGERS | TEXTS,
    Kind.DATE: MOMENTS | TEXTS,
    Kind.TIME: frozenset({Kind.DATETIME, Kind.NAIVE_DATETIME}) | TEXTS,
    Kind.DATETIME: MOMENTS | TEXTS,
    Kind.NAIVE_DATETIME: MOMENTS | TEXTS,
    Kind.UUID: TEXTS,
}
"""From what each kind can be made, beside its own."""


@overload
def Cast(source: Expr[M, Any], type: type[T], /) -> Expr[M, T]: ...
@overload
def Cast(source: Any, type: Any, /) -> Any: ...
def Cast(source: Any, type: Any, /) -> Any:
    """A value as one of another type: `Cast("price", int)`, `Cast(Book.pages, str)`.

    Doubles become whole numbers by rounding half to even, decimals half away from zero, on every backend.

    Args:
        source: What is converted.
        type: The Python type, or anything that a field may be annotated with.

    Raises:
        QueryError: Values of the one type cannot be made of the other.
    """
    to, _ = column_type(type, (), "Cast()")

    def build(nodes: list[Expression]) -> Expression:
        (node,) = nodes
        if node.type is not None and node.type.kind is Kind.JSON and to.kind is not Kind.JSON:
            node = documents.as_text(node, repr(source))
        given = node.type
        if given is not None and to.kind is not given.kind:
            is_text = to.kind in _ALWAYS and given.kind not in {Kind.BYTES, Kind.DURATION}
            if not is_text and given.kind not in _CASTS.get(to.kind, frozenset()):
                raise QueryError(f"Cast({source!r}): a {given.kind.value} cannot become a {to.kind.value}")
        return Function("cast", (node,), to)

    return computed("Cast", (source,), build)
