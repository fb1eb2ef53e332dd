"""SQL text of the application's own with compiled arguments in it."""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from datalayer._compile.backends.base import Backend
from datalayer._compile.joins import Element
from datalayer._query.added import Template, missing
from datalayer.errors import NotSupported, QueryError


class _Spliced(sa.ColumnElement[Any]):
    """Pieces of text and arguments, in turn."""

    inherit_cache = False

    def __init__(self, pieces: list[str | Element]) -> None:
        self.pieces = pieces


@compiles(_Spliced)
def _text(element: _Spliced, compiler: Any, **named: Any) -> str:
    is_doubling = compiler.preparer._double_percents
    parts = [
        (piece.replace("%", "%%") if is_doubling else piece)
        if isinstance(piece, str)
        else compiler.process(piece, **{**named, "within_columns_clause": False})
        for piece in element.pieces
    ]
    return f"({''.join(parts)})"


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
    return cast("Element", _Spliced([arguments[piece] if isinstance(piece, int) else piece for piece in pieces]))
