"""`Field(collation=...)`: how text compares, is ordered and is unique by the database."""

from __future__ import annotations

from typing import Any

import pytest

from datalayer import CASCADE, Field, ForeignKey, Mapped, Model, ModelBase, OneToOne, PrimaryKey, UniqueConstraint
from datalayer.errors import DatabaseError, ModelError, QueryError, UniqueViolation
from datalayer.models import registry
from datalayer.testing import acreate_tables, assert_num_queries, create_tables, isolated_models
from tests.worlds import World

BOTH = {"sqlite": "NOCASE", "postgresql": "C"}

with registry.isolated():

    class Tag(ModelBase):
        code: Mapped[str] = PrimaryKey(max_length=20, collation={"sqlite": "NOCASE", "postgresql": "C"})

        class Meta:
            table = "collated_tag"

    class Word(Model):
        text: Mapped[str] = Field(max_length=20, unique=True, collation=BOTH)
        plain: Mapped[str] = Field(default="", collation={"sqlite": "BINARY", "postgresql": "C"})
        times: Mapped[int] = Field(default=0)
        lang: Mapped[str | None] = Field(default=None, collation={"sqlite": "NOCASE"})
        tag: ForeignKey[Tag | None] = ForeignKey(on_delete=CASCADE, default=None, related_name="words")

        class Meta:
            table = "collated_word"
            constraints = (UniqueConstraint("lang", nulls_distinct=False, name="one_lang"),)

    class Note(ModelBase):
        tag: OneToOne[Tag] = OneToOne(on_delete=CASCADE, primary_key=True, related_name="note")

        class Meta:
            table = "collated_note"

    registry.tables()


@pytest.fixture
def tables(configured: str, world: World) -> None:
    world.run(lambda: create_tables(Tag, Word, Note), lambda: acreate_tables(Tag, Word, Note))


def add(world: World, *texts: str) -> None:
    for number, text in enumerate(texts):
        world.call(Word.objects, "create", text=text, plain=text, lang=f"l{number}")


def test_rows_are_ordered_by_the_collation(tables: None, world: World, backend: str) -> None:
    add(world, "b", "C", "a")
    by_text = ["a", "b", "C"] if backend == "sqlite" else ["C", "a", "b"]
    assert world.iterate(Word.objects.order_by("text").values_list("text", flat=True)) == by_text
    assert world.iterate(Word.objects.order_by("plain").values_list("plain", flat=True)) == ["C", "a", "b"]


def test_values_compare_by_the_collation(tables: None, world: World, backend: str) -> None:
    add(world, "b", "C")
    found = world.iterate(Word.objects.filter(text="B").values_list("plain", flat=True))
    assert found == (["b"] if backend == "sqlite" else [])
    found = world.iterate(Word.objects.filter(text__lt="a").values_list("plain", flat=True))
    assert found == ([] if backend == "sqlite" else ["C"])
    assert world.iterate(Word.objects.filter(plain__lt="a").values_list("plain", flat=True)) == ["C"]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_value_of_other_case_is_not_unique_on_sqlite(tables: None, world: World) -> None:
    add(world, "b")
    with pytest.raises(UniqueViolation) as caught:
        world.call(Word.objects, "create", text="B", lang="x")
    assert caught.value.columns == ("text",)


def test_an_upsert_finds_the_row_by_the_collation(tables: None, world: World, backend: str) -> None:
    add(world, "b")
    again = "B" if backend == "sqlite" else "b"
    world.call(
        Word.objects, "bulk_create", [Word(text=again, times=7, lang="x")], on_conflict=("text",), update=("times",)
    )
    assert world.iterate(Word.objects.values_list("text", "times")) == [("b", 7)]


def test_an_upsert_by_a_constraint_for_which_nulls_are_alike_finds_it_too(tables: None, world: World) -> None:
    for times in (1, 2):
        rows = [Word(text=f"w{times}", times=times), Word(text=f"v{times}", times=times, lang="de")]
        world.call(Word.objects, "bulk_create", rows, on_conflict=("lang",), update=("times",))
    assert sorted(world.iterate(Word.objects.values_list("text", "times"))) == [("v1", 2), ("w1", 2)]


def test_a_key_that_refers_to_text_has_its_collation() -> None:
    collation = ("NOCASE", "C")
    found: list[Any] = [Tag.objects.filter().query.table, Word.objects.filter().query.table]
    assert found[0].fields["code"].type.collation == found[1].fields["tag_id"].type.collation == collation
    assert Note.objects.filter().query.table.fields["tag_id"].type.collation == collation


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_key_of_other_case_refers_to_the_row_and_is_found_from_it_on_sqlite(tables: None, world: World) -> None:
    world.call(Tag.objects, "create", code="Blue")
    world.call(Word.objects, "create", text="sky", tag_id="BLUE")
    assert world.iterate(Word.objects.filter(tag__code="blue").values_list("text", flat=True)) == ["sky"]
    word = world.call(Word.objects.prefetch_related("tag"), "get", text="SKY")
    assert word.tag is not None
    assert word.tag.code == "Blue"
    tag = world.call(Tag.objects.prefetch_related("words"), "get", code="blue")
    assert [one.tag_id for one in world.iterate(tag.words.all())] == ["BLUE"]


def test_a_collation_that_the_database_lacks_is_told_with_those_it_has(
    configured: str, world: World, backend: str
) -> None:
    with isolated_models():

        class Odd(Model):
            name: Mapped[str] = Field(collation='no"where; -- %s')

        with pytest.raises(DatabaseError) as caught:
            world.run(lambda: create_tables(Odd), lambda: acreate_tables(Odd))
    assert 'no"where; -- %s' in str(caught.value).replace('""', '"')
    cure = "BINARY, NOCASE and RTRIM" if backend == "sqlite" else "SELECT collname FROM pg_collation"
    assert cure in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "collation", "message"),
    [
        (int, "C", "Bad.it has collation='C', and integer has none, only text; take it away"),
        (list[str], "C", "and array has none, only text"),
        (str, "", "none is called ''"),
        (str, "a\0b", "none is called"),
        (str, "x" * 64, "none is called"),
        (str, 5, "collation=5; give the name of one"),
        (str, {}, "give the name of one"),
        (str, {"postgres": "C"}, "the choices are .*; did you mean 'postgresql'"),
        (str, {"sqlite": None}, "none is called None"),
    ],
)
def test_what_is_no_collation_of_the_column_is_refused_with_the_model(
    annotation: Any, collation: Any, message: str
) -> None:
    with pytest.raises(ModelError, match=message), assert_num_queries(0), isolated_models():

        class Bad(Model):
            __annotations__ = {"it": Mapped[annotation]}
            it = Field(collation=collation)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_rows_of_an_upsert_are_told_apart_by_the_collation_on_sqlite(tables: None, world: World) -> None:
    for text, times in (("ABC", 1), ("DEF", 9)):
        world.call(Word.objects, "create", text=text, times=times, lang=text)
    rows = [Word(text=text, times=5, lang=text) for text in ("abc", "def", "x")]
    found = world.call(
        Word.objects, "bulk_create", rows, on_conflict=("text",), update=("times",), where=Word.times < 5
    )
    texts = [[row.text for row in some] for some in (found.updated, found.skipped, found.inserted)]
    assert texts == [["ABC"], ["def"], ["x"]]
    assert found.updated[0].times == 5
    with pytest.raises(QueryError, match="two rows with the same text"):
        world.call(
            Word.objects, "bulk_create", [Word(text="q"), Word(text="Q")], on_conflict=("text",), update=["times"]
        )
