"""Arrays: native ones on PostgreSQL, JSON text on SQLite, and the same answers on both."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from datalayer import BigInt, Count, F, Field, Mapped, Model, Q, SmallInt, register_type
from datalayer.errors import FieldError, InvalidValue, QueryError
from datalayer.models import adapters, registry
from datalayer.testing import acreate_tables, assert_num_queries, create_tables
from tests.worlds import World


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Words:
    """A type of an application that is kept as an array."""

    def __init__(self, words: Iterable[str]) -> None:
        self.words = list(words)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Words) and other.words == self.words

    __hash__ = None  # type: ignore[assignment]  # it may change in place


with registry.isolated(), adapters.isolated():
    register_type(Words, like=list[str], dump=lambda words: words.words, load=Words)

    class Poem(Model):
        words: Mapped[Words]

        class Meta:
            table = "arrays_poem"

    registry.tables()


with registry.isolated():

    class Post(Model):
        tags: Mapped[list[str]] = Field(default_factory=list)
        marks: Mapped[list[int] | None] = Field(default=None)

        class Meta:
            table = "arrays_post"

    class Every(Model):
        small: Mapped[list[SmallInt]]
        big: Mapped[list[BigInt]]
        floats: Mapped[list[float]]
        flags: Mapped[list[bool]]
        texts: Mapped[list[str]]
        days: Mapped[list[date]]
        times: Mapped[list[time]]
        moments: Mapped[list[datetime]]
        lengths: Mapped[list[timedelta]]
        keys: Mapped[list[UUID]]
        colours: Mapped[list[Colour]]
        sizes: Mapped[list[Size]]
        holes: Mapped[list[int | None]]

        class Meta:
            table = "arrays_every"

    registry.tables()

TAGS = [["new", "Old"], ["new"], [], ['q"uo\\te', "a,b", "{x}", "NULL", "é", ""], ["old", "new", "new"]]
MARKS: list[list[int] | None] = [[1, 2, 3], [10], [], None, [1, 2]]


@pytest.fixture
def posts(configured: str, world: World) -> list[int]:
    world.run(lambda: create_tables(Post, Every), lambda: acreate_tables(Post, Every))
    made = [Post(tags=tags, marks=marks) for tags, marks in zip(TAGS, MARKS, strict=True)]
    world.call(Post.objects, "bulk_create", made)
    return [post.id for post in made]


def found(world: World, posts: list[int], *conditions: Any, **named: Any) -> list[int]:
    rows = Post.objects.filter(*conditions, **named).order_by("id").values_list("id", flat=True)
    return [posts.index(key) for key in world.iterate(rows)]


def test_arrays_come_back_as_they_were(world: World, posts: list[int]) -> None:
    rows = world.iterate(Post.objects.order_by("id"))
    assert [row.tags for row in rows] == TAGS
    assert [row.marks for row in rows] == MARKS


def every(**changed: Any) -> Any:
    values: dict[str, Any] = {
        "small": [-(2**15), 2**15 - 1],
        "big": [2**63 - 1, -(2**63)],
        "floats": [0.1, -1.5e300, 2.0, float("inf"), float("-inf")],
        "flags": [True, False],
        "texts": ["a", 'b"', "c\\", "\n", "{}", "null"],
        "days": [date(2020, 2, 29)],
        "times": [time(1, 2, 3, 4)],
        "moments": [datetime(2020, 1, 1, 12, 30, tzinfo=UTC)],
        "lengths": [timedelta(days=-3, microseconds=7)],
        "keys": [UUID(int=5)],
        "colours": [Colour.BLUE, Colour.RED],
        "sizes": [Size.LARGE],
        "holes": [1, None, 3],
    }
    return Every(**{**values, **changed})


def test_every_kind_of_item_is_kept_exactly_one_by_one_and_in_bulk(world: World, posts: list[int]) -> None:
    wanted = every().model_dump(exclude={"id"})
    world.call(every(), "save")
    world.call(Every.objects, "bulk_create", [every(), every()])
    rows = world.iterate(Every.objects.order_by("id"))
    assert [row.model_dump(exclude={"id"}) for row in rows] == [wanted] * 3
    assert isinstance(rows[0].colours[0], Colour)
    assert rows[0].moments[0].tzinfo is not None
    for name, value in wanted.items():
        if name != "holes":
            assert world.call(Every.objects.filter(**{f"{name}__contains": value[:1]}), "count") == 3, name
            assert world.call(Every.objects.filter(**{name: value}), "count") == 3, name
            assert world.iterate(Every.objects.values_list(f"{name}__0", flat=True)) == [value[0]] * 3, name


def test_changes_in_place_and_bulk_updates_are_written(world: World, posts: list[int]) -> None:
    rows = world.iterate(Post.objects.order_by("id"))
    rows[0].tags.append("more")
    world.call(rows[0], "save")
    rows[1].tags, rows[3].marks = ["x", 'y"'], [7]
    rows[0].marks = None
    world.call(Post.objects, "bulk_update", rows, ["tags", "marks"])
    again = world.iterate(Post.objects.order_by("id"))
    assert [row.tags for row in again[:2]] == [["new", "Old", "more"], ["x", 'y"']]
    assert [row.marks for row in again] == [None, [10], [], [7], [1, 2]]
    assert world.call(Post.objects.filter(marks=[7]), "update", marks=[8, 9], tags=[]) == 1
    assert world.call(Post.objects, "get", marks=[8, 9]).tags == []


def test_lookups_of_arrays(world: World, posts: list[int]) -> None:
    assert found(world, posts, tags__contains=["new"]) == [0, 1, 4]
    assert found(world, posts, tags__contains=["new", "old"]) == [4]
    assert found(world, posts, tags__contains=[]) == [0, 1, 2, 3, 4]
    assert found(world, posts, tags__contained_by=["new", "Old", "x"]) == [0, 1, 2]
    assert found(world, posts, tags__overlap=["Old", "old"]) == [0, 4]
    assert found(world, posts, tags__overlap=[]) == []
    assert found(world, posts, tags=["new"]) == [1]
    assert found(world, posts, tags=[]) == [2]
    assert found(world, posts, tags__in=[["new"], [], ["no"]]) == [1, 2]
    assert found(world, posts, tags__in=[]) == []
    assert found(world, posts, marks=None) == [3]
    assert found(world, posts, marks__isnull=False) == [0, 1, 2, 4]
    assert found(world, posts, ~Q(marks__contains=[1])) == [1, 2, 3]
    assert found(world, posts, marks__gt=[1, 2]) == [0, 1]
    assert found(world, posts, marks__range=([1], [1, 2])) == [4]
    assert found(world, posts, tags__ne=["new"]) == [0, 2, 3, 4]
    assert found(world, posts, marks__contains=F("marks")) == [0, 1, 2, 4]


def test_items_slices_and_lengths(world: World, posts: list[int]) -> None:
    assert found(world, posts, tags__0="new") == [0, 1]
    assert found(world, posts, tags__1__icontains="o") == [0]
    assert found(world, posts, marks__0__gte=2) == [1]
    assert found(world, posts, tags__0_2=["new", "Old"]) == [0]
    assert found(world, posts, tags__0_1__contains=["old"]) == [4]
    assert found(world, posts, tags__len=0) == [2]
    assert found(world, posts, tags__len__gt=2) == [3, 4]
    assert found(world, posts, marks__len__isnull=True) == [3]
    rows = Post.objects.order_by("id").values_list("tags__0", "marks__1_9", "marks__len")
    assert world.iterate(rows)[0] == ("new", [2, 3], 3)
    rows = Post.objects.order_by("id").values_list(F("tags")[0], F("marks")[1:9])
    assert world.iterate(rows)[0] == ("new", [2, 3])
    assert world.iterate(Post.objects.order_by("tags__len", "id").values_list("tags__len", flat=True)) == [
        0,
        1,
        2,
        3,
        6,
    ]


def test_typed_columns_ask_the_same(world: World, posts: list[int]) -> None:
    assert found(world, posts, Post.tags.contains(["new", "old"])) == [4]
    assert found(world, posts, Post.tags.contained_by(["new"])) == [1, 2]
    assert found(world, posts, Post.tags.overlaps(["Old"])) == [0]
    assert found(world, posts, Post.tags[0] == "new") == [0, 1]
    assert found(world, posts, Post.tags[1:] == ["Old"]) == [0]
    assert found(world, posts, Post.tags.length() > 2) == [3, 4]
    assert found(world, posts, Post.tags == ["new"]) == [1]


def test_arrays_are_ordered_item_by_item_and_grouped(world: World, posts: list[int]) -> None:
    rows = Post.objects.order_by("marks", "id").values_list("marks", flat=True)
    assert world.iterate(rows) == [[], [1, 2], [1, 2, 3], [10], None]
    groups = Post.objects.values("tags__0").annotate(n=Count("*")).order_by("-n", "tags__0")
    assert world.iterate(groups)[0] == {"tags__0": "new", "n": 2}


def test_what_is_no_array_is_refused_when_built(configured: str) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"tags__contains": "new"}, "cannot be compared with 'new'"),
        ({"tags__contains": [5]}, "tags__contains is array and cannot be compared with [5]"),
        ({"marks__overlap": [2**40]}, "less than 2147483648"),
        ({"tags__icontains": "x"}, "unknown lookup 'icontains' on 'tags' of Post"),
        ({"tags__lenn": 1}, "unknown lookup 'lenn'"),
        ({"tags__contains": F("marks")}, "an array of the same type"),
        ({"tags__contains": None}, "None cannot be compared by contains"),
        ({"tags__0": 5}, "cannot be compared with 5"),
    ]
    with assert_num_queries(0):
        for named, words in wrong:
            with pytest.raises((InvalidValue, FieldError)) as caught:
                Post.objects.filter(**named)
            assert words in str(caught.value), (named, str(caught.value))
        with pytest.raises(QueryError, match="places 0, 1, 2"):
            Post.tags[-1]
        with pytest.raises(QueryError, match="no steps"):
            Post.tags[::2]
        with pytest.raises(QueryError, match="is no array"):
            Post.id.overlaps([1])  # type: ignore[arg-type]  # pyright refuses it too
        with pytest.raises(ValidationError, match="no whole number of 32 bits"):
            Post(marks=[2**31])
        with pytest.raises(ValidationError, match="NaN is no number"):
            every(floats=[float("nan")])
        with pytest.raises(ValidationError, match="needs a time zone"):
            every(moments=[datetime(2020, 1, 1)])


def test_hostile_items_are_bound(world: World, posts: list[int]) -> None:
    hostile = ["'; drop table arrays_post; --", '"}', "\\", "%s", "%", "$1", "?", "{a,b}", "ARRAY[1]", "\t\n"]
    row = world.call(Post.objects, "create", tags=hostile)
    world.call(Post.objects, "bulk_create", [Post(tags=hostile)])
    assert world.call(Post.objects.filter(tags__contains=hostile), "count") == 2
    assert world.call(Post.objects, "get", id=row.id).tags == hostile
    assert all(text not in Post.objects.filter(tags__overlap=[text]).sql()[0] for text in hostile[:2])


def test_a_type_of_ones_own_that_is_kept_as_an_array_is_written_in_bulk(configured: str, world: World) -> None:
    world.run(lambda: create_tables(Poem), lambda: acreate_tables(Poem))
    poems = world.call(Poem.objects, "bulk_create", [Poem(words=Words(["a", 'b"'])), Poem(words=Words([]))])
    poems[1].words.words.append("c")
    assert world.call(Poem.objects, "bulk_update", poems) == 1
    read = [poem.words for poem in world.iterate(Poem.objects.order_by("id"))]
    assert read == [Words(["a", 'b"']), Words(["c"])]
