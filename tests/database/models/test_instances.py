"""What an instance is: the row it stands for, what changed of it, and what becomes of it as a copy or as JSON."""

from __future__ import annotations

import copy
import pickle
import re
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

import pytest
from pydantic import BaseModel, PrivateAttr, ValidationError, model_validator

from datalayer import (
    Field,
    ForeignKey,
    Manager,
    Mapped,
    Model,
    ModelBase,
    PrimaryKey,
    Reverse,
    UUIDModel,
)
from datalayer.errors import FieldError, FieldNotLoaded, InvalidValue, NotUpdated, QueryError, UniqueViolation
from datalayer.models import registry
from datalayer.testing import capture_queries, create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import World


class Size(BaseModel):
    width: int
    marks: list[str] = []


with registry.isolated():

    class Shelf(Model):
        name: Mapped[str] = Field(max_length=20)
        things: ClassVar[Reverse[Thing]]

        class Meta:
            table = "instances_shelf"

    class Thing(Model):
        name: Mapped[str] = Field(max_length=20)
        price: Mapped[Decimal] = Field(default=Decimal(1), max_digits=8, decimal_places=2)
        tags: Mapped[list[str]] = Field(default_factory=list)
        size: Mapped[Size | None] = Field(default=None)
        more: Mapped[dict[str, Any]] = Field(default_factory=dict)
        shelf: ForeignKey[Shelf | None] = ForeignKey(default=None, related_name="things")

        class Meta:
            table = "instances_thing"
            ordering = ("id",)

    class Span(Model):
        low: Mapped[int]
        high: Mapped[int]

        class Meta:
            table = "instances_span"

        @model_validator(mode="after")
        def _in_order(self) -> Span:
            if self.low > self.high:
                raise ValueError("low is above high")
            return self

    class Ticket(UUIDModel):
        seat: Mapped[str] = Field(max_length=5)

        class Meta:
            table = "instances_ticket"

    class Code(ModelBase):
        code: Mapped[str] = PrimaryKey(max_length=5)
        note: Mapped[str] = Field(default="")

        class Meta:
            table = "instances_code"

    class NoteManager(Manager["Note"]):
        def urgent(self) -> NoteManager:
            return self.filter(Note.urgent == True)  # noqa: E712

    class Note(Model):
        text: Mapped[str] = Field(default="")
        urgent: Mapped[bool] = Field(default=False)

        objects: ClassVar[NoteManager] = NoteManager()
        every: ClassVar[Manager[Note]] = Manager()

        class Meta:
            table = "instances_note"

    registry.tables()

MODELS = (Shelf, Thing, Span, Ticket, Code, Note)


@pytest.fixture
def tables(configured: str, world: World) -> str:
    world.run(lambda: create_tables(*MODELS), lambda: acreate_tables(*MODELS))
    return configured


def written(sent: Any) -> list[str]:
    """The columns that the one UPDATE sets."""
    (statement,) = sent
    assignments = re.search(r" SET (.*?) WHERE ", statement.sql)
    assert assignments is not None
    return re.findall(r"(\w+)\"?\s*=", assignments[1])


# -- identity --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("tables")
def test_two_instances_of_one_row_are_equal_and_hash_the_same(world: World) -> None:
    one = world.call(Thing.objects, "create", name="a")
    two = world.call(Thing.objects, "get", id=one.id)
    two.name = "b"
    assert one == two
    assert len({one, two}) == 1
    assert one != world.call(Thing.objects, "create", name="a")
    assert one != world.call(Shelf.objects, "create", name="a")


def test_instances_without_a_row_are_equal_to_themselves_only() -> None:
    one, two = Thing(name="a"), Thing(name="a")
    assert one == one
    assert one != two
    assert len({one, two}) == 2


@pytest.mark.usefixtures("tables")
def test_pk_is_the_key_whatever_it_is_called(world: World) -> None:
    code = world.call(Code.objects, "create", code="a")
    assert code.pk == "a"
    assert world.call(Code.objects, "get", pk="a") == code
    with pytest.raises(FieldNotLoaded, match="not set before the first save"):
        _ = Thing(name="a").pk


@pytest.mark.usefixtures("tables")
def test_pk_is_the_key_in_a_constructor_too(world: World) -> None:
    assert Code(pk="x").code == "x"
    assert Thing(pk=7, name="a").id == 7
    code, is_new = world.call(Code.objects, "get_or_create", pk="y", defaults={"note": "n"})
    assert (is_new, code.code, code.note) == (True, "y", "n")
    assert world.call(Code.objects, "create", pk="z") == world.call(Code.objects, "get", pk="z")
    with pytest.raises(ValidationError, match="was given together with code='x'; keep one"):
        Code(pk="y", code="x")
    with pytest.raises(ValidationError, match="Input should be a valid integer"):
        Thing(pk="seven", name="a")


@pytest.mark.usefixtures("tables")
def test_an_instance_says_where_its_row_is(world: World) -> None:
    shelf = Shelf(name="a")
    assert (shelf._state.adding, shelf._state.db, shelf._is_pk_set()) == (True, None, False)
    world.call(shelf, "save")
    assert (shelf._state.adding, shelf._state.db, shelf._is_pk_set()) == (False, "default", True)
    assert world.call(Shelf.objects, "get")._state.adding is False
    world.call(shelf, "delete")
    assert (shelf._state.adding, shelf._state.db, shelf._is_pk_set()) == (True, None, True)
    assert "_state" not in shelf.model_dump()
    assert Ticket(seat="1a")._is_pk_set()


def test_a_private_attribute_of_that_name_stays_ones_own() -> None:
    with registry.isolated():

        class Own(Model):
            _state: int = PrivateAttr(default=3)

        assert Own()._state == 3


def test_a_uuid_key_is_there_at_once_and_grows() -> None:
    keys = [Ticket(seat="1").id for _ in range(50)]
    assert keys == sorted(keys)
    assert {key.version for key in keys} == {7}


@pytest.mark.usefixtures("tables")
def test_a_uuid_key_is_found_again(world: World) -> None:
    made = world.call(Ticket.objects, "create", seat="1")
    assert world.call(Ticket.objects, "get", id=str(made.id)) == made
    assert world.call(Ticket.objects, "create", seat="2", id=UUID(int=5)).id == UUID(int=5)


@pytest.mark.usefixtures("tables")
def test_the_database_numbers_on_after_a_key_given_by_hand(world: World) -> None:
    assert world.call(Shelf.objects, "create", id=10, name="a").id == 10
    assert world.call(Shelf.objects, "create", name="b").id == 11


@pytest.mark.usefixtures("tables")
def test_a_primary_key_is_not_changed_by_save(world: World) -> None:
    code = world.call(Code.objects, "create", code="a")
    code.code = "b"
    with pytest.raises(QueryError, match=r"primary key Code.code was changed"):
        world.call(code, "save")
    with pytest.raises(UniqueViolation):
        world.call(Code.objects, "create", code="a")


# -- what changed ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("tables")
def test_save_sends_what_changed_and_nothing_else(world: World) -> None:
    world.call(Thing.objects, "create", name="a")
    found = world.call(Thing.objects, "get")
    with capture_queries() as sent:
        world.call(found, "save")
    assert not list(sent)
    found.price = Decimal(2)
    with capture_queries() as sent:
        world.call(found, "save")
    assert written(sent) == ["price"]
    with capture_queries() as sent:
        world.call(found, "save")
    assert not list(sent)


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("is_new", [True, False], ids=["created", "fetched"])
def test_a_change_inside_a_value_is_saved(world: World, is_new: bool) -> None:
    made = world.call(Thing.objects, "create", name="a", size=Size(width=1), more={"a": []})
    found = made if is_new else world.call(Thing.objects, "get")
    found.tags.append("x")
    found.size.marks.append("y")
    found.more["a"].append(1)
    with capture_queries() as sent:
        world.call(found, "save")
    assert written(sent) == ["tags", "size", "more"]
    again = world.call(Thing.objects, "get")
    assert (again.tags, again.size.marks, again.more) == (["x"], ["y"], {"a": [1]})


@pytest.mark.usefixtures("tables")
def test_a_change_inside_a_value_survives_the_save_of_another_field(world: World) -> None:
    found = world.call(Thing.objects, "create", name="a")
    found.tags.append("x")
    found.name = "b"
    world.call(found, "save", update_fields=["name"])
    world.call(found, "save")
    assert world.call(Thing.objects, "get").tags == ["x"]


@pytest.mark.usefixtures("tables")
def test_a_change_inside_a_value_survives_the_refresh_of_another_field(world: World) -> None:
    found = world.call(Thing.objects, "create", name="a")
    found.tags.append("x")
    world.call(found, "refresh", fields=["more"])
    world.call(found, "save")
    assert world.call(Thing.objects, "get").tags == ["x"]


@pytest.mark.usefixtures("tables")
def test_named_fields_are_written_and_others_wait(world: World) -> None:
    found = world.call(Thing.objects, "create", name="a")
    found.name, found.price = "b", Decimal(2)
    with capture_queries() as sent:
        world.call(found, "save", update_fields=["price"])
    assert written(sent) == ["price"]
    assert world.call(Thing.objects, "get").name == "a"
    world.call(found, "save")
    assert world.call(Thing.objects, "get").name == "b"
    with pytest.raises(FieldError, match="did you mean 'price'"):
        world.call(found, "save", update_fields=["prize"])


@pytest.mark.usefixtures("tables")
def test_refresh_drops_what_was_not_saved(world: World) -> None:
    found = world.call(Thing.objects, "create", name="a")
    found.name = "b"
    world.call(found, "refresh")
    assert found.name == "a"
    found.name, found.price = "b", Decimal(2)
    world.call(found, "refresh", fields=["price"])
    assert (found.name, found.price) == ("b", Decimal(1))
    with pytest.raises(FieldError, match="did you mean 'price'"):
        world.call(found, "refresh", fields=["prize"])


@pytest.mark.usefixtures("tables")
def test_a_row_that_is_gone_is_told_by_every_verb(world: World) -> None:
    found = world.call(Thing.objects, "create", name="a")
    world.call(Thing.objects.all(), "delete")
    found.name = "b"
    with pytest.raises(NotUpdated, match="gone from the database"):
        world.call(found, "save")
    with pytest.raises(Thing.DoesNotExist, match="gone from the database"):
        world.call(found, "refresh")
    assert world.call(found, "delete") == 0


@pytest.mark.parametrize("verb", ["delete", "refresh"])
@pytest.mark.usefixtures("tables")
def test_an_instance_without_a_row_is_refused(world: World, verb: str) -> None:
    with pytest.raises(QueryError, match="is not saved"):
        world.call(Thing(name="a"), verb)


@pytest.mark.usefixtures("tables")
def test_force_insert_writes_a_new_row(world: World) -> None:
    found = world.call(Code.objects, "create", code="a")
    with pytest.raises(UniqueViolation):
        world.call(found, "save", force_insert=True)
    world.call(found, "delete")
    world.call(found, "save")
    assert world.call(Code.objects, "count") == 1


# -- validation ------------------------------------------------------------------------------------


def test_construction_and_assignment_validate_alike() -> None:
    with pytest.raises(ValidationError, match="price"):
        Thing(name="a", price="x")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="nam"):
        Thing(nam="a")  # type: ignore[call-arg]
    thing = Thing(name="a", price="2.50")  # type: ignore[arg-type]
    assert thing.price == Decimal("2.50")
    thing.price = "3"  # type: ignore[assignment]
    assert thing.price == Decimal(3)
    with pytest.raises(ValidationError, match="name"):
        thing.name = "x" * 21
    with pytest.raises((ValueError, AttributeError)):
        thing.prize = 1  # type: ignore[attr-defined]
    assert (thing.name, thing.price) == ("a", Decimal(3))


@pytest.mark.usefixtures("tables")
def test_a_refused_assignment_leaves_nothing_to_save(world: World) -> None:
    span = world.call(Span.objects, "create", low=1, high=2)
    with pytest.raises(ValidationError, match="low is above high"):
        span.low = 3
    assert (span.low, span.high) == (1, 2)
    with capture_queries() as sent:
        world.call(span, "save")
    assert not list(sent)


# -- copies ----------------------------------------------------------------------------------------

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "model_copy": lambda row: row.model_copy(),
    "deep model_copy": lambda row: row.model_copy(deep=True),
    "pickle": lambda row: pickle.loads(pickle.dumps(row)),
}


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_the_same_row(world: World, kind: str) -> None:
    shelf = world.call(Shelf.objects, "create", name="s")
    world.call(Thing.objects, "create", name="a", shelf=shelf, size=Size(width=1))
    found = world.call(Thing.objects.select_related("shelf"), "get")
    found.price = Decimal(2)
    other = COPIES[kind](found)
    assert other == found
    assert other is not found
    assert other.shelf == shelf
    other.tags = [*other.tags, "x"]
    with capture_queries() as sent:
        world.call(other, "save")
    assert written(sent) == ["price", "tags"]
    with capture_queries() as sent:
        world.call(other, "save")
    assert not list(sent)
    other.size.marks.append("y")
    world.call(other, "save")
    again = world.call(Thing.objects, "get")
    assert (again.price, again.tags, again.size.marks) == (Decimal(2), ["x"], ["y"])


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_of_an_unsaved_instance_is_a_row_of_its_own(world: World, kind: str) -> None:
    thing = Thing(name="a")
    other = COPIES[kind](thing)
    world.call(thing, "save")
    world.call(other, "save")
    assert world.call(Thing.objects, "count") == 2


@pytest.mark.usefixtures("tables")
def test_model_copy_takes_changes(world: World) -> None:
    shelf = world.call(Shelf.objects, "create", name="s")
    thing = world.call(Thing.objects, "create", name="a")
    other = thing.model_copy(update={"name": "b", "shelf": shelf})
    world.call(other, "save")
    found = world.call(Thing.objects.select_related("shelf"), "get")
    assert (found.name, found.shelf) == ("b", shelf)
    assert (thing.name, thing.shelf) == ("a", None)


@pytest.mark.usefixtures("tables")
def test_rows_pickle_with_what_they_have_loaded(world: World) -> None:
    shelf = world.call(Shelf.objects, "create", name="s")
    for name in "ab":
        world.call(Thing.objects, "create", name=name, shelf=shelf)
    found = world.iterate(Shelf.objects.prefetch_related("things"))
    again = pickle.loads(pickle.dumps(found))[0]
    with capture_queries() as sent:
        assert [thing.name for thing in world.iterate(again.things)] == ["a", "b"]
        assert [thing.shelf for thing in world.iterate(again.things)] == [shelf, shelf]
    assert not list(sent)


@pytest.mark.usefixtures("tables")
def test_an_instance_made_without_validation_can_be_saved(world: World) -> None:
    shelf = world.call(Shelf.objects, "create", name="s")
    made = Thing.model_construct(name="a", shelf=shelf)
    assert "id" not in made.model_dump()
    world.call(made, "save")
    assert world.call(Thing.objects.select_related("shelf"), "get").shelf == shelf


# -- as pydantic sees it ---------------------------------------------------------------------------


@pytest.mark.usefixtures("tables")
def test_a_row_goes_through_json_and_back(world: World) -> None:
    shelf = world.call(Shelf.objects, "create", name="s")
    made = world.call(Thing.objects, "create", name="a", shelf=shelf, size=Size(width=1), more={"a": 1})
    found = world.call(Thing.objects, "get")
    assert found.model_dump() == {
        "id": made.id,
        "name": "a",
        "price": Decimal("1.00"),
        "tags": [],
        "size": {"width": 1, "marks": []},
        "more": {"a": 1},
        "shelf_id": shelf.id,
    }
    again = Thing.model_validate_json(found.model_dump_json())
    assert again == found
    assert again.model_dump() == found.model_dump()


@pytest.mark.usefixtures("tables")
def test_a_dump_never_loads_a_relation(world: World) -> None:
    shelf = world.call(Shelf.objects, "create", name="s")
    world.call(Thing.objects, "create", name="a", shelf=shelf)
    found = world.call(Thing.objects, "get")
    with capture_queries() as sent:
        found.model_dump()
        found.model_dump_json()
        repr(found)
        str(found)
    assert not list(sent)


@pytest.mark.usefixtures("tables")
def test_the_key_is_absent_before_the_first_save(world: World) -> None:
    thing = Thing(name="a")
    assert "id" not in thing.model_dump()
    assert "(id=" not in repr(thing)
    assert " id=" not in repr(thing)
    world.call(thing, "save")
    assert thing.model_dump()["id"] == thing.id


# -- errors and managers of a model ----------------------------------------------------------------


@pytest.mark.usefixtures("tables")
def test_each_model_has_errors_of_its_own(world: World) -> None:
    with pytest.raises(Thing.DoesNotExist):
        world.call(Thing.objects, "get", id=1)
    for _ in range(2):
        world.call(Thing.objects, "create", name="a")
    with pytest.raises(Thing.MultipleObjectsReturned):
        world.call(Thing.objects, "get", name="a")
    assert not issubclass(Thing.DoesNotExist, Shelf.DoesNotExist)
    assert Thing.DoesNotExist.__qualname__ == "Thing.DoesNotExist"
    error = pickle.loads(pickle.dumps(Thing.DoesNotExist("x")))
    assert isinstance(error, Thing.DoesNotExist)


@pytest.mark.usefixtures("tables")
def test_a_model_has_several_managers_with_queries_of_their_own(world: World) -> None:
    for text, urgent in [("a", False), ("b", True), ("c", True)]:
        world.call(Note.objects, "create", text=text, urgent=urgent)
    assert [note.text for note in world.iterate(Note.objects.urgent().order_by("text"))] == ["b", "c"]
    assert [note.text for note in world.iterate(Note.objects.exclude(text="b").urgent())] == ["c"]
    assert world.call(Note.every, "count") == 3
    with pytest.raises(QueryError, match="managers belong to the class"):
        _ = Note(text="a").objects


# -- what counts as a change -------------------------------------------------------------------------


@pytest.mark.parametrize("model", [Thing, Span])
def test_a_value_that_is_there_already_is_no_change(world: World, configured: str, model: Any) -> None:
    world.run(lambda: create_tables(Shelf, Thing, Span), lambda: acreate_tables(Shelf, Thing, Span))
    shelf = world.call(Shelf.objects, "create", name="s")
    world.call(Thing.objects, "create", name="a", price=Decimal("1.50"), shelf=shelf)
    world.call(Span.objects, "create", low=1, high=3)
    same = {"name": "a", "price": "1.5", "shelf": shelf, "shelf_id": shelf.id, "low": 1, "high": "3"}
    row = world.call(model.objects, "get")
    for name in same.keys() & {*model.table.fields, *model.table.relations}:
        setattr(row, name, same[name])
    with capture_queries() as sent:
        world.call(row, "save")
    assert len(sent) == 0
    name = "name" if model is Thing else "high"
    setattr(row, name, 7 if model is Span else "b")
    setattr(row, name, same[name])  # as it was, but something else in between
    with capture_queries() as sent:
        world.call(row, "save")
    assert len(sent) == 1


def test_a_new_instance_has_every_value_it_was_given(world: World) -> None:
    thing = Thing(name="a", price=Decimal(1))
    thing.price = Decimal(1)
    thing.shelf = None
    assert thing.model_fields_set == {"name", "price", "shelf_id"}


def test_what_was_changed_in_place_and_assigned_again_is_written(world: World, configured: str) -> None:
    world.run(lambda: create_tables(Shelf, Thing), lambda: acreate_tables(Shelf, Thing))
    thing = world.call(Thing.objects, "create", name="a", more={"a": 1})
    thing.more["a"] = True
    thing.more = thing.more
    world.call(thing, "save")
    assert world.call(Thing.objects, "get").more["a"] is True


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("is_read", [False, True], ids=["new", "read"])
def test_a_change_in_place_is_noticed_after_a_save_of_something_else(world: World, is_read: bool) -> None:
    thing = world.call(Thing.objects, "create", name="a", more={"a": [{"b": 1}]}, tags=["x"])
    if is_read:
        thing = world.call(Thing.objects, "get")
    thing.name = "b"
    with capture_queries() as sent:
        world.call(thing, "save")
    assert written(sent) == ["name"]
    thing.more["a"][0]["b"] = 2
    with capture_queries() as sent:
        world.call(thing, "save")
        world.call(thing, "save")
    assert written(sent) == ["more"]
    thing.tags.append("y")
    with capture_queries() as sent:
        world.call(thing, "save")
    assert written(sent) == ["tags"]


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("is_read", [False, True], ids=["new", "read"])
def test_a_number_that_json_has_no_word_for_is_refused_in_the_place_of_none(world: World, is_read: bool) -> None:
    thing = world.call(Thing.objects, "create", name="a", more={"a": [None]})
    if is_read:
        thing = world.call(Thing.objects, "get")
    thing.more["a"][0] = float("nan")
    with pytest.raises(InvalidValue, match="no NaN"):
        world.call(thing, "save")
