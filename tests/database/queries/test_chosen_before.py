"""Rows that a filter on an aggregate or a window chose: whatever is asked next is asked of these rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

import pytest

from datalayer import Avg, Count, F, Max, Min, OuterRef, Q, Subquery, Sum, Value, Window
from datalayer import functions as fn
from datalayer.models.queryset import QuerySet
from tests.database.queries.library import Author, Book, Shelf
from tests.worlds import World


def written(books: Shelf, author: int | None) -> list[Book]:
    return [book for book in books if book.author.id == author]


def busy(books: Shelf, least: int) -> list[int]:
    """The authors of more books than that."""
    found = Counter(book.author.id for book in books)
    return sorted(author for author, number in found.items() if number > least)


def dearest(books: Shelf) -> list[Book]:
    """The dearest book of each author."""
    best: dict[int, Book] = {}
    for book in sorted(books, key=lambda book: (-book.price, book.id)):
        best.setdefault(book.author.id, book)
    return list(best.values())


PLACED: QuerySet[Book] = Book.objects.annotate(
    place=Window(fn.RowNumber(), partition_by="author", order_by=("-price", "id"))
).filter(place=1)


@pytest.mark.parametrize("least", [0, 9])
def test_aggregates_over_rows_that_an_aggregate_chose(world: World, books: Shelf, least: int) -> None:
    chosen = busy(books, least)
    every = [book for book in books if book.author.id in chosen]
    query = Author.objects.annotate(n=Count("books")).filter(n__gt=least)
    assert world.call(query, "aggregate", n=Count("*"), first=Min("id"), total=Sum("books__price")) == {
        "n": len(chosen),
        "first": chosen[0],
        "total": sum(book.price for book in every),
    }
    direct = Author.objects.filter(Count("books") > least)
    assert world.call(direct, "aggregate", n=Count("*")) == {"n": len(chosen)}


def test_an_aggregate_and_a_column_choose_together(world: World, books: Shelf) -> None:
    authors = world.iterate(Author.objects.all())
    query = Author.objects.annotate(n=Count("books")).filter(Q(n__gt=9) | Q(born=None))
    chosen = [author.id for author in authors if len(written(books, author.id)) > 9 or author.born is None]
    assert world.call(query, "aggregate", n=Count("*"), last=Max("id")) == {"n": len(chosen), "last": max(chosen)}


@pytest.mark.parametrize(
    "query", [Author.objects.filter(Count("books") > 9), Author.objects.exclude(Count("books") <= 9)]
)
def test_groups_of_rows_that_an_aggregate_chose(world: World, books: Shelf, query: Any) -> None:
    authors = {author.id: author for author in world.iterate(Author.objects.all())}
    wanted: dict[Any, list[int]] = defaultdict(list)
    for author in busy(books, 9):
        wanted[authors[author].born].append(author)
    found = world.iterate(query.values("born").annotate(n=Count("*"), first=Min("id"), many=Count("books")))
    assert {row["born"]: (row["n"], row["first"], row["many"]) for row in found} == {
        born: (len(some), min(some), sum(len(written(books, one)) for one in some)) for born, some in wanted.items()
    }


def test_groups_of_rows_that_an_aggregate_or_a_column_chose(world: World, books: Shelf) -> None:
    authors = world.iterate(Author.objects.all())
    chosen = [author for author in authors if len(written(books, author.id)) > 9 or author.name == "Bob"]
    query = Author.objects.annotate(n=Count("books")).filter(Q(n__gt=9) | Q(name="Bob")).values("born")
    found = world.iterate(query.annotate(k=Count("*")).values_list("born", "k"))
    assert dict(found) == Counter(author.born for author in chosen)
    kept = world.iterate(query.annotate(k=Count("*")).filter(k__gt=1).values_list("born", flat=True))
    assert set(kept) == {born for born, number in Counter(a.born for a in chosen).items() if number > 1}


def test_aggregates_over_rows_that_a_window_chose(world: World, books: Shelf) -> None:
    best = dearest(books)
    pages = [book.pages for book in best if book.pages is not None]
    found = world.call(
        PLACED, "aggregate", n=Count("*"), s=Sum("price"), top=Max("price"), pages=Sum("pages"), each=Count("pages")
    )
    assert found == {
        "n": len(best),
        "s": sum(book.price for book in best),
        "top": max(book.price for book in best),
        "pages": sum(pages),
        "each": len(pages),
    }


def test_groups_of_rows_that_a_window_chose(world: World, books: Shelf) -> None:
    found = world.iterate(PLACED.values("genre").annotate(n=Count("*"), most=Max("price")))
    wanted: dict[Any, list[Decimal]] = defaultdict(list)
    for book in dearest(books):
        wanted[book.genre].append(book.price)
    assert {row["genre"]: (row["n"], row["most"]) for row in found} == {
        genre: (len(prices), max(prices)) for genre, prices in wanted.items()
    }
    ranked = PLACED.values("genre").annotate(n=Count("*")).annotate(r=Window(fn.Rank(), order_by="-n")).filter(r=1)
    most = max(len(prices) for prices in wanted.values())
    assert {row["genre"] for row in world.iterate(ranked)} == {g for g, prices in wanted.items() if len(prices) == most}


def test_averages_of_decimals_are_compared_by_value(world: World, books: Shelf) -> None:
    # 9.5 is more than 10.5 where texts are compared.
    means = {
        author: sum((book.price for book in written(books, author)), Decimal(0)) / len(written(books, author))
        for author in busy(books, 0)
    }
    query = Author.objects.filter(books__isnull=False).distinct().annotate(mean=Avg("books__price"))
    found = world.call(query, "aggregate", low=Min("mean"), top=Max("mean"))
    assert (round(found["low"], 6), round(found["top"], 6)) == (
        round(min(means.values()), 6),
        round(max(means.values()), 6),
    )
    placed = world.iterate(query.annotate(place=Window(fn.Rank(), order_by="-mean")))
    assert [row.id for row in sorted(placed, key=lambda row: row.place)] == sorted(means, key=lambda a: -means[a])
    grouped = Book.objects.values("author").annotate(mean=Avg("price"))
    found = world.call(grouped, "aggregate", low=Min("mean"), top=Max("mean"))
    assert round(found["top"], 6) == round(max(means.values()), 6)
    names = world.call(
        query,
        "aggregate",
        ids=fn.StringAgg(fn.Cast("id", str), order_by=F("mean").desc()),
        keys=fn.ArrayAgg("id", order_by="-mean"),
    )
    assert names["keys"] == sorted(means, key=lambda a: -means[a])


def test_what_orders_groups_is_a_part_of_them(world: World, books: Shelf) -> None:
    wanted = Counter((book.genre, book.in_print) for book in books)
    grouped = Book.objects.values("genre").annotate(n=Count("*"))
    for query in (
        grouped.order_by("in_print"),
        Book.objects.order_by("-in_print").values("genre").annotate(n=Count("*")),
    ):
        assert Counter((row["genre"], row["n"]) for row in world.iterate(query)) == Counter(
            (genre, number) for (genre, _), number in wanted.items()
        )
        assert world.call(query, "count") == len(wanted)
        assert world.call(query, "aggregate", most=Max("n")) == {"most": max(wanted.values())}
        kept = world.iterate(query.filter(n__gt=3))
        assert sorted(row["n"] for row in kept) == sorted(number for number in wanted.values() if number > 3)
    genres = Counter(book.genre for book in books)
    for item in ("genre", fn.Coalesce("genre", Value("x")), "?", "n", Max("title")):
        assert dict(world.iterate(grouped.order_by(item).values_list("genre", "n"))) == genres


def test_one_column_of_distinct_rows_is_a_value_whatever_orders_them(world: World, books: Shelf) -> None:
    inside = Book.objects.filter(author=OuterRef("pk")).distinct().order_by("-price", "id")
    first = Subquery(inside.values("title")[:1])
    rows = world.iterate(Author.objects.filter(books__isnull=False).distinct().annotate(first=first))
    wanted = {
        author: max(written(books, author), key=lambda book: (book.price, -book.id)).title for author in busy(books, 0)
    }
    assert {row.id: row.first for row in rows} == wanted
    titles = Book.objects.order_by("-price", "id").values("title").distinct()[:3]
    firsts = list(dict.fromkeys(book.title for book in sorted(books, key=lambda book: (-book.price, book.id))[:3]))
    found = set(world.iterate(Book.objects.filter(title__in=titles).values_list("title", flat=True)))
    assert found == set(firsts)
    both = Book.objects.filter(title="a").values("title").union(titles)
    assert set(world.iterate(both.values_list("title", flat=True))) == {*firsts, "a"}
