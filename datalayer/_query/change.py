"""Changes: INSERT, UPDATE and DELETE as immutable values, with shapes like queries."""

from __future__ import annotations

from collections.abc import Hashable

from datalayer._query.condition import Condition
from datalayer._query.expression import Expression
from datalayer._query.query import Query
from datalayer._schema.field import ColumnType
from datalayer._schema.table import SqlText, TableSpec


class Given(Expression):
    """The value that a row brought along: `excluded.x` of an upsert, the object's own in a bulk update."""

    __slots__ = ("field",)

    def __init__(self, field: str, type: ColumnType | None) -> None:
        self.field = field
        self.type = type
        self.shape = ("given", field)
        self.values = ()

    def __repr__(self) -> str:
        return f"Excluded({self.field!r})"


class OnConflict:
    """What an INSERT does about rows that are in the way. Order of values: assignments, then the condition's.

    Attributes:
        fields: Field names of the conflict target; () for any conflict.
        index: The SQL condition of the partial unique index that is the target, else None.
        assignments: What is written to the row in the way; empty for "do nothing".
        where: Only rows in the way that satisfy it are written to.
    """

    __slots__ = ("assignments", "fields", "index", "where")

    def __init__(
        self,
        fields: tuple[str, ...] = (),
        index: SqlText | None = None,
        assignments: tuple[tuple[str, Expression], ...] = (),
        where: Condition | None = None,
    ) -> None:
        self.fields = fields
        self.index = index
        self.assignments = assignments
        self.where = where

    @property
    def shape(self) -> Hashable:
        """What is done without its values."""
        return (
            self.fields,
            tuple(self.index.items()) if isinstance(self.index, dict) else self.index,
            tuple([(name, expression.shape) for name, expression in self.assignments]),
            None if self.where is None else self.where.shape,
        )

    @property
    def values(self) -> tuple[object, ...]:
        """Values in walking order."""
        found = tuple([value for _, expression in self.assignments for value in expression.values])
        return found if self.where is None else found + self.where.values


class Insert:
    """INSERT of rows that set the same fields. Order of values: the rows', then those of the conflict.

    Attributes:
        table: Where to.
        fields: The field names that are set, in the order of each row's values.
        returning: The field names to read back.
        conflict: What to do about rows in the way; None where they are an error.
        is_telling: Whether one more column says if the row is new. Only PostgreSQL can.
        shape: The insert without its values.
        memo: A free place for the compiler: what it has found for it.
    """

    __slots__ = ("conflict", "fields", "is_telling", "memo", "returning", "shape", "table")

    def __init__(
        self,
        table: TableSpec,
        fields: tuple[str, ...],
        returning: tuple[str, ...] = (),
        conflict: OnConflict | None = None,
        is_telling: bool = False,
    ) -> None:
        self.table = table
        self.fields = fields
        self.returning = returning
        self.conflict = conflict
        self.is_telling = is_telling
        done = None if conflict is None else conflict.shape
        self.shape: Hashable = ("insert", table.key, fields, returning, done, is_telling)
        self.memo: object = None


class InsertFrom:
    """INSERT of what a query finds. Order of values: the query's, then those of the conflict.

    Attributes:
        table: Where to.
        fields: The field names that are set, in the order of the query's columns.
        query: Where the rows come from; it has `columns`.
        returning: The field names to read back.
        conflict: As in `Insert`.
    """

    __slots__ = ("conflict", "fields", "query", "returning", "table")

    def __init__(
        self,
        table: TableSpec,
        fields: tuple[str, ...],
        query: Query,
        returning: tuple[str, ...] = (),
        conflict: OnConflict | None = None,
    ) -> None:
        self.table = table
        self.fields = fields
        self.query = query
        self.returning = returning
        self.conflict = conflict

    @property
    def shape(self) -> Hashable:
        """The insert without its values."""
        conflict = None if self.conflict is None else self.conflict.shape
        return ("insert from", self.table.key, self.fields, self.query.shape, self.returning, conflict)

    @property
    def values(self) -> tuple[object, ...]:
        """Values in walking order."""
        return self.query.values + (() if self.conflict is None else self.conflict.values)


class UpdateMany:
    """UPDATE of many rows by primary key, each with its own values. Order of values: the rows', then the assignments'.

    Attributes:
        table: Where to.
        fields: The field names that each row brings a value of, then those of the primary key.
        assignments: What is written; `Given(x)` is the value a row brought.
        returning: The field names to read back.
    """

    __slots__ = ("assignments", "fields", "returning", "table")

    def __init__(
        self,
        table: TableSpec,
        fields: tuple[str, ...],
        assignments: tuple[tuple[str, Expression], ...],
        returning: tuple[str, ...] = (),
    ) -> None:
        self.table = table
        self.fields = fields
        self.assignments = assignments
        self.returning = returning

    @property
    def shape(self) -> Hashable:
        """The update without its values."""
        written = tuple([(name, expression.shape) for name, expression in self.assignments])
        return ("update many", self.table.key, self.fields, written, self.returning)

    @property
    def is_row_by_row(self) -> bool:
        """Whether one statement for each row does the same as one for all.

        It does where each row is given values of its own and nothing is read back. Not where other rows refer to what
        is written: they may be written to as well, and a reference is checked at the end of a statement.
        """
        names = [
            name for name, expression in self.assignments if type(expression) is Given and expression.field == name
        ]
        return (
            not self.returning
            and len(names) == len(self.assignments)
            and (*names, *self.table.primary_key) == self.fields
            and not any(set(names).intersection(key.target_fields) for _, key in self.table.referrers)
        )

    @property
    def values(self) -> tuple[object, ...]:
        """The values of the assignments, in walking order."""
        return tuple([value for _, expression in self.assignments for value in expression.values])


class Update:
    """UPDATE of the rows a query finds. Order of values: assignments, then the query's.

    Attributes:
        query: Which rows.
        assignments: What is written.
        returning: The field names to read back.
        written: The names of the fields that are written.
        shape: The update without its values.
        memo: As in `Insert`.
    """

    __slots__ = ("assignments", "memo", "query", "returning", "shape", "written")

    def __init__(
        self, query: Query, assignments: tuple[tuple[str, Expression], ...], returning: tuple[str, ...] = ()
    ) -> None:
        self.query = query
        self.assignments = assignments
        self.returning = returning
        self.written = tuple([name for name, _ in assignments])
        shapes = tuple([(name, expression.shape) for name, expression in assignments])
        self.shape: Hashable = ("update", query.shape, shapes, returning)
        self.memo: object = None

    @property
    def values(self) -> tuple[object, ...]:
        """Values in walking order."""
        return tuple([v for _, e in self.assignments for v in e.values]) + self.query.values


class Delete:
    """DELETE of the rows a query finds.

    Attributes:
        query: Which rows.
        returning: The field names to read back.
        shape: The delete without its values.
        memo: As in `Insert`.
    """

    __slots__ = ("memo", "query", "returning", "shape")

    def __init__(self, query: Query, returning: tuple[str, ...] = ()) -> None:
        self.query = query
        self.returning = returning
        self.shape: Hashable = ("delete", query.shape, returning)
        self.memo: object = None

    @property
    def values(self) -> tuple[object, ...]:
        """Values in walking order."""
        return self.query.values
