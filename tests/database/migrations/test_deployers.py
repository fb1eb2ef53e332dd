"""Two deployers at once, a deployer that is killed, and what a run asks of the database."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from datalayer.errors import MigrationError
from datalayer.migrations import commands, config
from datalayer.migrations.environment import Hooks
from datalayer.migrations.history import Step
from tests import forks
from tests.database.migrations.files import pair, python, rows, run, table

ROOT = Path(__file__).resolve().parents[3]
INDEX = '    from datalayer.migrations import online\n    online.create_index("ix_thing", "thing", ["id"])'


@contextlib.contextmanager
def statements() -> Iterator[Counter[str]]:
    """Counts what is sent to any database meanwhile."""
    counted: Counter[str] = Counter()

    def count(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        counted["FROM datalayer_migrations" if "FROM datalayer_migrations" in statement[:99] else "others"] += 1

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    try:
        yield counted
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", count)


def line(folder: Path, first: int, last: int) -> None:
    """Migrations that each make a table."""
    for number in range(first, last + 1):
        after = f"{number - 1:04d}_t{number - 1}" if number > 1 else None
        python(folder, f"{number:04d}_t{number}", after, *table(f"t{number}"))


def test_the_record_is_read_once_however_many_migrations_run(migrations: Path) -> None:
    line(migrations, 1, 1)
    commands.migrate()
    counted: list[Counter[str]] = []
    for last in (4, 10, 22):
        line(migrations, 2, last)
        commands.migrate("0001")
        with statements() as found:
            commands.migrate()
        counted.append(found)
    deleted_once_each = [
        found["FROM datalayer_migrations"] - ran for found, ran in zip(counted, (3, 9, 21), strict=True)
    ]
    assert len(set(deleted_once_each)) == 1
    first, second, third = (found["others"] for found in counted)
    assert (third - second) == 2 * (second - first)


@pytest.mark.parametrize("ask", [commands.showmigrations, lambda: commands.migrate(plan=True)])
def test_asking_costs_the_same_however_many_there_are(migrations: Path, ask: Callable[[], object]) -> None:
    counted: list[Counter[str]] = []
    for last in (2, 12):
        line(migrations, 1, last)
        commands.migrate()
        with statements() as found:
            ask()
        counted.append(found)
    assert counted[0] == counted[1]


SECOND = """
import sys
from datalayer import conf
from datalayer.migrations import commands, config
from datalayer.migrations.environment import Hooks
conf.configure(databases={'default': {'url': sys.argv[1]}}, migrations=sys.argv[2])
print(commands.migrate(hooks=Hooks(on_wait=lambda who: print("waits for", who, flush=True))).lines)
"""


def both(folder: Path, url: str, last: str) -> tuple[tuple[str, ...], str]:
    """What this deployer applied, and what another one said that came while `last` was about to run."""
    second: list[subprocess.Popen[str]] = []
    waited: list[str] = []

    def begin(step: Step) -> None:
        if step.name == last:
            command = [sys.executable, "-c", SECOND, url, str(folder)]
            pipe = subprocess.PIPE
            second.append(subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True))
            assert second[0].stdout is not None
            waited.append(second[0].stdout.readline())

    applied = commands.migrate(on_progress=begin).applied
    said, errors = second[0].communicate(timeout=60)
    assert errors == ""
    assert re.match(r"waits for process \d+(, role \w+, datalayer migrate)?, since ", waited[0]), waited
    return applied, said.strip()


def test_the_second_of_two_deployers_waits_and_finds_nothing_to_do(migrations: Path, database_url: str) -> None:
    line(migrations, 1, 3)
    applied, said = both(migrations, database_url, "0002_t2")
    assert len(applied) == 3
    assert said == "['nothing to do: the database is at 0003_t3']"


def test_the_second_of_two_deployers_waits_for_one_without_a_transaction(migrations: Path, database_url: str) -> None:
    python(migrations, "0001_thing", None, *table("thing"))
    python(migrations, "0002_index", "0001_thing", INDEX)
    (migrations / "0002_index.py").write_text((migrations / "0002_index.py").read_text() + "\natomic = False\n")
    # PostgreSQL: whoever waits must not hold a snapshot, or CREATE INDEX CONCURRENTLY would wait for it in a circle.
    applied, said = both(migrations, database_url, "0002_index")
    assert applied == ("0001_thing", "0002_index")
    assert said == "['nothing to do: the database is at 0002_index']"


def test_the_lock_is_let_go_of_when_a_migration_fails(migrations: Path, tmp_path: Path) -> None:
    python(migrations, "0001_thing", None, *table("thing"))
    pair(migrations, "0002_bad", "NONSENSE")
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(MigrationError, match="0002_bad"):
        commands.migrate()
    assert {path.name for path in tmp_path.iterdir()} <= before | {"db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm"}
    told: list[str] = []
    pair(migrations, "0002_bad", "SELECT 1")
    assert commands.migrate(hooks=Hooks(on_wait=told.append)).applied == ("0002_bad",)
    assert told == []


def test_what_somebody_else_has_noted_between_two_migrations_is_not_run_again(
    migrations: Path, database_url: str
) -> None:
    line(migrations, 1, 3)
    begun: list[object] = []

    def begin(connection: sa.Connection) -> None:
        begun.append(connection)
        if len(begun) == at:  # plain Alembic knows nothing of our lock
            run("CREATE TABLE t2 (id INTEGER PRIMARY KEY)", "UPDATE alembic_version SET version_num = '0002_t2'")

    at = 2 if database_url.startswith("sqlite") else 4  # two of PostgreSQL: the lock, and what the server can do
    told: list[str] = []
    sa.event.listen(sa.Engine, "begin", begin)
    try:
        commands.migrate(on_progress=lambda step: told.append(step.name))
    finally:
        sa.event.remove(sa.Engine, "begin", begin)
    assert told == ["0001_t1", "0003_t3"]


def test_whoever_waits_is_told_who_is_waited_for_and_how_to_end_it(
    migrations: Path, database_url: str, backend: str
) -> None:
    line(migrations, 1, 1)
    environment = config.environment("default")
    told: list[str] = []
    with environment.connect() as other, contextlib.ExitStack() as held:
        held.enter_context(environment.locked(other))

        def on_wait(who: str) -> None:
            told.append(who)
            held.close()

        assert commands.migrate(hooks=Hooks(on_wait=on_wait)).applied == ("0001_t1",)
    (who,) = told
    moment = r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    if backend == "sqlite":
        assert re.fullmatch(rf"process {os.getpid()}, {moment}", who)
    else:
        found = re.fullmatch(
            rf"process (\d+), role \w+, datalayer migrate, {moment}; SELECT pg_terminate_backend\((\d+)\) ends it", who
        )
        assert found, who
        assert found[1] == found[2]


KILLED = """
import os, signal, sys
from datalayer import conf
from datalayer.migrations import commands
from sqlalchemy import Engine, event
left = int(sys.argv[3])

def count(*args):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, sys.argv[4], count)
conf.configure(databases={'default': {'url': sys.argv[1]}}, migrations=sys.argv[2])
commands.migrate()
"""


@pytest.mark.parametrize("moment", ["before 4", "after 9", "before 17", "after 21", "before 26"])
def test_a_deployer_that_is_killed_leaves_something_to_go_on_from(
    migrations: Path, database_url: str, moment: str
) -> None:
    python(migrations, "0001_thing", None, *table("thing"))
    pair(migrations, "0002_rows", "INSERT INTO thing VALUES (1); INSERT INTO thing VALUES (2)")
    loose = "INSERT INTO thing VALUES (3) ON CONFLICT DO NOTHING; INSERT INTO thing VALUES (4) ON CONFLICT DO NOTHING"
    pair(migrations, "0003_loose", f"-- datalayer: atomic = false\n{loose}")
    python(migrations, "0004_wide", "0003_loose", '    op.add_column("thing", sa.Column("name", types.Text()))')
    when, statement = moment.split()
    words = ["-c", KILLED, database_url, str(migrations), statement, f"{when}_cursor_execute"]
    killed = forks.run(words, folder=ROOT)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = [shown.is_applied for shown in commands.showmigrations()]
    assert len(commands.migrate().applied) == before.count(False)
    assert [shown.note for shown in commands.showmigrations()] == [""] * 4
    assert rows("SELECT id, name FROM thing ORDER BY id") == [(number, None) for number in range(1, 5)]
