"""Steps into a value, as words of a name: the `size` and the `0` of `data__size__0`, the `len` of `tags__len`."""

from __future__ import annotations

import re
from typing import Final

from datalayer._query import added, arrays, documents, ranges
from datalayer._query.arithmetic import WHOLE
from datalayer._query.expression import Expression, Function
from datalayer._schema.field import ColumnType, Kind

_STEPPED: Final = frozenset({Kind.JSON, Kind.ARRAY, Kind.RANGE})
"""The kinds of value that have parts with names or places."""


def may_step(type: ColumnType, word: str) -> bool:
    """Whether a word might lead into values of a type, or be a transform of them."""
    return type.kind in _STEPPED or word in added.transforms


_PLACES: Final = re.compile(r"[0-9]{1,9}")
_SLICE: Final = re.compile(r"([0-9]{1,9})_([0-9]{1,9})")


def step_type(type: ColumnType, word: str) -> ColumnType | None:
    """The type of what a word leads to; None where it leads nowhere."""
    if type.kind is Kind.JSON:
        return documents.JSON if word else None
    if type.kind is Kind.RANGE and ranges.step_type(type, word) is not None:
        return ranges.step_type(type, word)
    if type.kind is not Kind.ARRAY:
        found = added.transforms.get(word)
        return found[1] if found is not None and type.kind in found[0] else None
    if word == "len":
        return WHOLE
    return type.item if _PLACES.fullmatch(word) else type if _SLICE.fullmatch(word) else None


def taken(node: Expression, words: tuple[str, ...]) -> Expression:
    """What some words lead to, one after the other. Words of digits are places of an array."""
    for word in words:
        if node.type is not None and node.type.kind is Kind.ARRAY:
            node = _of_array(node, word)
        elif node.type is not None and node.type.kind is Kind.RANGE and ranges.step_type(node.type, word) is not None:
            node = ranges.taken(node, word)
        elif node.type is not None and node.type.kind is not Kind.JSON:
            _, result, key = added.transforms[word]
            node = Function(f"added:{key}", (node,), result)
        else:
            node = documents.step(node, int(word) if word.isdecimal() and word.isascii() else word, "")
    return node


def _of_array(node: Expression, word: str) -> Expression:
    if word == "len":
        return arrays.length(node)
    cut = _SLICE.fullmatch(word)
    return arrays.part(node, int(cut[1]), int(cut[2])) if cut else arrays.item(node, int(word), "")
