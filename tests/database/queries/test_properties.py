"""Random questions, asked of the database and of plain Python over the same rows; both must say the same.

ORACLE_QUESTIONS says how many questions each test asks (25 when it is not set); each runs on both backends and in both
worlds.
"""

from __future__ import annotations

import operator
import os
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datalayer import Count, Exists, F, Max, Min, OuterRef, Q, Sum, Window
from datalayer import functions as fn
from tests.database.queries import oracle
from tests.database.queries.library import Author, Book, Shelf
from tests.worlds import World

# The rows are only read, so every example may share those of the test.
ask = settings(
    max_examples=int(os.environ.get("ORACLE_QUESTIONS", "25")),
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SET_OPERATIONS: dict[str, Callable[[set[int], set[int]], set[int]]] = {
    "union": operator.or_,
    "intersection": operator.and_,
    "difference": operator.sub,
}
GROUPS: dict[str, Callable[[Any], Any]] = {
    "author": lambda book: book.author.id,
    "genre": lambda book: book.genre,
    "in_print": lambda book: book.in_print,
    "editor__name": lambda book: book.editor and book.editor.name,
    "published_on__year": lambda book: book.published_on and book.published_on.year,
}
WINDOWS = ["author", "genre", "in_print"]


def keys(world: World, query: Any) -> list[int]:
    return world.iterate(query.values_list("id", flat=True))


def among(books: Shelf, tree: oracle.Tree) -> list[Book]:
    found = oracle.satisfying(tree, books)
    return [book for book in books if book.id in found]


@ask
@given(tree=oracle.trees)
def test_filter_finds_the_rows_that_satisfy_a_condition(world: World, books: Shelf, tree: oracle.Tree) -> None:
    assert sorted(keys(world, Book.objects.filter(oracle.condition(tree)))) == sorted(oracle.satisfying(tree, books))


@ask
@given(tree=oracle.trees)
def test_exclude_finds_all_other_rows(world: World, books: Shelf, tree: oracle.Tree) -> None:
    others = {book.id for book in books} - oracle.satisfying(tree, books)
    assert sorted(keys(world, Book.objects.exclude(oracle.condition(tree)))) == sorted(others)


@ask
@given(tree=oracle.trees, other=oracle.trees)
def test_a_condition_as_a_value_has_three_truths(
    world: World, books: Shelf, tree: oracle.Tree, other: oracle.Tree
) -> None:
    condition = Q(oracle.condition(tree))
    query = Book.objects.filter(oracle.condition(other)).annotate(found=condition)
    wanted = {book.id: oracle.truth(tree, book) is True for book in among(books, other)}
    assert {book.id: book.found is True for book in world.iterate(query)} == wanted
    ordered = world.iterate(query.order_by(condition.desc(nulls="last"), "id").values_list("id", flat=True))
    assert [wanted[key] for key in ordered] == sorted(wanted.values(), reverse=True)


@ask
@given(
    before=oracle.trees,
    name=st.sampled_from(["author", "genre"]),
    order=st.sampled_from(["price", "pages"]),
    ends=st.tuples(st.integers(-20, 20), st.integers(-20, 20)),
    cut=st.sampled_from(["both", "start", "end"]),
    is_descending=st.booleans(),
)
def test_frames_by_value_have_what_is_near(
    world: World,
    books: Shelf,
    before: oracle.Tree,
    name: str,
    order: str,
    ends: tuple[int, int],
    cut: str,
    is_descending: bool,
) -> None:
    low, high = min(ends), max(ends)
    start, end = None if cut == "end" else low, None if cut == "start" else high
    rows = [book for book in among(books, before) if getattr(book, order) is not None]
    frame = fn.Frame(start, end, unit="range")
    query = Book.objects.filter(oracle.condition(before), **{f"{order}__isnull": False}).annotate(
        near=Window(Count("*"), partition_by=name, order_by=f"-{order}" if is_descending else order, frame=frame)
    )

    def is_near(here: Any, there: Any) -> bool:
        distance = here - there if is_descending else there - here
        return (start is None or distance >= start) and (end is None or distance <= end)

    assert {book.id: book.near for book in world.iterate(query)} == {
        book.id: sum(
            GROUPS[name](book) == GROUPS[name](other) and is_near(getattr(book, order), getattr(other, order))
            for other in rows
        )
        for book in rows
    }


@ask
@given(first=oracle.trees, second=oracle.trees, third=oracle.trees, word=st.sampled_from(sorted(SET_OPERATIONS)))
def test_set_operations_are_those_of_sets(
    world: World, books: Shelf, first: oracle.Tree, second: oracle.Tree, third: oracle.Tree, word: str
) -> None:
    one, two = (Book.objects.filter(oracle.condition(tree)) for tree in (first, second))
    both = getattr(one, word)(two)
    wanted = SET_OPERATIONS[word](oracle.satisfying(first, books), oracle.satisfying(second, books))
    assert sorted(keys(world, both)) == sorted(wanted)
    kept = wanted & oracle.satisfying(third, books)
    assert sorted(keys(world, both.filter(oracle.condition(third)))) == sorted(kept)
    assert world.call(both, "count") == len(wanted)


@ask
@given(before=oracle.trees, some=oracle.trees, name=st.sampled_from(sorted(GROUPS)), least=st.integers(0, 5))
def test_groups_are_those_of_a_dictionary(
    world: World, books: Shelf, before: oracle.Tree, some: oracle.Tree, name: str, least: int
) -> None:
    chosen = oracle.satisfying(some, books)
    groups: dict[Any, list[Book]] = defaultdict(list)
    for book in among(books, before):
        groups[GROUPS[name](book)].append(book)
    query = (
        Book.objects.filter(oracle.condition(before))
        .values(key=F(name))
        .annotate(
            n=Count("*"),
            some=Count("*", filter=Q(oracle.condition(some))),
            total=Sum("price"),
            paged=Count("pages"),
            kinds=Count("pages", distinct=True),
            low=Min("rating"),
            high=Max("rating"),
        )
    )
    wanted = {
        key: (
            len(rows),
            sum(row.id in chosen for row in rows),
            sum((row.price for row in rows), Decimal(0)),
            sum(row.pages is not None for row in rows),
            len({row.pages for row in rows} - {None}),
            min((row.rating for row in rows if row.rating is not None), default=None),
            max((row.rating for row in rows if row.rating is not None), default=None),
        )
        for key, rows in groups.items()
    }
    names = ("n", "some", "total", "paged", "kinds", "low", "high")
    assert {row["key"]: tuple(row[name] for name in names) for row in world.iterate(query)} == wanted
    kept = world.iterate(query.filter(n__gt=least).values_list("key", flat=True))
    assert set(kept) == {key for key, rows in groups.items() if len(rows) > least}


@ask
@given(
    before=oracle.trees,
    after=oracle.trees,
    name=st.sampled_from(["author", "genre", "in_print"]),
    place=st.integers(1, 3),
)
def test_windows_number_the_rows_that_are_left(
    world: World, books: Shelf, before: oracle.Tree, after: oracle.Tree, name: str, place: int
) -> None:
    rows = sorted(among(books, before), key=lambda book: (-book.price, book.id))
    places: dict[int, int] = {}
    sums: dict[int, Decimal] = {}
    counts: dict[Any, int] = defaultdict(int)
    totals: dict[Any, Decimal] = defaultdict(Decimal)
    for book in rows:
        key = GROUPS[name](book)
        counts[key] += 1
        totals[key] += book.price
        places[book.id], sums[book.id] = counts[key], totals[key]
    query = Book.objects.filter(oracle.condition(before)).annotate(
        place=Window(fn.RowNumber(), partition_by=name, order_by=("-price", "id")),
        sum=Window(Sum("price"), partition_by=name, order_by=("-price", "id"), frame=fn.Frame(None, 0)),
    )
    assert {book.id: (book.place, book.sum) for book in world.iterate(query)} == {
        key: (places[key], sums[key]) for key in places
    }
    assert set(keys(world, query.filter(place__lte=place))) == {key for key, at in places.items() if at <= place}
    either = query.filter(Q(place=place) | Q(oracle.condition(after)))
    satisfying = oracle.satisfying(after, books)
    assert set(keys(world, either)) == {key for key, at in places.items() if at == place or key in satisfying}


@ask
@given(tree=oracle.trees, cut=st.integers(1, 20))
def test_queries_inside_queries(world: World, books: Shelf, tree: oracle.Tree, cut: int) -> None:
    condition = oracle.condition(tree)
    found = among(books, tree)
    writers = {book.author.id for book in found}
    inside = Book.objects.filter(condition)
    every = {author.id for author in world.iterate(Author.objects.all())}
    assert set(keys(world, Author.objects.filter(Exists(inside.filter(author=OuterRef("pk")))))) == writers
    assert set(keys(world, Author.objects.exclude(Exists(inside.filter(author=OuterRef("pk")))))) == every - writers
    assert set(keys(world, Author.objects.filter(id__in=inside.values("author")))) == writers
    editors = {book.editor.id for book in found if book.editor}
    assert set(keys(world, Author.objects.exclude(id__in=inside.values("editor")))) == every - editors
    first = {book.author.id for book in sorted(found, key=lambda book: book.id)[:cut]}
    assert set(keys(world, Author.objects.filter(id__in=inside.order_by("id").values("author")[:cut]))) == first


@ask
@given(tree=oracle.trees, cut=st.integers(1, 30))
def test_aggregates_over_relations_and_slices(world: World, books: Shelf, tree: oracle.Tree, cut: int) -> None:
    found = sorted(among(books, tree), key=lambda book: book.id)
    query = Book.objects.filter(oracle.condition(tree))
    sliced = world.call(query.order_by("id")[:cut], "aggregate", n=Count("*"), total=Sum("price", default=Decimal(0)))
    assert sliced == {"n": len(found[:cut]), "total": sum((book.price for book in found[:cut]), Decimal(0))}
    held = Author.objects.filter(id__in=query.values("author"))
    counted = world.iterate(
        held.annotate(n=Count("books"), m=Count("edited"), t=Sum("books__price")).values_list("id", "n", "m", "t")
    )
    assert sorted(counted) == sorted(
        (
            key,
            sum(book.author.id == key for book in books),
            sum(book.editor is not None and book.editor.id == key for book in books),
            sum((book.price for book in books if book.author.id == key), Decimal(0)),
        )
        for key in {book.author.id for book in found}
    )
