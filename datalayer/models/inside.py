"""What is inside of typed JSON: the keys that a document may have at a place, as its annotation says."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Annotated, Any, Final, Literal, TypeAlias, cast

import pydantic

Step: TypeAlias = str | int

_UNIONS: Final[tuple[object, ...]] = (typing.Union, types.UnionType)
_LISTS: Final[tuple[object, ...]] = (list, tuple, set, frozenset)
_ANYTHING: Final = object()
"""A place of which nothing is known."""


def keys_at(annotation: object, path: tuple[Step, ...]) -> frozenset[str] | None:
    """The keys that an object at the end of a path may have; None where any may be there.

    Args:
        annotation: What the whole document is.
        path: Keys of objects and places of arrays.
    """
    places: list[Any] = [annotation]
    for step in path:
        places = [inside for place in places for inside in _inside(place, step)]
    found: set[str] = set()
    for place in places:
        keys = _keys(place)
        if keys is None:
            return None
        found |= keys
    return frozenset(found) if found else None


def _members(place: Any) -> list[Any]:
    """The alternatives of a union; None is no place."""
    origin = typing.get_origin(place)
    if origin is Annotated:
        return _members(typing.get_args(place)[0])
    if origin in _UNIONS:
        return [member for item in typing.get_args(place) for member in _members(item)]
    return [] if place is None or place is type(None) else [place]


def _fields(place: Any) -> dict[str, object] | None:
    """The annotations of what has named parts, by the names that JSON has; None for all else."""
    if not isinstance(place, type):
        return None
    if issubclass(place, pydantic.RootModel):
        return None
    if issubclass(place, pydantic.BaseModel):
        config, decorators = place.model_config, place.__pydantic_decorators__
        if config.get("extra") == "allow" or config.get("serialize_by_alias") or decorators.model_serializers:
            return None
        shaped = {name for found in decorators.field_serializers.values() for name in found.info.fields}
        fields = place.model_fields.items()
        named = {name: _ANYTHING if name in shaped or "*" in shaped else info.annotation for name, info in fields}
        return {**named, **dict.fromkeys(place.model_computed_fields, _ANYTHING)}
    if dataclasses.is_dataclass(cast("Any", place)):
        named = {item.name: item.type for item in dataclasses.fields(cast("Any", place))}
        return {name: _ANYTHING if isinstance(found, str) else found for name, found in named.items()}
    return None


def _keys(place: Any) -> frozenset[str] | None:
    found: set[str] = set()
    for member in _members(place):
        if isinstance(member, type) and issubclass(member, pydantic.RootModel):
            keys = _keys(cast("Any", member).model_fields["root"].annotation)
        elif _is_plain(member):
            continue
        else:
            fields = _fields(member)
            keys = None if fields is None else frozenset(fields)
        if keys is None:
            return None
        found |= keys
    return frozenset(found)


def _is_plain(place: Any) -> bool:
    """Whether it is a number, a text or an array, which has no keys."""
    origin = typing.get_origin(place) or place
    return origin in _LISTS or origin in (str, int, float, bool) or origin is Literal


def _inside(place: Any, step: Step) -> list[Any]:
    found: list[Any] = []
    for member in _members(place):
        origin, arguments = typing.get_origin(member), typing.get_args(member)
        fields = _fields(member)
        if isinstance(member, type) and issubclass(member, pydantic.RootModel):
            found += _inside(cast("Any", member).model_fields["root"].annotation, step)
        elif fields is not None:
            found += [annotation for name, annotation in fields.items() if name == step]
        elif origin is dict:
            found.append(arguments[1])
        elif origin in _LISTS and origin is not tuple:
            found.append(arguments[0])
        elif origin is tuple or member in _LISTS or not _is_plain(member):
            found.append(_ANYTHING)
    return found
