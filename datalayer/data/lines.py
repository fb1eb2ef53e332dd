"""One row as one line of JSON: `{"model":"Book","fields":{"id":1,"title":"Emma"}}`."""

from __future__ import annotations

import base64
import functools
import json
import math
import operator
import re
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    NotRequired,  # pydantic needs this one below Python 3.12
    Optional,
    Union,
    cast,
)

from pydantic import ConfigDict, Field, PlainSerializer, PlainValidator, TypeAdapter
from typing_extensions import TypedDict

from datalayer._schema.field import ColumnType, FieldSpec, Kind
from datalayer._schema.table import TableSpec
from datalayer.data.natural import Reference, references
from datalayer.models.checks import annotation_of

_HEAD = re.compile(rb'\{\s*"rows"\s*:\s*(\d+)\s*\}')
_BITS = {Kind.SMALL_INTEGER: 16, Kind.INTEGER: 32, Kind.BIG_INTEGER: 64}


def head(rows: int) -> bytes:
    """The first line of a file: how many rows follow."""
    return b'{"rows":%d}\n' % rows


def beginning(label: str) -> bytes:
    """How the lines of a model begin, up to the fields; a brace ends them."""
    return b'{"model":' + json.dumps(label).encode() + b',"fields":'


def announced(line: bytes) -> int | None:
    """How many rows a first line says there are; None for one that is a row itself, as in a file made by hand."""
    found = _HEAD.fullmatch(line.strip())
    return None if found is None else int(found[1])


def written_fields(table: TableSpec) -> tuple[str, ...]:
    """The fields of a line: all but those the database computes."""
    return tuple(name for name, field in table.fields.items() if field.generated is None)


@functools.cache
def row_adapter(table: TableSpec) -> TypeAdapter[dict[str, object]]:
    """Turns the fields of a row into JSON and back, exactly.

    By the types of the columns and not by the fields of the model: its validators and serializers may change a value,
    and its limits may be younger than the row.
    """
    natural = references(table)
    fields = {name: _annotation(table.fields[name], natural.get(name)) for name in written_fields(table)}
    row = cast("Any", TypedDict)(table.model, fields)
    row.__pydantic_config__ = ConfigDict(extra="forbid")
    return TypeAdapter(row)


def _annotation(field: FieldSpec, natural: Reference | None) -> Any:
    found = _of_type(field.type)
    if natural is not None:
        parts = [_of_type(part.type) if part.type is not None else Any for part in natural.columns]
        found = Union[found, operator.getitem(cast("Any", tuple), tuple(parts))]  # noqa: UP007 - as below
    if field.nullable:
        found = Optional[found]  # noqa: UP045 - what it is of is a value here, which may have no `|`
    is_optional = field.nullable or field.is_identity or field.db_default is not None
    return NotRequired[found] if is_optional else found


def _of_type(kind: ColumnType) -> Any:
    """The annotation of a column's values: as the models', but nothing that JSON has no word for is lost."""
    if kind.stored is not None:
        return annotation_of(kind)
    if kind.kind in _BITS:
        most = 2 ** (_BITS[kind.kind] - 1)
        return Annotated[int, Field(ge=-most, lt=most)]
    if kind.kind is Kind.STRING:
        return Annotated[str, Field(strict=True, max_length=kind.length)]  # SQLite would keep a longer one
    if kind.kind is Kind.DECIMAL:
        # PostgreSQL would round what has more places.
        return Annotated[Decimal, Field(max_digits=kind.precision, decimal_places=kind.scale)]
    if kind.kind is Kind.FLOAT:
        return Annotated[float, PlainSerializer(lambda value: value if math.isfinite(value) else str(value))]
    if kind.kind is Kind.BYTES:
        return Annotated[bytes, PlainSerializer(_to_base64), PlainValidator(_from_base64)]
    return _json(kind) if kind.kind is Kind.JSON else annotation_of(kind)


def _to_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _from_base64(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError("bytes are written as text in base64")
    return base64.b64decode(text, validate=True)


def _json(kind: ColumnType) -> Any:
    """JSON as it is in the column."""
    codec = kind.codec
    if codec is None:
        return Annotated[Any, Field()]
    return Annotated[
        Any,
        PlainSerializer(lambda value: json.loads(codec.dump(value))),
        PlainValidator(lambda value: codec.load(json.dumps(value))),
    ]
