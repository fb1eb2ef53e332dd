"""Every kind of column: in, out, compared, by one row and by many, the same on every backend."""

from __future__ import annotations

import enum
import ipaddress
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from datalayer._compile.tables import create_all_statements
from datalayer._plans import bulk, read, write
from datalayer._plans.plan import Command
from datalayer._query.change import Delete, Insert, Update
from datalayer._query.comparing import comparison
from datalayer._query.expression import Aggregate, Ordering, Value
from datalayer._query.path import reference
from datalayer._query.query import Query
from datalayer._schema.field import ColumnType, FieldSpec, Kind
from datalayer._schema.table import TableSpec
from datalayer.databases import databases


class Mood(enum.StrEnum):
    GOOD = "good"
    BAD = "bad"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Complex:
    """Keeps complex numbers as two numbers in a list."""

    def dump(self, value: Any) -> str:
        return json.dumps([value.real, value.imag])

    def load(self, text: str | bytes) -> complex:
        return complex(*json.loads(text))

    def keys(self, path: tuple[str | int, ...]) -> None:
        return None


TYPES: dict[str, ColumnType] = {
    "small": ColumnType(Kind.SMALL_INTEGER, int),
    "number": ColumnType(Kind.INTEGER, int),
    "big": ColumnType(Kind.BIG_INTEGER, int),
    "ratio": ColumnType(Kind.FLOAT, float),
    "money": ColumnType(Kind.DECIMAL, Decimal, precision=15, scale=2),
    "wide": ColumnType(Kind.DECIMAL, Decimal, precision=30, scale=10),
    "open": ColumnType(Kind.DECIMAL, Decimal),
    "flag": ColumnType(Kind.BOOLEAN, bool),
    "name": ColumnType(Kind.STRING, str, length=50),
    "note": ColumnType(Kind.TEXT, str),
    "data": ColumnType(Kind.BYTES, bytes),
    "day": ColumnType(Kind.DATE, date),
    "hour": ColumnType(Kind.TIME, time),
    "moment": ColumnType(Kind.DATETIME, datetime),
    "local": ColumnType(Kind.NAIVE_DATETIME, datetime),
    "span": ColumnType(Kind.DURATION, timedelta),
    "key": ColumnType(Kind.UUID, UUID),
    "json": ColumnType(Kind.JSON, object),
    "point": ColumnType(Kind.JSON, complex, codec=Complex()),
    "mood": ColumnType(Kind.ENUM, Mood, choices=("good", "bad")),
    "size": ColumnType(Kind.ENUM, Size, choices=(1, 2)),
    "address": ColumnType(Kind.INET, ipaddress.IPv4Address),
}
KIND = TableSpec(
    "every kind",
    model="EveryKind",
    primary_key=("id",),
    fields=(
        FieldSpec("id", "id", ColumnType(Kind.INTEGER, int), is_primary_key=True, is_identity=True),
        *[FieldSpec(name, f"{name} %", type, nullable=True) for name, type in TYPES.items()],
    ),
)
LOW: dict[str, Any] = {
    "small": -32768,
    "number": -(2**31),
    "big": -(2**63),
    "ratio": 0.1,
    "money": Decimal("-1234567890123.45"),
    "wide": Decimal("-12345678901234567890.0123456789"),
    "open": Decimal("-1.234567890123456789012345"),
    "flag": False,
    "name": "\N{SNOWMAN} 'quoted' \\ % ? %s",
    "note": "",
    "data": b"\x00\xff",
    "day": date(1, 1, 1),
    "hour": time(0, 0),
    "moment": datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    "local": datetime(1970, 1, 1),
    "span": timedelta(days=-1, microseconds=1),
    "key": UUID(int=0),
    "json": {"a": [1, None, "ü", {"b": True}], "n": 1.5},
    "point": complex(1, 2),
    "mood": Mood.BAD,
    "size": Size.SMALL,
    "address": ipaddress.IPv4Address("10.0.0.1"),
}
HIGH: dict[str, Any] = {
    "small": 32767,
    "number": 2**31 - 1,
    "big": 2**63 - 1,
    "ratio": 1e300,
    "money": Decimal("1234567890123.45"),
    "wide": Decimal("12345678901234567890.0123456789"),
    "open": Decimal("1e20"),
    "flag": True,
    "name": "z",
    "note": "z" * 100_000,
    "data": b"\xff" * 1000,
    "day": date(9999, 12, 31),
    "hour": time(23, 59, 59, 999999),
    "moment": datetime(2999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    "local": datetime(2999, 12, 31, 23, 59, 59, 999999),
    "span": timedelta(days=10_000, seconds=5),
    "key": UUID(int=2**128 - 1),
    "json": "just text",
    "point": complex(-1.5, 0),
    "mood": Mood.GOOD,
    "size": Size.LARGE,
    "address": ipaddress.IPv4Address("192.168.0.1"),
}
NAMES = tuple(TYPES)
ROWS = Query(KIND)
ORDERED = [n for n in NAMES if n not in {"json", "point", "mood", "flag"}]


@pytest.fixture
def ask(configured: str, world: Any) -> Callable[..., Any]:
    """Runs a plan in a database that has the table."""

    def created(compiler: Any) -> Any:
        for statement in create_all_statements([KIND], compiler.backend):
            if compiler.backend == "postgresql":
                statement = statement.replace("%", "%%")
            yield Command(statement, (), returns_rows=False, writes=True)

    def run(operation: Any, *args: Any, **named: Any) -> Any:
        return world.call(databases["default"], "run", operation, *args, **named)

    run(created)
    return run


def stored(ask: Callable[..., Any]) -> list[dict[str, object]]:
    order = (Ordering(reference(KIND, "id")),)
    return [dict(zip(NAMES, row[1:], strict=True)) for row in ask(read.tuples, ROWS.replaced(order=order))]


def exactly(found: dict[str, object], wanted: dict[str, Any]) -> None:
    for name in NAMES:
        assert found[name] == wanted[name], name
        assert type(found[name]) is type(wanted[name]), name


def test_round_trip(ask: Callable[..., Any]) -> None:
    back = ask(write.insert, Insert(KIND, NAMES, NAMES), tuple(LOW.values()))
    exactly(dict(zip(NAMES, back, strict=True)), LOW)
    empty = dict.fromkeys(NAMES)
    many = [tuple(row[name] for name in NAMES) for row in (HIGH, empty, LOW)]
    returned = ask(bulk.create, KIND, NAMES, many, NAMES)
    assert returned[1] == tuple(empty.values())
    exactly(dict(zip(NAMES, returned[0], strict=True)), HIGH)
    for found, wanted in zip(stored(ask), (LOW, HIGH, empty, LOW), strict=True):
        exactly(found, wanted)


def test_update(ask: Callable[..., Any]) -> None:
    ask(bulk.create, KIND, ("id",), [(1,), (2,)])
    one = ROWS.filtered(comparison(KIND, "id", 1))
    assert ask(write.update, Update(one, tuple((n, Value(LOW[n], TYPES[n])) for n in NAMES))) == 1
    assert ask(bulk.update, KIND, NAMES, [(*HIGH.values(), 2)]) == (1, [])
    low, high = stored(ask)
    exactly(low, LOW)
    exactly(high, HIGH)
    assert ask(bulk.update, KIND, NAMES, [(*[None] * len(NAMES), 1), (*LOW.values(), 2)]) == (2, [])
    empty, low = stored(ask)
    exactly(low, LOW)
    assert set(empty.values()) == {None}


def test_comparisons(ask: Callable[..., Any]) -> None:
    ask(bulk.create, KIND, NAMES, [tuple(LOW.values()), tuple(HIGH.values())])

    def found(name: str, value: object) -> list[int]:
        query = ROWS.filtered(comparison(KIND, name, value)).replaced(columns=(("id", reference(KIND, "id")),))
        return sorted(row[0] for row in ask(read.tuples, query))

    for name in NAMES:
        if TYPES[name].kind is Kind.JSON:
            continue
        assert found(name, LOW[name]) == [1], name
        assert found(f"{name}__in", [HIGH[name]]) == [2], name
        assert found(f"{name}__in", [LOW[name], HIGH[name]]) == [1, 2], name
        assert found(f"{name}__ne", LOW[name]) == [2], name
    for name in ORDERED:
        if name == "note":
            continue
        low, high = (1, 2) if LOW[name] < HIGH[name] else (2, 1)
        first, last = sorted((LOW[name], HIGH[name]))
        assert found(f"{name}__gt", first) == [high], name
        assert found(f"{name}__lt", last) == [low], name
        assert found(f"{name}__range", (first, last)) == [1, 2], name


def test_order_and_extremes(ask: Callable[..., Any]) -> None:
    ask(bulk.create, KIND, NAMES, [tuple(HIGH.values()), tuple(LOW.values())])
    for name in ORDERED:
        if name in {"name", "note"}:
            continue  # the order of texts is the collation's
        column = reference(KIND, name)
        query = ROWS.replaced(columns=((name, column),), order=(Ordering(column),))
        assert [row[0] for row in ask(read.tuples, query)] == sorted((LOW[name], HIGH[name])), name
        if name in {"key", "data", "address"}:
            continue  # PostgreSQL has no min() of these
        types = TYPES[name]
        extremes = ask(
            read.aggregate, ROWS, (("a", Aggregate("min", column, types)), ("b", Aggregate("max", column, types)))
        )
        assert extremes == {"a": min(LOW[name], HIGH[name]), "b": max(LOW[name], HIGH[name])}, name


def test_sums_are_exact(ask: Callable[..., Any]) -> None:
    rows = [(Decimal("0.10"), Decimal("0.1000000001"), 2**31 - 1, timedelta(seconds=1)) for _ in range(100)]
    ask(bulk.create, KIND, ("money", "wide", "number", "span"), rows)
    big = TYPES["big"]
    sums = tuple(
        (name, Aggregate("sum", reference(KIND, name), TYPES[name] if name != "number" else big))
        for name in ("money", "wide", "number", "span")
    )
    assert ask(read.aggregate, ROWS, sums) == {
        "money": Decimal("10.00"),
        "wide": Decimal("10.00000001"),
        "number": 100 * (2**31 - 1),
        "span": timedelta(seconds=100),
    }
    assert ask(read.aggregate, ROWS, (("mean", Aggregate("avg", reference(KIND, "span"), TYPES["span"])),)) == {
        "mean": timedelta(seconds=1)
    }


def test_values_out_of_range_find_nothing(ask: Callable[..., Any]) -> None:
    ask(bulk.create, KIND, ("number",), [(1,)])
    for name, value in (("number", 2**40), ("number__in", [2**40, 2**62]), ("small__gt", 2**40)):
        assert ask(read.count, ROWS.filtered(comparison(KIND, name, value))) == 0
    assert ask(write.delete, Delete(ROWS.filtered(comparison(KIND, "number__lt", 2**40)))) == 1
