"""Nodes -> SQLAlchemy elements, for one SELECT. Values are named by their offset in the question's `values`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

import sqlalchemy as sa
from sqlalchemy.sql.elements import Grouping, UnaryExpression
from sqlalchemy.sql.operators import custom_op
from sqlalchemy.sql.selectable import FromClause

from datalayer._compile import aggregates, filtered, functions, spans, values
from datalayer._compile.backends.base import Backend, Ordered
from datalayer._compile.joins import Element, Path, Scope, Statement
from datalayer._compile.prepared import Convert
from datalayer._compile.spliced import spliced
from datalayer._compile.walk import Walk
from datalayer._query import added
from datalayer._query.comparing import compare
from datalayer._query.condition import Comparison, Condition, ExistsCondition, Junction, Negation, Nothing, Truth
from datalayer._query.expression import (
    Aggregate,
    AnnotationRef,
    Arithmetic,
    Case,
    Expression,
    FieldRef,
    Function,
    Ordering,
    OuterRef,
    Predicate,
    Subquery,
    Together,
    Value,
    Window,
)
from datalayer._query.lookup import ORDER_LOOKUPS, TEXT_LOOKUPS, transformed
from datalayer._query.path import reference
from datalayer._query.query import Query
from datalayer._schema.field import ColumnType, Kind
from datalayer.errors import QueryError

_SYMBOLS: Final = {"exact": "=", "ne": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


Nested: TypeAlias = "Callable[[Writer, Query, int, bool], sa.Select[Any]]"
"""Given by `select.py`: writes a whole query inside another one."""

AggregateParts: TypeAlias = "tuple[list[Element], list[Ordered], Element | None]"


class Writer:
    """Writes the nodes of one query.

    Attributes:
        backend: The dialect.
        statement: Shared by the whole statement.
        scope: The tables of this SELECT.
        parent: The writer of the query outside, for `OuterRef`.
        annotations: The query's annotations by name, each with the offset of its values.
        aggregates_here: Aggregates go over the rows of this SELECT (GROUP BY); otherwise each has its own subquery.
        filter: The number of the filter() call being written; None for columns and ORDER BY.
        one_row: Relations to many of which one row is looked at: what an aggregate, or a join by name, goes over.
        is_correlated: Whether something of a query further out was asked for.
        filters: The filter() calls of the query, each with the offset of its values.
        after: How many of them stood before each annotation and column that is an aggregate over many rows.
        reach: How many of them stood before what is being written.
        is_apart: The filters over relations to many join nothing, although aggregates go over groups here.
        once: The keys of groups that are computed beside each row, in FROM, once they were asked for: bound twice,
            PostgreSQL would take them for two things. Each is None before.
        beside: The name of those keys' place in FROM.
    """

    def __init__(
        self,
        backend: Backend,
        statement: Statement,
        scope: Scope,
        *,
        parent: Writer | None = None,
        annotations: Mapping[str, tuple[Expression, int]] | None = None,
        aggregates_here: bool = False,
        home: Writer | None = None,
        nested: Nested | None = None,
    ) -> None:
        self.backend = backend
        self.statement = statement
        self.scope = scope
        self.parent = parent
        self.annotations = dict(annotations or {})
        self.aggregates_here = aggregates_here
        self.filter: int | None = None
        self.one_row: frozenset[Path] = frozenset()
        self.labels: dict[str, Element] = {}
        self._home = home
        self._nested = nested
        self.is_correlated = False
        self.filters: tuple[tuple[Condition, int], ...] = ()
        self.after: Mapping[str, int] = {}
        self.reach = 0
        self.is_apart = False
        self.once: dict[str, Element | None] = {}
        self.beside = ""
        self.walk = Walk(scope.table, {name: expression for name, (expression, _) in self.annotations.items()})

    # -- expressions ------------------------------------------------------------------------

    def expression(self, node: Expression, at: int) -> Element:
        """An SQL value; `at` is the offset of the node's first value."""
        match node:
            case FieldRef():
                return self._column(node)
            case Value():
                bound = self.statement.bind(at, values.to_driver(node.type, self.backend.name))
                return self.backend.typed(bound, node.type)
            case AnnotationRef():
                return self._annotation(node.name)
            case Arithmetic():
                return self._arithmetic(node, at)
            case Function():
                return self._function(node, at)
            case Aggregate():
                return aggregates.written(self, node, at)
            case Subquery():
                return self.subquery(node.query, at).scalar_subquery()
            case Case():
                return self._case(node, at)
            case Predicate():
                return Grouping(self.condition(node.condition, at))
            case Window():
                return aggregates.window(self, node, at)
            case OuterRef():
                return self._outer(node)
            case Together():
                return self._together(node, at)
            case _:
                raise QueryError(f"{node!r} has no meaning in this place")

    def _column(self, node: FieldRef) -> Element:
        writer = self._further_out(node.outer, node.field)
        return writer.scope.column(node.path, node.field, writer.filter)

    def _further_out(self, levels: int, name: str) -> Writer:
        writer: Writer = self
        for _ in range(levels):
            if writer.parent is None:
                raise QueryError(f"OuterRef({name!r}) stands in a query that is not inside another one")
            writer.is_correlated = (writer._home or writer).is_correlated = True
            writer = writer.parent
        return writer

    def _outer(self, node: OuterRef) -> Element:
        writer = self._further_out(node.levels, node.name)
        found = writer.named(node.name, node.columns)
        if isinstance(found, AnnotationRef):
            return writer._annotation(found.name)
        if found.values:
            raise QueryError(f"OuterRef({node.name!r}) steps into JSON; annotate the query outside with it first")
        return writer.expression(found, 0)

    def named(self, name: str, columns: int = 1) -> Expression:
        """What a name means in this query."""
        types = {name: expression.type for name, (expression, _) in self.annotations.items()}
        return reference(self.scope.table, name, annotations=types, columns=columns)

    def _beside(self, node: Comparison, right: OuterRef) -> Comparison:
        """A comparison with a name outside, now that its type is known: JSON is compared by the part of that type."""
        outside = self._further_out(right.levels, right.name).named(right.name, right.columns)
        typed = OuterRef(right.name, right.levels, right.columns)
        typed.type = outside.type
        found = compare(node.left, node.lookup, typed, transform=node.transform, name=f"OuterRef({right.name!r})")
        return found if isinstance(found, Comparison) else node

    def _annotation(self, name: str) -> Element:
        if self._home is not None:
            return self._home._annotation(name)
        if name not in self.once:
            return self._computed(name)
        if self.once[name] is None:
            self.once[name] = self._computed(name)
        self.beside = self.beside or self.statement.name()
        return sa.literal_column(f"{self.beside}.k{list(self.once).index(name)}")

    def keys_beside(self) -> FromClause | None:
        """The keys of groups that stand in FROM, after all tables; None where there are none."""
        shown = [key.label(f"k{number}") for number, key in enumerate(self.once.values()) if key is not None]
        return sa.select(*shown).correlate(*self.scope.tables()).lateral(self.beside) if shown else None

    def _computed(self, name: str) -> Element:
        expression, at = self.annotations[name]
        kept, self.filter = self.filter, None
        reach, self.reach = self.reach, self.after.get(name, 0)
        try:
            return self.expression(expression, at)
        finally:
            self.filter, self.reach = kept, reach

    def _arithmetic(self, node: Arithmetic, at: int) -> Element:
        left = self.expression(node.left, at)
        right = self.expression(node.right, at + len(node.left.values))
        own = self.backend.arithmetic(node.operator, left, right, (node.left.type, node.right.type), node.type)
        if own is not None:
            return own
        if node.operator == "/" and node.type is not None and node.type.kind in {Kind.FLOAT, Kind.DECIMAL}:
            left = left.op("*")(sa.literal_column("1.0"))
        return Grouping(left.op(node.operator)(right))

    def _function(self, node: Function, at: int) -> Element:
        arguments: list[Element] = []
        for argument in node.arguments:
            arguments.append(self.expression(argument, at))
            at += len(argument.values)
        return functions.written(self.backend, node, arguments)

    def _together(self, node: Together, at: int) -> Element:
        found: list[Element] = []
        for part in node.parts:
            found.append(self.expression(part, at))
            at += len(part.values)
        return sa.tuple_(*found)

    def _case(self, node: Case, at: int) -> Element:
        pairs: list[tuple[Element, Element]] = []
        for condition, then in node.pairs:
            test = self.condition(condition, at)
            at += len(condition.values)
            pairs.append((test, self.expression(then, at)))
            at += len(then.values)
        default = sa.null() if node.default is None else self.expression(node.default, at)
        return Grouping(sa.case(*pairs, else_=default))

    def ordered(self, item: Ordering, element: Element) -> Element:
        """The clause of an item of ORDER BY, NULLs where the item wants them."""
        if not isinstance(item.expression, FieldRef):
            element = self.backend.collated(element, item.expression.type, is_column=False)
        key = self.backend.sorting(element, item.expression.type)
        clause = key.desc() if item.descending else key.asc()
        last = not item.descending if item.nulls is None else item.nulls == "last"
        natural = (not item.descending) == self.backend.sorts_null_last
        if last != natural and (item.nulls is not None or self.walk.may_be_null(item.expression)):
            clause = clause.nulls_last() if last else clause.nulls_first()
        return clause

    def aggregate_parts(self, node: Aggregate, at: int) -> AggregateParts:
        """What an aggregate runs over, in which order, and the condition rows must meet."""
        arguments: list[Element] = []
        for argument in (*(() if node.argument is None else (node.argument,)), *node.extra):
            arguments.append(self.expression(argument, at))
            at += len(argument.values)
        order: list[Ordered] = []
        for item in node.order:
            element = self.expression(item.expression, at)
            order.append(Ordered(element, self.ordered(item, element), item))
            at += len(item.values)
        if node.condition is None:
            return arguments, order, None
        kept, self.one_row = self.one_row, self.walk.crossings(*node.children[:-1])
        try:
            return arguments, order, self.condition(node.condition, at)
        finally:
            self.one_row = kept

    # -- about one row ----------------------------------------------------------------------

    def of_one_row(self, node: Aggregate, at: int) -> Element:
        """An aggregate over what is related to one row, as a value of that row."""
        return aggregates.of_one_row(self, node, at)

    def inside(self, *, is_anchored: bool) -> Writer:
        """A writer for a subquery about one row of this query: hanging on it, or looking it up again by its key."""
        table = self.scope.table
        root = self.scope.root if is_anchored else self.statement.alias(table)
        scope = Scope(self.statement, table, root, is_anchored=is_anchored, named=self.scope.named)
        inner = Writer(
            self.backend,
            self.statement,
            scope,
            parent=self.parent,
            annotations=self.annotations,
            home=self._home or self,
            nested=self._nested,
        )
        inner.filter = 0
        inner.filters, inner.reach = self.filters, self.reach
        return inner

    def finished(self, select: sa.Select[Any], outer: Writer, condition: Element | None = None) -> sa.Select[Any]:
        """A subquery about one row of `outer`, with its FROM and the tie to that row."""
        source, tie = self.scope.from_clause()
        if tie is None:
            names = self.scope.table.primary_key
            tie = sa.and_(*[self.scope.column((), name) == outer.scope.column((), name) for name in names])
        select = select.select_from(source).where(tie)
        if condition is not None:
            select = select.where(condition)
        return select.correlate_except(*self.scope.tables())

    # -- conditions -------------------------------------------------------------------------

    def condition(self, node: Condition, at: int) -> Element:
        """An SQL condition."""
        match node:
            case Comparison():
                return self._comparison(node, at)
            case Junction():
                return self._junction(node, at)
            case Negation():
                return self._negation(node, at)
            case Truth():
                return self.backend.truth(self.expression(node.expression, at))
            case ExistsCondition():
                return sa.exists(self.subquery(node.query, at, is_exists=True))
            case Nothing():
                return sa.literal_column("1").op("=", is_comparison=True)(sa.literal_column("0"))
            case _:
                raise QueryError(f"{type(node).__name__} has no SQL")  # pragma: no cover

    def _junction(self, node: Junction, at: int) -> Element:
        found: list[Element] = []
        for child in node.children:
            found.append(self.condition(child, at))
            at += len(child.values)
        if node.connector == "and":
            return sa.and_(sa.literal_column("1 = 1"), *found) if not found else sa.and_(*found)
        if node.connector == "or":
            return sa.or_(*found) if found else sa.literal_column("1 = 0")
        result = _is_true(found[0])
        for other in found[1:]:
            result = Grouping(result).op("!=", is_comparison=True)(Grouping(_is_true(other)))
        return result

    def _negation(self, node: Negation, at: int) -> Element:
        if self.walk.is_to_many(node.child) and not self._is_of_one_row(node.child):
            return sa.not_(self.on_one_row((node.child, at)))
        inner = self.condition(node.child, at)
        if self.walk.may_be_null(node.child):
            return _suffixed(inner, "IS NOT TRUE")
        return sa.not_(Grouping(inner)) if isinstance(node.child, Negation | Junction) else sa.not_(inner)

    def _is_of_one_row(self, node: Condition) -> bool:
        """Whether a condition is about the very rows that an aggregate or a join goes over.

        Raises:
            QueryError: It leads on from them to many rows each.
        """
        crossed = self.walk.crossings(node)
        if crossed <= self.one_row:
            return True
        further = next(
            (path for path in crossed for known in self.one_row if path[: len(known)] == known and path != known),
            None,
        )
        if further is not None and further not in self.one_row:
            raise QueryError(
                f"~ over {'__'.join(further)!r} inside filter= of an aggregate is about many rows for each row that is "
                "aggregated; ask with Exists() in a Subquery"
            )
        return False

    def on_one_row(self, *parts: tuple[Condition, int]) -> Element:
        """EXISTS: whether related rows make conditions true for this row, without joining them to it."""
        required = {path for part, _ in parts for path in self.walk.required(part)}
        first = [path for part, _ in parts for path in self.walk.paths(part)]
        is_anchored = bool(first) and first[0][:1] in required
        return self._exists(self.inside(is_anchored=is_anchored), parts, required)

    def on_these_rows(self, parts: Sequence[tuple[Condition, int]], rows: Iterable[Path]) -> Element:
        """EXISTS: whether conditions are true for this row, with related rows that are joined here among others."""
        inner = self.inside(is_anchored=True)
        ties: list[Element] = []
        for path in sorted(rows, key=len):
            inner.scope.source(path, 0)
            inner.scope.require(path, 0)
            ties += [
                inner.scope.column(path, name, 0) == self.scope.column(path, name, self.filter)
                for name in self.walk.end_of(path).primary_key
            ]
        required = {path for part, _ in parts for path in self.walk.required(part)}
        return self._exists(inner, parts, required, ties)

    def joined_filters(self) -> Element | None:
        """The filters over relations to many, joined here: a row comes as often as they find it."""
        found: list[Element] = []
        for number, (condition, place) in enumerate(self.filters):
            self.filter = number
            if self.walk.joined(condition):
                for part, at in filtered.conjuncts(condition, place):
                    if not self.walk.has_aggregate(part):
                        for path in self.walk.required(part):
                            self.scope.require(path, number)
                        found.append(self.condition(part, at))
        return sa.and_(*found) if found else None

    def _exists(
        self, inner: Writer, parts: Sequence[tuple[Condition, int]], required: set[Path], ties: Sequence[Element] = ()
    ) -> Element:
        for path in required:
            inner.scope.require(path, 0)
        found = sa.and_(*ties, *[inner.condition(part, at) for part, at in parts])
        return sa.exists(inner.finished(sa.select(sa.literal_column("1")), self, found))

    def on_own_row(self, node: Expression, at: int) -> Element:
        """A value over relations of this row, as a subquery that looks the row up again.

        Raises:
            QueryError: A relation leads to many rows, so that there is no one value.
        """
        if self.walk.is_to_many(node):
            raise QueryError(
                f"a value over a relation to many rows of {self.scope.table.model} is many values; aggregate them, "
                "such as Max(...)"
            )
        inner = self.inside(is_anchored=False)
        return inner.finished(sa.select(inner.expression(node, at)), self).scalar_subquery()

    def _comparison(self, node: Comparison, at: int) -> Element:
        if isinstance(node.right, OuterRef):
            node = self._beside(node, node.right)
        left = self.expression(node.left, at)
        type = node.left.type
        if node.lookup == "isnull":
            return left.is_(None)
        if node.lookup == "notnull":
            return left.is_not(None)
        right = node.right
        if right is None:
            raise QueryError(f"the lookup {node.lookup!r} needs a value")
        at += len(node.left.values)
        if node.transform is not None:
            if node.transform in {"year", "date"} and isinstance(right, Value) and spans.is_dated(type):
                spanned = spans.span(self, node, left, at)
                if spanned is not None:
                    return spanned
            left = self.backend.part(node.transform, left, type)
            type = transformed(type, node.transform)
        left = self.backend.collated(left, type, is_column=isinstance(node.left, FieldRef))
        if not isinstance(node.left, FieldRef) and not isinstance(right, Value | Subquery):
            left = self.backend.collated(left, right.type, is_column=False)  # beside a number, its text is the greater
        if not (node.lookup == "in" and isinstance(right, Subquery)):
            left = self._side(node.lookup, left, type)
        if node.lookup in TEXT_LOOKUPS or (node.lookup == "in" and isinstance(right, Value)):
            left = self.backend.as_text(left, type)
        if node.lookup in added.comparisons:
            return spliced(self.backend, added.comparisons[node.lookup], [left, self.expression(right, at)])
        if not isinstance(right, Value):
            return self._against_expression(node.lookup, left, right, at)
        return self._against_value(node.lookup, left, right.type or type, at)

    def _against_value(self, lookup: str, left: Element, type: ColumnType | None, at: int) -> Element:
        if lookup == "in":
            return self.backend.one_of(left, self.statement.bind(at, self.backend.list_converter(type)), type)
        if lookup in TEXT_LOOKUPS:
            return self.backend.text_value(lookup, left, self.statement.bind(at, self.backend.text_converter(lookup)))
        convert = values.to_driver(type, self.backend.name)
        if lookup == "range":
            ends = [self.statement.bind(at, _item(place, convert)) for place in (0, 1)]
            low, high = [self._side(lookup, self.backend.typed_composite(end, type), type) for end in ends]
            return left.between(low, high)
        return left.op(_SYMBOLS[lookup], is_comparison=True)(
            self._side(lookup, self.backend.typed_composite(self.statement.bind(at, convert), type), type)
        )

    def _side(self, lookup: str, value: Element, type: ColumnType | None) -> Element:
        return self.backend.placed(value, type) if lookup in ORDER_LOOKUPS else self.backend.same(value, type)

    def _against_expression(self, lookup: str, left: Element, right: Expression, at: int) -> Element:
        if lookup == "in":
            if not isinstance(right, Subquery):
                return left == self.backend.same(self.expression(right, at), right.type)
            return left.in_(self.subquery(right.query, at))
        element = self._side(lookup, self.expression(right, at), right.type)
        if lookup in TEXT_LOOKUPS:
            return self.backend.text_expression(lookup, left, element)
        return left.op(_SYMBOLS[lookup], is_comparison=True)(element)

    # -- nested queries ---------------------------------------------------------------------

    def subquery(self, query: Query, at: int, *, is_exists: bool = False) -> sa.Select[Any]:
        """A query inside this one, which may refer to this one's tables."""
        if self._nested is None:
            raise QueryError("a query inside another one has no place here")
        return self._nested(self, query, at, is_exists)


def _is_true(condition: Element) -> Element:
    return Grouping(_suffixed(condition, "IS TRUE"))


def _suffixed(condition: Element, words: str) -> Element:
    modifier: custom_op[Any] = custom_op(words)
    return UnaryExpression(Grouping(condition), modifier=modifier)


def _item(place: int, convert: Convert | None) -> Convert:
    def run(value: object) -> object:
        item = cast("tuple[object, ...]", value)[place]
        return item if convert is None else convert(item)

    return run
