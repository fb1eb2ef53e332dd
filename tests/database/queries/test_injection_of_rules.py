"""Hostile text in conditions of constraints, which stand in the SQL itself: it is a value there, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from datalayer import CheckConstraint, Field, Index, Mapped, Model, Q, UniqueConstraint
from datalayer.errors import CheckViolation, ModelError, UniqueViolation
from datalayer.models import registry
from datalayer.testing import acreate_tables, create_tables
from tests.database.queries.test_injection import HOSTILE
from tests.worlds import World

with registry.isolated():

    class Ruled(Model):
        text: Mapped[str] = Field(column='a"b; -- %s')
        mark: Mapped[str] = Field(default="")

        class Meta:
            table = "ruled"
            constraints = (
                CheckConstraint(Q(text__in=[*HOSTILE, "plain"]), name="known"),
                UniqueConstraint("mark", condition=Q(text__in=HOSTILE), name="one"),
            )
            indexes = tuple(Index("mark", condition=Q(text__contains=t), name=f"i{n}") for n, t in enumerate(HOSTILE))

    registry.tables()


@pytest.fixture
def ruled(configured: str, world: World) -> None:
    world.run(lambda: create_tables(Ruled), lambda: acreate_tables(Ruled))


def test_hostile_values_of_a_condition_are_values(world: World, ruled: None) -> None:
    for number, text in enumerate(HOSTILE):
        row: Any = Ruled(text=text, mark=str(number))
        world.call(row, "validate_constraints")
        world.call(row, "save")
        for wrong in (text + "!", f"'{text}'", text.replace("%", "%%") + " "):
            row = Ruled(text=wrong, mark="x")
            with pytest.raises(ValidationError, match="breaks the constraint 'known'"):
                world.call(row, "validate_constraints")
            with pytest.raises(CheckViolation):
                world.call(row, "save")
        row = Ruled(text=text, mark=str(number))
        with pytest.raises(ValidationError, match="another Ruled has the same mark"):
            world.call(row, "validate_constraints")
        with pytest.raises(UniqueViolation):
            world.call(row, "save")
    assert world.call(Ruled.objects, "count") == len(HOSTILE)


def test_a_zero_byte_is_refused_when_the_model_is_built() -> None:
    with registry.isolated():

        class Zero(Model):
            text: Mapped[str]

            class Meta:
                constraints = (CheckConstraint(Q(text="a\0b"), name="x"),)

        with pytest.raises(ModelError, match=r"Zero\.Meta: .*zero byte"):
            _ = Zero.table
