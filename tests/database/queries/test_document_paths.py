"""JSON by names: `data__size__pages__gt=5`, with the same answers on both backends and as the typed columns give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import datalayer
from datalayer import Count, F, Field, Mapped, Max, Min, Model, OuterRef, Q, Subquery, Value, Window, pools
from datalayer.conf import reset
from datalayer.errors import FieldError, InvalidValue, QueryError
from datalayer.functions import Cast, Rank
from datalayer.models import registry
from datalayer.testing import acreate_tables, assert_num_queries, create_tables
from tests.worlds import World

with registry.isolated():

    class Note(Model):
        title: Mapped[str] = Field(default="")
        size: Mapped[int] = Field(default=0)
        kept: Mapped[bool] = Field(default=False)
        data: Mapped[Any] = Field(default=None)

        class Meta:
            table = "document_paths_note"

    registry.tables()

DATA: list[Any] = [
    {"size": {"pages": 12, "long": True}, "tags": ["new", "Old"], "name": "Atlas", "gone": None},
    {"size": {"pages": 5.0}, "tags": ["old"], "name": "birds"},
    {"size": {"pages": "12"}, "tags": [], "name": 7},
    {"size": {"pages": None}, "name": None, "range": 1, "year": 2020},
    {"size": [1, 2], "name": ["Atlas"]},
    None,
]


@pytest.fixture
def notes(configured: str, world: World) -> list[int]:
    world.run(lambda: create_tables(Note), lambda: acreate_tables(Note))
    made = [Note(data=data, title="Atlas", size=12, kept=True) for data in DATA]
    world.call(Note.objects, "bulk_create", made)
    return [note.id for note in made]


def found(world: World, notes: list[int], *conditions: Any, **named: Any) -> list[int]:
    rows = Note.objects.filter(*conditions, **named).order_by("id").values_list("id", flat=True)
    return [notes.index(key) for key in world.iterate(rows)]


def test_a_path_leads_to_a_value_of_any_depth(world: World, notes: list[int]) -> None:
    assert found(world, notes, data__size__pages=12) == [0]
    assert found(world, notes, data__size__pages=5) == [1]  # 5.0 is 5
    assert found(world, notes, data__size__pages="12") == [2]
    assert found(world, notes, data__tags__0="new") == [0]
    assert found(world, notes, data__size__1=2) == [4]
    assert found(world, notes, data__size__long=True) == [0]
    assert found(world, notes, data__size__pages__in=[12, "12", None]) == [0, 2, 3]
    assert found(world, notes, data__size={"long": True, "pages": 12}) == [0]
    assert found(world, notes, data__nothing=1) == []


def test_numbers_are_ordered_with_numbers_and_texts_with_texts(world: World, notes: list[int]) -> None:
    assert found(world, notes, data__size__pages__gt=4) == [0, 1]
    assert found(world, notes, data__size__pages__lte=5.0) == [1]
    assert found(world, notes, data__size__pages__range=(5, Decimal(12))) == [0, 1]
    assert found(world, notes, data__size__pages__gt="1") == [2]
    assert found(world, notes, Note.data["size"]["pages"] > 4) == [0, 1]
    assert found(world, notes, Note.data["size"]["pages"].between(6, 20)) == [0]
    assert found(world, notes, data__size__pages__lt=2**70) == [0, 1]


def test_text_is_searched_in_strings_only(world: World, notes: list[int]) -> None:
    assert found(world, notes, data__name__icontains="A") == [0]
    assert found(world, notes, data__name__startswith="b") == [1]
    assert found(world, notes, data__name__iexact="ATLAS") == [0]
    assert found(world, notes, data__name__regex="^.[a-z]{4}$") == [0, 1]
    assert found(world, notes, data__tags__1__istartswith="o") == [0]


def test_containment_and_keys_by_name(world: World, notes: list[int]) -> None:
    assert found(world, notes, data__contains={"tags": ["old"]}) == [1]
    assert found(world, notes, data__size__contains={"pages": 12}) == [0]
    assert found(world, notes, data__tags__contains="new") == [0]
    assert found(world, notes, data__tags__contained_by=["new", "old", "Old"]) == [0, 1, 2]
    assert found(world, notes, data__has_key="gone") == [0]
    assert found(world, notes, data__size__has_keys=["pages", "long"]) == [0]
    assert found(world, notes, data__has_any_keys=["range", "gone"]) == [0, 3]


def test_json_null_a_missing_key_and_sql_null_are_three_things(world: World, notes: list[int]) -> None:
    assert found(world, notes, data__name=None) == [3]
    assert found(world, notes, Note.data["name"] == None) == [3]  # noqa: E711
    assert found(world, notes, data__gone=None) == [0]
    assert found(world, notes, data__gone__isnull=True) == [1, 2, 3, 4, 5]
    assert found(world, notes, Note.data["gone"].is_not_null()) == [0]
    assert found(world, notes, data__name__ne=None) == [0, 1, 2, 4]
    assert found(world, notes, data__isnull=True) == [5]
    assert found(world, notes, data=None) == [5]
    assert found(world, notes, Note.data["size"]["pages"].in_([None])) == [3]


def test_exclude_keeps_rows_without_the_key(world: World, notes: list[int]) -> None:
    assert found(world, notes, ~Q(data__size__pages__gt=4)) == [2, 3, 4, 5]
    assert found(world, notes, ~Q(data__name="Atlas")) == [1, 2, 3, 4, 5]


def test_other_columns_are_compared_with_json(world: World, notes: list[int]) -> None:
    assert found(world, notes, data__name=F("title")) == [0]
    assert found(world, notes, title=F("data__name")) == [0]
    assert found(world, notes, title=F("data")["name"]) == [0]
    assert found(world, notes, data__size__pages__lte=F("size")) == [0, 1]
    assert found(world, notes, size=F("data__size__pages")) == [0]
    assert found(world, notes, data__size__long=F("kept")) == [0]
    assert found(world, notes, data__size__pages=F("data__size__pages")) == [0, 1, 2, 3]


def test_order_is_that_of_json_on_both_backends(world: World, notes: list[int]) -> None:
    rows = world.iterate(Note.objects.order_by("data__size__pages", "id").values_list("data__size__pages", flat=True))
    assert rows == [None, "12", 5, 12, None, None]  # null, text, numbers, then what is missing
    backwards = Note.objects.filter(data__name__isnull=False).order_by(Note.data["name"].desc(), "id")
    assert [note.data["name"] for note in world.iterate(backwards)] == [["Atlas"], 7, "birds", "Atlas", None]


def test_paths_are_values_groups_and_annotations(world: World, notes: list[int]) -> None:
    rows = Note.objects.filter(data__size__pages__isnull=False).order_by("id")
    assert world.iterate(rows.values("data__size__pages"))[0] == {"data__size__pages": 12}
    assert world.iterate(rows.values_list("data__range", "data__tags__0"))[0] == (None, "new")
    assert world.iterate(rows.values_list(Note.data["range"], flat=True))[3] == 1
    groups = Note.objects.values("data__tags__0").annotate(n=Count("*")).order_by("-n", "data__tags__0")
    assert [(row["data__tags__0"], row["n"]) for row in world.iterate(groups)] == [(None, 4), ("new", 1), ("old", 1)]
    dear = Note.objects.annotate(pages=F("data__size__pages")).filter(pages__gt=5)
    assert [note.pages for note in world.iterate(dear)] == [12]
    assert world.call(Note.objects, "aggregate", m=Max(Cast("data__range", int))) == {"m": 1}
    placed = Note.objects.annotate(place=Window(Rank(), partition_by="data__size__long", order_by="data__name"))
    assert {note.place for note in world.iterate(placed)} == {1, 2, 3, 4, 5}


def test_a_key_called_as_a_lookup_is_reached_by_the_column_or_by_exact(world: World, notes: list[int]) -> None:
    assert found(world, notes, Note.data["range"] == 1) == [3]
    assert found(world, notes, data__range__exact=1) == [3]
    assert found(world, notes, data__year=2020) == [3]
    assert world.iterate(Note.objects.filter(id=notes[3]).values_list("data__range", flat=True)) == [1]


def test_paths_of_annotations_and_over_queries(world: World, notes: list[int]) -> None:
    inner = Note.objects.filter(data__size__pages=OuterRef("size")).values("data__name")[:1]
    assert world.iterate(Note.objects.annotate(name=Subquery(inner)).values_list("name", flat=True))[0] == "Atlas"
    tops = Note.objects.annotate(extent=F("data__size")).filter(extent__pages__gte=12)
    assert len(world.iterate(tops)) == 1


HOSTILE = ['a"b', "a'b", "a%b", "a%sb", "a\\", "$", "{0}", "a b", "a;drop table document_paths_note", "é\n", "-1", "?"]


def test_hostile_keys_are_bound(world: World, notes: list[int]) -> None:
    row = world.call(Note.objects, "create", data={key: {"x": place} for place, key in enumerate(HOSTILE)})
    for place, key in enumerate(HOSTILE):
        assert world.call(Note.objects, "get", **{f"data__{key}__x": place}) == row
        assert world.call(Note.objects.filter(**{f"data__{key}__has_key": "x"}), "count") == 1
        assert world.iterate(Note.objects.filter(id=row.id).values(f"data__{key}__x")) == [{f"data__{key}__x": place}]
        assert key not in Note.objects.filter(**{f"data__{key}__x": place}).sql()[0] or key in "$?"
        assert world.iterate(Note.objects.filter(id=row.id).order_by(f"data__{key}"))


documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, -1.25, 2.0, 1e300])
    | st.sampled_from(["", "a", "B", "é", "ab"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "bb", "é", "0"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(documents, min_size=2, max_size=8), sought=documents)
def test_random_documents_are_equal_and_sorted_as_postgresql_has_them(
    ask_both: Callable[[list[Any], Any], list[Any]], values: list[Any], sought: Any
) -> None:
    sqlite, postgresql = ask_both(values, sought)
    assert sqlite == postgresql


@pytest.fixture
def ask_both(sqlite_url: str, postgresql_url: str) -> Iterator[Callable[[list[Any], Any], list[Any]]]:
    """The same documents in both databases: their order, those that equal one, and those that contain it."""
    datalayer.configure(databases={"default": sqlite_url, "other": postgresql_url})
    for alias in ("default", "other"):
        create_tables(Note, using=alias)

    def ask(values: list[Any], sought: Any) -> list[Any]:
        answers: list[Any] = []
        for alias in ("default", "other"):
            rows = Note.objects.using(alias)
            rows.all().delete()
            rows.bulk_create([Note(title=str(place), data={"v": value}) for place, value in enumerate(values)])
            answers.append(
                [
                    [row.title for row in rows.order_by("data__v", "title")],
                    [row.title for row in rows.filter(data__v=sought).order_by("title")],
                    [row.title for row in rows.filter(data__v__contains=sought).order_by("title")],
                    [row.title for row in rows.filter(data__v__in=[sought, 1]).order_by("title")],
                ]
            )
        return answers

    try:
        yield ask
    finally:
        pools.close_all()
        pools.reset()
        reset()


def test_wrong_values_of_json_are_refused_when_built(configured: str) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"data__size__gt": None}, "None cannot be compared by gt"),
        ({"data__size__gt": [1]}, "data__size__gt: gt compares JSON with a number or a text, not [1]"),
        ({"data__size__gt": True}, "a number or a text, not True"),
        ({"data__size__gt": float("nan")}, "JSON has no NaN"),
        ({"data__size": {1, 2}}, "not JSON serializable"),
        ({"data__size": float("inf")}, "not JSON compliant"),
        ({"data__name__icontains": 5}, "icontains needs text, not 5"),
        ({"data__has_key": 5}, "a key is text, not 5"),
        ({"data__has_keys": "abc"}, "keys are a list of texts"),
        ({"data__size__range": (1, "a")}, "two numbers or two texts"),
        ({"data__size__range": 5}, "range needs a pair"),
        ({"data__a": "\0"}, "no zero byte"),
        ({"data__a\0": 1}, "no zero byte"),
        ({"data__99999999999": 1}, "an array has no such place"),
        ({"data__name__gt": F("kept")}, "cannot be compared with a boolean by gt"),
        ({"title__has_key": "a"}, "unknown lookup 'has_key' on 'title' of Note"),
    ]
    with assert_num_queries(0):
        for named, words in wrong:
            with pytest.raises((InvalidValue, FieldError)) as caught:
                Note.objects.filter(**named)
            assert words in str(caught.value), (named, str(caught.value))
        with pytest.raises(FieldError, match="unknown lookup ''"):
            Note.objects.filter(data____a=1)
        with pytest.raises(QueryError, match="json"):
            Note.objects.annotate(x=F("data__size") + 1)
        with pytest.raises(QueryError, match="json"):
            Note.objects.aggregate(Min("data__size"))
        with pytest.raises(QueryError, match="nothing may follow it"):
            Note.objects.only("data__size")


def test_cast_reads_what_json_has_as_text(world: World, notes: list[int]) -> None:
    rows = Note.objects.filter(data__size__pages__gte=0).annotate(pages=Cast("data__size__pages", float)).order_by("id")
    assert [row.pages for row in world.iterate(rows)] == [12.0, 5.0]
    assert world.call(Note.objects.filter(data__size__pages=Value("12")), "count") == 1
