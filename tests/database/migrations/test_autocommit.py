"""Alembic's `autocommit_block`: a part of a migration that runs outside its transaction."""

from __future__ import annotations

from pathlib import Path

import pytest

from datalayer.errors import MigrationError
from datalayer.migrations import commands, config
from datalayer.migrations.lint import lint
from tests.database.migrations.files import python, rows, tables

UP = """    op.create_table("thing", sa.Column("id", types.BigInteger(), primary_key=True))
    with op.get_context().autocommit_block():
        op.execute("VACUUM")
        op.create_index("ix_thing", "thing", ["id"], postgresql_concurrently=True)
    op.execute("INSERT INTO thing VALUES (1)")"""
DOWN = """    op.drop_table("thing")"""


def test_its_statements_run_outside_the_transaction_and_the_rest_inside(migrations: Path) -> None:
    python(migrations, "0001_thing", None, UP, DOWN)
    assert commands.migrate().applied == ("0001_thing",)
    assert rows("SELECT id FROM thing") == [(1,)]
    assert [one.is_applied for one in commands.showmigrations()] == [True]
    commands.migrate("zero")
    assert tables() == []


def test_the_linter_knows_that_it_is_outside(migrations: Path) -> None:
    python(migrations, "0001_thing", None, UP, DOWN)
    history = config.history()
    assert lint(history.order[0], {}, "postgresql") == []


def test_what_came_before_it_stays_when_the_rest_fails_and_the_migration_is_not_recorded(migrations: Path) -> None:
    python(migrations, "0001_thing", None, UP + '\n    op.execute("NONSENSE")', DOWN)
    with pytest.raises(MigrationError, match=r"0001_thing.*what was done before the end of autocommit_block stays"):
        commands.migrate()
    assert tables() == ["thing"]
    assert rows("SELECT id FROM thing") == []
    assert [one.is_applied for one in commands.showmigrations()] == [False]


def test_its_sql_is_written_between_two_transactions(migrations: Path) -> None:
    python(migrations, "0001_thing", None, UP, DOWN)
    text = commands.sqlmigrate("0001")
    before, after = text.index("COMMIT"), text.rindex("BEGIN")
    assert before < text.index("VACUUM") < after < text.index("INSERT INTO thing")
