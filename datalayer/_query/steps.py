"""Steps into a value, as words of a name: the `size` and the `0` of `data__size__0`."""

from __future__ import annotations

from typing import Final

from datalayer._query import documents
from datalayer._query.expression import Expression
from datalayer._schema.field import ColumnType, Kind

STEPPED: Final = frozenset({Kind.JSON})
"""The kinds of value that have parts with names or places."""


def step_type(type: ColumnType, word: str) -> ColumnType | None:
    """The type of what a word leads to; None where it leads nowhere."""
    return documents.JSON if word and type.kind is Kind.JSON else None


def taken(node: Expression, words: tuple[str, ...]) -> Expression:
    """What some words lead to, one after the other. Words of digits are places of an array."""
    for word in words:
        node = documents.step(node, int(word) if word.isdecimal() and word.isascii() else word, "")
    return node
