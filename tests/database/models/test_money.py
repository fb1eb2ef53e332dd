"""What the database computes is exact and fits its column: nothing is saved that the model would refuse."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from datalayer import Avg, BigInt, Count, F, Field, Mapped, Model, SmallInt, Sum, Value
from datalayer._plans.plan import Command
from datalayer.databases import databases
from datalayer.errors import DataError, InvalidValue
from datalayer.functions import Ceil, Concat, Floor
from datalayer.models import registry
from datalayer.testing.tables import acreate_tables, create_tables
from tests.worlds import World

with registry.isolated():

    class Payslip(Model):
        name: Mapped[str] = Field(max_length=5)
        pay: Mapped[Decimal] = Field(max_digits=12, decimal_places=2)
        days: Mapped[SmallInt] = Field(default=1)
        hours: Mapped[int] = Field(default=0)
        number: Mapped[BigInt] = Field(default=0)
        rate: Mapped[float] = Field(default=1.0)

        class Meta:
            table = "money_payslip"

    registry.tables()

Objects = Payslip.objects


@pytest.fixture(autouse=True)
def table(world: World, configured: str) -> None:
    world.run(lambda: create_tables(Payslip), lambda: acreate_tables(Payslip))


def add(world: World, *pays: str, **values: Any) -> None:
    rows = [Payslip(name="Ada", pay=Decimal(pay), **values) for pay in pays]
    world.call(Objects, "bulk_create", rows)


def column(world: World, query: Any) -> list[Any]:
    return list(world.iterate(query))


# -- exact -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (F("pay") * 3, "0.30"),
        (F("pay") + F("pay") + F("pay"), "0.30"),
        (F("pay") * Decimal("1.1"), "0.11"),
        (F("pay") - Decimal("0.09"), "0.01"),
        (F("pay") * F("pay") * F("pay") * F("pay"), "0.0001"),
    ],
)
def test_arithmetic_of_decimals_is_exact(world: World, expression: Any, expected: str) -> None:
    add(world, "0.10")
    assert column(world, Objects.annotate(x=expression).values_list("x", flat=True)) == [Decimal(expected)]


def test_computed_decimals_equal_what_they_are(world: World) -> None:
    add(world, "0.10", "0.20")
    found = Objects.annotate(x=F("pay") * 3).filter(x=Decimal("0.30"))
    assert world.call(found, "count") == 1


def test_computed_decimals_compare_with_columns_by_value(world: World) -> None:
    add(world, "9.00", "10.00")
    assert world.call(Objects.filter(pay__lt=F("pay") * 2), "count") == 2
    assert world.call(Objects.filter(pay__lt=F("pay") * 1), "count") == 0


def test_computed_decimals_sort_by_value(world: World) -> None:
    add(world, "9.00", "10.00", "100.00")
    found = column(world, Objects.annotate(x=F("pay") * 2).order_by("-x").values_list("x", flat=True))
    assert found == [Decimal(200), Decimal(20), Decimal(18)]


def test_sums_of_computed_decimals_are_exact(world: World) -> None:
    add(world, "0.10", "0.70", "1.15", "4.35")
    assert world.call(Objects, "aggregate", s=Sum(F("pay") + F("pay"))) == {"s": Decimal("12.60")}


def test_sums_of_different_decimals_are_exact(world: World) -> None:
    add(world, "0.10", "0.10", "0.20", "0.30")
    assert world.call(Objects, "aggregate", s=Sum("pay", distinct=True)) == {"s": Decimal("0.60")}


def sent(compiler: Any, sql: str) -> Any:
    yield Command(sql, returns_rows=False, writes=True)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0.125", "0.13"),
        ("0.135", "0.14"),
        ("-0.125", "-0.13"),
        ("2.5049", "2.50"),
        ("1234567890.005", "1234567890.01"),
    ],
)
def test_what_others_wrote_with_too_many_digits_is_rounded_half_up_too(world: World, written: str, read: str) -> None:
    add(world, "1")
    world.call(databases["default"], "run", sent, f"UPDATE money_payslip SET pay = {written}")
    assert column(world, Objects.values_list("pay", flat=True)) == [Decimal(read)]
    assert world.call(Objects, "get").pay == Decimal(read)
    assert world.call(Objects, "aggregate", total=Sum("pay")) == {"total": Decimal(read)}


def test_averages_of_decimals_do_not_drift(world: World) -> None:
    add(world, *["9999999999.99"] * 3000)
    assert world.call(Objects, "aggregate", a=Avg("pay")) == {"a": Decimal("9999999999.99")}


def test_arithmetic_of_sums_is_exact(world: World) -> None:
    add(world, "0.10", "0.20")
    found = world.call(Objects, "aggregate", x=Sum("pay") * 3, y=Sum("pay") / Count("id"))
    assert found == {"x": Decimal("0.90"), "y": Decimal("0.15")}


# -- what a column has room for --------------------------------------------------------------------


def test_computed_money_is_rounded_half_up_to_its_column(world: World) -> None:
    add(world, "1.15")
    world.call(Objects.all(), "update", pay=F("pay") * Decimal("1.1"))
    assert column(world, Objects.values_list("pay", flat=True)) == [Decimal("1.27")]


TOO_MUCH: list[tuple[str, Any]] = [
    ("pay", F("pay") * Decimal("10000000000")),
    ("days", F("days") + 32767),
    ("hours", F("hours") + 2147483647 + 1),
    ("number", F("number") + 9223372036854775807 + 1),
    ("name", Concat("name", Value("-"), "name")),
]


@pytest.mark.parametrize(
    ("rate", "expression", "expected"),
    [
        (1.005, F("pay") + F("rate"), "3.02"),
        (1.0049999999999997, F("rate"), "1.01"),
        (1.0049, F("rate"), "1.00"),
    ],
)
def test_a_double_brings_its_15_digits_to_money(world: World, rate: float, expression: Any, expected: str) -> None:
    add(world, "2.01", rate=rate)
    world.call(Objects.all(), "update", pay=expression)
    assert column(world, Objects.values_list("pay", flat=True)) == [Decimal(expected)]


@pytest.mark.parametrize(("rate", "expected"), [(2.5, 2), (-3.5, -4), (1.4999999999999998, 1), (1e15 + 0.5, 10**15)])
def test_a_double_is_rounded_to_a_whole_number(world: World, rate: float, expected: int) -> None:
    add(world, "0", rate=rate)
    world.call(Objects.all(), "update", number=F("rate"))
    assert column(world, Objects.values_list("number", flat=True)) == [expected]


@pytest.mark.parametrize("rate", [1.0000000000000002, 0.9999999999999999, 123456789012345678.0, -2.5])
def test_doubles_go_up_and_down_to_whole_numbers(world: World, rate: float) -> None:
    add(world, "0", rate=rate)
    found = column(world, Objects.annotate(up=Ceil("rate"), down=Floor("rate")).values_list("up", "down"))
    assert found == [(math.ceil(rate), math.floor(rate))]


@pytest.mark.parametrize(("name", "expression"), TOO_MUCH)
def test_what_does_not_fit_its_column_is_refused_and_nothing_changes(world: World, name: str, expression: Any) -> None:
    add(world, "1.00")
    before = column(world, Objects.values_list("name", "pay", "days", "hours", "number"))
    with pytest.raises(DataError):
        world.call(Objects.all(), "update", **{name: expression})
    assert column(world, Objects.values_list("name", "pay", "days", "hours", "number")) == before


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("name", "expression"), TOO_MUCH)
def test_the_refusal_names_the_column(world: World, name: str, expression: Any) -> None:
    add(world, "1.00")
    with pytest.raises(DataError, match=f"what was computed for '{name}'") as caught:
        world.call(Objects.all(), "update", **{name: expression})
    assert (caught.value.columns, caught.value.model) == ((name,), "Payslip")


def test_a_plain_value_in_words_must_fit_as_any_other(world: World) -> None:
    add(world, "1.00")
    with pytest.raises(InvalidValue, match="name"):
        world.call(Objects.all(), "update", name=Value("too long"))
    assert column(world, Objects.values_list("name", flat=True)) == ["Ada"]


def test_an_expression_that_is_saved_must_fit(world: World) -> None:
    add(world, "1.00")
    (slip,) = column(world, Objects.all())
    setattr(slip, "days", F("days") + 32767)  # noqa: B010  (an expression is not of the declared type)
    with pytest.raises(DataError):
        world.call(slip, "save")
    assert column(world, Objects.values_list("days", flat=True)) == [1]


def test_an_expression_of_bulk_update_must_fit(world: World) -> None:
    add(world, "1.00", "2.00")
    rows = column(world, Objects.all())
    with pytest.raises(DataError):
        world.call(Objects, "bulk_update", rows, {"days": F("days") + 32767})
    assert column(world, Objects.values_list("days", flat=True)) == [1, 1]


def test_rows_of_a_query_must_fit_where_they_are_inserted(world: World) -> None:
    add(world, "1.00")
    more = Objects.values_list("name", "pay", F("days") + 32767, "hours", "number")
    with pytest.raises(DataError):
        world.call(Objects, "insert_from", more, columns=("name", "pay", "days", "hours", "number"))
    assert world.call(Objects, "count") == 1


def test_rows_of_a_query_that_fit_are_inserted_with_the_digits_of_the_column(world: World) -> None:
    add(world, "1.15")
    more = Objects.values_list("name", F("pay") * Decimal("1.1"), "days", "hours", "number")
    world.call(Objects, "insert_from", more, columns=("name", "pay", "days", "hours", "number"))
    assert sorted(column(world, Objects.values_list("pay", flat=True))) == [Decimal("1.15"), Decimal("1.27")]


def test_the_largest_numbers_fit(world: World) -> None:
    add(world, "1.00")
    world.call(
        Objects.all(), "update", days=F("days") + 32766, hours=F("hours") + 2147483647,
        number=F("number") + 9223372036854775807, pay=F("pay") * Decimal("9999999999.99"),
    )  # fmt: skip
    found = column(world, Objects.values_list("days", "hours", "number", "pay"))
    assert found == [(32767, 2147483647, 9223372036854775807, Decimal("9999999999.99"))]
