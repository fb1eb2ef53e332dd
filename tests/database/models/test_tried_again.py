"""What a rollback took back is written by the next try, with the keys of that time, and no more than was changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from datalayer import Field, ForeignKey, Mapped, Model, OneToOne, Reverse, atomic
from datalayer.errors import InvalidValue
from datalayer.models import registry
from datalayer.testing import create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import World

with registry.isolated():

    class Author(Model):
        name: Mapped[str] = Field(max_length=20)
        books: ClassVar[Reverse[Book]]

        class Meta:
            table = "again_author"

    class Book(Model):
        title: Mapped[str] = Field(max_length=20)
        rating: Mapped[int] = Field(db_default=3, init=False)
        author: ForeignKey[Author] = ForeignKey(related_name="books")

        class Meta:
            table = "again_book"

    class Portrait(Model):
        author: OneToOne[Author] = OneToOne(related_name="portrait")

        class Meta:
            table = "again_portrait"

    registry.tables()

MODELS = (Author, Book, Portrait)


class Undo(Exception):
    pass


@pytest.fixture(autouse=True)
def tables(configured: str, world: World) -> None:
    world.run(lambda: create_tables(*MODELS), lambda: acreate_tables(*MODELS))


def undone(world: World, *steps: Callable[[], object]) -> None:
    """Takes the steps in a transaction that is rolled back."""

    with pytest.raises(Undo), world.enter(atomic()):  # noqa: PT012
        for step in steps:
            step()
        raise Undo


def saved(world: World, row: Model) -> Callable[[], object]:
    return lambda: world.call(row, "save")


@pytest.mark.parametrize("is_saved", [False, True])
def test_a_row_refers_to_an_object_by_the_key_it_has_now(world: World, is_saved: bool) -> None:
    author = Author(name="a")
    book: Any = Book(title="t", author=author)
    undone(world, saved(world, author), saved(world, book) if is_saved else lambda: setattr(book, "author", author))
    world.call(Author.objects, "create", name="somebody else")
    world.call(author, "save")
    world.call(book, "save")
    assert world.call(Book.objects, "get").author_id == author.id == book.author_id


def test_many_rows_refer_to_an_object_by_the_key_it_has_now(world: World) -> None:
    author = Author(name="a")
    book: Any = Book(title="t", author=author)
    undone(
        world,
        lambda: world.call(Author.objects, "bulk_create", [author]),
        lambda: world.call(Book.objects, "bulk_create", [book]),
    )
    world.call(Author.objects, "create", name="other")
    world.call(author, "save")
    world.call(Book.objects, "bulk_create", [book])
    assert world.call(Book.objects, "get").author_id == author.id


def test_a_row_that_was_there_refers_to_a_new_object_by_the_key_it_has_now(world: World) -> None:
    book = world.call(Book.objects, "create", title="t", author=world.call(Author.objects, "create", name="old"))
    book.author = author = Author(name="a")
    undone(world, saved(world, author), saved(world, book))
    world.call(Author.objects, "create", name="other")
    world.call(author, "save")
    world.call(book, "save")
    assert world.call(Book.objects, "get").author_id == author.id


def test_a_row_is_not_written_with_the_key_of_an_object_that_is_new_again(world: World) -> None:
    author = Author(name="a")
    book: Any = Book(title="t", author=author)
    undone(world, saved(world, author), saved(world, book))
    world.call(Author.objects, "create", name="other")
    with pytest.raises(InvalidValue, match=r"Book\.author is not saved yet"):
        world.call(book, "save")


@pytest.mark.parametrize("is_saved", [False, True])
def test_what_was_assigned_after_the_insert_is_kept(world: World, is_saved: bool) -> None:
    book = Book(title="t", author=world.call(Author.objects, "create", name="a"))
    steps = [saved(world, book), lambda: setattr(book, "rating", 7)]
    undone(world, *steps, *[saved(world, book)] * is_saved)
    world.call(book, "save")
    assert world.call(Book.objects, "get").rating == 7


def test_a_delete_that_did_not_happen_makes_nothing_changed(world: World) -> None:
    world.call(Book.objects, "create", title="t", author=world.call(Author.objects, "create", name="a"))
    one, two = world.call(Book.objects, "get"), world.call(Book.objects, "get")
    undone(world, lambda: world.call(one, "delete"), lambda: setattr(one, "rating", 5))
    undone(world, lambda: world.call(Book.objects, "bulk_delete", [two]))
    world.call(Book.objects.all(), "update", title="of somebody else")
    world.call(one, "save")
    world.call(two, "save")
    found = world.call(Book.objects, "get")
    assert (found.title, found.rating) == ("of somebody else", 5)


def test_the_other_side_of_a_one_to_one_knows_the_row_that_was_written_then(world: World) -> None:
    author = world.call(Author.objects, "create", name="a")
    portrait = Portrait(author=author)
    undone(world, saved(world, portrait))

    async def look() -> bool:
        await author.aload("portrait")
        return hasattr(author, "portrait")

    assert not world.run(lambda: hasattr(author, "portrait"), look)
    world.call(portrait, "save")
    assert author.portrait is portrait


def test_rows_behind_an_object_are_asked_again_after_a_bulk_update_that_brings_some(world: World) -> None:
    author = world.call(Author.objects, "create", name="a")
    book = world.call(Book.objects, "create", title="t", author=world.call(Author.objects, "create", name="b"))
    assert world.iterate(author.books.all()) == []
    book.author = author
    world.call(Book.objects, "bulk_update", [book], ["author"])
    assert world.iterate(author.books.all()) == [book]
