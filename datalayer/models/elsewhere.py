"""Queries inside a query that ask another database by name: one statement runs in one database."""

from __future__ import annotations

from typing import Any, cast

from datalayer.errors import QueryError
from datalayer.models.expressions import Q


def refuse_elsewhere(item: Any, alias: str) -> None:
    """Refuses what a query was given where it asks another database than that query.

    Args:
        item: A condition, a value, or a pair of a name and a value.
        alias: The database of the query.

    Raises:
        QueryError: A query in it asks another one, and said so by `using()`.
    """
    name, value = cast("tuple[str | None, Any]", item if type(item) is tuple else (None, item))
    other = getattr(value, "_alias", "default")
    if other not in ("default", alias):
        said = repr(value) if name is None else f"{name}=..."
        raise QueryError(
            f"{said} is a query of the database {other!r} inside one of {alias!r}; one statement runs in one database, "
            "so make a list of it first"
        )
    if isinstance(value, Q):
        for child in value.children:
            refuse_elsewhere(child, alias)
