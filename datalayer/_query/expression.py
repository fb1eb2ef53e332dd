"""Expressions: the nodes a question is made of.

Every node is immutable and knows two things from birth: its `shape`, a hashable description without any value, and
its `values`, the plain Python values in the order in which a walk over its children meets them. Equal shapes compile
to equal SQL, so the compiler is asked once per shape; on later uses only the values are read.

The law: `values` is exactly the concatenation of the children's values in the order of `__slots__` documentation
("order of values" in each class). The compiler counts on it.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from datalayer._schema.field import ColumnType

if TYPE_CHECKING:
    from datalayer._query.condition import Condition
    from datalayer._query.query import Query


class Expression:
    """A typed SQL value.

    Attributes:
        shape: Hashable, without values.
        values: Plain Python values, unconverted, in walking order.
        type: The column type of the result; None where it is not known.
    """

    __slots__ = ("shape", "type", "values")
    shape: Hashable
    values: tuple[object, ...]
    type: ColumnType | None


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


class AnnotationRef(Expression):
    """An annotation of the same query, by its name."""

    __slots__ = ("name",)

    def __init__(self, name: str, type: ColumnType | None) -> None:
        self.name = name
        self.type = type
        self.shape = ("annotation", name)
        self.values = ()


class Value(Expression):
    """A bound value. `type` says how it is converted; it is part of the shape."""

    __slots__ = ()

    def __init__(self, value: object, type: ColumnType | None) -> None:
        self.type = type
        self.shape = ("value", type)
        self.values = (value,)


class Arithmetic(Expression):
    """`left operator right` with `+ - * / % ||`. Order of values: left, right."""

    __slots__ = ("left", "operator", "right")

    def __init__(self, operator: str, left: Expression, right: Expression, type: ColumnType | None) -> None:
        self.operator = operator
        self.left = left
        self.right = right
        self.type = type
        self.shape = (operator, left.shape, right.shape)
        self.values = left.values + right.values


class Function(Expression):
    """A function of the portable library (`lower`, `coalesce`, `now`, ...). Order of values: arguments."""

    __slots__ = ("arguments", "name")

    def __init__(self, name: str, arguments: tuple[Expression, ...], type: ColumnType | None) -> None:
        self.name = name
        self.arguments = arguments
        self.type = type
        self.shape = ("function", name, tuple([a.shape for a in arguments]), type)
        self.values = tuple([value for a in arguments for value in a.values])


class Aggregate(Expression):
    """`count sum avg min max` over rows; `argument` None means `count(*)`. Order of values: argument, condition."""

    __slots__ = ("argument", "condition", "distinct", "name")

    def __init__(
        self,
        name: str,
        argument: Expression | None,
        type: ColumnType | None,
        *,
        distinct: bool = False,
        condition: Condition | None = None,
    ) -> None:
        self.name = name
        self.argument = argument
        self.distinct = distinct
        self.condition = condition
        self.type = type
        self.shape = (
            "aggregate",
            name,
            None if argument is None else argument.shape,
            distinct,
            None if condition is None else condition.shape,
        )
        self.values = (() if argument is None else argument.values) + (() if condition is None else condition.values)


class Subquery(Expression):
    """A query used as one value. Order of values: the query's."""

    __slots__ = ("query",)

    def __init__(self, query: Query, type: ColumnType | None) -> None:
        self.query = query
        self.type = type
        self.shape = ("subquery", query.shape)
        self.values = query.values


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
