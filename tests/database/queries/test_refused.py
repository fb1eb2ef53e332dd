"""Questions that make no sense are refused when they are built: nothing is sent, and the message says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from datalayer import Avg, Count, Exists, F, OuterRef, Q, Subquery, Sum, Window
from datalayer.conf import override
from datalayer.errors import FieldError, QueryError, UndefinedColumn
from datalayer.functions import RowNumber
from datalayer.testing import assert_num_queries
from tests.database.queries.library import Author, Book, Shelf
from tests.worlds import World

Ask = Callable[[], Any]


def values(name: str) -> Any:
    """Values of books, to type checkers anything: they would refuse the lines themselves."""
    return Book.objects.values(name)


def refused(ask: Ask, kind: type[Exception], *words: str) -> None:
    with assert_num_queries(0), pytest.raises(kind) as caught:
        ask()
    for word in words:
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: Book.objects.filter(Sum("price") > 3),
        lambda: Book.objects.exclude(Sum("price") > 3),
        lambda: Book.objects.filter(Q(title="a") | Q(Count("*") > 3)),
        lambda: Book.objects.filter(price__gt=Avg("price")),
        lambda: Book.objects.filter(price__gt=Avg("author__id")),
        lambda: Book.objects.values("author").filter(Sum("price") > 3),
        lambda: Book.objects.annotate(dear=F("price") * 2).filter(Sum("dear") > 3),
    ],
)
def test_an_aggregate_over_the_row_itself_is_no_condition(ask: Ask) -> None:
    refused(ask, QueryError, "over the one row of Book itself", "annotate() it after values(...)", "Subquery(...)")


def test_an_aggregate_over_related_rows_is_a_condition_on_each_row(world: World, books: Shelf) -> None:
    sums = {author.id: 0 for author in world.iterate(Author.objects.all())}
    for book in books:
        sums[cast("Any", book).author_id] += book.pages or 0
    dear = Author.objects.filter(Sum("books__pages") > 100)
    assert {author.id for author in world.iterate(dear)} == {key for key, total in sums.items() if total > 100}
    plain = Author.objects.exclude(Sum("books__pages") > 100)
    assert {author.id for author in world.iterate(plain)} == {key for key, total in sums.items() if total <= 100}


def test_a_filter_of_groups_is_on_groups(world: World, books: Shelf) -> None:
    groups = Book.objects.values("author").annotate(n=Count("*")).filter(Count("*") > 2)
    assert all(row["n"] > 2 for row in world.iterate(groups))


@pytest.mark.parametrize(
    "ask",
    [
        lambda: Author.objects.filter(id__in=Book.objects.filter(title=OuterRef("nme")).values("author")),
        lambda: Author.objects.filter(Author.id.in_(Book.objects.filter(title=OuterRef("nme")).values("author"))),
        lambda: Author.objects.filter(F("id").in_(Book.objects.filter(title=OuterRef("nme")).values("author"))),
        lambda: Author.objects.exclude(id__in=Book.objects.filter(title=OuterRef("nme")).values("author")),
        lambda: Author.objects.filter(Q(name="") | Q(books__in=Book.objects.filter(title=OuterRef("nme")))),
        lambda: Author.objects.filter(Exists(Book.objects.filter(title=OuterRef("nme")))),
        lambda: Author.objects.annotate(x=Subquery(Book.objects.filter(title=OuterRef("nme")).values("id")[:1])),
    ],
)
def test_a_name_that_the_query_outside_lacks(ask: Ask) -> None:
    refused(ask, FieldError, "Author has no field 'nme'", "did you mean 'name'?", "books")


@pytest.mark.parametrize(
    "ask",
    [
        lambda: Author.objects.filter(Exists(Book.objects.filter(price=OuterRef("name")))),
        lambda: Author.objects.filter(id__in=Book.objects.filter(price=OuterRef("name")).values("author")),
    ],
)
def test_a_column_outside_of_another_type(ask: Ask) -> None:
    refused(ask, QueryError, "OuterRef('name') is decimal and cannot be compared with a string", "Cast()")


@pytest.mark.parametrize(
    "ask",
    [
        lambda: Book.objects.filter(title=F("pages")),
        lambda: Book.objects.filter(pages__gt=F("title")),
        lambda: Book.objects.filter(isbn=F("title")),
        lambda: Book.objects.filter(F("sold_at") > F("opens_at")),
        lambda: Book.objects.filter(Book.title == cast("Any", Book.pages)),
    ],
)
def test_columns_of_two_types_are_not_compared(ask: Ask) -> None:
    refused(ask, QueryError, "cannot be compared with a ", "Cast() one of them")


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: values("author").update(pages=1), "update() is about rows of Book"),
        (lambda: values("author").annotate(n=Count("*")).delete(), "delete() is about rows of Book"),
        (lambda: values("id").aupdate(pages=1), "aupdate() is about rows of Book"),
        (lambda: Book.objects.all().update(pages=Window(RowNumber())), "SQL has no place for one in an UPDATE"),
        (lambda: Book.objects.all()[:3].update(pages=1), "sliced"),
        (lambda: Book.objects.all()[:3].delete(), "sliced"),
    ],
)
def test_changes_of_what_are_no_rows(ask: Ask, words: str) -> None:
    with override(databases={"default": "sqlite:///:memory:"}):
        refused(ask, QueryError, words)


def test_values_have_no_other_attributes() -> None:
    assert not hasattr(Book.objects.values("id"), "updat")


def test_raw_sql_that_lacks_a_column_names_it_and_all_that_are_needed(world: World, books: Shelf) -> None:
    for sql in ("select id, title from library_book", "select * from (select id from library_book) as x"):
        with pytest.raises(
            UndefinedColumn, match=r"does not return '\w+', which Book has; select all of author_id, "
        ) as caught:
            world.iterate(Book.objects.raw(sql))
        assert "migrate" not in str(caught.value)
        assert "Book.objects.only(...).raw(...)" in str(caught.value)
    with pytest.raises(UndefinedColumn, match="pagess"):
        world.iterate(Book.objects.raw("select *, pagess from library_book"))


def test_raw_sql_may_end_with_a_comment(world: World, books: Shelf) -> None:
    assert len(world.iterate(Book.objects.raw("select * from library_book -- all of them"))) == len(books)
