"""Ranges: native ones on PostgreSQL, text on SQLite, and the same answers on both as `Range` gives itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from datalayer import BigInt, Count, F, Field, Mapped, Max, Model, NaiveDatetime, Q, Range
from datalayer.errors import FieldError, InvalidValue, QueryError
from datalayer.models import registry
from datalayer.testing import acreate_tables, assert_num_queries, create_tables
from tests.worlds import World

with registry.isolated():

    class Stay(Model):
        nights: Mapped[Range[int] | None] = Field(default=None)
        price: Mapped[Range[Decimal]] = Field(default_factory=Range[Decimal].empty)
        number: Mapped[int] = Field(default=3)
        limit: Mapped[Decimal] = Field(default=Decimal("1.5"), max_digits=6, decimal_places=2)

        class Meta:
            table = "ranges_stay"

    class Every(Model):
        ints: Mapped[Range[int]]
        bigs: Mapped[Range[BigInt]]
        decimals: Mapped[Range[Decimal]]
        days: Mapped[Range[date]]
        moments: Mapped[Range[datetime]]
        naive: Mapped[Range[NaiveDatetime]]
        filled: Mapped[Range[int]] = Field(db_default=Range(1, 5))

        class Meta:
            table = "ranges_every"

    registry.tables()

INTS: list[Range[int]] = [
    Range(1, 5), Range(5, 9), Range(2, 3), Range(1, 9), Range(None, 5), Range(5, None), Range(None, None),
    Range(10, 12), Range(-4, -1), Range(100, 200), Range(bounds="empty"), Range(2, 4, "[]"), Range(1, 5, "()"),
]  # fmt: skip
DECIMALS: list[Range[Decimal]] = [
    Range(Decimal(low), Decimal(high), bounds)  # type: ignore[arg-type]  # of these four
    for low, high, bounds in [
        ("1", "5", "[)"), ("1", "5", "[]"), ("1", "5", "(]"), ("1", "5", "()"), ("5", "9", "[)"), ("5", "9", "(]"),
        ("1.5", "1.50", "[]"), ("-0.01", "0", "[]"), ("-10", "-9.999", "()"), ("1.49", "12", "[]"), ("0", "0", "[]"),
    ]
] + [Range(None, Decimal(5), "(]"), Range(Decimal(5), None), Range(None, None), Range(bounds="empty")]  # fmt: skip
BETWEEN: dict[str, Callable[[Range[Any], Range[Any]], bool]] = {
    "contains": lambda left, right: left.contains(right),
    "contained_by": lambda left, right: right.contains(left),
    "overlap": lambda left, right: left.overlaps(right),
    "fully_lt": lambda left, right: left.fully_lt(right),
    "fully_gt": lambda left, right: left.fully_gt(right),
    "not_lt": lambda left, right: left.not_lt(right),
    "not_gt": lambda left, right: left.not_gt(right),
    "adjacent_to": lambda left, right: left.adjacent_to(right),
    "exact": lambda left, right: left == right,
}
OF_ONE: dict[str, Callable[[Range[Any]], object]] = {
    "startswith": lambda found: found.lower,
    "endswith": lambda found: found.upper,
    "isempty": lambda found: found.is_empty,
    "lower_inc": lambda found: found.lower_inc,
    "upper_inc": lambda found: found.upper_inc,
    "lower_inf": lambda found: found.lower_inf,
    "upper_inf": lambda found: found.upper_inf,
}


def every(**changed: Any) -> Any:
    values: dict[str, Any] = {
        "ints": Range(-(2**31), 2**31 - 1),
        "bigs": Range(-(2**63), None),
        "decimals": Range(Decimal("-0.000000000000000001"), Decimal("12345678901234567890.5"), "(]"),
        "days": Range(date(1, 1, 1), date(9999, 12, 31)),
        "moments": Range(datetime(999, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, 12, 30, 1, 7, tzinfo=UTC), "[]"),
        "naive": Range(None, datetime(2020, 1, 1), "()"),
    }
    return Every(**{**values, **changed})


@pytest.fixture
def stays(configured: str, world: World) -> None:
    world.run(lambda: create_tables(Stay, Every), lambda: acreate_tables(Stay, Every))
    made = [Stay(nights=found) for found in [*INTS, None]] + [Stay(price=found) for found in DECIMALS]
    world.call(Stay.objects, "bulk_create", made)


def keys(world: World, *conditions: Any, **named: Any) -> list[int]:
    rows = Stay.objects.filter(*conditions, **named).order_by("id").values_list("id", flat=True)
    return [key - 1 for key in world.iterate(rows)]


@pytest.mark.usefixtures("stays")
def test_every_kind_of_range_comes_back_one_by_one_and_in_bulk(world: World) -> None:
    wanted = every().model_dump(exclude={"id", "filled"})
    world.call(every(), "save")
    world.call(Every.objects, "bulk_create", [every(), every()])
    rows = world.iterate(Every.objects.order_by("id"))
    assert [row.model_dump(exclude={"id", "filled"}) for row in rows] == [wanted] * 3
    assert rows[0].filled == Range(1, 5)
    assert rows[0].moments.lower.tzinfo is not None
    assert rows[0].naive.upper.tzinfo is None
    for name, value in wanted.items():
        assert world.call(Every.objects.filter(**{name: value}), "count") == 3, name
        assert world.call(Every.objects.filter(**{f"{name}__contains": value}), "count") == 3, name
        assert world.iterate(Every.objects.values_list(f"{name}__endswith", flat=True)) == [value.upper] * 3, name
        end = value.lower if value.lower_inc else value.upper
        if end is not None:
            found = world.call(Every.objects.filter(**{f"{name}__contains": end}), "count")
            assert found == 3 * (end in value), name


@pytest.mark.usefixtures("stays")
def test_two_ranges_are_compared_as_range_does_it_itself(world: World) -> None:
    for lookup, meaning in BETWEEN.items():
        for right in INTS:
            wanted = [place for place, left in enumerate(INTS) if meaning(left, right)]
            assert keys(world, **{f"nights__{lookup}": right}) == wanted, (lookup, right)
        for price in DECIMALS if world.is_async else DECIMALS[:4]:
            among = [place for place, left in enumerate(DECIMALS, len(INTS) + 1) if meaning(left, price)]
            found = keys(world, id__gt=len(INTS) + 1, **{f"price__{lookup}": price})
            assert found == among, (lookup, price)


@pytest.mark.usefixtures("stays")
def test_ends_and_what_a_range_says_of_itself_are_values(world: World) -> None:
    rows = Stay.objects.order_by("id")
    for word, meaning in OF_ONE.items():
        found = world.iterate(rows.values_list(f"nights__{word}", flat=True))
        assert found[: len(INTS) + 1] == [*map(meaning, INTS), None], word
        prices = world.iterate(rows.values_list(f"price__{word}", flat=True))
        assert prices[len(INTS) + 1 :] == [*map(meaning, DECIMALS)], word
    assert keys(world, nights__startswith__gte=5) == [1, 5, 7, 9]
    assert keys(world, nights__isempty=True) == [10]
    assert keys(world, price__endswith__lt=Decimal("1.6")) == [20, 21, 22, 24]
    assert keys(world, Stay.nights.lower() == 10) == [7]


@pytest.mark.usefixtures("stays")
def test_a_value_lies_in_a_range_or_not(world: World) -> None:
    for value in (-5, 1, 4, 5, 2**31, -(2**70), 2**62):
        wanted = [place for place, found in enumerate(INTS) if value in found]
        assert keys(world, nights__contains=value) == wanted == keys(world, Stay.nights.contains(value)), value
    assert (
        keys(world, nights__contains=F("number"))
        == [place for place, found in enumerate(INTS) if 3 in found]
        == keys(world, Stay.nights.contains(Stay.number))
    )
    among = [place for place, found in enumerate(DECIMALS, len(INTS) + 1) if Decimal("1.5") in found]
    assert keys(world, price__contains=F("limit")) == among == keys(world, price__contains=Decimal("1.5"))


@pytest.mark.usefixtures("stays")
def test_ranges_are_put_in_order_grouped_and_counted_the_same(world: World) -> None:
    found = world.iterate(Stay.objects.filter(id__gt=len(INTS) + 1).order_by("price").values_list("price", flat=True))
    assert [str(one) for one in found] == [
        "empty", "(,5]", "(,)", "(-10,-9.999)", "[-0.01,0]", "[0,0]", "[1,5)", "[1,5]", "(1,5)", "(1,5]", "[1.49,12]",
        "[1.5,1.5]", "[5,9)", "[5,)", "(5,9]",
    ]  # fmt: skip
    groups = Stay.objects.values("nights").annotate(n=Count("id")).order_by("nights")
    by_range = {row["nights"]: row["n"] for row in world.iterate(groups)}
    assert by_range[None] == 1 + len(DECIMALS)
    assert by_range[Range(2, 5)] == 2
    assert world.call(Stay.objects.filter(nights__gt=Range(5, 6)), "count") == 4
    assert world.call(Stay.objects, "aggregate", last=Max("nights__endswith"))["last"] == 200


@pytest.mark.usefixtures("stays")
def test_ranges_are_given_in_lists_in_expressions_and_compared_with_each_other(world: World) -> None:
    assert keys(world, nights__in=[Range(1, 5), Range(1, 5, "()"), None]) == [0, 11, 12]
    assert keys(world, Stay.nights.in_([Range(1, 5)])) == [0]
    assert keys(world, Q(nights=Range(1, 5)) | ~Q(nights__overlap=Range(None, None)), number=3)[:2] == [0, 10]
    assert keys(world, Stay.nights.overlaps(Stay.nights)) == [n for n in range(len(INTS)) if n != 10]
    assert keys(world, nights=(1, 5)) == [0]


@pytest.mark.usefixtures("stays")
def test_ranges_are_updated_alone_and_in_bulk(world: World) -> None:
    world.call(Stay.objects.filter(nights=Range(1, 5)), "update", nights=Range(7, 8))
    assert keys(world, nights=Range(7, 8)) == [0]
    rows = world.iterate(Stay.objects.order_by("id")[:3])
    for row in rows:
        row.nights, row.price = None, Range(Decimal(row.id), None, "()")
    world.call(Stay.objects, "bulk_update", rows, ["nights", "price"])
    again = world.iterate(Stay.objects.order_by("id")[:3])
    assert [(row.nights, row.price) for row in again] == [(None, Range(Decimal(n), None, "()")) for n in (1, 2, 3)]


@pytest.mark.usefixtures("stays")
def test_a_row_that_was_read_is_not_written_and_its_dump_brings_ranges_back(world: World) -> None:
    row = world.call(Stay.objects, "get", nights=Range(2, 3))
    with assert_num_queries(0):
        world.call(row, "save")
    assert Stay.model_validate_json(row.model_dump_json()).nights == Range(2, 3)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda: Stay.objects.filter(nights__overlap=5), "nights__overlap is range and cannot be compared with 5"),
        (lambda: Stay.objects.filter(nights__contains="x"), "cannot be compared with 'x'"),
        (lambda: Stay.objects.filter(nights__overlap=F("price")), "overlap needs a range of the same type"),
        (lambda: Stay.objects.filter(nights__contains=F("limit")), "a range of the same type, or a integer"),
        (lambda: Stay.objects.filter(price=Range(1, 5)), "the ends of this range are Decimals, not ints such as 1"),
        (lambda: Stay.objects.filter(nights=Range(1, 2**31)), "cannot be compared with"),
    ],
)
def test_what_is_no_range_is_refused_before_anything_is_sent(asked: Callable[[], Any], said: str) -> None:
    with pytest.raises(InvalidValue, match=said.replace("(", r"\(")):
        asked()


def test_unknown_words_on_ranges_are_told_with_the_choices() -> None:
    with pytest.raises(FieldError, match=r"adjacent_to.*contains.*fully_gt"):
        Stay.objects.filter(nights__icontains="x")
    with pytest.raises(QueryError, match=r"Stay.number is no range, and only ranges have lower\(\)"):
        Stay.number.lower()  # type: ignore[misc]  # what a type checker would have said


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ints", Range(0, 2**31 - 1, "[]")),
        ("ints", (5, 1)),
        ("ints", {"lower": 1, "uper": 5}),
        ("decimals", (Decimal("nan"), None)),
        ("decimals", Range(1, 5)),
        ("moments", (datetime(2020, 1, 1), None)),
        ("naive", (None, datetime(2020, 1, 1, tzinfo=UTC))),
        ("days", "[2020-01-01,)"),
    ],
)
def test_a_field_refuses_what_its_range_cannot_be(field: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        every(**{field: value})


def test_a_range_is_an_object_in_json_and_its_schema_says_so() -> None:
    class Plain(BaseModel):
        days: Range[date]

    made = Plain(days=Range(date(2020, 1, 1), None))
    assert made.model_dump(mode="json") == {"days": {"lower": "2020-01-01", "upper": None, "bounds": "[)"}}
    assert Plain.model_validate_json(made.model_dump_json()) == made
    for mode in ("validation", "serialization"):
        shown = Plain.model_json_schema(mode=mode)["properties"]["days"]
        assert shown["properties"]["lower"]["anyOf"][0] == {"type": "string", "format": "date"}


def test_the_last_day_of_all_lies_in_a_range_without_an_end() -> None:
    assert date.max in Range(date(2020, 1, 1))
    assert date.max not in Range(None, date.max)
    assert date.max not in Range[date].empty()
