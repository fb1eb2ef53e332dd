"""Annotations declared on the model: typed columns of annotated queries, typed values on their rows."""

from __future__ import annotations

import copy
import pickle
from typing import Any, ClassVar

import pytest

from datalayer import (
    Annotation,
    Case,
    Count,
    F,
    Field,
    ForeignKey,
    Manager,
    Mapped,
    Max,
    Model,
    Q,
    Subquery,
    Value,
    When,
)
from datalayer.errors import ModelError, QueryError
from datalayer.functions import Coalesce, Length
from datalayer.models import registry
from datalayer.testing import acreate_tables, assert_num_queries, create_tables
from tests.worlds import World

with registry.isolated():

    class Writer(Model):
        name: Mapped[str] = Field(max_length=20)
        works: ClassVar[Annotation[int]]
        last: ClassVar[Annotation[str | None]]

        class Meta:
            table = "annotation_writer"

    class Work(Model):
        title: Mapped[str] = Field(max_length=20)
        writer: ForeignKey[Writer] = ForeignKey(related_name="all_works")

        class Meta:
            table = "annotation_work"

    class ShownWriter(Writer):
        """A proxy."""

        shown: ClassVar[Annotation[int]]
        objects: ClassVar[Manager[ShownWriter]] = Manager()

        class Meta:
            proxy = True

    registry.tables()


@pytest.fixture
def writers(world: World, configured: str) -> Any:
    world.run(lambda: create_tables(Writer, Work), lambda: acreate_tables(Writer, Work))
    for name, titles in (("Ann", "ab"), ("Bob", "c"), ("Cid", "")):
        writer = world.call(Writer.objects, "create", name=name)
        for title in titles:
            world.call(Work.objects, "create", title=title, writer=writer)
    return Writer.objects.annotate(works=Count("all_works"), last=Max("all_works__title")).order_by("name")


def test_a_row_has_what_its_query_computed(world: World, writers: Any) -> None:
    rows = world.iterate(writers)
    assert [(row.works, row.last) for row in rows] == [(2, "b"), (1, "c"), (0, None)]
    assert "works" not in rows[0].model_dump()
    assert copy.copy(rows[0]).works == 2
    assert pickle.loads(pickle.dumps(rows[0].last)) == "b"


def test_other_rows_have_none(world: World, writers: Any) -> None:
    row = world.call(Writer.objects, "get", name="Ann")
    with pytest.raises(AttributeError, match=r"this Writer has no works: its query did not annotate\(works=\.\.\.\)"):
        _ = row.works
    assert not hasattr(row, "last")


def test_an_annotation_is_a_column(world: World, writers: Any) -> None:
    found = writers.filter(Writer.works >= 1, Writer.last.startswith("b") | Writer.last.is_null())
    assert world.iterate(found.values_list("name", flat=True)) == ["Ann"]
    assert world.iterate(
        writers.filter(Q(name="Cid") | (Writer.works == 1)).values_list(Writer.name, Writer.works)
    ) == [
        ("Bob", 1),
        ("Cid", 0),
    ]
    assert world.iterate(writers.order_by(Writer.works.desc()).values("name", Writer.works)) == [
        {"name": "Ann", "works": 2},
        {"name": "Bob", "works": 1},
        {"name": "Cid", "works": 0},
    ]
    assert world.call(writers.filter(Writer.works.between(1, 2), Writer.works + 1 > 2), "get").name == "Ann"


def test_a_query_that_does_not_annotate_refuses_it() -> None:
    with assert_num_queries(0):
        with pytest.raises(QueryError, match=r"Writer\.works is computed by a query, .*: annotate\(works=\.\.\.\)"):
            Writer.objects.filter(Writer.works > 1)
        with pytest.raises(QueryError, match=r"Writer has 'name' already"):
            Writer.objects.annotate(name=Count("all_works"))


def test_a_proxy_has_its_own_and_those_of_its_model(world: World, writers: Any) -> None:
    row = world.call(ShownWriter.objects.annotate(shown=Count("*"), works=Count("all_works")), "get", name="Ann")
    assert (row.shown, row.works) == (1, 2)


def test_a_name_that_hides_the_model_is_refused() -> None:
    with registry.isolated(), pytest.raises(ModelError, match=r"Bad\.save hides Model\.save"):

        class Bad(Model):
            save: ClassVar[Annotation[int]]  # type: ignore[assignment]  # that is the mistake


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Max("all_works__title"), r"annotate\(works=\.\.\.\) is text|is string"),
        (Max("all_works__id"), r"may be None, and Writer\.works is declared Annotation\[int\]; declare .*int \| None"),
        (F("all_works__id"), r"may be None"),
        (Subquery(Work.objects.values("id")[:1]), r"may be None"),
        (Case(When(name="x", then=Value(1))), r"may be None"),
    ],
)
def test_a_value_of_another_type_than_declared_is_refused(value: Any, message: str) -> None:
    with assert_num_queries(0), pytest.raises(QueryError, match=message):
        Writer.objects.annotate(works=value)


@pytest.mark.parametrize(
    "value",
    [Max("all_works__id", default=0), Coalesce(Max("all_works__id"), 0), Length("name"), F("id"), Count("*")],
)
def test_a_value_of_the_declared_type_passes(value: Any) -> None:
    assert "works" in dict(Writer.objects.annotate(works=value).query.annotations)
    assert "last" in dict(Writer.objects.annotate(last=F("all_works__title")).query.annotations)
