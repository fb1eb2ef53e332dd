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


EVERY = """    import datetime, decimal, ipaddress, uuid
    from datalayer import Range
    from datalayer.migrations import rows, tables
    op.create_table("every", sa.Column("id", types.Uuid(), primary_key=True),
        sa.Column("data", types.Json()),
        sa.Column("span", types.Duration()),
        sa.Column("at", types.DateTime()),
        sa.Column("there", types.NaiveDateTime()),
        sa.Column("day", types.Date()),
        sa.Column("hour", types.Time()),
        sa.Column("price", types.Decimal(9, 2)),
        sa.Column("sold", types.Boolean()),
        sa.Column("raw", types.Bytes()),
        sa.Column("tags", types.Array(types.Text())),
        sa.Column("pages", types.Range(types.Integer())),
        sa.Column("host", types.Inet()),
        sa.Column("name", types.Text()))
    every, key = tables.every, uuid.UUID(int=7)
    moment = datetime.datetime(2024, 5, 6, 7, 8, 9, 10)
    rows.insert(every, [{"id": key, "data": {"a": ["it's", 1]}, "span": datetime.timedelta(days=1, microseconds=5),
        "at": moment.replace(tzinfo=datetime.UTC), "there": moment, "day": moment.date(), "hour": moment.time(),
        "price": decimal.Decimal("1234567.89"), "sold": True, "raw": b"a'\\x00", "tags": ["it's", "a,b"],
        "pages": Range(1, 5), "host": ipaddress.ip_address("10.0.0.1"), "name": "50% :x ?"}])
    rows.execute(every.update().values(name=every.c.name + "!").where(
        every.c.id == key, every.c.at <= moment.replace(tzinfo=datetime.UTC),
        every.c.span > datetime.timedelta(hours=1), every.c.day.in_([moment.date()]), every.c.sold, every.c.price > 1))
    rows.update(every, [{"id": key, "span": datetime.timedelta(2), "tags": ["new"]}])
    op.execute(every.update().values(host=None).where(every.c.span < datetime.timedelta(1)))"""


def test_values_of_every_type_are_written_as_migrate_writes_them(migrations: Path, database_url: str) -> None:
    python(migrations, "0001_every", None, EVERY, '    op.drop_table("every")')
    assert commands.check(tags=("migrations", "dangers", "database")).lines == [
        "note (pending): database 'default' lacks 0001_every; run datalayer migrate"
    ]
    commands.migrate()
    meant = rows("SELECT * FROM every")
    assert meant[0][-1] == "50% :x ?!"
    commands.migrate("zero")
    by_hand(commands.migrate(sql=True).sql, database_url)
    assert rows("SELECT * FROM every") == meant


def test_rows_that_core_changes_under_a_lock_are_a_danger(migrations: Path, backend: str) -> None:
    python(migrations, "0001_every", None, EVERY)
    commands.migrate()
    change = """    import uuid
    from datalayer.migrations import rows, tables
    op.add_column("every", sa.Column("more", types.Text()))
    rows.execute(tables.every.update().values(more="x").where(tables.every.c.id != uuid.UUID(int=3)))"""
    python(migrations, "0002_more", "0001_every", change)
    codes = [finding.code for finding in commands.check(tags=("dangers",)).findings]
    assert codes == (["M113"] if backend == "postgresql" else [])
