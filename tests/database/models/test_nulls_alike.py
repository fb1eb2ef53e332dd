"""`UniqueConstraint(nulls_distinct=False)`: two NULLs are alike, on SQLite as on PostgreSQL."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from datalayer import Excluded, F, Field, Mapped, Model, UniqueConstraint
from datalayer.errors import UniqueViolation
from datalayer.models import registry
from datalayer.testing import acreate_tables, create_tables
from tests.worlds import World

with registry.isolated():

    class Badge(Model):
        number: Mapped[int | None] = Field(default=None)
        times: Mapped[int] = Field(default=0)

        class Meta:
            table = "alike_badge"
            constraints = (UniqueConstraint("number", nulls_distinct=False, name="one_number"),)

    class Price(Model):
        shop: Mapped[str] = Field(max_length=10)
        day: Mapped[int | None] = Field(default=None)
        amount: Mapped[Decimal | None] = Field(default=None)
        is_open: Mapped[bool] = Field(default=True)

        class Meta:
            table = "alike_price"
            constraints = (
                UniqueConstraint("shop", "day", "amount", nulls_distinct=False, name="one_price"),
                UniqueConstraint("day", condition='"is_open"', nulls_distinct=False, name="one_open_day"),
            )

    registry.tables()


@pytest.fixture(autouse=True)
def tables(configured: str, world: World) -> None:
    world.run(lambda: create_tables(Badge, Price), lambda: acreate_tables(Badge, Price))


def refused(world: World, model: Any, **values: Any) -> UniqueViolation:
    with pytest.raises(UniqueViolation) as caught:
        world.call(model.objects, "create", **values)
    return caught.value


def test_a_second_null_is_refused_with_model_columns_and_constraint(world: World) -> None:
    world.call(Badge.objects, "create", number=1)
    world.call(Badge.objects, "create")
    error = refused(world, Badge)
    assert (error.model, error.columns, error.constraint) == ("Badge", ("number",), "one_number")
    assert refused(world, Badge, number=1).constraint == "one_number"
    assert world.call(Badge.objects, "count") == 2


def test_an_update_to_a_second_null_is_refused(world: World) -> None:
    world.call(Badge.objects, "create")
    badge = world.call(Badge.objects, "create", number=1)
    badge.number = None
    with pytest.raises(UniqueViolation):
        world.call(badge, "save")


def test_rows_are_alike_in_every_column_and_by_the_value_of_each(world: World) -> None:
    for values in (
        {},
        {"day": 0},
        {"amount": Decimal(0)},
        {"amount": Decimal("1.50")},
        {"day": 1, "amount": Decimal(2)},
    ):
        world.call(Price.objects, "create", shop="a", is_open=False, **values)
    world.call(Price.objects, "create", shop="b", is_open=False)
    again: list[dict[str, Any]] = [{}, {"day": 0}, {"amount": Decimal("0.0")}, {"amount": Decimal("1.5")}]
    for values in again:
        error = refused(world, Price, shop="a", is_open=False, **values)
        assert error.columns == ("shop", "day", "amount")
    assert world.call(Price.objects, "count") == 6


def test_a_condition_leaves_other_rows_alone(world: World) -> None:
    world.call(Price.objects, "create", shop="a")
    world.call(Price.objects, "create", shop="b", is_open=False)
    assert refused(world, Price, shop="c").constraint == "one_open_day"


def test_validate_unique_says_the_same(world: World) -> None:
    world.call(Badge.objects, "create")
    with pytest.raises(ValidationError, match="another Badge has the same number"):
        world.call(Badge(), "validate_unique")


def test_an_upsert_finds_the_row_with_null(world: World) -> None:
    world.call(Badge.objects, "create", times=1)
    rows = [Badge(times=10), Badge(number=5, times=20)]
    written = {"times": F("times") + Excluded("times")}
    found = world.call(Badge.objects, "bulk_create", rows, on_conflict=("number",), update=written)
    assert ([row.times for row in found.updated], [row.times for row in found.inserted]) == ([11], [20])
    assert world.call(Badge.objects, "count") == 2


def test_an_upsert_that_leaves_rows_alone_leaves_the_one_with_null(world: World) -> None:
    world.call(Badge.objects, "create", times=1)
    rows = [Badge(times=10), Badge(number=5)]
    found = world.call(Badge.objects, "bulk_create", rows, on_conflict="one_number")
    assert (len(found.skipped), len(found.inserted)) == (1, 1)
    assert world.call(Badge.objects, "get", number=None).times == 1
