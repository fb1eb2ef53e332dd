"""Every type comes back exactly as it went in, on every backend."""

from __future__ import annotations

import enum
import ipaddress
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal

import pytest
from pydantic import BaseModel, IPvAnyAddress, IPvAnyInterface, IPvAnyNetwork, ValidationError

from datalayer import BigInt, Field, Mapped, Model, NaiveDatetime, SmallInt, Sql, UUIDModel
from datalayer.errors import InvalidValue, ModelError
from datalayer.models import registry
from datalayer.testing.tables import acreate_tables, create_tables
from tests.worlds import World


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Point(BaseModel):
    x: int
    y: datetime


class Measured(BaseModel):
    value: float
    unit: str | None = None


with registry.isolated():

    class Everything(UUIDModel):
        small: Mapped[SmallInt] = Field(default=1)
        whole: Mapped[int] = Field(default=2)
        big: Mapped[BigInt] = Field(default=3)
        real: Mapped[float] = Field(default=0.5)
        yes: Mapped[bool] = Field(default=True)
        short: Mapped[str] = Field(default="x", max_length=10)
        long: Mapped[str] = Field(default="y")
        raw: Mapped[bytes] = Field(default=b"\x00")
        money: Mapped[Decimal] = Field(default=Decimal("1.10"), max_digits=12, decimal_places=2)
        wide: Mapped[Decimal] = Field(default=Decimal("0.1"), max_digits=40, decimal_places=20)
        exact: Mapped[Decimal] = Field(default=Decimal("0.1"))
        day: Mapped[date] = Field(default=date(2020, 2, 29))
        clock: Mapped[time] = Field(default=time(1, 2, 3, 4))
        moment: Mapped[datetime] = Field(default=datetime(2020, 1, 1, tzinfo=UTC))
        local: Mapped[NaiveDatetime] = Field(default=datetime(2020, 1, 1))
        span: Mapped[timedelta] = Field(default=timedelta(days=1, microseconds=7))
        key: Mapped[uuid.UUID] = Field(default_factory=uuid.uuid4)
        colour: Mapped[Colour] = Field(default=Colour.RED)
        size: Mapped[Size] = Field(default=Size.SMALL)
        word: Mapped[Literal["a", "b"]] = Field(default="a")
        free: Mapped[dict[str, Any]] = Field(default_factory=dict)
        items: Mapped[list[int]] = Field(default_factory=list)
        point: Mapped[Point | None] = Field(default=None)
        address: Mapped[ipaddress.IPv4Address | None] = Field(default=None)
        bare: Mapped[dict] = Field(default_factory=dict)  # type: ignore[type-arg]

        class Meta:
            table = "types_everything"

    class Hosts(Model):
        address4: Mapped[ipaddress.IPv4Address]
        address6: Mapped[ipaddress.IPv6Address]
        interface4: Mapped[ipaddress.IPv4Interface]
        interface6: Mapped[ipaddress.IPv6Interface]
        network4: Mapped[ipaddress.IPv4Network]
        network6: Mapped[ipaddress.IPv6Network]
        address: Mapped[IPvAnyAddress]
        interface: Mapped[IPvAnyInterface]
        network: Mapped[IPvAnyNetwork]
        addresses: Mapped[ipaddress.IPv4Address | ipaddress.IPv6Address]
        networks: Mapped[ipaddress.IPv4Network | ipaddress.IPv6Network | None]

        class Meta:
            table = "types_hosts"

    class Notes(Model):
        free: Mapped[Any] = Field(default=None)
        bare: Mapped[dict] = Field(default_factory=dict)  # type: ignore[type-arg]
        typed: Mapped[dict[str, Any]] = Field(default_factory=dict)
        floats: Mapped[list[list[float | None]]] = Field(default_factory=list)
        point: Mapped[Measured | None] = Field(default=None)
        raw: Mapped[bytes | None] = Field(default=None)

        class Meta:
            table = "types_notes"

    class Filled(Model):
        given: Mapped[int] = Field(db_default=7, init=False)
        worded: Mapped[str] = Field(db_default="it's", init=False)
        made: Mapped[datetime] = Field(db_default=Sql("CURRENT_TIMESTAMP"), init=False)

        class Meta:
            table = "types_filled"

    registry.tables()


@pytest.fixture
def tables(configured: str, world: World) -> str:
    world.run(
        lambda: create_tables(Everything, Filled, Hosts, Notes),
        lambda: acreate_tables(Everything, Filled, Hosts, Notes),
    )
    return configured


OTHERS: dict[str, Any] = {
    "small": -(2**15),
    "whole": 2**31 - 1,
    "big": 2**63 - 1,
    "real": 1e-300,
    "yes": False,
    "short": "ä'%_\\\"",
    "long": "z" * 10_000,
    "raw": bytes(range(256)),
    "money": Decimal("-9999999999.99"),
    "wide": Decimal("12345678901234567890.12345678901234567890"),
    "exact": Decimal("123456789.123456789123456789"),
    "day": date(1, 1, 1),
    "clock": time(23, 59, 59, 999999),
    "moment": datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    "local": datetime(9999, 12, 31, 23, 59, 59, 999999),
    "span": timedelta(days=-3, seconds=5, microseconds=1),
    "colour": Colour.GREEN,
    "size": Size.LARGE,
    "word": "b",
    "free": {"a": [1, None, {"b": "ü"}]},
    "items": [3, 2, 1],
    "point": Point(x=1, y=datetime(2020, 1, 1, tzinfo=UTC)),
    "address": ipaddress.IPv4Address("10.0.0.1"),
    "bare": {"x": [True]},
}


@pytest.mark.usefixtures("tables")
def test_values_come_back_exactly(world: World) -> None:
    for values in ({}, OTHERS):
        made = world.call(Everything.objects, "create", **values)
        found = world.call(Everything.objects, "get", id=made.id)
        for name in Everything.model_fields:
            before, after = getattr(made, name), getattr(found, name)
            assert after == before, name
            assert type(after) is type(before), name
        assert found.moment.tzinfo is not None
        assert found.model_dump() == made.model_dump()


@pytest.mark.usefixtures("tables")
def test_null_is_none_of_some_bytes(world: World) -> None:
    for value in (None, b"", b"\x00"):
        world.call(Notes.objects, "create", raw=value)
    assert [row.raw for row in world.iterate(Notes.objects.filter(raw__in=[b"", b"x"]))] == [b""]
    assert [row.raw for row in world.iterate(Notes.objects.exclude(raw__in=[b""]).order_by("id"))] == [None, b"\x00"]


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("name", [name for name in OTHERS if name not in {"point", "free", "items", "bare", "real"}])
def test_values_are_found_again(world: World, name: str) -> None:
    world.call(Everything.objects, "create")
    other = world.call(Everything.objects, "create", **OTHERS)
    assert world.iterate(Everything.objects.filter(**{name: OTHERS[name]})) == [other]
    assert world.iterate(Everything.objects.filter(**{f"{name}__in": [OTHERS[name]]})) == [other]
    assert world.call(Everything.objects.filter(id=other.id), "update", **{name: OTHERS[name]}) == 1
    assert world.iterate(Everything.objects.values_list(name, flat=True).filter(id=other.id)) == [OTHERS[name]]


@pytest.mark.usefixtures("tables")
def test_the_database_fills_in(world: World) -> None:
    made = Filled()
    assert made.model_dump() == {}
    world.call(made, "save")
    assert (made.given, made.worded) == (7, "it's")
    assert abs(datetime.now(UTC) - made.made) < timedelta(minutes=1)


def test_a_datetime_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="NaiveDatetime"):
        Everything(moment=datetime(2020, 1, 1))
    known = Everything()
    with pytest.raises(ValidationError, match="time zone"):
        known.moment = datetime(2020, 1, 1)


HOSTS: list[dict[str, Any]] = [
    {
        "address4": "10.0.0.1", "address6": "2001:db8::1", "interface4": "10.0.0.1/8", "interface6": "2001:db8::1/64",
        "network4": "10.0.0.0/8", "network6": "2001:db8::/32", "address": "::1", "interface": "10.0.0.1/24",
        "network": "2001:db8::/48", "addresses": "10.0.0.7", "networks": "10.0.0.0/30",
    },
    {
        "address4": "0.0.0.0", "address6": "::", "interface4": "10.0.0.1/32", "interface6": "::1/128",
        "network4": "10.0.0.1/32", "network6": "::1/128", "address": "10.0.0.1", "interface": "::1/128",
        "network": "10.0.0.1/32", "addresses": "::7", "networks": None,
    },
]  # fmt: skip


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("values", HOSTS)
def test_addresses_interfaces_and_networks_come_back_as_what_they_were(world: World, values: dict[str, Any]) -> None:
    made = world.call(Hosts.objects, "create", **values)
    found = world.call(Hosts.objects, "get", id=made.id)
    for name in values:
        assert getattr(found, name) == getattr(made, name), name
        assert type(getattr(found, name)) is type(getattr(made, name)), name
        assert world.call(Hosts.objects.filter(**{name: values[name]}), "count") == 1, name


def test_a_field_of_addresses_and_networks_is_refused() -> None:
    with registry.isolated():

        class Mixed(Model):
            place: Mapped[ipaddress.IPv4Address | ipaddress.IPv4Network]

        with pytest.raises(ModelError, match="mixes"):
            registry.tables()


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["free", "bare", "typed", "floats", "point"])
def test_json_without_a_number_for_it_is_refused(world: World, name: str, number: float) -> None:
    value: Any = {"a": [1, {"b": number}]}
    if name == "floats":
        value = [[1.0, None, number]]
    elif name == "point":
        value = Measured(value=number)
    with pytest.raises(InvalidValue, match=rf"Notes.{name}: .* cannot be kept as JSON, which has no NaN"):
        world.call(Notes.objects, "create", **{name: value})
    with pytest.raises(InvalidValue, match=f"Notes.{name}"):
        world.call(Notes.objects, "bulk_create", [Notes(**{name: value}), Notes()])
    kept = world.call(Notes.objects, "create")
    with pytest.raises(InvalidValue, match=f"Notes.{name}"):
        world.call(Notes.objects.filter(id=kept.id), "update", **{name: value})
    setattr(kept, name, value)
    with pytest.raises(InvalidValue, match=f"Notes.{name}"):
        world.call(kept, "save")
    assert world.call(Notes.objects, "count") == 1


@pytest.mark.usefixtures("tables")
def test_json_of_nothing_json_knows_is_refused(world: World) -> None:
    with pytest.raises(InvalidValue, match=r"Notes.bare: .* cannot be kept as JSON"):
        world.call(Notes.objects, "create", bare={"a": object()})


@pytest.mark.usefixtures("tables")
def test_nothing_inside_json_is_kept(world: World) -> None:
    point = Measured(value=1.5)
    made = world.call(Notes.objects, "create", floats=[[1.5, None]], typed={"a": None}, point=point)
    found = world.call(Notes.objects, "get", id=made.id)
    assert (found.floats, found.typed, found.point) == ([[1.5, None]], {"a": None}, point)
