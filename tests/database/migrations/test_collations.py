"""Collations of columns in migrations: made, changed, kept by a rebuild, compared with the database, inspected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from datalayer import conf
from datalayer._schema.field import ColumnType, FieldSpec, Kind
from datalayer._schema.table import IndexSpec, TableSpec
from datalayer.errors import DatalayerError
from datalayer.migrations import commands, config
from datalayer.migrations.drift import drift
from datalayer.migrations.inspecting import inspectdb
from tests.database.migrations.files import rows, run
from tests.database.migrations.test_inspecting import made

NONE, SOME = ("", ""), ("NOCASE", "C")


@pytest.fixture
def project(backend: str, database_url: str, tmp_path: Path) -> Iterator[str]:
    with conf.override(databases={"default": {"url": database_url}}, migrations=str(tmp_path / "migrations")):
        yield backend


def book(collation: tuple[str, str], *more: FieldSpec, length: int | None = 50) -> TableSpec:
    kind = Kind.TEXT if length is None else Kind.STRING
    fields = (
        FieldSpec("id", "id", ColumnType(Kind.BIG_INTEGER, int), is_primary_key=True, is_identity=True),
        FieldSpec("title", "title", ColumnType(kind, str, length=length, collation=collation), nullable=True),
        *more,
    )
    indexes = (IndexSpec("ix_book_title", ("title",)),)
    return TableSpec("book", model="Book", fields=fields, primary_key=("id",), indexes=indexes)


def migrated(table: TableSpec) -> str:
    text = commands.makemigrations(tables=[table]).text
    assert not commands.makemigrations(tables=[table]).has_changes
    commands.migrate()
    assert differences() == []
    return text


def differences() -> list[str]:
    environment = config.environment("default")
    return drift(environment, environment.applied(), None)


def collation(backend: str) -> str:
    """That of the column, as the database tells."""
    if backend == "sqlite":
        return str(rows("SELECT coll FROM pragma_index_xinfo('ix_book_title') WHERE name = 'title'")[0][0])
    query = "SELECT collname FROM pg_attribute JOIN pg_collation c ON c.oid = attcollation WHERE attname = 'title' "
    return str(rows(query + "AND attrelid = 'book'::regclass")[0][0])


def own(backend: str) -> str:
    return "BINARY" if backend == "sqlite" else "default"


def asked(backend: str) -> str:
    return SOME[backend != "sqlite"]


@pytest.mark.parametrize("length", [50, None])
def test_a_table_is_made_with_it(project: str, length: int | None) -> None:
    text = migrated(book(SOME, length=length))
    type_ = "types.String(50, " if length else "types.Text("
    assert f'{type_}collation={{"sqlite": "NOCASE", "postgresql": "C"}})' in text
    assert collation(project) == asked(project)


def test_it_comes_goes_and_comes_back_with_the_rows(project: str) -> None:
    migrated(book(NONE))
    run("INSERT INTO book (title) VALUES ('Solaris')")
    migrated(book(SOME))
    assert collation(project) == asked(project)
    commands.migrate("1")
    assert collation(project) == own(project)
    commands.migrate()
    migrated(book(NONE))
    assert collation(project) == own(project)
    assert rows("SELECT title FROM book") == [("Solaris",)]


def test_a_name_of_one_backend_changes_nothing_of_the_other(project: str) -> None:
    text = migrated(book(("NOCASE", "")))
    assert 'types.String(50, collation={"sqlite": "NOCASE"})' in text
    assert collation(project) == ("NOCASE" if project == "sqlite" else "default")


def test_a_column_that_is_added_has_it(project: str) -> None:
    migrated(book(NONE))
    extra = FieldSpec("extra", "extra", ColumnType(Kind.TEXT, str, collation=SOME), nullable=True)
    migrated(book(NONE, extra))
    run("INSERT INTO book (title, extra) VALUES ('x', 'b'), ('y', 'C')")
    assert rows("SELECT extra FROM book ORDER BY extra") == (
        [("b",), ("C",)] if project == "sqlite" else [("C",), ("b",)]
    )


def test_it_stays_when_something_else_of_the_table_changes(project: str) -> None:
    migrated(book(SOME))
    migrated(book(SOME, length=60))
    assert collation(project) == asked(project)


def test_check_tells_a_collation_that_the_database_has_otherwise(project: str) -> None:
    migrated(book(SOME))
    if project == "sqlite":
        run(
            "DROP TABLE book",
            "CREATE TABLE book (id INTEGER CONSTRAINT pk_book PRIMARY KEY AUTOINCREMENT, title VARCHAR(50))",
        )
        run("CREATE INDEX ix_book_title ON book (title)")
    else:
        run("ALTER TABLE book ALTER COLUMN title TYPE VARCHAR(50)")
    kind = "VARCHAR(50)"
    assert (
        f"column 'book.title' is {kind!r} in the database and {f'{kind} COLLATE {asked(project)}'!r} by the migrations"
        in (differences())
    )


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_one_that_sql_gave_is_kept_by_a_rebuild_and_told_by_check(project: str) -> None:
    migrated(book(NONE))
    run(
        "DROP TABLE book",
        'CREATE TABLE "book" (id INTEGER PRIMARY KEY AUTOINCREMENT, title VARCHAR(50) COLLATE nocase)',
    )
    run("CREATE INDEX ix_book_title ON book (title)")
    assert any("'VARCHAR(50) COLLATE NOCASE' in the database" in one for one in differences())
    commands.makemigrations(tables=[book(NONE, length=60)])
    commands.migrate()
    assert collation(project).upper() == "NOCASE"
    migrated(book(("NOCASE", ""), length=60))  # until the model says it too


def test_one_that_the_database_lacks_stops_the_migration(project: str) -> None:
    commands.makemigrations(tables=[book(('no"where', 'no"where'))])
    with pytest.raises(DatalayerError, match='no"where') as caught:
        commands.migrate()
    assert "BINARY, NOCASE and RTRIM" in str(caught.value) or "pg_collation" in str(caught.value)


def test_inspectdb_writes_it(project: str) -> None:
    name = asked(project)
    run(f'CREATE TABLE a (id varchar(9) COLLATE "{name}" NOT NULL PRIMARY KEY, b text COLLATE "{name}")')
    text = inspectdb(["a"])
    assert f'b: Mapped[str | None] = Field(collation="{name}", default=None)' in text
    assert f'id: Mapped[str] = PrimaryKey(max_length=9, collation="{name}")' in text
    assert made(text) == [], text
