"""What users subclass: `Model`, `UUIDModel`, `ModelBase`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from datalayer._schema.table import TableSpec
from datalayer.errors import MultipleObjectsReturned, ObjectDoesNotExist
from datalayer.models.fields import Mapped, PrimaryKey
from datalayer.models.identifiers import uuid7
from datalayer.models.meta import ModelMeta


class ModelBase(BaseModel, metaclass=ModelMeta):
    """A model without a primary key of its own: declare `PrimaryKey()` fields, or `Meta.primary_key`."""

    model_config = ConfigDict(validate_assignment=True, extra="forbid", defer_build=True)
    __datalayer_root__: ClassVar[bool] = True

    if TYPE_CHECKING:
        table: ClassVar[TableSpec]
        DoesNotExist: ClassVar[type[ObjectDoesNotExist]]
        MultipleObjectsReturned: ClassVar[type[MultipleObjectsReturned]]

    class Meta:
        abstract = True


class Model(ModelBase):
    """A model with `id`, an integer the database numbers."""

    id: Mapped[int] = PrimaryKey(init=False)

    class Meta:
        abstract = True


class UUIDModel(ModelBase):
    """A model with `id`, a UUID of version 7: made here, growing with time."""

    id: Mapped[UUID] = PrimaryKey(default_factory=uuid7)

    class Meta:
        abstract = True


def fields_of(instance: Any) -> dict[str, Any]:
    """The values of an instance."""
    values: dict[str, Any] = instance.__dict__
    return values
