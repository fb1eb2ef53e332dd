"""Rows found by one value, asked for again and again with another one: all but the value is worked out once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from datalayer._plans.plan import CHUNK, Plan
from datalayer._plans.read import of_chunks
from datalayer._query.condition import Comparison
from datalayer._query.expression import Value

if TYPE_CHECKING:
    from datalayer._compile.compiler import Compiler
    from datalayer._compile.prepared import Prepared
    from datalayer._plans.read import Load
    from datalayer._query.expression import Expression
    from datalayer._query.query import Query

T = TypeVar("T")

Ready: TypeAlias = "tuple[Compiler, Prepared, tuple[object, ...], tuple[object, ...]]"
"""A compiler, what it has made, and the values before and after the one that is open."""


class ByValue(Generic[T]):
    """The rows of a query that have a value in a column.

    Attributes:
        query: The query without that condition.
        left: The column.
        load: As in `read.fetch`.
        in_chunks: As in `Command`.
        ready: What was compiled last; None before the first time.
    """

    __slots__ = ("in_chunks", "left", "load", "query", "ready")

    def __init__(self, query: Query, left: Expression, load: Load[T]) -> None:
        self.query = query
        self.left = left
        self.load = load
        self.in_chunks = query.limit is None or query.limit > CHUNK
        self.ready: Ready | None = None

    def prepare(self, compiler: Compiler, value: object) -> Ready:
        """What is sent, for all values."""
        asked = self.query.filtered(Comparison(self.left, "exact", Value(value, self.left.type)))
        prepared = compiler.select(asked)
        values = asked.values
        place = len(asked.outline.before) + sum([len(condition.values) for condition in self.query.where])
        self.ready = found = (compiler, prepared, values[:place], values[place + 1 :])
        return found


def fetch(compiler: Compiler, rows: ByValue[T], value: object) -> Plan[list[T]]:
    """The rows with a value, as instances.

    Args:
        compiler: For the backend at hand.
        rows: What is asked.
        value: One that is good for the column as it is.
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
