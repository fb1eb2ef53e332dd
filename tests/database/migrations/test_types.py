"""A change of type keeps every value, or stops and changes nothing; the same on both backends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa

from datalayer import conf
from datalayer._compile.values import from_driver, to_driver
from datalayer._schema.field import ColumnType, FieldSpec, Kind
from datalayer._schema.table import CheckSpec, TableSpec
from datalayer.errors import MigrationError
from datalayer.migrations import commands, config

SMALL = ColumnType(Kind.SMALL_INTEGER, int)
INT = ColumnType(Kind.INTEGER, int)
BIG = ColumnType(Kind.BIG_INTEGER, int)
FLOAT = ColumnType(Kind.FLOAT, float)
MONEY = ColumnType(Kind.DECIMAL, Decimal, precision=8, scale=2)
FINE = ColumnType(Kind.DECIMAL, Decimal, precision=12, scale=4)
WIDE = ColumnType(Kind.DECIMAL, Decimal, precision=30, scale=9)
BOOL = ColumnType(Kind.BOOLEAN, bool)
SHORT = ColumnType(Kind.STRING, str, length=5)
LONG = ColumnType(Kind.STRING, str, length=50)
TEXT = ColumnType(Kind.TEXT, str)
DATE = ColumnType(Kind.DATE, date)
MOMENT = ColumnType(Kind.DATETIME, datetime)
NAIVE = ColumnType(Kind.NAIVE_DATETIME, datetime)
ID = ColumnType(Kind.UUID, UUID)
JSON = ColumnType(Kind.JSON)
TIME = ColumnType(Kind.TIME)
DURATION = ColumnType(Kind.DURATION)
BYTES = ColumnType(Kind.BYTES, bytes)

DAY, NOON = datetime(2026, 2, 28), datetime(2026, 2, 28, 12, 30, 15, 123456)
KEPT: dict[str, tuple[ColumnType, ColumnType, object, object]] = {
    "integer to bigger": (INT, BIG, -7, -7),
    "integer to smaller": (BIG, SMALL, 32767, 32767),
    "integer to decimal": (INT, MONEY, 7, Decimal("7.00")),
    "integer to wide decimal": (BIG, WIDE, 2**62, Decimal(2**62)),
    "integer to float": (INT, FLOAT, 7, 7.0),
    "integer to text": (INT, TEXT, -7, "-7"),
    "integer to boolean": (INT, BOOL, 1, True),
    "decimal to more digits": (MONEY, FINE, Decimal("999999.99"), Decimal("999999.99")),
    "decimal to fewer digits": (FINE, MONEY, Decimal("0.1500"), Decimal("0.15")),
    "decimal to wide": (FINE, WIDE, Decimal("0.0001"), Decimal("0.0001")),
    "decimal from wide": (WIDE, FINE, Decimal("12345678.0001"), Decimal("12345678.0001")),
    "decimal to integer": (MONEY, INT, Decimal("7.00"), 7),
    "decimal to float": (MONEY, FLOAT, Decimal("0.15"), 0.15),
    "decimal to text": (MONEY, TEXT, Decimal("1.50"), "1.50"),
    "float to decimal": (FLOAT, MONEY, 19.989999999999998, Decimal("19.99")),
    "float to wide decimal": (FLOAT, WIDE, 0.5, Decimal("0.5")),
    "float to integer": (FLOAT, INT, 7.0, 7),
    "boolean to integer": (BOOL, INT, True, 1),
    "boolean to text": (BOOL, TEXT, False, "false"),
    "text to boolean": (TEXT, BOOL, "False", False),
    "text to integer": (TEXT, INT, " -42 ", -42),
    "text to decimal": (TEXT, MONEY, "1.5", Decimal("1.50")),
    "text to wide decimal": (TEXT, WIDE, "123456789012345678.123456789", Decimal("123456789012345678.123456789")),
    "text to float": (TEXT, FLOAT, "1.5e3", 1500.0),
    "text to shorter": (TEXT, SHORT, "ü€😀xy", "ü€😀xy"),
    "text to longer": (SHORT, LONG, "it's%", "it's%"),
    "text to date": (TEXT, DATE, "2026-02-28", date(2026, 2, 28)),
    "text to naive datetime": (TEXT, NAIVE, "2026-02-28T12:30:15.123456", NOON),
    "text to datetime": (TEXT, MOMENT, "2026-02-28 12:30:15.123456", NOON.replace(tzinfo=UTC)),
    "text to uuid": (TEXT, ID, "0F0E0D0C-0000-4000-8000-000000000001", UUID("0f0e0d0c-0000-4000-8000-000000000001")),
    "uuid to text": (ID, TEXT, UUID(int=5), str(UUID(int=5))),
    "text to json": (TEXT, JSON, '{"a": "é"}', '{"a": "é"}'),
    "json to text": (JSON, TEXT, "plain", "plain"),
    "date to datetime": (DATE, MOMENT, date(2026, 2, 28), DAY.replace(tzinfo=UTC)),
    "date to naive datetime": (DATE, NAIVE, date(2026, 2, 28), DAY),
    "datetime to date": (MOMENT, DATE, DAY.replace(tzinfo=UTC), date(2026, 2, 28)),
    "naive datetime to date": (NAIVE, DATE, DAY, date(2026, 2, 28)),
    "naive datetime to datetime": (NAIVE, MOMENT, NOON, NOON.replace(tzinfo=UTC)),
    "datetime to naive datetime": (MOMENT, NAIVE, NOON.replace(tzinfo=UTC), NOON),
}
REFUSED: dict[str, tuple[ColumnType, ColumnType, object]] = {
    "integer too big": (BIG, INT, 2**31),
    "integer too big for decimal": (BIG, MONEY, 10**6),
    "integer that is no boolean": (INT, BOOL, 2),
    "integer that no float holds": (BIG, FLOAT, 2**53 + 1),
    "decimal with more digits": (FINE, MONEY, Decimal("0.1250")),
    "wide decimal with more digits": (WIDE, MONEY, Decimal("1.005")),
    "wide decimal too big": (WIDE, MONEY, Decimal("1000000")),
    "decimal with cents to integer": (MONEY, INT, Decimal("7.50")),
    "decimal that no float holds": (WIDE, FLOAT, Decimal("123456789.123456789")),
    "float with a fraction": (FLOAT, INT, 7.5),
    "text that is no number": (TEXT, INT, "7 apples"),
    "text with too many digits": (TEXT, MONEY, "1.234"),
    "text that is no boolean": (TEXT, BOOL, "maybe"),
    "text too long": (TEXT, SHORT, "123456"),
    "text that is no day": (TEXT, DATE, "2026-02-30"),
    "text with a time zone": (TEXT, MOMENT, "2026-02-28 12:30:15+02:00"),
    "text that is no uuid": (TEXT, ID, "0f0e"),
    "datetime with a time": (MOMENT, DATE, NOON.replace(tzinfo=UTC)),
    "naive datetime with a time": (NAIVE, DATE, NOON),
}


@pytest.fixture
def project(backend: str, database_url: str, tmp_path: Path) -> Iterator[str]:
    with conf.override(databases={"default": {"url": database_url}}, migrations=str(tmp_path / "migrations")):
        yield backend


def table(kind: ColumnType, *checks: CheckSpec, nullable: bool = True) -> TableSpec:
    fields = (
        FieldSpec("id", "id", BIG, is_primary_key=True, is_identity=True),
        FieldSpec("value", "value", kind, nullable=nullable),
    )
    return TableSpec("order", model="Order", fields=fields, primary_key=("id",), checks=checks)


def store(kind: ColumnType, backend: str, *values: object) -> None:
    convert = to_driver(kind, backend)
    with config.environment("default").connect() as connection:
        for value in values:
            given = convert(value) if convert is not None and value is not None else value
            connection.exec_driver_sql(
                f'INSERT INTO "order" (value) VALUES ({"?" if backend == "sqlite" else "%s"})', (given,)
            )
        connection.commit()


def stored(kind: ColumnType, backend: str) -> list[object]:
    convert = from_driver(kind, backend)
    with config.environment("default").connect() as connection:
        # As the library reads it: the driver of PostgreSQL alone would parse JSON.
        column = "CAST(value AS TEXT)" if kind is JSON else "value"
        rows = connection.exec_driver_sql(f'SELECT {column} FROM "order" ORDER BY id')
        return [row[0] if convert is None or row[0] is None else convert(row[0]) for row in rows]


def is_same(found: list[object], wanted: list[object]) -> bool:
    return [(type(one), one) for one in found] == [(type(one), one) for one in wanted]


NORMALIZED = ("text", "float", "decimal to float")
"""What comes back equal, but written differently: " -42 " as "-42"."""


@pytest.mark.parametrize("what", KEPT)
def test_values_become_the_new_type_and_come_back(project: str, what: str) -> None:
    old, new, value, becomes = KEPT[what]
    commands.makemigrations(tables=[table(old)])
    commands.migrate()
    store(old, project, value, None)
    commands.makemigrations(tables=[table(new)])
    commands.migrate()
    assert is_same(stored(new, project), [becomes, None])
    commands.migrate("1")
    back = stored(old, project)
    assert len(back) == 2 if what.startswith(NORMALIZED) else is_same(back, [value, None])


@pytest.mark.parametrize("what", REFUSED)
def test_values_that_would_lose_something_stop_the_migration(project: str, what: str) -> None:
    old, new, value = REFUSED[what]
    commands.makemigrations(tables=[table(old)])
    commands.migrate()
    store(old, project, value, None)
    commands.makemigrations(tables=[table(new)])
    with pytest.raises(MigrationError, match="nothing of it was applied"):
        commands.migrate()
    assert is_same(stored(old, project), [value, None])
    assert [shown.is_applied for shown in commands.showmigrations()] == [True, False]


def test_the_refusal_counts_the_values_and_says_how_to_find_them(project: str) -> None:
    commands.makemigrations(tables=[table(MONEY)])
    commands.migrate()
    store(MONEY, project, Decimal("1.50"), Decimal("2.00"), Decimal("3.25"))
    commands.makemigrations(tables=[table(INT)])
    with pytest.raises(MigrationError) as caught:
        commands.migrate()
    assert "2 values of column 'order.value' cannot become types.Integer() without loss" in str(caught.value)
    query = str(caught.value).partition("they are found by: ")[2].partition(";")[0]
    with config.environment("default").connect() as connection:
        assert len(list(connection.execute(sa.text(query)))) == 2


@pytest.mark.parametrize(("old", "new"), [(DURATION, INT), (TIME, TEXT), (BYTES, TEXT), (DATE, INT), (JSON, INT)])
def test_types_without_an_obvious_way_are_refused_when_the_migration_is_made(
    project: str, old: ColumnType, new: ColumnType, tmp_path: Path
) -> None:
    commands.makemigrations(tables=[table(old)])
    with pytest.raises(MigrationError, match=r"order\.value cannot become .* move the values in a migration"):
        commands.makemigrations(tables=[table(new)])
    assert len(list((tmp_path / "migrations").glob("*.py"))) == 1


def test_a_type_changes_together_with_not_null(project: str) -> None:
    commands.makemigrations(tables=[table(TEXT)])
    commands.migrate()
    store(TEXT, project, "4", None)
    commands.makemigrations(tables=[table(INT, nullable=False)], default=["order.value=9"])
    commands.migrate()
    assert stored(INT, project) == [4, 9]
    commands.migrate("1")
    assert stored(TEXT, project) == ["4", "9"]


def test_a_type_changes_together_with_its_comment(project: str, backend: str) -> None:
    found: list[str | None] = []
    for type_, comment in ((TEXT, "it's 100% a \\ number"), (INT, None), (TEXT, "a text")):
        value = FieldSpec("value", "value", type_, nullable=True, comment=comment)
        made = table(type_)
        made.fields["value"] = value
        commands.makemigrations(tables=[made])
        commands.migrate()
        with config.environment("default").connect() as connection:
            columns = sa.inspect(connection).get_columns("order")
            found.append(next(one.get("comment") for one in columns if one["name"] == "value"))
    assert found == (["it's 100% a \\ number", None, "a text"] if backend == "postgresql" else [None] * 3)


def test_a_check_that_calls_our_functions_survives_a_rebuild(project: str) -> None:
    check = CheckSpec("ck_order_value", {"sqlite": "value REGEXP '^[a-z%]+$'", "postgresql": "value ~ '^[a-z%]+$'"})
    commands.makemigrations(tables=[table(SHORT, check)])
    commands.migrate()
    store(SHORT, project, "abc")
    commands.makemigrations(tables=[table(LONG, check)])
    commands.migrate()
    assert stored(LONG, project) == ["abc"]
    with pytest.raises(sa.exc.IntegrityError):
        store(LONG, project, "ABC")
