"""Aggregates that bring values together instead of computing of them: a text, a list, a JSON array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from datalayer._query.arithmetic import TEXT, TEXTS
from datalayer._query.expression import Expression, Ordering
from datalayer._schema.field import ColumnType, Kind
from datalayer._schema.table import TableSpec
from datalayer.errors import QueryError
from datalayer.models.aggregates import Aggregate
from datalayer.models.expressions import expression_of
from datalayer.models.literals import literal
from datalayer.models.ordering import ordered_by


class _Collected(Aggregate[Any, Any]):
    """Values brought together, in an order where one is given.

    Args:
        source: What is collected.
        order_by: Columns, names, `-name`: the order of the items.
        filter: As in `Aggregate`.
        distinct: Each value once; then the order can only be that of the values.
        default: As in `Aggregate`.
    """

    __slots__ = ("order_by",)

    def __init__(
        self,
        source: Any,
        *,
        order_by: Any = (),
        filter: Any = None,
        distinct: bool = False,
        default: Any = None,
    ) -> None:
        super().__init__(source, filter=filter, distinct=distinct, default=default)
        is_many = isinstance(order_by, Sequence) and not isinstance(order_by, str)
        self.order_by: tuple[Any, ...] = tuple(cast("Sequence[Any]", order_by)) if is_many else (order_by,)

    def _order(self, table: TableSpec, annotations: dict[str, ColumnType | None] | None) -> tuple[Ordering, ...]:
        order = ordered_by(table, self.order_by, annotations or {})
        if self.is_distinct and order:
            source = expression_of(self.source, table, annotations)
            if any(item.expression.shape != source.shape for item in order):
                raise QueryError(f"{self!r} takes each value once, so it can only be ordered by that value")
        return order

    def _check(self, argument: Expression | None) -> None:
        if argument is None:
            raise QueryError(f"{type(self).__name__}({self.source!r}) needs a column; only Count() counts whole rows")
        super()._check(argument)


class StringAgg(_Collected):
    """Texts put together: `StringAgg("tags__label", ", ", order_by="tags__label")`; None over no rows.

    Args:
        source: A column of text.
        delimiter: What stands between two of them.
        order_by: As in the other collecting aggregates.
        filter: As in `Aggregate`.
        distinct: Each text once.
        default: As in `Aggregate`.
    """

    __slots__ = ("delimiter",)
    word = "string_agg"
    kinds = TEXTS

    def __init__(
        self,
        source: Any,
        delimiter: str = ",",
        *,
        order_by: Any = (),
        filter: Any = None,
        distinct: bool = False,
        default: Any = None,
    ) -> None:
        super().__init__(source, order_by=order_by, filter=filter, distinct=distinct, default=default)
        self.delimiter = delimiter

    def result(self, argument: ColumnType | None) -> ColumnType | None:
        """A text."""
        return TEXT

    def _extra(self) -> tuple[Expression, ...]:
        return (literal(self.delimiter, TEXT),)


class ArrayAgg(_Collected):
    """The values as a list; None over no rows, or `default`."""

    __slots__ = ()
    word = "array_agg"
    kinds = frozenset(Kind) - {Kind.BYTES, Kind.JSON}

    def result(self, argument: ColumnType | None) -> ColumnType | None:
        """A list of what is collected."""
        return None if argument is None else ColumnType(Kind.JSON, list, item=argument)


class JSONBAgg(_Collected):
    """The values as a JSON array; None over no rows, or `default`."""

    __slots__ = ()
    word = "jsonb_agg"
    kinds = frozenset(Kind) - {Kind.BYTES, Kind.DURATION}

    def result(self, argument: ColumnType | None) -> ColumnType | None:
        """JSON."""
        return ColumnType(Kind.JSON, list)
