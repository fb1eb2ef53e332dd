"""How rows of a table are written by `save()` and `delete()`: worked out once, for each table and set of fields.

A change of one row by its key always has the same shape, and only its values differ. So the change is made once,
with `UNSET` where the values go, and sent with those of each instance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, TypeVar

from datalayer._query.change import Delete, Insert, Update
from datalayer._query.condition import Comparison, Condition, Junction
from datalayer._query.expression import FieldRef, Value
from datalayer._query.query import Query
from datalayer._schema.field import UNSET
from datalayer._schema.table import TableSpec
from datalayer.errors import InvalidValue, QueryError
from datalayer.models.hooks import hooks_of

K = TypeVar("K")
T = TypeVar("T")

MOST: Final = 1_000
"""Sets of fields that are remembered of a table; a program that writes more of them works each out again."""


class RowInsert:
    """INSERT of one row.

    Attributes:
        change: The change.
        fields: The fields that are written.
        returning: The fields that are read back: all others.
        take: Gives the values of the fields, out of the `__dict__` of an instance.
    """

    __slots__ = ("change", "fields", "returning", "take")

    def __init__(self, change: Insert) -> None:
        self.change = change
        self.fields = change.fields
        self.returning = change.returning
        self.take = row_of(change.fields)


class RowUpdate:
    """UPDATE of one row by its key.

    Attributes:
        change: The change, with `UNSET` where the values go.
        fields: The fields that are written.
        names: The same, to be compared with others.
        returning: The fields that are read back: what the database computes.
        take: Gives the values of the fields and then those of the key, out of the `__dict__` of an instance.
    """

    __slots__ = ("change", "fields", "names", "returning", "take")

    def __init__(self, change: Update, key: tuple[str, ...]) -> None:
        self.change = change
        self.fields = change.written
        self.names = frozenset(change.written)
        self.returning = change.returning
        self.take = row_of((*change.written, *key))


class Form:
    """How rows of one model are written.

    Attributes:
        table: The table.
        hooks: The hooks of the model, where it has any of saving.
        refers: Whether it has relations to one.
        references: The fields that are the keys of those.
        key: The field that is the primary key; None where several are.
        writable: The fields that take a value; a set that nobody changes, so that what is among it is a set too.
        computed: The fields that the database computes.
        tracked: The fields whose values may change in place.
        on_create: What fills a field of a new row.
        on_update: What fills a field at each save.
        delete: DELETE of a row by its key. Values: those of the key.
        unprotected: How many references there were of all tables when nothing could keep a row from being deleted.
        is_filled: Whether anything is to be filled in, or refused, before a new row is written.
    """

    __slots__ = (
        "_inserts", "_orders", "_places", "_updates", "computed", "delete", "hooks", "is_filled", "key",
        "on_create", "on_update", "references", "refers", "table", "tracked", "unprotected", "writable",
    )  # fmt: skip

    def __init__(self, model: Any) -> None:
        table: TableSpec = model.table
        hooks = hooks_of(model)
        self.table = table
        self.hooks = hooks if hooks is not None and hooks.saves else None
        relations = model.__datalayer_relations__
        self.refers = bool(relations)
        self.references = frozenset([name for relation in relations.values() for name in relation.key_fields])
        self.key = table.primary_key[0] if len(table.primary_key) == 1 else None
        fields = table.fields.values()
        self.writable = {field.name for field in fields if field.generated is None}
        self.computed = tuple([field.name for field in fields if field.generated is not None])
        self.tracked = tuple([field.name for field in fields if field.tracks_content])
        self.on_create: Fillers = tuple([(field.name, field.on_create) for field in fields if field.on_create])
        self.on_update: Fillers = tuple([(field.name, field.on_update) for field in fields if field.on_update])
        self.is_filled = bool(self.computed or self.on_create or self.on_update)
        self.unprotected = -1
        self._places = {name: place for place, name in enumerate(table.fields)}
        self._orders: dict[frozenset[str], tuple[str, ...]] = {}
        self._inserts: dict[tuple[str, ...], RowInsert] = {}
        self._updates: dict[tuple[str, ...], RowUpdate] = {}
        self.delete = Delete(by_key(table, [UNSET] * len(table.primary_key)))

    def in_order(self, names: frozenset[str]) -> tuple[str, ...]:
        """Those of some names that are fields, in order of declaration."""
        found = self._orders.get(names)
        return found if found is not None else _kept(self._orders, names, self._ordered(names))

    def insert(self, names: tuple[str, ...]) -> RowInsert:
        """INSERT of a row that sets the fields among some names and reads back all others.

        Args:
            names: The fields that have a value, in any order, with whatever else an instance keeps beside them.

        Raises:
            InvalidValue: A field that must have a value is not among them.
        """
        found = self._inserts.get(names)
        return found if found is not None else _kept(self._inserts, names, self._inserting(names))

    def update(self, fields: tuple[str, ...]) -> RowUpdate:
        """UPDATE of a row by its key that reads back what the database computes.

        Raises:
            QueryError: A field that cannot be written.
        """
        found = self._updates.get(fields)
        return found if found is not None else _kept(self._updates, fields, self._updating(fields))

    def _ordered(self, names: frozenset[str]) -> tuple[str, ...]:
        places = self._places
        return tuple(sorted([name for name in names if name in places], key=places.__getitem__))

    def _inserting(self, names: tuple[str, ...]) -> RowInsert:
        fields = self.in_order(frozenset(self.writable.intersection(names)))
        absent = [field for field in self.table.fields.values() if field.name not in fields]
        for field in absent:
            if not (field.nullable or field.is_identity or field.db_default is not None or field.generated is not None):
                raise InvalidValue(
                    f"{self.table.model}.{field.name} has no value and can never be NULL; set it before saving"
                )
        return RowInsert(Insert(self.table, fields, tuple([field.name for field in absent])))

    def _updating(self, fields: tuple[str, ...]) -> RowUpdate:
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
        return RowUpdate(Update(row, assignments, self.computed), table.primary_key)


Fillers = tuple[tuple[str, Callable[[], object]], ...]


def row_of(fields: tuple[str, ...]) -> Callable[[Mapping[str, object]], tuple[object, ...]]:
    """What takes the values of some fields."""
    if len(fields) > 1:
        return itemgetter(*fields)
    return lambda values: tuple([values[name] for name in fields])


def _kept(known: dict[K, T], key: K, made: T) -> T:
    if len(known) < MOST:
        known[key] = made
    return made


def form_of(model: Any) -> Form:
    """How rows of a model are written; its instances have it at `__datalayer_form__`, where it was asked for before."""
    form: Form | None = model.__datalayer_form__
    if form is None:
        form = Form(model)
        type.__setattr__(model, "__datalayer_form__", form)
    return form


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
