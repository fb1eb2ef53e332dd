"""`--plan`: the operations of what would run, a line each, and nothing done."""

from __future__ import annotations

from pathlib import Path

import pytest

from datalayer.errors import MigrationError
from datalayer.migrations import commands
from tests.database.migrations.files import pair, python, table, tables

WIDE = """    with op.batch_alter_table("thing") as batch:
        batch.add_column(sa.Column("name", types.Text(), nullable=True))
    with op.batch_alter_table("thing") as batch:
        batch.alter_column("name", type_=types.String(40), nullable=False, server_default=types.sql("'?'"))
        batch.create_unique_constraint("uq_thing_name", ["name"])
    op.create_index("ix_thing_name", "thing", ["name"])
    op.alter_column("thing", "name", new_column_name="label")
    op.rename_table("thing", "lamp")"""
NARROW = """    op.rename_table("lamp", "thing")
    op.drop_index("ix_thing_name", table_name="thing")
    with op.batch_alter_table("thing") as batch:
        batch.drop_constraint("uq_thing_name", type_="unique")
        batch.drop_column("label")"""


def plan(*, back: bool = False) -> list[str]:
    return (commands.revert(None, plan=True) if back else commands.migrate(plan=True)).lines


def test_each_operation_of_what_would_run_is_a_line(migrations: Path) -> None:
    python(migrations, "0001_thing", None, *table("thing"))
    python(migrations, "0002_wide", "0001_thing", WIDE, NARROW)
    assert plan() == [
        "would apply 0001_thing",
        "  + create table thing",
        "would apply 0002_wide",
        "  + add column thing.name",
        "  ~ change column thing.name: TEXT becomes VARCHAR(40), must not be NULL, default '?'",
        "  + create constraint uq_thing_name of thing",
        "  + create index ix_thing_name of thing",
        "  ~ rename column thing.name to label",
        "  ~ rename table thing to lamp",
    ]
    assert tables() == []


def test_the_way_back_is_planned_too_and_one_that_is_missing_is_marked(migrations: Path) -> None:
    python(migrations, "0001_thing", None, *table("thing"))
    python(migrations, "0002_wide", "0001_thing", WIDE, NARROW)
    pair(migrations, "0003_rows", "INSERT INTO lamp (label) VALUES ('a')")
    commands.migrate()
    assert plan(back=True) == [
        "would revert 0003_rows (irreversible)",
        "would revert 0002_wide",
        "  ~ rename table lamp to thing",
        "  - drop index ix_thing_name of thing",
        "  - drop constraint uq_thing_name of thing",
        "  - drop column thing.label and its values",
        "would revert 0001_thing",
        "  - drop table thing and its rows",
    ]


def test_the_statements_of_plain_sql_are_shown_by_their_first_lines(migrations: Path) -> None:
    up = f"-- books\nCREATE TABLE book (\n  id INTEGER\n);\nINSERT INTO book\n VALUES (1); SELECT {'1 + ' * 40}1"
    pair(migrations, "0001_books", up, "DROP TABLE book")
    long = f"  > SELECT {'1 + ' * 40}"[:94].rstrip() + " ..."
    assert plan() == [
        "would apply 0001_books",
        "  > CREATE TABLE book ( ...",
        "  > INSERT INTO book ...",
        long,
    ]


def test_what_python_does_to_rows_is_said(migrations: Path) -> None:
    python(migrations, "0001_thing", None, *table("thing"))
    body = """    from datalayer.migrations import rows, separate, tables
    rows.insert(tables.thing, [{"id": 1}])
    for batch in rows.batches(tables.thing):
        raise ValueError(batch)
    import uuid
    op.execute("UPDATE thing SET id = id + 1; DELETE FROM thing")
    key = sa.cast(sa.literal(uuid.UUID(int=1), types.Uuid()), types.Text())
    rows.execute(tables.thing.delete().where(sa.cast(tables.thing.c.id, types.Text()) == key))
    op.get_bind().execute(sa.text("SELECT 1"))
    op.bulk_insert(tables.thing, [{"id": 1}, {"id": 2}])
    with separate.state_only():
        op.create_table("lamp", sa.Column("id", types.BigInteger(), primary_key=True))"""
    python(migrations, "0002_rows", "0001_thing", body)
    assert plan()[3:] == [
        "  > rows of thing",
        "  > UPDATE thing SET id = id + 1",
        "  > DELETE FROM thing",
        "  > DELETE FROM thing WHERE CAST(thing.id AS TEXT) = CAST(... AS TEXT)",
        "  > Python, which asks the database",
        "  + insert 2 rows into thing",
        "  + create table lamp (noted only)",
    ]


def test_operations_for_tables_in_use_are_lines_as_well(migrations: Path) -> None:
    python(migrations, "0001_thing", None, *table("thing"))
    body = """    from datalayer.migrations import online
    online.create_index("ix_thing", "thing", ["id"])
    online.rename_index("thing", "ix_thing", "ix_lamp")
    online.create_check("ck_thing", "thing", "id > 0")
    online.validate("thing", "ck_thing")
    online.drop_index("ix_lamp", "thing")"""
    python(migrations, "0002_online", "0001_thing", body)
    assert plan()[3:] == [
        "  + create index ix_thing of thing",
        "  ~ rename index ix_thing of thing to ix_lamp",
        "  + create constraint ck_thing of thing",
        "  > ALTER TABLE thing VALIDATE CONSTRAINT ck_thing",
        "  - drop index ix_lamp of thing",
    ]


def test_what_cannot_be_read_is_told_before_anything_is_planned(migrations: Path) -> None:
    python(migrations, "0001_thing", None, '    op.drop_column("thing", "name")')
    with pytest.raises(MigrationError, match="migration '0001_thing' cannot be read: no table 'thing'"):
        plan()


def test_a_check_for_what_is_left_names_migrations_alone(migrations: Path) -> None:
    python(migrations, "0001_thing", None, *table("thing"))
    assert commands.migrate(check=True).lines == ["would apply 0001_thing"]
