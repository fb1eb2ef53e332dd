"""The portable functions by name, for the backends to write; what both know under one name is written here."""

from __future__ import annotations

from typing import Final, cast

import sqlalchemy as sa

from datalayer._compile.backends.base import Backend
from datalayer._compile.joins import Element
from datalayer._compile.pieces import Pieces
from datalayer._compile.spliced import spliced
from datalayer._query import added
from datalayer._query.expression import Function
from datalayer._query.lookup import TRANSFORMS
from datalayer.errors import QueryError

_SAME: Final = frozenset(
    {
        "length", "coalesce", "nullif", "abs", "trim", "ltrim", "rtrim", "replace",
        "row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "first_value", "last_value",
    }
)  # fmt: skip
"""Functions that have one name and one meaning on every backend."""


def written(backend: Backend, node: Function, arguments: list[Element]) -> Element:
    """A function of the library.

    Raises:
        QueryError: There is none of this name.
    """
    if node.name.startswith("added:"):
        return spliced(backend, added.functions[node.name.removeprefix("added:")], arguments)
    if node.name.startswith("collate:"):
        name = backend.collation(node.name.removeprefix("collate:")).replace('"', '""')
        return Pieces([arguments[0], f' COLLATE "{name}"'])
    if node.name in TRANSFORMS:
        return backend.part(node.name, arguments[0], node.arguments[0].type)
    if node.name == "null":
        return sa.null()
    own = backend.function(node.name, arguments, [argument.type for argument in node.arguments], node.type)
    if own is not None:
        return own
    if node.name not in _SAME:
        raise QueryError(f"there is no function {node.name!r} on {backend.name}")
    return cast("Element", getattr(sa.func, node.name)(*arguments))
