"""Models with relations of every kind, for `ok_relations.py` and `no_relations.py`."""

from __future__ import annotations

from typing import ClassVar, Self

from datalayer import Field, ForeignKey, Manager, ManyToMany, Mapped, Model, OneToOne, Reverse, ReverseOne


class Tag(Model):
    label: Mapped[str] = Field(max_length=40)
    books: ClassVar[Reverse[Book]]


class Author(Model):
    name: Mapped[str] = Field(max_length=200)
    books: ClassVar[Reverse[Book]]
    edited: ClassVar[Reverse[Book]]
    profile: ClassVar[ReverseOne[Profile]]


class Profile(Model):
    text: Mapped[str] = Field(default="")
    author: OneToOne[Author] = OneToOne(related_name="profile")


class BookManager(Manager["Book"]):
    def get_queryset(self) -> Self:
        return super().get_queryset().filter(Book.title != "")

    def long(self) -> Self:
        return self.filter(Book.pages > 300)


class Book(Model):
    title: Mapped[str] = Field(max_length=300)
    pages: Mapped[int] = Field(default=0)
    author: ForeignKey[Author] = ForeignKey(related_name="books")
    editor: ForeignKey[Author | None] = ForeignKey(default=None, related_name="edited")
    tags: ManyToMany[Tag] = ManyToMany(related_name="books")
    sequels: ManyToMany[Book] = ManyToMany(symmetrical=False, related_name="prequels")

    objects: ClassVar[BookManager] = BookManager()
