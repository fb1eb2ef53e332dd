"""What constraints and indexes say beyond columns: checks put off to the end, expressions, operator classes."""

from __future__ import annotations

from typing import Any

import pytest

from datalayer import (
    CASCADE,
    Deferrable,
    Field,
    ForeignKey,
    Index,
    Int,
    Mapped,
    Model,
    ModelBase,
    PrimaryKey,
    Sql,
    UniqueConstraint,
    atomic,
    pools,
)
from datalayer.errors import ForeignKeyViolation, ModelError, QueryError, UniqueViolation
from datalayer.models import registry
from datalayer.testing import acreate_tables, assert_num_queries, create_tables
from tests.worlds import World

POSTGRESQL = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

with registry.isolated():

    class Team(ModelBase):
        number: Mapped[int] = PrimaryKey()
        captain: ForeignKey[Player] = ForeignKey(
            on_delete=CASCADE, related_name="leads", deferrable=Deferrable.DEFERRED
        )

        class Meta:
            table = "con_team"

    class Player(ModelBase):
        number: Mapped[int] = PrimaryKey()
        team: ForeignKey[Team] = ForeignKey(
            on_delete=CASCADE, related_name="players", deferrable=Deferrable.DEFERRED, name="con_plays_in"
        )

        class Meta:
            table = "con_player"

    class Step(Model):
        place: Mapped[int]
        slug: Mapped[str] = Field(max_length=20)
        note: Mapped[str | None] = Field(default=None)

        class Meta:
            table = "con_step"
            constraints = (
                UniqueConstraint("place", name="con_place", deferrable=Deferrable.DEFERRED),
                UniqueConstraint(Sql('lower("slug")'), name="con_slug"),
                UniqueConstraint("note", "slug", include=("place",), nulls_distinct=False, name="con_note"),
            )
            indexes = (Index("slug", "-place", opclasses=("text_pattern_ops", ""), name="con_like"),)

    class Narrow(ModelBase):
        id: Mapped[Int] = PrimaryKey(init=False)
        parent: ForeignKey[Narrow | None] = ForeignKey(on_delete=CASCADE, default=None)

        class Meta:
            table = "con_narrow"

    registry.tables()

MODELS = (Team, Player, Step, Narrow)


@pytest.fixture(autouse=True)
def tables(configured: str, world: World) -> None:
    world.run(lambda: create_tables(*MODELS), lambda: acreate_tables(*MODELS))


def add(world: World, model: Any, **values: Any) -> Any:
    return world.call(model.objects, "create", **values)


def test_rows_that_refer_to_each_other_are_written_in_one_transaction(world: World) -> None:
    with world.enter(atomic()):
        add(world, Team, number=1, captain_id=7)
        add(world, Player, number=7, team_id=1)
    team = world.call(Team.objects.select_related("captain__team"), "get")
    assert team.captain.number == 7
    assert team.captain.team.number == 1


def test_a_target_that_never_came_is_told_when_the_transaction_ends(world: World) -> None:
    with pytest.raises(ForeignKeyViolation), world.enter(atomic()):
        add(world, Team, number=1, captain_id=7)
    assert world.call(Team.objects, "count") == 0


@POSTGRESQL
def test_the_constraint_that_fails_at_the_end_is_named(world: World) -> None:
    with pytest.raises(ForeignKeyViolation) as caught, world.enter(atomic()):
        add(world, Player, number=7, team_id=1)
    assert caught.value.constraint == "con_plays_in"
    assert caught.value.table == "con_player"


def swap(world: World) -> None:
    first, second = world.iterate(Step.objects.order_by("place"))
    with world.enter(atomic()):
        for step, place in ((first, 2), (second, 1)):
            step.place = place
            world.call(step, "save")


@pytest.fixture
def steps(tables: None, world: World) -> None:
    add(world, Step, place=1, slug="a")
    add(world, Step, place=2, slug="b")


@POSTGRESQL
def test_two_rows_swap_a_unique_value_that_is_checked_at_the_end(world: World, steps: None) -> None:
    swap(world)
    assert world.iterate(Step.objects.order_by("place").values_list("slug", flat=True)) == ["b", "a"]


@SQLITE
def test_sqlite_checks_a_unique_value_at_once_all_the_same(world: World, steps: None) -> None:
    with pytest.raises(UniqueViolation) as caught:
        swap(world)
    assert caught.value.constraint == "con_place"


@POSTGRESQL
def test_a_value_that_is_there_twice_at_the_end_is_told_with_its_constraint(world: World, steps: None) -> None:
    with pytest.raises(UniqueViolation) as caught, world.enter(atomic()):
        add(world, Step, place=1, slug="c")
    assert caught.value.constraint == "con_place"
    assert world.call(Step.objects, "count") == 2


def test_outside_of_a_transaction_each_statement_is_its_end(world: World, steps: None) -> None:
    with pytest.raises(UniqueViolation) as caught:
        add(world, Step, place=1, slug="c")
    assert caught.value.constraint == "con_place"
    for number in (7, 8):  # once by a cursor, once by a statement that is prepared already
        with pytest.raises(ForeignKeyViolation):
            add(world, Player, number=number, team_id=1)
    assert world.call(Step.objects, "count") == 2
    assert world.call(Player.objects, "count") == 0


def test_values_that_are_alike_by_an_expression_are_refused_by_name(world: World, steps: None) -> None:
    with pytest.raises(UniqueViolation) as caught:
        add(world, Step, place=3, slug="A")
    assert caught.value.constraint == "con_slug"


@POSTGRESQL
@pytest.mark.parametrize(
    ("index", "text"),
    [
        ("con_like", "(slug text_pattern_ops, place DESC)"),
        ("con_slug", "(lower((slug)::text))"),
        ("con_note", "(note, slug) INCLUDE (place) NULLS NOT DISTINCT"),
    ],
)
def test_postgresql_has_the_index_that_was_said(world: World, index: str, text: str) -> None:
    with pools["default"].connection() as connection:
        found = connection.execute(f"SELECT indexdef FROM pg_indexes WHERE indexname = '{index}'").fetchone()
    assert found is not None
    assert str(found[0]).endswith(text)


@POSTGRESQL
def test_a_numbered_key_has_32_bits_where_it_is_an_int(world: World) -> None:
    one = add(world, Narrow)
    assert add(world, Narrow, parent=one).parent_id == one.id
    with pools["default"].connection() as connection:
        text = "SELECT data_type FROM information_schema.columns WHERE table_name = 'con_narrow'"
        assert connection.execute(text).fetchall() == [("integer",), ("integer",)]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("con_place", "'con_place' of Step, which is deferrable: .* at the end of the transaction"),
        (("place",), "'con_place' of Step, which is deferrable: .* at the end of the transaction"),
        ("con_slug", "'con_slug' of Step, which is over an expression"),
    ],
)
def test_a_conflict_that_no_row_can_be_found_by_is_refused_when_built(world: World, target: Any, message: str) -> None:
    with assert_num_queries(0), pytest.raises(QueryError, match=message):
        world.call(Step.objects, "bulk_create", [Step(place=1, slug="a")], on_conflict=target, update=("note",))


def test_a_constraint_that_can_only_be_an_index_is_never_deferrable() -> None:
    with pytest.raises(ModelError, match="has deferrable= and condition, which only an index can have"):
        UniqueConstraint("a", condition='"a" > 1', deferrable=Deferrable.DEFERRED)


def test_operator_classes_are_as_many_as_the_fields() -> None:
    with pytest.raises(ModelError, match="Index has 1 opclasses for 2 fields; give one for each"):
        Index("a", "b", opclasses=("text_pattern_ops",))


def test_what_is_no_deferrable_is_told_with_the_choices() -> None:
    wrong: Any = True
    with pytest.raises(ModelError, match=r"deferrable= is True; the choices are Deferrable\.DEFERRED and Def"):
        ForeignKey(deferrable=wrong)


def test_a_deferrable_unique_field_is_no_target_of_a_relation() -> None:
    with registry.isolated():

        class Place(Model):
            number: Mapped[int]

            class Meta:
                constraints = (UniqueConstraint("number", deferrable=Deferrable.IMMEDIATE),)

        class Refers(Model):  # pyright: ignore[reportUnusedClass]  # the registry knows it
            place: ForeignKey[Place] = ForeignKey(to_field="number")

        with pytest.raises(ModelError, match="to_field='number', which is not unique in Place"):
            registry.tables()
