"""Decimals of more digits than a double keeps compare, sort, group and add up by their value, on SQLite too."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from datalayer import (
    Case,
    F,
    Field,
    ForeignKey,
    Mapped,
    Max,
    Min,
    Model,
    OuterRef,
    Subquery,
    Sum,
    UniqueConstraint,
    When,
)  # fmt: skip
from datalayer.errors import CheckViolation, IntegrityError, NotSupported
from datalayer.functions import Coalesce, Least, NullIf
from datalayer.models import registry
from datalayer.testing import assert_num_queries
from datalayer.testing.tables import acreate_tables, create_tables
from tests.worlds import World

with registry.isolated():

    class Account(Model):
        name: Mapped[str] = Field(max_length=20)

        class Meta:
            table = "wide_account"

    class Entry(Model):
        account: ForeignKey[Account] = ForeignKey(related_name="entries")
        amount: Mapped[Decimal] = Field(max_digits=30, decimal_places=10, index=True)
        rate: Mapped[Decimal] = Field(default=Decimal(1))
        small: Mapped[Decimal] = Field(default=Decimal(1), max_digits=12, decimal_places=2)

        class Meta:
            table = "wide_entry"
            constraints = (UniqueConstraint("account", "rate"),)

    class Bounded(Model):
        least: Mapped[Decimal] = Field(
            default=Decimal("99999999999999999999.0000000001"),
            gt=Decimal("99999999999999999999"),
            max_digits=30,
            decimal_places=10,
        )
        most: Mapped[Decimal] = Field(default=Decimal("1.1"), le=Decimal("1.1000000000000000000001"))

        class Meta:
            table = "wide_bounded"

    registry.tables()

MODELS = (Account, Entry, Bounded)
AMOUNTS = [
    Decimal(text)
    for text in (
        "9", "10", "-1", "-10", "100.5", "0.0000000001", "12345678901234567890.0123456789",
        "12345678901234567890.0123456788",
    )
]  # fmt: skip
GREATEST = max(AMOUNTS)


@pytest.fixture
def account(configured: str, world: World) -> Any:
    world.run(lambda: create_tables(*MODELS), lambda: acreate_tables(*MODELS))
    found = world.call(Account.objects, "create", name="a")
    rows = [Entry(account=found, amount=amount, rate=amount) for amount in AMOUNTS]
    world.call(Entry.objects, "bulk_create", rows)
    return found


def amounts(world: World, rows: Any, name: str = "amount") -> list[Decimal]:
    return world.iterate(rows.values_list(name, flat=True))


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("name", ["amount", "rate"])
@pytest.mark.parametrize(
    ("lookup", "value", "wanted"),
    [
        ("gt", Decimal("9.5"), [v for v in AMOUNTS if v > Decimal("9.5")]),
        ("lte", Decimal("9.00"), [v for v in AMOUNTS if v <= 9]),
        ("exact", Decimal("10.0"), [Decimal(10)]),
        ("ne", Decimal("10.0"), [v for v in AMOUNTS if v != 10]),
        ("in", [Decimal("10.0"), Decimal("100.50")], [Decimal(10), Decimal("100.5")]),
        ("range", (Decimal(9), Decimal(100)), [Decimal(9), Decimal(10)]),
        ("gt", Decimal("12345678901234567890.01234567885"), [GREATEST]),
    ],
)
def test_they_compare_by_value(world: World, name: str, lookup: str, value: Any, wanted: list[Decimal]) -> None:
    found = amounts(world, Entry.objects.filter(**{f"{name}__{lookup}": value}), name)
    assert sorted(found) == sorted(wanted)


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("name", ["amount", "rate"])
def test_they_sort_by_value(world: World, name: str) -> None:
    assert amounts(world, Entry.objects.order_by(name), name) == sorted(AMOUNTS)
    assert amounts(world, Entry.objects.order_by(f"-{name}"), name) == sorted(AMOUNTS, reverse=True)
    assert amounts(world, Entry.objects.order_by(F(name) * -2), name) == sorted(AMOUNTS, reverse=True)


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("name", ["amount", "rate"])
def test_the_least_and_the_greatest_are_so_by_value(world: World, name: str) -> None:
    assert world.call(Entry.objects, "aggregate", low=Min(name), high=Max(name)) == {
        "low": Decimal(-10),
        "high": GREATEST,
    }
    accounts = Account.objects.annotate(high=Max(f"entries__{name}"))
    assert world.call(accounts.filter(high__gt=Decimal(9)), "count") == 1
    assert world.call(accounts.filter(high__gt=GREATEST + 1), "count") == 0
    assert world.call(accounts.filter(high=GREATEST).order_by("high"), "get").high == GREATEST


@pytest.mark.usefixtures("account")
def test_columns_compare_with_each_other_by_value(world: World) -> None:
    assert world.call(Entry.objects.filter(amount=F("rate")), "count") == len(AMOUNTS)
    assert world.call(Entry.objects.filter(amount__gt=F("rate") - 1), "count") == len(AMOUNTS)
    assert world.call(Entry.objects.filter(small__lt=F("amount")), "count") == 5
    assert world.call(Entry.objects.filter(amount__gt=F("small") * 9), "count") == 4


@pytest.mark.usefixtures("account")
def test_arithmetic_is_exact(world: World) -> None:
    world.call(Entry.objects.filter(amount=GREATEST), "update", amount=F("amount") * 3 + Decimal("0.0000000001"))
    assert amounts(world, Entry.objects.order_by("-amount"))[0] == Decimal("37037036703703703670.0370370368")
    total = world.call(Entry.objects, "aggregate", total=Sum(F("rate") + 1))
    assert total == {"total": Decimal("24691357802469135896.5246913578")}  # more digits than Python's sum() keeps


@pytest.mark.usefixtures("account")
def test_what_is_computed_is_rounded_to_the_scale_when_it_is_kept(world: World) -> None:
    rows = Entry.objects.filter(amount=Decimal(10))
    assert world.call(rows, "update", amount=F("amount") / 3) == 1
    assert world.call(Entry.objects.filter(amount=Decimal("3.3333333333")), "count") == 1


@pytest.mark.usefixtures("account")
def test_what_is_computed_compares_by_value(world: World) -> None:
    doubled = Entry.objects.annotate(doubled=F("amount") * 2)
    assert sorted(amounts(world, doubled.filter(doubled__gt=Decimal(18)))) == sorted(v for v in AMOUNTS if v > 9)
    assert amounts(world, doubled.filter(doubled=Decimal("20.0"))) == [Decimal(10)]


def test_the_same_value_written_differently_is_no_second_one(world: World, account: Any) -> None:
    with pytest.raises(IntegrityError):
        world.call(Entry.objects, "create", account=account, amount=Decimal(1), rate=Decimal("10.00"))
    assert world.call(Entry.objects.values_list("rate", flat=True).distinct(), "count") == len(AMOUNTS)


@pytest.mark.usefixtures("account")
def test_an_index_of_them_is_used(configured: str, world: World) -> None:
    if configured.startswith("sqlite"):
        said = world.call(Entry.objects.filter(amount__gt=Decimal(9)), "explain")
        assert "USING INDEX ix_wide_entry_amount" in said


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("column", "fits", "beyond"),
    [
        ("least", "99999999999999999999.0000000001", "99999999999999999999"),  # one and the same as a float
        ("most", "1.1000000000000000000001", "1.1000000000000000000002"),
        ("most", "-99999999999999999999", "9"),
    ],
)
def test_the_database_holds_the_limits_exactly(world: World, column: str, fits: str, beyond: str) -> None:
    row = world.call(Bounded.objects, "create")
    own = Bounded.objects.filter(id=row.id)
    world.call(own, "update", **{column: F(column) - F(column) + Decimal(fits)})
    assert amounts(world, own, column) == [Decimal(fits)]
    with pytest.raises(CheckViolation):  # computed in the database, so no model looks at it first
        world.call(own, "update", **{column: F(column) - F(column) + Decimal(beyond)})


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    "computed",
    [
        Coalesce(NullIf("small", Decimal(1)), "amount"),
        Case(When(small=2, then="small"), default="amount"),
        Least(F("small") + 10**29, F("amount")),
    ],
)
def test_narrow_and_wide_ones_together_compare_by_value(world: World, computed: Any) -> None:
    query = Entry.objects.annotate(money=computed)
    found = amounts(world, query.filter(money__gt=Decimal("9.5")), "money")
    assert sorted(found) == sorted(value for value in AMOUNTS if value > Decimal("9.5"))
    assert amounts(world, query.order_by("money"), "money") == sorted(AMOUNTS)


@pytest.mark.usefixtures("account")
def test_a_narrow_one_is_nothing_where_it_equals_a_wide_one(world: World) -> None:
    world.call(Entry.objects.filter(amount=9), "update", small=9)
    same = NullIf("small", "amount")
    assert world.iterate(Entry.objects.annotate(x=same).filter(x=None).values_list("amount", flat=True)) == [9]
    assert world.iterate(
        Entry.objects.annotate(x=NullIf("amount", "small")).filter(x=None).values_list("small", flat=True)
    ) == [9]
    assert world.call(Entry.objects.annotate(x=same).filter(x__gt=5), "count") == 0


@pytest.mark.usefixtures("account")
def test_a_union_of_narrow_and_wide_ones_is_exact_or_refused(world: World, backend: str) -> None:
    small, wide = (Entry.objects.values_list(name, flat=True) for name in ("small", "amount"))
    if backend == "sqlite":
        with (
            assert_num_queries(0),
            pytest.raises(NotSupported, match="'small' is a decimal of more than 15 digits in one"),
        ):
            small.union(wide)
    else:
        assert set(world.iterate(small.union(wide))) == {Decimal(1), *AMOUNTS}


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    "computed",
    [
        Sum("entries__small", default=Decimal("0.00")),
        Coalesce(Max("entries__small"), Decimal("0.00")),
        Case(When(name="a", then=Max("entries__small")), default=None),
        Subquery(Entry.objects.filter(account=OuterRef("pk")).values("small")[:1]),
    ],
)
def test_computed_money_has_the_digits_of_its_column(computed: Any, world: World) -> None:
    query = Account.objects.annotate(money=computed)
    (found,) = world.iterate(query.values_list("money", flat=True))
    assert str(found).partition(".")[2] == "00"


@pytest.mark.usefixtures("account")
def test_computed_money_is_not_rounded_to_its_column(world: World) -> None:
    query = Account.objects.annotate(money=Coalesce(Min("entries__small"), Decimal(0)) / 8)
    assert [found.money for found in world.iterate(query)] == [Decimal("0.125")]
