"""`get()` asked again of the queryset that was asked before: what it has worked out must fit all values to come."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

import datalayer
from datalayer import Count, F, Q, QuerySet, atomic, pools
from datalayer.errors import (
    FieldError,
    InvalidValue,
    MultipleObjectsReturned,
    ObjectDoesNotExist,
    QueryError,
    TransactionError,
)
from datalayer.testing import assert_num_queries, capture_queries, create_tables
from tests.database.queries.library import Author, Book, Genre, Shelf
from tests.worlds import World

TIMES = 3  # the first goes the way of all questions, the second works out the rest, the third has it all


def keyed(books: Shelf) -> list[Book]:
    return [books[0], books[7], books[3]]


@pytest.mark.parametrize("how", ["id", "pk", "column"])
def test_each_time_the_row_of_the_key_comes(world: World, books: Shelf, how: str) -> None:
    rows = Book.objects.all()
    for book in keyed(books):
        found = (
            world.call(rows, "get", Book.id == book.id)
            if how == "column"
            else world.call(rows, "get", **{how: book.id})
        )
        assert found == book


def test_each_time_one_statement_is_sent_of_one_text(world: World, books: Shelf) -> None:
    rows = Book.objects.all()
    with capture_queries() as sent:
        for book in keyed(books):
            world.call(rows, "get", id=book.id)
        for book in keyed(books):
            world.call(rows, "get", Book.id == book.id)
    assert len(sent) == 2 * TIMES
    assert len({query.sql for query in sent}) == 1


@pytest.mark.parametrize(
    "column", ["title", "note", "price", "pages", "rating", "in_print", "published_on", "opens_at", "isbn", "genre"]
)
def test_values_of_every_kind_find_their_row(world: World, books: Shelf, column: str) -> None:
    for book in books[:TIMES]:
        rows = Book.objects.filter(id=book.id)
        value = getattr(book, column)
        for _ in range(TIMES):
            assert world.call(rows, "get", **{column: value}) == book
            assert world.call(rows, "get", getattr(Book, column) == value) == book


def test_conditions_of_the_queryset_stay(world: World, books: Shelf) -> None:
    for book in books[:5]:
        others = Book.objects.filter(title=book.title, pages=book.pages).exclude(id=book.id).annotate(n=F("pages"))
        mine = Book.objects.filter(title=book.title).annotate(twice=F("price") * 2)
        for _ in range(TIMES):
            found = world.call(mine, "get", id=book.id)
            assert (found, found.twice) == (book, book.price * 2)
            with pytest.raises(Book.DoesNotExist):
                world.call(others, "get", id=book.id)


def test_rows_in_groups_are_found_by_their_key(world: World, books: Shelf) -> None:
    rows = Author.objects.annotate(number=Count("books")).order_by("name")
    for book in keyed(books):
        author = world.call(rows, "get", id=book.author.id)
        assert author.number == len([other for other in books if other.author == author])


def test_what_comes_along_does_so_each_time(world: World, books: Shelf) -> None:
    rows = Book.objects.select_related("author").prefetch_related("author__books").only("title", "author__name")
    for book in keyed(books):
        with assert_num_queries(2):
            found = world.call(rows, "get", id=book.id)
            assert found.author.name == book.author.name
            assert {each.id for each in world.iterate(found.author.books)} == {
                each.id for each in books if each.author == book.author
            }


def test_values_come_in_their_form_each_time(world: World, books: Shelf) -> None:
    flat, dicts = Book.objects.values_list("title", flat=True), Book.objects.values("title", "pages")
    for book in keyed(books):
        assert world.call(flat, "get", id=book.id) == book.title
        assert world.call(dicts, "get", id=book.id) == {"title": book.title, "pages": book.pages}


def test_a_lock_is_taken_each_time_and_needs_a_transaction(shelves: str, backend: str) -> None:
    author, rows = Author.objects.create(name="Ann"), Author.objects.select_for_update()
    for _ in range(TIMES):
        with atomic(), capture_queries() as sent:
            assert rows.get(id=author.id) == author
        assert sent[0].sql.endswith("FOR UPDATE") == (backend == "postgresql")
        with pytest.raises(TransactionError, match="outside of atomic"):
            rows.get(id=author.id)


def test_no_row_and_several_are_told_each_time(world: World, books: Shelf) -> None:
    rows: QuerySet[Any] = Book.objects.all()
    several = next(book.title for book in books if [other.title for other in books].count(book.title) > 1)
    for _ in range(TIMES):
        with pytest.raises(ObjectDoesNotExist, match="no Book matches"):
            world.call(rows, "get", id=-1)
        with pytest.raises(MultipleObjectsReturned, match="more than one Book"):
            world.call(rows, "get", title=several)
        with pytest.raises(MultipleObjectsReturned, match="more than one Book"):
            world.call(rows, "get", Book.title == several)


@pytest.mark.parametrize(
    ("named", "error"),
    [
        ({"id": "no number"}, InvalidValue),
        ({"pages": 2**70}, ObjectDoesNotExist),
        ({"title": "a\0b"}, InvalidValue),
        ({"title": 3}, InvalidValue),
        ({"id__wrong": 3}, FieldError),
        ({"nothing": 3}, FieldError),
    ],
)
def test_wrong_values_and_names_are_refused_each_time(
    world: World, books: Shelf, named: dict[str, Any], error: type[Exception]
) -> None:
    rows = Book.objects.all()
    for book in keyed(books):
        assert world.call(rows, "get", id=book.id) == book
        assert world.call(rows, "get", title=book.title, id=book.id) == book
        with pytest.raises(error):
            world.call(rows, "get", **named)


def test_what_is_no_plain_value_of_a_column_is_understood_each_time(world: World, books: Shelf) -> None:
    rows = Book.objects.all()
    for book in keyed(books):
        for named in (
            {"id__in": [book.id]},
            {"id__lte": book.id, "id__gte": book.id},
            {"id": F("id"), "pk": book.id},
            {"id": str(book.id)},
            {"id": book.id, "author": book.author},
            {"id": book.id, "author__name": book.author.name},
        ):
            try:
                assert world.call(rows, "get", **named) == book, named
            except InvalidValue:
                assert named == {"id": str(book.id)}
        assert world.call(rows, "get", Q(id=book.id)) == book
        assert world.call(rows, "get", Book.id <= book.id, Book.id >= book.id) == book
        assert world.call(rows, "get", ~(Book.id != book.id)) == book
        assert world.call(rows, "get", Book.id.in_([book.id])) == book


def test_null_is_found_each_time(world: World, books: Shelf) -> None:
    book = next(book for book in books if book.note is None)
    rows = Book.objects.filter(id=book.id)
    for _ in range(TIMES):
        assert world.call(rows, "get", note=None) == book
        assert world.call(rows, "get", Book.note == None) == book  # noqa: E711 - what a typed column is compared with


def test_rows_behind_another_one_know_it_each_time(world: World, books: Shelf) -> None:
    author = world.call(Author.objects, "get", id=books[0].author.id)
    rows = author.books
    for book in [book for book in books if book.author == author][:TIMES]:
        assert world.call(rows, "get", id=book.id).author is author
    for book in [book for book in books if book.author != author][:TIMES]:
        with pytest.raises(Book.DoesNotExist):
            world.call(rows, "get", id=book.id)


def test_a_slice_is_refused_each_time(world: World, books: Shelf) -> None:
    rows = Book.objects.order_by("id")[:5]
    for book in keyed(books):
        with pytest.raises(QueryError, match="sliced"):
            world.call(rows, "get", id=book.id)


def test_rows_of_nothing_are_none_each_time(world: World, books: Shelf) -> None:
    rows = Book.objects.none()
    with assert_num_queries(0):
        for book in keyed(books):
            with pytest.raises(Book.DoesNotExist):
                world.call(rows, "get", id=book.id)


def test_a_database_of_the_other_backend_is_asked_in_its_words(sqlite_url: str, postgresql_url: str) -> None:
    with datalayer.override(databases={"default": sqlite_url}):
        rows = Author.objects.all()
        found: list[str] = []
        for url in (sqlite_url, postgresql_url, sqlite_url):
            with pools.override("default", url=url):
                if not found or url == postgresql_url:
                    create_tables(Author, Book)
                    Author.objects.create(name=url[:6])
                found += [rows.get(id=1).name for _ in range(TIMES)]
        assert found == ["sqlite"] * TIMES + ["postgr"] * TIMES + ["sqlite"] * TIMES


def test_decimals_and_enums_reach_the_database_in_its_form(world: World, shelves: str) -> None:
    author = world.call(Author.objects, "create", name="Ann")
    book = world.call(Book.objects, "create", title="t", price=Decimal("1.10"), author=author, genre=Genre.POEM)
    rows = Book.objects.all()
    for _ in range(TIMES):
        assert world.call(rows, "get", price=Decimal("1.1")) == book
        assert world.call(rows, "get", genre=Genre.POEM) == book
        assert world.call(rows, "get", genre="poem") == book
