"""Models that are declared when others are in use already, as in a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from datalayer import CASCADE, PROTECT, Count, Field, ForeignKey, Mapped, Model, before_delete
from datalayer.errors import ProtectedError
from datalayer.models import registry
from datalayer.testing import create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import World

GONE: list[int] = []


@pytest.fixture
def author(configured: str, world: World) -> Iterator[Any]:
    """A row of a model that has been used, and behind it one of a model that nobody has looked at yet."""
    GONE.clear()
    with registry.isolated():

        class Author(Model):
            name: Mapped[str] = Field(max_length=20)

            class Meta:
                table = "late_author"

        world.run(lambda: create_tables(Author), lambda: acreate_tables(Author))
        author = world.call(Author.objects, "create", name="a")
        with registry.isolated():  # another program

            class Other(Model):
                author_id: Mapped[int] = Field()

                class Meta:
                    table = "late_book"

            world.run(lambda: create_tables(Other), lambda: acreate_tables(Other))
            world.call(Other.objects, "create", id=7, author_id=author.id)

        class Book(Model):
            author: ForeignKey[Author] = ForeignKey(related_name="books")

            @before_delete
            def leaves(self) -> None:
                GONE.append(self.id)

            class Meta:
                table = "late_book"

        yield author


def test_a_row_has_the_way_back(world: World, author: Any) -> None:
    assert world.call(author.books, "count") == 1


def test_a_class_has_the_way_back(author: Any) -> None:
    assert repr(type(author).books) == "<Related Author.books>"


def test_conditions_know_the_way_back(world: World, author: Any) -> None:
    assert world.call(type(author).objects.filter(books__id=7), "count") == 1


def test_annotations_know_the_way_back(world: World, author: Any) -> None:
    assert world.call(type(author).objects.annotate(total=Count("books")), "get").total == 1


def test_rows_behind_it_are_prefetched(world: World, author: Any) -> None:
    found = world.call(type(author).objects.prefetch_related("books"), "get")
    assert [book.id for book in world.iterate(found.books)] == [7]


def test_a_delete_calls_the_hooks_of_what_goes_along(world: World, author: Any) -> None:
    world.call(author, "delete")
    assert GONE == [7]


def test_a_row_is_kept_by_a_reference_that_is_declared_after_a_delete(configured: str, world: World) -> None:
    with registry.isolated():

        class Wall(Model):
            name: Mapped[str] = Field(max_length=20, default="a")

            class Meta:
                table = "late_wall"

        class Nail(Model):
            wall: ForeignKey[Wall] = ForeignKey(on_delete=CASCADE, related_name="nails")

            class Meta:
                table = "late_nail"

        world.run(lambda: create_tables(Wall, Nail), lambda: acreate_tables(Wall, Nail))
        first, second = [world.call(Wall.objects, "create") for _ in range(2)]
        assert world.call(first, "delete") == 1

        class Picture(Model):
            wall: ForeignKey[Wall] = ForeignKey(on_delete=PROTECT, related_name="pictures")

            class Meta:
                table = "late_picture"

        world.run(lambda: create_tables(Picture), lambda: acreate_tables(Picture))
        world.call(Picture.objects, "create", wall=second)
        with pytest.raises(ProtectedError):
            world.call(second, "delete")
