"""What is computed from other values: functions, CASE, casts. Typed where all of its columns are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from datalayer._query.expression import Expression, Function
from datalayer._schema.field import ColumnType
from datalayer._schema.table import TableSpec
from datalayer.errors import QueryError
from datalayer.models.column import Expr
from datalayer.models.expressions import Computable, expression_of, is_plain
from datalayer.models.literals import literal

Build: TypeAlias = Callable[[list[Expression]], Expression]
"""The nodes of what something is computed from -> its own node."""


class Computed(Computable):
    """A value computed from others, until a query gives it a table."""

    __slots__ = ("build", "sources", "word")

    def __init__(self, word: str, sources: Sequence[Any], build: Build) -> None:
        self.word = word
        self.sources = tuple(sources)
        self.build = build

    def resolved(self, table: TableSpec | None, annotations: dict[str, ColumnType | None] | None = None) -> Expression:
        """The node it means in a query over that table."""
        if table is None:
            raise QueryError(f"{self!r} needs a query to belong to")
        return self.build([source_node(source, table, annotations) for source in self.sources])

    def __repr__(self) -> str:
        return f"{self.word}({', '.join(repr(source) for source in self.sources)})"


def source_node(source: Any, table: TableSpec, annotations: dict[str, ColumnType | None] | None) -> Expression:
    """The node of what a function is given: text is a name, other plain values are themselves."""
    if is_plain(source) and not isinstance(source, str) and not hasattr(source, "query"):
        return literal(source)
    return expression_of(source, table, annotations)


def computed(word: str, sources: Sequence[Any], build: Build) -> Any:
    """A value computed from others: typed (`Expr`) when typed columns of one model are all it is made of."""
    found = Computed(word, sources, build)
    tables: list[TableSpec | None] = [source.table for source in sources if isinstance(source, Expr)]
    table = tables[0] if tables else None
    if table is None or any(other is not table for other in tables):
        return found
    if all(isinstance(item, Expr) or stands_alone(item) for item in sources):
        typed: Any = Expr
        return typed(found.resolved(table), table, repr(found))
    return found


def stands_alone(item: object) -> bool:
    """Whether something is a value that needs no table."""
    return getattr(item, "is_literal", False) or (is_plain(item) and not isinstance(item, str))


def function(
    word: str,
    name: str,
    sources: Sequence[Any],
    result: ColumnType | Callable[[list[ColumnType | None]], ColumnType | None] | None,
    check: Callable[[list[Expression]], None] | None = None,
) -> Any:
    """A function of the library.

    Args:
        word: Its name in Python, for messages.
        name: Its portable name.
        sources: What it is given.
        result: The type of its value, or what tells it from the types of the arguments.
        check: Refuses arguments of the wrong type.
    """

    def build(nodes: list[Expression]) -> Expression:
        if check is not None:
            check(nodes)
        type = result([node.type for node in nodes]) if callable(result) else result
        return Function(name, tuple(nodes), type)

    return computed(word, sources, build)
