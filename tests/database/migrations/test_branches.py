"""Two branches that come together, and histories that are folded: databases at any point are brought along."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from datalayer import conf
from datalayer.errors import MigrationError
from datalayer.migrations import commands
from tests import forks
from tests.database.migrations.files import diesel, pair, python, rows, run, table, tables


@pytest.fixture
def branches(migrations: Path) -> Path:
    python(migrations, "0001_thing", None, *table("thing"))
    python(migrations, "0002_left", "0001_thing", *table("a"))
    return migrations


def add_right(folder: Path) -> None:
    python(folder, "0002_right", "0001_thing", *table("b"))


def test_a_merge_brings_every_database_to_the_same(branches: Path) -> None:
    commands.migrate()  # this one has the left branch already
    add_right(branches)
    with pytest.raises(MigrationError, match="datalayer mergemigrations"):
        commands.migrate()
    assert commands.mergemigrations().name == "0003_merge_left_and_right"
    assert commands.migrate().applied == ("0002_right", "0003_merge_left_and_right")
    assert tables() == ["a", "b", "thing"]
    assert rows("SELECT version_num FROM alembic_version") == [("0003_merge_left_and_right",)]
    assert commands.migrate("0002_right").reverted == ("0003_merge_left_and_right", "0002_left")
    assert tables() == ["b", "thing"]
    assert commands.migrate().applied == ("0002_left", "0003_merge_left_and_right")
    python(branches, "0004_more", "0003_merge_left_and_right", *table("c"))
    assert commands.migrate().applied == ("0004_more",)
    assert len(commands.migrate("zero").reverted) == 5


def test_an_empty_database_gets_both_branches(branches: Path) -> None:
    add_right(branches)
    commands.mergemigrations("together")
    assert commands.migrate().applied == ("0001_thing", "0002_left", "0002_right", "0003_together")


def test_branches_that_do_not_fit_together_are_left_alone(branches: Path) -> None:
    python(branches, "0002_right", "0001_thing", *table("a"))
    before = sorted(path.name for path in branches.iterdir())
    with pytest.raises(
        MigrationError, match=r"0002_left, 0002_right do not fit together.*'a' is created, but it exists"
    ):
        commands.mergemigrations()
    assert sorted(path.name for path in branches.iterdir()) == before


def test_nothing_to_merge_is_said(branches: Path) -> None:
    with pytest.raises(MigrationError, match="nothing to merge: the history has one head, 0002_left"):
        commands.mergemigrations()


def test_plain_sql_of_two_branches_gets_new_numbers(migrations: Path) -> None:
    pair(migrations, "0001_thing", "CREATE TABLE thing (id INTEGER)", "DROP TABLE thing")
    pair(migrations, "0002_right", "CREATE TABLE b (id INTEGER)", "DROP TABLE b")
    commands.migrate()
    pair(migrations, "0002_left", "CREATE TABLE a (id INTEGER)", "DROP TABLE a")
    assert commands.mergemigrations().name == "0003_right"
    assert commands.migrate(out_of_order=True).applied == ("0002_left",)
    assert [str(one) for one in commands.showmigrations()] == ["[x] 0001_thing", "[x] 0002_left", "[x] 0003_right"]
    assert commands.revert(None).reverted == ("0003_right", "0002_left", "0001_thing")


@pytest.fixture
def long(migrations: Path) -> Path:
    python(migrations, "0001_thing", None, *table("thing"))
    add = '    op.add_column("thing", sa.Column("n", types.Integer(), nullable=True))'
    python(migrations, "0002_n", "0001_thing", add, '    op.drop_column("thing", "n")')
    fill = '    op.execute("UPDATE thing SET n = 0")\n    op.create_index("ix_n", "thing", ["n"])'
    python(migrations, "0003_index", "0002_n", fill, '    op.drop_index("ix_n", table_name="thing")')
    python(migrations, "0004_more", "0003_index", *table("more"))
    return migrations


@pytest.mark.parametrize("at", ["zero", "0001", "0002", "0003", "0004"])
def test_a_database_at_any_point_is_brought_past_a_squash(long: Path, at: str) -> None:
    if at != "zero":
        commands.migrate(at)
        run("INSERT INTO thing (id) VALUES (7)")
    assert commands.squashmigrations("0003").name == "0003_index"
    assert sorted(path.name for path in long.glob("*.py")) == ["0003_index.py", "0004_more.py"]
    done = commands.migrate()
    if at == "zero":
        assert done.applied == ("0003_index", "0004_more")
    assert [str(one) for one in commands.showmigrations()] == ["[x] 0003_index", "[x] 0004_more"]
    assert rows("SELECT version_num FROM alembic_version") == [("0004_more",)]
    assert rows("SELECT name FROM datalayer_migrations ORDER BY name") == [("0003_index",), ("0004_more",)]
    assert rows("SELECT id FROM thing") == ([] if at == "zero" else [(7,)])
    assert commands.migrate().notes == ()
    python(long, "0005_last", "0004_more", *table("last"))
    assert commands.migrate().applied == ("0005_last",)
    assert commands.migrate("zero").reverted == ("0005_last", "0004_more", "0003_index")
    assert tables() == []


def test_a_squash_that_was_stopped_before_its_end_counts(long: Path) -> None:
    commands.migrate("0002")
    before = {path.name: path.read_bytes() for path in long.glob("000[12]_*")}
    commands.squashmigrations("0003")
    for name, text in before.items():  # as it is before they are deleted
        (long / name).write_bytes(text)
    assert commands.migrate().applied[-1] == commands.showmigrations()[-1].name
    assert all(one.is_applied for one in commands.showmigrations())


def test_a_squash_that_was_stopped_at_its_beginning_can_be_made_again(long: Path) -> None:
    commands.migrate("0002")
    (long / "squashed").mkdir()
    for path in long.glob("000[12]_*"):
        (long / "squashed" / path.name).write_bytes(path.read_bytes())
    commands.squashmigrations("0003")
    commands.migrate()
    assert all(one.is_applied for one in commands.showmigrations())


# Kills itself when it is about to change the disk for the Nth time, from 0 on.
KILLED = """
import itertools, os, signal, sys
import datalayer
from datalayer.migrations import commands
datalayer.configure(databases={"default": "sqlite:///none.db"}, migrations=sys.argv[1])
moments = itertools.count()
def die(event, given):
    changes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir") or (event == "open" and given[2] & os.O_CREAT)
    if changes and sys.argv[1] in str(given[0]) and next(moments) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(die)
commands.squashmigrations()
"""


@pytest.mark.parametrize("make", [pair, diesel])
def test_a_squash_of_plain_sql_that_is_killed_at_any_moment_takes_back_what_is_there(
    sqlite_url: str, tmp_path: Path, make: Callable[..., None]
) -> None:
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    with conf.override(databases={"default": {"url": sqlite_url}}, migrations=str(migrations)):
        for moment in itertools.count():
            if not killed(migrations, make, moment):
                break
    assert moment > 5


def killed(migrations: Path, make: Callable[..., None], moment: int) -> bool:
    """Whether a squash was killed at a moment; the database agrees with its record before and after the next one."""
    for number in (1, 2, 3):
        make(migrations, f"000{number}_t{number}", f"CREATE TABLE t{number} (id INTEGER)", f"DROP TABLE t{number}")
    commands.migrate()
    done = forks.run(["-c", KILLED, str(migrations), str(moment)], folder=migrations)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    try:
        commands.revert(None)
    except MigrationError as error:
        assert "has no way back, so nothing was taken back" in str(error)  # noqa: PT017 - both are fine
        assert tables() == ["t1", "t2", "t3"]
    else:
        assert tables() == [], moment
    with contextlib.suppress(MigrationError):  # it was whole
        commands.squashmigrations()
    commands.migrate()
    assert commands.revert(None).reverted[0] == "0003_t3"
    assert tables() == [], moment
    for path in migrations.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return bool(done.returncode)


def test_a_squash_of_a_squash_works_too(long: Path) -> None:
    commands.migrate("0002")
    commands.squashmigrations("0003")
    commands.squashmigrations("0004")
    assert [path.name for path in long.glob("*.py")] == ["0004_more.py"]
    commands.migrate()
    assert [str(one) for one in commands.showmigrations()] == ["[x] 0004_more"]
    assert tables() == ["more", "thing"]


def test_without_the_old_files_a_database_in_the_middle_is_told_what_to_do(long: Path) -> None:
    commands.migrate("0002")
    commands.squashmigrations()
    for path in (long / "squashed").iterdir():
        path.unlink()
    with pytest.raises(MigrationError, match=r"in the middle of the migrations that a squash replaced.*older checkout"):
        commands.migrate()


def test_rows_that_a_new_database_would_lack_stop_a_squash(long: Path) -> None:
    python(long, "0005_rows", "0004_more", '    op.execute("INSERT INTO thing (id) VALUES (1)")')
    before = sorted(path.name for path in long.iterdir())
    with pytest.raises(MigrationError, match=r"0005_rows does more than change tables.*elidable = true"):
        commands.squashmigrations()
    assert sorted(path.name for path in long.iterdir()) == before
    path = long / "0005_rows.py"
    path.write_text("# datalayer: elidable = true\n" + path.read_text())
    assert commands.squashmigrations().name == "0005_rows"


ROWS = """    import uuid
    from datalayer.migrations import rows, tables
    key = sa.cast(sa.literal(uuid.UUID(int=1), types.Uuid()), types.Text())
    {}"""


@pytest.mark.parametrize(
    "statement",
    [
        "rows.execute(tables.thing.insert().values(id=1))",
        "op.execute(tables.thing.insert().values(id=1))",
        'rows.insert(tables.thing, [{"id": 1}])',
        'op.bulk_insert(tables.thing, [{"id": 1}])',
        "rows.execute(sa.select(key))",
    ],
)
def test_rows_that_core_inserts_stop_a_squash_too(long: Path, statement: str) -> None:
    python(long, "0005_rows", "0004_more", ROWS.format(statement))
    with pytest.raises(MigrationError, match=r"0005_rows does more than change tables.*elidable = true"):
        commands.squashmigrations()


def test_a_statement_of_core_about_rows_that_exist_is_left_out_of_a_squash(long: Path) -> None:
    python(
        long, "0005_rows", "0004_more", ROWS.format("op.execute(tables.thing.delete().where(tables.thing.c.id == key))")
    )
    assert commands.squashmigrations().name == "0005_rows"


@pytest.mark.parametrize("make", [pair, diesel])
@pytest.mark.parametrize("at", [0, 1, 3])
def test_plain_sql_is_folded_as_it_is(migrations: Path, make: type, at: int) -> None:
    for number in (1, 2, 3):
        make(migrations, f"000{number}_t{number}", f"CREATE TABLE t{number} (id INTEGER)", f"DROP TABLE t{number}")
    if at:
        commands.migrate(str(at))
    commands.squashmigrations()
    commands.migrate()
    assert [str(one) for one in commands.showmigrations()] == ["[x] 0003_t3"]
    assert tables() == ["t1", "t2", "t3"]
    assert commands.revert().reverted == ("0003_t3",)
    assert tables() == []
