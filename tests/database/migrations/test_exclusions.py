"""Exclusion constraints: in models, migrations, drift and errors; SQLite refuses them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datalayer import ExclusionConstraint, Field, Mapped, Model, Range, conf
from datalayer.errors import ExclusionViolation, MigrationError, ModelError, NotSupported
from datalayer.migrations import commands
from datalayer.migrations.inspecting import inspectdb
from datalayer.models import registry
from datalayer.pooling.registry import pools
from datalayer.testing import acreate_tables, create_tables
from tests.database.migrations.test_drift import found
from tests.worlds import World

BOTH = ExclusionConstraint(("rooms", "&&"), ("nights", "&&"))
TWICE = ExclusionConstraint(("nights", "&&"), ("nights", "="), name="alike")
FLOOR = ExclusionConstraint(("floor", "="), ("nights", "&&"))
SOME = ExclusionConstraint(("nights", "&&"), name="no_double", condition='"floor" > 3')


@pytest.fixture(autouse=True)
def isolated() -> Iterator[None]:
    with registry.isolated():
        yield


def stay(*given: Any) -> Any:
    class Stay(Model):
        rooms: Mapped[Range[int]]
        nights: Mapped[Range[int]]
        floor: Mapped[int] = Field(default=4)

        class Meta:
            constraints = given

    return Stay


def shown(constraint: ExclusionConstraint) -> list[str]:
    return [f'("{name}", "{sign}")' for name, sign in constraint.pairs] + [
        str(constraint.name or "ex_stay_rooms_nights")
    ]


def test_rows_that_meet_are_refused_in_our_class(postgresql_url: str, world: World) -> None:
    with conf.override(databases={"default": {"url": postgresql_url}}):
        made = stay(BOTH)
        world.run(lambda: create_tables(made), lambda: acreate_tables(made))
        world.call(made.objects, "create", rooms=Range(1, 3), nights=Range(1, 5))
        world.call(made.objects, "create", rooms=Range(1, 3), nights=Range(5, 9))
        row = made(rooms=Range(2, 3), nights=Range(2, 3))
        for target, verb, given in ((row, "save", ()), (made.objects, "bulk_create", ([row],))):
            with pytest.raises(ExclusionViolation) as caught:
                world.call(target, verb, *given)
            error = caught.value
            told = (error.model, error.columns, error.constraint)
            assert told == ("Stay", ("rooms", "nights"), "ex_stay_rooms_nights")
            assert error.values == {"rooms": Range(2, 3), "nights": Range(2, 3)} or given
        assert world.call(made.objects, "count") == 2
        world.run(pools.close_all, pools.aclose_all)


def test_migrations_make_change_and_drop_them(postgresql_url: str, tmp_path: Path) -> None:
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)):
        for constraints in ((BOTH,), (BOTH, SOME), (SOME,), (SOME, TWICE), (TWICE,), ()):
            made = stay(*constraints)
            commands.makemigrations(tables=[made.table])
            commands.migrate()
            assert not commands.makemigrations(tables=[made.table]).has_changes
            assert found() == []
            text = inspectdb()
            assert all(word in text for one in constraints for word in shown(one)), text
            registry.clear()
        for _ in range(5):
            commands.revert()
        pools.close_all()


@pytest.mark.parametrize("is_new", [True, False], ids=["made with its table", "added to it"])
def test_an_equal_sign_on_a_plain_value_names_the_extension_it_needs(
    postgresql_url: str, tmp_path: Path, *, is_new: bool
) -> None:
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)):
        for constraints in ((FLOOR,),) if is_new else ((), (FLOOR,)):
            registry.clear()
            commands.makemigrations(tables=[stay(*constraints).table])
        with pytest.raises(MigrationError, match=r"online.create_extension..btree_gist.. before it; nothing of it"):
            commands.migrate()
        pools.close_all()


def test_sqlite_refuses_them_and_says_why(sqlite_url: str, tmp_path: Path) -> None:
    with conf.override(databases={"default": {"url": sqlite_url}}, migrations=str(tmp_path)):
        made = stay(SOME)
        with pytest.raises(NotSupported, match="no_double is an exclusion constraint, which SQLite does not have"):
            create_tables(made)
        commands.makemigrations(tables=[made.table])
        with pytest.raises(MigrationError, match="no_double is an exclusion constraint, which SQLite does not have"):
            commands.migrate()
        pools.close_all()


@pytest.mark.parametrize("given", [(), ("nights",), (("nights", "&& 1"),), (("nights", ")"),)])
def test_pairs_that_are_none_are_refused(given: Any) -> None:
    with pytest.raises(ModelError, match="takes fields with their operators"):
        ExclusionConstraint(*given)


def test_an_unknown_field_is_told_with_the_choices() -> None:
    with pytest.raises(ModelError, match=r"names 'night'.*did you mean 'nights'"):
        stay(ExclusionConstraint(("night", "&&"))).objects.count()
