"""Expressions: the nodes a question is made of.

Every node is immutable and knows two things from birth: its `shape`, a hashable description without any value, and
its `values`, the plain Python values in the order in which a walk over its children meets them. Equal shapes compile
to equal SQL, so the compiler is asked once per shape; on later uses only the values are read.

The law: `values` is exactly the concatenation of the children's values in the order of `__slots__` documentation
("order of values" in each class). The compiler counts on it.
"""

from __future__ import annotations

from collections.abc import Hashable
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from datalayer._schema.field import ColumnType, Kind

if TYPE_CHECKING:
    from typing import TypeAlias

    from datalayer._query.condition import Condition
    from datalayer._query.query import Query

    Nodes: TypeAlias = "tuple[Condition | Expression, ...]"

BOOLEAN: Final = ColumnType(Kind.BOOLEAN, bool)


class Expression:
    """A typed SQL value.

    Attributes:
        shape: Hashable, without values.
        values: Plain Python values, unconverted, in walking order.
        type: The column type of the result; None where it is not known.
        children: The nodes right below, in the order of their values; those of a nested query are its own.
    """

    __slots__ = ("shape", "type", "values")
    shape: Hashable
    values: tuple[object, ...]
    type: ColumnType | None
    children: Nodes = ()

    def __repr__(self) -> str:  # without values: they may be secrets
        return f"{getattr(self, 'name', type(self).__name__.lower())}({', '.join(map(repr, self.children))})"


class FieldRef(Expression):
    """A column reached over a path of relations; `path` is empty for the query's own table.

    `outer` counts how many queries further out the path starts (OuterRef: 1). `table` is where the path starts, when
    the caller said so (`Book.title`): it lets a query refuse another model's column, and is no part of the shape.
    """

    __slots__ = ("field", "nullable", "outer", "path", "table")

    def __init__(
        self, path: tuple[str, ...], field: str, type: ColumnType | None, *, nullable: bool = False, outer: int = 0
    ) -> None:
        self.path = path
        self.field = field
        self.type = type
        self.nullable = nullable
        self.outer = outer
        self.table: object = None
        self.shape = ("field", path, field, outer)
        self.values = ()

    def __repr__(self) -> str:
        return "__".join((*self.path, self.field))


class OuterRef(Expression):
    """A name of the query around this one, looked up when that is known: `levels` is 1, or more further out.

    `columns` is how many it must stand for: a key may have several.
    """

    __slots__ = ("columns", "levels", "name")

    def __init__(self, name: str, levels: int = 1, columns: int = 1) -> None:
        self.name = name
        self.levels = levels
        self.columns = columns
        self.type = None
        self.shape = ("outer", name, levels, columns)
        self.values = ()

    def __repr__(self) -> str:
        return f"OuterRef({self.name!r})"


class AnnotationRef(Expression):
    """An annotation of the same query, by its name."""

    __slots__ = ("name",)

    def __init__(self, name: str, type: ColumnType | None) -> None:
        self.name = name
        self.type = type
        self.shape = ("annotation", name)
        self.values = ()

    def __repr__(self) -> str:
        return self.name


_UNTYPED: Final = ("value", None)


class Value(Expression):
    """A bound value. `type` says how it is converted; it is part of the shape."""

    __slots__ = ()

    def __init__(self, value: object, type: ColumnType | None) -> None:
        self.type = type
        self.shape = _UNTYPED if type is None else type.bound
        self.values = (value,)

    def __repr__(self) -> str:
        return "?"


class Key(Value):
    """A bound value that belongs to the question itself: a step into JSON. Equal shapes step to the same place."""

    __slots__ = ()

    def __init__(self, value: str | int, type: ColumnType | None) -> None:
        super().__init__(value, type)
        self.shape = ("key", value, type)


class Arithmetic(Expression):
    """`left operator right` with `+ - * / % || & | ^ << >>`. Order of values: left, right."""

    __slots__ = ("children", "left", "operator", "right")

    def __init__(self, operator: str, left: Expression, right: Expression, type: ColumnType | None) -> None:
        self.operator = operator
        self.left = left
        self.right = right
        self.type = type
        self.shape = (operator, left.shape, right.shape)
        self.values = left.values + right.values
        self.children = (left, right)

    def __repr__(self) -> str:
        return f"({self.left!r} {self.operator} {self.right!r})"


class Function(Expression):
    """A function of the portable library (`lower`, `coalesce`, `now`, ...). Order of values: arguments."""

    __slots__ = ("arguments", "children", "name")

    def __init__(self, name: str, arguments: tuple[Expression, ...], type: ColumnType | None) -> None:
        self.name = name
        self.arguments = arguments
        self.type = type
        self.shape = ("function", name, tuple([a.shape for a in arguments]), type)
        self.values = tuple([value for a in arguments for value in a.values])
        self.children = arguments


class Case(Expression):
    """The value behind the first condition that is true, else the default. Order of values: pair by pair, default."""

    __slots__ = ("children", "default", "pairs")

    def __init__(
        self,
        pairs: tuple[tuple[Condition, Expression], ...],
        default: Expression | None,
        type: ColumnType | None,
    ) -> None:
        self.pairs = pairs
        self.default = default
        self.type = type
        self.shape = (
            "case",
            tuple([(condition.shape, then.shape) for condition, then in pairs]),
            None if default is None else default.shape,
            type,
        )
        nodes = tuple([node for pair in pairs for node in pair])
        self.children = nodes if default is None else (*nodes, default)
        self.values = values_of(self.children)


class Predicate(Expression):
    """The truth of a condition as a value. Order of values: the condition's."""

    __slots__ = ("children", "condition")

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.type = BOOLEAN
        self.shape = ("predicate", condition.shape)
        self.values = condition.values
        self.children = (condition,)


class Aggregate(Expression):
    """`count sum avg min max ...` over rows; `argument` None means `count(*)`.

    Order of values: argument, extra, order, condition.

    Attributes:
        argument: What it runs over.
        extra: Further arguments: the text between the items of `string_agg`.
        order: In which order it meets the rows.
        condition: Which rows it meets.
        distinct: Whether it meets equal values once.
    """

    __slots__ = ("argument", "children", "condition", "distinct", "extra", "name", "order")

    def __init__(
        self,
        name: str,
        argument: Expression | None,
        type: ColumnType | None,
        *,
        distinct: bool = False,
        condition: Condition | None = None,
        extra: tuple[Expression, ...] = (),
        order: tuple[Ordering, ...] = (),
    ) -> None:
        self.name = name
        self.argument = argument
        self.distinct = distinct
        self.condition = condition
        self.extra = extra
        self.order = order
        self.type = type
        self.shape = (
            "aggregate",
            name,
            None if argument is None else argument.shape,
            distinct,
            None if condition is None else condition.shape,
            tuple([item.shape for item in extra]),
            tuple([item.shape for item in order]),
        )
        nodes: Nodes = () if argument is None else (argument,)
        nodes = (*nodes, *extra, *[item.expression for item in order])
        self.children = nodes if condition is None else (*nodes, condition)
        self.values = values_of(self.children)


class Frame(NamedTuple):
    """Which rows around the current one a window looks at.

    Attributes:
        unit: `ROWS`, `GROUPS` or `RANGE`.
        start, end: How far from the current row, negative before it; None without end. Numbers of a `RANGE` are
            distances of values.
        exclude: What is left out, in SQL's words; else None.
    """

    unit: str
    start: int | Decimal | None
    end: int | Decimal | None
    exclude: str | None

    @property
    def is_by_value(self) -> bool:
        """Whether the distance of values decides."""
        return self.unit == "RANGE" and bool(self.start or self.end)


class Window(Expression):
    """A function or an aggregate over the rows around each row. Order of values: function, partition, order.

    Attributes:
        function: What is computed.
        partition: Rows that agree in these are looked at together.
        order: The order inside a part.
        frame: Which rows of the part count; None for the usual ones.
    """

    __slots__ = ("children", "frame", "function", "order", "partition")

    def __init__(
        self,
        function: Expression,
        partition: tuple[Expression, ...],
        order: tuple[Ordering, ...],
        frame: Frame | None,
    ) -> None:
        self.function = function
        self.partition = partition
        self.order = order
        self.frame = frame
        self.type = function.type
        self.shape = (
            "window",
            function.shape,
            tuple([item.shape for item in partition]),
            tuple([item.shape for item in order]),
            frame,
        )
        self.children = (function, *partition, *[item.expression for item in order])
        self.values = values_of(self.children)


class Subquery(Expression):
    """A query used as one value. Order of values: the query's."""

    __slots__ = ("query",)

    def __init__(self, query: Query, type: ColumnType | None) -> None:
        self.query = query
        self.type = type
        self.shape = ("subquery", query.shape)
        self.values = query.values


class Together(Expression):
    """Several values compared as one: `(a, b) IN (...)`. Order of values: parts."""

    __slots__ = ("children", "parts")

    def __init__(self, parts: tuple[Expression, ...]) -> None:
        self.parts = parts
        self.type = None
        self.shape = ("together", tuple([part.shape for part in parts]))
        self.children = parts
        self.values = values_of(parts)


class Ordering:
    """One item of ORDER BY. NULLs come last ascending and first descending on every backend unless said otherwise."""

    __slots__ = ("descending", "expression", "nulls", "shape", "values")

    def __init__(self, expression: Expression, *, descending: bool = False, nulls: str | None = None) -> None:
        self.expression = expression
        self.descending = descending
        self.nulls = nulls
        self.shape: Hashable = (expression.shape, descending, nulls)
        self.values = expression.values

    def reversed(self) -> Ordering:
        """The opposite order, NULLs included."""
        nulls = {None: None, "first": "last", "last": "first"}[self.nulls]
        return Ordering(self.expression, descending=not self.descending, nulls=nulls)

    def __repr__(self) -> str:
        nulls = "" if self.nulls is None else f" nulls {self.nulls}"
        return f"<{self.expression!r} {'desc' if self.descending else 'asc'}{nulls}>"


def values_of(nodes: Nodes) -> tuple[object, ...]:
    """The values of nodes, one after the other."""
    return tuple([value for node in nodes for value in node.values])
