"""A statement that takes long is told while it runs: which one, since when, how far, and whom it waits for."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from datalayer.migrations import commands, watching
from datalayer.migrations.environment import Hooks
from datalayer.migrations.watching import Lasting
from tests.database.migrations.files import pair, python, run, table

INDEX = '    from datalayer.migrations import online\n    online.create_index("ix_thing", "thing", ["id"])'
SOMEBODY = r"process (\d+), role \w+, somebody, idle in transaction since [-\d]+ [:\d]+ UTC"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BETWEEN_LOOKS", 0.01)


@pytest.fixture
def thing(migrations: Path) -> Path:
    python(migrations, "0001_thing", None, *table("thing"))
    commands.migrate()
    return migrations


def writing(url: str) -> Callable[[], None]:
    """Somebody writes a row of `thing`, until what is returned is called; from any thread."""
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
        file.execute("BEGIN IMMEDIATE")
        return file.close
    server = psycopg.connect(url, application_name="somebody")
    server.execute("INSERT INTO thing VALUES (1)")
    return server.close


def migrated(release: Callable[[], None], is_it: Callable[[Lasting], object]) -> list[Lasting | None]:
    """What is told while it migrates, from the first on that is what the test is about: then the other one ends."""
    told: list[Lasting | None] = []

    def on_statement(lasting: Lasting | None) -> None:
        if told or (lasting is not None and is_it(lasting)):  # on a busy machine any statement may take long
            told.append(lasting)
            release()

    try:
        commands.migrate(hooks=Hooks(on_statement=on_statement))
    finally:
        release()
    return told


def test_a_statement_that_waits_for_somebody_is_told_with_whom_and_then_that_it_has_ended(
    thing: Path, database_url: str, backend: str
) -> None:
    pair(thing, "0002_more", "ALTER TABLE thing\n  ADD COLUMN name TEXT")
    told = migrated(writing(database_url), lambda one: one.waits_for or one.text == "BEGIN IMMEDIATE")
    first = told[0]
    assert first is not None
    assert first.seconds > 0
    assert told[-1] is None
    if backend == "sqlite":
        assert (first.text, first.phase, first.waits_for) == ("BEGIN IMMEDIATE", "", "")
    else:
        assert (first.text, first.phase) == ("ALTER TABLE thing ADD COLUMN name TEXT", "")
        assert re.fullmatch(rf"{SOMEBODY}; SELECT pg_terminate_backend\(\1\) ends it", first.waits_for), first.waits_for


def test_how_far_a_migration_without_a_transaction_is_with_an_index_is_told(
    thing: Path, database_url: str, backend: str
) -> None:
    python(thing, "0002_index", "0001_thing", INDEX)
    (thing / "0002_index.py").write_text((thing / "0002_index.py").read_text() + "\natomic = False\n")
    phase = "waiting for writers before build, 0 %" if backend == "postgresql" else ""
    word = "CREATE INDEX CONCURRENTLY" if backend == "postgresql" else "BEGIN IMMEDIATE"
    told = migrated(writing(database_url), lambda one: one.text.startswith(word) and one.phase == phase)
    assert told[0] is not None
    assert told[-1] is None


def test_nobody_is_told_of_what_is_quick(migrations: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BETWEEN_LOOKS", 60.0)
    python(migrations, "0001_thing", None, *table("thing"))
    run("CREATE TABLE other (id INTEGER)")
    assert migrated(lambda: None, lambda one: True) == []
