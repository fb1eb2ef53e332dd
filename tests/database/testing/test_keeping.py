"""Test databases that stay for the next run: taken while they are what would be made, made anew otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import datalayer
from datalayer import Field, Index, Mapped, Model
from datalayer.conf import reset
from datalayer.databases import databases, whole
from datalayer.errors import MigrationError
from datalayer.models import registry
from datalayer.pooling.registry import pools
from datalayer.testing import copies


@pytest.fixture
def folder(database_url: str, tmp_path: Path) -> Iterator[Path]:
    """The folder of a project whose migrations are in `migrations`; what was kept is gone afterwards."""
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    datalayer.configure(databases={"default": database_url}, migrations=str(migrations))
    try:
        with registry.isolated():
            yield tmp_path
        with copies.templates(tmp_path, ""):
            pass  # which drops what it has made, or found
    finally:
        pools.reset()
        databases.clear()
        reset()


def migration(folder: Path, name: str, up: str) -> None:
    (folder / "migrations" / f"{name}.up.sql").write_text(f"{up};\n")
    (folder / "migrations" / f"{name}.down.sql").write_text("-- datalayer: irreversible\n")


def count(table: str) -> int:
    with pools["default"].connection() as raw:
        return int(raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def run(folder: Path, table: str = "thing") -> int:
    """A run of tests that leaves a row in the template, where none would; gives how many it has found."""
    with copies.templates(folder, "", keeps=True) as urls, copies.in_use(urls):
        found = count(table)
        with pools["default"].connection() as raw:
            raw.execute(f"INSERT INTO {table} (id) VALUES ({found + 1})")
        return found


def test_the_next_run_takes_what_is_there(folder: Path) -> None:
    migration(folder, "0001_first", "CREATE TABLE thing (id integer)")
    assert [run(folder), run(folder), run(folder)] == [0, 1, 2]


def test_a_new_migration_makes_it_anew(folder: Path) -> None:
    migration(folder, "0001_first", "CREATE TABLE thing (id integer)")
    run(folder)
    migration(folder, "0002_second", "CREATE TABLE other (id integer)")
    assert run(folder) == 0
    assert run(folder, "other") == 0


def test_an_edited_migration_makes_it_anew(folder: Path) -> None:
    migration(folder, "0001_first", "CREATE TABLE thing (id integer)")
    run(folder)
    migration(folder, "0001_first", "CREATE TABLE thing (id integer, name text)")
    assert run(folder) == 0


def test_a_changed_model_makes_it_anew_where_there_are_no_migrations(folder: Path) -> None:
    def declare(*chosen: Index) -> None:
        class Thing(Model):
            name: Mapped[str] = Field(db_default="")

            class Meta:
                indexes = chosen

    declare()
    assert [run(folder), run(folder)] == [0, 1]
    declare(Index("name"))
    assert run(folder) == 0


def test_one_that_was_never_finished_is_made_anew(folder: Path) -> None:
    migration(folder, "0001_first", "CREATE TABLE thing (id integer)")
    migration(folder, "0002_second", "INSERT INTO nothing_here VALUES (1)")
    for _ in range(2):
        with pytest.raises(MigrationError):
            run(folder)
    migration(folder, "0002_second", "INSERT INTO thing VALUES (1)")
    assert [run(folder), run(folder)] == [1, 2]


def test_one_that_another_run_has_replaced_is_made_anew(folder: Path) -> None:
    migration(folder, "0001_first", "CREATE TABLE thing (id integer)")
    run(folder)
    with copies.templates(folder, "", keeps=True) as urls:
        whole.drop(urls["default"], force=True)
        whole.create(urls["default"])
        if urls["default"].backend == "sqlite":
            Path(urls["default"].database).unlink()  # an empty file is what a killed run leaves, with no note
    assert run(folder) == 0


def test_a_run_that_keeps_nothing_drops_what_it_finds(folder: Path) -> None:
    migration(folder, "0001_first", "CREATE TABLE thing (id integer)")
    run(folder)
    with copies.templates(folder, "") as urls, copies.in_use(urls):
        assert count("thing") == 0
    if urls["default"].backend == "postgresql":
        assert not whole.exists(urls["default"])
    assert run(folder) == 0
