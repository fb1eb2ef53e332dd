"""From an annotation to a column type."""

from __future__ import annotations

import datetime
import decimal
import enum
import functools
import ipaddress
import math
import types
import typing
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, Literal, cast, get_args, get_origin

import pydantic
from pydantic import TypeAdapter
from pydantic_core import to_json

from datalayer._compile.values import no_json
from datalayer._schema.field import ColumnType, Kind
from datalayer.errors import ModelError
from datalayer.models._pydantic import limits
from datalayer.models.adapters import adapter_of
from datalayer.models.fields import ColumnKind
from datalayer.models.inside import keys_at
from datalayer.models.ranges import Range
from datalayer.models.unwrap import unwrapped

# Classes, which type checkers take for unions.
_ANY_ADDRESS: type = cast("Any", pydantic.IPvAnyAddress)
_ANY_INTERFACE: type = cast("Any", pydantic.IPvAnyInterface)
_ANY_NETWORK: type = cast("Any", pydantic.IPvAnyNetwork)

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
    pydantic.IPvAnyAddress: (Kind.INET, _ANY_ADDRESS),
    pydantic.IPvAnyNetwork: (Kind.INET, _ANY_NETWORK),
    pydantic.IPvAnyInterface: (Kind.INET, _ANY_INTERFACE),
    ipaddress.IPv4Address: (Kind.INET, ipaddress.IPv4Address),
    ipaddress.IPv6Address: (Kind.INET, ipaddress.IPv6Address),
    ipaddress.IPv4Interface: (Kind.INET, ipaddress.IPv4Interface),
    ipaddress.IPv6Interface: (Kind.INET, ipaddress.IPv6Interface),
    ipaddress.IPv4Network: (Kind.INET, ipaddress.IPv4Network),
    ipaddress.IPv6Network: (Kind.INET, ipaddress.IPv6Network),
}
_TEXTS: tuple[object, ...] = (str, pydantic.EmailStr)
_ADDRESSES: dict[object, type] = {
    ipaddress.IPv4Address: _ANY_ADDRESS,
    ipaddress.IPv6Address: _ANY_ADDRESS,
    ipaddress.IPv4Interface: _ANY_INTERFACE,
    ipaddress.IPv6Interface: _ANY_INTERFACE,
    ipaddress.IPv4Network: _ANY_NETWORK,
    ipaddress.IPv6Network: _ANY_NETWORK,
}
_JSON_PLAIN: tuple[object, ...] = (dict, list, Any, object)
_UNTYPED: tuple[object, ...] = (Any, object)
_JSON_ORIGINS: tuple[object, ...] = (dict, list, tuple, set, frozenset)
_UNIONS: tuple[object, ...] = (typing.Union, types.UnionType)


class JsonCodec:
    """Turns values of one annotation into JSON text and back; its adapter is built when first needed."""

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        self._keys: dict[tuple[str | int, ...], frozenset[str] | None] = {}

    def keys(self, path: tuple[str | int, ...]) -> frozenset[str] | None:
        """The keys that an object at the end of a path may have; None where any may be there."""
        if path not in self._keys:
            self._keys[path] = keys_at(self.annotation, path)
        return self._keys[path]

    @functools.cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """The adapter of the annotation."""
        return TypeAdapter(self.annotation)

    def dump(self, value: object) -> str:
        """JSON text of a value.

        Raises:
            InvalidValue: JSON has no word for it.
        """
        try:
            written = self._write(value)
        except ValueError as error:
            raise no_json(value, error) from None
        text = written.decode()
        if "null" in text or "\\u0000" in text:  # what pydantic makes of NaN and infinity, and of a zero byte
            plain = self.adapter.serializer.to_python(value)
            if "\\u0000" in text or not _is_json(plain, written):
                _refuse_inside(plain, value)
        return text

    @functools.cached_property
    def _write(self) -> Callable[[object], bytes]:
        # `TypeAdapter.dump_json` hands on 15 arguments, none of which is given here.
        return self.adapter.serializer.to_json

    @property
    def load(self) -> Callable[[str | bytes], object]:
        """Turns JSON text into a value."""
        return self.adapter.validator.validate_json


def _is_json(plain: object, written: bytes) -> bool:
    """Whether a value that is written without a word for NaN and infinity is the same text with one: it has neither."""
    try:
        return to_json(plain, inf_nan_mode="constants") == written
    except ValueError:  # it has a word of its own for something
        return False


def _refuse_inside(part: object, value: object) -> None:
    """Refuses a value with a number in it that JSON does not have, or with text that no database keeps."""
    if part is None or part.__class__ is int:
        return
    if isinstance(part, float):
        if not math.isfinite(part):
            raise no_json(value, ValueError("not JSON compliant"))
    elif isinstance(part, str):
        if "\0" in part:
            raise no_json(value, ValueError("text of a database has no zero byte"))
    elif isinstance(part, dict | Mapping):  # a dict first: to ask an ABC takes longer than all of this
        for key, item in cast("Mapping[object, object]", part).items():
            _refuse_inside(key, value)
            _refuse_inside(item, value)
    elif isinstance(part, list | tuple | set | frozenset):
        for item in cast("Iterable[object]", part):
            _refuse_inside(item, value)


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
    adapter = adapter_of(core)
    if adapter is not None:
        kept, _ = column_type(adapter.like, (), where)
        stored = replace(kept, python=adapter.python, stored=kept, to_stored=adapter.dump, from_stored=adapter.load)
        return stored, nullable
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
        if core is pydantic.EmailStr and find_spec("email_validator") is None:
            raise ModelError(
                f"{where} is an EmailStr, which pydantic checks by the package email-validator, and that is not "
                "installed: pip install 'pydantic[email]', or annotate it str"
            )
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
        return _addresses(get_args(core), where)
    if core in _JSON_PLAIN:
        return ColumnType(Kind.JSON, python=plain or object)
    item = _item(core, origin, where)
    if item is not None:
        return ColumnType(Kind.ARRAY, python=list, item=item)
    if core is Range or origin is Range:
        return _range(get_args(core), where)
    is_structure = plain is not None and (
        issubclass(plain, pydantic.BaseModel) or hasattr(plain, "__dataclass_fields__") or typing.is_typeddict(plain)
    )
    if origin in _JSON_ORIGINS or core in _JSON_ORIGINS or is_structure or origin in _UNIONS:
        python = plain if plain is not None and origin is None else _class(origin)
        return ColumnType(
            Kind.JSON,
            python=object if python is None or typing.is_typeddict(python) else python,
            codec=JsonCodec(core),
        )
    name = repr(core) if plain is None else plain.__name__
    raise ModelError(
        f"{where} is annotated {name}, which no column can hold; use int, float, bool, str, bytes, Decimal, date, "
        "time, datetime, timedelta, UUID, an Enum, a Literal, an IP address, a Range, dict, list or a pydantic model"
    )


_ITEMS = frozenset(Kind) - {Kind.BYTES, Kind.DECIMAL, Kind.JSON, Kind.INET, Kind.ARRAY, Kind.RANGE}
"""What arrays are made of; lists of everything else are JSON."""


_ENDS = frozenset({Kind.INTEGER, Kind.BIG_INTEGER, Kind.DECIMAL, Kind.DATE, Kind.DATETIME, Kind.NAIVE_DATETIME})
"""What ranges go from and to."""


def _item(core: Any, origin: object, where: str) -> ColumnType | None:
    """The type of the values of `list[...]` where it is an array."""
    if origin is not list or get_args(core)[0] in _UNTYPED or get_origin(unwrapped(get_args(core)[0])[0]) in _UNIONS:
        return None
    inside = unwrapped(get_args(core)[0])[0]
    if not (_hashable(inside) and (inside in _PLAIN or inside in _TEXTS or _is_enum(inside))):
        return None
    item, _ = column_type(get_args(core)[0], (), where)
    return item if item.kind in _ITEMS and item.stored is None else None


def _range(ends: tuple[Any, ...], where: str) -> ColumnType:
    item = column_type(ends[0], (), where)[0] if ends and ends[0] not in _UNTYPED else None
    if item is None or item.kind not in _ENDS or item.stored is not None or item.precision is not None:
        raise ModelError(
            f"{where} is a range of what no database has ranges of; write Range[int], Range[BigInt], Range[Decimal], "
            "Range[date], Range[datetime] or Range[NaiveDatetime]"
        )
    return ColumnType(Kind.RANGE, python=Range, item=item)


def _is_enum(core: Any) -> bool:
    plain = _class(core)
    return plain is not None and issubclass(plain, enum.Enum) and not issubclass(plain, enum.Flag)


def _addresses(parts: tuple[object, ...], where: str) -> ColumnType:
    kinds = {_ADDRESSES[part] for part in parts}
    if len(kinds) > 1:
        raise ModelError(
            f"{where} mixes IP addresses, interfaces and networks, which a database does not tell apart; "
            "annotate it with one of them"
        )
    return ColumnType(Kind.INET, python=kinds.pop())


def _choices(python: type, values: tuple[Any, ...], where: str) -> ColumnType:
    if not values or not (all(type(v) is int for v in values) or all(isinstance(v, str) for v in values)):
        raise ModelError(
            f"{where} has choices that are neither all text nor all integers; give them values of one type"
        )
    length = max(len(v) for v in values) if isinstance(values[0], str) else None
    return ColumnType(Kind.ENUM, python=python, length=length, choices=tuple(values))
