"""Conditions that are no SQL in models are SQL in migrations, the same at every look, and in the database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from datalayer import CheckConstraint, F, Field, Index, Mapped, Model, Q, UniqueConstraint
from datalayer import functions as fn
from datalayer.migrations import commands
from datalayer.models import registry
from tests.database.migrations.test_drift import found


@pytest.fixture(autouse=True)
def isolated() -> Iterator[None]:
    with registry.isolated():
        yield


def stock(*given: Any, by: Any = (), named: str = "kept") -> Any:
    class Stock(Model):
        name: Mapped[str] = Field(max_length=20)
        kept: Mapped[int] = Field(column=named)
        price: Mapped[Decimal] = Field(max_digits=8, decimal_places=2)
        wide: Mapped[Decimal] = Field(max_digits=30, decimal_places=2)
        is_open: Mapped[bool] = Field(default=True)
        day: Mapped[date | None] = Field(default=None)
        seen: Mapped[datetime | None] = Field(default=None)
        tags: Mapped[list[str]] = Field(default_factory=list)
        more: Mapped[dict[str, int]] = Field(default_factory=dict)

        class Meta:
            constraints = given
            indexes = by

    return Stock


EVERY = (
    CheckConstraint(Q(kept__gte=0) & ~Q(price=0), name="a"),
    CheckConstraint(F("price") * 2 <= F("wide"), name="b"),
    CheckConstraint(Q(name__in=["a", "it's 100%"]) | Q(name__icontains="x_"), name="c"),
    CheckConstraint(Q(day__year__gte=2020) | Q(day__isnull=True), name="d"),
    CheckConstraint(Q(seen__gte=datetime(2020, 1, 1, tzinfo=UTC)) ^ Q(is_open=True), name="e"),
    CheckConstraint(Q(tags__contains=["x"]) | Q(more__a__gt=1) | Q(more__has_key="a\\'\":b"), name="f"),
    CheckConstraint(fn.Length(fn.Upper("name")) < 9, name="g"),
    CheckConstraint(Q(wide__range=(Decimal("1.5"), Decimal(10**20))), name="h"),
    CheckConstraint(Q(name__regex=r"^\w+:%$") | Q(Q(name=F("kept")) if False else Q(kept=3)), name="i"),
    UniqueConstraint("name", condition=Q(is_open=True), name="j"),
    UniqueConstraint("name", "day", condition=Q(name__istartswith="q"), name="k"),
)
INDEXES = (Index("day", condition=Q(kept__gt=0)), Index("name", condition=Q(seen__lt=datetime(2020, 1, 1, tzinfo=UTC))))


def test_the_second_look_finds_nothing_and_the_database_agrees(migrations: Path) -> None:
    made = stock(*EVERY, by=INDEXES)
    commands.makemigrations(tables=[made.table])
    commands.migrate()
    assert not commands.makemigrations(tables=[made.table]).has_changes
    assert found() == []
    commands.revert()


def test_a_migration_has_the_condition_as_sql(migrations: Path) -> None:
    made = stock(EVERY[0], EVERY[-2])
    (written,) = commands.makemigrations(tables=[made.table]).paths
    text = written.read_text("utf-8")
    assert """sa.CheckConstraint(types.sql('("kept" >= 0) AND NOT ("price" = """ in text or "sqlite=" in text
    assert """types.sql(sqlite='"is_open" = 1', postgresql='"is_open" = true')""" in text


def test_a_changed_condition_is_a_change_and_the_same_in_other_words_is_none(migrations: Path) -> None:
    commands.makemigrations(tables=[stock(CheckConstraint('"kept" > 0', name="a")).table])
    commands.migrate()
    registry.clear()
    assert not commands.makemigrations(tables=[stock(CheckConstraint(Q(kept__gt=0), name="a")).table]).has_changes
    registry.clear()
    assert commands.makemigrations(tables=[stock(CheckConstraint(Q(kept__gt=1), name="a")).table]).has_changes
    commands.migrate()
    assert found() == []


def test_a_renamed_column_takes_its_conditions_along(migrations: Path) -> None:
    checks = (CheckConstraint(Q(kept__gte=0), name="a"), UniqueConstraint("name", condition=Q(kept__gt=3), name="b"))
    commands.makemigrations(tables=[stock(*checks).table])
    commands.migrate()
    registry.clear()
    made = stock(*checks, named="in_store")
    commands.makemigrations(tables=[made.table], rename=["stock.kept:stock.in_store"])
    commands.migrate()
    assert found() == []
    assert not commands.makemigrations(tables=[made.table]).has_changes
