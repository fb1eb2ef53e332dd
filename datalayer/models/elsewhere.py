"""What a query has inside that is of another database: one statement runs in one database."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from datalayer._query.condition import Condition, ExistsCondition, OfRow
from datalayer._query.expression import Expression, FieldRef, Subquery
from datalayer._query.query import Query
from datalayer._query.source import Compound
from datalayer._query.walk import nodes_of, parts
from datalayer.errors import QueryError


def refuse_elsewhere(node: Condition | Expression, alias: str) -> None:
    """Refuses a node with something inside that is of another database than the query it becomes a part of.

    Args:
        node: A condition or a value.
        alias: The database of the query.

    Raises:
        QueryError: A query in it asks another one, and said so by `using()`; or it is compared with a row of another.
    """
    for part in parts(node):
        if isinstance(part, Subquery | ExistsCondition):
            refuse_query_elsewhere(part.query, alias)
        elif isinstance(part, OfRow) and part.alias != alias:
            name = getattr(part.left, "field", "a column")
            raise QueryError(
                f"{name!r} is compared with a row of the database {part.alias!r} in a query of {alias!r}, where its "
                "key may be that of another row; look it up there first, or compare with the key itself: row.pk"
            )


def refuse_query_elsewhere(query: Query, alias: str) -> None:
    """As `refuse_elsewhere`, for a query that becomes a part of one of a database, or is to be asked there.

    Args:
        query: It, with all that is inside.
        alias: The database.

    Raises:
        QueryError: It is of another one, or something inside is.
    """
    other = query.alias
    if other is not None and other != alias:
        raise QueryError(
            f"{query.table.model}.objects.using({other!r}) is a query of the database {other!r} inside one of "
            f"{alias!r}; one statement runs in one database, so make a list of it first"
        )
    for node in nodes_of(query):
        refuse_elsewhere(node, alias)
    for item in _beside(query):
        if isinstance(item, Query):
            refuse_query_elsewhere(item, alias)
        else:
            refuse_elsewhere(item, alias)


def refuse_columns_elsewhere(query: Query, alias: str) -> None:
    """As `refuse_elsewhere`, for what the columns of a query and its annotations compute."""
    for _, node in chain(query.columns or (), query.annotations):
        if type(node) is not FieldRef:
            refuse_elsewhere(node, alias)


def _beside(query: Query) -> Iterator[Query | Condition | Expression]:
    """What is in the rare parts of a query: sources, CTEs, joins."""
    extra = query.extra
    if extra is None:
        return
    for source in (extra.source, *[join.source for join in extra.joins]):
        if isinstance(source, Compound):
            yield from source.queries
    for cte in extra.ctes:
        yield cte.query
        if cte.recursive is not None:
            yield cte.recursive
    for join in extra.joins:
        yield join.condition
    yield from extra.distinct_on
