"""Identifiers that the database makes, another one for each row."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from datalayer._schema.field import ColumnType, Kind
from datalayer.models.computed import function
from datalayer.models.expressions import Computable

_UUID: Final = ColumnType(Kind.UUID, UUID)


def UUID4() -> Computable:
    """A UUID of chance alone."""
    found: Computable = function("UUID4", "uuid4", (), _UUID)
    return found


def UUID7() -> Computable:
    """A UUID that begins with the millisecond, so that an index of them grows at its end."""
    found: Computable = function("UUID7", "uuid7", (), _UUID)
    return found
