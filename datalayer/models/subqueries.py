"""Queries inside queries: `Exists`, `Subquery`, and `OuterRef`, the name of a column of the query outside."""

from __future__ import annotations

from typing import Any, cast

from datalayer._query.condition import Condition, ExistsCondition
from datalayer._query.expression import Expression, FieldRef
from datalayer._query.expression import OuterRef as OuterNode
from datalayer._query.expression import Subquery as SubqueryNode
from datalayer._query.query import Query
from datalayer._schema.field import ColumnType
from datalayer._schema.table import TableSpec
from datalayer.errors import QueryError
from datalayer.models.column import Expr, operand
from datalayer.models.expressions import Annotations, Computable, Q, subquery_of
from datalayer.models.nesting import check_inside


class OuterRef(Computable):
    """A column of the query around this one: `Review.objects.filter(book=OuterRef("pk"))`.

    Args:
        source: Its name, or the column itself; an OuterRef looks one query further out.
    """

    __slots__ = ("source",)

    def __init__(self, source: str | Expr[Any, Any] | OuterRef) -> None:
        given = cast("object", source)
        if not isinstance(given, str | Expr | OuterRef):
            raise QueryError(f"OuterRef({given!r}): give the name of a column outside, or the column")
        self.source = source

    def resolved(self, table: TableSpec | None, annotations: dict[str, ColumnType | None] | None = None) -> Expression:
        """The node it means inside a query."""
        levels = 1
        source: Any = self.source
        while isinstance(source, OuterRef):
            levels += 1
            source = source.source
        if isinstance(source, str):
            return OuterNode(source, levels)
        node = source.node
        if not isinstance(node, FieldRef):
            raise QueryError(f"OuterRef({source!r}) is no column; compute inside: OuterRef(...) + 1")
        found = FieldRef(node.path, node.field, node.type, nullable=node.nullable, outer=levels)
        found.table = source.table
        return found

    def __repr__(self) -> str:
        return f"OuterRef({self.source!r})"


class Exists(Q):
    """Whether a query finds any row: `filter(Exists(Review.objects.filter(book=OuterRef("pk"))))`, `~Exists(...)`.

    Args:
        rows: The query, which may use `OuterRef`.
    """

    __slots__ = ("asked",)

    def __init__(self, rows: Any) -> None:
        super().__init__()
        query = operand(rows)
        if not isinstance(query, Query):
            raise QueryError(f"Exists() takes a query such as Book.objects.filter(...), not {rows!r}")
        self.asked = query if query.limit is not None or query.offset is not None else query.replaced(order=())

    def resolved(self, table: TableSpec, annotations: Annotations | None = None) -> Condition | None:
        """The condition it means in a query over that table."""
        check_inside(self.asked, table, annotations)
        return ExistsCondition(self.asked)

    def __repr__(self) -> str:
        return f"Exists({self.asked.table.model})"


class Subquery(Computable):
    """The one value of a query: `Subquery(Book.objects.filter(author=OuterRef("pk")).values("title")[:1])`.

    Args:
        rows: A query of one column, and one row at most.
    """

    __slots__ = ("node",)

    def __init__(self, rows: Any) -> None:
        if not isinstance(operand(rows), Query):
            raise QueryError(f"Subquery() takes a query such as Book.objects.values('price')[:1], not {rows!r}")
        self.node: SubqueryNode = subquery_of(rows)

    def resolved(self, table: TableSpec | None, annotations: dict[str, ColumnType | None] | None = None) -> Expression:
        """The node it means in a query over that table."""
        if table is not None:
            check_inside(self.node.query, table, annotations)
        return self.node

    def __repr__(self) -> str:
        return f"Subquery({self.node.query.table.model})"
