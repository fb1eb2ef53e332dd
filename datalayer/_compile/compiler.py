"""The one cache: a question's shape -> its compiled statement. A change that is kept remembers what was found for it.

SQLAlchemy is imported on the first miss and never on a hit. The cache needs no lock: a dictionary's own operations
are atomic, and two threads that compile the same shape at once merely do the same work twice.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from importlib import import_module
from typing import Any, Final, Literal, TypeAlias

from datalayer._compile import values
from datalayer._compile.prepared import Convert, Prepared
from datalayer._query.behind import Behind
from datalayer._query.change import Delete, Insert, InsertFrom, Update, UpdateMany
from datalayer._query.expression import Expression
from datalayer._query.query import Query
from datalayer._schema.field import ColumnType
from datalayer._schema.table import CheckSpec, ExclusionSpec, TableSpec, UniqueSpec

BackendName: TypeAlias = Literal["sqlite", "postgresql"]
Rules: TypeAlias = tuple[CheckSpec | UniqueSpec | ExclusionSpec, ...]

LARGEST: Final = 10_000
"""Shapes kept; beyond it the older half goes. An application has hundreds."""


class Compiler:
    """Turns questions and changes into statements for one backend.

    Attributes:
        backend: `sqlite` or `postgresql`.
    """

    __slots__ = ("_cache", "backend")

    def __init__(self, backend: BackendName) -> None:
        self.backend: BackendName = backend
        self._cache: dict[Hashable, Prepared] = {}

    def select(self, query: Query) -> Prepared:
        """SELECT of the rows, with everything the query asks for beside them."""
        key = ("select", query.shape)
        found = self._cache.get(key)
        return found if found is not None else self._keep(key, _select().select(self.backend, query))

    def count(self, query: Query) -> Prepared:
        """How many rows `select` would give: one row of one number."""
        key = ("count", query.shape)
        found = self._cache.get(key)
        return found if found is not None else self._keep(key, _select().count(self.backend, query))

    def exists(self, query: Query) -> Prepared:
        """One row when there is any, no row when there is none."""
        key = ("exists", query.shape)
        found = self._cache.get(key)
        return found if found is not None else self._keep(key, _select().exists(self.backend, query))

    def aggregate(self, query: Query, aggregates: tuple[tuple[str, Expression], ...]) -> Prepared:
        """One row of aggregates over the rows of a query. Values: the aggregates', then the query's."""
        key = ("aggregate", query.shape, tuple([(name, expression.shape) for name, expression in aggregates]))
        found = self._cache.get(key)
        if found is not None:
            return found
        return self._keep(key, _select().aggregate(self.backend, query, aggregates))

    def behind(self, query: Query, wanted: Behind) -> Prepared:
        """SELECT of the rows behind a relation of many rows. Values: those of `wanted`, then the query's.

        The last columns of each row are the key of the one it belongs to, where there are several keys.
        """
        key = ("behind", query.shape, wanted.shape)
        found = self._cache.get(key)
        return found if found is not None else self._keep(key, _behind().behind(self.backend, query, wanted))

    def insert(self, insert: Insert, rows: int = 1) -> Prepared:
        """INSERT of a number of rows. Values: row after row, then those of the conflict."""
        memo: Any = insert.memo
        if memo is not None and memo[0] is self and rows == 1:
            prepared: Prepared = memo[1]
            return prepared
        key = (insert.shape, rows)
        found = self._cache.get(key)
        if found is None:
            found = self._keep(key, _insert().insert(self.backend, insert, rows))
        if rows == 1:
            insert.memo = (self, found)
        return found

    def insert_columns(self, insert: Insert) -> Prepared:
        """PostgreSQL: INSERT of any number of rows by `unnest`. Values: a list for each field, then the conflict's."""
        key = ("unnest", insert.shape)
        found = self._cache.get(key)
        return found if found is not None else self._keep(key, _insert().insert_columns(self.backend, insert))

    def insert_from(self, insert: InsertFrom) -> Prepared:
        """INSERT of what a query finds."""
        key = insert.shape
        found = self._cache.get(key)
        return found if found is not None else self._keep(key, _insert().insert_from(self.backend, insert))

    def in_the_way(self, insert: Insert, rows: int) -> Prepared:
        """SQLite: the primary keys of the rows that meet a number of new ones in the conflict target.

        Values: the new rows' values of the target, row after row.
        """
        key = ("in the way", insert.shape, rows)
        found = self._cache.get(key)
        return found if found is not None else self._keep(key, _insert().in_the_way(self.backend, insert, rows))

    def update(self, update: Update) -> Prepared:
        """UPDATE of the rows a query finds."""
        memo: Any = update.memo
        if memo is not None and memo[0] is self:
            prepared: Prepared = memo[1]
            return prepared
        key = update.shape
        found = self._cache.get(key)
        if found is None:
            found = self._keep(key, _change().update(self.backend, update))
        update.memo = (self, found)
        return found

    def update_many(self, update: UpdateMany, rows: int) -> Prepared:
        """UPDATE of many rows by primary key, each with its own values, in one statement.

        Args:
            update: What is written.
            rows: How many rows; 0 for any number: on PostgreSQL by `unnest` of one list for each field, on SQLite by
                repeating the statement of one row, where the update `is_row_by_row`.
        """
        key = (update.shape, rows)
        found = self._cache.get(key)
        return found if found is not None else self._keep(key, _change().update_many(self.backend, update, rows))

    def delete(self, delete: Delete) -> Prepared:
        """DELETE of the rows a query finds."""
        memo: Any = delete.memo
        if memo is not None and memo[0] is self:
            prepared: Prepared = memo[1]
            return prepared
        key = delete.shape
        found = self._cache.get(key)
        if found is None:
            found = self._keep(key, _change().delete(self.backend, delete))
        delete.memo = (self, found)
        return found

    def row_rules(self, table: TableSpec, fields: tuple[str, ...], rules: Rules, own: bool) -> Prepared:
        """SELECT of whether a row breaks each of some rules. Values: those of the fields.

        Args:
            table: The table of the row.
            fields: What is known of the row.
            rules: Constraints of the table that need nothing but these fields.
            own: Whether the row is in the table already.
        """
        key = ("row rules", table.key, fields, tuple([(type(rule), rule.name) for rule in rules]), own)
        found = self._cache.get(key)
        if found is not None:
            return found
        return self._keep(key, _row_rules().row_rules(self.backend, table, fields, rules, own))

    def numbering(self, table: TableSpec, name: str) -> Prepared:
        """PostgreSQL: moves the sequence of a field past a number. Values: the number."""
        key = ("numbering", table.key, name)
        found = self._cache.get(key)
        return found if found is not None else self._keep(key, _insert().numbering(self.backend, table, name))

    def refresh(self, table: TableSpec, concurrently: bool) -> Prepared:
        """PostgreSQL: computes a materialized view anew."""
        prepared: Prepared = import_module("datalayer._compile.views").refresh(table, concurrently)
        return prepared

    def converter(self, type: ColumnType | None) -> tuple[Convert | None, Convert | None]:
        """How a value of a type goes to the driver, and how it comes back; None where nothing is to do."""
        return values.to_driver(type, self.backend), values.from_driver(type, self.backend)

    def __len__(self) -> int:
        return len(self._cache)

    def _keep(self, key: Hashable, made: Prepared) -> Prepared:
        if len(self._cache) >= LARGEST:
            for old in list(self._cache)[: LARGEST // 2]:
                self._cache.pop(old, None)
        return self._cache.setdefault(key, made)


def _select() -> Any:
    return import_module("datalayer._compile.select")


def _behind() -> Any:
    return import_module("datalayer._compile.behind")


def _insert() -> Any:
    return import_module("datalayer._compile.insert")


def _row_rules() -> Any:
    return import_module("datalayer._compile.row_rules")


def _change() -> Any:
    return import_module("datalayer._compile.change")


COMPILERS: Final[Mapping[str, Compiler]] = {"sqlite": Compiler("sqlite"), "postgresql": Compiler("postgresql")}
"""The compilers of this process, by the name of the backend."""
