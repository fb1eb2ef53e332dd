"""Which tables a SELECT needs beside its own, how often, and whether a missing row may drop the result.

A path of to-one relations is joined once for the whole query. A path over a to-many relation is joined once for each
`filter()` call; columns and ORDER BY use the last such join there is. A join that may find nothing is a LEFT JOIN
unless a condition that must hold needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.sql.selectable import FromClause

from datalayer._compile.prepared import Convert, Twin
from datalayer._schema.relation import RelationSpec
from datalayer._schema.table import TableSpec

Element: TypeAlias = sa.ColumnElement[Any]
Path: TypeAlias = tuple[str, ...]


@dataclass
class Statement:
    """What is shared by all parts of one statement: bound values, names of aliases, CTEs.

    Attributes:
        binds: What is bound, by the name of its placeholder.
        ctes: The CTEs by name, each with its text and what is bound in it.
        cte_places: Where the values of each begin.
        tables: The names of the tables that are read, which no CTE may have: it would be read in their place.
        twins: CTEs that are there a second time, and must have the same values.
    """

    binds: dict[str, tuple[int, Convert | None]] = field(default_factory=dict[str, tuple[int, Convert | None]])
    ctes: dict[str, tuple[object, str, list[tuple[int, Convert | None]]]] = field(
        default_factory=dict[str, tuple[object, str, list[tuple[int, "Convert | None"]]]]
    )
    cte_places: dict[str, int] = field(default_factory=dict[str, int])
    twins: list[Twin] = field(default_factory=list["Twin"])
    tables: set[str] = field(default_factory=set[str])
    _aliases: int = 0

    def bind(self, offset: int, convert: Convert | None = None) -> Element:
        """A placeholder for the value at an offset."""
        name, number = f"v{offset}", 0
        while name in self.binds and self.binds[name] != (offset, convert):
            number += 1
            name = f"v{offset}_{number}"
        self.binds[name] = (offset, convert)
        return sa.bindparam(name)

    def alias(self, table: TableSpec, once: Iterable[str] = ()) -> FromClause:
        """The table under a name of its own; with names of fields, each of their values once, and only these."""
        self.tables.add(table.name)
        if not once:
            return light(table).alias(self.name())
        source = light(table)
        return sa.select(*[_column(source, table, name) for name in once]).distinct().subquery(self.name())

    def name(self) -> str:
        """A name for one more source of rows."""
        self._aliases += 1
        return f"t{self._aliases}"


def _plain_column(name: str) -> sa.ColumnClause[Any]:
    return sa.column(name)


def light(table: TableSpec) -> sa.TableClause:
    """The table with its columns, without types: values are converted by `values.py`."""
    return sa.table(table.name, *[_plain_column(spec.column) for spec in table.fields.values()])


@dataclass(frozen=True)
class Key:
    """What makes two joins the same: the path and, over to-many relations, the filter() call it belongs to."""

    path: Path
    filter: int | None
    is_through: bool = False


@dataclass
class Join:
    """A joined table."""

    table: FromClause
    on: Element
    parent: Key | None
    may_miss: bool


NamedJoin: TypeAlias = "Callable[[Scope], tuple[FromClause, Element, bool]]"
"""Makes a join that a query names itself: the rows, the condition, and whether rows without any stay."""


class Scope:
    """The tables of one SELECT.

    Attributes:
        table: The query's own table.
        root: The same for SQLAlchemy.
        is_anchored: The root belongs to the query outside: joins hang on one of its rows.
        named: The joins that the query names itself.
    """

    def __init__(
        self,
        statement: Statement,
        table: TableSpec,
        root: FromClause | None = None,
        *,
        is_anchored: bool = False,
        named: Mapping[str, NamedJoin] | None = None,
    ) -> None:
        self.statement = statement
        self.table = table
        if root is None:
            statement.tables.add(table.name)
        self.root: FromClause = light(table) if root is None else root
        self.is_anchored = is_anchored
        self.named = named or {}
        self._joins: dict[Key, Join] = {}
        self._required: set[Key] = set()

    def column(self, path: Path, name: str, filter: int | None = None) -> Element:
        """A column over a path; joins what is missing."""
        here, last = self.table, None
        for part in path:
            last = here.relations[part]
            here = last.target
        if last is not None and last.through is not None:
            remote = remote_fields(last)
            if name in remote and self._find(path, filter) is None:
                _, through = self._through(path, last, filter)
                return _column(through, last.through, last.through_remote[remote.index(name)])
        return _column(self.source(path, filter), here, name)

    def source(self, path: Path, filter: int | None = None) -> FromClause:
        """The table at the end of a path; joins what is missing."""
        if not path:
            return self.root
        found = self._find(path, filter)
        if found is not None:
            return self._joins[found].table
        relation = self._relation(path)
        key = self._key(path, filter)
        if len(path) == 1 and path[0] in self.named:
            joined, on, may_miss = self.named[path[0]](self)
            self._joins[key] = Join(joined, on, None, may_miss)
            return joined
        parent: Key | None
        if relation.through is not None:
            parent, start = self._through(path, relation, filter)
            pairs = zip(relation.through_remote, remote_fields(relation), strict=True)
            start_table: TableSpec = relation.through
            may_miss = False
        else:
            start = self.source(path[:-1], filter)
            pairs = zip(relation.local, relation.remote, strict=True)
            start_table = relation.source
            parent = self._find(path[:-1], filter) if path[:-1] else None
            may_miss = relation.nullable or not relation.kind.is_forward
        target = self.statement.alias(relation.target)
        on = sa.and_(*[_column(start, start_table, a) == _column(target, relation.target, b) for a, b in pairs])
        self._joins[key] = Join(target, on, parent, may_miss)
        return target

    def hang(self, table: TableSpec, pairs: Iterable[tuple[str, str]], once: Iterable[str] = ()) -> FromClause:
        """Joins a table that no relation of the root leads to.

        Args:
            table: The one that is joined.
            pairs: Each a field of the root and its equal there.
            once: The fields of it that are wanted once each, where several rows may have the same.
        """
        joined = self.statement.alias(table, once)
        on = sa.and_(*[_column(self.root, self.table, a) == _column(joined, table, b) for a, b in pairs])
        self._joins[Key(("+",), None)] = Join(joined, on, None, may_miss=False)
        return joined

    def require(self, path: Path, filter: int | None) -> None:
        """Notes that rows without something at the end of the path are not wanted."""
        for length in range(1, len(path) + 1):
            key = self._key(path[:length], filter)
            self._required |= {key, Key(key.path, key.filter, is_through=True)}

    def has(self, path: Path) -> bool:
        """Whether the table at the end of a path is joined already."""
        return any(key.path == path and not key.is_through for key in self._joins)

    @property
    def joins(self) -> bool:
        """Whether anything was joined."""
        return bool(self._joins)

    @property
    def has_outer(self) -> bool:
        """Whether there is a LEFT JOIN."""
        return any(self._is_outer(key) for key in self._joins)

    def from_clause(self) -> tuple[FromClause, Element | None]:
        """FROM with all joins, and a condition for WHERE (anchored scopes only)."""
        where: Element | None = None
        joins = list(self._joins.items())
        if self.is_anchored:
            _, first = joins.pop(0)
            found, where = first.table, first.on
        else:
            found = self.root
        for key, join in joins:
            found = found.join(join.table, join.on, isouter=self._is_outer(key))
        return found, where

    def tables(self) -> list[FromClause]:
        """Every table of its own, for correlation."""
        own = [join.table for join in self._joins.values()]
        return own if self.is_anchored else [self.root, *own]

    def _is_outer(self, key: Key) -> bool:
        if self.is_anchored and key == next(iter(self._joins)):
            return False
        if key in self._required:
            return False
        join = self._joins[key]
        return join.may_miss or (join.parent is not None and self._is_outer(join.parent))

    def _through(self, path: Path, relation: RelationSpec, filter: int | None) -> tuple[Key, FromClause]:
        assert relation.through is not None
        plain = self._key(path, filter)
        key = Key(plain.path, plain.filter, is_through=True)
        if filter is None:
            key = self._latest(path, is_through=True) or key
        if key not in self._joins:
            start = self.source(path[:-1], filter)
            table = self.statement.alias(relation.through)
            pairs = zip(relation.local, relation.through_local, strict=True)
            on = sa.and_(*[_column(start, relation.source, a) == _column(table, relation.through, b) for a, b in pairs])
            self._joins[key] = Join(table, on, self._find(path[:-1], filter) if path[:-1] else None, True)
        return key, self._joins[key].table

    def _find(self, path: Path, filter: int | None) -> Key | None:
        key = self._key(path, filter)
        if key in self._joins:
            return key
        return self._latest(path, is_through=False) if filter is None else None

    def _latest(self, path: Path, *, is_through: bool) -> Key | None:
        """The join that columns and ORDER BY take: the last one, hanging on the last one of what it hangs on."""
        for key in reversed(self._joins):
            if key.path == path and key.is_through == is_through:
                parent = self._joins[key].parent
                if parent is None or parent == self._latest(parent.path, is_through=parent.is_through):
                    return key
        return None

    def _key(self, path: Path, filter: int | None) -> Key:
        return Key(path, filter if is_to_many(self.table, path) else None)

    def _relation(self, path: Path) -> RelationSpec:
        here = self.table
        for part in path[:-1]:
            here = here.relations[part].target
        return here.relations[path[-1]]


def is_to_many(table: TableSpec, path: Path) -> bool:
    """Whether a path leads over a relation to many rows."""
    for part in path:
        relation = table.relations[part]
        if relation.kind.is_to_many:
            return True
        table = relation.target
    return False


def remote_fields(relation: RelationSpec) -> tuple[str, ...]:
    """Of a many to many: the fields of the target that the table in between refers to."""
    if relation.remote and relation.remote != relation.through_local:
        return relation.remote
    return relation.target.primary_key


def _column(source: FromClause, table: TableSpec | None, name: str) -> Element:
    assert table is not None
    return source.c[table.fields[name].column]
