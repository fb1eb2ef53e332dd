"""What `makemigrations --default`, or a person at the terminal, answers for the rows that exist."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from datalayer import BigInt, Field, Mapped, Model, NaiveDatetime, Range, SmallInt, conf
from datalayer.errors import MigrationError, UnansweredQuestion
from datalayer.migrations import commands
from datalayer.models import registry
from datalayer.pooling.registry import pools

ZERO = "00000000-0000-0000-0000-000000000000"
MONEY = {"max_digits": 6, "decimal_places": 2}
TAKEN: dict[str, tuple[Any, dict[str, Any], str, object]] = {
    "integer": (int, {}, "-7", -7),
    "small integer": (SmallInt, {}, "32767", 32767),
    "big integer": (BigInt, {}, str(2**63 - 1), 2**63 - 1),
    "integer with a mark": (int, {}, "1_000", 1000),
    "float": (float, {}, "1e3", 1000.0),
    "decimal": (Decimal, MONEY, "19.90", Decimal("19.90")),
    "long decimal": (Decimal, {"max_digits": 30, "decimal_places": 10}, "1e-9", Decimal("0.000000001")),
    "any decimal": (Decimal, {}, "0.123456789012345678", Decimal("0.123456789012345678")),
    "boolean": (bool, {}, "yes", True),
    "text": (str, {}, "O'Neil", "O'Neil"),
    "empty text": (str, {"max_length": 5}, "", ""),
    "bytes": (bytes, {}, "ab'c", b"ab'c"),
    "day": (date, {}, "2026-01-31", date(2026, 1, 31)),
    "time": (time, {}, "18:30", time(18, 30)),
    "moment": (datetime, {}, "2026-01-31T18:30+02:00", datetime(2026, 1, 31, 16, 30, tzinfo=UTC)),
    "naive moment": (NaiveDatetime, {}, "2026-01-31 18:30", datetime(2026, 1, 31, 18, 30)),
    "duration": (timedelta, {}, "PT1H30M", timedelta(hours=1, minutes=30)),
    "uuid": (UUID, {}, ZERO, UUID(ZERO)),
    "json": (dict[str, Any], {}, '{"a": "it\'s"}', {"a": "it's"}),
    "array of texts": (list[str], {}, '["it\'s", "a,b"]', ["it's", "a,b"]),
    "array of numbers": (list[int], {}, "[1, -2]", [1, -2]),
    "range of numbers": (Range[int], {}, "[1,5]", Range(1, 6)),
    "range of days": (Range[date], {}, "[2026-01-31,)", Range(date(2026, 1, 31), None)),
    "empty range": (Range[Decimal], {}, "empty", Range(bounds="empty")),
    "empty array": (list[bool], {}, "[]", []),
    "address": (ipaddress.IPv4Address, {}, "10.0.0.1", ipaddress.IPv4Address("10.0.0.1")),
}
REFUSED: dict[str, tuple[Any, dict[str, Any], str, str]] = {
    "integer": (int, {}, "many", "a whole number of 32 bits"),
    "integer beyond": (int, {}, str(2**31), "a whole number of 32 bits"),
    "small integer beyond": (SmallInt, {}, "32768", "a whole number of 16 bits"),
    "nan": (float, {}, "nan", "a number such as 0.5"),
    "decimal": (Decimal, MONEY, "1.999", "at most 6 digits, 2 of them after the point"),
    "boolean": (bool, {}, "maybe", "true or false"),
    "text": (str, {"max_length": 5}, "abcdef", "text of at most 5 characters"),
    "day": (date, {}, "yesterday", "a day such as 2026-01-31"),
    "moment": (datetime, {}, "2026-01-31T18:30", "with its time zone"),
    "naive moment": (NaiveDatetime, {}, "2026-01-31T18:30Z", "without a time zone"),
    "uuid": (UUID, {}, "0", "a UUID such as"),
    "json": (dict[str, Any], {}, "{a: 1}", "JSON such as"),
    "range": (Range[int], {}, "1, 2", r"a range such as \[1,5\) or empty"),
    "backward range": (Range[int], {}, "[5,1)", "a range such as"),
    "array": (list[int], {}, "1, 2", "a list such as [] or [1]"),
    "address": (ipaddress.IPv4Address, {}, "10.0.0.0.1", "an address"),
}


@pytest.fixture(autouse=True)
def folder(database_url: str, tmp_path: Path) -> Iterator[None]:
    with (
        conf.override(databases={"default": {"url": database_url}}, migrations=str(tmp_path / "m")),
        registry.isolated(),
    ):
        yield
    pools.close_all()


def thing(annotation: Any = None, options: dict[str, Any] | None = None) -> Any:
    body: dict[str, Any] = {"__module__": __name__, "__annotations__": {}}
    if annotation is not None:
        body |= {"__annotations__": {"value": Mapped[annotation]}, "value": Field(**(options or {}))}
    return type(Model)("Thing", (Model,), body)


@pytest.mark.parametrize(("annotation", "options", "text", "value"), TAKEN.values(), ids=TAKEN)
def test_an_answer_is_the_value_of_the_rows_that_exist(
    annotation: Any, options: dict[str, Any], text: str, value: object
) -> None:
    before = thing()
    commands.makemigrations(tables=[before.table])
    commands.migrate()
    before.objects.create()
    after = thing(annotation, options)
    commands.makemigrations(tables=[after.table], default=[f"thing.value={text}"])
    commands.migrate()
    assert after.objects.get().value == value


@pytest.mark.parametrize("annotation", [date, datetime, NaiveDatetime])
def test_now_is_the_moment_in_which_the_migration_is_made(annotation: Any) -> None:
    before = thing()
    commands.makemigrations(tables=[before.table])
    commands.migrate()
    before.objects.create()
    after = thing(annotation)
    with pytest.raises(UnansweredQuestion, match=r"--default thing\.value=now, "):
        commands.makemigrations(tables=[after.table])
    began = datetime.now(UTC)
    commands.makemigrations(tables=[after.table], default=["thing.value=now"])
    commands.migrate()
    found = after.objects.get().value
    if annotation is date:
        assert found in (began.date(), datetime.now(UTC).date())
    else:
        assert began <= found.replace(tzinfo=UTC) <= datetime.now(UTC)


@pytest.mark.parametrize("is_nullable", [True, False])
def test_one_value_for_all_rows_of_a_unique_column_is_told_to_fail_where_there_are_two(is_nullable: bool) -> None:
    commands.makemigrations(tables=[thing().table])
    after = thing(int | None if is_nullable else int, {"unique": True})
    made = commands.makemigrations(tables=[after.table], default=() if is_nullable else ["thing.value=1"])
    told = (
        "thing.value is unique, and every row that exists gets the same value: that fails where there are two; make it "
        "nullable, fill it in a migration of its own, and let it be unique after that"
    )
    assert made.hints == (() if is_nullable else (told,))


@pytest.mark.parametrize(("annotation", "options", "text", "words"), REFUSED.values(), ids=REFUSED)
def test_an_answer_of_another_type_is_refused_with_what_one_looks_like(
    annotation: Any, options: dict[str, Any], text: str, words: str, tmp_path: Path
) -> None:
    commands.makemigrations(tables=[thing().table])
    with pytest.raises(MigrationError, match=f"no value for the column 'value'; give .*{words}"):
        commands.makemigrations(tables=[thing(annotation, options).table], default=[f"thing.value={text}"])
    assert len(list((tmp_path / "m").glob("*.py"))) == 1
