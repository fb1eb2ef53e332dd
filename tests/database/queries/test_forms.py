"""Orders, slices and the forms an answer can have: values, aggregates, dictionaries by key, streams, SQL by hand."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from datalayer import Avg, Count, F, Max, Min, Q, Sum, pools
from datalayer.errors import (
    FieldError,
    InvalidValue,
    NotSupported,
    QueryError,
    SyncInAsyncContext,
    UndefinedColumn,
)
from datalayer.testing import assert_num_queries
from tests.database.queries.library import Author, Book, Genre, Profile, Shelf
from tests.worlds import World, collect


def keys(world: World, query: Any) -> list[int]:
    return world.iterate(query.values_list("id", flat=True))


# -- order -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pages", "rating", "published_on", "sold_at", "lent_for", "price"])
def test_nulls_come_last_upwards_and_first_downwards(world: World, books: Shelf, name: str) -> None:
    def key(book: Book) -> tuple[bool, Any, int]:
        value = getattr(book, name)
        return value is None, 0 if value is None else value, book.id

    up = [book.id for book in sorted(books, key=key)]
    assert keys(world, Book.objects.order_by(name, "id")) == up
    assert keys(world, Book.objects.order_by(f"-{name}", "-id")) == up[::-1]
    assert keys(world, Book.objects.order_by(getattr(Book, name), Book.id).reverse()) == up[::-1]


def test_nulls_go_where_they_are_told(world: World, books: Shelf) -> None:
    nulls = {book.id for book in books if book.pages is None}
    count = len(nulls)
    assert set(keys(world, Book.objects.order_by(Book.pages.asc(nulls="first")))[:count]) == nulls
    assert set(keys(world, Book.objects.order_by(Book.pages.desc(nulls="last")))[-count:]) == nulls
    assert set(keys(world, Book.objects.order_by(F("pages").asc(nulls="first")))[:count]) == nulls
    assert set(keys(world, Book.objects.order_by(F("pages").desc(nulls="last")))[-count:]) == nulls
    with pytest.raises(QueryError, match="first"):
        Book.pages.asc(nulls="middle")
    with pytest.raises(QueryError, match="first"):
        F("pages").desc(nulls="middle")


def test_orders_by_relations_and_expressions(world: World, books: Shelf) -> None:
    def editor_born(book: Book) -> tuple[bool, date, int]:
        born = book.editor.born if book.editor else None
        return born is None, born or date.min, book.id

    assert keys(world, Book.objects.order_by("editor__born", "id")) == [b.id for b in sorted(books, key=editor_born)]
    assert keys(world, Book.objects.order_by(Book.editor[Author.born], "id")) == [
        book.id for book in sorted(books, key=editor_born)
    ]
    assert keys(world, Book.objects.order_by("-author", "id")) == [
        book.id for book in sorted(books, key=lambda book: (-book.author.id, book.id))
    ]
    doubled = [book.id for book in sorted(books, key=lambda book: (-2 * book.price, book.id))]
    assert keys(world, Book.objects.order_by((Book.price * 2).desc(), "id")) == doubled
    assert keys(world, Book.objects.order_by((F("price") * -2), "id")) == doubled


def test_chance_gives_every_row_once(world: World, books: Shelf) -> None:
    assert sorted(keys(world, Book.objects.order_by("?"))) == sorted(book.id for book in books)
    assert len(keys(world, Book.objects.order_by("?")[:5])) == 5


def test_a_later_order_replaces_an_earlier_one_and_none_ends_it(world: World, books: Shelf) -> None:
    assert keys(world, Book.objects.order_by("-id").order_by("id")) == sorted(book.id for book in books)
    assert "ORDER BY" not in Book.objects.order_by("-id").order_by().sql()[0]


@pytest.mark.parametrize(
    ("item", "error"),
    [("titel", FieldError), ("-author__nam", FieldError), ("title__contains", FieldError), (3, QueryError)],
)
def test_unknown_orders_are_refused(item: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Book.objects.order_by(item)


@pytest.mark.parametrize(
    ("query", "is_ordered", "is_total"),
    [
        (Book.objects.all(), False, False),
        (Book.objects.order_by("title"), True, False),
        (Book.objects.order_by("title", "-id"), True, True),
        (Book.objects.order_by("title", "pk").reverse(), True, True),
        (Book.objects.order_by("id").order_by(), False, False),
        (Book.objects.order_by("author__id"), True, False),
        (Book.objects.order_by("?"), True, False),
        (Profile.objects.order_by("author"), True, True),
        (Author.objects.order_by("profile"), True, False),
        (Book.objects.values("genre").annotate(n=Count("*")).order_by("genre"), True, False),
        (Book.objects.order_by("id").union(Book.objects.all(), all=True).order_by("id"), True, False),
    ],
)
def test_a_query_knows_whether_it_is_ordered(query: Any, is_ordered: bool, is_total: bool) -> None:
    assert (query.ordered, query.totally_ordered) == (is_ordered, is_total)


# -- slices ----------------------------------------------------------------------------------------


def test_slices_are_those_of_a_list(world: World, books: Shelf) -> None:
    every = Book.objects.order_by("id")
    ids = [book.id for book in books]
    for cut in (slice(None, 3), slice(3, None), slice(2, 5), slice(5, 2), slice(0, 0), slice(58, 99), slice(99, None)):
        assert keys(world, every[cut]) == ids[cut]
        assert world.call(every[cut], "count") == len(ids[cut])
        assert world.call(every[cut], "exists") == bool(ids[cut])
        assert keys(world, every[5:30][cut]) == ids[5:30][cut]
    assert world.call(every[3:5], "first").id == ids[3]
    assert world.call(every[:0], "first") is None


def test_a_slice_of_fetched_rows_asks_nothing(shelves: str) -> None:
    Author.objects.bulk_create([Author(name=f"a{number}") for number in range(5)])
    query = Author.objects.order_by("id")
    rows = list(query)
    with assert_num_queries(0):
        assert [author.id for author in query[1:3]] == [author.id for author in rows[1:3]]
        assert query[4] == rows[4]
        assert len(query) == query.count() == 5
        assert bool(query)
        assert query.exists()
        assert rows[2] in query


def test_an_index_beyond_the_end_is_an_index_error(shelves: str) -> None:
    with pytest.raises(IndexError):
        Book.objects.order_by("id")[0]


@pytest.mark.parametrize(
    "item", [-1, slice(-3, None), slice(None, -1), slice(None, None, 2), "a", slice("a", "b"), 1.5]
)
def test_indexes_a_query_cannot_have_are_refused(item: Any) -> None:
    with pytest.raises(QueryError, match="query"):
        Book.objects.all()[item]


def test_nothing_is_refined_after_a_slice(shelves: str) -> None:
    cut = Book.objects.order_by("id")[:3]
    for refine in (
        lambda: cut.filter(id=1),
        lambda: cut.exclude(id=1),
        lambda: cut.order_by("id"),
        lambda: cut.reverse(),
        lambda: cut.last(),
        lambda: cut.get(id=1),
        lambda: cut.distinct(),
        lambda: cut.earliest("id"),
    ):
        with pytest.raises(QueryError, match="slice"):
            refine()


# -- one row ---------------------------------------------------------------------------------------


def test_get_finds_one_row_or_says_why_not(world: World, books: Shelf) -> None:
    assert world.call(Book.objects, "get", Book.id == books[3].id) == books[3]
    assert world.call(Book.objects, "get", pk=books[3].id).title == books[3].title
    with pytest.raises(Book.DoesNotExist):
        world.call(Book.objects, "get", id=0)
    with pytest.raises(Book.MultipleObjectsReturned):
        world.call(Book.objects, "get", price__gte=0)


def test_first_and_last_without_an_order_go_by_key(world: World, books: Shelf) -> None:
    assert world.call(Book.objects, "first") == books[0]
    assert world.call(Book.objects, "last") == books[-1]
    assert world.call(Book.objects.order_by("-id"), "first") == books[-1]
    assert world.call(Book.objects.order_by("-id"), "last") == books[0]
    assert world.call(Book.objects.none(), "last") is None


def test_earliest_and_latest_never_give_null_while_there_is_a_value(world: World, books: Shelf) -> None:
    known = sorted(book.published_on for book in books if book.published_on)
    assert world.call(Book.objects, "earliest", "published_on").published_on == known[0]
    assert world.call(Book.objects, "latest", Book.published_on).published_on == known[-1]
    assert world.call(Book.objects, "earliest", "-published_on").published_on == known[-1]
    assert world.call(Book.objects, "latest", "published_on", "id").id == max(
        book.id for book in books if book.published_on == known[-1]
    )
    with pytest.raises(Book.DoesNotExist):
        world.call(Book.objects.none(), "latest", "id")
    with pytest.raises(QueryError, match="by what"):
        Book.objects.latest()


# -- values ----------------------------------------------------------------------------------------


def test_values_have_the_names_they_were_asked_by(world: World, books: Shelf) -> None:
    first = books[0]
    row = Book.objects.filter(id=first.id)
    assert world.iterate(row.values("title", "author", "author__name", "pk")) == [
        {"title": first.title, "author": first.author.id, "author__name": first.author.name, "pk": first.id}
    ]
    assert world.iterate(row.values(Book.price, Book.author[Author.born], twice=F("price") * 2)) == [
        {"price": first.price, "author__born": first.author.born, "twice": first.price * 2}
    ]
    assert world.iterate(row.values()) == [first.model_dump()]
    assert world.iterate(row.values_list("editor__name", "editor__mentor__name", "genre")) == [
        (
            first.editor.name if first.editor else None,
            first.editor.mentor.name if first.editor and first.editor.mentor else None,
            first.genre,
        )
    ]


def test_values_of_every_kind_are_those_of_the_instances(world: World, books: Shelf) -> None:
    names = [name for name in Book.table.fields if name not in {"author_id", "editor_id"}]
    rows = world.iterate(Book.objects.order_by("id").values_list(*names))
    assert rows == [tuple(getattr(book, name) for name in names) for book in books]


def test_a_flat_list_is_of_one_column(world: World, books: Shelf) -> None:
    assert world.iterate(Book.objects.order_by("id").values_list(Book.title, flat=True)) == [b.title for b in books]
    titles = Book.objects.values_list("title", flat=True).distinct()
    assert sorted(world.iterate(titles)) == sorted({book.title for book in books})
    assert world.call(titles, "count") == len({book.title for book in books})
    with pytest.raises(QueryError, match="one column"):
        Book.objects.values_list("id", "title", flat=True)  # type: ignore[call-overload]


def test_rows_have_the_names_of_their_columns(world: World, books: Shelf) -> None:
    rows = world.iterate(Book.objects.order_by("id").values_list(Book.id, "title", "author__name", named=True))
    assert rows == [(book.id, book.title, book.author.name) for book in books]
    assert [(row.author__name, row.title) for row in rows] == [(book.author.name, book.title) for book in books]
    assert rows[0]._fields == ("id", "title", "author__name")
    double = Book.objects.annotate(double=F("price") * 2).order_by("id").values_list(named=True)
    first = world.call(double, "first")
    assert (first.title, first.double) == (books[0].title, books[0].price * 2)
    groups = Book.objects.values_list("author", named=True).annotate(n=Count("id")).order_by("author")[:1]
    writers = [book.author.id for book in books]
    assert [(row.author, row.n) for row in world.iterate(groups)] == [(min(writers), writers.count(min(writers)))]
    assert world.iterate(Book.objects.values("id").order_by("id").values_list("title", named=True))[0].title == (
        books[0].title
    )


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            lambda: Book.objects.annotate(**{"two words": F("id")}).values_list(named=True),
            "'two words' cannot be.*annotate",
        ),
        (lambda: Book.objects.annotate(**{"class": F("id")}).values_list("class", named=True), "'class' cannot be"),
        (lambda: Book.objects.values_list("id", named=True).annotate(_n=Count("id")), "'_n' cannot be"),
        (lambda: Book.objects.values_list("id", Book.id, named=True), "'id' is asked for twice"),
        (lambda: Book.objects.values("id").values_list("id", flat=True, named=True), "bare values"),
    ],
)
def test_rows_with_names_that_are_none_are_refused(shelves: str, made: Callable[[], object], message: str) -> None:
    with assert_num_queries(0), pytest.raises(QueryError, match=message):
        made()


def test_values_go_on_being_queries(world: World, books: Shelf) -> None:
    query = Book.objects.values_list("title", flat=True).filter(price__gt=5).order_by("id")
    expected = [book.title for book in books if book.price > 5]
    assert world.iterate(query) == expected
    assert world.iterate(query[1:3]) == expected[1:3]
    assert world.call(query, "first") == expected[0]
    assert world.call(query, "last") == expected[-1]
    assert world.call(query, "exists")
    assert world.call(Book.objects.values("title"), "get", id=books[0].id) == {"title": books[0].title}


@pytest.mark.parametrize(
    "columns", [("titel",), ("author__nam",), ("title__contains",), (Author.name,), (3,), (None,), (Author.books,)]
)
def test_columns_that_are_not_there_are_refused(columns: tuple[Any, ...]) -> None:
    with pytest.raises((FieldError, QueryError)):
        Book.objects.values_list(*columns)
    with pytest.raises((FieldError, QueryError)):
        Book.objects.values(*columns)


@pytest.mark.parametrize("verb", ["order_by", "values_list", "only", "defer", "select_related", "prefetch_related"])
def test_columns_of_another_model_are_refused(verb: str) -> None:
    item = Author.mentor if verb.endswith("related") else Author.name
    with pytest.raises(QueryError, match="Author"):
        getattr(Book.objects, verb)(item)


@pytest.mark.parametrize(
    "condition",
    [
        lambda: Author.name == "x",
        lambda: ~(Author.name == "x"),
        lambda: (Book.title == "x") | (Author.name == "x"),
        lambda: Book.title == Author.name,
        lambda: Author.name + "x" == "y",
        lambda: Author.born.part("year") == 3,
        lambda: Q(Author.name == "x"),
    ],
)
def test_conditions_on_another_model_are_refused(condition: Any) -> None:
    with pytest.raises(QueryError, match="column of Author"):
        Book.objects.filter(condition())


def test_loading_some_columns_only(world: World, books: Shelf) -> None:
    some = world.call(Book.objects.only("title"), "get", id=books[0].id)
    assert set(some.__dict__) == {"id", "title"}
    rest = world.call(Book.objects.defer(Book.note, "author"), "get", id=books[0].id)
    assert set(Book.table.fields) - set(rest.__dict__) == {"note", "author_id"}


# -- aggregates ------------------------------------------------------------------------------------


def test_aggregates_of_every_kind(world: World, books: Shelf) -> None:
    pages = [book.pages for book in books if book.pages is not None]
    found = world.call(
        Book.objects,
        "aggregate",
        Count(),
        Count("pages"),
        Sum("pages"),
        Avg("pages"),
        Sum("price"),
        Min("sold_at"),
        Max(Book.published_on),
        Max("title"),
        longest=Max("lent_for"),
        total=Sum("lent_for"),
        writers=Count("author", distinct=True),
        cheap=Count("*", filter=Q(price__lt=1)),
        spent=Sum("price", filter=Book.genre == Genre.POEM),
        doubled=Sum(Book.price * 2),
    )
    assert found.pop("pages__avg") == pytest.approx(sum(pages) / len(pages))
    assert found == {
        "count": len(books),
        "pages__count": len(pages),
        "pages__sum": sum(pages),
        "price__sum": sum(book.price for book in books),
        "sold_at__min": min(book.sold_at for book in books if book.sold_at),
        "published_on__max": max(book.published_on for book in books if book.published_on),
        "title__max": found["title__max"],
        "longest": max(book.lent_for for book in books if book.lent_for is not None),
        "total": sum((book.lent_for for book in books if book.lent_for is not None), timedelta()),
        "writers": len({book.author for book in books}),
        "cheap": sum(book.price < 1 for book in books),
        "spent": sum(book.price for book in books if book.genre is Genre.POEM),
        "doubled": sum(book.price * 2 for book in books),
    }
    assert isinstance(found["price__sum"], Decimal)


def test_aggregates_over_no_rows(world: World, shelves: str) -> None:
    for query in (Book.objects.all(), Book.objects.none()):
        found = world.call(query, "aggregate", Count(), Sum("price"), Avg("pages"), Max("sold_at"))
        assert found == {"count": 0, "price__sum": None, "pages__avg": None, "sold_at__max": None}


def test_aggregates_over_slices_take_the_slice(world: World, books: Shelf) -> None:
    cut = Book.objects.order_by("id")[2:5]
    found = world.call(cut, "aggregate", n=Count(), total=Sum("price"), first=Min("author__name"))
    assert (found["n"], found["total"]) == (3, sum(book.price for book in books[2:5]))


def test_aggregates_over_relations(world: World, books: Shelf) -> None:
    found = world.call(Author.objects, "aggregate", n=Count("books"), total=Sum("books__price"))
    assert found == {"n": len(books), "total": sum(book.price for book in books)}


@pytest.mark.parametrize(
    ("aggregate", "error"),
    [
        (lambda: Sum("title"), QueryError),
        (lambda: Avg("sold_at"), QueryError),
        (lambda: Max("in_print"), QueryError),
        (lambda: Sum("*"), QueryError),
        (lambda: Sum("titel"), FieldError),
        (lambda: Sum(Author.born), QueryError),
        (lambda: F("price"), QueryError),
        (lambda: 3, QueryError),
    ],
)
def test_aggregates_that_make_no_sense_are_refused(configured: str, aggregate: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Book.objects.aggregate(x=aggregate())


# -- by key ----------------------------------------------------------------------------------------


def test_rows_by_key(world: World, books: Shelf) -> None:
    wanted = [book.id for book in books[:3]]
    assert world.call(Book.objects, "in_bulk", [*wanted, 0]) == {book.id: book for book in books[:3]}
    assert world.call(Book.objects.filter(price__gt=5), "in_bulk") == {b.id: b for b in books if b.price > 5}
    assert world.call(Book.objects.order_by("id")[:2], "in_bulk") == {book.id: book for book in books[:2]}
    with assert_num_queries(0):
        assert world.call(Book.objects, "in_bulk", []) == {}
    with pytest.raises(InvalidValue):
        Book.objects.in_bulk(["x"])
    with pytest.raises(QueryError, match="unique"):
        Book.objects.in_bulk(["x"], field="title")


# -- streams ---------------------------------------------------------------------------------------


def stream(world: World, query: Any, chunk_size: int = 500) -> list[Any]:
    return world.run(lambda: list(query.iterator(chunk_size)), lambda: collect(query.aiterator(chunk_size)))


def test_a_stream_gives_every_row_in_order(world: World, books: Shelf) -> None:
    for size in (1, 7, 60, 500):
        assert stream(world, Book.objects.order_by("id"), size) == books
    assert stream(world, Book.objects.order_by("id").values_list("id", flat=True), 7) == [book.id for book in books]
    assert [b.author.name for b in stream(world, Book.objects.select_related("author").order_by("id"), 7)] == [
        book.author.name for book in books
    ]
    assert stream(world, Book.objects.none()) == []
    assert stream(world, Book.objects.order_by("id")[3:5]) == books[3:5]


def test_a_stream_holds_a_chunk_and_not_the_whole(world: World, shelves: str) -> None:
    world.call(Author.objects, "bulk_create", [Author(name="x" * 200) for _ in range(20_000)])

    def seen(count: int) -> int:
        if count % 2_000 == 0:
            gc.collect()  # rows of one result know each other: what is no longer used waits for the collector
        return count + 1

    def blocking() -> int:
        count = 0
        for _ in Author.objects.iterator(100):
            count = seen(count)
        return count

    async def awaiting() -> int:
        count = 0
        async for _ in Author.objects.aiterator(100):
            count = seen(count)
        return count

    tracemalloc.start()
    try:
        assert world.run(blocking, awaiting) == 20_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000  # the rows alone are 4 MB of text


def test_a_stream_refuses_a_size_below_one(world: World, books: Shelf) -> None:
    with assert_num_queries(0), pytest.raises(QueryError, match="chunk_size is 'many'; it is a number of rows"):
        stream(world, Book.objects.all(), cast("Any", "many"))
    with pytest.raises(QueryError, match="chunk_size"):
        stream(world, Book.objects.all(), 0)


def test_a_stream_that_is_left_gives_its_connection_back(world: World, books: Shelf) -> None:
    async def awaiting() -> None:
        async for _ in Book.objects.aiterator(1):
            break

    def blocking() -> None:
        for _ in Book.objects.iterator(1):
            break

    for _ in range(20):  # more often than the pool has connections
        world.run(blocking, awaiting)


def test_a_loop_over_a_query_holds_no_connection_and_keeps_its_rows(world: World, books: Shelf) -> None:
    rows = Book.objects.order_by("id")

    def blocking() -> int:
        for _ in rows:
            break
        return pools["default"].stats().in_use

    async def awaiting() -> int:
        async for _ in rows:
            break
        return pools["default"].stats().in_use

    with assert_num_queries(1):
        assert world.run(blocking, awaiting) == 0
        assert len(world.iterate(rows)) == len(rows) > 1


# -- SQL -------------------------------------------------------------------------------------------


def test_sql_is_shown_and_nothing_is_sent(shelves: str, backend: str) -> None:
    with assert_num_queries(0):
        text, values = Book.objects.filter(Book.title == "x'; drop table x", price__gt=3).order_by("id")[:5].sql()
    assert text.startswith("SELECT")
    assert "drop" not in text
    assert values[0] == "x'; drop table x"
    assert text.count("?" if backend == "sqlite" else "%s") == len(values)


def test_a_plan_is_explained(world: World, books: Shelf, backend: str) -> None:
    assert "library_book" in world.call(Book.objects.filter(price__gt=3), "explain")
    if backend == "sqlite":
        with pytest.raises(NotSupported, match="SQLite"):
            world.call(Book.objects, "explain", analyze=True)
    else:
        assert "actual time" in world.call(Book.objects, "explain", analyze=True)


def test_a_plan_comes_in_the_forms_of_postgresql(world: World, books: Shelf, backend: str) -> None:
    query = Book.objects.filter(id=1)
    if backend == "sqlite":
        for options in ({"format": "json"}, {"buffers": True}):
            with assert_num_queries(0), pytest.raises(NotSupported, match="one form"):
                world.call(query, "explain", **options)
        return
    (plan,) = json.loads(world.call(query, "explain", format="json"))
    assert plan["Plan"]["Relation Name"] == "library_book"
    assert "<Relation-Name>library_book</Relation-Name>" in world.call(query, "explain", format="xml")
    assert 'Relation Name: "library_book"' in world.call(query, "explain", format="yaml")
    told = world.call(query, "explain", analyze=True, timing=False, costs=False, summary=False)
    assert "actual rows=1" in told
    assert "cost=" not in told
    assert "Execution Time" not in told
    assert "Output:" in world.call(query, "explain", verbose=True, buffers=False, settings=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "jsn"}, "did you mean 'json'"),
        ({"format": "text) SELECT 1; --"}, "the choices are"),
        ({"analyse": True}, "did you mean 'analyze'"),
        ({"analyze, buffers) DELETE FROM library_book; --": True}, "the choices are"),
        ({"buffers": "ON); DROP TABLE library_book; --"}, "it is True or False"),
    ],
)
def test_what_a_plan_cannot_be_told_is_refused(
    world: World, books: Shelf, options: dict[str, Any], message: str
) -> None:
    with assert_num_queries(0), pytest.raises(QueryError, match=message):
        world.call(Book.objects.all(), "explain", **options)


def test_the_query_inside_says_where_its_sql_is(configured: str) -> None:
    assert "sql()" in str(Book.objects.filter(id=1).query)


def test_rows_of_sql_by_hand(world: World, books: Shelf) -> None:
    raw = Book.objects.raw
    first = books[0]
    assert world.iterate(raw("select * from library_book where id = %s", [first.id])) == [first]
    assert world.iterate(raw("select * from library_book where id = %(id)s and id = %(id)s;", {"id": first.id})) == [
        first
    ]
    found = world.iterate(raw("select * from library_book order by id"))
    assert [book.model_dump() for book in found] == [book.model_dump() for book in books]
    by_percent = [book.id for book in books if book.title.startswith("a%")]
    for text, params in (
        ("select * from library_book where substr(title, 1, 2) = 'a%'", ()),
        ("select * from library_book where substr(title, 1, 2) = 'a%%' and id > %s", [0]),
        ("select * from library_book where substr(title, 1, 2) = 'a%%' and id > %(n)s", {"n": 0}),
    ):
        assert [book.id for book in world.iterate(raw(text, params))] == by_percent
    cheap = raw("with cheap as (select * from library_book where price < %s) select * from cheap", [Decimal(1)])
    assert {book.id for book in world.iterate(cheap)} == {book.id for book in books if book.price < 1}
    assert len(world.run(lambda: list(cheap), lambda: awaited(cheap))) == len({b.id for b in books if b.price < 1})


def test_sql_by_hand_may_leave_columns_to_be_loaded(world: World, books: Shelf) -> None:
    few = Book.objects.only("title").raw("select id, title from library_book where id < %s order by id", [4])
    with assert_num_queries(1):
        found = world.iterate(few)
    assert [(book.id, book.title) for book in found] == [(book.id, book.title) for book in books if book.id < 4]
    assert found[0].get_deferred_fields() >= {"price", "note"}
    with assert_num_queries(1):  # for all of them at once
        assert [book.price for book in found] == [book.price for book in books if book.id < 4]
    assert world.iterate(Book.objects.defer("note").raw("select * from library_book where id = 1"))[0].id == 1
    with pytest.raises(UndefinedColumn, match="'id'"):
        world.iterate(Book.objects.only("title").raw("select title from library_book"))


async def awaited(query: Any) -> list[Any]:
    found: list[Any] = await query
    return found


@pytest.mark.parametrize(
    ("text", "params", "message"),
    [
        ("select %s, %s", [1], "more than"),
        ("select %s", [1, 2], "asks for 1"),
        ("select %(a)s", {"b": 1}, r"%\(a\)s"),
        ("select %(a)s", [1], "dict"),
        ("select %s", {"a": 1}, "list"),
        ("select 1 % 2 + %s", [1], "%%"),
    ],
)
def test_placeholders_that_do_not_fit_are_refused(
    world: World, shelves: str, text: str, params: Any, message: str
) -> None:
    with pytest.raises(QueryError, match=message):
        world.iterate(Book.objects.raw(text, params))


def test_sql_by_hand_that_lacks_columns_is_an_error(world: World, books: Shelf) -> None:
    from datalayer.errors import ProgrammingError

    with pytest.raises(ProgrammingError):
        world.iterate(Book.objects.raw("select 1"))


# -- worlds ----------------------------------------------------------------------------------------


def test_blocking_calls_inside_an_event_loop_name_their_twin(configured: str, world: World) -> None:
    calls: list[tuple[str, Any]] = [
        ("aget", lambda: Book.objects.get(id=1)),
        ("afirst", lambda: Book.objects.first()),
        ("acount", lambda: Book.objects.count()),
        ("aexists", lambda: Book.objects.exists()),
        ("await", lambda: list(Book.objects.all())),
        ("await", lambda: len(Book.objects.all())),
        ("await", lambda: bool(Book.objects.all())),
        ("await", lambda: Book.objects.all()[0]),
        ("aaggregate", lambda: Book.objects.aggregate(Count())),
        ("aiterator", lambda: next(Book.objects.iterator())),
        ("acreate", lambda: Author.objects.create(name="x")),
        ("aupdate", lambda: Author.objects.all().update(name="x")),
        ("adelete", lambda: Author.objects.all().delete()),
        ("abulk_create", lambda: Author.objects.bulk_create([Author(name="x")])),
        ("aexplain", lambda: Author.objects.explain()),
        ("asave", lambda: Author(name="x").save()),
        ("await", lambda: list(Author.objects.raw("select 1"))),
    ]

    async def inside() -> None:
        for twin, call in calls:
            with pytest.raises(SyncInAsyncContext, match=twin):
                call()

    if world.is_async:
        world.run(lambda: None, inside)
    else:
        import asyncio

        asyncio.run(inside())


def test_an_awaited_query_keeps_its_rows(world: World, books: Shelf) -> None:
    query = Book.objects.order_by("id")
    with assert_num_queries(1):
        assert world.iterate(query) == books
        assert world.iterate(query) == books
        assert len(query) == len(books)
        assert query[3] == books[3]
    with assert_num_queries(1):
        assert world.iterate(query.all()) == books


# -- typed aggregates ------------------------------------------------------------------------------


def test_aggregates_as_a_tuple_are_those_by_name(world: World, books: Shelf) -> None:
    wanted = (Count(), Max(Book.price), Sum(Book.pages, default=0), Avg(Book.pages))
    with assert_num_queries(1):
        found = world.call(Book.objects.filter(Book.price > 0), "aggregate_list", *wanted)
    named = dict(zip("abcd", wanted, strict=True))
    assert found == tuple(world.call(Book.objects.filter(Book.price > 0), "aggregate", **named).values())
    assert world.call(Book.objects, "aggregate_list", Count(), Count()) == (len(books), len(books))
    none = Book.objects.filter(pk=-1)
    nothing = world.call(none, "aggregate_list", Max(Book.price), Count(), Sum(Book.pages, default=3))
    assert nothing == (None, 0, 3)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ((), "not 'nothing'"),
        (("price",), "takes Count, Sum, Avg, Min and Max, not 'price'"),
        ((F("price"),), "what is computed of such"),
        ((Max(Author.name),), "is a column of Author, not of Book"),
    ],
)
def test_what_is_no_aggregate_is_refused(world: World, books: Shelf, wanted: tuple[Any, ...], message: str) -> None:
    with assert_num_queries(0), pytest.raises(QueryError, match=message):
        world.call(Book.objects, "aggregate_list", *wanted)


# -- dates and moments -----------------------------------------------------------------------------


def test_the_months_of_dates_come_once_and_in_order(world: World, books: Shelf) -> None:
    months = {book.published_on.replace(day=1) for book in books if book.published_on is not None}
    assert world.iterate(Book.objects.dates("published_on", "month")) == sorted(months)
    years = sorted({month.replace(month=1) for month in months}, reverse=True)
    assert world.iterate(Book.objects.filter(id__gt=0).dates(Book.published_on, "year", "DESC")) == years
    authors = {book.author.born.replace(day=1) for book in books if book.author.born is not None}
    assert world.iterate(Book.objects.dates("author__born", "month")) == sorted(authors)


def test_the_days_of_moments_begin_at_the_midnight_of_a_zone(world: World, books: Shelf) -> None:
    zone = ZoneInfo("Asia/Kolkata")
    sold = {book.sold_at.astimezone(zone) for book in books if book.sold_at is not None}
    days = {moment.replace(hour=0, minute=0, second=0, microsecond=0) for moment in sold}
    assert world.iterate(Book.objects.datetimes("sold_at", "day", tzinfo="Asia/Kolkata")) == sorted(days)
    hours = {moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0) for moment in sold}
    found = Book.objects.datetimes(Book.sold_at, "hour", "DESC")
    assert world.iterate(found) == sorted(hours, reverse=True)
    assert world.call(found, "count") == len(hours)


@pytest.mark.usefixtures("shelves")
def test_dates_and_moments_are_told_apart() -> None:
    with assert_num_queries(0):
        with pytest.raises(QueryError, match=r"dates\(\) is of dates, not of datetime; datetimes\(\) is"):
            Book.objects.dates("sold_at", "day")
        with pytest.raises(QueryError, match=r"datetimes\(\) is of datetimes and .*, not of date"):
            Book.objects.datetimes("published_on", "day")
        with pytest.raises(FieldError, match=r"there is no step 'yaer'; .* did you mean 'year'"):
            Book.objects.dates("published_on", "yaer")  # type: ignore[arg-type]  # what is refused
        with pytest.raises(QueryError, match="the choices are 'ASC' and 'DESC'"):
            Book.objects.dates("published_on", "year", "down")  # type: ignore[arg-type]  # what is refused
