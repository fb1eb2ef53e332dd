"""A history in which plain SQL makes tables of models, and `makemigrations` goes on from what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from datalayer import CheckConstraint, Field, ForeignKey, Index, Mapped, Model, UniqueConstraint, conf
from datalayer._schema.table import TableSpec
from datalayer.errors import MigrationError
from datalayer.migrations import commands, config
from datalayer.migrations.drift import drift
from datalayer.models import registry
from tests.database.migrations.files import pair, python, rows, run, table, tables

ID = {"sqlite": "INTEGER NOT NULL PRIMARY KEY", "postgresql": "bigserial PRIMARY KEY"}


def models(*, has_pages: bool = False) -> list[TableSpec]:
    with registry.isolated():

        class Writer(Model):
            name: Mapped[str] = Field(max_length=50)

            class Meta:
                constraints = (UniqueConstraint("name", name="one name"),)

        class Novel(Model):
            title: Mapped[str] = Field(max_length=80, db_default="it's new")
            writer: ForeignKey[Writer | None] = ForeignKey(name="by", index=False)
            if has_pages:
                pages: Mapped[int | None] = Field(default=None)

            class Meta:
                constraints = (CheckConstraint('length("title") > 0 AND "title" <> \'x\'', name="has_title"),)
                indexes = (Index("-title", name="by_title"),)

        return registry.tables()


def sql(folder: Path) -> None:
    id_ = ID[config.url("default").backend]
    pair(folder, "0001_writer", f'CREATE TABLE "writer" (id {id_}, name VARCHAR(50) NOT NULL, '
         'CONSTRAINT "one name" UNIQUE (name))', "DROP TABLE writer")  # fmt: skip
    pair(
        folder,
        "0002_novel",
        f"CREATE TABLE IF NOT EXISTS novel (id {id_}, title VARCHAR(80) DEFAULT 'it''s new' NOT NULL, "
        "writer_id BIGINT CONSTRAINT by REFERENCES writer (id) ON DELETE CASCADE, "
        "CONSTRAINT has_title CHECK (length(title) > 0 AND title <> 'x'));\n"
        "CREATE INDEX by_title ON novel (title DESC)",
        "DROP TABLE novel",
    )


def test_what_sql_makes_is_not_made_again(migrations: Path) -> None:
    sql(migrations)
    with pytest.raises(MigrationError, match=r"table 'writer' is made by 0001_writer.*--adopt default"):
        commands.makemigrations(tables=models())
    assert len(list(migrations.glob("*.py"))) == 0


def test_tables_that_are_as_the_models_want_them_are_only_noted(migrations: Path) -> None:
    sql(migrations)
    commands.migrate()
    run("INSERT INTO writer (id, name) VALUES (1, 'Le Guin')", "INSERT INTO novel (id, writer_id) VALUES (1, 1)")
    made = commands.makemigrations(tables=models(), adopt="default")
    assert sorted(one for one in made.summaries if "pkey" not in one) == [  # PostgreSQL names primary keys otherwise
        "note table novel as plain SQL has made it",
        "note table writer as plain SQL has made it",
    ]
    assert not commands.makemigrations(tables=models()).has_changes
    assert commands.migrate().applied == (made.name,)
    assert rows("SELECT title FROM novel") == [("it's new",)]
    assert commands.revert().reverted == (made.name,)
    assert rows("SELECT title FROM novel") == [("it's new",)]
    commands.migrate("zero")
    assert commands.migrate().applied == ("0001_writer", "0002_novel", made.name)


def test_what_the_models_want_beyond_is_done(migrations: Path) -> None:
    sql(migrations)
    commands.migrate()
    run("INSERT INTO writer (id, name) VALUES (1, 'Le Guin')", "INSERT INTO novel (id, writer_id) VALUES (1, 1)")
    made = commands.makemigrations(tables=models(has_pages=True), adopt="default")
    assert made.summaries[-1] == "add column novel.pages"
    commands.migrate()
    assert rows("SELECT title, pages, writer_id FROM novel") == [("it's new", None, 1)]
    environment = config.environment("default")
    assert drift(environment, environment.applied(), None) == []
    commands.revert()
    assert rows("SELECT * FROM novel") == [(1, "it's new", 1)]


def test_a_column_that_sql_adds_later_is_noted(migrations: Path) -> None:
    first = commands.makemigrations(tables=models()).name
    commands.migrate()
    run("INSERT INTO novel (title) VALUES ('Tehanu')")
    pair(migrations, "0002_pages", "ALTER TABLE novel ADD COLUMN pages INTEGER", "ALTER TABLE novel DROP COLUMN pages")
    with pytest.raises(MigrationError, match=r"column 'novel\.pages' is made by 0002_pages"):
        commands.makemigrations(tables=models(has_pages=True))
    with pytest.raises(MigrationError, match="lacks 0002_pages; run datalayer migrate"):
        commands.makemigrations(tables=models(has_pages=True), adopt="default")
    commands.migrate()
    made = commands.makemigrations(tables=models(has_pages=True), adopt="default")
    assert made.summaries == ("note table novel as plain SQL has made it",)
    assert not commands.makemigrations(tables=models(has_pages=True)).has_changes
    commands.migrate()
    commands.migrate(first)
    assert rows("SELECT title FROM novel") == [("Tehanu",)]


def test_a_table_that_sql_dropped_is_forgotten(migrations: Path) -> None:
    python(migrations, "0001_old", None, *table("old"))
    pair(migrations, "0002_gone", "DROP TABLE old", "CREATE TABLE old (id INTEGER PRIMARY KEY)")
    commands.migrate()
    made = commands.makemigrations(tables=models(), adopt="default")
    assert made.summaries[0] == "note that plain SQL has dropped table old"
    commands.migrate()
    assert tables() == ["novel", "writer"]
    assert not commands.makemigrations(tables=models()).has_changes


def test_adopting_where_nothing_is_strange_changes_nothing(migrations: Path) -> None:
    commands.makemigrations(tables=models())
    commands.migrate()
    assert not commands.makemigrations(tables=models(), adopt="default").has_changes


def test_what_is_done_to_the_database_only_is_not_counted_on(migrations: Path) -> None:
    python(
        migrations,
        "0001_thing",
        None,
        "    from datalayer.migrations import separate\n"
        "    with separate.database_only():\n"
        '        op.create_table("hidden", sa.Column("id", types.BigInteger(), primary_key=True))\n'
        "    with separate.state_only():\n"
        '        op.create_table("ghost", sa.Column("id", types.BigInteger(), primary_key=True))\n'
        '        op.execute("NONSENSE")',
    )
    commands.migrate()
    assert tables() == ["hidden"]
    assert list(config.history().state()) == ["ghost"]
    sql_ = commands.sqlmigrate("0001")
    assert "hidden" in sql_
    assert "ghost" not in sql_


def test_a_table_without_a_key_cannot_be_adopted_and_says_why(migrations: Path) -> None:
    pair(migrations, "0001_writer", "CREATE TABLE writer (id BIGINT, name VARCHAR(50))")
    commands.migrate()
    with pytest.raises(MigrationError, match=r"table 'writer' cannot be adopted: .*no primary key"):
        commands.makemigrations(tables=models(), adopt="default")


def test_a_reference_without_a_name_comes_back_on_the_way_back(sqlite_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    with conf.override(databases={"default": {"url": sqlite_url}}, migrations=str(folder)):
        pair(
            folder,
            "0001_novel",
            "CREATE TABLE writer (id INTEGER PRIMARY KEY, name VARCHAR(50) NOT NULL UNIQUE);\n"
            "CREATE TABLE novel (id INTEGER PRIMARY KEY, title VARCHAR(80) DEFAULT 'it''s new' NOT NULL, "
            "writer_id INTEGER REFERENCES writer ON DELETE SET NULL)",
        )
        commands.migrate()
        run("INSERT INTO writer VALUES (1, 'Le Guin')", "INSERT INTO novel VALUES (1, 'Tehanu', 1)")
        commands.makemigrations(tables=models(), adopt="default")
        commands.migrate()
        keys = 'SELECT "table", "from", on_delete FROM pragma_foreign_key_list(\'novel\')'
        assert rows(keys) == [("writer", "writer_id", "CASCADE")]
        commands.revert()
        assert rows(keys) == [("writer", "writer_id", "SET NULL")]
        assert rows("SELECT title, writer_id FROM novel") == [("Tehanu", 1)]
