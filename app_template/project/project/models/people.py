"""Who sells, and who has an opinion."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from datalayer import CASCADE, Field, ForeignKey, Mapped, Model, Reverse, UniqueConstraint
from {{ name }}.models.catalog import Product


class Person(Model):
    """Somebody with an account."""

    name: Mapped[str] = Field(max_length=200)
    email: Mapped[str] = Field(max_length=254, unique=True)
    joined_at: Mapped[datetime] = Field(auto_now_add=True)
    products: ClassVar[Reverse[Product]]
    reviews: ClassVar[Reverse["Review"]]

    class Meta:
        ordering = ("name",)


class Review(Model):
    """What a person thinks of a product: one review each."""

    product: ForeignKey[Product] = ForeignKey(on_delete=CASCADE, related_name="reviews")
    author: ForeignKey[Person] = ForeignKey(on_delete=CASCADE, related_name="reviews")
    stars: Mapped[int] = Field(ge=1, le=5)
    text: Mapped[str] = Field(default="")
    written_at: Mapped[datetime] = Field(auto_now_add=True)

    class Meta:
        constraints = (UniqueConstraint("product", "author"),)
