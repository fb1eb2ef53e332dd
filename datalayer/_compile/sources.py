"""Rows that come from elsewhere than from a table: compound queries, queries in FROM, CTEs, joins with a name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa
from sqlalchemy.sql.selectable import FromClause

from datalayer._compile.backends.base import Backend
from datalayer._compile.joins import Element, NamedJoin, Path, Scope, Statement, light, remote_fields
from datalayer._compile.pieces import first_select, one_line
from datalayer._compile.prepared import Twin, two_ctes
from datalayer._compile.writer import Writer
from datalayer._query.query import Query
from datalayer._query.source import NO_SAMPLE, Compound, Cte, Joined, Named, Sample, Source
from datalayer._schema.relation import RelationSpec
from datalayer._schema.table import TableSpec
from datalayer.errors import NotSupported, QueryError

if TYPE_CHECKING:
    from datalayer._compile.prepared import Convert

Whole = Callable[[Backend, Statement, Query, int], sa.Select[Any]]
"""Given by `select.py`: writes a whole query."""

_WORDS: Final[dict[str, Any]] = {
    "union": sa.union,
    "union all": sa.union_all,
    "intersect": sa.intersect,
    "except": sa.except_,
}


def rows_of(
    backend: Backend, statement: Statement, source: Source, table: TableSpec, at: int, whole: Whole
) -> FromClause:
    """The source as something that can stand in FROM."""
    if isinstance(source, Named):
        columns: list[Any] = [sa.column(field.column) for field in table.fields.values()]
        return sa.table(source.name, *columns).alias(statement.name())
    assert isinstance(source, Compound)
    parts: list[Any] = []
    for query in source.queries:
        select = whole(backend, statement, query, at)
        is_cut = query.limit is not None or query.offset is not None
        if is_cut and len(source.queries) > 1:  # SQLite knows no parentheses here
            inside = select.subquery(statement.name())
            select = sa.select(*inside.c).select_from(inside)
        parts.append(select)
        at += len(query.values)
    if len(parts) == 1:
        found: FromClause = parts[0].subquery(statement.name())
        return found
    compound: FromClause = _WORDS[source.word](*parts).subquery(statement.name())
    return compound


def sampled(backend: Backend, statement: Statement, sample: Sample, table: TableSpec) -> FromClause:
    """A part of a table that chance decides.

    Raises:
        NotSupported: The backend has no samples.
    """
    if not backend.has_lock:
        raise NotSupported(NO_SAMPLE)
    sampling = getattr(sa.func, sample.method.lower())(sa.literal_column(sample.percent))
    seed: Element | None = None if sample.seed is None else sa.literal_column(sample.seed)
    statement.tables.add(table.name)
    return sa.tablesample(light(table), sampling, name=statement.name(), seed=seed)


def note_cte(backend: Backend, statement: Statement, cte: Cte, at: int, whole: Whole) -> None:
    """Writes a CTE once for the whole statement, in front of it; that a second one has its values is asked each time.

    Raises:
        QueryError: Two of one name.
    """
    known = statement.ctes.get(cte.name)
    if known is not None:
        if cast("Cte", known[0]).shape != cte.shape:
            raise QueryError(two_ctes(cte.name))
        statement.twins.append(Twin(cte.name, statement.cte_places[cte.name], at, len(cte.values)))
        return
    statement.cte_places[cte.name] = at
    statement.ctes[cte.name] = (cte, "", [])
    texts: list[str] = []
    binds: list[tuple[int, Convert | None]] = []
    for query in (cte.query, cte.recursive):
        if query is None:
            continue
        select = whole(backend, statement, query, at)
        if query.limit is not None or query.offset is not None:
            inside = select.subquery(statement.name())
            select = sa.select(*inside.c).select_from(inside)
        compiled = select.compile(dialect=backend.dialect)
        texts.append(one_line(str(compiled)))
        binds.extend(statement.binds[name] for name in compiled.positiontup or ())
        at += len(query.values)
    quoted = backend.dialect.identifier_preparer.quote
    names = ", ".join(quoted(name) for name in column_names(cte.query))
    body = (" UNION " if cte.is_distinct else " UNION ALL ").join(texts)
    del statement.ctes[cte.name]  # after those that it needs itself
    statement.ctes[cte.name] = (cte, f"{quoted(cte.name)} ({names}) AS ({body})", binds)


def column_names(query: Query) -> list[str]:
    """The names of the columns that the rows of a query have in SQL."""
    if query.columns is not None:
        return [name for name, _ in query.columns]
    hidden = query.extra.hidden if query.extra is not None else frozenset[str]()
    shown = [name for name, _ in query.annotations if name not in hidden]
    return [*[field.column for field in query.table.fields.values()], *shown]


def with_ctes(statement: Statement, text: str, binds: list[Any], *, is_inside: bool = False) -> tuple[str, list[Any]]:
    """A statement with its CTEs in front.

    Python's driver counts the rows of an UPDATE or DELETE only where the statement begins with that word. There they
    stand in front of the first query in it, `is_inside`, which has all that asks for them and all that is bound.

    Raises:
        QueryError: A CTE has the name of a table that is read.
    """
    if not statement.ctes:
        return text, binds
    read = {name.lower() for name in statement.tables}
    for name in statement.ctes:
        if name.lower() in read:
            raise QueryError(
                f"the CTE {name!r} has the name of a table that the statement reads, and would be read in its place; "
                "give it another name"
            )
    found = list(statement.ctes.values())
    head = f"WITH RECURSIVE {', '.join(words for _, words, _ in found)} "
    own = [bind for _, _, more in found for bind in more]
    place = first_select(text) if is_inside else 0
    return text[:place] + head + text[place:], [*own, *binds]


class _Sides(Scope):
    """What the condition of a join sees: the query's own row, and the joined one under its names."""

    def __init__(self, of: Scope, names: tuple[str, ...], joined: FromClause, target: TableSpec) -> None:
        super().__init__(of.statement, of.table, of.root)
        self.of = of
        self.names = names
        self.joined = joined
        self.target = target

    def column(self, path: Path, name: str, filter: int | None = None) -> Element:
        """A column of one of the sides."""
        if path and path[0] in self.names:
            if len(path) > 1:
                raise QueryError(
                    f"the condition of the join {self.names[0]!r} leads on to {'__'.join(path[1:])!r}; it may only use "
                    "columns of the two sides"
                )
            return self.joined.c[self.target.fields[name].column]
        return self.of.column(path, name)


_LINK: Final = "datalayer link "
"""Before the names of the fields that rows of many to many belong to; no column is called so."""


def _linked(statement: Statement, relation: RelationSpec, between: TableSpec) -> FromClause:
    """The rows at the end of a many to many, each with the keys of the rows that it belongs to."""
    through, target = statement.alias(between), statement.alias(relation.target)
    pairs = zip(relation.through_remote, remote_fields(relation), strict=True)
    on = [through.c[between.fields[a].column] == target.c[relation.target.fields[b].column] for a, b in pairs]
    keys = [
        through.c[between.fields[name].column].label(_LINK + own)
        for own, name in zip(relation.local, relation.through_local, strict=True)
    ]
    shown = [target.c[field.column] for field in relation.target.fields.values()]
    rows = sa.select(*shown, *keys).select_from(through.join(target, sa.and_(*on)))
    return rows.subquery(statement.name())


def named_join(
    backend: Backend, statement: Statement, joined: Joined, at: int, parent: Writer | None, whole: Whole, nested: Any
) -> NamedJoin:
    """How a join that a query names is made."""

    def make(scope: Scope) -> tuple[FromClause, Element, bool]:
        source = joined.source
        relation = None if joined.relation is None else scope.table.relations[joined.relation]
        target: FromClause
        if source is not None:
            target = rows_of(backend, statement, source, joined.table, at, whole)
        elif relation is not None and relation.through is not None:
            target = _linked(statement, relation, relation.through)
        else:
            target = statement.alias(joined.table)
        names = (joined.name,) if joined.relation is None else (joined.name, joined.relation)
        sides = _Sides(scope, names, target, joined.table)
        writer = Writer(backend, statement, sides, parent=parent, nested=nested)
        writer.one_row = frozenset((name,) for name in names)
        on = writer.condition(joined.condition, at + (0 if source is None else len(source.values)))
        if relation is not None and relation.through is not None:
            ties = [sides.of.column((), name) == target.c[_LINK + name] for name in relation.local]
            on = sa.and_(*ties, on)
        elif relation is not None:
            pairs = zip(relation.local, relation.remote, strict=True)
            ties = [sides.of.column((), a) == sides.column((joined.name,), b) for a, b in pairs]
            on = sa.and_(*ties, on)
        return target, on, joined.is_outer

    return make
