"""Conditions: what a row must satisfy. Immutable nodes with `shape` and `values`, as in `expression.py`."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from datalayer._query.expression import Expression

if TYPE_CHECKING:
    from datalayer._query.expression import Nodes
    from datalayer._query.query import Query


class Condition:
    """Parent of all conditions; combined with `&`, `|` and `~`."""

    __slots__ = ("shape", "values")
    shape: Hashable
    values: tuple[object, ...]

    @property
    def children(self) -> Nodes:
        """The nodes right below, in the order of their values; those of a nested query are its own."""
        return ()

    def __and__(self, other: object) -> Condition:
        return Junction("and", (self, other)) if isinstance(other, Condition) else NotImplemented

    def __or__(self, other: object) -> Condition:
        return Junction("or", (self, other)) if isinstance(other, Condition) else NotImplemented

    def __invert__(self) -> Condition:
        return Negation(self)

    def __bool__(self) -> bool:
        raise TypeError("a condition has no truth value of its own; combine conditions with & | ~, not and, or, not")

    def __repr__(self) -> str:  # without values: they may be secrets
        return f"<{type(self).__name__.lower()} {', '.join(map(repr, self.children))}>"


class Comparison(Condition):
    """`left lookup right`, the lookup being one of `lookup.LOOKUPS`. Order of values: left, right.

    `right` is None for lookups without an operand. For `in` it is a `Value` whose one value is the whole tuple.
    For `range` it is a `Value` whose one value is a pair. For `isnull` it is None and `lookup` is `isnull`/`notnull`.
    `transform` is a date part (`year`, `month`, ...) taken of the left side first.
    """

    __slots__ = ("left", "lookup", "right", "transform")

    def __init__(
        self, left: Expression, lookup: str, right: Expression | None = None, *, transform: str | None = None
    ) -> None:
        self.left = left
        self.lookup = lookup
        self.right = right
        self.transform = transform
        if right is None:
            self.shape = (lookup, left.shape, transform)
            self.values = left.values
        else:
            self.shape = (lookup, left.shape, right.shape, transform)
            self.values = left.values + right.values

    @property
    def children(self) -> Nodes:
        """The two sides; worked out when asked for, which for most conditions is never."""
        return (self.left,) if self.right is None else (self.left, self.right)

    def __repr__(self) -> str:
        left = repr(self.left) if self.transform is None else f"{self.left!r} {self.transform}"
        return f"<{left} {self.lookup}{'' if self.right is None else f' {self.right!r}'}>"


class OfRow(Comparison):
    """A comparison with the key of a row, or the keys of several, all of one database: in another one they are others'.

    `alias` is that database, and no part of the shape.
    """

    __slots__ = ("alias",)

    def __init__(self, plain: Comparison, alias: str) -> None:
        super().__init__(plain.left, plain.lookup, plain.right, transform=plain.transform)
        self.alias = alias


class Junction(Condition):
    """Children joined by `and`, `or` or `xor`. Order of values: the children's."""

    __slots__ = ("_children", "connector")

    def __init__(self, connector: str, children: tuple[Condition, ...]) -> None:
        self.connector = connector
        self._children = children
        self.shape = (connector, *[child.shape for child in children])
        self.values = tuple([value for child in children for value in child.values])

    @property
    def children(self) -> tuple[Condition, ...]:
        """What is joined."""
        return self._children

    def __repr__(self) -> str:
        return f"({f' {self.connector} '.join(map(repr, self.children))})"


class Negation(Condition):
    """NOT, with NULL counted as "no": rows where the inner condition is not true."""

    __slots__ = ("child",)

    def __init__(self, child: Condition) -> None:
        self.child = child
        self.shape = ("not", child.shape)
        self.values = child.values

    @property
    def children(self) -> Nodes:
        """What is not to be true."""
        return (self.child,)

    def __repr__(self) -> str:
        return f"~{self.child!r}"


class Truth(Condition):
    """A boolean value as a condition. Order of values: the expression's."""

    __slots__ = ("expression",)

    def __init__(self, expression: Expression) -> None:
        self.expression = expression
        self.shape = ("truth", expression.shape)
        self.values = expression.values

    @property
    def children(self) -> Nodes:
        """The value."""
        return (self.expression,)


class ExistsCondition(Condition):
    """Whether a query finds any row. Order of values: the query's."""

    __slots__ = ("query",)

    def __init__(self, query: Query) -> None:
        self.query = query
        self.shape = ("exists", query.shape)
        self.values = query.values

    def __repr__(self) -> str:
        return f"<exists {self.query.table.model}>"


class Nothing(Condition):
    """No row at all (`none()`, `in` with an empty list): the plans send nothing for it."""

    __slots__ = ()

    def __init__(self) -> None:
        self.shape = "nothing"
        self.values = ()
