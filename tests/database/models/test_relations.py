"""Foreign keys and one to one: what the database does when a row goes, and what instances know of each other."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from datalayer import (
    CASCADE,
    DO_NOTHING,
    PROTECT,
    RESTRICT,
    SET_DEFAULT,
    SET_NULL,
    Field,
    ForeignKey,
    Mapped,
    Model,
    ModelBase,
    OneToOne,
    PrimaryKey,
    Reverse,
    ReverseOne,
    UniqueConstraint,
    UUIDModel,
    atomic,
)
from datalayer.errors import ForeignKeyViolation, IntegrityError, InvalidValue, UniqueViolation
from datalayer.models import registry
from datalayer.testing import capture_queries, create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import World

with registry.isolated():

    class Team(Model):
        name: Mapped[str] = Field(max_length=20)
        captain: ForeignKey[Player | None] = ForeignKey(on_delete=SET_NULL, default=None, related_name="+")
        players: ClassVar[Reverse[Player]]

        class Meta:
            table = "relations_team"

    class Player(Model):
        name: Mapped[str] = Field(max_length=20)
        team: ForeignKey[Team] = ForeignKey(on_delete=CASCADE, related_name="players")
        mentor: ForeignKey[Player | None] = ForeignKey(on_delete=SET_NULL, default=None, related_name="pupils")
        pupils: ClassVar[Reverse[Player]]
        card: ClassVar[ReverseOne[Card]]

        class Meta:
            table = "relations_player"
            ordering = ("name",)

    class Card(Model):
        number: Mapped[int]
        player: OneToOne[Player] = OneToOne(on_delete=CASCADE, related_name="card")

        class Meta:
            table = "relations_card"

    class Passport(ModelBase):
        player: OneToOne[Player] = OneToOne(on_delete=CASCADE, primary_key=True)

        class Meta:
            table = "relations_passport"

    class Stamp(Model):
        passport: ForeignKey[Passport] = ForeignKey(on_delete=RESTRICT, column="in_passport")

        class Meta:
            table = "relations_stamp"

    class Country(ModelBase):
        code: Mapped[str] = PrimaryKey(max_length=2)
        name: Mapped[str] = Field(max_length=20, unique=True)

        class Meta:
            table = "relations_country"

    class Town(UUIDModel):
        country: ForeignKey[Country] = ForeignKey(on_delete=PROTECT)
        by_name: ForeignKey[Country | None] = ForeignKey(
            to_field="name", on_delete=SET_NULL, default=None, related_name="named_towns"
        )

        class Meta:
            table = "relations_town"

    class Visit(Model):
        town: ForeignKey[Town] = ForeignKey(on_delete=DO_NOTHING)
        country: ForeignKey[Country] = ForeignKey(on_delete=SET_DEFAULT, db_default="??", related_name="visits")

        class Meta:
            table = "relations_visit"

    class Order(ModelBase):
        region: Mapped[str] = Field(max_length=5)
        number: Mapped[int]
        lines: ClassVar[Reverse[Line]]

        class Meta:
            table = "relations_order"
            primary_key = ("region", "number")

    class Line(ModelBase):
        region: Mapped[str] = Field(max_length=5)
        number: Mapped[int]
        place: Mapped[int]
        order: ForeignKey[Order] = ForeignKey(fields=("region", "number"), related_name="lines")

        class Meta:
            table = "relations_line"
            primary_key = ("order", "place")

    class Note(Model):
        line_region: Mapped[str | None] = Field(max_length=5, default=None)
        line_number: Mapped[int | None] = Field(default=None)
        line_place: Mapped[int | None] = Field(default=None)
        line: ForeignKey[Line | None] = ForeignKey(
            fields=("line_region", "line_number", "line_place"), on_delete=SET_NULL, default=None
        )

        class Meta:
            table = "relations_note"
            constraints = (UniqueConstraint("line"),)

    registry.tables()

MODELS = (Team, Player, Card, Passport, Stamp, Country, Town, Visit, Order, Line, Note)


@pytest.fixture
def tables(configured: str, world: World) -> str:
    world.run(lambda: create_tables(*MODELS), lambda: acreate_tables(*MODELS))
    return configured


def fresh(world: World, row: Any) -> Any:
    return world.call(type(row).objects, "get", pk=row.pk)


# -- when a row goes -------------------------------------------------------------------------------


@pytest.mark.usefixtures("tables")
def test_cascade_takes_the_rows_that_refer_to_it(world: World) -> None:
    team = world.call(Team.objects, "create", name="a")
    player = world.call(Player.objects, "create", name="p", team=team)
    world.call(Card.objects, "create", number=1, player=player)
    assert world.call(team, "delete") == 1
    assert (world.call(Player.objects, "count"), world.call(Card.objects, "count")) == (0, 0)


@pytest.mark.usefixtures("tables")
def test_set_null_leaves_the_rows_that_refer_to_it(world: World) -> None:
    team = world.call(Team.objects, "create", name="a")
    mentor = world.call(Player.objects, "create", name="m", team=team)
    pupil = world.call(Player.objects, "create", name="p", team=team, mentor=mentor)
    world.call(mentor, "delete")
    assert fresh(world, pupil).mentor_id is None


@pytest.mark.usefixtures("tables")
def test_set_default_goes_back_to_the_default_of_the_database(world: World) -> None:
    world.call(Country.objects, "create", code="??", name="nowhere")
    france = world.call(Country.objects, "create", code="fr", name="France")
    spain = world.call(Country.objects, "create", code="es", name="Spain")
    town = world.call(Town.objects, "create", country=spain)
    visit = world.call(Visit.objects, "create", town=town, country=france)
    without = world.call(Visit.objects, "create", town=town)
    assert without.country_id == "??"
    world.call(france, "delete")
    assert fresh(world, visit).country_id == "??"


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("kind", ["restrict", "protect", "do_nothing"])
def test_a_row_that_others_need_stays(world: World, kind: str) -> None:
    team = world.call(Team.objects, "create", name="a")
    country = world.call(Country.objects, "create", code="fr", name="France")
    needed: Any
    if kind == "restrict":
        needed = world.call(
            Passport.objects, "create", player=world.call(Player.objects, "create", name="p", team=team)
        )
        world.call(Stamp.objects, "create", passport=needed)
    else:
        town = world.call(Town.objects, "create", country=country)
        world.call(Visit.objects, "create", town=town, country=country)
        needed = country if kind == "protect" else town
    with pytest.raises(ForeignKeyViolation, match="still refer"):
        world.call(needed, "delete")
    assert world.call(type(needed).objects, "count") == 1


@pytest.mark.usefixtures("tables")
def test_a_key_that_leads_nowhere_is_refused_by_the_database(world: World) -> None:
    with pytest.raises(ForeignKeyViolation) as caught:
        world.call(Player.objects, "create", name="p", team_id=99)
    assert caught.value.model == "Player"


# -- objects and keys ------------------------------------------------------------------------------


@pytest.mark.usefixtures("tables")
def test_an_object_and_its_key_are_set_together(world: World) -> None:
    a, b = [world.call(Team.objects, "create", name=name) for name in "ab"]
    player = Player(name="p", team=a)
    assert player.team_id == a.id
    player.team = b
    assert player.team_id == b.id
    assert player.team is b
    player.team_id = a.id
    world.call(player, "save")
    assert world.call(Player.objects.select_related("team"), "get").team == a


@pytest.mark.usefixtures("tables")
def test_an_object_is_saved_after_it_was_assigned(world: World) -> None:
    team = Team(name="a")
    player = Player(name="p", team=team)
    with pytest.raises(InvalidValue, match=r"Player.team is not saved yet"):
        world.call(player, "save")
    world.call(team, "save")
    world.call(player, "save")
    assert player.team_id == team.id


@pytest.mark.usefixtures("tables")
def test_an_object_of_another_model_is_refused(world: World) -> None:
    team = world.call(Team.objects, "create", name="a")
    player = world.call(Player.objects, "create", name="p", team=team)
    with pytest.raises(ValidationError, match="needs a Team; for a key give team_id"):
        Player(name="q", team=player)
    with pytest.raises(ValidationError, match="needs a Team; for a key give team_id"):
        player.team = player
    with pytest.raises(ValidationError, match="can never be None"):
        player.team = None
    with pytest.raises(ValidationError):
        player.team_id = None  # type: ignore[attr-defined]
    with pytest.raises(InvalidValue, match=r"leads to Team, and .* is a Player"):
        Player.objects.filter(team=player)
    assert player.team is team


@pytest.mark.usefixtures("tables")
def test_an_object_and_another_key_contradict_each_other(world: World) -> None:
    team = world.call(Team.objects, "create", name="a")
    with pytest.raises(ValidationError, match="was given together with team_id=9"):
        Player(name="p", team=team, team_id=9)
    assert Player(name="p", team=team, team_id=team.id).team_id == team.id


@pytest.mark.usefixtures("tables")
def test_a_key_alone_makes_an_instance(world: World) -> None:
    team = world.call(Team.objects, "create", name="a")
    made = world.call(Player.objects, "create", name="p", team_id=team.id)
    assert world.call(Player.objects.select_related("team"), "get", id=made.id).team == team


@pytest.mark.usefixtures("tables")
def test_a_model_refers_to_itself(world: World) -> None:
    team = world.call(Team.objects, "create", name="a")
    mentor = world.call(Player.objects, "create", name="m", team=team)
    for name in "qp":
        world.call(Player.objects, "create", name=name, team=team, mentor=mentor)
    assert [row.name for row in world.iterate(mentor.pupils)] == ["p", "q"]
    assert world.call(Player.objects.filter(mentor__name="m"), "count") == 2


@pytest.mark.usefixtures("tables")
def test_two_models_refer_to_each_other(world: World) -> None:
    team = world.call(Team.objects, "create", name="a")
    player = world.call(Player.objects, "create", name="p", team=team)
    team.captain = player
    world.call(team, "save")
    found = world.call(Team.objects.select_related("captain__team"), "get")
    assert found.captain == player
    assert found.captain is not None
    assert found.captain.team == team
    assert world.call(team, "delete") == 1


@pytest.mark.usefixtures("tables")
def test_a_relation_without_way_back_has_none() -> None:
    assert "+" not in Player.table.relations
    assert {name for name, spec in Player.table.relations.items() if spec.target.model == "Team"} == {"team"}


# -- one to one ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("tables")
def test_one_to_one_is_one_object_on_both_sides(world: World) -> None:
    team = world.call(Team.objects, "create", name="a")
    player = world.call(Player.objects, "create", name="p", team=team)
    card = world.call(Card.objects, "create", number=1, player=player)
    assert player.card is card
    assert world.call(Player.objects.select_related("card"), "get").card == card
    found = world.iterate(Player.objects.prefetch_related("card"))[0]
    assert found.card == card
    assert found.card.player is found


@pytest.mark.usefixtures("tables")
def test_one_to_one_refuses_a_second_row(world: World) -> None:
    team = world.call(Team.objects, "create", name="a")
    player = world.call(Player.objects, "create", name="p", team=team)
    world.call(Card.objects, "create", number=1, player=player)
    with pytest.raises(UniqueViolation):
        world.call(Card.objects, "create", number=2, player=player)


@pytest.mark.usefixtures("tables")
def test_the_missing_side_of_one_to_one_raises_the_error_of_its_model(world: World) -> None:
    team = world.call(Team.objects, "create", name="a")
    player = world.call(Player.objects, "create", name="p", team=team)
    world.call(player, "load", "card")
    with pytest.raises(Card.DoesNotExist, match=r"Player.card: there is no Card"):
        _ = player.card


@pytest.mark.usefixtures("tables")
def test_nothing_on_the_other_side_is_an_attribute_that_is_missing(world: World) -> None:
    team = world.call(Team.objects, "create", name="a")
    player = world.call(Player.objects, "create", name="b", team=team)
    world.call(player, "load", "card")
    assert not hasattr(player, "card")
    assert getattr(player, "card", None) is None
    with pytest.raises(Card.RelatedObjectDoesNotExist):
        _ = player.card
    with pytest.raises(Player.card.RelatedObjectDoesNotExist):
        _ = player.card
    with pytest.raises(AttributeError, match=r"card is the reverse side of Card.player; set that one instead"):
        player.card = None  # type: ignore[assignment]
    assert Card.player.RelatedObjectDoesNotExist is Player.RelatedObjectDoesNotExist
    world.call(Card.objects, "create", number=1, player=player)
    assert hasattr(world.call(Player.objects.select_related("card"), "get"), "card")


@pytest.mark.usefixtures("tables")
def test_one_to_one_is_a_primary_key(world: World) -> None:
    team = world.call(Team.objects, "create", name="a")
    player = world.call(Player.objects, "create", name="p", team=team)
    passport = world.call(Passport.objects, "create", player=player)
    assert passport.pk == player.id
    assert world.call(Passport.objects, "get", pk=player.id) == passport
    stamp = world.call(Stamp.objects, "create", passport=passport)
    assert world.call(Stamp.objects, "get", passport__player__name="p") == stamp


# -- other keys ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("tables")
def test_a_relation_to_a_unique_field_that_is_no_primary_key(world: World) -> None:
    france = world.call(Country.objects, "create", code="fr", name="France")
    town = world.call(Town.objects, "create", country=france, by_name=france)
    assert town.by_name_id == "France"
    for found in (
        world.call(Town.objects, "get", by_name=france),
        world.call(Town.objects, "get", Town.by_name == france),
        world.call(Town.objects, "get", by_name__in=[france]),
        world.call(Town.objects.select_related("by_name"), "get", by_name__code="fr"),
    ):
        assert found == town
    assert found.by_name == france
    assert world.iterate(france.named_towns) == [town]


@pytest.mark.usefixtures("tables")
def test_a_relation_of_several_columns(world: World) -> None:
    order = world.call(Order.objects, "create", region="eu", number=1)
    other = world.call(Order.objects, "create", region="us", number=1)
    line = world.call(Line.objects, "create", order=order, place=1)
    world.call(Line.objects, "create", order=other, place=1)
    assert (line.region, line.number, line.pk) == ("eu", 1, ("eu", 1, 1))
    for query in (
        Line.objects.filter(order=order),
        Line.objects.filter(Line.order == order),
        Line.objects.filter(order=("eu", 1)),
        Line.objects.filter(order__in=[order]),
        Line.objects.filter(order__pk=("eu", 1)),
        Line.objects.filter(pk=("eu", 1, 1)),
        Line.objects.filter(pk__in=[("eu", 1, 1), ("eu", 9, 9)]),
        order.lines,
    ):
        assert world.iterate(query) == [line]
    assert world.call(Line.objects.select_related("order"), "get", region="eu").order == order
    found = world.iterate(Order.objects.order_by("region").prefetch_related("lines"))
    assert [[item.region for item in world.iterate(row.lines)] for row in found] == [["eu"], ["us"]]
    assert world.call(order, "delete") == 1
    assert world.call(Line.objects, "count") == 1


@pytest.mark.usefixtures("tables")
def test_a_key_of_several_columns_is_set_null_as_a_whole(world: World) -> None:
    order = world.call(Order.objects, "create", region="eu", number=1)
    line = world.call(Line.objects, "create", order=order, place=1)
    note = world.call(Note.objects, "create", line=line)
    with pytest.raises(UniqueViolation):
        world.call(Note.objects, "create", line=line)
    world.call(line, "delete")
    found = fresh(world, note)
    assert (found.line_region, found.line_number, found.line_place, found.line) == (None, None, None, None)


@pytest.mark.usefixtures("tables")
def test_a_row_with_a_key_of_several_columns_is_saved_and_deleted_alone(world: World) -> None:
    first, second = [world.call(Order.objects, "create", region="eu", number=number) for number in (1, 2)]
    with pytest.raises(UniqueViolation):
        world.call(Order.objects, "create", region="eu", number=1)
    assert fresh(world, first) == first
    assert first != second
    assert world.call(second, "delete") == 1
    assert world.iterate(Order.objects.all()) == [first]


@pytest.mark.usefixtures("tables")
def test_the_column_of_a_relation_has_its_own_name(world: World) -> None:
    team = world.call(Team.objects, "create", name="a")
    passport = world.call(Passport.objects, "create", player=world.call(Player.objects, "create", name="p", team=team))
    with capture_queries() as sent:
        world.call(Stamp.objects, "create", passport=passport)
    assert any("in_passport" in statement.sql for statement in sent)


@pytest.mark.usefixtures("tables")
def test_relations_can_be_named_where_fields_are(world: World) -> None:
    a, b = [world.call(Team.objects, "create", name=name) for name in "ab"]
    player = world.call(Player.objects, "create", name="p", team=a)
    player.name, player.team = "q", b
    world.call(player, "save", update_fields=["team"])
    found = fresh(world, player)
    assert (found.name, found.team_id) == ("p", b.id)
    world.call(player, "refresh", fields=["team"])
    assert (player.name, player.team_id) == ("q", b.id)
    world.call(player, "save")
    assert fresh(world, player).name == "q"


@pytest.mark.usefixtures("tables")
def test_a_refused_row_leaves_the_transaction_usable(world: World) -> None:
    def blocking() -> None:
        with atomic():
            with pytest.raises(IntegrityError), atomic():
                Player.objects.create(name="p", team_id=99)
            Team.objects.create(name="a")

    async def awaiting() -> None:
        async with atomic():
            with pytest.raises(IntegrityError):
                async with atomic():
                    await Player.objects.acreate(name="p", team_id=99)
            await Team.objects.acreate(name="a")

    world.run(blocking, awaiting)
    assert world.call(Team.objects, "count") == 1
