"""Addresses and networks have an order of their own: by number, and not by the letters they are written with."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import IPvAnyInterface

from datalayer import F, Field, Mapped, Max, Min, Model, Value, Window
from datalayer import functions as fn
from datalayer.errors import QueryError
from datalayer.models import registry
from datalayer.models.ranges import Range
from datalayer.testing import acreate_tables, create_tables
from tests.worlds import World

with registry.isolated():

    class Host(Model):
        address: Mapped[IPvAnyInterface | None] = Field(default=None)
        marks: Mapped[list[int]] = Field(default_factory=list)
        floors: Mapped[Range[int] | None] = Field(default=None)

        class Meta:
            table = "networks_host"

    registry.tables()

_FOUR = ["9.0.0.1/32", "10.0.0.0/8", "10.0.0.1/8", "10.0.0.1/24", "10.0.0.1/32", "200.1.1.1/32"]
IN_ORDER = [*_FOUR, "::1/128", "fe80::/10"]
"""As PostgreSQL has them."""


@pytest.fixture(autouse=True)
def hosts(configured: str, world: World) -> None:
    world.run(lambda: create_tables(Host), lambda: acreate_tables(Host))
    rows = [Host(address=address, marks=[number]) for number, address in enumerate(IN_ORDER, 4)]  # type: ignore[arg-type]
    world.call(Host.objects, "bulk_create", rows[::-1])


def texts(world: World, query: Any) -> list[str]:
    return [str(row.address) for row in world.iterate(query)]


def test_addresses_are_put_in_order_by_number(world: World) -> None:
    assert texts(world, Host.objects.order_by("address")) == IN_ORDER
    assert texts(world, Host.objects.order_by("-address")) == IN_ORDER[::-1]


@pytest.mark.parametrize("place", range(len(IN_ORDER)))
def test_addresses_are_compared_by_number(world: World, place: int) -> None:
    query, given = Host.objects.order_by("address"), IN_ORDER[place]
    assert texts(world, query.filter(address__gt=given)) == IN_ORDER[place + 1 :]
    assert texts(world, query.filter(address__lte=given)) == IN_ORDER[: place + 1]
    assert texts(world, query.filter(address__range=(given, IN_ORDER[-2]))) == IN_ORDER[place:-1]
    assert texts(world, query.filter(address=given)) == [given]


def test_addresses_are_compared_with_each_other_by_number(world: World) -> None:
    assert world.call(Host.objects.filter(address__gte=F("address")), "count") == len(IN_ORDER)


@pytest.mark.parametrize(("field", "ends"), [("address", (IN_ORDER[0], IN_ORDER[-1])), ("marks", ("[4]", "[11]"))])
def test_the_least_and_the_greatest_are_those_of_the_order(world: World, field: str, ends: tuple[str, str]) -> None:
    world.call(Host.objects, "create", address=None, marks=[5])
    found = world.call(Host.objects, "aggregate", low=Min(field), high=Max(field))
    assert (str(found["low"]), str(found["high"])) == ends
    rows = world.iterate(Host.objects.annotate(high=Window(Max(field))))
    assert {str(row.high) for row in rows} == {ends[1]}  # type: ignore[attr-defined]
    assert world.call(Host.objects.none(), "aggregate", low=Min(field)) == {"low": None}


def test_the_greatest_of_several_values_is_that_of_the_order(world: World) -> None:
    query = Host.objects.order_by("address")
    limit = query.filter(address=IN_ORDER[2]).values("address")[:1]
    rows = world.iterate(query.annotate(x=fn.Greatest("address", limit), y=fn.Least("marks", Value([9], list[int]))))
    assert [str(row.x) for row in rows] == [IN_ORDER[2]] * 2 + IN_ORDER[2:]
    assert [row.y for row in rows] == [[min(number, 9)] for number in range(4, 12)]


def test_the_greatest_of_ranges_is_refused() -> None:
    with pytest.raises(QueryError, match="is over range values"):
        Host.objects.annotate(x=Max("floors"))
