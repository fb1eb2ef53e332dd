"""From an annotation to a column type."""

from __future__ import annotations

import datetime
import decimal
import enum
import functools
import ipaddress
import types
import typing
import uuid
from typing import Any, Literal, get_args, get_origin

import pydantic
from pydantic import TypeAdapter

from datalayer._schema.field import ColumnType, Kind
from datalayer.errors import ModelError
from datalayer.models._pydantic import limits
from datalayer.models.fields import ColumnKind
from datalayer.models.unwrap import unwrapped

_PLAIN: dict[object, tuple[Kind, type]] = {
    int: (Kind.INTEGER, int),
    float: (Kind.FLOAT, float),
    bool: (Kind.BOOLEAN, bool),
    bytes: (Kind.BYTES, bytes),
    datetime.date: (Kind.DATE, datetime.date),
    datetime.time: (Kind.TIME, datetime.time),
    datetime.datetime: (Kind.DATETIME, datetime.datetime),
    datetime.timedelta: (Kind.DURATION, datetime.timedelta),
    uuid.UUID: (Kind.UUID, uuid.UUID),
    pydantic.NaiveDatetime: (Kind.NAIVE_DATETIME, datetime.datetime),
    pydantic.AwareDatetime: (Kind.DATETIME, datetime.datetime),
    pydantic.IPvAnyAddress: (Kind.INET, object),
    pydantic.IPvAnyNetwork: (Kind.INET, object),
    pydantic.IPvAnyInterface: (Kind.INET, object),
    ipaddress.IPv4Address: (Kind.INET, ipaddress.IPv4Address),
    ipaddress.IPv6Address: (Kind.INET, ipaddress.IPv6Address),
    ipaddress.IPv4Interface: (Kind.INET, ipaddress.IPv4Interface),
    ipaddress.IPv6Interface: (Kind.INET, ipaddress.IPv6Interface),
    ipaddress.IPv4Network: (Kind.INET, ipaddress.IPv4Network),
    ipaddress.IPv6Network: (Kind.INET, ipaddress.IPv6Network),
}
_TEXTS: tuple[object, ...] = (str, pydantic.EmailStr)
_ADDRESSES = tuple(item for item, (kind, _) in _PLAIN.items() if kind is Kind.INET)
_JSON_PLAIN: tuple[object, ...] = (dict, list, Any, object)
_JSON_ORIGINS: tuple[object, ...] = (dict, list, tuple, set, frozenset)
_UNIONS: tuple[object, ...] = (typing.Union, types.UnionType)


class JsonCodec:
    """Turns values of one annotation into JSON text and back; its adapter is built when first needed."""

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation

    @functools.cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """The adapter of the annotation."""
        return TypeAdapter(self.annotation)

    def dump(self, value: object) -> str:
        """JSON text of a value."""
        return self.adapter.dump_json(value).decode()

    def load(self, text: str | bytes) -> object:
        """A value from JSON text."""
        return self.adapter.validate_json(text)


def column_type(annotation: Any, metadata: tuple[object, ...], where: str) -> tuple[ColumnType, bool]:
    """The column type of an annotation, and whether it may be NULL.

    Args:
        annotation: The annotation, as pydantic resolved it.
        metadata: What pydantic collected beside it.
        where: The field, for messages.

    Raises:
        ModelError: When no column can hold such values.
    """
    core, nullable, inner = unwrapped(annotation)
    nullable = nullable or core in (Any, object)
    metadata = (*inner, *metadata)
    found = limits(metadata)
    for item in metadata:
        if isinstance(item, ColumnKind):
            python = _PLAIN[core][1] if core in _PLAIN else object
            return ColumnType(item.kind, python=python), nullable
    if _hashable(core) and core in _PLAIN:
        kind, python = _PLAIN[core]
        return ColumnType(kind, python=python), nullable
    if core is decimal.Decimal:
        return _decimal(found, where), nullable
    if _hashable(core) and core in _TEXTS:
        length = found.get("max_length")
        kind = Kind.TEXT if length is None else Kind.STRING
        return ColumnType(kind, python=str, length=length), nullable
    return _composed(core, found, where), nullable


def _class(core: object) -> type[object] | None:
    """The core where it is a class, not a form of typing."""
    return core if isinstance(core, type) else None


def _hashable(core: object) -> bool:
    return getattr(core, "__hash__", None) is not None


def _decimal(found: dict[str, Any], where: str) -> ColumnType:
    digits, places = found.get("max_digits"), found.get("decimal_places")
    if places is not None and digits is None:
        raise ModelError(f"{where} has decimal_places but no max_digits; give both, or neither for any precision")
    return ColumnType(
        Kind.DECIMAL, python=decimal.Decimal, precision=digits, scale=None if digits is None else places or 0
    )


def _composed(core: Any, found: dict[str, Any], where: str) -> ColumnType:
    """Enums, literals, addresses and JSON."""
    origin: object = get_origin(core)
    plain = _class(core)
    if plain is not None and issubclass(plain, enum.Flag):
        raise ModelError(f"{where} is annotated {plain.__name__}, whose members combine to other values; keep an int")
    if plain is not None and issubclass(plain, enum.Enum):
        return _choices(plain, tuple(member.value for member in plain), where)
    if origin is Literal:
        values = get_args(core)
        return _choices(values[0].__class__, values, where)
    if origin in _UNIONS and all(item in _ADDRESSES for item in get_args(core)):
        return ColumnType(Kind.INET, python=object)
    if core in _JSON_PLAIN:
        return ColumnType(Kind.JSON, python=plain or object)
    is_structure = plain is not None and (
        issubclass(plain, pydantic.BaseModel) or hasattr(plain, "__dataclass_fields__") or typing.is_typeddict(plain)
    )
    if origin in _JSON_ORIGINS or core in _JSON_ORIGINS or is_structure or origin in _UNIONS:
        codec = JsonCodec(core)
        python = plain if plain is not None and origin is None else _class(origin)
        return ColumnType(
            Kind.JSON,
            python=object if python is None or typing.is_typeddict(python) else python,
            to_json=codec.dump,
            from_json=codec.load,
        )
    name = repr(core) if plain is None else plain.__name__
    raise ModelError(
        f"{where} is annotated {name}, which no column can hold; use int, float, bool, str, bytes, Decimal, date, "
        "time, datetime, timedelta, UUID, an Enum, a Literal, an IP address, dict, list or a pydantic model"
    )


def _choices(python: type, values: tuple[Any, ...], where: str) -> ColumnType:
    if not values or not (all(type(v) is int for v in values) or all(isinstance(v, str) for v in values)):
        raise ModelError(
            f"{where} has choices that are neither all text nor all integers; give them values of one type"
        )
    length = max(len(v) for v in values) if isinstance(values[0], str) else None
    return ColumnType(Kind.ENUM, python=python, length=length, choices=tuple(values))
