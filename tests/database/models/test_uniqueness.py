"""`validate_unique()`: rows that would be in the way of an instance, told before it is saved."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from datalayer import Field, ForeignKey, Mapped, Model, UniqueConstraint
from datalayer.models import registry
from datalayer.testing import acreate_tables, assert_num_queries, create_tables
from tests.worlds import World

with registry.isolated():

    class Team(Model):
        name: Mapped[str] = Field(max_length=20, unique=True)

        class Meta:
            table = "uniqueness_team"

    class Member(Model):
        team: ForeignKey[Team] = ForeignKey(related_name="+")
        nick: Mapped[str] = Field(max_length=20)
        mail: Mapped[str | None] = Field(max_length=40, default=None, unique=True)
        badge: Mapped[int | None] = Field(default=None)

        class Meta:
            table = "uniqueness_member"
            constraints = (
                UniqueConstraint("team", "nick"),
                UniqueConstraint("badge", nulls_distinct=False, name="one_badge"),
            )

    registry.tables()


@pytest.fixture
def team(world: World, configured: str) -> Any:
    world.run(lambda: create_tables(Team, Member), lambda: acreate_tables(Team, Member))
    team = world.call(Team.objects, "create", name="red")
    world.call(Member.objects, "create", team=team, nick="ann", mail="a@b.c", badge=1)
    return team


def wrong(world: World, instance: Any) -> list[tuple[Any, ...]]:
    with pytest.raises(ValidationError) as caught:
        world.call(instance, "validate_unique")
    return [error["loc"] for error in caught.value.errors()]


def test_every_row_in_the_way_is_told_at_its_fields(world: World, team: Any) -> None:
    assert wrong(world, Team(name="red")) == [("name",)]
    found = wrong(world, Member(team=team, nick="ann", mail="a@b.c", badge=2))
    assert sorted(found) == [("mail",), ("team_id", "nick")]
    with pytest.raises(ValidationError, match="another Team has the same name"):
        world.call(Team(name="red"), "validate_unique")


def test_what_is_free_passes(world: World, team: Any) -> None:
    world.call(Member(team=team, nick="bob", badge=2), "validate_unique")
    world.call(Team(name="blue"), "validate_unique")


def test_a_row_is_not_in_its_own_way(world: World, team: Any) -> None:
    ann = world.call(Member.objects, "get")
    world.call(ann, "validate_unique")
    world.call(Member.objects, "create", team=team, nick="bob", badge=2)
    ann.nick = "bob"
    assert wrong(world, ann) == [("team_id", "nick")]


def test_nulls_differ_where_the_constraint_says_so(world: World, team: Any) -> None:
    world.call(Member.objects, "create", team=team, nick="cid")
    assert wrong(world, Member(team=team, nick="dan")) == [("badge",)]


def test_a_value_that_is_not_there_is_not_asked_for(world: World, team: Any) -> None:
    with assert_num_queries(0):
        world.call(Team.model_construct(), "validate_unique")
