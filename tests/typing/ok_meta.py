"""A model's `Meta` is its own: it need not inherit from that of `Model`."""

from __future__ import annotations

from typing import assert_type

from datalayer import Field, Index, Mapped, Model, UUIDModel


class Shelf(Model):
    name: Mapped[str] = Field(max_length=80)

    class Meta:
        ordering = ("name",)
        indexes = (Index("name"),)


class Box(UUIDModel):
    name: Mapped[str] = Field(max_length=80)

    class Meta:
        ordering = ("name",)


assert_type(Shelf.objects.get(), Shelf)
