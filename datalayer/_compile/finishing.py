"""The last step: elements -> text, and the order in which the values are bound."""

from __future__ import annotations

from typing import Any

from datalayer._compile import sources
from datalayer._compile.backends.base import Backend
from datalayer._compile.joins import Statement
from datalayer._compile.pieces import one_line
from datalayer._compile.prepared import Output, Prepared
from datalayer._query.query import Query


def finished(
    backend: Backend,
    statement: Statement,
    element: Any,
    query: Query,
    outputs: tuple[Output, ...],
    tail: str = "",
    *,
    is_whole: bool = True,
) -> Prepared:
    """Text, and the order in which the values are bound."""
    compiled = element.compile(dialect=backend.dialect)
    binds = [statement.binds[name] for name in compiled.positiontup or ()]
    text, binds = sources.with_ctes(statement, one_line(str(compiled)) + tail, binds)
    is_whole = is_whole and len(binds) == len(query.values)
    return Prepared(text, binds, columns=outputs, table=query.table, is_whole=is_whole, twins=statement.twins)
