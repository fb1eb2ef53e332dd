"""Windows: a value over the rows around each row, which stays a row of its own."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, cast

from datalayer._query.arithmetic import FLOAT, INTEGERS, NUMBERS, WHOLE
from datalayer._query.expression import Aggregate as AggregateNode
from datalayer._query.expression import Expression, Function, Ordering
from datalayer._query.expression import Frame as FrameNode
from datalayer._query.expression import Window as WindowNode
from datalayer._query.walk import parts
from datalayer._schema.field import ColumnType
from datalayer._schema.table import TableSpec
from datalayer.errors import QueryError
from datalayer.models.aggregates import Aggregate
from datalayer.models.computed import source_node
from datalayer.models.expressions import Computable, expression_of
from datalayer.models.literals import literal
from datalayer.models.ordering import ordered_by

_UNITS: Final = ("ROWS", "RANGE", "GROUPS")
_EXCLUDED: Final = {"current row": "CURRENT ROW", "group": "GROUP", "ties": "TIES"}


class WindowFunction:
    """Parent of the functions that only a window has.

    Args:
        sources: What it looks at: columns, names, plain values.
    """

    __slots__ = ("sources",)
    word = ""
    result: ColumnType | None = None
    needs_order = True

    def __init__(self, *sources: Any) -> None:
        self.sources = sources

    def node(self, table: TableSpec, annotations: dict[str, ColumnType | None] | None) -> Expression:
        """The call in a query over that table."""
        nodes = [source_node(source, table, annotations) for source in self.sources]
        return Function(self.word, tuple(nodes), self.result or (nodes[0].type if nodes else None))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(repr(source) for source in self.sources)})"


class _OfOrder(WindowFunction):
    """A place in the order; takes nothing."""

    __slots__ = ()
    result = WHOLE

    def __init__(self) -> None:
        super().__init__()


class RowNumber(_OfOrder):
    """1, 2, 3, ... in the order of the window."""

    __slots__ = ()
    word = "row_number"
    needs_order = False


class Rank(_OfOrder):
    """The place in the order, the same for equal rows, with gaps after them."""

    __slots__ = ()
    word = "rank"


class DenseRank(_OfOrder):
    """The place in the order, the same for equal rows, without gaps."""

    __slots__ = ()
    word = "dense_rank"


class PercentRank(_OfOrder):
    """The place in the order from 0 to 1."""

    __slots__ = ()
    word = "percent_rank"
    result = FLOAT


class CumeDist(_OfOrder):
    """The share of the rows that come no later."""

    __slots__ = ()
    word = "cume_dist"
    result = FLOAT


class Ntile(WindowFunction):
    """The number of the bucket, of as many nearly equal ones as asked for."""

    __slots__ = ()
    word = "ntile"
    result = WHOLE

    def __init__(self, buckets: int) -> None:
        super().__init__(_whole(buckets, "Ntile"))


class _Neighbour(WindowFunction):
    """The value of a row before or after.

    Args:
        source: The column.
        offset: How many rows away.
        default: The value where there is no such row; NULL when nothing is given.
    """

    __slots__ = ("default",)

    def __init__(self, source: Any, offset: int = 1, default: Any = None) -> None:
        super().__init__(source, _whole(offset, type(self).__name__, 0))
        self.default = default

    def node(self, table: TableSpec, annotations: dict[str, ColumnType | None] | None) -> Expression:
        """The call in a query over that table."""
        found = super().node(table, annotations)
        assert isinstance(found, Function)
        type = found.arguments[0].type
        if self.default is None:
            return Function(self.word, found.arguments, type)
        is_name = isinstance(self.default, str)
        other = source_node(self.default, table, annotations) if is_name or not _is_value(self.default) else None
        return Function(self.word, (*found.arguments, other or literal(self.default, type)), type)


class Lag(_Neighbour):
    """The value of a row before: `Lag("price")`, `Lag("price", 2, default=0)`."""

    __slots__ = ()
    word = "lag"


class Lead(_Neighbour):
    """The value of a row after."""

    __slots__ = ()
    word = "lead"


class FirstValue(WindowFunction):
    """The value of the first row of the frame."""

    __slots__ = ()
    word = "first_value"

    def __init__(self, source: Any) -> None:
        super().__init__(source)


class LastValue(WindowFunction):
    """The value of the last row of the frame, which ends at the current row unless `rows=` says otherwise."""

    __slots__ = ()
    word = "last_value"

    def __init__(self, source: Any) -> None:
        super().__init__(source)


class NthValue(WindowFunction):
    """The value of the nth row of the frame, counted from 1; NULL where there are fewer."""

    __slots__ = ()
    word = "nth_value"

    def __init__(self, source: Any, number: int) -> None:
        super().__init__(source, _whole(number, "NthValue"))


def _whole(number: object, word: str, least: int = 1) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise QueryError(f"{word}() needs a whole number from {least}, not {number!r}")
    return number


def _is_value(value: object) -> bool:
    return not hasattr(value, "resolved") and not hasattr(value, "node") and not hasattr(value, "shape")


class Frame:
    """Which rows around the current one a window looks at: `Frame(-3, 0)` are the three before it and itself.

    Args:
        start: How far before the current row it begins (negative: before, 0: at it); None from the first row.
        end: How far after it ends; None to the last row.
        unit: `rows` counts rows, `groups` rows that are equal in the order; `range` goes by the value of the one number
            that the window is ordered by: `Frame(-5, 5, unit="range")` has all that are at most 5 away.
        exclude: What is left out: `current row`, `group` (all equal rows) or `ties` (the other equal rows).

    Raises:
        QueryError: The end is before the start, or a word is unknown.
    """

    __slots__ = ("node",)

    def __init__(
        self,
        start: float | Decimal | None = None,
        end: float | Decimal | None = 0,
        *,
        unit: str = "rows",
        exclude: str | None = None,
    ) -> None:
        word = unit.upper()
        if word not in _UNITS:
            raise QueryError(f"a frame counts rows, groups or a range, not {unit!r}")
        first, last = _bound(start, word), _bound(end, word)
        if first is not None and last is not None and first > last:
            raise QueryError(f"a frame cannot end ({end}) before it starts ({start})")
        if exclude is not None and exclude not in _EXCLUDED:
            raise QueryError(f"a frame leaves out 'current row', 'group' or 'ties', not {exclude!r}")
        self.node = FrameNode(word, first, last, None if exclude is None else _EXCLUDED[exclude])


def _bound(bound: object, unit: str) -> int | Decimal | None:
    if bound is None or (isinstance(bound, int) and not isinstance(bound, bool)):
        return bound
    if unit != "RANGE":
        raise QueryError(f"a frame is bounded by whole numbers and None, not by {bound!r}")
    number = Decimal(repr(bound)) if isinstance(bound, float) else bound
    if not isinstance(number, Decimal) or not number.is_finite():
        raise QueryError(f"a frame by range is bounded by numbers and None, not by {bound!r}")
    return number


def _check_by_value(frame: FrameNode, order: tuple[Ordering, ...], window: Window) -> None:
    """Makes sure that a frame by value has one number to go by.

    Raises:
        QueryError: It has not.
    """
    if len(order) != 1:
        raise QueryError(f"{window!r}: a frame by range goes by one number, so order by exactly one")
    type = order[0].expression.type
    if type is not None and type.kind not in NUMBERS:
        raise QueryError(f"{window!r}: a frame by range goes by a number, and the order is {type.kind.value}")
    fractions = [bound for bound in (frame.start, frame.end) if isinstance(bound, Decimal) and bound % 1]
    if fractions and type is not None and type.kind in INTEGERS:
        raise QueryError(f"{window!r}: the order is of whole numbers, and {fractions[0]} is none")


class Window(Computable):
    """A value over the rows around each row: `Window(Rank(), partition_by="author", order_by="-price")`.

    Args:
        function: `Rank()`, `Lag("price")`, ..., or an aggregate such as `Sum("price")`.
        partition_by: Columns or names; rows that agree in them are looked at together.
        order_by: The order inside of that: columns, names, `-name`.
        frame: Which rows of it count, for aggregates, `FirstValue`, `LastValue` and `NthValue`.
    """

    __slots__ = ("frame", "function", "order_by", "partition_by")

    def __init__(
        self,
        function: WindowFunction | Aggregate[Any, Any],
        *,
        partition_by: Any = (),
        order_by: Any = (),
        frame: Frame | None = None,
    ) -> None:
        given = cast("object", function)
        if not isinstance(given, WindowFunction | Aggregate):
            raise QueryError(f"Window() takes Rank(), Lag(...), Sum(...) and the like, not {given!r}")
        self.function = function
        self.partition_by = _several(partition_by)
        self.order_by = _several(order_by)
        self.frame = frame
        if isinstance(function, WindowFunction) and function.needs_order and not self.order_by:
            raise QueryError(f"{function!r} is about an order; give one: Window({function!r}, order_by=...)")

    def resolved(self, table: TableSpec | None, annotations: dict[str, ColumnType | None] | None = None) -> Expression:
        """The node it means in a query over that table."""
        if table is None:
            raise QueryError(f"{self!r} needs a query to belong to")
        if isinstance(self.function, Aggregate):
            function = self.function.resolved(table, annotations)
            if not isinstance(function, AggregateNode):
                raise QueryError(
                    f"{self.function!r} with a default has no place in a window; use Coalesce(Window(...))"
                )
            if function.distinct or function.order:
                raise QueryError(f"{self.function!r} in a window knows neither distinct nor an order of its own")
        else:
            function = self.function.node(table, annotations)
        partition = tuple([expression_of(item, table, annotations) for item in self.partition_by])
        order = ordered_by(table, self.order_by, annotations or {})
        frame = None if self.frame is None else self.frame.node
        if frame is not None and frame.unit == "GROUPS" and not order:
            raise QueryError(f"{self!r}: a frame of groups counts rows that are equal in an order; give order_by=")
        if frame is not None and frame.is_by_value:
            _check_by_value(frame, order, self)
        found = WindowNode(function, partition, order, frame)
        below = (*function.children, *found.children[1:])
        if any(isinstance(part, WindowNode) for child in below for part in parts(child)):
            raise QueryError(f"{self!r} is over another window; annotate that first, and ask in a Subquery")
        return found

    def __repr__(self) -> str:
        return f"Window({self.function!r})"


def _several(items: Any) -> tuple[Any, ...]:
    return tuple(items) if _is_several(items) else (items,)


def _is_several(items: object) -> bool:
    return isinstance(items, Sequence) and not isinstance(items, str)


__all__ = [
    "CumeDist",
    "DenseRank",
    "FirstValue",
    "Frame",
    "Lag",
    "LastValue",
    "Lead",
    "NthValue",
    "Ntile",
    "PercentRank",
    "Rank",
    "RowNumber",
    "Window",
]
