"""The key of a new row is the one the database gave it, whatever triggers do beside it."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import psycopg
import pytest

from datalayer import Field, Mapped, Model, atomic
from datalayer._compile.insert import LOCK_KEY
from datalayer.errors import DatabaseError, ProgrammingError
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

    class Wide(Model):
        class Meta:
            table = "numbering_wide"

    registry.tables()

ONLY_POSTGRESQL = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
ONLY_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def tables(configured: str, world: World) -> str:
    world.run(lambda: create_tables(Entry, Log, Wide), lambda: acreate_tables(Entry, Log, Wide))
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


@ONLY_POSTGRESQL
def test_two_that_give_keys_far_apart_at_once_leave_the_numbering_behind_the_greater_one(
    tables: str, world: World
) -> None:
    sequence = "'numbering_entry_id_seq'"
    with psycopg.connect(tables) as other, psycopg.connect(tables, autocommit=True) as watching:
        other.execute(f"SELECT pg_advisory_xact_lock({LOCK_KEY} + {sequence}::regclass::oid::bigint)".encode())
        made = threading.Thread(target=lambda: world.call(Entry.objects, "create", id=500_000, text="less"))
        made.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while made.is_alive() and watching.execute(waiting).fetchone() == (0,):
            pass
        # Until here it has found the numbering at 0; what it was to write would now lead back.
        other.execute(f"SELECT setval({sequence}, 1000000)".encode())
        other.commit()
        made.join()
    assert world.call(Entry.objects, "create", text="next").id == 1_000_001


@pytest.mark.usefixtures("tables")
@ONLY_POSTGRESQL
@pytest.mark.parametrize("key", [1, 7, 1_000, 1_001, 5_000_000_000])
def test_the_numbering_goes_on_behind_a_given_key_however_far_it_is(world: World, key: int) -> None:
    world.call(Wide.objects, "create", id=key)
    assert world.call(Wide.objects, "create").id == key + 1
    world.call(Wide.objects, "create", id=-3)
    assert world.call(Wide.objects, "create").id == key + 2


@ONLY_POSTGRESQL
def test_a_numbering_that_begins_later_is_not_led_back_by_a_given_key(tables: str, world: World) -> None:
    with psycopg.connect(tables) as raw:
        raw.execute("ALTER TABLE numbering_entry ALTER COLUMN id RESTART WITH 100000")
    world.call(Entry.objects, "create", id=5, text="a")
    assert world.call(Entry.objects, "create", text="b").id > 100_000 - 1


@ONLY_SQLITE
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
@pytest.mark.parametrize("key", ["BIGINT PRIMARY KEY", "INTEGER PRIMARY KEY DESC", "INTEGER"])
def test_a_table_whose_key_sqlite_does_not_number_takes_no_row_without_one(
    configured: str, world: World, inside: bool, key: str
) -> None:
    with closing(sqlite3.connect(configured.removeprefix("sqlite:///"))) as raw:
        raw.execute(f"CREATE TABLE numbering_entry (id {key}, text TEXT)")
    told = "table 'numbering_entry': SQLite numbers rows by a column 'id' that is INTEGER PRIMARY KEY, and no"
    with pytest.raises(ProgrammingError, match=told) as caught:
        made_in_a_transaction(world, "b") if inside else world.call(Entry.objects, "create", text="b")
    assert caught.value.columns == ("id",)
    no_key = "the new rows of table 'numbering_entry' have no key"
    with pytest.raises(ProgrammingError, match=no_key), world.enter(atomic()):
        world.call(Entry.objects, "bulk_create", [Entry(text="a"), Entry(text="b")])
    assert world.call(Entry.objects, "count") == 0
    assert world.call(Entry.objects, "create", id=7, text="c").id == 7
    assert world.call(Entry.objects, "get", id=7).text == "c"


def made_in_a_transaction(world: World, text: str) -> Entry:
    """A new row, of a transaction of its own."""

    def blocking() -> Entry:
        with atomic():
            return Entry.objects.create(text=text)

    async def awaiting() -> Entry:
        async with atomic():
            return await Entry.objects.acreate(text=text)

    return world.run(blocking, awaiting)
