# ruff: noqa: PT012  (how a block ends is what is tested)
"""Tables straight from the models, in both worlds and on both backends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import datalayer.testing
from datalayer import Field, ForeignKey, Mapped, Model
from datalayer.databases import atomic
from datalayer.errors import ProgrammingError, UndefinedTable
from datalayer.models import registry
from tests.worlds import World


@pytest.fixture
def models() -> Iterator[tuple[Any, Any]]:
    with registry.isolated():

        class Author(Model):
            name: Mapped[str] = Field(max_length=50, unique=True)

        class Book(Model):
            title: Mapped[str] = Field(max_length=50, index=True)
            author: ForeignKey[Author] = ForeignKey()

        yield Author, Book


def test_all_models(configured: str, world: World, models: tuple[Any, Any]) -> None:
    author, book = models
    world.call(datalayer.testing, "create_tables")
    made = world.call(author.objects, "create", name="Ada")
    world.call(book.objects, "create", title="Notes", author=made)
    assert world.call(book.objects, "count") == 1
    with pytest.raises(ProgrammingError):
        world.call(datalayer.testing, "create_tables")
    world.call(datalayer.testing, "drop_tables")
    with pytest.raises(UndefinedTable):
        world.call(book.objects, "count")


def test_some_models_inside_a_transaction(configured: str, world: World, models: tuple[Any, Any]) -> None:
    author, book = models
    with pytest.raises(ValueError, match="undo"), world.enter(atomic()):
        world.call(datalayer.testing, "create_tables", author, using="default")
        assert world.call(author.objects, "count") == 0
        raise ValueError("undo")
    for model in (author, book):
        with pytest.raises(UndefinedTable):
            world.call(model.objects, "count")


def test_an_error_leaves_no_table_behind(configured: str, world: World, models: tuple[Any, Any]) -> None:
    author, book = models
    world.call(datalayer.testing, "create_tables", author)
    with pytest.raises(ProgrammingError):
        world.call(datalayer.testing, "create_tables", book, author)
    with pytest.raises(UndefinedTable):
        world.call(book.objects, "count")


def test_a_model_is_made_after_the_one_it_refers_to(configured: str, world: World, models: tuple[Any, Any]) -> None:
    author, book = models
    world.call(datalayer.testing, "create_tables", author)
    world.call(datalayer.testing, "create_tables", book)
    made = world.call(author.objects, "create", name="Ada")
    world.call(book.objects, "create", title="Notes", author=made)
    world.call(datalayer.testing, "drop_tables", book)
    assert world.call(author.objects, "count") == 1
    with pytest.raises(UndefinedTable):
        world.call(book.objects, "count")
