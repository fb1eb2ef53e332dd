"""Values that meet a column: turned into the column's type, or refused before anything is sent."""

from __future__ import annotations

import datetime
import functools
import operator
from collections.abc import Collection
from typing import Annotated, Any, Literal, cast

import pydantic
from pydantic import TypeAdapter, ValidationError

from datalayer._query.lookup import PATTERN_LOOKUPS, TEXT_LOOKUPS
from datalayer._query.patterns import check_pattern
from datalayer._schema.field import ColumnType, Kind
from datalayer._schema.ranges import Interval
from datalayer.errors import InvalidValue
from datalayer.models._pydantic import field_validators, has_model_validators, own_fields
from datalayer.models.adapters import AdaptedSchema, adapter_of
from datalayer.models.fields import NAIVE, RANGES
from datalayer.models.ranges import Range
from datalayer.models.types import JsonCodec

_BITS = {Kind.SMALL_INTEGER: 16, Kind.INTEGER: 32, Kind.BIG_INTEGER: 64}
_TEXT = (Kind.STRING, Kind.TEXT)


def checked(type_: ColumnType | None, lookup: str, name: str, value: object) -> object:
    """The value to bind in a comparison.

    Args:
        type_: The type of the other side; None where it is not known.
        lookup: How they are compared.
        name: What the caller wrote, for the message.
        value: What was given.

    Raises:
        InvalidValue: It is of no such type.
    """
    if type_ is not None and type_.kind is Kind.RANGE and lookup == "contains" and type_.item is not None:
        if _is_end(value):
            return checked(type_.item, "exact", name, value)
    elif lookup in TEXT_LOOKUPS and not (type_ is not None and type_.kind is Kind.ARRAY):
        if not isinstance(value, str):
            raise InvalidValue(f"{name}: {lookup} needs text, not {value!r}")
        if lookup in PATTERN_LOOKUPS:
            check_pattern(value, name)
        return _without_zero(value, name)
    if type_ is None or type(value) is type_.exact:
        return _without_zero(value, name) if type(value) is str else value
    if getattr(type(value), "__datalayer_root__", False):
        raise InvalidValue(f"{name} is {type_.kind.value} and no relation, and {value!r} is a row; compare its .pk")
    if type_.kind is Kind.DATETIME and isinstance(value, datetime.datetime) and value.tzinfo is None:
        raise InvalidValue(f"{name}: {NAIVE}, not {value!r}")
    try:
        return _adapter(type_).validate_python(value)
    except ValidationError as error:
        raise InvalidValue(f"{name} is {type_.kind.value} and cannot be compared with {value!r}{why(error)}") from None


def _is_end(value: object) -> bool:
    """Whether it is one value, and no range as a field would take it."""
    return not isinstance(value, Interval | tuple | list | dict)


def _without_zero(text: str, name: str) -> str:
    # No text of PostgreSQL has one; what comes from outside must not end as an error of the driver.
    if "\0" in text:
        raise InvalidValue(f"{name} cannot be compared with {text!r}: text of a database has no zero byte")
    return text


def why(error: ValidationError) -> str:
    """What pydantic says is wrong, to end a message with."""
    message = error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
    return f": {message[:1].lower()}{message[1:]}"


@functools.cache
def _adapter(type_: ColumnType) -> TypeAdapter[Any]:
    return TypeAdapter(annotation_of(type_))


def annotation_of(type_: ColumnType) -> Any:
    """The annotation that stands for a type of column, without the limits of any one field."""
    annotation: Any = type_.python
    adapter = adapter_of(type_.python) if type_.stored is not None else None
    if adapter is not None:
        return Annotated[object, AdaptedSchema(adapter, nullable=False)]
    if type_.kind is Kind.JSON:
        annotation = type_.codec.annotation if isinstance(type_.codec, JsonCodec) else Any
    elif type_.kind is Kind.ARRAY and type_.item is not None:
        inside: Any = annotation_of(type_.item)
        if type_.item.kind in _BITS:
            bits = _BITS[type_.item.kind]
            inside = Annotated[int, pydantic.Field(ge=-(2 ** (bits - 1)), lt=2 ** (bits - 1))]
        annotation = list[inside | None]
    elif type_.kind is Kind.RANGE and type_.item is not None:
        annotation = Annotated[operator.getitem(cast("Any", Range), annotation_of(type_.item)), RANGES[type_.item.kind]]
    elif type_.kind is Kind.ENUM and type_.python in (str, int):
        annotation = Literal[type_.choices]
    elif type_.kind in _TEXT and annotation is str:
        annotation = pydantic.StrictStr
    elif type_.kind is Kind.INET and type_.python is object:
        annotation = pydantic.IPvAnyAddress
    elif type_.kind is Kind.DATETIME:
        annotation = pydantic.AwareDatetime
    elif type_.kind is Kind.NAIVE_DATETIME:
        annotation = pydantic.NaiveDatetime
    return annotation


def assigned(model: Any, name: str, value: object) -> object:
    """The value to write into a field, validated as on an instance.

    Raises:
        InvalidValue: The field does not take it.
    """
    try:
        return _assigning_adapter(model, name).validate_python(value)
    except ValidationError as error:
        raise InvalidValue(f"{model.__name__}.{name} cannot be {value!r}{why(error)}") from None


@functools.cache
def field_adapter(model: Any, name: str) -> TypeAdapter[Any]:
    """The adapter of a field with all its constraints."""
    info = own_fields(model)[name]
    return _adapter_for(info.annotation, tuple(info.metadata))


@functools.cache
def _assigning_adapter(model: Any, name: str) -> TypeAdapter[Any]:
    """The same with what `@field_validator`s say of a value alone."""
    own = field_validators(model, name)
    info = own_fields(model)[name]
    return _adapter_for(info.annotation, (*info.metadata, *own)) if own else field_adapter(model, name)


def _adapter_for(annotation: Any, metadata: tuple[object, ...]) -> TypeAdapter[Any]:
    whole = operator.getitem(cast("Any", Annotated), (annotation, *metadata)) if metadata else annotation
    return TypeAdapter(whole)


@functools.cache
def _needed(model: Any) -> tuple[str, ...]:
    """The fields that every new instance must be given, as far as that is known before there is one."""
    if has_model_validators(model):
        return ()  # which may give what was left out
    return tuple([name for name, info in own_fields(model).items() if info.is_required() and info.alias is None])


def check_complete(model: Any, given: Collection[str], verb: str, option: str) -> None:
    """Refuses to make an instance that would lack a value, before anything is asked.

    Args:
        model: The class.
        given: The fields and relations that have a value; `pk` for the key.
        verb: Who makes it, for the message.
        option: Where the missing value could be given.

    Raises:
        InvalidValue: A field has none.
    """
    lacking = [name for name in _needed(model) if name not in given]
    if not lacking:
        return
    relations = [relation for name, relation in model.__datalayer_relations__.items() if name in given]
    known = {key for relation in relations for key in relation.key_fields}
    if "pk" in given:
        known.update(model.table.primary_key)
    lacking = [name for name in lacking if name not in known]
    if lacking:
        raise InvalidValue(f"{verb}() would make a {model.__name__} without {', '.join(lacking)}; give it in {option}=")
