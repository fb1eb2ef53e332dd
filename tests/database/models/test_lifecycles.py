"""Whatever happens to rows in transactions that are rolled back or not: a save makes them what the instances are."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from datalayer import SET_NULL, F, Field, ForeignKey, Mapped, Model, atomic
from datalayer.models import registry
from datalayer.testing import create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import World

with registry.isolated():

    class Author(Model):
        name: Mapped[str] = Field(max_length=20)

        class Meta:
            table = "life_author"

    class Book(Model):
        title: Mapped[str] = Field(max_length=20)
        stock: Mapped[int] = Field(default=1)
        rating: Mapped[int] = Field(db_default=3)
        data: Mapped[dict[str, Any]] = Field(default_factory=dict)
        worth: Mapped[int] = Field(generated="stock * 2")
        author: ForeignKey[Author | None] = ForeignKey(default=None, on_delete=SET_NULL, related_name="books")

        class Meta:
            table = "life_book"

    registry.tables()

MODELS = (Author, Book)


class Undo(Exception):
    pass


class Life:
    """Authors and books, and what chance does to them."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.chance = world, random.Random(seed)
        self.number = 0
        self.authors: list[Any] = [Author(name="a")]
        self.books: list[Any] = [Book(title="b", author=self.authors[0])]  # type: ignore[call-arg]

    def step(self, depth: int) -> None:
        self.number += 1
        verbs = (self.make, self.delete, self.many, self.copied, *[self.assign, self.save, self.nest] * 2)
        self.chance.choice(verbs)(depth)

    def make(self, depth: int) -> None:
        self.authors.append(Author(name=f"a{self.number}"))
        self.books.append(Book(title=f"b{self.number}", author=self.some_author()))  # type: ignore[call-arg]

    def some_author(self) -> Any:
        return self.chance.choice([None, *self.authors[-3:]])

    def assign(self, depth: int) -> None:
        self.chance.choice(self.authors).name = f"n{self.number}"
        book, name = self.chance.choice(self.books), self.chance.choice(["title", "stock", "rating", "data", "author"])
        if name == "data":
            book.data[f"k{self.number % 3}"] = self.number
        else:
            value = {"title": f"t{self.number}", "author": self.some_author()}.get(name, self.number)
            setattr(book, name, value)

    def referred(self, row: Any) -> None:
        """Saves what a row refers to, and gives it values: an expression is one again after a rollback."""
        if isinstance(row, Book):
            if row.author is not None and row.author._state.adding:
                self.world.call(row.author, "save")
            if not isinstance(row.stock, int):
                row.stock = self.number

    def save(self, depth: int) -> None:
        row = self.chance.choice([*self.authors, *self.books])
        self.referred(row)
        if isinstance(row, Book) and not row._state.adding and self.chance.random() < 0.3:
            setattr(row, "stock", F("stock") + 1)  # noqa: B010  # a type checker would not take it
        self.world.call(row, "save")

    def delete(self, depth: int) -> None:
        book = self.chance.choice(self.books)
        if not book._state.adding:
            self.referred(book)
            self.world.call(*self.chance.choice([(book, "delete"), (Book.objects, "bulk_delete", [book])]))

    def many(self, depth: int) -> None:
        new = [book for book in self.books if book._state.adding]
        old = [book for book in self.books if not book._state.adding]
        for book in self.books:
            self.referred(book)
        self.world.call(Book.objects, "bulk_create", new[:2])
        fields = self.chance.choice([["title", "author"], ["stock"], ["data"], {"stock": F("stock") + 1}, None])
        self.world.call(Book.objects, "bulk_update", old, fields)

    def copied(self, depth: int) -> None:
        if depth == 0:  # a rollback tells the instance that was written, not its copy
            place = self.chance.randrange(len(self.books))
            self.books[place] = self.chance.choice([copy.copy, copy.deepcopy])(self.books[place])

    def nest(self, depth: int) -> None:
        if depth > 3:
            return
        try:
            with self.world.enter(atomic()):
                for _ in range(self.chance.randint(1, 8)):
                    self.step(depth + 1)
                if self.chance.random() < 0.5:
                    raise Undo
        except Undo:
            pass


@pytest.mark.parametrize("seed", range(6))
def test_a_save_makes_the_row_what_the_instance_is(configured: str, world: World, seed: int) -> None:
    world.run(lambda: create_tables(*MODELS), lambda: acreate_tables(*MODELS))
    life = Life(world, seed)
    for _ in range(60):
        life.step(0)
    rows = [*life.authors, *life.books]
    for row in rows:
        life.referred(row)
        world.call(row, "save")
    for row in rows:
        assert world.call(type(row).objects, "get", pk=row.pk).model_dump() == row.model_dump()
    assert [book.author_id for book in life.books] == [getattr(book.author, "id", None) for book in life.books]
