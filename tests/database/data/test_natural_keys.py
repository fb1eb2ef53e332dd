"""Fixtures by natural keys: rows find each other by what people call them, whatever numbers the databases give."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

import datalayer.data
from datalayer import CASCADE, Field, ForeignKey, ManyToMany, Mapped, Model, UniqueConstraint
from datalayer.data import dump
from datalayer.errors import LoadError, ModelError, QueryError
from datalayer.models import registry
from datalayer.testing import acreate_tables, create_tables
from tests.worlds import World


class Library:
    """The models, declared anew for each test."""

    def __init__(self) -> None:
        class Author(Model):
            email: Mapped[str] = Field(max_length=80, unique=True)

            class Meta:
                table = "natural_author"
                natural_key = ("email",)

        class Tag(Model):
            label: Mapped[str] = Field(max_length=20, unique=True)
            wider: ForeignKey[Tag | None] = ForeignKey(on_delete=CASCADE, default=None, related_name="narrower")

            class Meta:
                table = "natural_tag"
                natural_key = ("label",)

        class Book(Model):
            title: Mapped[str] = Field(max_length=80)
            author: ForeignKey[Author] = ForeignKey(on_delete=CASCADE, related_name="books")
            tags: ManyToMany[Tag] = ManyToMany(related_name="books")

            class Meta:
                table = "natural_book"
                constraints = (UniqueConstraint("author", "title"),)
                natural_key = ("author", "title")

        class Review(Model):
            stars: Mapped[int]
            book: ForeignKey[Book | None] = ForeignKey(on_delete=CASCADE, default=None, related_name="reviews")

            class Meta:
                table = "natural_review"

        self.author: Any = Author
        self.tag: Any = Tag
        self.book: Any = Book
        self.review: Any = Review


@pytest.fixture
def library(configured: str, world: World) -> Iterator[Library]:
    with registry.isolated():
        found = Library()
        world.run(create_tables, acreate_tables)
        yield found


def filled(library: Library, world: World) -> bytes:
    """Two authors of a Diary each, in a file of natural keys."""
    sf = world.call(library.tag.objects, "create", label="sf")
    for place, name in enumerate(("ann", "bob")):
        author = world.call(library.author.objects, "create", email=f"{name}@k.org")
        book = world.call(library.book.objects, "create", title="Diary", author=author)
        world.call(book.tags, "add", world.call(library.tag.objects, "create", label=name, wider=sf))
        world.call(library.review.objects, "create", stars=place, book=book)
    world.call(library.review.objects, "create", stars=9)
    return dumped(world, natural_foreign=True, natural_primary=True)


def dumped(world: World, **options: Any) -> bytes:
    file = io.BytesIO()
    world.call(datalayer.data, "dump", file, **options)
    return file.getvalue()


def lines(content: bytes, model: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in content.splitlines()[1:]]
    return [row["fields"] for row in rows if row["model"] == model]


def test_references_are_written_as_natural_keys(library: Library, world: World) -> None:
    content = filled(library, world)
    assert lines(content, "Author") == [{"email": "ann@k.org"}, {"email": "bob@k.org"}]
    assert lines(content, "Book")[1] == {"title": "Diary", "author_id": ["bob@k.org"]}
    assert [row["book_id"] for row in lines(content, "Review")] == [
        ["ann@k.org", "Diary"],
        ["bob@k.org", "Diary"],
        None,
    ]
    assert lines(content, "Book_tags")[0].items() >= {"book_id": ["ann@k.org", "Diary"], "tag_id": ["ann"]}.items()
    # The rows of tags refer to each other in any order, which needs their numbers.
    assert lines(content, "Tag")[1] == {"id": 2, "label": "ann", "wider_id": ["sf"]}
    assert lines(dumped(world), "Book")[1] == {"id": 2, "title": "Diary", "author_id": 2}


def test_rows_find_each_other_where_other_numbers_were_given(library: Library, world: World) -> None:
    content = filled(library, world)
    world.run(datalayer.data.flush, datalayer.data.aflush)
    world.call(library.author.objects, "create", id=70, email="carl@k.org")
    assert world.call(datalayer.data, "load", io.BytesIO(content)) == 12
    found = library.review.objects.exclude(book=None).order_by("stars").values_list("book__author__email", flat=True)
    assert world.iterate(found) == ["ann@k.org", "bob@k.org"]
    assert world.call(library.author.objects, "get", email="ann@k.org").id > 70
    assert world.call(library.tag.objects.filter(wider__label="sf"), "count") == 2
    tags = library.book.objects.order_by("author__email").values_list("tags__label", flat=True)
    assert world.iterate(tags) == ["ann", "bob"]


def test_a_natural_key_of_no_row_is_told_by_its_line(library: Library, world: World) -> None:
    content = b'{"model":"Book","fields":{"title":"x","author_id":["nobody@k.org"]}}\n'
    told = r"line 1: Book.author_id refers to the Author with email='nobody@k.org', which is neither in the database"
    with pytest.raises(LoadError, match=told):
        world.call(datalayer.data, "load", io.BytesIO(content))
    assert world.call(library.book.objects, "count") == 0


@pytest.mark.usefixtures("library")
def test_keys_that_others_refer_to_are_not_left_out() -> None:
    with pytest.raises(QueryError, match="natural_primary leaves keys out that others refer to; give natural_foreign"):
        dump(io.BytesIO(), natural_primary=True)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (("nam",), "names 'nam', .* did you mean 'name'"),
        (("age",), r"several rows could have; add UniqueConstraint\('age'"),
    ],
)
def test_a_natural_key_that_is_none_is_refused(key: tuple[str, ...], message: str) -> None:
    with registry.isolated():

        class Thing(Model):
            name: Mapped[str] = Field(unique=True)
            age: Mapped[int]

            class Meta:
                natural_key = key

        with pytest.raises(ModelError, match=rf"Thing.Meta.natural_key .*{message}"):
            registry.tables()
