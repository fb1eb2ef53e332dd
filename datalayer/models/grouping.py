"""Aggregates and groups: where an aggregate has rows to run over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from datalayer._query.comparing import comparison
from datalayer._query.condition import Condition, Junction
from datalayer._query.expression import Aggregate, AnnotationRef, Expression, FieldRef, Window
from datalayer._query.path import field_reference
from datalayer._query.query import Query
from datalayer._query.walk import parts
from datalayer._schema.table import TableSpec
from datalayer.errors import QueryError


def check_ungrouped(condition: Condition, query: Query) -> None:
    """Makes sure that every aggregate in a condition on single rows is over rows that are related to each.

    Raises:
        QueryError: One is over the row itself, which is never meant: a group, or all rows, must have been.
    """
    annotations = dict(query.annotations)

    def look(node: Condition | Expression) -> None:
        if isinstance(node, Window):
            return
        if isinstance(node, Aggregate):
            if not is_over_many(node, query.table, annotations):
                raise QueryError(
                    f"filter(): {node.name}() of {_named(node)} is over the one row of {query.table.model} itself; for "
                    "groups, annotate() it after values(...) and filter by its name; for all rows, give "
                    "Subquery(...) or compute aggregate() first"
                )
            return
        for child in node.children:
            look(child)

    look(condition)


def is_over_many(node: Condition | Expression, table: TableSpec, annotations: Mapping[str, Expression]) -> bool:
    """Whether a relation to many rows takes part."""
    if isinstance(node, FieldRef):
        for part in node.path:
            relation = table.relations[part]
            if relation.kind.is_to_many:
                return True
            table = relation.target
        return False
    if isinstance(node, AnnotationRef):
        return is_over_many(annotations[node.name], table, annotations)
    return any(is_over_many(child, table, annotations) for child in node.children)


def in_groups(query: Query) -> Query:
    """A query of whole rows, in groups where an annotation repeats them and an aggregate stands beside it.

    `annotate(p=F("books__price"), n=Count("books"))` has a row for each author and price, as in Django: the aggregate
    is over the rows of its group. Without such a pair each row is there once, and aggregates are over what hangs on it.
    """
    annotations = dict(query.annotations)
    hidden = query.extra.hidden if query.extra is not None else frozenset[str]()
    keys: list[Expression] = []
    is_repeated = is_aggregated = False
    for name, node in query.annotations:
        inside = list(_parts(node, annotations))
        if any(isinstance(part, Aggregate | Window) for part in inside):
            is_aggregated = is_aggregated or any(isinstance(part, Aggregate) for part in inside)
            continue
        is_repeated = is_repeated or is_over_many(node, query.table, annotations)
        if name not in hidden:
            keys.append(AnnotationRef(name, node.type))
    if not (is_repeated and is_aggregated):
        return query
    fields = [field_reference(query.table, (), name) for name in query.table.fields]
    return query.replaced(group_by=(*fields, *keys))


def rows_before(query: Query) -> Query:
    """The same rows for groups to be made of: what an aggregate or a window of each chose is found by its key.

    Over groups such a filter would be about each group.
    """
    annotations = dict(query.annotations)

    def is_of_rows(condition: Condition) -> bool:
        return any(isinstance(part, Aggregate | Window) for part in _parts(condition, annotations))

    if not any(is_of_rows(condition) for condition in query.where):
        return query
    chosen = comparison(query.table, "pk__in", query.unordered().replaced(joined=(), columns=None))
    where: list[Condition] = []
    places = [0]  # how many filters are left of the first 0, 1, 2 ...
    for condition in query.where:
        kept = [part for part in conjuncts(condition) if not is_of_rows(part)]
        if chosen not in where and is_of_rows(condition):
            kept.append(chosen)
        if kept:
            where.append(kept[0] if len(kept) == 1 else Junction("and", tuple(kept)))
        places.append(len(where))
    extra = query.extra
    if extra is not None and extra.after:
        extra = extra.replaced(after=tuple([(name, places[number]) for name, number in extra.after]))
    return query.replaced(where=tuple(where), extra=extra)


def conjuncts(condition: Condition) -> list[Condition]:
    """The parts that must all hold."""
    if isinstance(condition, Junction) and condition.connector == "and":
        return [part for child in condition.children for part in conjuncts(child)]
    return [condition]


def _parts(node: Condition | Expression, annotations: Mapping[str, Expression]) -> Iterator[Condition | Expression]:
    """As `parts`, with what annotations stand for."""
    for part in parts(node):
        yield part
        if isinstance(part, AnnotationRef):
            yield from _parts(annotations[part.name], annotations)


def filters_before(query: Query, node: Expression) -> int:
    """How many filters choose among the rows that an aggregate in a node goes over; 0 where none does."""
    if not query.where or not any(isinstance(part, Aggregate) for part in parts(node)):
        return 0
    annotations = dict(query.annotations)
    if not is_over_many(node, query.table, annotations):
        return 0
    is_about_many = any(is_over_many(condition, query.table, annotations) for condition in query.where)
    return len(query.where) if is_about_many else 0


def _named(node: Aggregate) -> str:
    if isinstance(node.argument, FieldRef):
        return repr("__".join((*node.argument.path, node.argument.field)))
    return "all rows" if node.argument is None else "a value"
