"""SELECT of the rows behind a relation of many rows at once, each with the key of the one it belongs to.

The keys come last in every row; those of one key need none. Where only some rows of each are wanted, the rows are
numbered for each key by a window function, and the numbers are compared outside of it; those of one key are simply the
first ones.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from datalayer._compile import values
from datalayer._compile.backends.base import BACKENDS, Backend
from datalayer._compile.finishing import finished
from datalayer._compile.joins import Element, Statement
from datalayer._compile.prepared import Prepared
from datalayer._compile.selection import Conditions, Selection
from datalayer._query.behind import Behind
from datalayer._query.query import Query
from datalayer._schema.table import TableSpec

_PLACE = "place_of_each"


def _is_unique(table: TableSpec, names: tuple[str, ...]) -> bool:
    """Whether no two rows have the same values of some fields."""
    keys = [table.primary_key, *[unique.fields for unique in table.unique if unique.is_whole]]
    return any(set(names).issuperset(key) for key in keys)


class _Behind(Selection):
    """A SELECT whose rows must belong to one of the keys."""

    def __init__(self, backend: Backend, statement: Statement, query: Query, behind: Behind) -> None:
        super().__init__(backend, statement, query, len(behind.values))
        self.behind = behind
        relation = behind.relation
        self.names, table = relation.remote, relation.target
        if relation.through is not None:
            self.names, table = relation.through_local, relation.through
            # A model in between of the user's may link the same two rows twice; each is behind the other once.
            ends = (*relation.through_local, *relation.through_remote)
            once = () if table.is_automatic or _is_unique(table, ends) else ends
            source = self.writer.scope.hang(table, zip(relation.remote, relation.through_remote, strict=True), once)
        else:
            source = self.writer.scope.root
        self.table: TableSpec = table
        self.keys: list[Element] = [source.c[table.fields[name].column] for name in self.names]

    def conditions(self) -> Conditions:
        """WHERE and HAVING, the keys among them."""
        where, having, windows = super().conditions()
        return [self._wanted(), *where], having, windows

    def _wanted(self) -> Element:
        types = [self.table.fields[name].type for name in self.names]
        if self.behind.is_listed:
            bound = self.statement.bind(0, self.backend.list_converter(types[0]))
            return self.backend.one_of(self.keys[0], bound, types[0])
        converters = [values.to_driver(type, self.backend.name) for type in types]
        width = len(types)
        return sa.or_(
            *[
                sa.and_(
                    *[
                        key == self.statement.bind(number * width + place, converters[place])
                        for place, key in enumerate(self.keys)
                    ]
                )
                for number in range(len(self.behind.keys))
            ]
        )

    def labelled_keys(self) -> list[Element]:
        """The keys, named apart from all other columns."""
        return [key.label(f"key_of_each{place}") for place, key in enumerate(self.keys)]

    def numbered(self) -> list[Element]:
        """The keys, and the place that each row has among those of its key."""
        order: list[Any] = [clause for _, clause, _ in self.ordering()]
        place: Any = sa.func.row_number().over(partition_by=list(self.keys), order_by=order)
        return [*self.labelled_keys(), place.label(_PLACE)]


def behind(backend_name: str, query: Query, wanted: Behind) -> Prepared:
    """See `Compiler.behind`."""
    backend, statement = BACKENDS[backend_name], Statement()
    selection = _Behind(backend, statement, query, wanted)
    last = len(wanted.values)
    is_one = len(wanted.keys) == 1
    if wanted.cut is None:
        element: Any = selection.full(None if is_one else selection.labelled_keys)
    elif is_one:
        limit: Any = statement.bind(last - 1)
        element = selection.full().limit(limit).offset(statement.bind(last - 2))
    else:
        inside = selection.full(selection.numbered).order_by(None).subquery("part")
        place = inside.c[_PLACE]
        element = (
            sa.select(*[column for column in inside.c if column is not place])
            .where(place > statement.bind(last - 2), place <= statement.bind(last - 1))
            .order_by(place)
        )
    return finished(backend, statement, element, query, tuple(selection.outputs), is_whole=False)
