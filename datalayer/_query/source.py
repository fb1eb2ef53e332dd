"""What a query may have beyond tables and conditions: other sources of rows, joins of its own, CTEs, hidden names.

Everything here is rare, so a query keeps it in one place (`Query.extra`), and most queries pay nothing for it.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from datalayer._query.condition import Condition
from datalayer._query.expression import Expression
from datalayer.late import dataclass

if TYPE_CHECKING:
    from datalayer._query.query import Query
    from datalayer._schema.table import TableSpec


class Source:
    """Where rows come from instead of a table; `shape` and `values` as everywhere."""

    __slots__ = ("shape", "values")
    shape: Hashable
    values: tuple[object, ...]


class Compound(Source):
    """The rows of several queries: `union`, `union all`, `intersect`, `except`. One query stands for itself."""

    __slots__ = ("queries", "word")

    def __init__(self, word: str, queries: tuple[Query, ...]) -> None:
        self.word = word
        self.queries = queries
        self.shape = (word, *[query.shape for query in queries])
        self.values = tuple([value for query in queries for value in query.values])


class Named(Source):
    """A CTE, by its name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name
        self.shape = ("named", name)
        self.values = ()


class Cte:
    """`WITH name AS (query UNION [ALL] recursive)`. Order of values: query, recursive."""

    __slots__ = ("is_distinct", "name", "query", "recursive", "shape", "values")

    def __init__(self, name: str, query: Query, recursive: Query | None = None, *, is_distinct: bool = False) -> None:
        self.name = name
        self.query = query
        self.recursive = recursive
        self.is_distinct = is_distinct
        self.shape: Hashable = ("cte", name, query.shape, recursive and recursive.shape, is_distinct)
        self.values = query.values + (() if recursive is None else recursive.values)


class Joined:
    """A join that the query names: rows of a source, or of one of its relations under a condition of their own.

    Order of values: source, condition.

    Attributes:
        name: What the query calls it; the first step of paths into it.
        table: What its rows look like.
        source: Where they come from; None for the table itself.
        condition: Which rows belong together. Paths that begin with `name` (or `relation`) lead to the joined row.
        is_outer: Whether rows without one stay.
        relation: The relation that it stands for, else None.
    """

    __slots__ = ("condition", "is_outer", "name", "relation", "shape", "source", "table", "values")

    def __init__(
        self,
        name: str,
        table: TableSpec,
        source: Source | None,
        condition: Condition,
        *,
        is_outer: bool,
        relation: str | None = None,
    ) -> None:
        self.name = name
        self.table = table
        self.source = source
        self.condition = condition
        self.is_outer = is_outer
        self.relation = relation
        self.shape: Hashable = (
            "join", name, table.key, source and source.shape, condition.shape, is_outer, relation
        )  # fmt: skip
        self.values = (() if source is None else source.values) + condition.values


NO_DISTINCT_ON: Final = "SQLite has no distinct() by columns; filter by a Window(RowNumber(), ...) instead"


NO_SAMPLE: Final = (
    "SQLite cannot take a sample of a table; ask chance for each row there: "
    "filter(functions.LessThan(functions.Random(), 0.1))"
)


class Sample(NamedTuple):
    """A part of the table that chance decides, in place of all of it; numbers are texts of SQL, and all of it is shape.

    Attributes:
        method: `BERNOULLI`, each row by itself, or `SYSTEM`, whole pages.
        percent: How much of the table.
        seed: What makes the same sample again, or None.
    """

    method: str
    percent: str
    seed: str | None


@dataclass(frozen=True, slots=True)
class Extra:
    """The rare parts of a query. Order of values: CTEs, source, joins, distinct_on.

    Attributes:
        ctes: WITH.
        source: Rows that come from elsewhere than from the table.
        joins: Joins by name.
        distinct_on: DISTINCT ON.
        hidden: Annotations that are used but not asked for (`alias()`).
        sample: The part of the table that rows come from; None for all of it.
        after: How many filters stood before each aggregate over many rows: it goes over what they left of those rows.
            One that is not named goes over all of them.
        shape, values: As everywhere.
    """

    ctes: tuple[Cte, ...] = ()
    source: Source | None = None
    joins: tuple[Joined, ...] = ()
    distinct_on: tuple[Expression, ...] = ()
    hidden: frozenset[str] = frozenset()
    after: tuple[tuple[str, int], ...] = ()
    sample: Sample | None = None
    shape: Hashable = field(init=False)
    values: tuple[object, ...] = field(init=False)

    def __post_init__(self) -> None:
        parts: list[Any] = [*self.ctes, *([] if self.source is None else [self.source]), *self.joins, *self.distinct_on]
        object.__setattr__(self, "values", tuple([value for part in parts for value in part.values]))
        shape = (
            tuple([cte.shape for cte in self.ctes]),
            self.source and self.source.shape,
            tuple([join.shape for join in self.joins]),
            tuple([expression.shape for expression in self.distinct_on]),
            self.hidden,
            self.after,
            self.sample,
        )
        object.__setattr__(self, "shape", shape)

    def replaced(self, **parts: Any) -> Extra:
        """A copy with some parts replaced."""
        return replace(self, **parts)


NO_EXTRA = Extra()
