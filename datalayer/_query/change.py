"""Changes: INSERT, UPDATE and DELETE as immutable values, with shapes like queries."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from datalayer._query.expression import Expression
from datalayer._query.query import Query
from datalayer._schema.table import TableSpec


@dataclass(frozen=True, slots=True)
class Insert:
    """INSERT of rows that set the same fields.

    Attributes:
        table: Where to.
        fields: The field names that are set, in the order of each row's values.
        returning: The field names to read back.
        conflict: Field names of the conflict target; None where a conflict is an error; () for any conflict.
        update: On conflict: the fields to overwrite with the new values; empty for "do nothing".
    """

    table: TableSpec
    fields: tuple[str, ...]
    returning: tuple[str, ...] = ()
    conflict: tuple[str, ...] | None = None
    update: tuple[str, ...] = ()

    @property
    def shape(self) -> Hashable:
        """The insert without its values."""
        return ("insert", self.table.key, self.fields, self.returning, self.conflict, self.update)


@dataclass(frozen=True, slots=True)
class Update:
    """UPDATE of the rows a query finds. Order of values: assignments, then the query's."""

    query: Query
    assignments: tuple[tuple[str, Expression], ...]
    returning: tuple[str, ...] = ()

    @property
    def shape(self) -> Hashable:
        """The update without its values."""
        return ("update", self.query.shape, tuple([(n, e.shape) for n, e in self.assignments]), self.returning)

    @property
    def values(self) -> tuple[object, ...]:
        """Values in walking order."""
        return tuple([v for _, e in self.assignments for v in e.values]) + self.query.values


@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE of the rows a query finds."""

    query: Query
    returning: tuple[str, ...] = ()

    @property
    def shape(self) -> Hashable:
        """The delete without its values."""
        return ("delete", self.query.shape, self.returning)

    @property
    def values(self) -> tuple[object, ...]:
        """Values in walking order."""
        return self.query.values
