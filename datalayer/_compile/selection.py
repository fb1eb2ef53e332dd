"""One SELECT in the making: what it shows, which rows it takes, its groups and its order."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias, cast

import sqlalchemy as sa

from datalayer._compile import aggregates, sources, values
from datalayer._compile.backends.base import Backend
from datalayer._compile.filtered import conjuncts, must_be_apart
from datalayer._compile.joins import Element, NamedJoin, Scope, Statement
from datalayer._compile.outside import PART, Qualifying
from datalayer._compile.prepared import Output
from datalayer._compile.walk import Walk
from datalayer._compile.writer import Writer
from datalayer._query.condition import Condition
from datalayer._query.expression import Aggregate, AnnotationRef, Expression, FieldRef, Ordering
from datalayer._query.query import Query
from datalayer._query.source import NO_DISTINCT_ON, Extra
from datalayer._query.walk import is_fixed, parts
from datalayer._schema.table import TableSpec
from datalayer.errors import NotSupported, QueryError

Conditions: TypeAlias = tuple[list[Element], list[Element], list[tuple[Condition, int]]]
"""WHERE, HAVING, and what is on windows and not written yet."""


@dataclass(frozen=True)
class Layout:
    """Where the values of each part of a query begin."""

    columns: list[int]
    annotations: list[int]
    where: list[int]
    group_by: list[int]
    order: list[int]
    limit: int
    offset: int
    extra: int


def layout(query: Query, at: int = 0) -> Layout:
    """The offsets of a query's parts, in the order of `Query.values`."""

    def places(nodes: list[Any]) -> list[int]:
        nonlocal at
        found: list[int] = []
        for node in nodes:
            found.append(at)
            at += len(node.values)
        return found

    columns = places([expression for _, expression in query.columns or ()])
    annotations = places([expression for _, expression in query.annotations])
    where = places(list(query.where))
    group_by = places(list(query.group_by or ()))
    order = places(list(query.order))
    limit = at
    offset = limit + (query.limit is not None)
    return Layout(columns, annotations, where, group_by, order, limit, offset, offset + (query.offset is not None))


def subquery(writer: Writer, query: Query, at: int, is_exists: bool) -> sa.Select[Any]:
    """A query inside another one, which may refer to the other one's tables."""
    inner = Selection(writer.backend, writer.statement, query, at, parent=writer)
    is_plain = query.group_by is None and query.limit is None and query.offset is None and not inner.is_qualified
    if is_exists and is_plain:
        return inner.bare([sa.literal_column("1")])
    if query.columns is None and not is_exists and len(query.table.primary_key) == 1:
        key = query.table.primary_key[0]
        inner.query = query.replaced(columns=((key, _field(query.table, key)),))
        inner.places.columns.append(at)
    return inner.full()


def whole(backend: Backend, statement: Statement, query: Query, at: int) -> sa.Select[Any]:
    """A query as a source of rows for another one: its columns only, in no order unless it is cut."""
    is_cut = query.limit is not None or query.offset is not None or (query.extra and query.extra.distinct_on)
    plain = query.replaced(joined=(), only=None, lock=None)
    selection = Selection(backend, statement, plain, at)
    selection.is_inside = True
    if not is_cut:
        selection.drop_order()
    return selection.full()


def _field(table: TableSpec, name: str) -> FieldRef:
    return FieldRef((), name, table.fields[name].type, nullable=table.fields[name].nullable)


def _beside_rows(query: Query) -> Iterator[Expression]:
    """What is computed for each row: its annotations and columns, and what it is put in order by."""
    for _, expression in (*query.annotations, *(query.columns or ())):
        yield expression
    for item in query.order:
        yield item.expression


class Selection:
    """One SELECT in the making.

    Attributes:
        query: The question.
        writer: Writes its nodes.
        outputs: What comes back; filled by `full`.
        is_qualified: A condition is on a window, so that everything else becomes a subquery.
        is_inside: It is a part of another SELECT, which wants the columns asked for and no others.
        hidden: Columns that come along because the order of groups or distinct rows is by them; by place of values.
    """

    def __init__(
        self,
        backend: Backend,
        statement: Statement,
        query: Query,
        at: int = 0,
        *,
        parent: Writer | None = None,
        is_aggregate: bool = False,
    ) -> None:
        self.backend = backend
        self.statement = statement
        self.query = query
        self.places = layout(query, at)
        scope = self._scope(parent)
        annotations = {
            name: (expression, place)
            for (name, expression), place in zip(query.annotations, self.places.annotations, strict=True)
        }
        self.writer = Writer(
            backend,
            statement,
            scope,
            parent=parent,
            annotations=annotations,
            aggregates_here=query.group_by is not None or is_aggregate,
            nested=subquery,
        )
        if not backend.knows_again:
            keys = [key.name for key in query.group_by or () if isinstance(key, AnnotationRef)]
            self.writer.once = {name: None for name in keys if not self._is_fixed(annotations[name][0])}
        for joined in query.extra.joins if query.extra is not None else ():
            if joined.relation is None:  # it decides which rows there are, whether anything of it is shown or not
                scope.source((joined.name,))
        self.outputs: list[Output] = []
        self.is_inside = parent is not None
        self.hidden: dict[int, Element] = {}
        self._is_counted = (
            query.group_by is None
            and not is_aggregate
            and any(self.writer.walk.has_aggregate(node) for node in _beside_rows(query))
        )
        self.is_qualified = any(self.writer.walk.has_window(condition) for condition in query.where)
        self.writer.filters = tuple(zip(query.where, self.places.where, strict=True))
        if query.extra is not None:
            self.writer.after = dict(query.extra.after)
        if query.group_by is not None:
            self.take_apart(self._aggregates())

    def _scope(self, parent: Writer | None) -> Scope:
        query, statement, backend = self.query, self.statement, self.backend
        root = None if parent is None else statement.alias(query.table)
        named: dict[str, NamedJoin] = {}
        if query.extra is not None:
            at = self.places.extra
            for cte in query.extra.ctes:
                sources.note_cte(backend, statement, cte, at, whole)
                at += len(cte.values)
            source = query.extra.source
            if source is not None:
                root = sources.rows_of(backend, statement, source, query.table, at, whole)
                at += len(source.values)
            if query.extra.sample is not None:
                root = sources.sampled(backend, statement, query.extra.sample, query.table)
            for joined in query.extra.joins:
                named[joined.name] = sources.named_join(backend, statement, joined, at, parent, whole, subquery)
                at += len(joined.values)
        return Scope(statement, query.table, root, named=named)

    def _aggregates(self) -> Iterator[tuple[Aggregate, int]]:
        """The aggregates over groups, each with the number of filters before it."""
        walk, query = self.writer.walk, self.query
        for name, expression in (*query.annotations, *(query.columns or ())):
            if not isinstance(expression, AnnotationRef):
                yield from ((node, self.writer.after.get(name, 0)) for node in walk.aggregates(expression))
        for number, condition in enumerate(query.where):
            yield from ((node, number) for node in Walk(query.table, {}).aggregates(condition))
        for item in query.order:
            yield from ((node, len(query.where)) for node in Walk(query.table, {}).aggregates(item.expression))

    def take_apart(self, nodes: Iterable[tuple[Aggregate, int]]) -> None:
        """Keeps filters over relations to many from joining them, where an aggregate would see rows several times."""
        writer = self.writer
        writer.is_apart = must_be_apart(writer.walk, writer.filters, nodes, self.query.group_by or ())
        self._is_counted = self._is_counted or writer.is_apart

    # -- the parts --------------------------------------------------------------------------

    def conditions(self) -> Conditions:
        """WHERE and HAVING, and the conditions on windows, which are not written yet."""
        where: list[Element] = []
        groups: list[tuple[int, Condition, int]] = []
        windows: list[tuple[Condition, int]] = []
        for number, (condition, place) in enumerate(zip(self.query.where, self.places.where, strict=True)):
            self.writer.filter = self.writer.reach = number
            parts = conjuncts(condition, place)
            for part, _ in parts:
                for path in self.writer.walk.required(part):
                    if not (self._is_counted and self.writer.walk.is_to_many(part)):
                        self.writer.scope.require(path, number)
            if (
                self._is_counted
                and self.writer.walk.is_to_many(condition)
                and not self.writer.walk.has_window(condition)
            ):
                # Joined rows would repeat ours beside aggregates that have subqueries of their own.
                about = [item for item in parts if not (self.writer.is_apart and self._is_having(item[0]))]
                where.append(self.writer.on_one_row(*about))
                parts = [item for item in parts if item not in about]
            for part, at in parts:
                if self.is_qualified and self.writer.walk.has_window(part):
                    windows.append((part, at))
                    continue
                if self._is_having(part):
                    groups.append((number, part, at))
                else:
                    where.append(self.writer.condition(part, at))
        having = self._having(groups) if groups else []
        self.writer.filter, self.writer.reach = None, len(self.query.where)
        return where, having, windows

    def _having(self, groups: list[tuple[int, Condition, int]]) -> list[Element]:
        """HAVING; its aggregates are over what the groups and columns join, whose joins come first."""
        self.writer.filter, self.writer.reach = None, len(self.query.where)
        self._join_groups()
        found: list[Element] = []
        for number, condition, place in groups:
            self.writer.filter = self.writer.reach = number
            found.append(self.writer.condition(condition, place))
        return found

    def _is_having(self, condition: Condition) -> bool:
        return self.writer.aggregates_here and self.writer.walk.has_aggregate(condition)

    def columns(self) -> list[Element]:
        """The SELECT list; notes what comes back."""
        query = self.query
        found: list[Element] = []
        if query.columns is not None:
            for (name, expression), place in zip(query.columns, self.places.columns, strict=True):
                found.append(self._computed(name, expression, place))
            return found
        self._fields((), query.table, found)
        # A joined row hangs on its parent's, so every step of a path comes along, parents first.
        for path in dict.fromkeys(whole[:length] for whole in query.joined for length in range(1, len(whole) + 1)):
            table = query.table
            for part in path:
                table = table.relations[part].target
            self._fields(path, table, found)
        hidden = query.extra.hidden if query.extra is not None else ()
        for (name, expression), place in zip(query.annotations, self.places.annotations, strict=True):
            if name not in hidden:
                found.append(self._computed(name, expression, place))
        return found

    def _fields(self, path: tuple[str, ...], table: TableSpec, found: list[Element]) -> None:
        only = self.query.only
        prefix = "".join(part + "__" for part in path)
        wanted = None if only is None else {n[len(prefix) :] for n in only if n.startswith(prefix)}
        if wanted is not None and path and not any(name in table.fields for name in wanted):
            wanted = None  # nothing was said about this relation
        for field in table.fields.values():
            if wanted is None or field.name in wanted or field.name in table.primary_key:
                found.append(self.writer.scope.column(path, field.name))
                if field.name not in table.origin.fields:  # what the rows of another query come with
                    self.outputs.append(Output(field.name, (), None, values.from_driver(field.type, self.backend.name)))
                    continue
                self.outputs.append(Output(field.name, path, field, values.from_driver(field.type, self.backend.name)))

    def _computed(self, name: str, expression: Expression, place: int) -> Element:
        kept, self.writer.reach = self.writer.reach, self.writer.after.get(name, 0)
        element = self.writer.expression(expression, place)
        self.writer.reach = kept
        label = element.label(name)
        self.writer.labels[name] = label
        source = expression
        if isinstance(expression, AnnotationRef):
            source = self.writer.annotations[expression.name][0]
            self.writer.labels[expression.name] = label
        field = None
        # An annotation is never a field of the instance, whatever it is computed from.
        if self.query.columns is not None and isinstance(source, FieldRef) and not source.outer:
            table = self.query.table
            for part in source.path:
                table = table.relations[part].target
            field = table.fields[source.field]
        self.outputs.append(Output(name, (), field, values.reader(source, self.backend.name)))
        return label

    def ordering(self) -> list[tuple[Element, Any, Ordering]]:
        """For each item of ORDER BY: the element, the finished clause and the item."""
        found: list[tuple[Element, Any, Ordering]] = []
        for item, place in zip(self.query.order, self.places.order, strict=True):
            element = self._ordered(item.expression, place)
            if self._must_be_shown(item.expression) and not isinstance(element, sa.Label):
                element = self.hidden[place] = element.label(f"datalayer_order{place}")
            found.append((element, self.writer.ordered(item, element), item))
        return found

    def _is_fixed(self, expression: Expression) -> bool:
        """Whether nothing is bound in an expression, through annotations as well."""
        known = self.writer.annotations
        inside = [known[part.name][0] for part in parts(expression) if isinstance(part, AnnotationRef)]
        return is_fixed(expression) and all(self._is_fixed(each) for each in inside)

    def _must_be_shown(self, expression: Expression) -> bool:
        """Whether an order is by what must be a column: bound in it twice, PostgreSQL takes it for two things."""
        query, walk = self.query, self.writer.walk
        if self.backend.knows_again or self.is_inside or self.is_qualified or self._is_fixed(expression):
            return False
        if query.group_by is not None:
            return not (walk.has_aggregate(expression) or walk.has_window(expression))
        return query.distinct and not (query.extra is not None and query.extra.distinct_on)

    def _ordered(self, expression: Expression, place: int) -> Element:
        if isinstance(expression, AnnotationRef) and expression.name in self.writer.labels:
            return self.writer.labels[expression.name]
        if expression.values and is_fixed(expression):  # bound twice, PostgreSQL would take it for two things
            for name, other in self.query.columns or ():
                if other.shape == expression.shape:
                    return self.writer.labels[name]
        return self.writer.expression(expression, place)

    def grouping(self, shown: list[Element]) -> list[Element]:
        """GROUP BY; what has values of its own and is selected is named by its number, so that both are the same."""
        found: list[Element] = []
        taken: set[int] = set()
        names = self.query.columns if self.query.columns is not None else self.query.annotations
        before = 0
        if self.query.columns is None:
            hidden = self.query.extra.hidden if self.query.extra is not None else ()
            names = tuple([item for item in names if item[0] not in hidden])
            before = len(self.outputs) - len(names)  # the fields of whole rows
        keys = list(zip(self.query.group_by or (), self.places.group_by, strict=True))
        for expression, place in keys:
            shape = expression.shape
            if expression.values or isinstance(expression, AnnotationRef):
                number = next(
                    (
                        position
                        for position, (name, other) in enumerate(names, before + 1)
                        if (other.shape == shape and position not in taken)
                        or (isinstance(expression, AnnotationRef) and name == expression.name)
                    ),
                    None,
                )
                if number is not None and len(shown) == before + len(names):
                    taken.add(number)
                    found.append(sa.literal_column(str(number)))
                    continue
            found.append(self.writer.expression(expression, place))
        found += self._beside_keys({expression.shape for expression, _ in keys if is_fixed(expression)})
        return found + [sa.literal_column(str(number)) for number, _ in enumerate(self.hidden, len(shown) + 1)]

    def _beside_keys(self, known: set[Hashable]) -> Iterator[Element]:
        """What must be in GROUP BY as well: rows that come along with whole rows, and the columns that order.

        Args:
            known: The shapes of the keys that there are, of those that say all about the values.
        """
        for path in dict.fromkeys(whole[:length] for whole in self.query.joined for length in range(1, len(whole) + 1)):
            table = self.query.table
            for part in path:
                table = table.relations[part].target
            for name in table.fields:
                yield self.writer.scope.column(path, name)
        walk = self.writer.walk
        for item, place in zip(self.query.order, self.places.order, strict=True):
            node = item.expression
            if place in self.hidden or walk.has_aggregate(node) or walk.has_window(node):
                continue
            if _is_of_rows(node, known):
                yield self._ordered(node, place)

    # -- the whole --------------------------------------------------------------------------

    def full(self, extra: Callable[[], list[Element]] | None = None) -> sa.Select[Any]:
        """Everything the query asks for, and some more columns."""
        query = self.query
        where, having, windows = self.conditions()
        if self.writer.aggregates_here:
            self._join_groups()
        shown = self.columns()
        order = self.ordering()
        groups = self.grouping(shown) if query.group_by else []
        shown += self.hidden.values()
        if windows:
            return self._around(where, having, windows, shown, order, groups, extra)
        is_distinct = query.distinct
        if is_distinct and not (query.extra is not None and query.extra.distinct_on):
            hidden = _hidden(order, shown)
            if hidden and self.is_inside and not groups:  # groups are distinct as well, and show no more than is asked
                groups += [sa.literal_column(str(number)) for number, _ in enumerate(shown, 1)]
                groups += hidden
                is_distinct = False
            else:
                shown += hidden
        if extra is not None:
            shown += extra()
        select = self._grouped(self.assembled(shown, where), groups, having)
        if is_distinct:
            select = self._distinct(select)
        return self._sliced(select.order_by(*[clause for _, clause, _ in order]))

    def _distinct(self, select: sa.Select[Any]) -> sa.Select[Any]:
        extra = self.query.extra
        if extra is None or not extra.distinct_on:
            return select.distinct()
        if self.backend.name != "postgresql":
            raise NotSupported(NO_DISTINCT_ON)
        if not {expression.shape for expression in extra.distinct_on} <= _first_orders(self.query, extra):
            raise QueryError(
                "distinct() by columns needs an order that begins with them: order_by() the same ones first"
            )
        at = self.places.extra + len(extra.values) - sum(len(e.values) for e in extra.distinct_on)
        found: list[Element] = []
        for expression in extra.distinct_on:
            found.append(self.writer.expression(expression, at))
            at += len(expression.values)
        return select.ext(import_module("sqlalchemy.dialects.postgresql").distinct_on(*found))

    def _grouped(self, select: sa.Select[Any], groups: list[Element], having: list[Element]) -> sa.Select[Any]:
        if groups:
            select = select.group_by(*groups)
        return select.having(sa.and_(*having)) if having else select

    def drop_order(self) -> None:
        """Leaves ORDER BY out; values keep their places."""
        self.query = self.query.replaced(order=())
        self.places.order.clear()

    def _join_groups(self) -> None:
        """Joins for the keys of the groups come before those that aggregates need."""
        for expression, place in zip(self.query.group_by or (), self.places.group_by, strict=True):
            self.writer.expression(expression, place)
        shown = self.query.columns if self.query.columns is not None else ()
        every: list[Condition | Expression] = [e for _, e in (*shown, *self.query.annotations)]
        every += self.query.where
        aggregates.join_together(self.writer, every)

    def _around(
        self,
        where: list[Element],
        having: list[Element],
        windows: list[tuple[Condition, int]],
        shown: list[Element],
        order: list[tuple[Element, Any, Ordering]],
        groups: list[Element],
        extra: Callable[[], list[Element]] | None,
    ) -> sa.Select[Any]:
        """The rows as a subquery, and the conditions on windows around it."""
        outside = Qualifying(self.writer)
        conditions = [outside.condition(condition, at) for condition, at in windows]
        keys = [(outside.ship(element), item) for element, _, item in order]
        more = extra() if extra is not None else []
        names = [getattr(element, "name", "") for element in shown]
        inside = [getattr(element, "element", element).label(f"c{number}") for number, element in enumerate(shown)]
        part = self._grouped(self.assembled([*inside, *outside.shipped, *more], where), groups, having)
        if self.writer.parent is not None and self.writer.is_correlated:
            raise QueryError(
                "a query that is filtered by a window cannot use OuterRef(): filter outside, or use first()"
            )
        columns: list[Element] = [
            sa.literal_column(f"{PART}.c{number}").label(name or f"c{number}") for number, name in enumerate(names)
        ]
        columns += [sa.literal_column(f"{PART}.{element.name}").label(element.name) for element in more]
        if self.query.distinct:
            columns += [key for key, _ in keys]
        select = sa.select(*columns).select_from(part.subquery(PART)).where(*conditions)
        if self.query.distinct:
            select = select.distinct()
        return self._sliced(select.order_by(*[self.writer.ordered(item, key) for key, item in keys]))

    def bare(self, shown: list[Element]) -> sa.Select[Any]:
        """Only the rows: no columns of its own, no order."""
        where, having, _ = self.conditions()
        return self._grouped(self.assembled(shown, where), [], having)

    def assembled(self, shown: list[Element], where: list[Element]) -> sa.Select[Any]:
        """SELECT, FROM and WHERE."""
        source, _ = self.writer.scope.from_clause()
        beside = self.writer.keys_beside()
        if beside is not None:
            source = source.join(beside, sa.true())
        select = sa.select(*shown).select_from(source)
        if where:
            select = select.where(*where)
        return select.correlate_except(*self.writer.scope.tables()) if self.writer.parent is not None else select

    def _sliced(self, select: sa.Select[Any]) -> sa.Select[Any]:
        query, is_sqlite = self.query, self.backend.name == "sqlite"
        # SQLite knows OFFSET only after LIMIT; both are given, so that SQLAlchemy adds no values of its own.
        if query.limit is not None:
            select = select.limit(cast("Any", self.statement.bind(self.places.limit)))
        elif query.offset is not None and is_sqlite:
            select = select.limit(cast("Any", sa.literal_column("-1")))
        if query.offset is not None:
            select = select.offset(cast("Any", self.statement.bind(self.places.offset)))
        elif query.limit is not None and is_sqlite:
            select = select.offset(cast("Any", sa.literal_column("0")))
        return select


def _is_of_rows(node: Expression, known: set[Hashable]) -> bool:
    """Whether the rows of a group may differ in a value, whose keys are known."""
    if node.shape in known or isinstance(node, FieldRef | AnnotationRef):
        return node.shape not in known and not (isinstance(node, FieldRef) and node.outer)
    return any(_is_of_rows(cast("Expression", child), known) for child in node.children)


def _hidden(order: list[tuple[Element, Any, Ordering]], shown: list[Element]) -> list[Element]:
    """What DISTINCT needs to see because ORDER BY names it."""
    known = {str(getattr(element, "element", element)) for element in shown} | {id(element) for element in shown}
    return [element for element, _, _ in order if id(element) not in known and str(element) not in known]


def _first_orders(query: Query, extra: Extra) -> set[Any]:
    """The shapes that an order begins with; with no order, all of those that DISTINCT ON names."""
    if not query.order:
        return {expression.shape for expression in extra.distinct_on}
    return {item.expression.shape for item in query.order[: len(extra.distinct_on)]}
