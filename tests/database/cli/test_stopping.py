"""`datalayer migrate` stopped from outside, while a statement runs: nothing half applied, nothing recorded."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from datalayer import conf
from datalayer.migrations import commands, config

ROOT = Path(__file__).resolve().parents[3]
FIRST = '''"""First."""

from alembic import op

revision = "0001_first"
down_revision = None


def upgrade() -> None:
    op.execute("CREATE TABLE thing (id INTEGER)")


def downgrade() -> None:
    op.execute("DROP TABLE thing")
'''
# It writes a file when the long statement is about to begin, and would run for many minutes.
SLOW = '''"""Slow."""

from pathlib import Path

from alembic import op

from datalayer.migrations import types

revision = "0002_slow"
down_revision = "0001_first"
LONG = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000000000) SELECT max(i) FROM n"


def upgrade() -> None:
    op.execute("CREATE TABLE half (id BIGINT)")
    op.execute("INSERT INTO thing VALUES (1)")
    if not op.get_context().as_sql:
        (Path(__file__).parent / "begun").touch()
    op.execute(types.sql(sqlite=f"INSERT INTO half {LONG}", postgresql="SELECT pg_sleep(600)"))


def downgrade() -> None:
    op.execute("DROP TABLE half")
'''


@pytest.fixture
def folder(database_url: str, tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "migrations"
    made.mkdir()
    (made / "0001_first.py").write_text(FIRST)
    (made / "0002_slow.py").write_text(SLOW)
    (tmp_path / "datalayer.toml").write_text("")
    with conf.override(databases={"default": {"url": database_url}}, migrations=str(made)):
        yield tmp_path


@contextlib.contextmanager
def migrating(folder: Path, url: str, *before: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, in the middle of its second migration; `before` is what starts it."""
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "datalayer", "migrate"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        begun = folder / "migrations" / "begun"
        deadline = time.monotonic() + 60
        while not begun.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.communicate()


def tables() -> list[str]:
    with config.environment("default").connect() as connection:
        return sorted(set(sa.inspect(connection).get_table_names()) - {"alembic_version", "datalayer_migrations"})


def things() -> int:
    with config.environment("default").connect() as connection:
        return int(connection.execute(sa.text("SELECT count(*) FROM thing")).scalar_one())


def assert_only_the_first_is_there(folder: Path) -> None:
    assert [shown.is_applied for shown in commands.showmigrations()] == [True, False]
    assert tables() == ["thing"]
    assert things() == 0
    slow = folder / "migrations" / "0002_slow.py"
    slow.write_text(SLOW.replace("pg_sleep(600)", "pg_sleep(0)").replace("30000000000", "3"))
    assert commands.migrate().applied == ("0002_slow",)
    assert (tables(), things()) == (["half", "thing"], 1)


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_ends_the_statement_at_once_and_leaves_nothing_half_applied(
    folder: Path, database_url: str, number: int, code: int, word: str
) -> None:
    with migrating(folder, database_url) as process:
        process.send_signal(number)
        shown, error = process.communicate(timeout=30)
    assert (process.returncode, shown, error) == (
        code,
        "applied 0001_first\n",
        f"error: {word}; nothing more was done\n",
    )
    assert_only_the_first_is_there(folder)


def test_a_request_to_end_is_heard_where_a_script_has_put_the_command_in_the_background(
    folder: Path, database_url: str
) -> None:
    # A shell without job control lets what it starts by `&` ignore Ctrl-C.
    with migrating(folder, database_url, "sh", "-c", "trap '' INT; exec \"$@\"", "sh") as process:
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (143, "error: terminated; nothing more was done\n")
    assert_only_the_first_is_there(folder)


def test_a_killed_deployer_leaves_nothing_half_applied_and_the_next_one_has_not_long_to_wait(
    folder: Path, database_url: str
) -> None:
    # PostgreSQL would run the statement to its end: ten minutes.
    with migrating(folder, database_url) as process:
        process.kill()
        process.communicate(timeout=30)
    assert_only_the_first_is_there(folder)


def test_a_killed_deployer_without_a_transaction_does_not_run_on_either(folder: Path, database_url: str) -> None:
    slow = folder / "migrations" / "0002_slow.py"
    slow.write_text(slow.read_text().replace("down_revision =", "atomic = False\ndown_revision ="))
    with migrating(folder, database_url) as process:
        process.kill()
        process.communicate(timeout=30)
    slow.write_text(slow.read_text().replace("pg_sleep(600)", "pg_sleep(0)").replace("30000000000", "3"))
    assert [shown.note for shown in commands.showmigrations()] == ["", "stopped after 2 operations"]
    assert commands.migrate().applied == ("0002_slow",)
    assert (tables(), things()) == (["half", "thing"], 1)
