"""Relations of rows whose key has not come with them, because of `only()` or `defer()`."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from datalayer import Field, ForeignKey, Mapped, Model, Reverse, before_delete
from datalayer.errors import FieldNotLoaded, RelationNotLoaded
from datalayer.models import registry
from datalayer.testing import create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import World

GONE: list[int] = []

with registry.isolated():

    class Author(Model):
        name: Mapped[str] = Field(max_length=20)
        code: Mapped[str | None] = Field(default=None, unique=True, max_length=10)
        books: ClassVar[Reverse[Book]]
        notes: ClassVar[Reverse[Note]]

        class Meta:
            table = "left_author"

    class Book(Model):
        title: Mapped[str] = Field(max_length=20)
        author: ForeignKey[Author] = ForeignKey(related_name="books")

        class Meta:
            table = "left_book"

    class Note(Model):
        author: ForeignKey[Author | None] = ForeignKey(to_field="code", related_name="notes")

        @before_delete
        def leaves(self) -> None:
            GONE.append(self.id)

        class Meta:
            table = "left_note"

    registry.tables()

MODELS = (Author, Book, Note)


@pytest.fixture(autouse=True)
def tables(configured: str, world: World) -> None:
    GONE.clear()
    world.run(lambda: create_tables(*MODELS), lambda: acreate_tables(*MODELS))
    author = world.call(Author.objects, "create", name="a", code="c")
    world.call(Book.objects, "create", title="t", author=author)
    world.call(Note.objects, "create", author=author)


@pytest.mark.parametrize("rows", [Book.objects.only("title"), Book.objects.defer("author")])
def test_a_relation_is_loaded_with_its_key(world: World, rows: Any) -> None:
    book = world.call(rows, "get")

    async def awaited() -> Any:
        with pytest.raises(RelationNotLoaded, match=r"await obj\.aload\('author'\)"):
            _ = book.author
        await book.aload("author")
        return book.author

    assert world.run(lambda: book.author, awaited).name == "a"


def test_a_relation_is_prefetched_with_its_key(world: World) -> None:
    book = world.call(Book.objects.only("title").prefetch_related("author"), "get")

    async def awaited() -> Any:
        return book.author

    assert world.run(lambda: book.author, awaited).name == "a"


def test_rows_behind_a_relation_are_found_by_a_key_that_is_loaded_for_it(world: World) -> None:
    author = world.call(Author.objects.only("name"), "get")

    async def awaited() -> int:
        with pytest.raises(FieldNotLoaded, match=r"Author\.code was not loaded"):
            _ = author.notes
        await author.aload("notes")
        return len(await author.notes.all())

    assert world.run(lambda: len(author.notes.all()), awaited) == 1


def test_rows_behind_a_relation_are_prefetched_by_a_key_that_is_loaded_for_it(world: World) -> None:
    author = world.call(Author.objects.only("name").prefetch_related("notes"), "get")
    assert world.call(author.notes, "count") == 1


def test_hooks_of_rows_that_go_along_are_called(world: World) -> None:
    author = world.call(Author.objects.only("name"), "get")
    world.call(Book.objects.all(), "delete")
    world.call(author, "delete")
    assert len(GONE) == 1


def test_nothing_is_behind_a_row_without_the_key(world: World) -> None:
    world.call(Note.objects, "create", author=None)
    author = world.call(Author.objects, "create", name="b")
    assert world.iterate(author.notes.all()) == []
    assert world.call(author.notes, "count") == 0
