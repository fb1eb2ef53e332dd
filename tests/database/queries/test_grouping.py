"""Groups, aggregates, windows and queries inside queries, against plain Python over the rows."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from datalayer import Avg, Case, Count, Exists, F, Max, Min, OuterRef, Q, Subquery, Sum, Value, When, Window
from datalayer import functions as fn
from datalayer.errors import FieldError, InvalidValue, QueryError
from datalayer.testing import assert_num_queries, capture_queries
from tests.database.queries.library import Author, Book, Shelf
from tests.worlds import World


def groups(books: Shelf, key: Callable[[Book], Any]) -> dict[Any, list[Book]]:
    found: dict[Any, list[Book]] = defaultdict(list)
    for book in books:
        found[key(book)].append(book)
    return found


def keys(world: World, query: Any) -> list[int]:
    return sorted(world.iterate(query.values_list("id", flat=True)))


# -- groups ----------------------------------------------------------------------------------------


def test_values_before_an_aggregate_are_what_is_grouped_by(world: World, books: Shelf) -> None:
    found = world.iterate(Book.objects.values("author").annotate(n=Count("*"), total=Sum("price")))
    assert {row["author"]: (row["n"], row["total"]) for row in found} == {
        key: (len(rows), sum(row.price for row in rows)) for key, rows in groups(books, lambda b: b.author.id).items()
    }


def test_groups_are_filtered_after_and_rows_before(world: World, books: Shelf) -> None:
    query = Book.objects.filter(price__gte=5).values("author").annotate(n=Count("*")).filter(n__gt=3, in_print=True)
    kept = Shelf(book for book in books if book.price >= 5 and book.in_print)
    wanted = {key: len(rows) for key, rows in groups(kept, lambda b: b.author.id).items() if len(rows) > 3}
    assert {row["author"]: row["n"] for row in world.iterate(query)} == wanted
    assert world.call(query, "count") == len(wanted)


def test_the_order_of_the_model_is_no_part_of_a_group(world: World, books: Shelf) -> None:
    assert "ORDER BY" not in Book.objects.values("author").annotate(n=Count("*")).sql()[0]


@pytest.mark.parametrize("method", ["count", "exists"])
def test_an_annotation_that_chooses_no_row_is_not_computed_to_count_them(
    world: World, books: Shelf, method: str
) -> None:
    query = Author.objects.annotate(n=Count("books"))
    wanted = world.call(Author.objects, method)
    with capture_queries() as sent:
        assert world.call(query, method) == wanted
    assert "book" not in sent[0].sql


def test_groups_by_something_computed(world: World, books: Shelf) -> None:
    query = Book.objects.annotate(kind=Case(When(price__lt=5, then=Value("cheap")), default=Value("dear")))
    found = world.iterate(query.values("kind").annotate(n=Count("*")).order_by("kind").values_list("kind", "n"))
    cheap = sum(book.price < 5 for book in books)
    assert found == [("cheap", cheap), ("dear", len(books) - cheap)]


def test_columns_of_one_shape_are_grouped_by_each_for_itself(world: World, books: Shelf) -> None:
    # Only their values differ: the database must see two columns, and the cache of SQL one question for both orders.
    for low, high in ((1, 2), (2, 1)):
        query = Book.objects.annotate(a=fn.Coalesce("pages", Value(low)), b=fn.Coalesce("pages", Value(high)))
        found = world.iterate(query.values_list("a", "b").annotate(n=Count("*")))
        rows = groups(books, lambda book: book.pages)
        wanted = [
            (low if pages is None else pages, high if pages is None else pages, len(same))
            for pages, same in rows.items()
        ]
        assert sorted(found) == sorted(wanted)


def test_the_default_of_an_aggregate_may_be_an_annotation(world: World, books: Shelf) -> None:
    nothing = Sum("books__pages", filter=Q(books__id=0), default=F("seven"))
    found = Author.objects.annotate(seven=Value(7)).annotate(pages=nothing).values_list("pages", flat=True)
    assert set(world.iterate(found)) == {7}


def test_groups_are_ordered_by_what_is_computed_with_values(world: World, books: Shelf) -> None:
    by_rest = Book.objects.filter(pages__gte=0).values(rest=F("pages") % 2).annotate(n=Count("id"))
    wanted = groups(
        [book for book in books if book.pages is not None and book.pages >= 0], lambda book: (book.pages or 0) % 2
    )  # type: ignore[arg-type]
    found = world.iterate(by_rest.order_by(F("pages") % 2))
    assert [(row["rest"], row["n"]) for row in found] == sorted(
        (rest, len(several)) for rest, several in wanted.items()
    )
    finer = {(book.pages % 2, book.pages % 3) for book in books if book.pages is not None and book.pages >= 0}
    found = world.iterate(by_rest.order_by(F("pages") % 3, "rest"))
    assert [row["rest"] for row in found] == [rest for rest, _ in sorted(finer, key=lambda pair: (pair[1], pair[0]))]
    assert world.call(by_rest.order_by(F("pages") % 3), "count") == len(finer)


GROUPED = Book.objects.filter(pages__gte=0).values(rest=F("pages") % 2).annotate(n=Count("id"))
RESTS: list[tuple[Callable[[], Any], Callable[[int, int], Any]]] = [
    (lambda: GROUPED.annotate(x=Count("id") + F("rest")), lambda rest, n: n + rest),
    (lambda: GROUPED.annotate(x=Case(When(rest=1, then=Count("id")), default=0)), lambda rest, n: n if rest else 0),
    (lambda: GROUPED.annotate(x=Window(fn.RowNumber(), order_by="-rest")), lambda rest, n: 2 - rest),
]


@pytest.mark.parametrize(("make", "wanted"), RESTS)
def test_the_key_of_a_group_that_is_computed_with_values_stands_beside_aggregates(
    world: World, books: Shelf, make: Callable[[], Any], wanted: Callable[[int, int], Any]
) -> None:
    sizes = Counter(book.pages % 2 for book in books if book.pages is not None and book.pages >= 0)
    found = world.iterate(make().order_by("rest"))
    assert [row["x"] for row in found] == [wanted(rest, sizes[rest]) for rest in sorted(sizes)]


def test_groups_are_chosen_by_an_aggregate_or_a_key_that_is_computed_with_values(world: World, books: Shelf) -> None:
    found = world.iterate(GROUPED.filter(Q(n__gt=10_000) | Q(rest=1)))
    assert [row["rest"] for row in found] == [1]
    assert world.call(GROUPED, "aggregate", most=Max("rest")) == {"most": 1}


def test_distinct_rows_are_ordered_by_what_is_computed_with_values(world: World, books: Shelf) -> None:
    found = world.iterate(
        Book.objects.filter(pages__gte=0).values_list("pages", flat=True).order_by(F("pages") % 3, "pages").distinct()
    )
    assert found == sorted(
        {book.pages for book in books if book.pages is not None and book.pages >= 0},
        key=lambda pages: ((pages or 0) % 3, pages),
    )


def test_relations_to_many_never_multiply_each_other(world: World, books: Shelf) -> None:
    authors = world.iterate(Author.objects.all())
    found = world.iterate(
        Author.objects.values("born").annotate(
            n=Count("*"),
            written=Count("books"),
            edits=Count("edited"),
            total=Sum("books__price"),
            mean=Avg("books__pages"),
        )
    )
    for row in found:
        same = [author for author in authors if author.born == row["born"]]
        written = [book for book in books if book.author in same]
        assert row["n"] == len(same)
        assert row["written"] == len(written)
        assert row["edits"] == sum(book.editor in same for book in books)
        assert row["total"] == (sum(book.price for book in written) if written else None)
        pages = [book.pages for book in written if book.pages is not None]
        assert row["mean"] is None if not pages else math.isclose(row["mean"], statistics.fmean(pages))


def test_aggregates_of_aggregates_go_over_the_groups(world: World, books: Shelf) -> None:
    sizes = [len(rows) for rows in groups(books, lambda b: b.author.id).values()]
    query = Book.objects.values("author").annotate(n=Count("*"))
    assert world.call(query, "aggregate", mean=Avg("n"), most=Max("n")) == {
        "mean": statistics.fmean(sizes),
        "most": max(sizes),
    }
    counted = Author.objects.annotate(n=Count("books"))
    assert world.call(counted, "aggregate", all=Sum("n"), least=Min("n")) == {"all": len(books), "least": 0}


def test_statistics_and_collections(world: World, books: Shelf) -> None:
    prices = [float(book.price) for book in books]
    found = world.call(
        Book.objects,
        "aggregate",
        spread=fn.StdDev("price"),
        sample=fn.Variance("price", sample=True),
        every=fn.BoolAnd("in_print"),
        some=fn.BoolOr("in_print"),
        titles=fn.StringAgg("title", "|", order_by=("-title", "id")),
        once=fn.StringAgg("title", "|", distinct=True, order_by="title"),
        pages=fn.JSONBAgg("pages", order_by="id"),
        ids=fn.ArrayAgg("id", order_by="-id"),
        any=fn.AnyValue("title"),
        isbn=fn.AnyValue(Book.isbn, filter=Q(id=books[0].id)),
        any_price=fn.AnyValue("price", filter=Q(id=books[0].id)),
        in_print=fn.AnyValue("in_print", filter=Q(id=books[0].id)),
        no_value=fn.AnyValue("pages", filter=Q(pages=None)),
        nothing=Sum("pages", filter=Q(id=0), default=0),
        ratio=Sum("price") / Count("*"),
    )
    ordered = sorted(books, key=lambda book: book.id)
    assert math.isclose(found["spread"], statistics.pstdev(prices))
    assert math.isclose(found["sample"], statistics.variance(prices))
    assert (found["every"], found["some"]) == (False, True)
    assert found["any"] in {book.title for book in books}
    assert (found["isbn"], found["any_price"], found["in_print"]) == (books[0].isbn, books[0].price, books[0].in_print)
    assert found["no_value"] is None
    assert sorted(found["titles"].split("|")) == sorted(book.title for book in books)
    assert sorted(found["once"].split("|")) == sorted({book.title for book in books})
    assert found["pages"] == [book.pages for book in ordered]
    assert found["ids"] == [book.id for book in ordered][::-1]
    assert found["nothing"] == 0
    assert math.isclose(found["ratio"], statistics.fmean(prices))
    with assert_num_queries(1):
        assert world.call(Book.objects.none(), "aggregate", n=Sum("pages", default=3)) == {"n": 3}


def test_any_value_is_one_of_the_group(world: World, books: Shelf) -> None:
    own = groups(books, lambda b: b.author.id)
    rows = world.iterate(Book.objects.values("author").annotate(n=Count("*"), name=fn.AnyValue("author__name")))
    assert {row["author"]: (row["n"], row["name"]) for row in rows} == {
        key: (len(each), each[0].author.name) for key, each in own.items()
    }
    for author in world.iterate(Author.objects.annotate(n=Count("books"), one=fn.AnyValue("books__title"))):
        assert author.n == len(own.get(author.id, []))
        assert author.one in ({book.title for book in own[author.id]} if author.id in own else {None})


def test_a_filter_of_an_aggregate_is_about_the_rows_it_goes_over(world: World, books: Shelf) -> None:
    query = Author.objects.annotate(
        dear=Count("books", filter=~Q(books__price__lt=5)),
        pages=Sum("books__pages", filter=Q(books__price__gte=5) & ~Q(books__pages=100), default=0),
        none_cheap=Count("pk", filter=~Q(books__price__lt=5)),
    )
    for author in world.iterate(query):
        own = [book for book in books if book.author == author]
        assert author.dear == sum(book.price >= 5 for book in own)
        assert author.pages == sum(b.pages for b in own if b.price >= 5 and b.pages not in (None, 100))
        assert author.none_cheap == all(book.price >= 5 for book in own)
    by_born = world.iterate(Author.objects.values("born").annotate(dear=Count("books", filter=~Q(books__price__lt=5))))
    for row in by_born:
        assert row["dear"] == sum(book.author.born == row["born"] and book.price >= 5 for book in books)
    with assert_num_queries(0), pytest.raises(QueryError, match="ask with Exists"):
        world.iterate(Author.objects.annotate(n=Count("books", filter=~Q(books__editor__edited__price=1))))


# -- windows ---------------------------------------------------------------------------------------


def test_windows_look_at_the_rows_around(world: World, books: Shelf) -> None:
    found = world.iterate(
        Book.objects.annotate(
            place=Window(fn.RowNumber(), partition_by="author", order_by=("-price", "id")),
            rank=Window(fn.Rank(), order_by="price"),
            dense=Window(fn.DenseRank(), order_by=Book.price),
            share=Window(fn.CumeDist(), order_by="price"),
            before=Window(fn.Lag("price", default=0), order_by="id"),
            after=Window(fn.Lead("title"), order_by="id"),
            two=Window(Sum("price"), order_by="id", frame=fn.Frame(-1, 0)),
            size=Window(Count("*"), partition_by="author"),
            last=Window(fn.LastValue("id"), order_by="id", frame=fn.Frame(None, None)),
            second=Window(fn.NthValue("id", 2), order_by="id", frame=fn.Frame(None, None)),
            bucket=Window(fn.Ntile(7), order_by="id"),
        )
    )
    rows = sorted(books, key=lambda book: book.id)
    prices = sorted(book.price for book in books)
    for row in found:
        here = rows.index(row)
        same = sorted((b for b in books if b.author.id == row.author_id), key=lambda b: (-b.price, b.id))
        assert row.place == same.index(row) + 1
        assert row.rank == prices.index(row.price) + 1
        assert row.dense == sorted(set(prices)).index(row.price) + 1
        assert math.isclose(row.share, sum(p <= row.price for p in prices) / len(prices))
        assert row.before == (rows[here - 1].price if here else 0)
        assert row.after == (rows[here + 1].title if here + 1 < len(rows) else None)
        assert row.two == row.price + (rows[here - 1].price if here else 0)
        assert (row.size, row.last, row.second) == (len(same), rows[-1].id, rows[1].id)
        assert 1 <= row.bucket <= 7


def test_windows_are_filtered_by(world: World, books: Shelf) -> None:
    placed = Book.objects.annotate(place=Window(fn.RowNumber(), partition_by="author", order_by=("-price", "id")))
    best = {min(rows, key=lambda b: (-b.price, b.id)).id for rows in groups(books, lambda b: b.author.id).values()}
    assert set(keys(world, placed.filter(place=1))) == best
    assert world.call(placed.filter(place=1), "count") == len(best)
    assert world.call(placed.filter(place=1), "exists") is True
    some = {book.id for book in books if book.price == 5}
    assert set(keys(world, placed.filter(Q(place=1) | Q(price=5)))) == best | some
    assert set(keys(world, placed.exclude(place=1))) == {book.id for book in books} - best
    ordered = world.iterate(placed.filter(place__lte=2).order_by("author", "place")[:2])
    assert [book.place for book in ordered] == [1, 2]
    assert world.call(placed, "aggregate", most=Max("place"))["most"] == max(
        len(rows) for rows in groups(books, lambda b: b.author.id).values()
    )
    # Rows are chosen first, and then numbered.
    assert world.call(placed.filter(place=1).filter(price__lt=5), "count") == len(
        groups(Shelf(b for b in books if b.price < 5), lambda b: b.author.id)
    )


def test_windows_over_groups(world: World, books: Shelf) -> None:
    query = (
        Book.objects.values("author").annotate(total=Sum("price")).annotate(rank=Window(fn.Rank(), order_by="-total"))
    )
    totals = sorted(
        (sum(b.price for b in rows) for rows in groups(books, lambda b: b.author.id).values()), reverse=True
    )
    assert sorted((row["rank"], row["total"]) for row in world.iterate(query)) == [
        (totals.index(total) + 1, total) for total in totals
    ]


# -- queries inside queries ------------------------------------------------------------------------


def test_exists_looks_at_the_row_outside(world: World, books: Shelf) -> None:
    dear = Exists(Book.objects.filter(author=OuterRef("pk"), price__gt=9))
    wanted = {book.author.id for book in books if book.price > 9}
    every = {author.id for author in world.iterate(Author.objects.all())}
    assert set(keys(world, Author.objects.filter(dear))) == wanted
    assert set(keys(world, Author.objects.filter(~dear))) == every - wanted
    assert set(keys(world, Author.objects.exclude(dear))) == every - wanted
    assert set(keys(world, Author.objects.filter(dear | Q(name="çelik")))) >= wanted
    marked = world.iterate(Author.objects.annotate(is_dear=dear))
    assert {author.id for author in marked if author.is_dear is True} == wanted
    typed = Exists(Book.objects.filter(Book.author[Author.id] == OuterRef(Author.id), Book.price > 9))
    assert set(keys(world, Author.objects.filter(typed))) == wanted


def test_a_subquery_is_a_value(world: World, books: Shelf) -> None:
    best = Subquery(Book.objects.filter(author=OuterRef("pk")).order_by("-price", "id").values("title")[:1])
    total = Subquery(Book.objects.filter(author=OuterRef("pk")).values("author").annotate(s=Sum("price")).values("s"))
    for author in world.iterate(Author.objects.annotate(best=best, total=total)):
        own = sorted((b for b in books if b.author == author), key=lambda b: (-b.price, b.id))
        assert author.best == (own[0].title if own else None)
        assert author.total == (sum(b.price for b in own) if own else None)
    mean = Subquery(
        Book.objects.filter(author=OuterRef("author")).values("author").annotate(m=Avg("price")).values("m")
    )
    means = {key: statistics.fmean(b.price for b in rows) for key, rows in groups(books, lambda b: b.author.id).items()}
    above = {b.id for b in books if b.price > means[b.author.id]}
    assert set(keys(world, Book.objects.filter(price__gt=mean))) == above
    assert world.call(
        Book.objects.all(), "update", pages=Subquery(Author.objects.filter(pk=OuterRef("author")).values("id")[:1])
    ) == len(books)
    assert all(b.pages == b.author_id for b in world.iterate(Book.objects.all()))


def test_querysets_are_values_of_in(world: World, books: Shelf) -> None:
    authors = sorted(author.id for author in world.iterate(Author.objects.all()))
    last = Author.objects.order_by("-id")[:3]
    assert keys(world, Book.objects.filter(author__in=last)) == sorted(
        b.id for b in books if b.author.id in authors[-3:]
    )
    assert keys(world, Book.objects.exclude(editor__in=last)) == sorted(
        b.id for b in books if b.editor is None or b.editor.id not in authors[-3:]
    )
    titles = Book.objects.filter(price=5).values("title")
    assert keys(world, Book.objects.filter(Book.title.in_(titles))) == sorted(
        b.id for b in books if b.title in {other.title for other in books if other.price == 5}
    )
    assert keys(world, Book.objects.filter(pages__gt=Book.objects.filter(pages=2).values("pages")[:1])) == sorted(
        b.id for b in books if (b.pages or 0) > 2
    )


def test_queries_two_levels_inside(world: World, books: Shelf) -> None:
    pupil = Author.objects.filter(mentor=OuterRef("author"), id=OuterRef(OuterRef("id")))
    query = Author.objects.filter(Exists(Book.objects.filter(Exists(pupil))))
    wanted = {
        a.id
        for a in world.iterate(Author.objects.select_related("mentor"))
        if a.mentor and any(b.author == a.mentor for b in books)
    }
    assert set(keys(world, query)) == wanted


def sized() -> Any:
    return Book.objects.values("author").annotate(n=Count("*"))


# -- refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Author.objects.filter(Exists(Book.objects.filter(author=OuterRef("idd")))), "no field 'idd'.*'id'"),
        (lambda: Author.objects.filter(Exists(3)), "takes a query"),
        (lambda: Author.objects.filter(id=OuterRef("id")).sql(), "not inside another one"),
        (lambda: Author.objects.filter(Exists(Book.objects.filter(id=OuterRef(Book.id)))), "is not of Author"),
        (lambda: Subquery(Book.objects.all()), "has whole rows"),
        (lambda: Subquery(Book.objects.values("id", "title")), "has 2 columns"),
        (lambda: Book.objects.filter(author__in=Book.objects.all()), "leads to Author, and the query is of Book"),
        (
            lambda: Book.objects.filter(price__in=Book.objects.values("title")),
            "cannot be compared with a query",
        ),
        (lambda: Book.objects.filter(price=Book.objects.values("price")), "slice the query"),
        (
            lambda: Book.objects.values("author").annotate(n=Count("*")).filter(Q(n=1) | Q(title="x")),
            "differ in 'title'",
        ),
        (lambda: sized().values("title"), "differ in 'title'"),
        (
            lambda: Author.objects.annotate(n=Count("books")).values("n").annotate(m=Count("*")),
            "groups are made of plain values",
        ),
        (lambda: Author.objects.annotate(n=Count("books")).annotate(m=Sum("n")), "an aggregate over 'n'"),
        (lambda: Book.objects.annotate(x=Sum(Sum("price"))), "over an aggregate or a window"),
        (lambda: Book.objects.aggregate(x=F("price")), "takes Count, Sum"),
        (lambda: Book.objects.aggregate(x=Sum("price") + F("price")), "takes Count, Sum"),
        (lambda: Book.objects.aggregate(x=Window(fn.RowNumber())), "annotate.. it first"),
        (
            lambda: Book.objects.aggregate(Sum("price"), Sum("price", filter=Q(pages=1))),
            "two values called 'price__sum'",
        ),
        (lambda: Book.objects.aggregate(Sum("price"), price__sum=Max("price")), "two values called 'price__sum'"),
        (lambda: Window(fn.Rank()), "is about an order"),
        (
            lambda: Book.objects.annotate(x=Window(Sum("price"), frame=fn.Frame(-1, 0, unit="groups"))),
            "a frame of groups .*order_by=",
        ),
        (lambda: Window(fn.Lower("title")), "takes Rank"),
        (lambda: fn.Ntile(0), "whole number from 1"),
        (lambda: fn.Frame(2, 1), "cannot end"),
        (lambda: fn.Frame(unit="pages"), "rows, groups or a range"),
        (lambda: Book.objects.aggregate(Count("*", distinct=True)), "Count..pk"),
        (lambda: Book.objects.annotate(x=fn.StringAgg("title", distinct=True, order_by="id")), "ordered by that value"),
        (lambda: Book.objects.annotate(x=Window(Window(fn.RowNumber()))), "takes Rank"),
        (
            lambda: (
                Author.objects.values("born")
                .annotate(n=Count("books", distinct=False), t=fn.StringAgg("books__title"))
                .annotate(k=Count("*"))
                .sql()
            ),
            "would count",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(
    shelves: str, made: Callable[[], object], message: str
) -> None:
    with assert_num_queries(0), pytest.raises((QueryError, FieldError, InvalidValue, TypeError), match=message):
        made()


def test_decimals_stay_exact_in_sums_row_by_row(world: World, books: Shelf) -> None:
    found = world.call(Author.objects, "aggregate", total=Sum("books__price"))
    assert found["total"] == sum((book.price for book in books), Decimal(0))
