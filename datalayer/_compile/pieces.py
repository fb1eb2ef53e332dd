"""SQL text with elements in it, where SQLAlchemy has no element of its own; and texts as they are sent, on one line."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from datalayer._compile.backends.base import Element


class Pieces(sa.ColumnElement[Any]):
    """Pieces of text and arguments, in turn."""

    inherit_cache = False

    def __init__(self, pieces: list[str | Element]) -> None:
        self.pieces = pieces


@compiles(Pieces)
def _text(element: Pieces, compiler: Any, **named: Any) -> str:
    is_doubling = compiler.preparer._double_percents
    parts = [
        (piece.replace("%", "%%") if is_doubling else piece)
        if isinstance(piece, str)
        else compiler.process(piece, **{**named, "within_columns_clause": False})
        for piece in element.pieces
    ]
    return f"({''.join(parts)})"


class Finished(sa.ColumnElement[Any]):
    """Text as the driver reads it: percent signs in it are doubled already where they must be."""

    inherit_cache = False

    def __init__(self, text: str) -> None:
        self.text = text


@compiles(Finished)
def _finished(element: Finished, compiler: Any, **named: Any) -> str:
    return element.text


_BREAK = re.compile(r"""('(?:[^']|'')*'|"(?:[^"]|"")*")|\s*\n\s*""")


def one_line(text: str) -> str:
    """SQL without its line breaks, except those inside quotes: they belong to a value or a name."""
    return _BREAK.sub(lambda found: found[1] or " ", text)


_QUOTED_OR_SELECT = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|(\(SELECT )""")


def first_select(text: str) -> int:
    """Where the first query in brackets begins in a text; what stands in quotes is none."""
    return next(found.start(1) + 1 for found in _QUOTED_OR_SELECT.finditer(text) if found[1])
