"""SQL text of the application's own with compiled arguments in it."""

from __future__ import annotations

from typing import cast

from datalayer._compile.backends.base import Backend
from datalayer._compile.joins import Element
from datalayer._compile.pieces import Pieces
from datalayer._query.added import Template, missing
from datalayer.errors import NotSupported, QueryError


def spliced(backend: Backend, template: Template, arguments: list[Element]) -> Element:
    """The template with its arguments.

    Raises:
        NotSupported: The backend lacks it.
        QueryError: Too few arguments.
    """
    pieces = template.pieces(backend.name)
    if pieces is None:
        raise NotSupported(missing(template, backend.name))
    needed = 1 + max(piece for piece in pieces if isinstance(piece, int))
    if needed != len(arguments):
        raise QueryError(f"{template.name}() takes {needed} arguments and was given {len(arguments)}")
    return cast("Element", Pieces([arguments[piece] if isinstance(piece, int) else piece for piece in pieces]))
