"""Querysets made of querysets: set operations, CTEs, joins with a name.

What comes out is a queryset again: it can be filtered, annotated, ordered, sliced, counted like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, cast

from datalayer._compile.prepared import two_ctes
from datalayer._compile.values import is_numeric_decimal, is_of_column
from datalayer._query.comparing import comparable, comparison
from datalayer._query.condition import Condition, Junction
from datalayer._query.expression import AnnotationRef, Expression, FieldRef
from datalayer._query.path import relation_path
from datalayer._query.query import Query
from datalayer._query.source import NO_EXTRA, Compound, Cte, Joined, Named, Source
from datalayer._schema.field import ColumnType, FieldSpec, Kind
from datalayer._schema.relation import RelationKind, RelationSpec
from datalayer._schema.table import TableSpec
from datalayer.errors import NotSupported, QueryError
from datalayer.models.bound import backend_of
from datalayer.models.column import operand
from datalayer.models.expressions import Q, condition_of
from datalayer.models.grouping import is_over_many

_ROWS: dict[tuple[object, ...], TableSpec] = {}
"""Tables that stand for the columns of other queries, one for all queries with the same columns."""

_MOST_ROWS: Final = 10_000


def _columns(query: Query) -> list[tuple[str, ColumnType | None]]:
    """The columns that a query has beyond those of its table, or all of them where it is of values."""
    annotations = dict(query.annotations)
    if query.columns is not None:
        return [(name, _type(node, annotations)) for name, node in query.columns]
    hidden = query.extra.hidden if query.extra is not None else frozenset[str]()
    own = [(f.name, f.type) for f in query.table.fields.values() if f.name not in query.table.origin.fields]
    return [*own, *[(name, _type(node, annotations)) for name, node in query.annotations if name not in hidden]]


def _type(node: Expression, annotations: dict[str, Expression]) -> ColumnType | None:
    node = annotations[node.name] if isinstance(node, AnnotationRef) else node
    if node.type is None or node.type.kind is not Kind.DECIMAL or is_of_column(node):
        return node.type
    return replace(node.type, is_open=True)


def rows_table(query: Query) -> TableSpec:
    """What the rows of a query look like, as a table.

    Raises:
        QueryError: A column whose type is not known.
    """
    fields: list[FieldSpec] = []
    for name, type in _columns(query):
        if type is None:
            raise QueryError(f"what {name!r} is cannot be told; say so: Cast(..., int)")
        fields.append(FieldSpec(name, name, type, nullable=True))
    if query.columns is None:
        return query.table.viewed(fields=tuple(fields)) if fields else query.table
    key = (query.table.origin.model, *[(field.name, field.type) for field in fields])
    found = _ROWS.get(key)
    if found is None:
        if len(_ROWS) >= _MOST_ROWS:
            _ROWS.clear()
        found = TableSpec("rows", model=query.table.model, fields=tuple(fields))
        found.base = found
        _ROWS[key] = found
    return found


def reading(table: TableSpec, like: Query) -> Query:
    """A query over rows that look like a table; of values where the other query is."""
    query = Query(table)
    if like.columns is None:
        return query
    columns = tuple([(f.name, FieldRef((), f.name, f.type, nullable=True)) for f in table.fields.values()])
    return query.replaced(columns=columns)


def as_source(rows: Any, verb: str) -> Query:
    """The query inside a queryset that is to be part of another one.

    Raises:
        QueryError: It is none, or locks rows.
    """
    query = operand(rows)
    if not isinstance(query, Query):
        raise QueryError(f"{verb}() takes querysets, not {rows!r}")
    if query.lock is not None:
        raise QueryError(f"{verb}() of rows that are to be locked; lock outside")
    return query


# -- set operations --------------------------------------------------------------------------------


def compound(first: Any, others: tuple[Any, ...], word: str, verb: str) -> Query:
    """The query over the rows of several.

    Raises:
        QueryError: They do not have the same columns.
    """
    if not others:
        raise QueryError(f"{verb}() needs another queryset")
    queries = [as_source(rows, verb) for rows in (first, *others)]
    one = queries[0]
    for other, rows in zip(queries[1:], others, strict=True):
        if getattr(rows, "_alias", first._alias) != first._alias:
            raise QueryError(f"{verb}() of querysets of two databases; fetch one of them first")
        _check_alike(one, other, verb)
        if backend_of(first._alias) == "sqlite":
            _check_digits(one, other, verb)
    view = rows_table(one)
    return reading(view, one).replaced(extra=NO_EXTRA.replaced(source=Compound(word, tuple(queries))))


def _check_alike(one: Query, other: Query, verb: str) -> None:
    if (one.columns is None) != (other.columns is None):
        raise QueryError(f"{verb}() of whole rows and of values; make both values(...)")
    if one.columns is None and one.table.origin is not other.table.origin:
        raise QueryError(
            f"{verb}() of {one.table.model} and {other.table.model}; take the columns that both have: values(...)"
        )
    left, right = _columns(one), _columns(other)
    names = [name for name, _ in left], [name for name, _ in right]
    if len(left) != len(right) or (one.columns is None and names[0] != names[1]):
        raise QueryError(
            f"{verb}() of {', '.join(names[0])} and of {', '.join(names[1])}: the columns must be the same"
        )
    for (name, a), (_, b) in zip(left, right, strict=True):
        if a is not None and b is not None and not comparable(a.kind, b.kind):
            raise QueryError(f"{verb}(): {name!r} is {a.kind.value} in one and {b.kind.value} in the other; Cast() one")


def _check_digits(one: Query, other: Query, verb: str) -> None:
    """Refuses decimals that SQLite keeps as text beside such that it keeps as numbers: it takes no two for equal.

    Raises:
        NotSupported: There are some.
    """
    for (name, a), (_, b) in zip(_columns(one), _columns(other), strict=True):
        if a is None or b is None or a.kind is not Kind.DECIMAL or b.kind is not Kind.DECIMAL:
            continue
        if is_numeric_decimal(a) != is_numeric_decimal(b):
            raise NotSupported(
                f"{verb}(): {name!r} is a decimal of more than 15 digits in one and of fewer in the other, which "
                "SQLite keeps as text and as numbers and cannot compare; fetch both"
            )


def merged(first: Any, other: Any, connector: str) -> Query:
    """The query that `&`, `|` or `^` of two querysets means.

    Raises:
        QueryError: They differ in more than their conditions.
    """
    one, two = as_source(first, connector), as_source(other, connector)
    if other._alias != first._alias:
        raise QueryError("querysets of two databases cannot be combined; fetch one of them first")
    if one.table is not two.table:
        raise QueryError(f"querysets of {one.table.model} and {two.table.model} cannot be combined; use union()")
    for query in (one, two):
        if query.limit is not None or query.offset is not None:
            raise QueryError("sliced querysets cannot be combined; use union()")
    bare, other_bare = one.replaced(where=()), two.replaced(where=(), order=one.order)
    is_alike = bare.shape == other_bare.shape and bare.values == other_bare.values
    if any(query.extra is not None and query.extra.after for query in (one, two)):
        raise QueryError("querysets with aggregates over filtered rows cannot be combined; annotate() what comes of it")
    if not is_alike or one.extra is not None or two.extra is not None:
        raise QueryError("querysets that differ in more than their conditions cannot be combined; use union()")
    if connector == "and":
        return one.replaced(where=(*one.where, *two.where))
    if connector == "or" and not all(query.where for query in (one, two)):
        return one.replaced(where=())
    sides = tuple([_as_one(query) for query in (one, two)])
    return one.replaced(where=(Junction(connector, sides),))


def _as_one(query: Query) -> Condition:
    """The filters of a query as one condition.

    Several over relations to many are each about related rows of their own, and together they would be about the same:
    they find the rows by key.
    """
    known = dict(query.annotations)
    if sum(is_over_many(condition, query.table, known) for condition in query.where) < 2:
        return Junction("and", query.where)
    return comparison(query.table, "pk__in", query.unordered().replaced(joined=(), only=None, columns=None))


# -- CTEs ------------------------------------------------------------------------------------------


def _check_start(of: Query, start: Query) -> None:
    model, other = of.table.model, start.table.model
    if of.columns is None and start.columns is not None:
        raise QueryError(
            f"with_cte() of values, on whole rows of {model}; begin with values: "
            f"{model}.objects.values({', '.join(repr(column) for column, _ in start.columns)}).with_cte(...)"
        )
    if of.columns is not None and start.columns is None:
        raise QueryError(f"with_cte() of whole rows of {other}, on values; call {other}.objects.with_cte(...)")
    if of.columns is None and of.table.origin is not start.table.origin:
        raise QueryError(
            f"with_cte() of rows of {other}, on {model}, whose columns they do not have; call "
            f"{other}.objects.with_cte(...), or join() them to {model}"
        )


def with_cte(of: Query, name: str, start: Any, recursive: Callable[[Any], Any] | None, is_distinct: bool) -> Query:
    """The query over the rows of a CTE.

    Raises:
        QueryError: The rows are of another model than those of the query it begins, or values where it has whole rows;
            the recursive part has other columns than the start; the name is taken.
    """
    ctes = of.extra.ctes if of.extra is not None else ()
    if (
        of.where
        or of.order
        or (of.extra is not None and of.extra != NO_EXTRA.replaced(ctes=ctes, source=of.extra.source))
    ):
        raise QueryError(
            "with_cte() begins a query, or follows another with_cte(): call it on the manager, and filter what it gives"
        )
    if not isinstance(cast("object", name), str) or not name.isidentifier():
        raise QueryError(f"{name!r} is no name of a CTE; use letters, digits and underscores")
    if any(cte.name == name for cte in ctes):
        raise QueryError(two_ctes(name))
    query = as_source(start, "with_cte")
    _check_start(of, query)
    view = rows_table(query)
    more: Query | None = None
    if recursive is not None:
        here = start._with(reading(view, query).replaced(extra=NO_EXTRA.replaced(source=Named(name))))
        more = as_source(recursive(here), "with_cte")
        _check_alike(query, more, "with_cte")
    cte = Cte(name, query, more, is_distinct=is_distinct)
    return reading(view, query).replaced(extra=NO_EXTRA.replaced(ctes=(*ctes, cte), source=Named(name)))


# -- joins -----------------------------------------------------------------------------------------


class Join:
    """Rows to join by a condition: `Book.objects.join(other=Join(Book, Q(author=F("other__author"))))`.

    Args:
        source: A model (the same one for a self-join), or a queryset.
        on: Which rows belong together: columns of the joined rows begin with the name of the join.
        outer: Whether rows without any stay, with NULLs.
    """

    __slots__ = ("on", "outer", "source")

    def __init__(self, source: Any, on: Any, *, outer: bool = False) -> None:
        self.source = source
        self.on = on
        self.outer = outer


class FilteredRelation:
    """A relation with a condition of its own: `annotate(cheap=FilteredRelation("books", Q(books__price__lt=5)))`.

    Args:
        relation: Its name.
        condition: Which of its rows count.
    """

    __slots__ = ("condition", "relation")

    def __init__(self, relation: str, condition: Any) -> None:
        self.relation = relation
        self.condition = condition


def joined(query: Query, name: str, join: Join) -> Query:
    """A query with one more join.

    Raises:
        QueryError: The name is taken, or the condition is empty.
        FieldError: An unknown name in the condition.
    """
    if not isinstance(join, Join):  # pyright: ignore[reportUnnecessaryIsInstance]  # whom no checker told
        raise QueryError(f"join({name}={join!r}): say what is joined and how: join({name}=Join(Model, Q(...)))")
    extra = query.extra or NO_EXTRA
    source: Source | None = None
    table = getattr(join.source, "table", None)
    if not isinstance(table, TableSpec):
        inner = as_source(join.source, "join")
        table = rows_table(inner)
        is_bare = inner.extra is not None and inner.shape == reading(table, inner).replaced(extra=inner.extra).shape
        if is_bare and inner.extra is not None and isinstance(inner.extra.source, Named):
            source = inner.extra.source
            known = {cte.name: cte for cte in extra.ctes}
            for cte in inner.extra.ctes:
                other = known.setdefault(cte.name, cte)
                if (other.shape, other.values) != (cte.shape, cte.values):
                    raise QueryError(two_ctes(cte.name))
            extra = extra.replaced(ctes=tuple(known.values()))
        elif inner.shape != Query(table).shape:
            source = Compound("rows", (inner,))
    view = _viewed(query.table, name, RelationKind.REVERSE_ONE_TO_ONE, table)
    condition = _condition(view, name, join.on, query)
    made = Joined(name, table, source, condition, is_outer=join.outer)
    return query.replaced(table=view, extra=extra.replaced(joins=(*extra.joins, made)))


def filtered_relation(query: Query, name: str, wanted: FilteredRelation) -> Query:
    """A query with a relation under a condition.

    Raises:
        QueryError: The name is taken; several steps.
        FieldError: An unknown name.
    """
    (step, *rest) = relation_path(query.table, wanted.relation)
    relation = query.table.relations[step]
    if rest:
        raise QueryError(
            f"FilteredRelation({wanted.relation!r}) takes one step over a relation; use Exists(), or join()"
        )
    extra = query.extra or NO_EXTRA
    view = _viewed(query.table, name, relation.kind, relation.target)
    condition = _condition(view, name, wanted.condition, query)
    made = Joined(name, relation.target, None, condition, is_outer=True, relation=step)
    return query.replaced(table=view, extra=extra.replaced(joins=(*extra.joins, made)))


def _viewed(table: TableSpec, name: str, kind: RelationKind, target: TableSpec) -> TableSpec:
    if name in table.fields or name in table.relations or not name.isidentifier() or "__" in name:
        raise QueryError(f"{table.model} cannot have a join of the name {name!r}; choose another name")
    kind = RelationKind.REVERSE_FOREIGN_KEY if kind.is_to_many else RelationKind.REVERSE_ONE_TO_ONE
    return table.viewed(relations=(RelationSpec(name, kind, table, target, (), (), True),))


def _condition(table: TableSpec, name: str, on: Any, query: Query) -> Condition:
    condition = condition_of(on if isinstance(on, Q | Condition) else Q(on), table)
    if condition is None:
        raise QueryError(
            f"the join {name!r} has no condition; say which rows belong together: Q(author=F('{name}__id'))"
        )
    return condition
