"""Rows found by one value, asked for again and again with another one: all but the value is worked out once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from datalayer._plans.plan import CHUNK, Plan
from datalayer._plans.read import of_chunks
from datalayer._query import behind
from datalayer._query.condition import Comparison
from datalayer._query.expression import Value

if TYPE_CHECKING:
    from datalayer._compile.compiler import Compiler
    from datalayer._compile.prepared import Prepared
    from datalayer._plans.read import Load
    from datalayer._query.expression import Expression
    from datalayer._query.query import Query
    from datalayer._schema.relation import RelationSpec

T = TypeVar("T")

Ready: TypeAlias = "tuple[Compiler, Prepared, tuple[object, ...], tuple[object, ...]]"
"""A compiler, what it has made, and the values before and after the one that is open."""


class ByValue(Generic[T]):
    """What is asked, but for one value.

    Attributes:
        query: The query without what the value has to do with it.
        load: As in `read.fetch`.
        in_chunks: As in `Command`.
        ready: What was compiled last; None before the first time.
    """

    __slots__ = ("in_chunks", "load", "query", "ready")

    def __init__(self, query: Query, load: Load[T], most: int | None) -> None:
        """`most` is how many rows there can be; None for any number."""
        self.query = query
        self.load = load
        self.in_chunks = most is None or most > CHUNK
        self.ready: Ready | None = None

    def prepare(self, compiler: Compiler, value: object) -> Ready:
        """What is sent, for all values."""
        raise NotImplementedError


class Having(ByValue[T]):
    """The rows of a query that have the value in a column.

    Attributes:
        column: Of the table of the query.
    """

    __slots__ = ("column",)

    def __init__(self, query: Query, column: Expression, load: Load[T]) -> None:
        super().__init__(query, load, query.limit)
        self.column = column

    def prepare(self, compiler: Compiler, value: object) -> Ready:
        """As of `ByValue`."""
        asked = self.query.filtered(Comparison(self.column, "exact", Value(value, self.column.type)))
        prepared = compiler.select(asked)
        values = asked.values
        place = len(asked.outline.before) + sum([len(condition.values) for condition in self.query.where])
        self.ready = found = (compiler, prepared, values[:place], values[place + 1 :])
        return found


class Behind(ByValue[T]):
    """The rows of a query that are behind a relation of the row with the value as its key.

    Attributes:
        relation: Goes by one column.
        cut: As in `_query.behind`.
    """

    __slots__ = ("cut", "relation")

    def __init__(self, query: Query, relation: RelationSpec, load: Load[T], cut: tuple[int, int | None] | None) -> None:
        super().__init__(query, load, None if cut is None else cut[1])
        self.relation = relation
        self.cut = cut

    def prepare(self, compiler: Compiler, value: object) -> Ready:
        """As of `ByValue`."""
        asked = behind.Behind(self.relation, ((value,),), self.cut)
        prepared = compiler.behind(self.query, asked)
        self.ready = found = (compiler, prepared, (), (*asked.values[1:], *self.query.values))
        return found


def fetch(compiler: Compiler, rows: ByValue[T], value: object) -> Plan[list[T]]:
    """The rows for a value, as instances.

    Args:
        compiler: For the backend at hand.
        rows: What is asked.
        value: One that is good as it is.
    """
    ready = rows.ready
    if ready is None or ready[0] is not compiler:
        ready = rows.prepare(compiler, value)
    _, prepared, before, after = ready
    command = prepared.command((*before, value, *after))
    command.in_chunks = rows.in_chunks
    reply = yield command
    if reply.chunks is None:
        return rows.load(prepared, (reply.rows,)) if reply.rows else []
    return of_chunks(rows.load, prepared, reply.chunks)
