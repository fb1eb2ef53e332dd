"""Foreign keys of tables that come or go while what they refer to changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from datalayer._schema.field import ColumnType, FieldSpec, Kind
from datalayer._schema.table import ForeignKeySpec, TableSpec, UniqueSpec
from datalayer.migrations import commands
from tests.database.migrations.files import rows, run

BIG = ColumnType(Kind.BIG_INTEGER, int)
ID = FieldSpec("id", "id", BIG, is_primary_key=True, is_identity=True)
CODE = FieldSpec("code", "code", ColumnType(Kind.STRING, str, length=20), nullable=True)


def author(*fields: FieldSpec, unique: str | None = None) -> TableSpec:
    held = (UniqueSpec(unique, ("code",)),) if unique else ()
    return TableSpec("author", model="Author", fields=(ID, *fields), primary_key=("id",), unique=held)


def book(code: FieldSpec = CODE) -> TableSpec:
    return TableSpec(
        "book",
        model="Book",
        fields=(ID, replace(code, name="author_code", column="author_code")),
        primary_key=("id",),
        foreign_keys=(ForeignKeySpec("fk_book_author_code", ("author_code",), "author", ("code",)),),
    )


LONGER = replace(CODE, type=ColumnType(Kind.INTEGER, int))
CHANGES = {
    "a column that is new": ([author()], [author(CODE, unique="uq_code"), book()]),
    "a constraint that is new": ([author(CODE)], [author(CODE, unique="uq_code"), book()]),
    "a constraint that is another": (
        [author(CODE, unique="uq_code"), book()],
        [author(replace(CODE, nullable=False), unique="uq_code")],
    ),
    "a type that changes": (
        [author(CODE, unique="uq_code")],
        [author(LONGER, unique="uq_code"), book(LONGER)],
    ),
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("turned", [False, True], ids=["the table comes", "the table goes"])
def test_a_table_comes_or_goes_with_its_key_while_its_target_gets(migrations: Path, what: str, *, turned: bool) -> None:
    before, after = reversed(CHANGES[what]) if turned else CHANGES[what]
    commands.makemigrations(tables=before)
    commands.migrate()
    fill(before)
    name = commands.makemigrations(tables=after, default=["author.code=7"] if needs_value(after) else []).name
    for _ in range(2):
        assert commands.migrate().applied == (name,)
        assert rows("SELECT id FROM author") == [(1,)]
        assert commands.migrate("0001").reverted == (name,)
    assert not commands.makemigrations(tables=after).has_changes


NUMBER = replace(CODE, name="number", column="number")


def test_a_key_stays_while_something_else_of_its_target_is_unique_no_more(migrations: Path) -> None:
    target = author(CODE, NUMBER, unique="uq_code")
    held = (UniqueSpec("uq_code", ("code",)), UniqueSpec("uq_number", ("number",)))
    also = TableSpec("author", model="Author", fields=(ID, CODE, NUMBER), primary_key=("id",), unique=held)
    commands.makemigrations(tables=[also, book()])
    changed = commands.makemigrations(tables=[target, book()])
    assert "uq_number" in changed.text
    assert "foreignkey" not in changed.text
    commands.migrate()
    assert commands.migrate("0001").reverted == (changed.name,)


def test_a_table_that_goes_takes_its_key_along(migrations: Path) -> None:
    commands.makemigrations(tables=[author(CODE, unique="uq_code")])
    changed = commands.makemigrations(tables=[author(CODE, unique="uq_code"), book()])
    assert "drop_table" in changed.text
    assert "drop_constraint" not in changed.text
    commands.migrate()
    assert commands.migrate("0001").reverted == (changed.name,)


def fill(tables: list[TableSpec]) -> None:
    run("INSERT INTO author (id) VALUES (1)" if "code" not in tables[0].fields else "INSERT INTO author VALUES (1, 7)")
    if len(tables) > 1:
        run("INSERT INTO book (id, author_code) VALUES (3, 7)")


def needs_value(tables: list[TableSpec]) -> bool:
    return any(one.name == "code" and not one.nullable for one in tables[0].fields.values())
