"""Comparisons as values: everywhere that a column or a condition may stand, and with what may stand at their right."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any, cast

import pytest

from datalayer import (
    Case,
    Count,
    Exists,
    F,
    Field,
    Lookup,
    Mapped,
    Model,
    OuterRef,
    Q,
    Range,
    Sum,
    Transform,
    Value,
    When,
    Window,
)
from datalayer import functions as fn
from datalayer._query import added
from datalayer.errors import DatalayerError, FieldError, InvalidValue, QueryError
from datalayer.models import registry
from datalayer.testing import acreate_tables, assert_num_queries, create_tables
from tests.database.queries.library import Author, Book, Shelf
from tests.worlds import World

with registry.isolated():

    class Parcel(Model):
        data: Mapped[dict[str, Any]] = Field(default_factory=dict)
        marks: Mapped[list[int]] = Field(default_factory=list)
        span: Mapped[Range[int]]

        class Meta:
            table = "comparisons_parcel"

    registry.tables()


def lies_between(value: Any, low: Any, high: Any) -> bool | None:
    """SQL's answer, where an end may be unknown."""
    if value is None:
        return None
    ends = [None if low is None else value >= low, None if high is None else value <= high]
    return False if False in ends else None if None in ends else True


BOTH: list[tuple[Any, Callable[[Any], Any]]] = [
    (fn.Exact("pages", 2), lambda b: None if b.pages is None else b.pages == 2),
    (fn.Exact("pages", None), lambda b: b.pages is None),
    (fn.GreaterThan(F("pages"), 1), lambda b: None if b.pages is None else b.pages > 1),
    (fn.GreaterThan(Book.price, Decimal(5)), lambda b: b.price > 5),
    (fn.GreaterThanOrEqual("price", F("pages") * 2), lambda b: None if b.pages is None else b.price >= b.pages * 2),
    (fn.LessThan("author__name", Value("C")), lambda b: b.author.name < "C"),
    (fn.LessThanOrEqual(fn.Length("title"), 1), lambda b: len(b.title) <= 1),
    (fn.In("pages", [1, 2]), lambda b: None if b.pages is None else b.pages in (1, 2)),
    (fn.Between("price", 1, 6), lambda b: 1 <= b.price <= 6),
    (fn.Between("pages", F("rating"), 100), lambda b: lies_between(b.pages, b.rating, 100)),
    (fn.Between(Book.price, Decimal(1), F("pages") * 2), lambda b: lies_between(b.price, 1, b.pages and b.pages * 2)),
    (
        Book.published_on.between(Book.author[Author.born], date(2020, 2, 29)),
        lambda b: lies_between(b.published_on, b.author.born, date(2020, 2, 29)),
    ),
    (
        Book.published_on.between(F("editor__born"), Book.published_on),
        lambda b: lies_between(b.published_on, b.editor and b.editor.born, b.published_on),
    ),
    (
        Q(published_on__year__range=[F("author__born__year"), 2020]),
        lambda b: lies_between(b.published_on and b.published_on.year, b.author.born and b.author.born.year, 2020),
    ),
    (fn.IsNull("note"), lambda b: b.note is None),
    (fn.IsNull(Book.note, False), lambda b: b.note is not None),
    (fn.IExact("title", "A"), lambda b: b.title.lower() == "a"),
    (fn.Contains("title", "%"), lambda b: "%" in b.title),
    (fn.IContains(Book.title, "B"), lambda b: "b" in b.title.lower()),
    (fn.StartsWith("title", "a"), lambda b: b.title.startswith("a")),
    (fn.IStartsWith("title", "A"), lambda b: b.title.lower().startswith("a")),
    (fn.EndsWith("title", "b"), lambda b: b.title.endswith("b")),
    (fn.IEndsWith("title", "B"), lambda b: b.title.lower().endswith("b")),
    (fn.Regex("title", "^a.b$"), lambda b: len(b.title) == 3 and b.title[0] == "a" and b.title[2] == "b"),
    (fn.IRegex("title", "^É$"), lambda b: b.title in ("é", "É")),
    (fn.GreaterThan(F("sold_at__year"), 2020), lambda b: None if b.sold_at is None else b.sold_at.year > 2020),
]


def numbers(world: World, query: Any) -> set[int]:
    return set(world.iterate(query.values_list("id", flat=True)))


@pytest.mark.parametrize(("comparison", "wanted"), BOTH, ids=[f"{c!r}" for c, _ in BOTH])
def test_a_comparison_is_a_condition_and_a_value(
    world: World, books: Shelf, comparison: Any, wanted: Callable[[Any], Any]
) -> None:
    assert numbers(world, Book.objects.filter(comparison)) == {book.id for book in books if wanted(book)}
    assert numbers(world, Book.objects.exclude(comparison)) == {book.id for book in books if not wanted(book)}
    rows = world.iterate(Book.objects.annotate(found=comparison).values_list("id", "found"))
    assert dict(rows) == {book.id: wanted(book) for book in books}
    dear = Case(When(comparison, then=Value("yes")), default=Value("no"))
    assert dict(world.iterate(Book.objects.annotate(word=dear).values_list("id", "word"))) == {
        book.id: "yes" if wanted(book) else "no" for book in books
    }


def test_comparisons_are_ordered_and_grouped_by(world: World, books: Shelf) -> None:
    long = fn.GreaterThan(fn.Length("title"), 1)
    found = world.iterate(Book.objects.order_by(long.desc(), "id").values_list("id", flat=True))
    assert found == [book.id for book in sorted(books, key=lambda book: (len(book.title) <= 1, book.id))]
    found = world.iterate(Book.objects.order_by(long, "id").values_list("id", flat=True))
    assert found == [book.id for book in sorted(books, key=lambda book: (len(book.title) > 1, book.id))]
    rows = world.iterate(Book.objects.values(long=long).annotate(n=Count("*")))
    assert {row["long"]: row["n"] for row in rows} == Counter(len(book.title) > 1 for book in books)
    nulls = world.iterate(Book.objects.order_by(Q(pages__gt=1).asc(nulls="first"), "id").values_list("id", flat=True))
    assert nulls == [
        book.id for book in sorted(books, key=lambda book: (book.pages is not None, (book.pages or 0) > 1, book.id))
    ]


def test_comparisons_are_combined_negated_and_aggregated(world: World, books: Shelf) -> None:
    long, cheap = fn.GreaterThan("pages", 1), fn.LessThan(Book.price, Decimal(5))
    assert numbers(world, Book.objects.filter(long | cheap)) == {
        book.id for book in books if (book.pages or 0) > 1 or book.price < 5
    }
    assert numbers(world, Book.objects.filter(~long & (Book.price < 5))) == {
        book.id for book in books if not (book.pages or 0) > 1 and book.price < 5
    }
    asked = world.call(Book.objects, "aggregate", any=fn.BoolOr(cheap), n=Count("*", filter=cheap))
    assert asked == {"any": True, "n": sum(book.price < 5 for book in books)}
    inside = Book.objects.filter(fn.Exact("author", OuterRef("pk")), cheap)
    assert {author.id for author in world.iterate(Author.objects.filter(Exists(inside)))} == {
        book.author.id for book in books if book.price < 5
    }


def test_a_condition_stands_where_a_truth_does(world: World, books: Shelf) -> None:
    cheap = Q(price__lt=5)
    for condition in (cheap, fn.LessThan("price", 5), fn.Coalesce(fn.LessThan("price", 5), Value(False))):
        assert numbers(world, Book.objects.filter(in_print=condition)) == {
            book.id for book in books if book.in_print is not None and book.in_print == (book.price < 5)
        }
    world.call(Book.objects.all(), "update", in_print=fn.LessThan("price", 5))
    assert numbers(world, Book.objects.filter(in_print=True)) == {book.id for book in books if book.price < 5}


def test_in_takes_columns_beside_values(world: World, books: Shelf) -> None:
    wanted = {book.id for book in books if book.title == "a" or book.title == book.note}
    assert numbers(world, Book.objects.filter(title__in=[F("note"), "a"])) == wanted
    assert numbers(world, Book.objects.filter(fn.In("title", [F("note"), "a", None]))) == wanted
    assert numbers(world, Book.objects.filter(title__in=[Book.note, "a"])) == wanted
    with pytest.raises(InvalidValue, match="is integer and cannot be compared"):
        Book.objects.filter(pages__in=[F("id"), "x"])


def test_comparisons_of_documents_arrays_and_ranges(world: World, configured: str) -> None:
    world.run(lambda: create_tables(Parcel), lambda: acreate_tables(Parcel))
    parcels = [
        Parcel(data={"a": 1, "b": [1]}, marks=[1, 2], span=Range(1, 5)),
        Parcel(data={"c": 1}, marks=[], span=Range(5, 9)),
    ]
    world.call(Parcel.objects, "bulk_create", parcels)
    for comparison, wanted in (
        (fn.HasKey("data", "a"), [True, False]),
        (fn.HasKeys(Parcel.data, ["a", "b"]), [True, False]),
        (fn.HasAnyKeys("data", ["b", "c"]), [True, True]),
        (fn.Contains("data", {"c": 1}), [False, True]),
        (fn.ContainedBy("data", {"c": 1, "d": 2}), [False, True]),
        (fn.GreaterThan("data__a", 0), [True, None]),
        (fn.Contains("marks", [2]), [True, False]),
        (fn.ContainedBy("marks", [1, 2, 3]), [True, True]),
        (fn.Overlap("marks", [2, 7]), [True, False]),
        (fn.Contains(Parcel.span, 4), [True, False]),
        (fn.Overlap("span", Range(4, 5)), [True, False]),
    ):
        rows = world.iterate(Parcel.objects.order_by("id").annotate(found=comparison).values_list("found", flat=True))
        assert rows == wanted, comparison


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (lambda: Book.objects.filter(fn.GreaterThan("page", 1)), FieldError, "did you mean 'pages'"),
        (lambda: Book.objects.annotate(x=fn.GreaterThan("pages", "x")), InvalidValue, "is integer and cannot be"),
        (lambda: Book.objects.annotate(x=fn.GreaterThan("pages", None)), InvalidValue, "use isnull"),
        (lambda: Book.objects.order_by(fn.In("title", "abc")), InvalidValue, "in needs a list"),
        (lambda: Book.objects.filter(fn.HasKey("title", "a")), QueryError, "only JSON|has_key"),
        (lambda: Book.objects.filter(fn.Exact(Author.name, "x")), QueryError, "is a column of Author"),
        (lambda: Book.objects.filter(fn.StartsWith("pages", "1")), QueryError, "startswith"),
        (lambda: Book.objects.filter(fn.GreaterThan("in_print", True)), QueryError, "gt"),
    ],
)
def test_comparisons_that_make_no_sense_are_refused_when_built(
    configured: str, made: Callable[[], object], error: type[Exception], message: str
) -> None:
    with assert_num_queries(0), pytest.raises(error, match=message):
        made()


@pytest.mark.parametrize("pattern", ["(", "[", "a{2,1}", "*a", "a)", "(?P<x", "[z-a]"])
def test_a_broken_regular_expression_is_refused_when_built(configured: str, pattern: str) -> None:
    for ask in (
        lambda: Book.objects.filter(title__regex=pattern),
        lambda: Book.objects.filter(Book.title.iregex(pattern)),
        lambda: Book.objects.annotate(x=fn.Regex("title", pattern)),
        lambda: Parcel.objects.filter(data__a__regex=pattern),
    ):
        with assert_num_queries(0), pytest.raises(InvalidValue, match="is no regular expression"):
            ask()


@pytest.mark.parametrize(
    ("pattern", "wanted"), [(r"\mab\M", {"ab", "ab\nc"}), ("[[:upper:]]", {"A", "aB", "É"}), ("***=%", {"b%", "%"})]
)
def test_what_only_postgresql_knows_of_regular_expressions_is_left_to_it(
    world: World, books: Shelf, backend: str, pattern: str, wanted: set[str]
) -> None:
    query = Book.objects.filter(title__regex=pattern)
    if backend == "postgresql":
        found = set(world.iterate(query.values_list("title", flat=True)))
        assert found == {
            book.title for book in books if book.title in wanted or (pattern[0] == "*" and "%" in book.title)
        }


def test_bits_and_powers(world: World, books: Shelf) -> None:
    asked: dict[str, tuple[Any, Callable[[int], Any]]] = {
        "xor": (F("id").bitxor(5), lambda v: v ^ 5),
        "typed": (Book.id.bitxor(5), lambda v: v ^ 5),
        "up": (F("id").bitleftshift(3), lambda v: v << 3),
        "down": (Book.id.bitrightshift(1), lambda v: v >> 1),
        "by": (Value(1).bitleftshift(F("id")), lambda v: 1 << v),
        "power": (F("id") ** 2, lambda v: float(v**2)),
        "root": (Book.id**0.5, lambda v: v**0.5),
        "base": (2 ** F("id"), lambda v: 2.0**v),
    }
    rows = world.iterate(
        Book.objects.filter(id__lt=20).values("id", **{name: made for name, (made, _) in asked.items()})
    )
    for row in rows:
        for name, (_, wanted) in asked.items():
            assert row[name] == pytest.approx(wanted(row["id"])), (name, row["id"])
    with pytest.raises(QueryError, match="string has no powers"):
        Book.objects.annotate(x=F("title") ** 2)
    with pytest.raises(QueryError, match="no meaning"):
        Book.objects.annotate(x=F("price").bitxor(2))


def test_sha1_is_of_pgcrypto_on_postgresql(world: World, books: Shelf, backend: str) -> None:
    query = Book.objects.order_by("id").values_list(fn.SHA1("title"), flat=True)
    if backend == "sqlite":
        assert world.iterate(query) == [hashlib.sha1(book.title.encode()).hexdigest() for book in books]
    else:  # an extension that the server of the tests lacks
        assert "digest(convert_to(library_book.title, 'UTF8'), 'sha1')" in query.sql()[0]
        with pytest.raises(DatalayerError, match="digest"):
            world.iterate(query)


def test_an_order_by_an_aggregate_gives_each_row_once(world: World, books: Shelf) -> None:
    query = Author.objects.filter(books__price__gt=5).order_by(Count("books").desc(), "id")
    counted = Counter(book.author.id for book in books if book.price > 5)
    wanted = sorted(counted, key=lambda author: (-counted[author], author))
    assert [author.id for author in world.iterate(query)] == wanted
    assert world.call(query, "count") == len(wanted)
    assert [author.id for author in world.iterate(query[1:3])] == wanted[1:3]


def test_the_text_at_the_end_of_a_path(world: World, configured: str) -> None:
    world.run(lambda: create_tables(Parcel), lambda: acreate_tables(Parcel))
    inside = [5, "five", None, {"bb": 1, "a": [1, {"é": "x"}]}, True, 1.5]
    rows = [Parcel(data={"at": {"end": value}}, span=Range(1, 2)) for value in inside]
    world.call(Parcel.objects, "bulk_create", [*rows, Parcel(span=Range(1, 2))])
    wanted = ["5", "five", None, '{"a": [1, {"é": "x"}], "bb": 1}', "true", "1.5", None]
    ordered = Parcel.objects.order_by("id")
    assert world.iterate(ordered.values_list(fn.KT("data__at__end"), flat=True)) == wanted
    assert world.iterate(ordered.values_list(fn.KT(Parcel.data["at"]["end"]), flat=True)) == wanted
    assert world.iterate(ordered.filter(fn.Exact(fn.KT("data__at__end"), "five")).values_list("id")) == [(rows[1].id,)]
    assert world.iterate(ordered.annotate(t=fn.KT("data__at__end")).filter(t__endswith="5").values_list("t")) == [
        ("5",),
        ("1.5",),
    ]
    with assert_num_queries(0), pytest.raises(QueryError, match="only JSON can be looked into"):
        Parcel.objects.annotate(x=fn.KT("marks"))


def test_a_collation_orders_and_compares(world: World, books: Shelf, backend: str) -> None:
    name = "binary" if backend == "sqlite" else "C"
    query = Book.objects.order_by(fn.Collate(Book.title, name), "id")
    assert [book.title for book in world.iterate(query)] == sorted(book.title for book in books)
    assert numbers(world, Book.objects.filter(fn.GreaterThan(fn.Collate("title", name), "a"))) == {
        book.id for book in books if book.title > "a"
    }
    if backend == "sqlite":
        assert numbers(world, Book.objects.filter(fn.Exact(fn.Collate("title", "nocase"), "AB"))) == {
            book.id for book in books if book.title.lower() == "ab"
        }
        with assert_num_queries(0), pytest.raises(QueryError, match="SQLite has no collation 'C'; the choices are"):
            world.iterate(Book.objects.order_by(fn.Collate("title", "C")))
    else:
        with pytest.raises(DatalayerError, match='collation "nowhere"'):
            world.iterate(Book.objects.order_by(fn.Collate("title", "nowhere")))


@pytest.mark.parametrize("name", ['C"; DROP TABLE library_book; --', "", "a b", "C\0", "'", "%s", "é", 5])
def test_a_name_that_no_collation_has_is_refused(name: Any) -> None:
    with assert_num_queries(0), pytest.raises(QueryError, match="no collation is called so"):
        fn.Collate("title", name)


def without(excluded: str, here: Book, near: list[Book]) -> list[Book]:
    """The rows of a frame that are left."""
    if excluded == "current row":
        return [other for other in near if other.id != here.id]
    alike = [other for other in near if other.price == here.price]
    return [other for other in near if other not in alike or (excluded == "ties" and other.id == here.id)]


@pytest.mark.parametrize("excluded", ["current row", "group", "ties"])
@pytest.mark.parametrize("unit", ["rows", "groups", "range"])
def test_a_frame_leaves_rows_out(world: World, books: Shelf, excluded: str, unit: str) -> None:
    order = ("price", "id") if unit == "rows" else "price"
    frame = fn.Frame(-2, 1, unit=unit, exclude=excluded)
    query = Book.objects.annotate(near=Window(Count("*"), order_by=order, frame=frame))
    ordered = sorted(books, key=lambda book: (book.price, book.id))
    prices = sorted({book.price for book in books})

    def frame_of(place: int, here: Book) -> list[Book]:
        if unit == "rows":
            return ordered[max(0, place - 2) : place + 2]
        if unit == "range":
            return [other for other in ordered if here.price - 2 <= other.price <= here.price + 1]
        at = prices.index(here.price)
        return [other for other in ordered if other.price in prices[max(0, at - 2) : at + 2]]

    wanted: dict[int, int] = {}
    for place, here in enumerate(ordered):
        near = frame_of(place, here)
        if unit == "rows" and excluded != "current row":  # no two rows are equal in the order
            near = [other for other in near if other.id != here.id or excluded == "ties"]
        else:
            near = without(excluded, here, near)
        wanted[here.id] = len(near)
    assert {book.id: book.near for book in world.iterate(query)} == wanted


def test_places_as_parts_of_all(world: World, books: Shelf) -> None:
    query = Book.objects.annotate(
        rank=Window(fn.PercentRank(), order_by="price"), share=Window(fn.CumeDist(), order_by="price")
    )
    for book in world.iterate(query):
        below = sum(other.price < book.price for other in books)
        assert book.rank == pytest.approx(below / (len(books) - 1))
        assert book.share == pytest.approx(sum(other.price <= book.price for other in books) / len(books))


@pytest.mark.parametrize(
    ("order", "low", "high"),
    [
        ("price", -5, 5),
        ("price", Decimal("-0.01"), Decimal("5.00")),
        ("price", None, -1),
        ("price", 0.5, None),
        ("rating", -0.15, 0.15),
        ("pages", -1, 1),
        ("pages", 1, 2),
    ],
)
def test_a_frame_goes_by_the_distance_of_values(world: World, books: Shelf, order: str, low: Any, high: Any) -> None:
    frame = fn.Frame(low, high, unit="range")
    known = [book for book in books if getattr(book, order) is not None]
    query = Book.objects.filter(**{f"{order}__isnull": False}).annotate(
        n=Window(Count("id"), order_by=order, frame=frame),
        s=Window(Sum("id"), partition_by="author", order_by=order, frame=frame),
    )

    def near(book: Book, other: Book) -> bool:
        here, there = getattr(book, order), getattr(other, order)
        number: Any = type(here)
        first = None if low is None else here + number(str(low))
        last = None if high is None else here + number(str(high))
        return (first is None or first <= there) and (last is None or there <= last)

    for number, count, total in world.iterate(query.values_list("id", "n", "s")):
        (book,) = (one for one in known if one.id == number)
        assert count == sum(near(book, other) for other in known)
        found = [other.id for other in known if other.author.id == book.author.id and near(book, other)]
        assert total == (sum(found) if found else None)


def by_value(order: Any, low: Any, high: Any) -> Any:
    return Book.objects.annotate(x=Window(Count("*"), order_by=order, frame=fn.Frame(low, high, unit="range")))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: fn.Frame(1.5, 2), "bounded by whole numbers and None, not by 1.5"),
        (lambda: fn.Frame(Decimal("NaN"), None, unit="range"), "bounded by numbers and None"),
        (lambda: fn.Frame(cast("Any", "5 PRECEDING) --"), 0, unit="range"), "bounded by numbers and None"),
        (lambda: fn.Frame(0, 5, unit="range; --"), "counts rows, groups or a range"),
        (lambda: fn.Frame(5, 0, unit="range"), "cannot end"),
        (
            lambda: by_value(("price", "id"), -1, 1),
            "order by exactly one",
        ),
        (
            lambda: by_value("title", -1, 1),
            "the order is string",
        ),
        (
            lambda: by_value("pages", -0.5, 1),
            "of whole numbers, and -0.5 is none",
        ),
    ],
)  # fmt: skip
def test_frames_that_make_no_sense_are_refused(configured: str, made: Callable[[], object], message: str) -> None:
    with assert_num_queries(0), pytest.raises(QueryError, match=message):
        made()


def test_one_column_alone_may_have_a_lookup_and_a_word(world: World, books: Shelf) -> None:
    with added.isolated():
        longer = Lookup("longer_than", Book.title, "length({0}) > length({1})")
        Transform("initial", Book.title, str, "substr({0}, 1, 1)")
        wanted = {book.id for book in books if len(book.title) > 1}
        for query in (
            Book.objects.filter(title__longer_than="x"),
            Book.objects.filter(longer(Book.title, "x")),
            Author.objects.filter(books__title__longer_than="x"),
        ):
            assert world.call(query, "exists")
        assert set(world.iterate(Book.objects.filter(title__longer_than="x").values_list("id", flat=True))) == wanted
        assert set(world.iterate(Book.objects.filter(title__initial="a").values_list("id", flat=True))) == {
            book.id for book in books if book.title[:1] == "a"
        }
        for refused in (
            lambda: Book.objects.filter(note__longer_than="x"),
            lambda: Author.objects.filter(name__longer_than="x"),
            lambda: Book.objects.filter(author__name__longer_than="x"),
            lambda: Book.objects.filter(note__initial="a"),
            lambda: Book.objects.order_by("note__initial"),
            lambda: longer(Book.author[Author.name], "x"),
        ):
            with assert_num_queries(0), pytest.raises(FieldError, match=r"longer_than|initial"):
                refused()
        with pytest.raises(QueryError, match="which is no field"):
            Lookup("other", Book.author[Author.name], "{0} = {1}")
