"""Migrations made from tables, applied and reverted with rows in them, on both backends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from datalayer import conf
from datalayer._schema.field import ColumnType, DatabaseDefault, FieldSpec, Kind
from datalayer._schema.table import CheckSpec, ForeignKeySpec, IndexSpec, TableSpec, UniqueSpec
from datalayer.errors import MigrationError, UnansweredQuestion
from datalayer.migrations import commands, config

BIG = ColumnType(Kind.BIG_INTEGER, int)


def number(name: str = "id") -> FieldSpec:
    return FieldSpec(name, name, BIG, is_primary_key=True, is_identity=True)


def text(name: str, length: int = 50, **options: Any) -> FieldSpec:
    return FieldSpec(name, name, ColumnType(Kind.STRING, str, length=length), **options)


def author(*extra: FieldSpec, **options: Any) -> TableSpec:
    fields = (number(), text("name"), *extra)
    return TableSpec("author", model="Author", fields=fields, primary_key=("id",), **options)


def book(*extra: FieldSpec, on_delete: Any = "CASCADE", **options: Any) -> TableSpec:
    return TableSpec(
        "book",
        model="Book",
        fields=(number(), text("title"), FieldSpec("author_id", "author_id", BIG), *extra),
        primary_key=("id",),
        foreign_keys=(ForeignKeySpec("fk_book_author_id", ("author_id",), "author", ("id",), on_delete),),
        **{"indexes": (IndexSpec("ix_book_author_id", ("author_id",)),), **options},
    )


def rows(query: str) -> list[tuple[Any, ...]]:
    with config.environment("default").connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def run(*statements: str) -> None:
    with config.environment("default").connect() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
        connection.commit()


FILL = (
    "INSERT INTO author (id, name) VALUES (1, 'Le Guin'), (2, 'Lem')",
    "INSERT INTO book (id, title, author_id) VALUES (1, 'Solaris', 2), (7, 'Roke', 1)",
)


@pytest.fixture
def project(backend: str, database_url: str, tmp_path: Path) -> Iterator[str]:
    with conf.override(databases={"default": {"url": database_url}}, migrations=str(tmp_path / "migrations")):
        yield backend


def made(*tables: TableSpec, **options: Any) -> str:
    result = commands.makemigrations(tables=tables, **options)
    assert result.name is not None
    again = commands.makemigrations(tables=tables)
    assert not again.has_changes, again.text
    return result.name


def test_tables_are_created_and_dropped(project: str) -> None:
    assert made(author(), book()) == "0001_initial"
    assert commands.migrate().applied == ("0001_initial",)
    run(*FILL)
    assert rows("SELECT count(*) FROM book") == [(2,)]
    assert commands.migrate("zero").reverted == ("0001_initial",)
    with pytest.raises(sa.exc.DBAPIError):
        rows("SELECT * FROM book")
    assert commands.migrate().applied == ("0001_initial",)


CHANGES: dict[str, tuple[tuple[TableSpec, ...], dict[str, Any]]] = {
    "column": ((author(), book(text("note", nullable=True))), {}),
    "not null column": ((author(), book(text("note"))), {"default": ["book.note=it's 100% new"]}),
    "database default": ((author(), book(text("note", db_default=DatabaseDefault(literal="x%y")))), {}),
    "expression default": (
        (
            author(),
            book(
                FieldSpec(
                    "made", "made", ColumnType(Kind.DATETIME), db_default=DatabaseDefault(sql="CURRENT_TIMESTAMP")
                )
            ),
        ),
        {},
    ),
    "index": ((author(), book(indexes=(IndexSpec("ix_book_title", ("-title",), "\"title\" LIKE 'S%'"),))), {}),
    "unique": ((author(unique=(UniqueSpec("uq_author_name", ("name",)),)), book()), {}),
    "partial unique": ((author(unique=(UniqueSpec("uq_author_name", ("name",), '"id" > 0'),)), book()), {}),
    "check": ((author(), book(checks=(CheckSpec("ck_book_title", "\"title\" <> '100%'"),))), {}),
    "on delete": ((author(), book(on_delete="RESTRICT")), {}),
    "drop table": ((author(),), {}),
    "rename column": (
        (
            TableSpec(
                "author",
                model="Author",
                fields=(number(), text("full_name")),
                primary_key=("id",),
            ),
            book(),
        ),
        {"rename": ["author.name:full_name"]},
    ),
    "type": (
        (
            author(),
            TableSpec(
                "book",
                model="Book",
                fields=(
                    number(),
                    FieldSpec("title", "title", ColumnType(Kind.TEXT)),
                    FieldSpec("author_id", "author_id", BIG, nullable=True),
                ),
                primary_key=("id",),
                foreign_keys=(ForeignKeySpec("fk_book_author_id", ("author_id",), "author", ("id",), "SET NULL"),),
            ),
        ),
        {},
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_goes_forwards_and_back_with_rows(project: str, what: str) -> None:
    made(author(), book())
    commands.migrate()
    run(*FILL)
    tables, options = CHANGES[what]
    name = made(*tables, **options)
    for _ in range(2):
        assert commands.migrate().applied == (name,)
        if what != "drop table":
            assert rows("SELECT id, title, author_id FROM book ORDER BY id") == [(1, "Solaris", 2), (7, "Roke", 1)]
        assert commands.migrate("0001").reverted == (name,)
        assert rows("SELECT id, name FROM author ORDER BY id") == [(1, "Le Guin"), (2, "Lem")]


def test_tables_in_a_circle(project: str) -> None:
    best = ForeignKeySpec("fk_author_best", ("best_id",), "book", ("id",), "SET NULL")
    one = author(FieldSpec("best_id", "best_id", BIG, nullable=True), foreign_keys=(best,))
    made(one, book())
    commands.migrate()
    run(*FILL, "UPDATE author SET best_id = 7 WHERE id = 1")
    commands.migrate("zero")


def test_not_null_without_a_value_is_a_question(project: str) -> None:
    made(author(), book())
    with pytest.raises(UnansweredQuestion, match=r"--default book\.note=VALUE"):
        commands.makemigrations(tables=[author(), book(text("note"))])


def test_a_failing_migration_leaves_nothing(project: str) -> None:
    made(author(), book())
    commands.migrate()
    run(*FILL)
    made(author(text("note", nullable=True)), book(unique=(UniqueSpec("uq_book_all", ("title",)),)))
    run("UPDATE book SET title = 'same'")
    with pytest.raises(MigrationError, match="nothing of it was applied"):
        commands.migrate()
    assert rows("SELECT version_num FROM alembic_version") == [("0001_initial",)]
    with pytest.raises(sa.exc.DBAPIError):
        rows("SELECT note FROM author")


def test_plan_check_fake_and_sql_run_nothing(project: str) -> None:
    made(author(), book())
    assert commands.migrate(check=True).exit_code == 1
    assert [str(step) for step in commands.migrate(plan=True).pending] == ["apply 0001_initial"]
    assert "CREATE TABLE author" in commands.migrate(sql=True).sql
    assert [shown.is_applied for shown in commands.showmigrations()] == [False]
    assert commands.migrate(fake=True).applied == ("0001_initial",)
    assert [shown.is_applied for shown in commands.showmigrations()] == [True]
    with pytest.raises(sa.exc.DBAPIError):
        rows("SELECT * FROM book")


def test_sqlmigrate_prints_both_ways(project: str) -> None:
    made(author(), book())
    assert "CREATE TABLE book" in commands.sqlmigrate("1")
    assert "DROP TABLE book" in commands.sqlmigrate("0001", backwards=True)


def test_an_unknown_target_names_near_ones(project: str) -> None:
    made(author(), book())
    with pytest.raises(MigrationError, match="did you mean '0001_initial'"):
        commands.migrate("0001_inital")


def status(*choices: str, name: str = "status") -> tuple[FieldSpec, CheckSpec]:
    words = ", ".join(f"'{choice}'" for choice in choices)
    longest = max(map(len, choices))
    field = FieldSpec(name, name, ColumnType(Kind.ENUM, str, length=longest, choices=choices))
    return field, CheckSpec(f"ck_book_{name}_choices", f'"{name}" IN ({words})')


def with_status(*choices: str, **options: str) -> tuple[TableSpec, TableSpec]:
    field, check = status(*choices, **options)
    return author(), book(field, checks=(check,))


def filled_status(*choices: str) -> None:
    made(*with_status(*choices))
    commands.migrate()
    run(
        FILL[0],
        f"INSERT INTO book (id, title, author_id, status) VALUES (1, 'Solaris', 2, '{choices[0]}'), "
        f"(7, 'Roke', 1, '{choices[1]}')",
    )


STATUS = "SELECT status FROM book ORDER BY id"


def test_values_of_an_enum_are_added(project: str) -> None:
    filled_status("new", "sold")
    made(*with_status("new", "sold", "returned"))
    commands.migrate()
    run("UPDATE book SET status = 'returned' WHERE id = 1")
    with pytest.raises(MigrationError, match="nothing of it was taken back"):
        commands.migrate("0001")  # a row has it: nothing may be lost in silence
    run("UPDATE book SET status = 'new' WHERE id = 1")
    commands.migrate("0001")
    assert rows(STATUS) == [("new",), ("sold",)]


def test_a_value_of_an_enum_that_is_gone_stops_at_rows_that_have_it(project: str) -> None:
    filled_status("new", "sold")
    found = commands.makemigrations(tables=with_status("sold", "returned"))
    assert "rows that have book.status.new would stop this migration" in found.hints[0]
    assert "--rename book.status.new:returned" in found.hints[0]
    with pytest.raises(MigrationError, match="nothing of it was applied"):
        commands.migrate()
    run("UPDATE book SET status = 'sold'")
    commands.migrate()
    assert rows(STATUS) == [("sold",), ("sold",)]


def test_rows_get_a_value_that_only_the_new_check_allows(project: str) -> None:
    field, check = status("new", "sold")
    made(author(), book(replace(field, nullable=True), checks=(check,)))
    commands.migrate()
    run(*FILL)
    field, check = status("new", "sold", "gone")
    made(author(), book(replace(field, db_default=DatabaseDefault(literal="gone")), checks=(check,)))
    commands.migrate()
    assert rows(STATUS) == [("gone",), ("gone",)]


def test_values_of_an_enum_are_renamed_with_their_rows(project: str) -> None:
    filled_status("new", "sold")
    changed = with_status("fresh from the press", "sold")
    made(*changed, rename=["book.status.new:fresh from the press"])
    for _ in range(2):
        commands.migrate()
        assert rows(STATUS) == [("fresh from the press",), ("sold",)]
        commands.migrate("0001")
        assert rows(STATUS) == [("new",), ("sold",)]


def test_rows_of_a_value_that_is_gone_may_join_another(project: str) -> None:
    filled_status("new", "sold")
    made(*with_status("sold"), rename=["book.status.new:sold"])
    commands.migrate()
    assert rows(STATUS) == [("sold",), ("sold",)]
    commands.migrate("0001")
    assert rows(STATUS) == [("sold",), ("sold",)]


@pytest.mark.parametrize("said", ["book.status.nwe:fresh", "book.status.new:frsh", "book.state.new:fresh"])
def test_a_value_that_does_not_fit_is_refused(project: str, said: str) -> None:
    made(*with_status("new", "sold"))
    with pytest.raises(MigrationError, match=r"the values that are gone are"):
        commands.makemigrations(tables=with_status("fresh", "sold"), rename=[said])


def test_a_column_and_its_values_are_renamed_at_once(project: str) -> None:
    filled_status("new", "sold")
    changed = with_status("fresh", "sold", name="state")
    made(*changed, rename=["book.status:state", "book.status.new:fresh"])
    commands.migrate()
    assert rows("SELECT state FROM book ORDER BY id") == [("fresh",), ("sold",)]
    commands.migrate("0001")
    assert rows(STATUS) == [("new",), ("sold",)]


def test_a_renamed_table_keeps_its_indexes_and_constraints_under_their_new_names(project: str) -> None:
    made(author(), book(unique=(UniqueSpec("uq_book_title", ("title",)),)))
    commands.migrate()
    run(*FILL)
    volume = TableSpec(
        "volume",
        model="Volume",
        fields=tuple(book().fields.values()),
        primary_key=("id",),
        unique=(UniqueSpec("uq_volume_title", ("title",)),),
        indexes=(IndexSpec("ix_volume_author_id", ("author_id",)),),
        foreign_keys=(ForeignKeySpec("fk_volume_author_id", ("author_id",), "author", ("id",), "CASCADE"),),
    )
    found = commands.makemigrations(tables=[author(), volume], rename=["book:volume"])
    assert "drop" not in found.text
    assert "create" not in found.text
    commands.migrate()
    assert rows("SELECT title FROM volume ORDER BY id") == [("Solaris",), ("Roke",)]
    with pytest.raises(sa.exc.IntegrityError, match=r"uq_volume_title|volume\.title"):
        run("INSERT INTO volume (id, title, author_id) VALUES (9, 'Roke', 1)")
    commands.migrate("0001")
    assert rows("SELECT title FROM book ORDER BY id") == [("Solaris",), ("Roke",)]


ALIKE = (UniqueSpec("one_note", ("note", "name"), nulls_distinct=False),)
NOTED = "INSERT INTO author (name) VALUES ('Ada')"


def with_note(name: str = "note", **options: Any) -> TableSpec:
    return author(text(name, nullable=True), **options)


def refuses_twins() -> None:
    run("DELETE FROM author", NOTED)
    with pytest.raises(sa.exc.IntegrityError):
        run(NOTED)


def takes_twins() -> None:
    run("DELETE FROM author", NOTED, NOTED)
    run("DELETE FROM author")


def drift() -> list[str]:
    return [one.message for one in commands.check(tags=("schema",)) if one.code == "schema"]


def test_nulls_that_are_alike_are_made_with_a_table(project: str) -> None:
    made(with_note(unique=ALIKE))
    commands.migrate()
    refuses_twins()
    assert drift() == []
    commands.migrate("zero")


def test_nulls_that_are_alike_come_go_and_follow_a_column(project: str) -> None:
    made(with_note())
    made(with_note(unique=ALIKE))
    made(with_note("memo", unique=(replace(ALIKE[0], fields=("memo", "name")),)), rename=["author.note:memo"])
    made(
        author(
            text("memo", nullable=True),
            text("more", nullable=True),
            unique=(replace(ALIKE[0], fields=("memo", "name")),),
        )
    )
    for target, check in (("0001", takes_twins), ("0003", refuses_twins), ("0004", refuses_twins)):
        commands.migrate(target)
        check()
        assert drift() == []
    commands.migrate("0001")
    takes_twins()


def test_a_unique_index_whose_nulls_are_alike_is_made_and_dropped(project: str) -> None:
    some = UniqueSpec("some_note", ("note",), condition="name <> 'Lem'", nulls_distinct=False)
    made(with_note())
    made(with_note(unique=(some,)))
    commands.migrate()
    refuses_twins()
    assert drift() == []
    commands.migrate("0001")
    takes_twins()
    assert drift() == []
