"""FOR UPDATE: the end of a SELECT that locks its rows."""

from __future__ import annotations

from typing import Any

from datalayer._compile.backends.base import Backend
from datalayer._compile.joins import Scope
from datalayer._query.query import Query
from datalayer.errors import QueryError


def lock_text(backend: Backend, query: Query, scope: Scope) -> str:
    """The words after everything else; empty where nothing is locked.

    Raises:
        QueryError: The rows are not those of a table.
    """
    lock = query.lock
    if lock is None:
        return ""
    if query.distinct or query.group_by is not None or (query.extra is not None and query.extra.source is not None):
        raise QueryError(
            "select_for_update() of distinct, grouped or combined rows: they are no rows of a table to be locked; "
            "filter the table by them: filter(pk__in=...)"
        )
    if not backend.has_lock:
        return ""  # whoever may write has the whole database to himself
    of = lock.of
    if not of and scope.has_outer:
        of = ((),)  # rows that may be missing cannot be locked
    text = " FOR NO KEY UPDATE" if lock.is_weak else " FOR UPDATE"
    if of:
        quote = backend.dialect.identifier_preparer.quote
        names: list[str] = []
        for path in of:
            source: Any = scope.source(path)
            names.append(quote(source.name))
        text += f" OF {', '.join(names)}"
    return text + {"wait": "", "nowait": " NOWAIT", "skip locked": " SKIP LOCKED"}[lock.waiting]
