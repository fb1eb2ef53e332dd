"""The models that the other files here are about."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar, Self

from datalayer import CASCADE, SET_NULL, Annotation, Field, ForeignKey, Manager, Mapped, Model, Reverse


class Author(Model):
    name: Mapped[str] = Field(max_length=200)
    born: Mapped[date | None] = Field(default=None)
    made: Mapped[datetime] = Field(auto_now_add=True, init=False)
    books: ClassVar[Reverse[Book]]
    book_count: ClassVar[Annotation[int]]


class BookManager(Manager["Book"]):
    def published(self) -> Self:
        return self.filter(Book.published_on.is_not_null())


class Book(Model):
    title: Mapped[str] = Field(max_length=300)
    price: Mapped[Decimal] = Field(max_digits=8, decimal_places=2)
    pages: Mapped[int] = Field(default=0)
    published_on: Mapped[date | None] = Field(default=None)
    author: ForeignKey[Author] = ForeignKey(on_delete=CASCADE, related_name="books")
    editor: ForeignKey[Author | None] = ForeignKey(on_delete=SET_NULL, default=None, related_name="edited")

    objects: ClassVar[BookManager] = BookManager()
