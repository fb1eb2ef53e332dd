"""Names with quotes, percent signs, colons, unicode and keywords in models, all the way through migrations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datalayer import (
    CASCADE,
    CheckConstraint,
    Field,
    ForeignKey,
    Index,
    ManyToMany,
    Mapped,
    Model,
    Sql,
    UniqueConstraint,
    conf,
    pools,
)
from datalayer.errors import ModelError
from datalayer.migrations import commands
from datalayer.models import registry
from tests.database.migrations.files import tables

NAMES = [
    "x'; DROP TABLE victim; --",
    '"""; raise SystemExit',
    "50%s %(name)s %%",
    "a:b ::c :colon ? $$d$$",
    "ORDER",
    "naïve ☃ {0} [x] `t` \\s /* c",
]


@pytest.fixture
def project(database_url: str, tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "migrations"
    with conf.override(databases={"default": {"url": database_url}}, migrations=str(made)), registry.isolated():
        yield made
        pools.close_all()
        pools.reset()


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def first(name: str) -> list[Any]:
    class Victim(Model):
        word: Mapped[str] = Field(max_length=20, column=name, unique=True, db_default="it's 5%s", comment=f"of {name}")
        number: Mapped[int] = Field(default=0, ge=0, column=f"n {name}"[:40])
        friends: ManyToMany[Victim] = ManyToMany(db_table=f"m {name}"[:40], symmetrical=False)

        class Meta:
            table = name
            comment = f"table {name}"
            indexes = (Index("word", "-number", name=f"i {name}"[:40]),)
            constraints = (
                UniqueConstraint("word", "number", name=f"u {name}"[:40]),
                CheckConstraint(f"{quoted(f'n {name}'[:40])} < 1000", name=f"c {name}"[:40]),
            )

    class Child(Model):
        parent: ForeignKey[Victim] = ForeignKey(on_delete=CASCADE, column=f"p {name}"[:40], related_name="children")

        class Meta:
            table = f"k {name}"[:40]

    return [Victim, Child]


def second(name: str) -> list[Any]:
    class Victim(Model):
        word: Mapped[str] = Field(max_length=40, column=name, db_default="other:x")
        extra: Mapped[str] = Field(column=f"e {name}"[:40], db_default=Sql("'%s'"))
        other: Mapped[int | None] = Field(default=None, column=f"o {name}"[:40], index=True)

        class Meta:
            table = name
            indexes = (Index("other", name=f"j {name}"[:40], condition=f"{quoted(name)} <> 'it''s 5%s'"),)

    class Child(Model):
        parent: ForeignKey[Victim] = ForeignKey(on_delete=CASCADE, column=f"p {name}"[:40], related_name="children")
        note: Mapped[str | None] = Field(default=None, column=f"q {name}"[:40])

        class Meta:
            table = f"k {name}"[:40]

    return [Victim, Child]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_an_attacker_go_through_migrations_and_back(project: Path, name: str) -> None:
    victim, child = first(name)
    made = commands.makemigrations()
    assert made.has_changes
    assert not commands.makemigrations().has_changes
    commands.migrate()
    assert name in tables()
    row = victim.objects.create(number=3)
    assert victim.objects.get(word="it's 5%s") == row
    row.friends.add(row)
    child.objects.create(parent=row)

    registry.clear()
    victim, child = second(name)
    made = commands.makemigrations(default=[])
    assert made.has_changes
    assert not commands.makemigrations().has_changes
    commands.migrate()
    (row,) = victim.objects.all()
    assert row.word == "it's 5%s"
    assert child.objects.get().parent == row
    victim.objects.create(other=1)
    assert victim.objects.get(other=1).word == "other:x"

    commands.migrate("zero")
    assert tables() == []
    assert commands.migrate().applied


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": "a\0b"}, "no zero byte"),
        ({"table": "x" * 64}, "of 64 bytes; PostgreSQL cuts names at 63"),
        ({"table": "ä" * 32}, "of 64 bytes"),
        ({"table": "sales.book"}, "the search_path of the database names 'sales'"),
        ({"indexes": (Index("word", name="i" * 64),)}, "the name 'i+' of 64 bytes"),
        ({"constraints": (CheckConstraint("1 = 1", name="c\0"),)}, "no zero byte"),
    ],
)
def test_names_no_database_takes_are_refused(options: dict[str, Any], message: str) -> None:
    class Odd(Model):
        word: Mapped[str]
        Meta = type("Meta", (), options)

    with pytest.raises(ModelError, match=message):
        registry.tables()


@pytest.mark.usefixtures("project")
def test_columns_no_database_takes_are_refused() -> None:
    class Odd(Model):
        word: Mapped[str] = Field(column="w" * 64)

    with pytest.raises(ModelError, match=r"the column 'w+' of 64 bytes"):
        registry.tables()
