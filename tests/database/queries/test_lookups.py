"""What the lookups promise beyond the random questions of test_properties.py: extremes, escapes, long lists, NULL."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from datalayer import F, Q
from datalayer.errors import DataError, FieldError, InvalidValue
from datalayer.testing import assert_num_queries
from tests.database.queries.library import Author, Book, Genre, Profile, Shelf
from tests.worlds import World


def count(world: World, *conditions: Any, **named: Any) -> int:
    found: int = world.call(Book.objects.filter(*conditions, **named), "count")
    return found


@pytest.mark.parametrize("size", [0, 1, 40_000, 70_000])
def test_in_takes_lists_of_any_length(world: World, books: Shelf, size: int) -> None:
    wanted = [book.id for book in books[:2]] if size else []
    values = [*wanted, *range(1_000_000, 1_000_000 + max(0, size - 2))]
    found = sorted(world.iterate(Book.objects.filter(Book.id.in_(values)).values_list("id", flat=True)))
    assert found == sorted(wanted)
    assert world.call(Book.objects.exclude(id__in=values), "count") == len(books) - len(wanted)


def test_in_takes_generators_sets_and_keys(world: World, books: Shelf) -> None:
    first, second = books[0].id, books[1].id
    for values in (
        (number for number in (first, second)),
        {first, second},
        {first: "", second: ""}.keys(),
        range(first, second + 1),
    ):
        assert count(world, id__in=values) == 2


def test_an_empty_list_asks_the_database_nothing(world: World, shelves: str) -> None:
    with assert_num_queries(0):
        assert world.iterate(Book.objects.filter(id__in=[])) == []
        assert world.call(Book.objects.filter(id__in=[]), "count") == 0
        assert world.call(Book.objects.filter(id__in=[]), "exists") is False
        assert world.call(Book.objects.filter(id__in=[]), "first") is None
        assert world.call(Book.objects.filter(id__in=[]), "delete") == 0
        assert world.call(Book.objects.filter(id__in=[]), "update", title="x") == 0


def test_in_a_query_may_be_sliced_and_ordered(world: World, books: Shelf) -> None:
    cheap = Book.objects.order_by("price", "id")[:3]
    expected = sorted(book.id for book in sorted(books, key=lambda book: (book.price, book.id))[:3])
    assert sorted(world.iterate(Book.objects.filter(id__in=cheap).values_list("id", flat=True))) == expected
    assert sorted(world.iterate(Book.objects.filter(Book.id.in_(cheap)).values_list("id", flat=True))) == expected
    titles = Book.objects.filter(pk=books[0].pk).values_list(Book.title, flat=True)
    assert count(world, title__in=titles) == sum(book.title == books[0].title for book in books)
    writers = Author.objects.filter(name="Bob")
    assert count(world, Book.author.in_(writers)) == sum(book.author.name == "Bob" for book in books)
    assert count(world, author__in=writers) == sum(book.author.name == "Bob" for book in books)


def test_in_takes_objects_of_a_relation(world: World, books: Shelf) -> None:
    writers = [books[0].author, books[1].author]
    expected = sum(book.author in writers for book in books)
    assert count(world, author__in=writers) == count(world, Book.author.in_(writers)) == expected


def test_not_in_a_query_with_nulls_still_finds_the_rest(world: World, books: Shelf) -> None:
    editors = {book.editor_id for book in books if book.editor_id is not None}  # type: ignore[attr-defined]
    found = world.iterate(
        Author.objects.exclude(id__in=Book.objects.values_list("editor_id", flat=True)).values_list("id", flat=True)
    )
    everyone = world.iterate(Author.objects.values_list("id", flat=True))
    assert sorted(found) == sorted(set(everyone) - editors)


def test_numbers_beyond_64_bits_are_compared_like_any_other(world: World, books: Shelf) -> None:
    known = sum(book.pages is not None for book in books)
    for huge in (2**63, 10**30):
        assert count(world, pages=huge) == count(world, pages=-huge) == 0
        assert count(world, pages__in=[huge]) == 0
        assert count(world, Book.pages != huge) == known
        assert count(world, Book.pages < huge) == count(world, pages__lte=huge) == known
        assert count(world, Book.pages > -huge) == count(world, pages__gte=-huge) == known
        assert count(world, pages__gt=huge) == count(world, pages__lt=-huge) == 0
        assert count(world, pages__range=(-huge, huge)) == known
        assert count(world, pages__range=(huge, huge)) == 0
        assert count(world, ~Q(pages=huge)) == len(books)
    with pytest.raises(Book.DoesNotExist):
        world.call(Book.objects, "get", id=2**64)


def test_infinity_is_a_number_among_others_of_a_list(world: World, books: Shelf) -> None:
    assert count(world, rating__in=[math.inf, -math.inf, 2.5]) == sum(book.rating == 2.5 for book in books)
    world.call(Book.objects.filter(id=books[0].id), "update", rating=-math.inf)
    assert count(world, rating__in=[math.inf, -math.inf]) == 1


def test_numbers_beyond_the_column_are_compared_like_any_other(world: World, books: Shelf) -> None:
    assert count(world, pages=2**40) == 0
    assert count(world, pages__in=[2**40, books[0].pages or 0]) == sum(b.pages == (books[0].pages or 0) for b in books)
    assert count(world, pages__lt=2**40) == sum(book.pages is not None for book in books)
    assert count(world, price__lt=Decimal(10) ** 30) == len(books)
    assert count(world, price__gt=Decimal("0.001")) == sum(book.price > 0 for book in books)


def test_text_with_a_zero_byte_finds_nothing_or_is_refused(world: World, books: Shelf) -> None:
    with pytest.raises(InvalidValue, match="zero"):
        Book.objects.filter(title="a\0b")
    with pytest.raises(InvalidValue, match="zero"):
        Book.objects.filter(Book.title.contains("\0"))


def test_datetimes_of_every_zone_are_the_same_moment(world: World, books: Shelf) -> None:
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    there = moment.astimezone(timezone(timedelta(hours=5, minutes=30)))
    expected = sum(book.sold_at == moment for book in books)
    assert expected > 0
    assert count(world, sold_at=there) == count(world, sold_at__in=[there]) == expected
    assert count(world, sold_at__range=(there, there)) == expected


@pytest.mark.parametrize("pattern", ["^a", "b%$", r"\\", "^[aA]_?b$", "^$"])
def test_regular_expressions(world: World, books: Shelf, pattern: str) -> None:
    import re

    assert count(world, Book.title.regex(pattern)) == sum(bool(re.search(pattern, book.title)) for book in books)
    assert count(world, title__iregex=pattern) == sum(
        bool(re.search(pattern, book.title, re.IGNORECASE)) for book in books
    )


def test_a_broken_regular_expression_is_an_error_of_ours(world: World, books: Shelf) -> None:
    with pytest.raises((InvalidValue, DataError), match="expression"):
        count(world, title__regex="(")


def test_years_and_days_at_the_end_of_the_calendar(world: World, shelves: str) -> None:
    ann = world.call(Author.objects, "create", name="Ann")
    for day in (date.min, date(2020, 1, 1), date.max):
        moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
        world.call(Book.objects, "create", title="x", price=1, author=ann, published_on=day, sold_at=moment)
    for name in ("published_on__year", "sold_at__year"):
        found = [count(world, **{name: year}) for year in (-1, 0, 1, 2020, 9999, 10_000, 2**70)]
        assert found == [0, 0, 1, 1, 1, 0, 0]
        found = [count(world, **{f"{name}__lt": year}) for year in (0, 1, 2, 9999, 10_000, 20_000)]
        assert found == [0, 0, 1, 2, 3, 3]
        found = [count(world, **{f"{name}__gt": year}) for year in (-1, 0, 1, 9998, 9999, 10_000)]
        assert found == [3, 3, 2, 1, 0, 0]
        assert count(world, **{f"{name}__range": (-5, 20_000)}) == 3
    for day in (date.min, date.max):
        assert count(world, sold_at__date=day) == count(world, sold_at__date__lte=day, sold_at__date__gte=day) == 1
    assert count(world, sold_at__date__gt=date.max) == count(world, sold_at__date__lt=date.min) == 0


def test_enums_are_found_by_member_and_by_value(world: World, books: Shelf) -> None:
    expected = sum(book.genre is Genre.POEM for book in books)
    assert expected > 0
    assert count(world, Book.genre == Genre.POEM) == count(world, genre="poem") == expected
    assert count(world, genre__in=[Genre.POEM, "poem"]) == expected
    with pytest.raises(InvalidValue, match="genre"):
        Book.objects.filter(genre="poetry")


def test_columns_are_compared_with_columns(world: World, books: Shelf) -> None:
    same = sum(book.note == book.title for book in books)
    assert count(world, Book.note == Book.title) == count(world, note=F("title")) == same
    part = sum(book.note is not None and book.note in book.title for book in books)
    assert count(world, title__contains=F("note")) == part
    rich = sum(book.pages is not None and book.price > book.pages for book in books)
    assert count(world, price__gt=F("pages")) == rich
    older = sum(book.editor is not None and book.editor.name == book.author.name for book in books)
    assert count(world, author__name=F("editor__name")) == older
    assert count(world, Book.author[Author.name] == Book.editor[Author.name]) == older


TEXT_LOOKUPS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part in text,
    "startswith": lambda text, part: text.startswith(part),
    "endswith": lambda text, part: text.endswith(part),
    "icontains": lambda text, part: part.lower() in text.lower(),
    "istartswith": lambda text, part: text.lower().startswith(part.lower()),
    "iendswith": lambda text, part: text.lower().endswith(part.lower()),
    "iexact": lambda text, part: text.lower() == part.lower(),
}


@pytest.mark.parametrize("lookup", sorted(TEXT_LOOKUPS))
def test_a_pattern_in_a_column_means_itself(world: World, books: Shelf, lookup: str) -> None:
    # The rows have titles and notes of all signs that patterns have a meaning for.
    wanted = sum(book.note is not None and TEXT_LOOKUPS[lookup](book.title, book.note) for book in books)
    assert count(world, **{f"title__{lookup}": F("note")}) == wanted
    names = sum(TEXT_LOOKUPS[lookup](book.author.name, book.title) for book in books)
    assert count(world, **{f"author__name__{lookup}": F("title")}) == names


def test_arithmetic_in_conditions(world: World, books: Shelf) -> None:
    expected = sum(book.pages is not None and book.pages * 2 + 1 > 5 for book in books)
    assert count(world, Book.pages * 2 + 1 > 5) == expected
    assert count(world, Book.price * 2 - 1 >= Decimal("9")) == sum(book.price * 2 - 1 >= 9 for book in books)
    assert count(world, price__gte=F("price") / 2 + 1) == sum(book.price >= book.price / 2 + 1 for book in books)
    assert count(world, (10 - Book.pages) == 8) == sum(book.pages == 2 for book in books)


def test_none_asks_for_null(world: World, books: Shelf) -> None:
    nulls = sum(book.note is None for book in books)
    assert count(world, note=None) == count(world, Book.note == None) == count(world, note__isnull=True) == nulls  # noqa: E711
    assert count(world, Book.note != None) == count(world, note__isnull=False) == len(books) - nulls  # noqa: E711
    assert count(world, editor=None) == count(world, Book.editor.is_null()) == count(world, editor__isnull=True)


def test_not_equal_leaves_null_out_and_exclude_keeps_it(world: World, books: Shelf) -> None:
    other = sum(book.note is not None and book.note != "a" for book in books)
    rest = sum(book.note != "a" for book in books)
    assert other < rest
    assert count(world, Book.note != "a") == other
    assert count(world, ~(Book.note == "a")) == world.call(Book.objects.exclude(note="a"), "count") == rest


def test_relations_to_many_rows_find_a_row_once_for_each_match(world: World, books: Shelf) -> None:
    by_one = [book for book in books if book.author == books[0].author]
    query = Author.objects.filter(books__author=books[0].author)
    assert len(world.iterate(query)) == len(by_one)
    assert [author.id for author in world.iterate(query.distinct())] == [books[0].author.id]
    assert world.call(query.distinct(), "count") == 1


def test_conditions_of_one_filter_are_about_the_same_related_row(world: World, books: Shelf) -> None:
    one_row = {b.author.id for b in books if b.price < 1 and b.genre is Genre.NOVEL}
    any_rows = {b.author.id for b in books if b.price < 1} & {b.author.id for b in books if b.genre is Genre.NOVEL}
    same = Author.objects.filter(books__price__lt=1, books__genre=Genre.NOVEL)
    apart = Author.objects.filter(books__price__lt=1).filter(books__genre=Genre.NOVEL)
    assert set(world.iterate(same.values_list("id", flat=True))) == one_row
    assert set(world.iterate(apart.values_list("id", flat=True))) == any_rows
    others = Author.objects.exclude(books__price__lt=1, books__genre=Genre.NOVEL)
    everyone = set(world.iterate(Author.objects.values_list("id", flat=True)))
    assert set(world.iterate(others.values_list("id", flat=True))) == everyone - one_row


def test_one_to_one_is_asked_from_both_sides(world: World, books: Shelf) -> None:
    ann = books[0].author
    world.call(Profile.objects, "create", author=ann, bio="writes")
    assert [a.id for a in world.iterate(Author.objects.filter(profile__bio="writes"))] == [ann.id]
    assert world.call(Author.objects.filter(profile__isnull=True), "count") == 6
    assert world.call(Author.objects.exclude(profile__bio="writes"), "count") == 6
    assert world.call(Profile.objects.filter(author__name=ann.name), "count") == 1
    assert world.call(Profile.objects.filter(Profile.author == ann), "count") == 1


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"titel": "x"}, "did you mean 'title'"),
        ({"author__nam": "x"}, "did you mean 'name'"),
        ({"title__contain": "x"}, "did you mean 'contains'"),
        ({"pages__contains": 1}, "choices"),
        ({"in_print__gt": True}, "choices"),
        ({"title__year": 1}, "choices"),
        ({"title__contains__contains": 1}, "choices"),
        ({"sold_at__year__contains": 1}, "choices"),
        ({"author__books__titel": "x"}, "did you mean 'title'"),
        ({"author__gt__name": "x"}, "no field 'gt'|unknown lookup"),
        ({"": "x"}, "no field ''"),
        ({"title__": "x"}, "unknown lookup ''"),
    ],
)
def test_unknown_names_and_lookups_are_refused_with_the_nearest(named: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldError, match=message):
        Book.objects.filter(**named)


@pytest.mark.parametrize(
    "named",
    [
        {"id": "x"},
        {"id": 1.5},
        {"pages": "many"},
        {"pages": [1]},
        {"price": "cheap"},
        {"price": float("nan")},
        {"price": float("inf")},
        {"title": 3},
        {"title": b"x"},
        {"title__contains": 3},
        {"title__in": "abc"},
        {"title__in": None},
        {"title__in": 3},
        {"title__in": ["a", 3]},
        {"pages__range": 3},
        {"pages__range": (1,)},
        {"pages__range": (1, None)},
        {"pages__gt": None},
        {"pages__isnull": "yes"},
        {"pages__isnull": None},
        {"in_print": "maybe"},
        {"published_on": "yesterday"},
        {"published_on__year": "x"},
        {"sold_at": datetime(2020, 1, 1)},
        {"isbn": "x"},
        {"genre": 3},
        {"author": "x"},
        {"author": date(2020, 1, 1)},
        {"author__in": ["x"]},
    ],
)
def test_values_of_another_kind_are_refused(named: dict[str, Any]) -> None:
    name = next(iter(named)).split("__")[0]
    with pytest.raises(InvalidValue, match=name):
        Book.objects.filter(**named)


def test_objects_of_another_model_are_refused(world: World, books: Shelf) -> None:
    with pytest.raises(InvalidValue, match="Author"):
        Book.objects.filter(author=books[0])
    with pytest.raises(InvalidValue, match="Author"):
        Book.objects.filter(Book.author == books[0])  # type: ignore[arg-type,comparison-overlap]
    with pytest.raises(InvalidValue, match="not saved"):
        Book.objects.filter(author=Author(name="x"))
