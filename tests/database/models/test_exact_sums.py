"""Sums, averages and extremes of computed money are what exact decimals give: no row is rounded before it is added."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

import pytest

from datalayer import (
    CASCADE,
    Avg,
    Case,
    F,
    Field,
    ForeignKey,
    Mapped,
    Max,
    Min,
    Model,
    Reverse,
    Sum,
    Value,
    When,
    Window,
)
from datalayer.functions import Abs, Coalesce, Greatest
from datalayer.models import registry
from datalayer.testing.tables import acreate_tables, create_tables
from tests.worlds import World

with registry.isolated():

    class Staff(Model):
        name: Mapped[str] = Field(max_length=5)
        slips: ClassVar[Reverse[Slip]]

        class Meta:
            table = "exact_staff"

    class Slip(Model):
        pay: Mapped[Decimal | None] = Field(max_digits=12, decimal_places=2, default=None)
        team: Mapped[str] = Field(max_length=5, default="a")
        staff: ForeignKey[Staff] = ForeignKey(on_delete=CASCADE, related_name="slips")

        class Meta:
            table = "exact_slip"

    registry.tables()

Slips = Slip.objects
HALF = Decimal("0.005")
PAYS = (Decimal("2.01"), Decimal("7.77"), None, None, None)
COUNTED = [Decimal("2.01"), HALF, HALF, HALF, HALF]
"""What `or_half` is of each of the rows."""


def or_half() -> Any:
    return Case(When(pay=Decimal("2.01"), then=F("pay")), default=Value(HALF))


@pytest.fixture(autouse=True)
def table(world: World, configured: str) -> None:
    world.run(lambda: create_tables(Staff, Slip), lambda: acreate_tables(Staff, Slip))
    staff = world.call(Staff.objects, "create", name="Ada")
    rows = [Slip(pay=pay, staff=staff, team="a" if place < 3 else "b") for place, pay in enumerate(PAYS)]
    world.call(Slips, "bulk_create", rows)


def rows(world: World, query: Any) -> list[Any]:
    return list(world.iterate(query))


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        (or_half(), COUNTED),
        (Coalesce("pay", Value(HALF)), [Decimal("2.01"), Decimal("7.77"), HALF, HALF, HALF]),
        (F("pay") * Decimal("0.5"), [Decimal("1.005"), Decimal("3.885")]),
        (Abs(F("pay") * Decimal("-0.5")), [Decimal("1.005"), Decimal("3.885")]),
        (Greatest(Coalesce("pay", Value(HALF)), Value(Decimal("2.015"))), [*[Decimal("2.015")] * 4, Decimal("7.77")]),
    ],
    ids=["case", "coalesce", "arithmetic", "abs", "greatest"],
)
def test_aggregates_of_computed_money_are_exact(world: World, expression: Any, values: list[Decimal]) -> None:
    found = world.call(
        Slips, "aggregate", total=Sum(expression), mean=Avg(expression), least=Min(expression), most=Max(expression)
    )
    mean = found.pop("mean")
    assert found == {"total": sum(values), "least": min(values), "most": max(values)}
    assert round(mean, 12) == round(sum(values, Decimal(0)) / len(values), 12)


def test_sums_of_an_annotation_are_exact(world: World) -> None:
    found = world.call(Slips.annotate(x=or_half()), "aggregate", total=Sum("x"), least=Min("x"))
    assert found == {"total": sum(COUNTED), "least": HALF}


def test_sums_of_rows_that_are_chosen_are_exact(world: World) -> None:
    found = world.call(Slips, "aggregate", total=Sum(or_half(), filter=Slip.team == "b"))
    assert found == {"total": HALF * 2}


def test_equal_values_are_added_once(world: World) -> None:
    found = world.call(Slips, "aggregate", total=Sum(or_half(), distinct=True))
    assert found == {"total": Decimal("2.015")}


def test_a_default_stands_for_the_sum_of_no_rows(world: World) -> None:
    found = world.call(Slips.filter(team="c"), "aggregate", total=Sum(or_half(), default=HALF))
    assert found == {"total": HALF}


def test_sums_of_groups_are_exact_and_sort_and_compare_by_value(world: World) -> None:
    groups = Slips.values("team").annotate(total=Sum(or_half()))
    assert rows(world, groups.order_by("-total").values_list("team", "total")) == [
        ("a", Decimal("2.02")),
        ("b", Decimal("0.01")),
    ]
    assert rows(world, groups.filter(total__gt=Decimal("2.015")).values_list("team", flat=True)) == ["a"]
    assert rows(world, groups.filter(total__lt=Decimal("2.02")).values_list("team", flat=True)) == ["b"]


def test_sums_of_computed_money_compare_with_sums_of_columns_by_value(world: World) -> None:
    groups = Slips.values("team").annotate(total=Sum(or_half()), plain=Sum("pay", default=0))
    assert rows(world, groups.filter(total__gt=F("plain")).values_list("team", flat=True)) == ["b"]
    assert rows(world, groups.filter(plain__lt=F("total")).values_list("team", flat=True)) == ["b"]


def test_sums_over_windows_are_exact(world: World) -> None:
    running = Window(Sum(or_half()), order_by="id")
    found = rows(world, Slips.annotate(total=running).order_by("id").values_list("total", flat=True))
    assert found == [sum(COUNTED[: place + 1]) for place in range(5)]


def test_sums_and_averages_over_a_relation_are_exact(world: World) -> None:
    each = Case(When(slips__pay=Decimal("2.01"), then=F("slips__pay")), default=Value(HALF))
    staff = Staff.objects.annotate(total=Sum(each), mean=Avg(each), least=Min(each))
    assert rows(world, staff.values_list("total", "mean", "least")) == [(sum(COUNTED), Decimal("0.406"), HALF)]
    groups = Staff.objects.values("name").annotate(total=Sum(each), mean=Avg(each))
    assert rows(world, groups.values_list("total", "mean")) == [(sum(COUNTED), Decimal("0.406"))]


def test_a_computed_sum_has_room_for_more_digits_than_a_double(world: World) -> None:
    large = Case(When(pay__isnull=True, then=Value(Decimal("999999999999.999"))), default=Value(HALF))
    staff = world.call(Staff.objects, "get")
    world.call(Slips, "bulk_create", [Slip(staff=staff) for _ in range(97)])
    found = world.call(Slips, "aggregate", total=Sum(large))
    assert found == {"total": Decimal("999999999999.999") * 100 + HALF * 2}


def computed_rows(way: str) -> Any:
    found = Slips.values("id", x=or_half())
    return found.union(found) if way == "union" else found.with_cte("kept", found)


@pytest.mark.parametrize("way", ["union", "cte"])
def test_computed_money_of_other_rows_keeps_its_digits(world: World, way: str) -> None:
    found = computed_rows(way)
    assert rows(world, found.order_by("id").values_list("x", flat=True)) == COUNTED
    assert world.call(found, "aggregate", total=Sum("x"), least=Min("x")) == {"total": sum(COUNTED), "least": HALF}
