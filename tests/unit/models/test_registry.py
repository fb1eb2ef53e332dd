"""Models become tables, and find each other by name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import ClassVar

import pytest

from datalayer._schema.field import Kind
from datalayer._schema.relation import RelationKind
from datalayer.errors import ModelError
from datalayer.models import registry
from datalayer.models.constraints import Index, UniqueConstraint
from datalayer.models.fields import Field, Mapped
from datalayer.models.model import Model
from datalayer.models.relations import CASCADE, SET_NULL, ForeignKey, Reverse


@pytest.fixture(autouse=True)
def isolated() -> Iterator[None]:
    with registry.isolated():
        yield


def test_a_model_becomes_a_table_and_both_ends_of_a_relation_know_each_other() -> None:
    class Book(Model):
        title: Mapped[str] = Field(max_length=300, index=True)
        price: Mapped[Decimal] = Field(max_digits=8, decimal_places=2, ge=0)
        published_on: Mapped[date | None] = Field(default=None)
        author: ForeignKey[Author] = ForeignKey(on_delete=CASCADE, related_name="books")
        editor: ForeignKey[Author | None] = ForeignKey(on_delete=SET_NULL, default=None, related_name="edited")

        class Meta:
            constraints = (UniqueConstraint("author", "title"),)
            indexes = (Index("published_on", "-title"),)

    class Author(Model):
        name: Mapped[str] = Field(max_length=200)
        books: ClassVar[Reverse[Book]]

        class Meta:
            ordering = ("name",)

    book, author = registry.tables()
    assert list(book.fields) == ["id", "title", "price", "published_on", "author_id", "editor_id"]
    assert book.fields["author_id"].type.kind is Kind.BIG_INTEGER
    assert book.primary_key == ("id",)
    assert book.fields["editor_id"].nullable
    assert [unique.name for unique in book.unique] == ["uq_book_author_id_title"]
    assert [check.sql for check in book.checks] == ['"price" >= 0']
    assert {index.name for index in book.indexes} == {
        "ix_book_title",
        "ix_book_author_id",
        "ix_book_editor_id",
        "ix_book_published_on_title_desc",
    }
    assert [(key.target, key.on_delete) for key in book.foreign_keys] == [("author", "CASCADE"), ("author", "SET NULL")]
    assert author.relations["books"].kind is RelationKind.REVERSE_FOREIGN_KEY
    assert author.relations["books"].target is book
    assert author.ordering == ("name",)


def test_a_relation_to_nothing_names_the_nearest_model() -> None:
    class Author(Model):
        pass

    class Book(Model):
        author: ForeignKey[Autor] = ForeignKey()  # type: ignore[name-defined] # noqa: F821

    with pytest.raises(ModelError, match="did you mean 'Author'"):
        registry.tables()
    assert Author.table.name == "author"


def test_two_relations_with_one_way_back_are_refused() -> None:
    class Author(Model):
        pass

    class Book(Model):
        author: ForeignKey[Author] = ForeignKey()
        editor: ForeignKey[Author] = ForeignKey()

    with pytest.raises(ModelError, match="related_name"):
        registry.tables()


def test_two_models_with_one_table_are_refused() -> None:
    class Author(Model):
        pass

    class Writer(Model):
        class Meta:
            table = "author"

    with pytest.raises(ModelError, match="both have the table 'author'"):
        registry.tables()
