"""Migrations that change rows: tables as they were, in batches, forwards and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from datalayer.errors import MigrationError
from datalayer.migrations import commands
from datalayer.migrations.environment import Hooks
from tests.database.migrations.files import python, rows, run

TABLE = """    op.create_table(
        "book",
        sa.Column("id", types.BigInteger(), primary_key=True),
        sa.Column("title", types.String(50), nullable=True),
        sa.Column("price", types.Decimal(20, 2), nullable=True),
        sa.Column("made", types.DateTime(), nullable=True),
        sa.Column("key", types.Uuid(), nullable=True),
        sa.Column("extra", types.Json(), nullable=True),
    )"""
ADD = '    op.add_column("book", sa.Column("slug", types.String(50), nullable=True))'
FILL = """    from datalayer.migrations import rows, tables
    book = tables.book
    for batch in rows.batches(book, size=10):
        rows.update(book, [{"id": row.id, "slug": row.title.lower()} for row in batch])"""
EMPTY = """    from datalayer.migrations import rows, tables
    rows.execute(tables.book.update().values(slug=None))"""


@pytest.fixture
def filled(migrations: Path) -> Path:
    python(migrations, "0001_book", None, TABLE, '    op.drop_table("book")')
    commands.migrate()
    values = ", ".join(f"({number}, 'Title {number}')" for number in range(1, 26))
    run(f"INSERT INTO book (id, title) VALUES {values}")
    python(migrations, "0002_slug", "0001_book", ADD, '    op.drop_column("book", "slug")')
    python(migrations, "0003_fill", "0002_slug", FILL, EMPTY)
    return migrations


def test_rows_are_changed_in_batches_and_back(filled: Path) -> None:
    told: list[tuple[str, int, int]] = []
    commands.migrate(hooks=Hooks(on_rows=lambda *given: told.append(given)))
    assert told == [("book", 10, 25), ("book", 20, 25), ("book", 25, 25)]
    assert rows("SELECT slug FROM book WHERE id IN (1, 25) ORDER BY id") == [("title 1",), ("title 25",)]
    commands.revert()
    assert rows("SELECT count(slug) FROM book") == [(0,)]
    assert commands.migrate().applied == ("0003_fill",)


def test_later_changes_of_the_table_do_not_matter(filled: Path) -> None:
    python(filled, "0004_gone", "0003_fill", '    op.drop_column("book", "title")')
    assert commands.migrate().applied == ("0002_slug", "0003_fill", "0004_gone")


def test_values_are_those_of_models(filled: Path) -> None:
    up = """    import datetime, decimal, uuid
    from datalayer.migrations import rows, tables
    book = tables.book
    moment = datetime.datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=datetime.UTC)
    key = uuid.UUID("00000000-0000-4000-8000-000000000001")
    values = {"price": decimal.Decimal("12345678901234567.89"), "made": moment, "key": key, "extra": {"a": [1]}}
    rows.insert(book, [{"id": 99, "title": None, **values}])
    for row in rows.execute(book.select().where(book.c.key == key, book.c.made == moment)):
        assert row._mapping["id"] == 99
        for name, value in values.items():
            assert row._mapping[name] == value, (name, row._mapping[name])
        rows.update(book, [{"id": 99, "extra": None, "title": "found"}])"""
    python(filled, "0004_values", "0003_fill", up)
    commands.migrate()
    assert rows("SELECT title, extra FROM book WHERE id = 99") == [("found", None)]


def test_a_failing_batch_leaves_nothing(filled: Path) -> None:
    up = FILL + '\n        if batch[-1].id >= 20:\n            raise ValueError("enough")'
    python(filled, "0003_fill", "0002_slug", up)
    with pytest.raises(MigrationError, match="ValueError: enough"):
        commands.migrate()
    assert rows("SELECT count(slug) FROM book") == [(0,)]


def test_without_a_transaction_each_batch_stays(filled: Path) -> None:
    up = FILL + '\n        if batch[-1].id >= 20:\n            raise ValueError("enough")'
    python(filled, "0003_fill", "0002_slug", up)
    path = filled / "0003_fill.py"
    path.write_text(path.read_text().replace("down_revision", "atomic = False\ndown_revision"))
    with pytest.raises(MigrationError, match="ValueError: enough"):
        commands.migrate()
    assert rows("SELECT count(slug) FROM book") == [(20,)]
    path.write_text(path.read_text().replace(">= 20", ">= 2000"))
    assert commands.migrate().applied == ("0003_fill",)
    assert rows("SELECT count(slug) FROM book") == [(25,)]


def test_an_unknown_table_or_column_is_named_before_anything_runs(filled: Path) -> None:
    python(filled, "0004_bad", "0003_fill", "    from datalayer.migrations import tables\n    tables.boook")
    with pytest.raises(MigrationError, match=r"no table 'boook' at this point of the history.*did you mean 'book'"):
        commands.migrate()
    assert [one.is_applied for one in commands.showmigrations()] == [True, False, False, False]


def test_composite_keys_and_selects_come_in_batches(migrations: Path) -> None:
    table = """    op.create_table("pair", sa.Column("a", types.Integer(), primary_key=True),
        sa.Column("b", types.Text(), primary_key=True), sa.Column("n", types.Integer()))"""
    python(migrations, "0001_pair", None, table)
    commands.migrate()
    run("INSERT INTO pair VALUES (1, 'x', 0), (1, 'y', 0), (2, 'a', 0), (2, 'b', 5)")
    up = """    from datalayer.migrations import rows, tables
    pair = tables.pair
    for batch in rows.batches(sa.select(pair.c.a, pair.c.b).where(pair.c.n == 0), size=1):
        rows.update(pair, [{"a": row.a, "b": row.b, "n": 1} for row in batch])"""
    python(migrations, "0002_count", "0001_pair", up)
    commands.migrate()
    assert rows("SELECT sum(n), count(*) FROM pair") == [(8, 4)]


def test_the_sql_of_it_says_what_is_missing(filled: Path) -> None:
    assert "-- the rows of book are changed by Python" in commands.sqlmigrate("0003")
    assert "UPDATE book SET slug=" in commands.sqlmigrate("0003", backwards=True)


def test_an_update_of_rows_is_a_statement_for_each_in_the_sql_of_it(filled: Path) -> None:
    up = """    from datalayer.migrations import rows, tables
    rows.update(tables.book, [{"id": 1, "title": "it's"}, {"id": 2, "title": None}])"""
    python(filled, "0004_named", "0003_fill", up)
    lines = [line for line in commands.sqlmigrate("0004").splitlines() if line.startswith("UPDATE book")]
    assert lines == [
        "UPDATE book SET title='it''s' WHERE book.id = 1;",
        "UPDATE book SET title=NULL WHERE book.id = 2;",
    ]


def test_a_table_is_the_same_however_often_it_is_named(filled: Path) -> None:
    up = """    from datalayer.migrations import rows, tables
    rows.execute(tables.book.update().values(slug=tables.book.c.title + "!").where(tables.book.c.id == 1))"""
    python(filled, "0004_twice", "0003_fill", up)
    commands.migrate()
    assert rows("SELECT slug FROM book WHERE id = 1") == [("Title 1!",)]
