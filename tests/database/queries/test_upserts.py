"""Upserts: what happens to rows that are in the way, and how the instances learn of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from datalayer import Excluded, F, Field, Mapped, Model, Q, UniqueConstraint, atomic
from datalayer.errors import FieldError, InvalidValue, QueryError
from datalayer.models import registry
from datalayer.testing import acreate_tables, assert_num_queries, create_tables
from tests.worlds import World

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)

with registry.isolated():

    class Stock(Model):
        shop: Mapped[str] = Field(max_length=20)
        item: Mapped[str] = Field(max_length=20)
        amount: Mapped[int] = Field(default=0)
        doubled: Mapped[int] = Field(init=False, generated="amount * 2")
        note: Mapped[str] = Field(max_length=20, db_default="none")
        changed: Mapped[datetime] = Field(auto_now=True)

        class Meta:
            table = "upserts_stock"
            constraints = (UniqueConstraint("shop", "item", name="one_stock"),)

    class Path(Model):
        steps: Mapped[list[str]] = Field(unique=True)
        times: Mapped[int] = Field(default=0)

        class Meta:
            table = "upserts_path"

    class Member(Model):
        email: Mapped[str] = Field(max_length=50)
        is_active: Mapped[bool] = Field(default=True)
        points: Mapped[int] = Field(default=0)

        class Meta:
            table = "upserts_member"
            constraints = (UniqueConstraint("email", condition="is_active", name="one_active"),)

    registry.tables()


@pytest.fixture
def stock(configured: str, world: World) -> None:
    world.run(lambda: create_tables(Stock, Member), lambda: acreate_tables(Stock, Member))
    world.call(
        Stock.objects,
        "bulk_create",
        [Stock(shop="a", item="x", amount=1, note="first"), Stock(shop="a", item="y", amount=2)],
    )


def rows(world: World) -> dict[tuple[str, str], int]:
    found = world.iterate(Stock.objects.values_list("shop", "item", "amount"))
    return {(shop, item): amount for shop, item, amount in found}


def keys(found: list[Stock]) -> list[str]:
    return [f"{each.shop}{each.item}" for each in found]


THREE = [("a", "x", 10), ("b", "x", 20), ("a", "y", 30)]


def three() -> list[Stock]:
    return [Stock(shop=shop, item=item, amount=amount) for shop, item, amount in THREE]


def test_it_tells_which_rows_are_new(world: World, stock: None) -> None:
    saved = world.call(Stock.objects, "bulk_create", three(), on_conflict=("shop", "item"), update=("amount",))
    assert keys(saved) == ["ax", "bx", "ay"]
    assert keys(saved.inserted) == ["bx"]
    assert keys(saved.updated) == ["ax", "ay"]
    assert saved.skipped == []
    assert rows(world) == {("a", "x"): 10, ("b", "x"): 20, ("a", "y"): 30}


def test_the_instances_are_the_rows_afterwards(world: World, stock: None) -> None:
    (saved,) = world.call(
        Stock.objects, "bulk_create", three()[:1], on_conflict="one_stock", update={"amount": F("amount") + 100}
    )
    assert (saved.id, saved.amount, saved.doubled, saved.note) == (1, 101, 202, "first")
    with assert_num_queries(0):
        world.call(saved, "save")
    saved.amount = 5
    world.call(saved, "save")
    assert rows(world)["a", "x"] == 5


def test_what_the_new_row_brings_is_excluded(world: World, stock: None) -> None:
    more: Any
    for more in (F("amount") + Excluded("amount"), Stock.amount + Excluded("amount")):
        world.call(Stock.objects, "bulk_create", three(), on_conflict=("item", "shop"), update={"amount": more})
    assert rows(world) == {("a", "x"): 21, ("b", "x"): 40, ("a", "y"): 62}


def test_plain_values_are_written_as_they_are(world: World, stock: None) -> None:
    world.call(
        Stock.objects, "bulk_create", three(), on_conflict=(Stock.shop, Stock.item), update={"amount": 7, "note": "%s"}
    )
    assert rows(world) == {("a", "x"): 7, ("b", "x"): 20, ("a", "y"): 7}
    assert world.call(Stock.objects.filter(note="%s"), "count") == 2


@pytest.mark.parametrize("where", [Q(amount__gt=1), Stock.amount > 1, Q(amount__lt=Excluded("amount") - 10)])
def test_only_rows_that_satisfy_where_are_overwritten(world: World, stock: None, where: Any) -> None:
    saved = world.call(
        Stock.objects, "bulk_create", three(), on_conflict=("shop", "item"), update=["amount"], where=where
    )
    assert keys(saved.inserted) == ["bx"]
    assert keys(saved.updated) == ["ay"]
    assert keys(saved.skipped) == ["ax"]
    assert rows(world) == {("a", "x"): 1, ("b", "x"): 20, ("a", "y"): 30}


@pytest.mark.parametrize("named", [{"on_conflict": ()}, {"on_conflict": ("shop", "item")}, {"ignore_conflicts": True}])
def test_rows_in_the_way_are_left_alone(world: World, stock: None, named: Any) -> None:
    saved = world.call(Stock.objects, "bulk_create", three(), **named)
    assert keys(saved.inserted) == ["bx"]
    assert keys(saved.skipped) == ["ax", "ay"]
    (new,) = saved.inserted
    assert (new.id is not None, new.doubled, new.note) == (True, 40, "none")
    assert world.call(Stock.objects, "get", pk=new.id) == new
    assert rows(world) == {("a", "x"): 1, ("b", "x"): 20, ("a", "y"): 2}


def test_a_skipped_instance_is_still_new(world: World, stock: None) -> None:
    (skipped,) = world.call(Stock.objects, "bulk_create", three()[:1], ignore_conflicts=True).skipped
    skipped.item = "free"
    world.call(skipped, "save")
    assert rows(world)["a", "free"] == 10


def test_of_equal_rows_the_first_is_inserted(world: World, stock: None) -> None:
    twins = [Stock(shop="n", item="n", amount=amount) for amount in (1, 2)]
    saved = world.call(Stock.objects, "bulk_create", twins, on_conflict=("shop", "item"))
    assert [each.amount for each in saved.inserted] == [1]
    assert [each.amount for each in saved.skipped] == [2]


def test_a_partial_index_is_a_target(world: World, stock: None) -> None:
    world.call(Member.objects, "bulk_create", [Member(email="e", points=1), Member(email="e", is_active=False)])
    for target in ("one_active", ("email",)):
        new = [Member(email="e", points=5), Member(email="f", points=6), Member(email="e", is_active=False)]
        saved = world.call(Member.objects, "bulk_create", new, on_conflict=target, update=("points",))
        assert new[0] in saved.updated
        assert new[2] in saved.inserted
    found = world.iterate(Member.objects.filter(is_active=True).values_list("email", "points"))
    assert sorted(found) == [("e", 5), ("f", 6)]
    assert world.call(Member.objects.filter(is_active=False), "count") == 3


def test_the_moment_of_the_change_is_written_too(world: World, stock: None) -> None:
    world.call(Stock.objects.all(), "update", changed=LONG_AGO)
    world.call(Stock.objects, "bulk_create", three(), on_conflict=("shop", "item"), update=("amount",))
    assert not world.call(Stock.objects.filter(changed=LONG_AGO), "exists")


def test_rows_of_the_batch_in_each_others_way_are_refused(world: World, stock: None) -> None:
    batch = [*three(), Stock(shop="b", item="x", note="other")]
    with assert_num_queries(0), pytest.raises(QueryError, match="same shop, item, at 1 and 3"):
        world.call(Stock.objects, "bulk_create", batch, on_conflict=("shop", "item"), update=("amount",))


def test_many_rows_go_in_pieces(world: World, stock: None) -> None:
    many = [Stock(shop="m", item=str(number), amount=number) for number in range(25)]
    world.call(Stock.objects, "bulk_create", many[:10])
    again = [Stock(shop="m", item=str(number), amount=-number) for number in range(25)]
    saved = world.call(Stock.objects, "bulk_create", again, on_conflict="one_stock", update=("amount",), batch_size=4)
    assert (len(saved.updated), len(saved.inserted)) == (10, 15)
    assert [each.id for each in again[:10]] == [each.id for each in many[:10]]
    assert sum(rows(world).values()) == 3 - sum(range(25))


def test_a_rollback_makes_them_new_again(world: World, stock: None) -> None:
    batch = three()

    def undone() -> None:
        with world.enter(atomic()):
            world.call(Stock.objects, "bulk_create", batch, on_conflict="one_stock", update=("amount",))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        undone()
    assert rows(world) == {("a", "x"): 1, ("a", "y"): 2}
    world.call(batch[1], "save")
    assert rows(world)["b", "x"] == 20


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        ({"on_conflict": "one_stok"}, QueryError, "did you mean 'one_stock'"),
        ({"on_conflict": "shop"}, QueryError, r"as a tuple: \('shop',\)"),
        ({"on_conflict": ("shop",)}, QueryError, "no unique constraint of Stock; there are: id; shop, item"),
        ({"on_conflict": "one_stock", "update": ("shop",)}, QueryError, "it is the conflict"),
        ({"on_conflict": "one_stock", "update": ("doubled",)}, QueryError, "computed by the database"),
        ({"on_conflict": "one_stock", "update": {"doubled": 1}}, QueryError, "computed by the database"),
        ({"on_conflict": "one_stock", "update": {"amount": "x"}}, InvalidValue, "amount"),
        ({"on_conflict": "one_stock", "update": {"amount": F("note")}}, InvalidValue, "integer, not"),
        ({"on_conflict": "one_stock", "update": {"amount": Excluded("amuont")}}, FieldError, "mean 'amount'"),
        ({"on_conflict": "one_stock", "where": Q(amount=1)}, QueryError, "update="),
        ({"where": Q(amount=1)}, QueryError, "on_conflict="),
        ({"on_conflict": "one_stock", "ignore_conflicts": True}, QueryError, "ignore_conflicts"),
    ],
)
def test_what_nobody_can_mean_is_refused(
    world: World, stock: None, named: Any, error: type[Exception], message: str
) -> None:
    with assert_num_queries(0), pytest.raises(error, match=message):
        world.call(Stock.objects, "bulk_create", three(), **named)


# -- bulk_update with expressions ------------------------------------------------------------------


def test_many_rows_are_computed_each_with_its_own_value(world: World, stock: None) -> None:
    found = world.iterate(Stock.objects.order_by("id"))
    for number, each in enumerate(found, 1):
        each.amount = number * 10
    with assert_num_queries(1):
        world.call(Stock.objects, "bulk_update", found, {"amount": F("amount") + Excluded("amount"), "note": "sum"})
    assert rows(world) == {("a", "x"): 11, ("a", "y"): 22}
    assert [(each.amount, each.doubled, each.note) for each in found] == [(11, 22, "sum"), (22, 44, "sum")]
    with assert_num_queries(0):
        world.call(found[0], "save")


def test_generated_columns_are_read_back_by_bulk_update(world: World, stock: None) -> None:
    (one, _) = world.iterate(Stock.objects.order_by("id"))
    one.amount = 50
    world.call(Stock.objects, "bulk_update", [one], ["amount"])
    assert one.doubled == 100


def test_a_list_may_be_in_the_way(configured: str, world: World) -> None:
    world.run(lambda: create_tables(Path), lambda: acreate_tables(Path))
    world.call(Path.objects, "create", steps=["a"])
    rows = [Path(steps=["a"], times=5), Path(steps=["b"])]
    found = world.call(Path.objects, "bulk_create", rows, on_conflict=("steps",), update=("times",))
    assert ([row.steps for row in found.updated], [row.steps for row in found.inserted]) == ([["a"]], [["b"]])
    with pytest.raises(QueryError, match="two rows with the same steps"):
        world.call(Path.objects, "bulk_create", [rows[0], Path(steps=["a"])], on_conflict=("steps",), update=("times",))
