"""What the database refuses keeps its meaning on every way of writing: model, columns, constraint and values."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from datalayer import CheckConstraint, Excluded, Field, ForeignKey, Mapped, Model, UniqueConstraint, atomic, pools
from datalayer.errors import (
    CheckViolation,
    DatabaseError,
    ExclusionViolation,
    ForeignKeyViolation,
    NotNullViolation,
    ReadOnlyTransaction,
    StatementTimeout,
    UndefinedColumn,
    UniqueViolation,
)
from datalayer.models import registry
from datalayer.testing import acreate_tables, create_tables
from tests.worlds import World

with registry.isolated():

    class Team(Model):
        name: Mapped[str] = Field(max_length=20, unique=True)

        class Meta:
            table = "violations_team"

    class Player(Model):
        name: Mapped[str] = Field(max_length=20, column="full_name")
        born: Mapped[date] = Field(default=date(2000, 1, 2))
        wage: Mapped[Decimal] = Field(max_digits=8, decimal_places=2, default=Decimal(1))
        api_token: Mapped[str | None] = Field(default=None, unique=True)
        team: ForeignKey[Team] = ForeignKey(related_name="players")
        coach: ForeignKey[Team | None] = ForeignKey(default=None, related_name="coached")

        class Meta:
            table = "violations_player"
            constraints = (
                UniqueConstraint("name", "born", name="one_name_a_day"),
                CheckConstraint("wage < 1000", name="wage"),
            )

    class Part(Model):
        whole: ForeignKey[Part | None] = ForeignKey(default=None, related_name="parts")
        team: ForeignKey[Team | None] = ForeignKey(default=None, related_name="+")

        class Meta:
            table = "violations_part"

    registry.tables()

BORN = date(2000, 1, 2)


@pytest.fixture
def team(configured: str, world: World) -> Team:
    world.run(lambda: create_tables(Team, Player), lambda: acreate_tables(Team, Player))
    team: Team = world.call(Team.objects, "create", name="a")
    world.call(
        Player.objects, "bulk_create", [Player(name="x", team=team, api_token="s3cret"), Player(name="y", team=team)]
    )
    return team


def refused(kind: type[DatabaseError], world: World, target: Any, method: str, *args: Any, **named: Any) -> Any:
    with pytest.raises(kind) as caught:
        world.call(target, method, *args, **named)
    error = caught.value
    assert type(error) is kind
    assert error.__cause__ is not None
    assert error.alias == "default"
    assert error.model == "Player"
    assert error.table == "violations_player"
    assert "s3cret" not in str(error)
    return error


def saving(world: World, team: Team, **values: Any) -> tuple[Any, ...]:
    return Player(**{"name": "z", "team": team, **values}), "save"


def updating(world: World, team: Team, **values: Any) -> tuple[Any, ...]:
    player = world.call(Player.objects, "get", name="y")
    for name, value in values.items():
        setattr(player, name, value)
    return player, "save"


def bulk(world: World, team: Team, **values: Any) -> tuple[Any, ...]:
    return Player.objects, "bulk_create", [Player(**{"name": "z", "team": team, **values})]


WAYS: dict[str, Callable[..., tuple[Any, ...]]] = {"saving": saving, "updating": updating, "bulk": bulk}


@pytest.mark.parametrize("way", WAYS)
def test_a_unique_constraint_tells_columns_name_and_values(world: World, team: Team, way: str) -> None:
    error = refused(UniqueViolation, world, *WAYS[way](world, team, name="x"))
    assert error.constraint == "one_name_a_day"
    assert error.columns == ("full_name", "born")
    assert error.values == {"full_name": "x", "born": BORN} or way == "updating"
    assert error.values["full_name"] == "x"


def test_a_unique_constraint_tells_the_values_among_many_rows(world: World, team: Team) -> None:
    there = [Player(name=name, team=team) for name in ("a", "x", "b")]
    twice = [Player(name=name, team=team) for name in ("a", "b", "b")]
    for players, name in ((there, "x"), (twice, "b")):
        error = refused(UniqueViolation, world, Player.objects, "bulk_create", players)
        assert (error.columns, error.values) == (("full_name", "born"), {"full_name": name, "born": BORN})
    players = world.iterate(Player.objects.order_by("name"))
    for player in players:
        player.name, player.born = "same", BORN
    error = refused(UniqueViolation, world, Player.objects, "bulk_update", players, ["name", "born"])
    assert error.values == {"full_name": "same", "born": BORN}
    players[1].name = players[0].name = "x"
    players[0].born = date(1999, 1, 1)
    error = refused(UniqueViolation, world, Player.objects, "bulk_update", players[1:], ["name", "born"])
    assert error.values == {"full_name": "x", "born": BORN}


@pytest.mark.parametrize("way", WAYS)
def test_a_check_tells_columns_name_and_values(world: World, team: Team, way: str) -> None:
    error = refused(CheckViolation, world, *WAYS[way](world, team, wage=Decimal("1000.50")))
    assert error.constraint == "wage"
    assert error.columns == ("wage",)
    assert error.values in ({"wage": Decimal("1000.50")}, {})
    assert error.values or way == "bulk"


@pytest.mark.parametrize("way", ["saving", "updating"])
def test_a_reference_to_nothing_is_named(world: World, team: Team, way: str) -> None:
    error = refused(ForeignKeyViolation, world, *WAYS[way](world, team, coach_id=99))
    assert error.columns == ("coach_id",)
    assert error.constraint == "fk_violations_player_coach_id"
    assert error.values == {"coach_id": 99}
    assert "coach_id refers to a row of 'violations_team' that does not exist" in str(error)
    with world.enter(atomic()):
        inside = WAYS[way](world, team, coach_id=98)
    assert refused(ForeignKeyViolation, world, *inside).values == {"coach_id": 98}


def test_a_reference_to_nothing_is_named_among_many_rows(world: World, team: Team) -> None:
    players = [Player(name=str(number), team=team, coach_id=team.id) for number in range(500)]
    players[321].coach_id = 99
    error = refused(ForeignKeyViolation, world, Player.objects, "bulk_create", players)
    assert (error.columns, error.constraint) == (("coach_id",), "fk_violations_player_coach_id")
    assert error.values == {"coach_id": 99}
    known = world.iterate(Player.objects.order_by("name"))
    for player in known:
        player.team_id = team.id if player is known[0] else 77
        player.coach_id = team.id
    error = refused(ForeignKeyViolation, world, Player.objects, "bulk_update", known, ["team", "coach"])
    assert (error.columns, error.values) == (("team_id",), {"team_id": 77})


def test_rows_that_refer_to_each_other_are_not_blamed(world: World, configured: str) -> None:
    world.run(lambda: create_tables(Team, Part), lambda: acreate_tables(Team, Part))
    parts = [Part(id=1, whole_id=2), Part(id=2, team_id=5)]
    with pytest.raises(ForeignKeyViolation) as caught:
        world.call(Part.objects, "bulk_create", parts)
    assert (caught.value.columns, caught.value.values) == (("team_id",), {"team_id": 5})
    parts[1].team_id = None
    assert len(world.call(Part.objects, "bulk_create", parts)) == 2


def test_a_reference_to_nothing_is_named_by_update(world: World, team: Team) -> None:
    error = refused(ForeignKeyViolation, world, Player.objects.filter(name="x"), "update", team=77)
    assert (error.columns, error.values) == (("team_id",), {"team_id": 77})


def test_null_where_it_must_not_be(world: World, team: Team) -> None:
    player = Player(name="z", team=team)
    player.__dict__["born"] = None
    error = refused(NotNullViolation, world, player, "save")
    assert (error.columns, error.values) == (("born",), {"born": None})
    error = refused(NotNullViolation, world, Player.objects, "bulk_create", [Player(name="q", team=team), player])
    assert (error.columns, error.values) == (("born",), {"born": None})


def test_values_of_secrets_stay_secret(world: World, team: Team) -> None:
    for target in (saving(world, team, api_token="s3cret"), bulk(world, team, api_token="s3cret")):
        error = refused(UniqueViolation, world, *target)
        assert error.columns == ("api_token",)
        assert error.values == {"api_token": "**********"}


def test_update_tells_what_it_wrote(world: World, team: Team) -> None:
    error = refused(UniqueViolation, world, Player.objects.filter(name="y"), "update", name="x")
    assert error.columns == ("full_name", "born")
    assert error.values["full_name"] == "x"


def test_upserts_tell_about_other_constraints(world: World, team: Team) -> None:
    batch = [Player(name="x", team=team, wage=5), Player(name="n", team=team, api_token="s3cret")]
    error = refused(
        UniqueViolation,
        world,
        Player.objects,
        "bulk_create",
        batch,
        on_conflict="one_name_a_day",
        update={"wage": Excluded("wage")},
    )
    assert error.columns == ("api_token",)
    assert error.constraint == "uq_violations_player_api_token"


def test_a_write_in_a_read_only_transaction(world: World, team: Team) -> None:
    def deleted() -> None:
        with world.enter(atomic(read_only=True)):
            world.call(Player.objects.filter(name="x"), "delete")

    with pytest.raises(ReadOnlyTransaction) as caught:
        deleted()
    assert caught.value.model == "Player"


def test_raw_sql_is_told_as_well(world: World, team: Team) -> None:
    with pytest.raises(UndefinedColumn) as caught:
        world.iterate(Player.objects.raw("SELECT missing FROM violations_player"))
    assert caught.value.model == "Player"


# -- what no model declares ------------------------------------------------------------------------


def run_sql(world: World, *statements: str) -> None:
    """Runs SQL by hand."""
    for sql in statements:
        world.run(functools.partial(_run, sql), functools.partial(_arun, sql))


def _run(sql: str) -> None:
    with pools["default"].connection() as connection:
        connection.execute(sql)


async def _arun(sql: str) -> None:
    async with pools["default"].aconnection() as connection:
        await connection.execute(sql)


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
@pytest.mark.parametrize("way", WAYS)
def test_an_exclusion_tells_columns_name_and_values(world: World, team: Team, way: str) -> None:
    run_sql(
        world,
        "ALTER TABLE violations_player ADD CONSTRAINT one_wage EXCLUDE (wage WITH =, born WITH =) WHERE (wage > 5)",
    )
    world.call(Player.objects.filter(name="x"), "update", wage=Decimal(7))
    error = refused(ExclusionViolation, world, *WAYS[way](world, team, wage=Decimal(7)))
    assert (error.constraint, error.columns) == ("one_wage", ("wage", "born"))
    assert (Decimal(str(error.values["wage"])), str(error.values["born"])) == (Decimal(7), "2000-01-02")


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_statement_that_takes_too_long(world: World, team: Team) -> None:
    slow = "CREATE FUNCTION slow() RETURNS trigger AS 'BEGIN PERFORM pg_sleep(9); RETURN NEW; END' LANGUAGE plpgsql"
    run_sql(world, slow, "CREATE TRIGGER slow BEFORE UPDATE ON violations_player EXECUTE FUNCTION slow()")

    def late() -> None:
        with world.enter(atomic()):
            world.iterate(
                Team.objects.raw("SELECT *, set_config('statement_timeout', '30', true) FROM violations_team")
            )
            world.call(Player.objects.filter(name="x"), "update", wage=5)

    with pytest.raises(StatementTimeout) as caught:
        late()
    assert (caught.value.model, caught.value.table, caught.value.sqlstate) == ("Player", "violations_player", "57014")
