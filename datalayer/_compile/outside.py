"""Writing around a finished SELECT: it becomes a subquery called `part`, and what is asked of it its columns.

SQL has no other way to aggregate over a slice, or to filter by a window.
"""

from __future__ import annotations

import sqlalchemy as sa

from datalayer._compile.aggregates import can_be_added_up, is_joined
from datalayer._compile.backends.base import Ordered
from datalayer._compile.joins import Element
from datalayer._compile.writer import AggregateParts, Writer
from datalayer._query.condition import Condition
from datalayer._query.expression import Aggregate, Expression, Value
from datalayer.errors import QueryError

PART = "part"


class Outside(Writer):
    """Collects the columns that the subquery must have.

    Attributes:
        within: The writer of the subquery.
        shipped: The columns.
        prefix: What their names begin with; both kinds may ask for columns of one subquery.
    """

    prefix = "a"

    def __init__(self, within: Writer) -> None:
        annotations = within.annotations
        super().__init__(within.backend, within.statement, within.scope, annotations=annotations, aggregates_here=True)
        self.parent, self._nested = within.parent, within._nested
        self.within = within
        self.shipped: list[Element] = []

    def ship(self, element: Element) -> Element:
        """The column outside that an element becomes."""
        name = f"{self.prefix}{len(self.shipped)}"
        self.shipped.append(element.label(name))
        return sa.literal_column(f"{PART}.{name}")


class Aggregating(Outside):
    """Writes aggregates over the rows of the subquery."""

    def aggregate_parts(self, node: Aggregate, at: int) -> AggregateParts:
        """The same, inside the subquery."""
        if is_joined(self.within, node):
            if not can_be_added_up(node):
                raise QueryError(
                    f"{node.name} over a relation to many rows cannot look at a slice or at distinct rows; ask for the "
                    "keys first: filter(pk__in=[...])"
                )
            raise AssertionError("taken row by row")  # pragma: no cover
        arguments, order, condition = self.within.aggregate_parts(node, at)
        shipped = [Ordered(self.ship(item.element), item.clause, item.item) for item in order]
        ordered = [Ordered(one.element, self.ordered(one.item, one.element), one.item) for one in shipped]
        return [self.ship(item) for item in arguments], ordered, None if condition is None else self.ship(condition)

    def of_one_row(self, node: Aggregate, at: int) -> Element:
        """The same, inside the subquery."""
        return self.ship(self.within.of_one_row(node, at))


class Qualifying(Outside):
    """Writes conditions on windows of the subquery; every value in them is computed inside."""

    prefix = "w"

    def expression(self, node: Expression, at: int) -> Element:
        """The value, computed inside."""
        return super().expression(node, at) if isinstance(node, Value) else self.ship(self.within.expression(node, at))

    def condition(self, node: Condition, at: int) -> Element:
        """The condition, or its truth where it needs no window."""
        if not self.walk.has_window(node):
            return self.backend.truth(self.ship(self.within.condition(node, at)))
        return super().condition(node, at)
