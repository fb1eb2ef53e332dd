"""Abstract parents, mixins, generic models and models made at run time all become ordinary tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar

import pytest
from pydantic import BaseModel, PrivateAttr, ValidationError, computed_field, create_model, field_validator

from datalayer import (
    CheckConstraint,
    ExclusionConstraint,
    Field,
    ForeignKey,
    Index,
    Manager,
    Mapped,
    Model,
    Q,
    Reverse,
    UniqueConstraint,
)
from datalayer.errors import ModelError, QueryError, UniqueViolation
from datalayer.models import registry
from datalayer.testing import create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import World

T = TypeVar("T")


class Loud(BaseModel):
    word: str = "x"

    @field_validator("word")
    @classmethod
    def _upper(cls, value: str) -> str:
        return value.upper()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> str:
        return self.word * 2


class Greeting:
    word: ClassVar[Any]

    def hello(self) -> str:
        return f"hello {self.word}"


with registry.isolated():

    class Owner(Model):
        name: Mapped[str] = Field(max_length=20)
        item_rows: ClassVar[Reverse[Item]]
        other_rows: ClassVar[Reverse[Other]]

        class Meta:
            table = "inheritance_owner"

    class NamedManager(Manager["Any"]):
        def named(self, name: str) -> NamedManager:
            return self.filter(name=name)

    class Stamped(Model):
        made: Mapped[datetime] = Field(auto_now_add=True, init=False)

        class Meta:
            abstract = True
            ordering = ("-made",)

        def age(self) -> timedelta:
            return datetime.now(UTC) - self.made

    class Owned(Stamped):
        name: Mapped[str] = Field(max_length=20, default="n", index=True)
        owner: ForeignKey[Owner] = ForeignKey(related_name="%(class)s_rows")

        objects: ClassVar[NamedManager] = NamedManager()

        class Meta(Stamped.Meta):
            abstract = True
            constraints = (UniqueConstraint("owner", "name"),)

    class Item(Owned, Loud, Greeting):
        price: Mapped[int] = Field(default=1)
        _secret: int = PrivateAttr(default=3)
        _notes: list[str] = PrivateAttr(default_factory=list)
        _double: int = PrivateAttr(default_factory=lambda values: values["_secret"] * 2)

        class Meta:
            table = "inheritance_item"

    class Other(Owned):
        class Meta:
            table = "inheritance_other"
            ordering = ("name",)
            indexes = (Index("name", "owner"),)

    class Left(Stamped):
        value: Mapped[int] = Field(default=1)
        left: Mapped[int] = Field(default=2)

        class Meta:
            abstract = True

    class Right(Stamped):
        right: Mapped[int] = Field(default=3)

        class Meta:
            abstract = True

    class Diamond(Left, Right):
        value: Mapped[str] = Field(default="another type")  # type: ignore[assignment]

        class Meta:
            table = "inheritance_diamond"

    class Box(Model, Generic[T]):
        inside: Mapped[T]

    class NumberBox(Box[int]):
        class Meta:
            table = "inheritance_number_box"

    class TextBox(Box[str]):
        class Meta:
            table = "inheritance_text_box"

    Made: Any = create_model("Made", __base__=Model, __module__=__name__, name=(str, ...), size=(int, 3))

    registry.tables()

MODELS = (Owner, Item, Other, Diamond, NumberBox, TextBox, Made)


@pytest.fixture
def tables(configured: str, world: World) -> str:
    world.run(lambda: create_tables(*MODELS), lambda: acreate_tables(*MODELS))
    return configured


@pytest.fixture
def isolated() -> Iterator[None]:
    with registry.isolated():
        yield


@pytest.mark.usefixtures("tables")
def test_an_abstract_parent_gives_its_fields_relations_and_managers(world: World) -> None:
    owner = world.call(Owner.objects, "create", name="o")
    item = world.call(Item.objects, "create", owner=owner, name="a")
    other = world.call(Other.objects, "create", owner=owner, name="a")
    assert world.iterate(owner.item_rows) == [item]
    assert world.iterate(owner.other_rows) == [other]
    assert world.iterate(Item.objects.named("a")) == [item]
    assert world.iterate(Other.objects.named("a")) == [other]
    assert item.age() < timedelta(minutes=1)
    assert world.call(Item.objects.select_related("owner"), "get").owner == owner


@pytest.mark.usefixtures("tables")
def test_an_abstract_parent_gives_its_constraints(world: World) -> None:
    owner = world.call(Owner.objects, "create", name="o")
    for model in (Item, Other):
        world.call(model.objects, "create", owner=owner, name="a")
        with pytest.raises(UniqueViolation):
            world.call(model.objects, "create", owner=owner, name="a")


def test_meta_is_inherited_option_by_option() -> None:
    assert Item.table.ordering == ("-made",)
    assert Other.table.ordering == ("name",)
    assert [unique.fields for unique in Item.table.unique] == [("owner_id", "name")]
    names = {index.name for index in Other.table.indexes}
    assert names == {
        "ix_inheritance_other_name",
        "ix_inheritance_other_owner_id",
        "ix_inheritance_other_name_owner_id",
    }


@pytest.mark.usefixtures("tables")
def test_a_pydantic_mixin_gives_fields_validators_and_computed_values(world: World) -> None:
    owner = world.call(Owner.objects, "create", name="o")
    world.call(Item.objects, "create", owner=owner, word="abc")
    found = world.call(Item.objects, "get", word="ABC")
    assert (found.word, found.twice, found.hello()) == ("ABC", "ABCABC", "hello ABC")
    assert found.model_dump()["twice"] == "ABCABC"
    assert "twice" not in Item.table.fields


@pytest.mark.usefixtures("tables")
def test_private_attributes_are_there_in_fetched_rows_and_never_stored(world: World) -> None:
    owner = world.call(Owner.objects, "create", name="o")
    world.call(Item.objects, "create", owner=owner)
    found = world.call(Item.objects, "get")
    assert found._secret == 3
    found._secret = 4
    assert "_secret" not in Item.table.fields
    found._notes.append("x")
    again = world.call(Item.objects, "get")
    assert (again._secret, again._notes, again._double) == (3, [], 6)


@pytest.mark.usefixtures("tables")
def test_a_field_may_have_another_type_than_its_parents(world: World) -> None:
    assert list(Diamond.table.fields) == ["id", "made", "right", "value", "left"]
    made = world.call(Diamond.objects, "create")
    assert world.call(Diamond.objects, "get", value="another type") == made


@pytest.mark.usefixtures("tables")
def test_a_generic_model_has_a_table_for_each_of_its_types(world: World) -> None:
    world.call(NumberBox.objects, "create", inside=3)
    world.call(TextBox.objects, "create", inside="3")
    assert world.call(NumberBox.objects, "get").inside == 3
    assert world.call(TextBox.objects, "get").inside == "3"
    with pytest.raises(ValidationError):
        NumberBox(inside="x")
    with pytest.raises(QueryError, match="Box is abstract"):
        Box(inside=1)


@pytest.mark.usefixtures("tables")
def test_a_model_is_made_at_run_time(world: World) -> None:
    made = world.call(Made.objects, "create", name="a")
    assert made.size == 3
    assert world.iterate(Made.objects.filter(Made.name == "a")) == [made]


def test_an_abstract_model_has_no_rows() -> None:
    with pytest.raises(QueryError, match="Stamped is abstract; make an instance of one of its subclasses"):
        Stamped()
    with pytest.raises(ModelError, match="Stamped is abstract and has no table"):
        Stamped.objects.all()


@pytest.mark.usefixtures("isolated")
def test_a_child_of_a_model_with_rows_is_refused() -> None:
    class Parent(Model):
        pass

    with pytest.raises(ModelError, match="Child inherits from Parent, which has a table and rows of its own"):

        class Child(Parent):
            pass


def test_names_of_constraints_and_indexes_say_the_class(isolated: None) -> None:
    class Base(Model):
        number: Mapped[int] = Field(default=0)
        up: ForeignKey[Owner | None] = ForeignKey(default=None, related_name="+", name="%(class)s_up")

        class Meta:
            abstract = True
            constraints = (
                CheckConstraint(Q(number__gte=0), name="%(class)s_positive"),
                UniqueConstraint("number", name="%(class)s_number"),
                ExclusionConstraint(("number", "="), name="%(class)s_alone"),
            )
            indexes = (Index("number", name="%(class)s_index"),)

    class First(Base):
        pass

    class Second(Base):
        pass

    registry.register(Owner)
    for model, name in ((First, "first"), (Second, "second")):
        table = model.table
        assert [rule.name for rule in (*table.checks, *table.unique, *table.exclusions)] == [
            f"{name}_positive",
            f"{name}_number",
            f"{name}_alone",
        ]
        assert table.indexes[-1].name == f"{name}_index"
        assert table.foreign_keys[0].name == f"{name}_up"


@pytest.mark.parametrize("place", ["related_name", "index"])
def test_the_name_of_an_app_is_told_to_be_none(isolated: None, place: str) -> None:
    name = "%(app_label)s_%(class)s"

    class Base(Model):
        up: ForeignKey[Kid | None] = ForeignKey(default=None, related_name=name if place == "related_name" else "+")

        class Meta:
            abstract = True
            indexes = (Index("up", name=name),) if place == "index" else ()

    class Kid(Base):
        pass

    with pytest.raises(ModelError, match=r"is '%\(app_label\)s_%\(class\)s'; there are no apps here, and only"):
        registry.tables()
    assert Kid.__name__ == "Kid"
