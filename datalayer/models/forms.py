"""How rows of a table are written by `save()` and `delete()`: worked out once, for each table and set of fields.

A change of one row by its key always has the same shape, and only its values differ. So the change is made once,
with `UNSET` where the values go, and sent with those of each instance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from datalayer._query.change import Delete, Insert, Update
from datalayer._query.condition import Comparison, Condition, Junction
from datalayer._query.expression import FieldRef, Value
from datalayer._query.query import Query
from datalayer._schema.field import UNSET
from datalayer._schema.table import TableSpec
from datalayer.errors import InvalidValue, QueryError

MOST: Final = 1_000
"""Sets of fields that are remembered of a table; a program that writes more of them works each out again."""


class Form:
    """How rows of one table are written.

    Attributes:
        table: The table.
        writable: The fields that take a value.
        computed: The fields that the database computes.
        tracked: The fields whose values may change in place.
        on_create: What fills a field of a new row.
        on_update: What fills a field at each save.
        places: The place of each field in the order of declaration.
    """

    __slots__ = (
        "_delete", "_inserts", "_updates", "computed", "on_create", "on_update", "places", "table", "tracked",
        "writable",
    )  # fmt: skip

    def __init__(self, table: TableSpec) -> None:
        self.table = table
        fields = table.fields.values()
        self.writable = tuple([field.name for field in fields if field.generated is None])
        self.computed = tuple([field.name for field in fields if field.generated is not None])
        self.tracked = tuple([field.name for field in fields if field.tracks_content])
        self.on_create: Fillers = tuple([(field.name, field.on_create) for field in fields if field.on_create])
        self.on_update: Fillers = tuple([(field.name, field.on_update) for field in fields if field.on_update])
        self.places = {name: place for place, name in enumerate(table.fields)}
        self._inserts: dict[tuple[str, ...], Insert] = {}
        self._updates: dict[tuple[str, ...], Update] = {}
        self._delete: Delete | None = None

    def insert(self, fields: tuple[str, ...]) -> Insert:
        """INSERT of a row that sets these fields and reads back all others. Values: those of the fields.

        Raises:
            InvalidValue: A field that must have a value is not among them.
        """
        found = self._inserts.get(fields)
        if found is None:
            absent = [field for field in self.table.fields.values() if field.name not in fields]
            for field in absent:
                if not (
                    field.nullable or field.is_identity or field.db_default is not None or field.generated is not None
                ):
                    raise InvalidValue(
                        f"{self.table.model}.{field.name} has no value and can never be NULL; set it before saving"
                    )
            found = _kept(self._inserts, fields, Insert(self.table, fields, tuple([field.name for field in absent])))
        return found

    def update(self, fields: tuple[str, ...]) -> Update:
        """UPDATE of a row by its key that reads back what the database computes. Values: the fields', then the key's.

        Raises:
            QueryError: A field that cannot be written.
        """
        found = self._updates.get(fields)
        if found is None:
            table = self.table
            for name in fields:
                field = table.fields[name]
                if field.is_primary_key:
                    raise QueryError(
                        f"the primary key {table.model}.{name} was changed; make a new {table.model}, or use "
                        f"{table.model}.objects.filter(...).update({name}=...)"
                    )
                if field.generated is not None:
                    raise written_by_database(table, name)
            assignments = tuple([(name, Value(UNSET, table.fields[name].type)) for name in fields])
            row = by_key(table, [UNSET] * len(table.primary_key))
            found = _kept(self._updates, fields, Update(row, assignments, self.computed))
        return found

    @property
    def delete(self) -> Delete:
        """DELETE of a row by its key. Values: those of the key."""
        if self._delete is None:
            self._delete = Delete(by_key(self.table, [UNSET] * len(self.table.primary_key)))
        return self._delete


Fillers = tuple[tuple[str, Callable[[], object]], ...]


def _kept(known: dict[tuple[str, ...], Any], fields: tuple[str, ...], made: Any) -> Any:
    if len(known) < MOST:
        known[fields] = made
    return made


def form_of(table: TableSpec) -> Form:
    """How rows of a table are written."""
    form: Any = table.memo
    if form is None:
        form = table.memo = Form(table)
    found: Form = form
    return found


def written_by_database(table: TableSpec, name: str) -> QueryError:
    """The error of a write to a field that the database computes."""
    return QueryError(f"{table.model}.{name} is computed by the database and cannot be written")


def by_key(table: TableSpec, key: Sequence[object], query: Query | None = None) -> Query:
    """The query of one row by its primary key.

    Args:
        table: Where it is.
        key: The values of the primary key.
        query: Of which rows it is one; of all when not given.
    """
    conditions: list[Condition] = []
    for name, value in zip(table.primary_key, key, strict=True):
        kind = table.fields[name].type
        conditions.append(Comparison(FieldRef((), name, kind), "exact", Value(value, kind)))
    query = Query(table) if query is None else query
    return query.filtered(conditions[0] if len(conditions) == 1 else Junction("and", tuple(conditions)))
