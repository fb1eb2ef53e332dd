"""Keys of several columns in queries: they are compared, looked up and counted whole."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from datalayer import (
    CASCADE,
    SET_NULL,
    Count,
    Exists,
    F,
    Field,
    ForeignKey,
    Mapped,
    Model,
    ModelBase,
    OuterRef,
    Q,
    Reverse,
)
from datalayer.errors import FieldError, InvalidValue
from datalayer.models import registry
from datalayer.testing import acreate_tables, assert_num_queries, create_tables
from tests.worlds import World

with registry.isolated():

    class Seat(ModelBase):
        row: Mapped[int]
        letter: Mapped[str] = Field(max_length=1)
        price: Mapped[int] = Field(default=0)
        tickets: ClassVar[Reverse[Ticket]]

        class Meta:
            table = "keys_seat"
            primary_key = ("row", "letter")

    class Ticket(Model):
        seat_row: Mapped[int | None] = Field(default=None)
        seat_letter: Mapped[str | None] = Field(max_length=1, default=None)
        seat: ForeignKey[Seat | None] = ForeignKey(
            fields=("seat_row", "seat_letter"), on_delete=SET_NULL, default=None, related_name="tickets"
        )

        class Meta:
            table = "keys_ticket"

    class Stub(Model):
        ticket: ForeignKey[Ticket] = ForeignKey(on_delete=CASCADE, related_name="stubs")

        class Meta:
            table = "keys_stub"

    registry.tables()

MODELS = (Seat, Ticket, Stub)


@pytest.fixture
def seats(configured: str, world: World) -> list[Seat]:
    world.run(lambda: create_tables(*MODELS), lambda: acreate_tables(*MODELS))
    seats = [Seat(row=1, letter="a", price=5), Seat(row=1, letter="b", price=9), Seat(row=2, letter="a", price=9)]
    world.call(Seat.objects, "bulk_create", seats)
    tickets = [Ticket(seat=seats[0]), Ticket(seat=seats[0]), Ticket(seat=seats[2]), Ticket(), Ticket(seat_row=7)]
    world.call(Ticket.objects, "bulk_create", tickets)
    world.call(Stub.objects, "bulk_create", [Stub(ticket=ticket) for ticket in tickets])
    return seats


def keys(world: World, query: Any) -> list[Any]:
    return sorted(row.pk for row in world.iterate(query))


@pytest.mark.usefixtures("seats")
def test_rows_are_ordered_by_each_column_of_a_key(world: World) -> None:
    up = [(1, "a"), (1, "b"), (2, "a")]
    for item in ("pk", F("pk"), F("pk").asc()):
        assert [row.pk for row in world.iterate(Seat.objects.order_by(item))] == up
    for down in ("-pk", F("pk").desc()):
        assert [row.pk for row in world.iterate(Seat.objects.order_by(down))] == up[::-1]
    assert world.call(Seat.objects, "latest", "pk").pk == (2, "a")
    assert [row.seat_row for row in world.iterate(Ticket.objects.order_by("seat__pk", "id"))] == [1, 1, 2, 7, None]
    assert Seat.objects.order_by("pk").totally_ordered


@pytest.mark.parametrize(
    ("lookup", "found"),
    [
        ("gt", [(1, "b"), (2, "a")]),
        ("gte", [(1, "a"), (1, "b"), (2, "a")]),
        ("lt", []),
        ("lte", [(1, "a")]),
    ],
)
@pytest.mark.usefixtures("seats")
def test_a_key_comes_after_another_or_before_it(world: World, lookup: str, found: list[Any]) -> None:
    assert keys(world, Seat.objects.filter(**{f"pk__{lookup}": (1, "a")})) == found
    rest = [key for key in [(1, "a"), (1, "b"), (2, "a")] if key not in found]
    assert keys(world, Seat.objects.exclude(**{f"pk__{lookup}": (1, "a")})) == rest


@pytest.mark.usefixtures("seats")
def test_a_key_is_compared_with_another_key_of_the_row(world: World) -> None:
    assert world.call(Ticket.objects.filter(seat=F("seat__pk")), "count") == 3
    assert world.call(Seat.objects.filter(pk__lte=F("pk")), "count") == 3
    assert world.call(Seat.objects.exclude(pk=F("pk")), "count") == 0
    with pytest.raises(InvalidValue, match="'row' is one column, and it is compared with a key of 2"):
        Seat.objects.filter(row=F("pk"))
    with pytest.raises(InvalidValue, match="needs a tuple of 2 values"):
        Seat.objects.filter(pk__gt=F("row"))


@pytest.mark.usefixtures("seats")
def test_a_key_is_looked_up_in_a_query(world: World) -> None:
    dear = Seat.objects.filter(price=9)
    assert keys(world, Seat.objects.filter(pk__in=dear)) == [(1, "b"), (2, "a")]
    assert keys(world, Seat.objects.exclude(pk__in=dear)) == [(1, "a")]
    assert keys(world, Seat.objects.filter(pk__in=Seat.objects.order_by("-row", "letter")[:2])) == [(1, "a"), (2, "a")]
    assert keys(world, Ticket.objects.filter(seat__in=dear)) == [3]
    assert keys(world, Ticket.objects.exclude(seat__in=dear)) == [1, 2, 4, 5]
    assert keys(world, Stub.objects.filter(ticket__seat__in=dear)) == [3]
    assert keys(world, Stub.objects.exclude(ticket__seat__in=dear)) == [1, 2, 4, 5]
    assert keys(world, Seat.objects.filter(pk__in=Ticket.objects.values("seat_row", "seat_letter"))) == [
        (1, "a"),
        (2, "a"),
    ]
    assert keys(world, Seat.objects.exclude(pk__in=Ticket.objects.values("seat_row", "seat_letter"))) == [(1, "b")]


@pytest.mark.usefixtures("seats")
def test_a_key_of_the_query_outside_is_compared_whole(world: World) -> None:
    sold = Exists(Ticket.objects.filter(seat=OuterRef("pk")))
    assert keys(world, Seat.objects.filter(sold)) == [(1, "a"), (2, "a")]
    assert keys(world, Seat.objects.filter(~sold)) == [(1, "b")]
    together = Exists(Ticket.objects.filter(Q(seat=OuterRef("seat")) & ~Q(pk=OuterRef("pk"))))
    assert keys(world, Ticket.objects.filter(together)) == [1, 2]


@pytest.mark.usefixtures("seats")
def test_rows_behind_a_key_are_counted(world: World) -> None:
    found = world.iterate(
        Seat.objects.annotate(n=Count("tickets")).order_by("row", "letter").values_list("n", flat=True)
    )
    assert found == [2, 0, 1]
    assert world.call(Ticket.objects, "aggregate", n=Count("seat")) == {"n": 3}
    grouped = world.iterate(Seat.objects.values("price").annotate(n=Count("tickets"), all=Count("pk")))
    assert sorted((row["price"], row["n"], row["all"]) for row in grouped) == [(5, 2, 1), (9, 1, 2)]


@pytest.mark.usefixtures("seats")
def test_a_key_with_one_null_in_it_refers_to_nothing(world: World) -> None:
    assert keys(world, Ticket.objects.filter(seat__isnull=True)) == [4, 5]
    assert keys(world, Ticket.objects.filter(seat=None)) == [4, 5]
    assert keys(world, Ticket.objects.filter(seat__isnull=False)) == [1, 2, 3]
    assert keys(world, Ticket.objects.exclude(seat=None)) == [1, 2, 3]


@pytest.mark.usefixtures("configured")
def test_another_key_is_one_that_is_there_as_for_a_single_column(world: World, seats: list[Seat]) -> None:
    assert keys(world, Ticket.objects.filter(seat__ne=(1, "a"))) == [3]
    assert keys(world, Ticket.objects.filter(Ticket.seat != seats[0])) == [3]
    assert keys(world, Ticket.objects.filter(seat__ne=(F("seat_row"), "b"))) == [1, 2, 3]
    assert keys(world, Ticket.objects.filter(seat__ne=F("seat__pk"))) == []
    assert keys(world, Ticket.objects.filter(seat__ne=None)) == [1, 2, 3]
    assert keys(world, Stub.objects.filter(ticket__seat__ne=(1, "a"))) == [3]
    assert keys(world, Seat.objects.filter(pk__ne=(1, "a"))) == [(1, "b"), (2, "a")]
    assert keys(world, Ticket.objects.exclude(seat=(1, "a"))) == [3, 4, 5]


def test_a_key_other_than_that_of_the_query_outside_is_one_that_is_there(world: World, seats: list[Seat]) -> None:
    others = Ticket.objects.filter(seat__ne=OuterRef("pk")).exclude(seat_row=1)
    assert keys(world, Seat.objects.filter(Exists(others))) == [(1, "a"), (1, "b")]


def test_what_does_not_fit_a_key_is_refused_when_it_is_built() -> None:
    with assert_num_queries(0):
        with pytest.raises(InvalidValue, match=r"'pk__in' compares 2 columns, and the query has 1"):
            Seat.objects.filter(pk__in=Seat.objects.values("row"))
        with pytest.raises(InvalidValue, match=r"is string where the query has 'price', integer"):
            Seat.objects.filter(pk__in=Seat.objects.values("row", "price"))
        with pytest.raises(FieldError, match=r"'id' of Ticket has 1 column\(s\) where a key of 2 columns is wanted"):
            Ticket.objects.filter(Exists(Seat.objects.filter(pk=OuterRef("id"))))
        with pytest.raises(FieldError, match="'pk' of Seat has several columns"):
            Seat.objects.filter(Exists(Ticket.objects.filter(id=OuterRef("pk"))))
        with pytest.raises(FieldError, match="has several columns"):
            Seat.objects.annotate(n=Count("pk", distinct=True))


def test_the_whole_key_is_one_value_among_others(world: World, seats: list[Seat]) -> None:
    rows = Seat.objects.order_by("pk")
    whole = [seat.pk for seat in seats]
    assert world.iterate(rows.values_list("pk", flat=True)) == whole == [(1, "a"), (1, "b"), (2, "a")]
    assert world.iterate(rows.values("pk", "price")) == [{"pk": seat.pk, "price": seat.price} for seat in seats]
    assert world.iterate(rows.values_list("price", "pk", F("price") * 2)) == [
        (seat.price, seat.pk, seat.price * 2) for seat in seats
    ]
    assert [row.pk for row in world.iterate(rows.values_list("pk", "price", named=True).filter(price=9))] == whole[1:]
    counted = rows.values("pk").annotate(n=Count("tickets"))
    assert world.iterate(counted) == [{"pk": seat.pk, "n": n} for seat, n in zip(seats, (2, 0, 1), strict=True)]
    assert world.call(rows.values_list("pk"), "first") == ((1, "a"),)


def test_a_reference_by_a_whole_key_is_one_value_too(world: World, seats: list[Seat]) -> None:
    found = world.iterate(Ticket.objects.order_by("id").values_list("seat", flat=True))
    assert found == [(1, "a"), (1, "a"), (2, "a"), None, None]
    assert world.iterate(Stub.objects.order_by("id").values("ticket__seat"))[2] == {"ticket__seat": (2, "a")}
    assert keys(world, Seat.objects.filter(pk__in=Ticket.objects.values("seat"))) == [(1, "a"), (2, "a")]
    assert keys(world, Seat.objects.filter(pk__in=Seat.objects.filter(price=9).values("pk"))) == [(1, "b"), (2, "a")]
