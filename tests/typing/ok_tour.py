"""The models of the tour, as written there, in a project without `from __future__ import annotations`."""

from datetime import date
from decimal import Decimal
from typing import ClassVar, Self, assert_type

from datalayer import (
    CASCADE,
    Field,
    ForeignKey,
    Index,
    Manager,
    Mapped,
    Model,
    Reverse,
    UniqueConstraint,
)


class Author(Model):
    name: Mapped[str] = Field(max_length=200)
    email: Mapped[str] = Field(max_length=254, unique=True)
    born: Mapped[date | None] = Field(default=None)
    books: ClassVar[Reverse["Book"]]

    class Meta:
        ordering = ("name",)


class BookManager(Manager["Book"]):
    def published(self) -> Self:
        return self.filter(Book.published_on.is_not_null())


class Book(Model):
    title: Mapped[str] = Field(max_length=300, index=True)
    price: Mapped[Decimal] = Field(max_digits=8, decimal_places=2, ge=0)
    published_on: Mapped[date | None] = Field(default=None)
    author: ForeignKey[Author] = ForeignKey(on_delete=CASCADE, related_name="books")

    objects: ClassVar[BookManager] = BookManager()

    class Meta:
        constraints = (UniqueConstraint("author", "title"),)
        indexes = (Index("published_on", "title"),)


class Shelf(Model):
    name: str
    rows: int = 3
    note: str | None = Field(default=None, max_length=80)


ursula = Author(name="Ursula", email="u@k.org")
assert_type(Author.objects, Manager[Author])
assert_type(Book.objects, BookManager)
assert_type(Book.objects.published(), BookManager)
assert_type(ursula.books, BookManager)
assert_type(ursula.books.filter(Book.price > 3), BookManager)
assert_type(list(ursula.books), list[Book])
assert_type(Shelf(name="a").name, str)
assert_type(Shelf(name="a", rows=4).rows, int)
assert_type(Shelf.objects.get(name="a"), Shelf)
