"""The core of an annotation: what is left without `Annotated`, `None`, aliases and new types."""

from __future__ import annotations

import functools
import types
import typing
from typing import Annotated, Any, get_args, get_origin

import pydantic

_KEPT = (pydantic.NaiveDatetime, pydantic.AwareDatetime)
"""Types of pydantic that are one thing, even where they are written with Annotated."""


def unwrapped(annotation: Any) -> tuple[Any, bool, tuple[object, ...]]:
    """The core of an annotation.

    Args:
        annotation: Anything a field may be annotated with.

    Returns:
        The annotation without `Annotated`, `None`, aliases and new types; whether None was in it; the metadata found.
    """
    metadata: list[object] = []
    nullable = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            if annotation in _KEPT:
                break
            metadata.extend(annotation.__metadata__)
            annotation = annotation.__origin__
        elif origin is typing.Union or origin is types.UnionType:
            rest = [item for item in get_args(annotation) if item is not type(None)]
            nullable = nullable or len(rest) < len(get_args(annotation))
            if len(rest) != 1:
                annotation = functools.reduce(lambda left, right: left | right, rest)
                break
            annotation = rest[0]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            break
    return annotation, nullable, tuple(metadata)
