"""The key of a new row is the one the database gave it, whatever triggers do beside it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import psycopg
import pytest

from datalayer import Field, Mapped, Model, atomic
from datalayer.errors import DatabaseError
from datalayer.models import registry
from datalayer.testing import capture_queries, create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import World

with registry.isolated():

    class Entry(Model):
        text: Mapped[str] = Field(max_length=20)

        class Meta:
            table = "numbering_entry"

    class Log(Model):
        text: Mapped[str] = Field(max_length=20)

        class Meta:
            table = "numbering_log"

    registry.tables()

ONLY_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def tables(configured: str, world: World) -> str:
    world.run(lambda: create_tables(Entry, Log), lambda: acreate_tables(Entry, Log))
    return configured


def trigger(url: str, body: str) -> None:
    """Makes a trigger of SQLite."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as raw:
        raw.execute(f"CREATE TRIGGER beside {body}")


@ONLY_SQLITE
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
def test_a_trigger_that_inserts_elsewhere_leaves_a_new_row_its_key(tables: str, world: World, inside: bool) -> None:
    for _ in range(3):
        world.call(Log.objects, "create", text="before")
    log = "INSERT INTO numbering_log (text) VALUES (new.text)"
    trigger(tables, f"AFTER INSERT ON numbering_entry BEGIN {log}; END")
    entry = made_in_a_transaction(world, "a") if inside else world.call(Entry.objects, "create", text="a")
    assert entry.id == 1
    assert world.call(Log.objects, "count") == 4


@ONLY_SQLITE
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
def test_a_row_that_a_trigger_ignores_gets_no_key_of_another(tables: str, world: World, inside: bool) -> None:
    world.call(Entry.objects, "create", text="a")
    trigger(tables, "BEFORE INSERT ON numbering_entry WHEN new.text = 'b' BEGIN SELECT raise(ignore); END")
    with pytest.raises(DatabaseError, match="a trigger or rule of 'numbering_entry' has ignored the row"):
        made_in_a_transaction(world, "b") if inside else world.call(Entry.objects, "create", text="b")
    assert world.call(Entry.objects, "count") == 1


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
def test_rows_of_which_a_trigger_ignores_some_get_no_keys_of_others(
    tables: str, world: World, backend: str, inside: bool
) -> None:
    condition = "WHEN (new.text = 'b')"
    if backend == "sqlite":
        trigger(tables, f"BEFORE INSERT ON numbering_entry {condition} BEGIN SELECT raise(ignore); END")
    else:
        with psycopg.connect(tables) as raw:
            raw.execute("CREATE FUNCTION ignored() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
            raw.execute(
                f"CREATE TRIGGER beside BEFORE INSERT ON numbering_entry FOR EACH ROW {condition} "  # type: ignore[arg-type]
                "EXECUTE FUNCTION ignored()"
            )
    entries = [Entry(text=text) for text in "abc"]

    def made() -> None:
        if inside:
            with world.enter(atomic()):
                world.call(Entry.objects, "bulk_create", entries)
        else:
            world.call(Entry.objects, "bulk_create", entries)

    told = "3 new rows of Entry were written and 2 kept: a trigger or rule of 'numbering_entry' has ignored the others"
    with pytest.raises(DatabaseError, match=told):
        made()
    assert all(entry._state.adding for entry in entries)
    assert world.call(Entry.objects, "count") == (0 if inside else 2)


@pytest.mark.usefixtures("tables")
@ONLY_SQLITE
def test_sqlite_is_not_asked_for_the_key_of_one_new_row(world: World) -> None:
    with capture_queries() as sent:
        world.call(Entry.objects, "create", text="a")
    assert "RETURNING" not in sent[0].sql


def made_in_a_transaction(world: World, text: str) -> Entry:
    """A new row, of a transaction of its own."""

    def blocking() -> Entry:
        with atomic():
            return Entry.objects.create(text=text)

    async def awaiting() -> Entry:
        async with atomic():
            return await Entry.objects.acreate(text=text)

    return world.run(blocking, awaiting)
