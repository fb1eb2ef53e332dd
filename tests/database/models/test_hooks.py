"""Hooks: called around each save and delete of one row, in the same transaction, in both worlds."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from datalayer import (
    CASCADE,
    SET_NULL,
    Change,
    Field,
    ForeignKey,
    ManyToMany,
    Mapped,
    Model,
    after_delete,
    after_save,
    before_delete,
    before_save,
)
from datalayer.errors import ModelError, QueryError
from datalayer.models import registry
from datalayer.testing import acreate_tables, assert_num_queries, capture_queries, create_tables
from tests.worlds import World

CALLED: list[tuple[Any, ...]] = []


class Refused(Exception):
    pass


with registry.isolated():

    class Log(Model):
        text: Mapped[str] = Field()

        class Meta:
            table = "hooks_log"

    class Named(Model):
        name: Mapped[str] = Field()

        class Meta:
            abstract = True

        @before_save
        def tidy(self) -> None:
            if self.name != self.name.strip():
                self.name = self.name.strip()

    class Shop(Named):
        class Meta:
            table = "hooks_shop"

    class Order(Named):
        shop: ForeignKey[Shop] = ForeignKey(on_delete=CASCADE, related_name="orders")
        note: Mapped[str | None] = Field(default=None)

        class Meta:
            table = "hooks_order"

        @before_save
        def tell_before(self, change: Change) -> None:
            CALLED.append(("before", self.name, change.is_new, change.fields, change.using))

        @after_save
        def tell_after(self, change: Change) -> None:
            CALLED.append(("after", self.name, change.is_new, change.fields))
            if self.note == "refuse":
                raise Refused

        @before_delete
        def tell_going(self) -> None:
            CALLED.append(("going", self.name))
            if self.note == "keep":
                raise Refused

        @after_delete
        def tell_gone(self) -> None:
            CALLED.append(("gone", self.name))

    class Copy(Model):
        order: ForeignKey[Order | None] = ForeignKey(on_delete=SET_NULL, default=None, related_name="copies")

        class Meta:
            table = "hooks_copy"

        @before_delete
        def never(self) -> None:
            CALLED.append(("never",))

    class Shelf(Model):
        orders: ManyToMany[Order] = ManyToMany(related_name="shelves")

        class Meta:
            table = "hooks_shelf"

    class Place(Model):
        """Where an order stands on a rack."""

        rack: ForeignKey[Rack] = ForeignKey(on_delete=CASCADE, related_name="places")
        order: ForeignKey[Order] = ForeignKey(on_delete=CASCADE, related_name="places")

        class Meta:
            table = "hooks_place"

        @after_save
        def put(self, change: Change) -> None:
            CALLED.append(("put", self.order_id, change.is_new))
            if CALLED.count(("put", self.order_id, True)) > 5:
                raise Refused

        @after_delete
        def taken(self) -> None:
            CALLED.append(("taken", self.order_id))
            if ("keep", self.order_id) in CALLED:
                raise Refused

    class Rack(Model):
        orders: ManyToMany[Order] = ManyToMany(through=Place, related_name="racks")

        class Meta:
            table = "hooks_rack"

    class APlace(Model):
        rack: ForeignKey[ARack] = ForeignKey(on_delete=CASCADE, related_name="places")
        order: ForeignKey[Order] = ForeignKey(on_delete=CASCADE, related_name="aplaces")

        class Meta:
            table = "hooks_aplace"

        @after_save
        async def put(self) -> None:
            CALLED.append(("put", self.order_id))

    class ARack(Model):
        orders: ManyToMany[Order] = ManyToMany(through=APlace, related_name="aracks")

        class Meta:
            table = "hooks_arack"

    class Logged(Model):
        word: Mapped[str] = Field(unique=True)

        class Meta:
            table = "hooks_logged"

        @after_save
        def log(self) -> None:
            Log.objects.create(text=self.word)

    class ALogged(Model):
        word: Mapped[str] = Field(unique=True)

        class Meta:
            table = "hooks_alogged"

        @after_save
        async def log(self) -> None:
            await Log.objects.acreate(text=self.word)

        @before_delete
        async def unlog(self) -> None:
            await Log.objects.filter(text=self.word).adelete()

    registry.tables()


@pytest.fixture
def shop(configured: str, world: World) -> Shop:
    every = (Log, Shop, Order, Copy, Shelf, Logged, ALogged, Rack, Place, ARack, APlace)
    world.run(lambda: create_tables(*every), lambda: acreate_tables(*every))
    CALLED.clear()
    shop: Shop = world.call(Shop.objects, "create", name=" corner ")
    return shop


def test_a_hook_of_a_parent_changes_what_is_written(world: World, shop: Shop) -> None:
    assert shop.name == "corner"
    assert world.call(Shop.objects, "get").name == "corner"


def test_hooks_are_told_what_is_written(world: World, shop: Shop) -> None:
    order = world.call(Order.objects, "create", name=" a", shop=shop)
    order.name = "b "
    world.call(order, "save")
    assert CALLED == [
        ("before", "a", True, ("name", "shop_id"), "default"),
        ("after", "a", True, ("name", "shop_id", "note")),
        ("before", "b", False, ("name",), "default"),
        ("after", "b", False, ("name",)),
    ]


def test_a_save_with_nothing_to_write_calls_no_after(world: World, shop: Shop) -> None:
    order = world.call(Order.objects, "create", name="a", shop=shop)
    CALLED.clear()
    world.call(order, "save")
    assert [kind for kind, *_ in CALLED] == ["before"]


def test_an_error_after_takes_the_write_back(world: World, shop: Shop) -> None:
    with pytest.raises(Refused):
        world.call(Order.objects, "create", name="a", shop=shop, note="refuse")
    assert not world.call(Order.objects, "exists")
    order = world.call(Order.objects, "create", name="a", shop=shop)
    order.note = "refuse"
    with pytest.raises(Refused):
        world.call(order, "save")
    assert world.call(Order.objects, "get").note is None
    order.note = "fine"
    world.call(order, "save")
    assert world.call(Order.objects, "get").note == "fine"


def test_hooks_of_get_or_create_and_update_or_create(world: World, shop: Shop) -> None:
    for note in ("n", "m"):
        world.call(Order.objects, "get_or_create", name="a", shop=shop)
        world.call(Order.objects, "update_or_create", {"note": note}, name="a", shop=shop)
    assert [(kind, is_new) for kind, _, is_new, *_ in CALLED] == [
        ("before", True),
        ("after", True),
        ("before", False),
        ("after", False),
        ("before", False),
        ("after", False),
    ]


def test_related_managers_call_hooks(world: World, shop: Shop) -> None:
    shelf = world.call(Shelf.objects, "create")
    world.call(shelf.orders, "create", name="a", shop=shop)
    world.call(shop.orders, "create", name="b")
    _, is_new = world.call(shelf.orders, "get_or_create", name="c", shop=shop)
    assert is_new
    assert [entry[:2] for entry in CALLED if entry[0] == "after"] == [("after", name) for name in "abc"]
    assert world.call(shelf.orders, "count") == 2
    with pytest.raises(Refused):
        world.call(shelf.orders, "create", name="d", shop=shop, note="refuse")
    assert world.call(shelf.orders, "count") == 2


@pytest.fixture
def racked(shop: Shop, world: World) -> tuple[Rack, Order, Order]:
    """A rack, and two orders that do not stand on it yet."""
    orders = [world.call(shop.orders, "create", name=name) for name in ("one", "two")]
    rack = world.call(Rack.objects, "create")
    CALLED.clear()
    return rack, orders[0], orders[1]


def test_a_row_in_between_has_its_hooks_called_when_it_is_linked_and_unlinked(
    racked: tuple[Rack, Order, Order], world: World
) -> None:
    rack, one, two = racked

    def called(method: str, *arguments: Any) -> list[tuple[Any, ...]]:
        CALLED.clear()
        world.call(rack.orders, method, *arguments)
        return list(CALLED)

    assert called("add", one, one) == [("put", one.id, True)]
    assert called("add", one) == []
    assert called("set", [two]) == [("taken", one.id), ("put", two.id, True)]
    assert called("remove", two, one) == [("taken", two.id)]
    assert called("add", one, two) == [("put", one.id, True), ("put", two.id, True)]
    assert sorted(called("clear")) == [("taken", one.id), ("taken", two.id)]
    CALLED.clear()
    world.call(one.racks, "add", rack)
    assert [("put", one.id, True)] == CALLED
    assert world.iterate(rack.orders.all()) == [one]


def test_a_row_in_between_has_its_hooks_called_where_its_target_is_made(
    racked: tuple[Rack, Order, Order], shop: Shop, world: World
) -> None:
    rack, *_ = racked
    made = world.call(rack.orders, "create", name="three", shop=shop)
    assert [each[0] for each in CALLED] == ["before", "after", "put"]
    found, is_new = world.call(rack.orders, "get_or_create", name="three", defaults={"shop": shop})
    assert (found, is_new) == (made, False)
    assert len(CALLED) == 3


@pytest.mark.parametrize("method", ["remove", "clear", "set"])
def test_an_error_of_a_hook_in_between_undoes_the_unlinking(
    racked: tuple[Rack, Order, Order], world: World, method: str
) -> None:
    rack, one, two = racked
    world.call(rack.orders, "add", one, two)
    CALLED.append(("keep", two.id))
    with pytest.raises(Refused):
        world.call(rack.orders, method, *{"remove": [one, two], "clear": [], "set": [[]]}[method])
    CALLED.clear()
    assert world.call(Place.objects, "count") == 2


def test_an_error_of_a_hook_in_between_undoes_the_linking(racked: tuple[Rack, Order, Order], world: World) -> None:
    rack, one, two = racked
    CALLED.extend([("put", two.id, True)] * 5)
    with pytest.raises(Refused):
        world.call(rack.orders, "add", one, two)
    assert world.call(Place.objects, "count") == 0


def test_an_awaiting_hook_in_between_is_refused_in_blocking_calls(
    racked: tuple[Rack, Order, Order], world: World
) -> None:
    one = racked[1]
    rack = world.call(ARack.objects, "create")
    if world.is_async:
        world.call(rack.orders, "add", one)
        assert [("put", one.id)] == CALLED
        return
    with assert_num_queries(0), pytest.raises(QueryError, match=r"APlace\.put"):
        rack.orders.add(one)


def test_bulk_operations_and_update_call_none(world: World, shop: Shop) -> None:
    orders = world.call(Order.objects, "bulk_create", [Order(name=" a", shop=shop)])
    world.call(Order.objects.all(), "update", note="x")
    world.call(Order.objects, "bulk_update", orders, ["name"])
    assert CALLED == []
    assert world.call(Order.objects, "get").name == " a"


def test_bulk_delete_calls_the_hooks_of_every_row(world: World, shop: Shop) -> None:
    orders = [world.call(Order.objects, "create", name=name, shop=shop) for name in "ab"]
    CALLED.clear()
    assert world.call(Order.objects, "bulk_delete", orders) == 2
    assert sorted(CALLED) == [("going", "a"), ("going", "b"), ("gone", "a"), ("gone", "b")]


def test_bulk_delete_deletes_nothing_where_a_hook_refuses(world: World, shop: Shop) -> None:
    orders = [world.call(Order.objects, "create", name=name, shop=shop) for name in "ab"]
    world.call(Order.objects.filter(name="a"), "update", note="keep")
    world.call(orders[0], "refresh")
    with pytest.raises(Refused):
        world.call(Order.objects, "bulk_delete", orders)
    assert world.call(Order.objects, "count") == 2


def test_deletes_call_hooks_of_their_rows_and_of_cascades(world: World, shop: Shop) -> None:
    for name in "ab":
        order = world.call(Order.objects, "create", name=name, shop=shop)
        world.call(Copy.objects, "create", order=order)
    CALLED.clear()
    assert world.call(order, "delete") == 1
    assert CALLED == [("going", "b"), ("gone", "b")]
    assert world.call(Copy.objects, "count") == 2
    assert world.call(shop, "delete") == 1
    assert CALLED[2:] == [("going", "a"), ("gone", "a")]
    assert not world.call(Order.objects, "exists")


def test_deletes_of_queries_call_hooks(world: World, shop: Shop) -> None:
    for name in "abc":
        world.call(Order.objects, "create", name=name, shop=shop)
    CALLED.clear()
    assert world.call(Order.objects.filter(name__in=["a", "b"]), "delete") == 2
    assert sorted(CALLED) == [("going", "a"), ("going", "b"), ("gone", "a"), ("gone", "b")]
    gone = world.call(Shop.objects.all(), "delete", returning=True)
    assert [each.name for each in gone] == ["corner"]
    assert CALLED[4:] == [("going", "c"), ("gone", "c")]


def test_an_error_before_a_delete_stops_it(world: World, shop: Shop) -> None:
    order = world.call(Order.objects, "create", name="a", shop=shop, note="keep")
    for target in (order, shop, Order.objects.all(), Shop.objects.all()):
        with pytest.raises(Refused):
            world.call(target, "delete")
    assert world.call(Order.objects, "count") == 1
    world.call(order, "save")


def test_hooks_take_part_in_the_transaction(world: World, shop: Shop) -> None:
    model: Any = ALogged if world.is_async else Logged
    if world.is_async:
        with capture_queries() as sent:
            row = world.call(model.objects, "create", word="x")
        assert [each.sql.split()[0] for each in sent.all] == ["BEGIN", "INSERT", "INSERT", "COMMIT"]
        with pytest.raises(Exception, match="word"):
            world.call(model.objects, "create", word="x")
        assert world.call(Log.objects, "count") == 1
        world.call(row, "delete")
        assert world.call(Log.objects, "count") == 0
    else:
        world.call(model.objects, "create", word="x")
        _, is_new = world.call(model.objects, "get_or_create", word="y")
        assert is_new
        assert world.call(Log.objects, "count") == 2


def test_an_awaiting_hook_is_refused_in_blocking_calls(configured: str, world: World, shop: Shop) -> None:
    if world.is_async:
        world.call(ALogged.objects, "create", word="x")
        return
    row = ALogged(word="x")
    for what in (lambda: row.save(), lambda: ALogged.objects.get_or_create(word="x")):
        with assert_num_queries(0), pytest.raises(QueryError, match=r"ALogged\.log is an 'async def' hook"):
            what()


def test_models_without_hooks_pay_nothing(world: World, shop: Shop) -> None:
    with capture_queries() as sent:
        log = world.call(Log.objects, "create", text="x")
        world.call(log, "delete")
    assert [each.sql.split()[0] for each in sent.all] == ["INSERT", "DELETE"]


def test_a_subclass_replaces_a_hook_by_its_name() -> None:
    with registry.isolated():

        class Other(Named):
            seen: ClassVar[list[str]] = []

            def tidy(self) -> None:
                """Not a hook any more."""

    assert Other.__datalayer_hooks__ is None  # type: ignore[attr-defined]


def test_what_is_no_hook_is_refused() -> None:
    with pytest.raises(ModelError, match="marks a method"):
        before_save(5)  # type: ignore[type-var]
    with registry.isolated(), pytest.raises(ModelError, match="takes self, and the Change"):

        class Wrong(Model):
            @before_save  # type: ignore[type-var]
            def many(self, a: int, b: int) -> None: ...
