"""What stands in brackets after a value: a step into JSON, a place or a slice of an array or a text."""

from __future__ import annotations

from typing import Any

from datalayer._query import arrays, documents
from datalayer._query.arithmetic import TEXT, TEXTS, WHOLE
from datalayer._query.expression import Expression, Function, Key
from datalayer._schema.field import Kind
from datalayer.errors import QueryError


def item(node: Expression, key: str | int | slice[Any, Any, Any], name: str) -> Expression:
    """The part of a value that a key, a place or a slice means.

    Args:
        node: The value.
        key: What stands in the brackets.
        name: What the value is called in messages.

    Raises:
        QueryError: The value has no such parts.
        InvalidValue: A name or place that no document has.
    """
    kind = None if node.type is None else node.type.kind
    if kind is Kind.ARRAY:
        return arrays.part(node, *_ends(key, name)) if isinstance(key, slice) else arrays.item(node, key, name)
    if kind in TEXTS or (kind is None and isinstance(key, slice)):  # OuterRef: as functions of text take it
        first, length = _characters(key, name) if isinstance(key, slice) else _character(key, name)
        # Keys and not values: groups by other places are another question.
        return Function("substr", (node, *[Key(n, WHOLE) for n in (first + 1, length) if n is not None]), TEXT)
    if kind is None or kind is Kind.JSON:
        return documents.step(documents.looked_into(node, name), key, name)
    raise QueryError(
        f"{name}[{_written(key) if isinstance(key, slice) else repr(key)}]: it is a {kind.value}; only JSON can be "
        "looked into, and only text and arrays have slices, so Cast() it to str"
    )


def _character(place: object, name: str) -> tuple[int, int]:
    if arrays.is_place(place):
        return place, 1
    raise QueryError(
        f"{name}[{place!r}]: a text has places 0, 1, 2 ... and slices of them, such as [0:2]; Right() has its last "
        "characters"
    )


def _characters(cut: slice[Any, Any, Any], name: str) -> tuple[int, int | None]:
    first, stop = _ends(cut, name)
    return first, None if stop is None else max(0, stop - first)


def _ends(cut: slice[Any, Any, Any], name: str) -> tuple[int, int | None]:
    first: object = 0 if cut.start is None else cut.start
    stop: object = cut.stop
    if cut.step is not None:
        raise QueryError(f"{name}[{_written(cut)}]: a slice in the database has no steps; take [start:stop] of it")
    if arrays.is_place(first) and (stop is None or arrays.is_place(stop)):
        return first, stop
    raise QueryError(
        f"{name}[{_written(cut)}]: a slice goes from one place to another, both from 0; Right() has the last "
        "characters of a text"
    )


def _written(cut: slice[Any, Any, Any]) -> str:
    ends = (cut.start, cut.stop, *([] if cut.step is None else [cut.step]))
    return ":".join("" if end is None else repr(end) for end in ends)
