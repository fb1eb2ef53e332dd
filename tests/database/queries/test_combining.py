"""Querysets made of querysets: set operations, joins with a name, CTEs, DISTINCT ON."""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from datalayer import (
    Avg,
    Case,
    Count,
    Exists,
    F,
    FilteredRelation,
    Join,
    Max,
    Min,
    OuterRef,
    Q,
    SqlFunction,
    Subquery,
    Sum,
    Value,
    When,
    Window,
    atomic,
)
from datalayer import functions as fn
from datalayer._query import added
from datalayer.errors import FieldError, NotSupported, QueryError
from datalayer.functions import RowNumber
from datalayer.testing import assert_num_queries
from tests.database.queries.library import Author, Book, Shelf
from tests.worlds import World


def keys(world: World, query: Any) -> list[int]:
    return sorted(world.iterate(query.values_list("id", flat=True)))


def fives(**more: Any) -> Any:
    return Book.objects.filter(price=5, **more)


def tens() -> Any:
    return Book.objects.filter(price=10)


def wanted(books: Shelf, satisfies: Callable[[Book], object]) -> list[int]:
    return sorted(book.id for book in books if satisfies(book))


# -- set operations --------------------------------------------------------------------------------


@pytest.mark.parametrize("connector", [operator.or_, operator.xor])
def test_filters_of_combined_querysets_are_about_related_rows_of_their_own(
    world: World, books: Shelf, connector: Callable[[Any, Any], Any]
) -> None:
    both = Author.objects.filter(books__price__lt=5).filter(books__price__gte=10)
    cheap, dear = [
        {book.author.id for book in books if is_it(book)} for is_it in (lambda b: b.price < 5, lambda b: b.price >= 10)
    ]
    assert cheap & dear
    assert set(keys(world, connector(both, Author.objects.filter(name="nobody")))) == cheap & dear
    assert set(keys(world, connector(Author.objects.filter(name="nobody"), both.order_by("name")))) == cheap & dear


def test_a_union_has_the_rows_of_both_once(world: World, books: Shelf) -> None:
    both = wanted(books, lambda book: book.price in (5, 10))
    assert keys(world, fives().union(tens(), fives())) == both
    assert keys(world, fives() | tens()) == both
    assert world.call(fives().union(tens()), "count") == len(both)
    assert world.call(fives().union(fives(), all=True), "count") == 2 * world.call(fives(), "count")


@pytest.mark.parametrize(
    "combine",
    [operator.or_, operator.xor, lambda one, two: one.union(two), lambda one, two: one.filter(id__gt=0) | two],
)
def test_combined_rows_behind_two_rows_each_refer_to_their_own(
    world: World, books: Shelf, combine: Callable[[Any, Any], Any]
) -> None:
    one, other = list({book.author.id: book.author for book in books}.values())[:2]
    both = combine(one.books.all(), other.books.all())
    of_author = {book.id: book.author for book in books if book.author in (one, other)}
    assert {book.id: book.author for book in world.iterate(both.select_related("author"))} == of_author


def test_an_intersection_and_a_difference_take_slices(world: World, books: Shelf) -> None:
    ids = sorted(book.id for book in books)
    ordered = Book.objects.order_by("id")
    assert keys(world, ordered[:10].intersection(ordered[5:15])) == ids[5:10]
    assert keys(world, ordered[:10].difference(ordered[5:15], ordered[:2])) == ids[2:5]


def test_what_comes_out_is_a_queryset_again(world: World, books: Shelf) -> None:
    union = fives().union(tens())
    both = wanted(books, lambda book: book.price in (5, 10))
    assert [book.id for book in world.iterate(union.order_by("-id")[1:4])] == both[::-1][1:4]
    assert keys(world, union.filter(author__name="Ann")) == wanted(
        books, lambda book: book.price in (5, 10) and book.author.name == "Ann"
    )
    assert world.call(union, "aggregate", n=Count(), top=Max("price")) == {"n": len(both), "top": Decimal(10)}
    assert world.call(union.filter(id=0), "exists") is False
    numbered = union.annotate(place=Window(RowNumber(), order_by="id")).filter(place__lte=2)
    assert keys(world, numbered) == both[:2]
    assert keys(world, Book.objects.filter(pk__in=union)) == both
    assert [b.author.name for b in world.iterate(union.select_related("author").order_by("id"))] == [
        b.author.name for b in sorted(books, key=lambda b: b.id) if b.id in both
    ]


def test_annotations_come_along(world: World, books: Shelf) -> None:
    union = fives().annotate(kind=Value("five")).union(tens().annotate(kind=Value("ten")))
    found = {book.id: book.kind for book in world.iterate(union)}
    assert found == {b.id: "five" if b.price == 5 else "ten" for b in books if b.price in (5, 10)}


def test_values_of_different_models_can_be_put_together(world: World, books: Shelf) -> None:
    names = Author.objects.values_list("name", flat=True)
    titles = Book.objects.values_list("title", flat=True)
    found = world.iterate(names.union(titles))
    assert sorted(found) == sorted(
        {*[book.title for book in books], *[a.name for a in world.iterate(Author.objects.all())]}
    )
    assert world.call(names.union(titles).filter(name="Bob"), "count") == 1


def test_conditions_of_querysets_are_combined(world: World, books: Shelf) -> None:
    dear, printed = Book.objects.filter(price__gt=5), Book.objects.filter(in_print=True)
    assert keys(world, dear & printed) == wanted(books, lambda book: book.price > 5 and book.in_print)
    assert keys(world, dear | printed) == wanted(books, lambda book: book.price > 5 or book.in_print)
    assert keys(world, dear ^ printed) == wanted(books, lambda book: (book.price > 5) != (book.in_print is True))
    assert keys(world, Book.objects.all() | dear) == sorted(book.id for book in books)
    one, other = dear.annotate(n=Value(1)), printed.annotate(n=Value(1))
    assert keys(world, one ^ other) == keys(world, dear ^ printed)


def test_contains_asks_for_one_row(world: World, books: Shelf) -> None:
    first, *_, last = sorted(books, key=lambda book: book.id)
    with assert_num_queries(3):
        assert world.call(Book.objects.filter(price=first.price), "contains", first)
        assert not world.call(Book.objects.exclude(id=first.id), "contains", first)
        assert not world.call(Book.objects.order_by("id")[:3], "contains", last)
    with assert_num_queries(0), pytest.raises(QueryError, match="an instance of Book"):
        world.call(Book.objects.all(), "contains", Author(name="x"))


# -- joins with a name -----------------------------------------------------------------------------


def test_a_table_is_joined_to_itself(world: World, books: Shelf) -> None:
    pairs = Book.objects.join(other=Join(Book, Q(author=F("other__author"), id__lt=F("other__id"))))
    found = world.iterate(pairs.filter(other__price=F("price")).values_list("id", "other__id"))
    assert sorted(found) == sorted(
        (a.id, b.id) for a in books for b in books if a.author == b.author and a.id < b.id and a.price == b.price
    )


def test_a_query_is_joined(world: World, books: Shelf) -> None:
    dear = Book.objects.filter(price__gt=9).values("author").annotate(n=Count("*"), least=Min("price"))
    found = world.iterate(
        Author.objects.join(dear=Join(dear, Q(id=F("dear__author")), outer=True)).values_list("id", "dear__n")
    )
    counts = {a.id: sum(b.price > 9 and b.author == a for b in books) for a in world.iterate(Author.objects.all())}
    assert dict(found) == {key: number or None for key, number in counts.items()}
    inner = Author.objects.join(dear=Join(dear, Q(id=F("dear__author"))))
    assert keys(world, inner) == sorted(key for key, number in counts.items() if number)


def test_a_relation_has_a_condition_of_its_own(world: World, books: Shelf) -> None:
    cheap = Author.objects.annotate(cheap=FilteredRelation("books", Q(books__price__lt=5)))
    authors = world.iterate(Author.objects.all())
    counted = world.iterate(cheap.annotate(n=Count("cheap"), all=Count("books")).values_list("id", "n", "all"))
    assert sorted(counted) == sorted(
        (a.id, sum(b.price < 5 for b in books if b.author == a), sum(b.author == a for b in books)) for a in authors
    )
    having = {a.id for a in authors if any(b.price < 5 and b.in_print for b in books if b.author == a)}
    assert set(keys(world, cheap.filter(cheap__in_print=True))) == having
    assert set(keys(world, cheap.exclude(cheap__in_print=True))) == {a.id for a in authors} - having


# -- CTEs ------------------------------------------------------------------------------------------


def tree() -> Any:
    start = Author.objects.filter(mentor=None).annotate(depth=Value(0))
    return Author.objects.with_cte(
        "tree",
        start,
        recursive=lambda above: Author.objects.join(up=Join(above, Q(mentor=F("up__id")))).annotate(
            depth=F("up__depth") + 1
        ),
    )


def depth_of(author: Author) -> int | None:
    """None for who mentors himself."""
    if author.mentor == author:
        return None
    return 0 if author.mentor is None else (depth_of(author.mentor) or 0) + 1


def test_a_tree_is_walked(world: World, books: Shelf) -> None:
    authors = world.iterate(Author.objects.select_related("mentor__mentor__mentor"))
    depths = {author.id: depth for author in authors if (depth := depth_of(author)) is not None}
    assert {author.id: author.depth for author in world.iterate(tree())} == depths
    assert keys(world, tree().filter(depth__gt=0)) == sorted(key for key, depth in depths.items() if depth > 0)
    assert world.call(tree(), "count") == len(depths)
    assert world.call(tree(), "aggregate", deepest=Max("depth")) == {"deepest": max(depths.values())}
    assert keys(world, Book.objects.filter(author__in=tree().values("id"))) == wanted(
        books, lambda book: book.author.id in depths
    )


def test_a_circle_ends_where_equal_rows_come_once(world: World, books: Shelf) -> None:
    (circle,) = world.iterate(Author.objects.filter(mentor=F("id")))
    found = Author.objects.with_cte(
        "circle",
        Author.objects.filter(id=circle.id),
        recursive=lambda above: Author.objects.join(up=Join(above, Q(id=F("up__mentor")))),
        distinct=True,
    )
    assert keys(world, found) == [circle.id]


def test_a_cte_without_recursion_is_a_query_in_front(world: World, books: Shelf) -> None:
    found = Book.objects.with_cte("cheap", Book.objects.filter(price__lt=5).order_by("id")[:4])
    assert keys(world, found) == wanted(books, lambda book: book.price < 5)[:4]
    assert "WITH RECURSIVE cheap" in found.sql()[0]


def test_rows_of_a_cte_are_updated_and_deleted_by_their_keys(world: World, books: Shelf) -> None:
    cheap = Book.objects.with_cte("cheap", Book.objects.filter(price__lt=5))
    count = len(wanted(books, lambda book: book.price < 5))
    assert world.call(Book.objects.filter(pk__in=cheap), "update", pages=7) == count
    assert world.call(Book.objects.filter(pk__in=cheap), "delete") == count


def test_changes_may_ask_a_cte_beside_other_lists_and_texts(world: World, books: Shelf) -> None:
    cheap = Book.objects.with_cte("cheap", Book.objects.filter(price__lt=5))
    asked = Book.objects.filter(pages__in=[1, 2, 3], pk__in=cheap.values("id"))
    count = len(wanted(books, lambda book: book.price < 5 and book.pages in (1, 2, 3)))
    assert count
    pages = Case(When(title__in=["a ? (SELECT "], then=4), default=3)
    assert world.call(asked, "update", note=Value("? (SELECT "), pages=pages) == count
    assert world.call(asked.filter(Exists(cheap.filter(id=OuterRef("id")))), "delete") == count
    assert keys(world, asked) == []


def test_sql_of_several_lines_stands_in_a_cte_as_it_is(world: World, books: Shelf) -> None:
    with added.isolated():
        lines: Any = SqlFunction("lines", str, "case\nwhen {0} > 0\nthen 'a \n b' else 'c' end")
        found = Book.objects.with_cte("all", Book.objects.annotate(text=lines("id"))).values_list("text", flat=True)
        assert set(world.iterate(found)) == {"a \n b"}


# -- DISTINCT ON -----------------------------------------------------------------------------------


def test_the_first_row_of_each_value(world: World, books: Shelf, database_url: str) -> None:
    ordered = Book.objects.order_by("author", "-price", "id")
    if database_url.startswith("sqlite"):
        with assert_num_queries(0), pytest.raises(NotSupported, match=r"no distinct\(\) by columns"):
            ordered.distinct("author")
        return
    query = ordered.distinct("author")
    best: dict[int, Book] = {}
    for book in sorted(books, key=lambda book: (-book.price, book.id)):
        best.setdefault(book.author.id, book)
    assert {book.id for book in world.iterate(query)} == {book.id for book in best.values()}
    wanted = {book.id for book in best.values()}
    for inside in (query, query.values("id"), Book.objects.filter(pk__in=query).distinct()):
        assert set(world.iterate(Book.objects.filter(pk__in=inside).values_list("id", flat=True))) == wanted
    both = query.union(Book.objects.filter(pk=books[0].pk))
    assert set(world.iterate(both.values_list("id", flat=True))) == {*wanted, books[0].pk}
    first = Subquery(ordered.filter(author=OuterRef("pk")).distinct("author").values("title"))
    titles = world.iterate(Author.objects.filter(books__isnull=False).distinct().values_list("id", first))
    assert dict(titles) == {author: book.title for author, book in best.items()}
    with assert_num_queries(0), pytest.raises(QueryError, match="an order that begins with them"):
        world.iterate(Book.objects.order_by("id").distinct("author"))


# -- samples ---------------------------------------------------------------------------------------


def test_a_sample_is_a_part_of_the_table(world: World, books: Shelf, backend: str) -> None:
    if backend == "sqlite":
        with assert_num_queries(0), pytest.raises(NotSupported, match=r"filter\(functions.LessThan\(functions.Random"):
            Book.objects.sample(10)
        few = Book.objects.filter(fn.LessThan(fn.Random(), 0.5))
        assert 0 < world.call(few, "count") < len(books)
        return
    every = {book.id for book in books}
    assert keys(world, Book.objects.sample(100)) == sorted(every)
    assert keys(world, Book.objects.sample(0)) == []
    half = Book.objects.sample(50, seed=7)
    some = keys(world, half)
    assert set(some) < every
    assert keys(world, half) == some
    assert world.call(half, "count") == len(some)
    assert keys(world, half.filter(price=5)) == [key for key in some if key in wanted(books, lambda b: b.price == 5)]
    assert world.call(half.filter(author__name="Ann").select_related("author"), "exists") in (True, False)
    assert world.call(half, "aggregate", n=Count("*")) == {"n": len(some)}
    inside = Author.objects.filter(books__in=Book.objects.sample(100)).distinct()
    assert {author.id for author in world.iterate(inside)} == {book.author.id for book in books}
    assert keys(world, Book.objects.sample(100, method="system").union(half)) == sorted(every)
    counted = world.iterate(Author.objects.sample(100).annotate(n=Count("books")).values_list("id", "n"))
    assert dict(counted) == {a.id: sum(b.author == a for b in books) for a in world.iterate(Author.objects.all())}
    with world.enter(atomic()):
        assert len(world.iterate(Book.objects.sample(100).select_for_update())) == len(books)


@pytest.mark.parametrize("backend", ["postgresql"])
@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Book.objects.sample(101), "a number of percent"),
        (lambda: Book.objects.sample(-1), "a number of percent"),
        (lambda: Book.objects.sample(float("nan")), "a number of percent"),
        (lambda: Book.objects.sample(True), "a number of percent"),
        (lambda: Book.objects.sample("10) WHERE 1 = 1; --"), "a number of percent"),
        (lambda: Book.objects.sample(10, seed="1); DROP TABLE library_book; --"), "a seed is a number"),
        (lambda: Book.objects.sample(10, method="sytem"), "did you mean 'system'"),
        (lambda: Book.objects.sample(10, method="system (1); --"), "the choices are"),
        (lambda: Book.objects.all()[:5].sample(10), "sliced"),
        (lambda: fives().union(tens()).sample(10), "rows of another query"),
        (lambda: Book.objects.sample(10).update(price=1), "of a sample"),
        (lambda: Book.objects.sample(10).delete(), "of a sample"),
        (lambda: Book.objects.sample(10) | fives(), "differ in more"),
    ],
)
def test_samples_that_make_no_sense_are_refused(shelves: str, made: Callable[[], object], message: str) -> None:
    with assert_num_queries(0), pytest.raises(QueryError, match=message):
        made()


# -- refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: fives().union(), "needs another queryset"),
        (lambda: fives().union(3), "takes querysets, not 3"),
        (lambda: fives().union(Author.objects.all()), "of Book and Author; take the columns"),
        (lambda: fives().union(Book.objects.values("id")), "of whole rows and of values"),
        (
            lambda: Book.objects.values("title").union(Book.objects.values("price")),
            "'title' is string in one",
        ),
        (
            lambda: Book.objects.values("title").union(Book.objects.values("title", "id")),
            "must be the same",
        ),
        (lambda: fives() | Book.objects.order_by("id")[:3], "sliced querysets cannot be combined"),
        (lambda: fives() | Book.objects.annotate(n=Count("*")), "differ in more than their conditions"),
        (
            lambda: Book.objects.annotate(n=Value(1)) | Book.objects.annotate(n=Value(2)),
            "differ in more than their conditions",
        ),
        (
            lambda: Book.objects.annotate(n=F("pages") + 1) & Book.objects.annotate(n=F("pages") + 2),
            "differ in more than their conditions",
        ),
        (lambda: fives() | Author.objects.all(), "of Book and Author cannot be combined"),
        (lambda: fives() | tens().using("other"), "of two databases cannot be combined"),
        (lambda: Book.objects.using("other") & fives(), "of two databases cannot be combined"),
        (lambda: fives().union(tens()).update(price=1), "the rows of another query"),
        (lambda: fives().union(tens()).delete(), "the rows of another query"),
        (lambda: Book.objects.join(author=Join(Author, Q(id=1))), "cannot have a join of the name 'author'"),
        (lambda: Book.objects.join(x=Join(Author, Q())), "has no condition"),
        (lambda: Book.objects.join(x=Join(Author, Q(id=F("x__idd")))), "no field 'idd'.*'id'"),
        (lambda: Book.objects.annotate(x=FilteredRelation("autor", Q(id=1))), "'autor' is no relation"),
        (lambda: Book.objects.annotate(x=FilteredRelation("author__books", Q(id=1))), "takes one step over"),
        (lambda: fives().with_cte("x", fives()), "begins a query"),
        (lambda: Book.objects.with_cte("a b", fives()), "no name of a CTE"),
        (lambda: Author.objects.with_cte("x", fives()), "of rows of Book, on Author.*call Book.objects.with_cte"),
        (lambda: Book.objects.with_cte("x", fives().values("id")), "begin with values: Book.objects.values..id"),
        (lambda: Book.objects.values("id").with_cte("x", fives()), "of whole rows of Book, on values"),
        (
            lambda: Book.objects.with_cte("x", fives(), recursive=lambda x: Author.objects.all()),
            "of Book and Author; take the columns",
        ),
    ],
)
def test_what_cannot_be_combined_is_refused_before_anything_is_sent(
    shelves: str, made: Callable[[], object], message: str
) -> None:
    with assert_num_queries(0), pytest.raises((QueryError, FieldError), match=message):
        made()


def test_several_ctes_stand_in_one_statement(world: World, books: Shelf) -> None:
    fives = Book.objects.with_cte("fives", Book.objects.filter(price=5))
    several = fives.with_cte("printed", lambda rows: rows.filter(in_print=True))
    assert keys(world, several) == wanted(books, lambda book: book.price == 5 and book.in_print)
    assert several.sql()[0].startswith("WITH RECURSIVE fives ")
    assert world.call(several.filter(pages__gt=0), "count") == len(
        wanted(books, lambda book: book.price == 5 and book.in_print and (book.pages or 0) > 0)
    )
    third = several.with_cte("all", fives.union(several))
    assert keys(world, third) == wanted(books, lambda book: book.price == 5)
    sums = Book.objects.values("author").annotate(n=Count("*"))
    joined = Author.objects.join(
        a=Join(Book.objects.values("author").annotate(n=Count("*")).with_cte("sums", sums), Q(id=F("a__author"))),
        b=Join(fives, Q(id=F("b__author"))),
    )
    assert sorted(world.iterate(joined.values_list("id", "a__n", "b__id"))) == sorted(
        (book.author.id, sum(other.author.id == book.author.id for other in books), book.id)
        for book in books
        if book.price == 5
    )
    depth = tree().with_cte("deep", lambda rows: rows.filter(depth__gt=0))
    assert {author.depth for author in world.iterate(depth)} == {1, 2}


def test_a_recursive_cte_may_follow_another(world: World, books: Shelf) -> None:
    roots = Author.objects.with_cte("roots", Author.objects.filter(mentor=None))
    found = roots.with_cte(
        "tree",
        lambda rows: rows.annotate(depth=Value(0)),
        recursive=lambda above: Author.objects.join(up=Join(above, Q(mentor=F("up__id")))).annotate(
            depth=F("up__depth") + 1
        ),
    )
    assert sorted(world.iterate(found.values_list("id", "depth"))) == sorted(
        world.iterate(tree().values_list("id", "depth"))
    )


def test_a_second_cte_of_the_name_is_refused_where_its_values_differ(world: World, books: Shelf) -> None:
    def same(price: int) -> Any:
        return Book.objects.with_cte("same", Book.objects.filter(price=price))

    assert keys(world, same(5).union(same(5))) == wanted(books, lambda book: book.price == 5)
    assert keys(world, same(10).union(same(10))) == wanted(books, lambda book: book.price == 10)
    with assert_num_queries(0), pytest.raises(QueryError, match="two CTEs of the name 'same'"):
        world.iterate(same(5).union(same(10)))
    with assert_num_queries(0), pytest.raises(QueryError, match="two CTEs of the name 'same'"):
        same(5).with_cte("same", Book.objects.all())
    with assert_num_queries(0), pytest.raises(QueryError, match="two CTEs of the name 'same'"):
        Author.objects.join(a=Join(same(5), Q(id=F("a__author"))), b=Join(same(10), Q(id=F("b__author"))))
    with assert_num_queries(0), pytest.raises(QueryError, match="or follows another"):
        same(5).filter(id=1).with_cte("other", Book.objects.all())


def test_two_ctes_of_one_name_are_refused(shelves: str) -> None:
    one, two = (Book.objects.with_cte("same", Book.objects.filter(price=price)) for price in (5, 10))
    with assert_num_queries(0), pytest.raises(QueryError, match="two CTEs of the name 'same'"):
        one.union(two).sql()


def test_equal_shapes_are_compiled_once(world: World, books: Shelf) -> None:
    from datalayer.databases import databases

    def ask(low: int, high: int) -> None:
        union = Book.objects.filter(price=low).union(Book.objects.filter(price=high))
        world.iterate(union.values("author").annotate(n=Avg("pages"), s=Sum("price")).filter(n__gt=low))
        world.iterate(tree().filter(depth__gt=low))

    ask(1, 2)
    compiled = len(databases["default"].compiler)
    ask(3, 4)
    assert len(databases["default"].compiler) == compiled


def test_not_in_the_condition_of_a_join_is_about_the_joined_row(world: World, books: Shelf) -> None:
    for part in (~Q(books__price__lt=5), ~Q(~Q(books__price__gte=5)), ~(~Q(books__price__gte=5) | Q(books__id=0))):
        query = Author.objects.annotate(dear=FilteredRelation("books", part), n=Count("dear"))
        assert {author.id: author.n for author in world.iterate(query)} == {
            author.id: sum(book.price >= 5 and book.author == author for book in books)
            for author in world.iterate(Author.objects.all())
        }
    pairs = Author.objects.join(other=Join(Book, Q(id=F("other__author")) & ~Q(~Q(other__price__gte=5))))
    assert sorted(world.iterate(pairs.values_list("other__id", flat=True))) == wanted(books, lambda b: b.price >= 5)
