"""Questions about the shape of settings classes: which keys may stand where, and how text is read for them."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import BaseModel

from datalayer.late import tomllib

ANY: Any = Any
"""The type of everything below a place whose shape is not declared."""

Path = tuple[str, ...]


def alternatives(annotation: Any) -> list[Any]:
    """The members of a union, without `Annotated` and None; a list of one for any other type."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return alternatives(get_args(annotation)[0])
    if origin is Union or origin is types.UnionType:
        return [one for member in get_args(annotation) for one in alternatives(member) if one is not type(None)]
    return [annotation]


def names(annotation: Any) -> list[str] | None:
    """The keys that may stand below a value of this type; None when any name may, an empty list when none may."""
    found: list[str] = []
    for one in alternatives(annotation):
        fields = _fields(one)
        if fields is not None:
            found.extend(fields)
        elif one is ANY or _is_mapping(one) or not _is_scalar(one):
            return None
    return found


def below(annotation: Any, key: str) -> Any | None:
    """The type of the value at a key below a value of this type; None when no such key may be there."""
    for one in alternatives(annotation):
        fields = _fields(one)
        if fields is not None:
            if key in fields:
                return fields[key]
        elif _is_mapping(one):
            arguments = get_args(one)
            return arguments[1] if len(arguments) == 2 else ANY
        elif one is ANY or not _is_scalar(one):
            return ANY
    return None


def spelled(annotation: Any, key: str, known: Iterable[str] = ()) -> str:
    """The key as its class or an earlier source writes it, whatever the case an environment variable uses."""
    choices = [*known, *(names(annotation) or [])]
    return next((choice for choice in choices if choice.lower() == key.lower()), key.lower())


def is_structured(annotation: Any) -> bool:
    """True when text for this type has to be read as JSON or TOML first: lists, tables, models."""
    members = alternatives(annotation)
    return str not in members and any(not _is_scalar(one) and one is not ANY for one in members)


def decode(text: str, annotation: Any) -> Any:
    """A text of the environment as a value: JSON or TOML for lists and tables, the text itself for everything else.

    Raises:
        ValueError: A list or table is wanted and the text is neither.
    """
    if not is_structured(annotation):
        return text
    for read in (json.loads, _toml_value):
        try:
            return read(text)
        except ValueError:
            continue
    raise ValueError('must be a JSON or TOML value, such as ["a", "b"] or {"name": 1}')


def mistyped(annotation: Any, value: object) -> str | None:
    """What is wrong with a scalar that pydantic would bend to fit, such as `"10"` or `true` for a number.

    Text of the environment is bent on purpose; values of a file or of code have a type of their own.
    """
    members = alternatives(annotation)
    if not members or any(one not in (bool, int, float) for one in members):
        return None
    wanted = " or ".join({bool: "true or false", int: "a whole number", float: "a number"}[one] for one in members)
    if isinstance(value, bool):
        return None if bool in members else f"must be {wanted}, not true or false"
    if isinstance(value, str):
        return f"must be {wanted}, without quotes"
    return f"must be {wanted}, not a number" if members == [bool] and isinstance(value, int | float) else None


def _toml_value(text: str) -> Any:
    table = tomllib.loads(f"value = {text}")
    if list(table) != ["value"]:
        raise ValueError("more than one value")
    return table["value"]


def _fields(one: Any) -> dict[str, Any] | None:
    cls = get_origin(one) or one
    if not isinstance(cls, type) or (hasattr(cls, "__get_pydantic_core_schema__") and not issubclass(cls, BaseModel)):
        return None
    if issubclass(cls, BaseModel):
        fields: dict[str, Any] = {}
        for name, info in cls.model_fields.items():
            fields[name] = info.annotation
            for alias in (info.alias, info.validation_alias):
                if isinstance(alias, str):
                    fields[alias] = info.annotation
        return fields
    plain = cast("Any", cls)
    if dataclasses.is_dataclass(plain) or is_typeddict(plain):
        return get_type_hints(plain)
    return None


def _is_mapping(one: Any) -> bool:
    cls = get_origin(one) or one
    return isinstance(cls, type) and issubclass(cls, Mapping)


def _is_scalar(one: Any) -> bool:
    cls = get_origin(one) or one
    if not isinstance(cls, type):
        return True  # Literal[...] and other special forms
    if _fields(one) is not None or _is_mapping(one):
        return False
    return issubclass(cls, str | bytes) or not issubclass(cls, Sequence | Set)
