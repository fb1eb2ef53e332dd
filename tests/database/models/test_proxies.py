"""Proxies: the rows of another model with an order, managers and methods of their own; and copies of loaded rows."""

from __future__ import annotations

import copy
import pickle
from typing import Any, ClassVar, Self

import pytest

from datalayer import Field, ForeignKey, Manager, ManyToMany, Mapped, Model, Reverse, after_delete, before_save
from datalayer.errors import ModelError
from datalayer.models import registry
from datalayer.testing import capture_queries, create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import World

GONE: list[str] = []

with registry.isolated():

    class Team(Model):
        name: Mapped[str] = Field(max_length=20)
        members: ClassVar[Reverse[Person]]

        class Meta:
            table = "proxy_team"

    class Person(Model):
        name: Mapped[str] = Field(max_length=20)
        rank: Mapped[int] = Field(default=0)
        team: ForeignKey[Team] = ForeignKey(related_name="members")
        friends: ManyToMany[Person] = ManyToMany()

        class Meta:
            table = "proxy_person"
            ordering = ("name",)

    class BossManager(Manager["Boss"]):
        def get_queryset(self) -> Self:
            return super().get_queryset().filter(rank__gt=5)

    class Boss(Person):
        objects: ClassVar[BossManager] = BossManager()  # type: ignore[assignment, misc]

        def greeting(self) -> str:
            return f"Boss {self.name}"

        @before_save
        def shout(self) -> None:
            if self.name == "new":
                self.name = "NEW"

        @after_delete
        def has_left(self) -> None:
            GONE.append(self.name)

        class Meta:
            proxy = True
            ordering = ("-rank",)

    registry.tables()

MODELS = (Team, Person)


@pytest.fixture(autouse=True)
def people(configured: str, world: World) -> None:
    world.run(lambda: create_tables(*MODELS), lambda: acreate_tables(*MODELS))
    team = world.call(Team.objects, "create", name="t")
    for name, rank in (("a", 1), ("b", 7), ("c", 9)):
        world.call(Person.objects, "create", name=name, rank=rank, team=team)


def test_a_proxy_shows_the_rows_its_manager_finds_in_its_own_order(world: World) -> None:
    found = world.iterate(Boss.objects.all())
    assert [row.greeting() for row in found] == ["Boss c", "Boss b"]
    assert type(found[0]) is Boss
    assert [type(row) for row in world.iterate(Person.objects.all())] == [Person] * 3
    assert Boss.table is Person.table
    with pytest.raises(Boss.DoesNotExist):
        world.call(Boss.objects, "get", name="a")
    with pytest.raises(Person.DoesNotExist):
        world.call(Boss.objects, "get", name="a")


def test_a_row_is_the_same_under_either_name(world: World) -> None:
    boss, person = world.call(Boss.objects, "get", name="b"), world.call(Person.objects, "get", name="b")
    assert boss == person
    assert len({boss, person}) == 1
    assert boss != world.call(Team.objects, "get", id=boss.team_id)


def test_a_proxy_is_written_and_related_like_the_model(world: World) -> None:
    team = world.call(Team.objects, "get")
    boss = world.call(Boss.objects, "create", name="d", rank=8, team=team)
    boss.name = "e"
    world.call(boss, "save")
    assert world.call(Person.objects, "get", id=boss.id).name == "e"
    assert world.call(Boss.objects.select_related("team"), "get", name="e").team == team
    assert world.iterate(Boss.objects.filter(Person.team[Team.name] == "t").prefetch_related("team"))[0].team == team
    world.call(boss.friends, "add", world.call(Person.objects, "get", name="a"))
    assert [row.name for row in world.iterate(boss.friends)] == ["a"]
    assert world.call(boss, "delete") == 1


def test_a_proxy_that_is_none_is_refused() -> None:
    with registry.isolated():

        class Base(Model):
            pass

        with pytest.raises(ModelError, match=r"Odd.extra would be a column, but Odd is a proxy"):

            class Odd(Base):
                extra: Mapped[int] = Field(default=0)

                class Meta:
                    proxy = True

        with pytest.raises(ModelError, match="shows the rows of one model it inherits from; it has none"):

            class Lost(Model):
                class Meta:
                    proxy = True

        with pytest.raises(ModelError, match="Meta has 'table', but Named is a proxy"):

            class Named(Base):
                class Meta:
                    proxy = True
                    table = "x"

        class Shown(Base):
            class Meta:
                proxy = True

        class Wrong(Model):
            shown: ForeignKey[Shown] = ForeignKey()

        with pytest.raises(ModelError, match="which is a proxy; refer to Base"):
            registry.tables()
        assert Wrong.__name__ == "Wrong"

        with pytest.raises(ModelError, match="proxy = True"):

            class Child(Base):
                pass


@pytest.mark.parametrize("how", ["pickle", "copy", "deepcopy", "model_copy"])
def test_copies_take_along_what_is_loaded(world: World, how: str) -> None:
    query = Person.objects.select_related("team").prefetch_related("friends", "team__members")
    row = world.call(query, "get", name="b")
    ways: dict[str, Any] = {
        "pickle": lambda each: pickle.loads(pickle.dumps(each)),
        "copy": copy.copy,
        "deepcopy": copy.deepcopy,
        "model_copy": lambda each: each.model_copy(),
    }
    with capture_queries() as sent:
        again = ways[how](row)
        assert again == row
        assert again.team.name == "t"
        assert world.iterate(again.friends) == []
        assert [each.name for each in world.iterate(again.team.members)] == ["a", "b", "c"]
    assert not sent
    again.rank = 3
    world.call(again, "save")
    assert world.call(Person.objects, "get", name="b").rank == 3


def test_a_queryset_is_copied_but_its_rows_are_pickled(world: World) -> None:
    query = Person.objects.filter(rank__gt=5)
    for again in (copy.copy(query), copy.deepcopy(query)):
        assert [row.name for row in world.iterate(again.order_by("name"))] == ["b", "c"]
    with pytest.raises(TypeError, match=r"cannot be pickled; pickle its rows instead: list\(queryset\)"):
        pickle.dumps(query)
    assert pickle.loads(pickle.dumps(world.iterate(query))) == world.iterate(query)


def test_hooks_of_a_proxy_are_called_whoever_was_saved_before(world: World) -> None:
    team = world.call(Team.objects, "get")
    names = [world.call(model.objects, "create", name="new", team=team).name for model in (Person, Boss, Person)]
    assert names == ["new", "NEW", "new"]


def test_a_proxy_has_delete_hooks_of_its_own(world: World) -> None:
    GONE.clear()
    team = world.call(Team.objects, "get")
    world.call(world.call(Person.objects, "create", name="of the model", team=team), "delete")
    bosses = [world.call(Boss.objects, "create", name=name, rank=9, team=team) for name in ("one", "two", "three")]
    world.call(bosses[0], "delete")
    world.call(Boss.objects, "bulk_delete", [bosses[1]])
    world.call(Boss.objects.filter(name="three"), "delete")
    assert GONE == ["one", "two", "three"]
