"""The SQL that is printed can be run by hand, both ways, and leads to the same as `migrate`."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import psycopg
import pytest

from datalayer.migrations import commands
from tests.database.migrations.files import pair, python, rows, run, tables
from tests.database.migrations.live import live_schema
from tests.database.migrations.test_drift import UP, found

MORE = """    with op.batch_alter_table("book") as batch:
        batch.alter_column("title", existing_type=types.String(50), type_=types.Text(), server_default=None)
        batch.add_column(sa.Column("note", types.String(20), server_default="50% :x $1", nullable=False))
        batch.create_check_constraint("ck_note", types.sql("\\"note\\" <> '100%'"))
    op.execute("UPDATE book SET note = 'a%b:c'")"""
LESS = """    with op.batch_alter_table("book") as batch:
        batch.drop_constraint("ck_note", type_="check")
        batch.drop_column("note")
        batch.alter_column("title", existing_type=types.Text(), type_=types.String(50), server_default="it's")"""
DROP = '    op.drop_table("book")\n    op.drop_table("author")'


@pytest.fixture
def history(migrations: Path) -> Path:
    python(migrations, "0001_book", None, UP, DROP)
    python(migrations, "0002_more", "0001_book", MORE, LESS)
    pair(migrations, "0003_sql", "CREATE TABLE extra (id INTEGER); INSERT INTO extra VALUES (1)", "DROP TABLE extra")
    return migrations


def by_hand(text: str, url: str) -> None:
    """Runs a script as the command line tools do."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            connection.executescript(text)
    else:
        with psycopg.connect(url, autocommit=True) as other:
            other.execute(text.encode())


def test_what_is_printed_does_what_migrate_does(history: Path, database_url: str) -> None:
    commands.migrate()
    meant = live_schema()
    commands.migrate("zero")
    by_hand(commands.migrate(sql=True).sql, database_url)
    assert live_schema() == meant
    assert [one.is_applied for one in commands.showmigrations()] == [True, True, True]
    assert commands.migrate().notes == ()
    by_hand(commands.migrate("zero", sql=True).sql, database_url)
    assert tables() == []
    assert [one.is_applied for one in commands.showmigrations()] == [False, False, False]


def test_the_sql_of_one_migration_goes_there_and_back_with_rows(history: Path, database_url: str) -> None:
    commands.migrate("0001")
    run("INSERT INTO author (id) VALUES (1)", "INSERT INTO book (id, title, price, author_id) VALUES (5, 'a', 2.50, 1)")
    by_hand(commands.sqlmigrate("0002"), database_url)
    assert found() == []
    assert rows("SELECT id, title, note FROM book") == [(5, "a", "a%b:c")]
    assert commands.migrate("0002").applied == ()
    by_hand(commands.sqlmigrate("0002", backwards=True), database_url)
    assert found() == []
    assert rows("SELECT id, title, author_id FROM book") == [(5, "a", 1)]
    assert commands.migrate("0001").reverted == ()
