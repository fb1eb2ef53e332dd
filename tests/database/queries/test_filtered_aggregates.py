"""Aggregates over relations to many rows and filters over the same ones: which came first decides, as in Django."""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import Any

import pytest

from datalayer import Count, F, Max, Min, Q, Sum, Window
from datalayer.errors import QueryError
from datalayer.functions import RowNumber
from datalayer.testing import assert_num_queries
from tests.database.queries.library import Author, Book, Shelf
from tests.worlds import World


def written(books: Shelf, author: Any) -> list[Book]:
    return [book for book in books if book.author == author]


def edited(books: Shelf, author: Any) -> list[Book]:
    return [book for book in books if book.editor == author]


def test_an_aggregate_after_a_filter_goes_over_the_rows_of_the_filter(world: World, books: Shelf) -> None:
    query = Author.objects.filter(books__price__gt=5).annotate(n=Count("books"), total=Sum("books__price"))
    found = {author.id: (author.n, author.total) for author in world.iterate(query)}
    wanted = {}
    for author in {book.author for book in books}:
        dear = [book for book in written(books, author) if book.price > 5]
        if dear:
            wanted[author.id] = (len(dear), sum(book.price for book in dear))
    assert found == wanted


def test_an_aggregate_before_a_filter_goes_over_all_rows(world: World, books: Shelf) -> None:
    query = Author.objects.annotate(n=Count("books")).filter(books__price__gt=5).annotate(dear=Count("books"))
    for author in world.iterate(query):
        own = written(books, author)
        assert (author.n, author.dear) == (len(own), sum(book.price > 5 for book in own))


def test_several_aggregates_after_a_filter_do_not_multiply_each_other(world: World, books: Shelf) -> None:
    query = Author.objects.filter(books__price__gt=5).annotate(n=Count("books"), edits=Count("edited"))
    for author in world.iterate(query):
        assert author.n == sum(book.price > 5 for book in written(books, author))
        assert author.edits == len(edited(books, author))


def test_of_several_filters_the_last_one_chooses(world: World, books: Shelf) -> None:
    query = Author.objects.filter(books__price__gt=5).filter(books__price__lt=9)
    for author in world.iterate(query.annotate(n=Count("books"), most=Max("books__price"))):
        low = [book.price for book in written(books, author) if book.price < 9]
        assert (author.n, author.most) == (len(low), max(low))
    prices = world.iterate(query.values_list("books__price", flat=True))
    assert prices
    assert max(prices) < 9


def test_exclude_chooses_among_rows_of_the_model_only(world: World, books: Shelf) -> None:
    for author in world.iterate(Author.objects.exclude(books__price=5).annotate(n=Count("books"))):
        assert author.n == len(written(books, author))


def test_or_of_two_relations_counts_the_rows_that_make_it_true(world: World, books: Shelf) -> None:
    query = Author.objects.filter(Q(books__price__gt=9) | Q(edited__price__lt=1)).annotate(n=Count("books"))
    for author in world.iterate(query):
        own = written(books, author)
        is_all = any(book.price < 1 for book in edited(books, author))
        assert author.n == (len(own) if is_all else sum(book.price > 9 for book in own))


def test_a_filter_further_on_counts_each_row_once(world: World, books: Shelf) -> None:
    query = Author.objects.filter(books__editor__edited__price__gt=9).annotate(n=Count("books"))
    for author in world.iterate(query):
        assert author.n == sum(
            any(other.price > 9 for other in edited(books, book.editor)) if book.editor is not None else False
            for book in written(books, author)
        )


def test_a_path_over_one_row_first_is_filtered_likewise(world: World, books: Shelf) -> None:
    for book in world.iterate(Book.objects.filter(author__books__price=5).annotate(n=Count("author__books"))):
        assert book.n == sum(other.price == 5 for other in books if other.author_id == book.author_id)


def test_a_filter_by_a_row_leaves_that_row(world: World, books: Shelf) -> None:
    assert world.call(Author.objects.filter(books=books[0]).annotate(n=Count("books")), "get").n == 1


def test_groups_and_whole_queries_go_over_the_rows_of_the_filter(world: World, books: Shelf) -> None:
    dear = [book for book in books if book.price > 5]
    authors = {book.author for book in dear}
    wanted = {
        "n": len(dear),
        "low": min(book.price for book in dear),
        "edits": sum(len(edited(books, author)) for author in authors),
        "rows": len(dear),
    }
    asked: dict[str, Any] = {
        "n": Count("books"),
        "low": Min("books__price"),
        "edits": Count("edited"),
        "rows": Count("*"),
    }
    query = Author.objects.filter(books__price__gt=5)
    assert world.call(query, "aggregate", **asked) == wanted
    for row in world.iterate(query.values("born").annotate(**asked)):
        same = [author for author in authors if author.born == row["born"]]
        assert row["n"] == row["rows"] == sum(book.author in same for book in dear)
        assert row["edits"] == sum(len(edited(books, author)) for author in same)


def test_an_aggregate_as_a_column_leaves_each_row_once(world: World, books: Shelf) -> None:
    found = world.iterate(Author.objects.filter(books__price__gt=5).order_by("id").values_list("id", Count("books")))
    counts = {author.id: sum(b.price > 5 for b in written(books, author)) for author in {b.author for b in books}}
    assert found == sorted((key, n) for key, n in counts.items() if n)


def test_the_filter_is_seen_in_values_and_orders(world: World, books: Shelf) -> None:
    query = Author.objects.filter(books__price__gt=5).annotate(n=Count("books")).order_by(F("n").desc(), "id")
    found = world.iterate(query.values_list("id", "n"))
    counts = {author.id: sum(b.price > 5 for b in written(books, author)) for author in {b.author for b in books}}
    assert found == sorted([(key, n) for key, n in counts.items() if n], key=lambda row: (-row[1], row[0]))


def test_querysets_with_aggregates_over_filtered_rows_are_not_combined(shelves: str) -> None:
    one = Author.objects.filter(books__price__gt=5).annotate(n=Count("books"))
    with assert_num_queries(0), pytest.raises(QueryError, match=r"annotate\(\) what comes of it"):
        one | one


def test_beside_a_value_of_each_related_row_an_aggregate_is_over_the_rows_of_that_value(
    world: World, books: Shelf
) -> None:
    kinds = {(book.author, book.price) for book in books if book.price > 5}
    wanted = {(a, price): sum(b.price == price for b in written(books, a)) for a, price in kinds}
    priced = Author.objects.annotate(p=F("books__price"))
    for query in (
        priced.filter(p__gt=5).annotate(n=Count("books")),
        priced.annotate(n=Count("books")).filter(p__gt=5),
        Author.objects.annotate(n=Count("books")).annotate(p=F("books__price")).filter(p__gt=5).order_by("-p", "pk"),
    ):
        found = {(author, author.p): author.n for author in world.iterate(query)}
        assert found == wanted
        assert world.call(query, "count") == len(wanted)
        twice = {(author, author.p) for author in world.iterate(query.filter(n__gt=1))}
        assert twice == {key for key, n in wanted.items() if n > 1}
    hidden = Author.objects.alias(p=F("books__price")).filter(p__gt=5).annotate(n=Count("books"))
    assert {author: author.n for author in world.iterate(hidden)} == {
        a: sum(book.price > 5 for book in written(books, a)) for a, _ in kinds
    }


def test_rows_in_such_groups_bring_others_and_are_ordered_by_them(world: World, books: Shelf) -> None:
    query = Book.objects.annotate(other=F("author__books__price"), n=Count("author__books")).select_related("author")
    for book in world.iterate(query.order_by("author__name", "other")):
        assert book.n == sum(b.price == book.other for b in written(books, book.author))
    numbered = query.annotate(place=Window(RowNumber(), order_by=("id", "other"))).order_by("-place")
    places = [book.place for book in world.iterate(numbered)]
    assert places == list(range(len(places), 0, -1))


def test_groups_of_related_values_are_filtered_by_the_aggregate_that_is_shown(world: World, books: Shelf) -> None:
    query = Author.objects.values("id", "books__price").annotate(n=Count("books"))
    every = world.iterate(query)
    assert any(row["n"] > 1 for row in every)
    found = world.iterate(query.filter(n__gt=1).order_by("id", "books__price"))
    key = itemgetter("id", "books__price")
    assert found == sorted([row for row in every if row["n"] > 1], key=key)


def test_groups_after_a_filter_over_many_are_filtered_and_ordered_by_what_is_counted(
    world: World, books: Shelf
) -> None:
    busy = {book.author for book in books if book.price > 5}
    born = Counter(author.born for author in busy)
    query = Author.objects.filter(books__price__gt=5).values("born").annotate(n=Count("pk", distinct=True))
    found = world.iterate(query.filter(n__gt=1).order_by("-n").values_list("born", "n"))
    assert found == [(day, number) for day, number in born.most_common() if number > 1]
    rest = world.iterate(query.exclude(n__gt=1).values_list("born", flat=True))
    assert set(rest) == {day for day, number in born.items() if number == 1}
    either = query.filter(Q(n__gt=1) | Q(born=None))
    assert world.call(either, "count") == sum(number > 1 or day is None for day, number in born.items())
