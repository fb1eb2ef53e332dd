"""`validate_constraints()`: what the database would refuse of a row, told before it is saved, in one statement."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from datalayer import (
    CheckConstraint,
    ExclusionConstraint,
    F,
    Field,
    ForeignKey,
    Mapped,
    Model,
    Q,
    Range,
    Sql,
    UniqueConstraint,
    conf,
)
from datalayer.errors import CheckViolation, UniqueViolation
from datalayer.models import registry
from datalayer.pooling.registry import pools
from datalayer.testing import acreate_tables, assert_num_queries, create_tables
from tests.worlds import World

with registry.isolated():

    class Shop(Model):
        name: Mapped[str] = Field(max_length=20, unique=True)

        class Meta:
            table = "validating_shop"

    class Ware(Model):
        shop: ForeignKey[Shop] = ForeignKey(related_name="+")
        name: Mapped[str] = Field(max_length=20)
        price: Mapped[Decimal] = Field(max_digits=8, decimal_places=2, column="Price %s")
        wide: Mapped[Decimal] = Field(max_digits=30, decimal_places=2, default=Decimal(10**9))
        kept: Mapped[int] = Field(default=0, ge=-5)
        until: Mapped[date | None] = Field(default=None)
        is_open: Mapped[bool] = Field(default=True)
        code: Mapped[str] = Field(max_length=9, db_default="none")

        class Meta:
            table = "validating_ware"
            constraints = (
                CheckConstraint(
                    Q(price__gt=0),
                    name="v_price",
                    violation_error_message="it must cost something",
                    violation_error_code="free",
                ),
                CheckConstraint(F("price") <= F("wide"), name="v_wide"),
                CheckConstraint("\"until\" > '2020-01-01'", name="v_until"),
                CheckConstraint(Q(code__in=["none", "x%"]), name="v_code"),
                UniqueConstraint("shop", "name", condition=Q(is_open=True), name="v_open"),
                UniqueConstraint(Sql('lower("code")'), name="v_lower", violation_error_message="taken"),
            )

    registry.tables()


@pytest.fixture
def shop(world: World, configured: str) -> Any:
    world.run(lambda: create_tables(Shop, Ware), lambda: acreate_tables(Shop, Ware))
    shop = world.call(Shop.objects, "create", name="corner")
    world.call(Ware.objects, "create", shop=shop, name="pen", price=1, code="none")
    return shop


def wrong(world: World, instance: Any) -> list[tuple[str, tuple[Any, ...], str]]:
    with assert_num_queries(1), pytest.raises(ValidationError) as caught:
        world.call(instance, "validate_constraints")
    return [(error["type"], error["loc"], error["msg"]) for error in caught.value.errors()]


def test_what_is_right_passes_in_one_statement(world: World, shop: Any) -> None:
    ware = Ware(shop=shop, name="ink", price=2, code="x%", until=date(2021, 1, 1))
    with assert_num_queries(1):
        world.call(ware, "validate_constraints")
    world.call(ware, "save")
    with assert_num_queries(1):
        world.call(ware, "validate_constraints")


def test_a_check_is_told_at_its_fields_in_its_own_words(world: World, shop: Any) -> None:
    assert wrong(world, Ware(shop=shop, name="ink", price=0)) == [("free", ("price",), "it must cost something")]


def test_every_broken_constraint_is_told_at_once(world: World, shop: Any) -> None:
    ware = Ware(shop=shop, name="pen", price=7, wide=5, until=date(2019, 1, 1), code="NONE")
    assert wrong(world, ware) == [
        ("check", ("price", "wide"), "Ware breaks the constraint 'v_wide'"),
        ("check", ("until",), "Ware breaks the constraint 'v_until'"),
        ("check", ("code",), "Ware breaks the constraint 'v_code'"),
        ("unique", ("shop_id", "name", "is_open"), "another Ware has the same shop_id, name, is_open"),
        ("unique", ("code",), "taken"),
    ]


def test_what_is_told_is_what_the_database_refuses(world: World, shop: Any) -> None:
    for ware, error in (
        (Ware(shop=shop, name="ink", price=0, code="x%"), CheckViolation),
        (Ware(shop=shop, name="ink", price=7, wide=5, code="x%"), CheckViolation),
        (Ware(shop=shop, name="pen", price=7, code="x%"), UniqueViolation),
    ):
        assert len(wrong(world, ware)) == 1
        with pytest.raises(error):
            world.call(ware, "save")


def test_a_condition_limits_what_must_be_unique(world: World, shop: Any) -> None:
    world.call(Ware(shop=shop, name="pen", price=7, is_open=False, code="x%"), "validate_constraints")
    world.call(Ware.objects.all(), "update", is_open=False)
    world.call(Ware(shop=shop, name="pen", price=7, code="x%"), "validate_constraints")


def test_a_row_is_not_in_its_own_way(world: World, shop: Any) -> None:
    pen = world.call(Ware.objects, "get")
    world.call(pen, "validate_constraints")
    pen.price = Decimal(0)
    assert [loc for _, loc, _ in wrong(world, pen)] == [("price",)]


def test_what_only_the_database_knows_is_not_asked(world: World, shop: Any) -> None:
    with assert_num_queries(1) as captured:
        world.call(Ware(shop=shop, name="ink", price=2), "validate_constraints")
    assert "lower" not in captured[0].sql


def test_a_null_meets_a_check_as_in_sql(world: World, shop: Any) -> None:
    world.call(Ware(shop=shop, name="ink", price=2, until=None), "validate_constraints")


def test_validate_unique_looks_at_other_rows_alone(world: World, shop: Any) -> None:
    world.call(Ware(shop=shop, name="ink", price=0), "validate_unique")
    with pytest.raises(ValidationError, match="another Shop has the same name"):
        world.call(Shop(name="corner"), "validate_unique")


def test_an_exclusion_is_told_too(postgresql_url: str, world: World) -> None:
    with registry.isolated(), conf.override(databases={"default": {"url": postgresql_url}}):

        class Stay(Model):
            rooms: Mapped[Range[int]]
            nights: Mapped[Range[int]]
            is_open: Mapped[bool] = Field(default=True)

            class Meta:
                table = "validating_stay"
                constraints = (
                    ExclusionConstraint(("rooms", "&&"), ("nights", "&&"), condition=Q(is_open=True), name="v_stay"),
                )

        world.run(lambda: create_tables(Stay), lambda: acreate_tables(Stay))
        first = world.call(Stay.objects, "create", rooms=Range(1, 3), nights=Range(1, 5))
        world.call(first, "validate_constraints")
        world.call(Stay(rooms=Range(1, 3), nights=Range(5, 6)), "validate_constraints")
        world.call(Stay(rooms=Range(1, 3), nights=Range(1, 6), is_open=False), "validate_constraints")
        assert wrong(world, Stay(rooms=Range(2, 3), nights=Range(2, 3))) == [
            (
                "exclusion",
                ("rooms", "nights", "is_open"),
                "another Stay excludes this one, by the constraint 'v_stay' on rooms, nights, is_open",
            )
        ]
        world.run(pools.close_all, pools.aclose_all)


def test_a_unique_constraint_with_a_condition_is_a_target_of_upserts(world: World, shop: Any) -> None:
    again = Ware(shop=shop, name="pen", price=9, code="x%")
    world.call(Ware.objects, "bulk_create", [again], on_conflict="v_open", update=("price",))
    assert world.call(Ware.objects, "get").price == 9
