"""What is for sale."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Self

from datalayer import CASCADE, PROTECT, Field, ForeignKey, Index, Manager, Mapped, Model, Reverse

if TYPE_CHECKING:
    from {{ name }}.models.people import Person, Review


class Status(Enum):
    """Where a product is in its life."""

    DRAFT = "draft"
    ON_SALE = "on sale"
    SOLD_OUT = "sold out"


class Category(Model):
    """A shelf."""

    name: Mapped[str] = Field(max_length=80, unique=True)
    products: ClassVar[Reverse["Product"]]

    class Meta:
        ordering = ("name",)


class ProductManager(Manager["Product"]):
    """The questions this app asks about products."""

    def on_sale(self) -> Self:
        return self.filter(Product.status == Status.ON_SALE)

    def cheaper_than(self, price: Decimal) -> Self:
        return self.filter(Product.price < price)


class Product(Model):
    """A thing somebody sells."""

    name: Mapped[str] = Field(max_length=200)
    price: Mapped[Decimal] = Field(max_digits=10, decimal_places=2, ge=0)
    stock: Mapped[int] = Field(default=0, ge=0)
    status: Mapped[Status] = Field(default=Status.DRAFT)
    details: Mapped[dict[str, Any]] = Field(default_factory=dict)
    category: ForeignKey[Category] = ForeignKey(on_delete=PROTECT, related_name="products")
    seller: ForeignKey["Person"] = ForeignKey(on_delete=CASCADE, related_name="products")
    created_at: Mapped[datetime] = Field(auto_now_add=True)
    updated_at: Mapped[datetime] = Field(auto_now=True)
    reviews: ClassVar[Reverse["Review"]]

    objects: ClassVar[ProductManager] = ProductManager()

    class Meta:
        ordering = ("name",)
        indexes = (Index("status", "price"),)
