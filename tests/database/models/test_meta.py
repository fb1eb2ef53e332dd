"""What `class Meta` says about queries: their order, and what `latest()` goes by."""

from __future__ import annotations

from typing import ClassVar

import pytest

from datalayer import F, Field, ForeignKey, Manager, Mapped, Model
from datalayer.errors import ModelError, QueryError
from datalayer.models import registry
from datalayer.testing import create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import World

with registry.isolated():

    class Place(Model):
        name: Mapped[str] = Field(max_length=10)
        height: Mapped[int | None] = Field(default=None)
        over: ForeignKey[Place | None] = ForeignKey(default=None, related_name="under")

        class Meta:
            table = "meta_place"
            ordering = (F("height").desc(nulls="last"), "name")
            get_latest_by = "height"

    class Seen(Place):
        objects: ClassVar[Manager[Seen]] = Manager()  # type: ignore[assignment]

        class Meta:
            proxy = True
            ordering = (F("over__height") + F("height"),)
            get_latest_by = ("-name",)

    registry.tables()


@pytest.fixture(autouse=True)
def places(configured: str, world: World) -> None:
    world.run(lambda: create_tables(Place), lambda: acreate_tables(Place))
    top = world.call(Place.objects, "create", name="b", height=1)
    for name, height in (("c", 3), ("a", None)):
        world.call(Place.objects, "create", name=name, height=height, over=top)


def test_meta_orders_by_an_expression(world: World) -> None:
    assert [row.name for row in world.iterate(Place.objects.all())] == ["c", "b", "a"]
    assert [row.name for row in world.iterate(Place.objects.reverse())] == ["a", "b", "c"]
    assert world.call(Place.objects, "first").name == "c"
    assert world.call(Place.objects, "last").name == "a"


def test_values_of_several_queries_need_no_columns_of_the_order_of_meta(world: World) -> None:
    low, high = [Place.objects.filter(name=name).values_list("name", flat=True) for name in ("a", "b")]
    assert sorted(world.iterate(low.union(high))) == ["a", "b"]
    assert not low.union(high).ordered
    both = [query.values_list("name", "height") for query in (Place.objects.filter(name="b"), Place.objects.all())]
    assert world.iterate(both[0].union(both[1])) == [("c", 3), ("b", 1), ("a", None)]


def test_a_proxy_orders_by_an_expression_over_a_relation(world: World) -> None:
    assert world.call(Seen.objects.filter(height=3), "first").name == "c"


def test_latest_goes_by_what_meta_says(world: World) -> None:
    assert world.call(Place.objects, "latest").name == "c"
    assert world.call(Place.objects, "earliest").name == "b"
    assert world.call(Place.objects, "latest", "name").name == "c"
    assert world.call(Seen.objects, "latest").name == "a"


def test_latest_of_a_model_that_does_not_say_is_refused(world: World) -> None:
    with registry.isolated():

        class Plain(Model):
            pass

        with pytest.raises(QueryError, match=r"latest\(\) needs to know by what: .* or get_latest_by = "):
            world.call(Plain.objects, "latest")


@pytest.mark.parametrize("option", ["ordering", "get_latest_by"])
def test_an_expression_of_meta_over_what_is_not_there_is_refused(option: str) -> None:
    with registry.isolated():
        meta = type("Meta", (), {option: (F("heigt").desc(),)})
        type(Model)("Plain", (Model,), {"__module__": __name__, "__annotations__": {"height": int}, "Meta": meta})
        with pytest.raises(ModelError, match=rf"Plain.Meta.{option}: .*'heigt'.*did you mean 'height'"):
            registry.tables()
