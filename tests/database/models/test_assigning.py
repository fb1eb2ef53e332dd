"""Expressions assigned to an instance: the database works them out when it is saved."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from datalayer import Excluded, F, Field, ForeignKey, Mapped, Model, ModelBase, Prefetch, Reverse, atomic
from datalayer.errors import FieldError, InvalidValue, QueryError
from datalayer.models import registry
from datalayer.testing import capture_queries, create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import World

with registry.isolated():

    class Bin(Model):
        size: Mapped[int] = Field(default=5)
        parts: ClassVar[Reverse[Part]]
        spares: ClassVar[Reverse[Part]]

        class Meta:
            table = "assigning_bin"

    class Part(Model):
        name: Mapped[str] = Field(default="nut", max_length=20)
        stock: Mapped[int] = Field(default=10)
        bin: ForeignKey[Bin | None] = ForeignKey(default=None, related_name="parts")
        spare: ForeignKey[Bin | None] = ForeignKey(default=None, related_name="spares")

        class Meta:
            table = "assigning_part"

    class Shelf(ModelBase):
        region: Mapped[str] = Field(max_length=5)
        number: Mapped[int]

        class Meta:
            table = "assigning_shelf"
            primary_key = ("region", "number")

    class Piece(ModelBase):
        region: Mapped[str] = Field(max_length=5)
        number: Mapped[int]
        shelf: ForeignKey[Shelf] = ForeignKey(fields=("region", "number"), related_name="+")

        class Meta:
            table = "assigning_piece"
            primary_key = ("region", "number")

    registry.tables()


@pytest.fixture
def part(configured: str, world: World) -> Part:
    world.run(lambda: create_tables(Bin, Part), lambda: acreate_tables(Bin, Part))
    place = world.call(Bin.objects, "create")
    found: Part = world.call(Part.objects, "create", bin=place)
    return found


def assign(part: Part, name: str, value: object) -> None:
    """Assigns what a type checker would refuse."""
    setattr(part, name, value)


def test_the_database_works_out_an_expression_when_the_instance_is_saved(part: Part, world: World) -> None:
    world.call(Part.objects.all(), "update", stock=70)
    assign(part, "stock", F("stock") - 1)
    world.call(part, "save")
    assert part.stock == 69


def test_an_expression_is_written_with_plain_values_in_one_statement(part: Part, world: World) -> None:
    assign(part, "stock", F("stock") + 2)
    part.name = "bolt"
    with capture_queries() as queries:
        world.call(part, "save")
    assert len(queries) == 1
    assert (part.name, part.stock) == ("bolt", 12)


def test_an_expression_is_worked_out_once(part: Part, world: World) -> None:
    assign(part, "stock", F("stock") + 2)
    world.call(part, "save")
    with capture_queries() as queries:
        world.call(part, "save")
    assert len(queries) == 0


def test_an_expression_may_be_a_typed_column(part: Part, world: World) -> None:
    assign(part, "stock", Part.stock * 3)
    world.call(part, "save")
    assert part.stock == 30


def test_an_expression_may_go_over_a_relation(part: Part, world: World) -> None:
    assign(part, "stock", F("bin__size"))
    world.call(part, "save")
    assert part.stock == 5


def test_a_key_may_be_an_expression(part: Part, world: World) -> None:
    assign(part, "spare_id", F("bin_id"))
    world.call(part, "save")
    world.call(part, "load", "spare", "bin")
    assert part.spare == part.bin


def test_fields_that_are_not_asked_for_keep_their_expression(part: Part, world: World) -> None:
    assign(part, "stock", F("stock") + 1)
    world.call(part, "save", update_fields=["name"])
    world.call(part, "save")
    assert part.stock == 11


def test_refresh_drops_an_expression(part: Part, world: World) -> None:
    assign(part, "stock", F("stock") + 1)
    world.call(part, "refresh")
    assert part.stock == 10


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("stock", F("stok"), FieldError, "did you mean 'stock'"),
        ("stock", F("name"), InvalidValue, "Part.stock is integer, not string"),
        ("stock", Excluded("stock"), QueryError, "only an upsert and bulk_update have"),
        ("id", F("stock"), QueryError, "the primary key says which row is meant"),
    ],
)
def test_a_wrong_expression_is_refused_when_it_is_assigned(
    part: Part, name: str, value: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        assign(part, name, value)
    assert part.stock == 10


def test_a_new_instance_takes_no_expression() -> None:
    with pytest.raises(InvalidValue, match="has none yet; give it a value, or save it first"):
        assign(Part(), "stock", F("stock") + 1)


@pytest.mark.parametrize("verb", ["bulk_update", "bulk_create"])
def test_bulk_writes_refuse_expressions_of_instances(part: Part, world: World, verb: str) -> None:
    assign(part, "stock", F("stock") + 1)
    arguments = [[part], ["stock"]] if verb == "bulk_update" else [[part]]
    with capture_queries() as queries, pytest.raises(InvalidValue, match=rf"{verb}\(\) needs values, and Part.stock"):
        world.call(Part.objects, verb, *arguments)
    assert len(queries) == 0


def test_a_copy_as_a_new_row_refuses_expressions(part: Part, world: World) -> None:
    assign(part, "stock", F("stock") + 1)
    with pytest.raises(InvalidValue, match="only save\\(\\) of a row that is there"):
        world.call(part, "save", force_insert=True)


def test_the_parts_of_a_composite_key_are_set_together() -> None:
    shelf = Shelf(region="north", number=1)
    shelf.pk = ("south", 2)
    assert (shelf.region, shelf.number) == ("south", 2)


@pytest.mark.parametrize("key", [5, ("south",), ("south", 2, 3), None])
def test_a_key_of_other_length_is_refused_with_its_parts(key: object) -> None:
    shelf = Shelf(region="north", number=1)
    with pytest.raises(InvalidValue, match=r"the primary key is a tuple \(region, number\)"):
        shelf.pk = key


def test_the_parts_of_a_composite_key_are_given_together() -> None:
    values: dict[str, Any] = {"pk": ("south", 2)}
    assert Shelf(**values).pk == ("south", 2)
    values["pk"] = 3
    with pytest.raises(ValidationError, match=r"is a tuple \(region, number\)"):
        Shelf(**values)


def test_a_key_with_a_wrong_part_changes_nothing() -> None:
    shelf = Shelf(region="north", number=1)
    with pytest.raises(ValidationError, match="number"):
        shelf.pk = ("south", "two")
    assert shelf.pk == ("north", 1)


def test_a_key_with_a_wrong_part_leaves_what_is_loaded(part: Part, world: World) -> None:
    piece = Piece(region="north", number=1, shelf=Shelf(region="north", number=1))
    shelf = piece.shelf
    with pytest.raises(ValidationError, match="number"):
        piece.pk = ("south", "two")
    with capture_queries() as sent:
        assert piece.shelf is shelf
    assert not sent


def test_a_row_is_read_again_among_those_of_a_query(part: Part, world: World) -> None:
    world.call(Part.objects.filter(id=part.id), "update", stock=3)
    world.call(part, "refresh", from_queryset=Part.objects.filter(stock=3))
    assert part.stock == 3
    with pytest.raises(Part.DoesNotExist):
        world.call(part, "refresh", from_queryset=Part.objects.filter(stock=4))


def test_a_row_is_read_again_with_relations_that_a_query_brings(part: Part, world: World) -> None:
    world.call(Bin.objects.all(), "update", size=9)
    bins = Bin.objects.prefetch_related("spares")
    query = Part.objects.select_related("bin").prefetch_related(Prefetch("spare", bins))
    world.call(Part.objects.all(), "update", spare=part.bin)
    world.call(part, "refresh", from_queryset=query)
    with capture_queries() as sent:
        assert part.bin is not None
        assert part.bin.size == 9
        assert part.spare == part.bin
        assert world.iterate(part.spare.spares) == [part]
    assert not sent
    world.call(Bin.objects.all(), "update", size=10)
    world.call(part, "refresh", fields=["bin"], from_queryset=Part.objects.select_related("bin"))
    with capture_queries() as sent:
        assert part.bin.size == 10
    assert not sent


class Undone(Exception):
    pass


def undone(world: World, steps: Callable[[], object]) -> None:
    """Does something in a transaction that is rolled back."""
    with contextlib.suppress(Undone), world.enter(atomic()):
        steps()
        raise Undone


def test_an_expression_is_worked_out_anew_after_a_rollback(part: Part, world: World) -> None:
    assign(part, "stock", F("stock") + 1)
    undone(world, lambda: world.call(part, "save"))
    world.call(Part.objects.all(), "update", stock=50)
    world.call(part, "save")
    assert part.stock == 51
    assert world.call(Part.objects, "get").stock == 51


def test_what_was_assigned_after_an_expression_outlives_a_rollback(part: Part, world: World) -> None:
    def steps() -> None:
        assign(part, "stock", F("stock") + 1)
        world.call(part, "save")
        part.stock = 3

    undone(world, steps)
    assert part.stock == 3
    undone(world, lambda: (steps(), world.call(part, "save")))
    world.call(part, "save")
    assert world.call(Part.objects, "get").stock == 3


def test_bulk_update_brings_the_same_value_again_after_a_rollback(part: Part, world: World) -> None:
    part.stock = 3

    def steps() -> None:
        world.call(Part.objects, "bulk_update", [part], {"stock": F("stock") + Excluded("stock")})
        assert part.stock == 13

    undone(world, steps)
    assert part.stock == 3
    steps()
    assert world.call(Part.objects, "get").stock == 13


def test_an_upsert_brings_the_same_value_again_after_a_rollback(part: Part, world: World) -> None:
    again = Part(id=part.id, name="nut", stock=3)

    def steps() -> None:
        add = {"stock": F("stock") + Excluded("stock")}
        world.call(Part.objects, "bulk_create", [again], on_conflict=("id",), update=add)
        assert again.stock == 13

    undone(world, steps)
    assert again.stock == 3
    steps()
    assert world.call(Part.objects, "get").stock == 13


def test_only_a_query_for_whole_rows_of_the_model_reads_one_again(part: Part, world: World) -> None:
    for wrong in (Bin.objects.all(), Part.objects.values("name"), Part.objects.all()[:1], "Part"):
        with capture_queries() as queries, pytest.raises(QueryError, match="from_queryset"):
            world.call(part, "refresh", from_queryset=wrong)
        assert len(queries) == 0


def test_fields_that_did_not_come_with_the_row_are_told(part: Part, world: World) -> None:
    assert part.get_deferred_fields() == set()
    found = world.call(Part.objects.only("name"), "get", id=part.id)
    assert found.get_deferred_fields() == {"stock", "bin_id", "spare_id"}
    assert Part().get_deferred_fields() == set()
