"""What goes wrong on the first day, each in a process of its own: one line that says what to do, and nothing lost."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from datalayer.conf import DatabaseUrl
from tests import forks, postgres_server
from tests.processes import environment

SECRET = "s3cr3t"
SETTINGS = 'models = ["lamps"]\n[databases.default]\nurl = "sqlite:///db.sqlite3"\n'
MODELS = """
from datalayer import Field, ForeignKey, Mapped, Model


class Lamp(Model):
    name: Mapped[str] = Field(max_length=20)
"""
MIGRATION = '''"""Initial."""

import sqlalchemy as sa
from alembic import op

from datalayer.migrations import types

revision = "0001_initial"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "lamp",
        sa.Column("id", types.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("name", types.String(20), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lamp"),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("lamp")
'''
COMMAND = "import sys; from datalayer.cli.app import main; sys.exit(main(sys.argv[1:]))"
NO_PSYCOPG = 'import sys; sys.modules["psycopg"] = sys.modules["psycopg_pool"] = None\n'
FULL_DISK = """
import sqlite3

connect = sqlite3.connect


def small(*words, **named):
    raw = connect(*words, **named)
    raw.execute("pragma max_page_count = 3")
    return raw


sqlite3.connect = small
"""
NO_ROOM = """
import resource, signal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
"""
QUERY = ("shell", "-c", "print(Lamp.objects.count())")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "datalayer.toml").write_text(SETTINGS)
    (tmp_path / "lamps.py").write_text(MODELS)
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "0001_initial.py").write_text(MIGRATION)
    return tmp_path


def run(folder: Path, *words: str, first: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    if not first:
        return forks.run(["-c", COMMAND, *words], folder=folder, **variables)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", first + COMMAND, *words],
        cwd=folder,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


def refused(folder: Path, *words: str, first: str = "", **variables: str) -> str:
    """The one line of a command that failed."""
    done = run(folder, *words, first=first, **variables)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert SECRET not in done.stderr
    return done.stderr


# -- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("settings",), QUERY], ids=lambda words: words[0])
def test_an_unknown_scheme_names_the_choices(folder: Path, words: tuple[str, ...]) -> None:
    line = refused(folder, *words, DATABASE_URL=f"mysql://me:{SECRET}@db/shop")
    assert "DATABASE_URL (environment)): unknown database scheme 'mysql'; choose from sqlite, postgresql" in line


def test_a_mistyped_key_names_line_and_nearest(folder: Path) -> None:
    (folder / "datalayer.toml").write_text(SETTINGS.replace("models", "modles"))
    assert refused(folder, "migrate") == "error: modles (datalayer.toml:1): unknown key; did you mean 'models'?\n"


def test_a_mistyped_variable_names_the_nearest(folder: Path) -> None:
    line = refused(folder, "migrate", DATALAYER_MIGRATION="here")
    assert "DATALAYER_MIGRATION (environment)" in line
    assert "did you mean 'DATALAYER_MIGRATIONS'?" in line


@pytest.mark.parametrize("words", [("makemigrations",), QUERY], ids=lambda words: words[0])
def test_models_that_are_not_there_are_named(folder: Path, words: tuple[str, ...]) -> None:
    (folder / "datalayer.toml").write_text(SETTINGS.replace("lamps", "lamsp"))
    assert "the models 'lamsp' cannot be imported: there is no module 'lamsp'" in refused(folder, *words)


# -- databases -----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("migrate",), QUERY], ids=lambda words: words[0])
def test_a_missing_extra_says_what_to_install(folder: Path, words: tuple[str, ...]) -> None:
    line = refused(folder, *words, first=NO_PSYCOPG, DATABASE_URL=f"postgresql://me:{SECRET}@db/shop")
    assert "pip install 'datalayer[postgres]'" in line


@pytest.mark.parametrize("words", [("migrate",), QUERY], ids=lambda words: words[0])
def test_a_server_that_is_down_is_named_with_its_alias(folder: Path, words: tuple[str, ...]) -> None:
    line = refused(
        folder,
        *words,
        DATABASE_URL=f"postgresql://me:{SECRET}@127.0.0.1:1/shop",
        DATALAYER_DATABASES__DEFAULT__POOL__CONNECTION_TIMEOUT="1",
    )
    assert "'default'" in line
    assert "127.0.0.1" in line
    assert "Connection refused; Is the server running" in line


@pytest.mark.parametrize("words", [("migrate",), QUERY], ids=lambda words: words[0])
def test_a_database_that_is_not_made_yet_is_told_with_its_command(
    folder: Path, postgresql_url: str, words: tuple[str, ...]
) -> None:
    elsewhere = dataclasses.replace(DatabaseUrl.parse(postgresql_url), database="not_made").render()
    line = refused(folder, *words, DATABASE_URL=elsewhere)
    assert line.endswith('database "not_made" does not exist; `datalayer database create` makes it\n')


@pytest.fixture(scope="module")
def guarded_url() -> Iterator[str]:
    """A server that asks the user `keeper` for a password; the URL carries another one."""
    server = postgres_server.start()
    try:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("create role keeper login password 'right'")
            hba = server.folder / "data" / "pg_hba.conf"
            hba.write_text("local all keeper scram-sha-256\n" + hba.read_text())
            connection.execute("select pg_reload_conf()")
        yield f"postgresql://keeper:{SECRET}@/postgres?host={server.folder}"
    finally:
        server.stop()


@pytest.mark.parametrize("words", [("migrate",), QUERY], ids=lambda words: words[0])
def test_a_wrong_password_is_told_at_once_and_not_shown(folder: Path, guarded_url: str, words: tuple[str, ...]) -> None:
    line = refused(folder, *words, DATABASE_URL=guarded_url)
    assert "'default'" in line
    assert guarded_url.partition("host=")[2] in line.replace("%2F", "/")
    assert 'password authentication failed for user "keeper"' in line


@pytest.mark.parametrize("words", [("migrate",), QUERY], ids=lambda words: words[0])
@pytest.mark.parametrize(
    ("file", "words_of_error"),
    [("no/such/db.sqlite3", r"the folder '.*no/such' does not exist; make it first"), ("made", "it is a folder")],
    ids=["no folder", "a folder"],
)
def test_a_file_that_cannot_be_opened_is_told_why(
    folder: Path, words: tuple[str, ...], file: str, words_of_error: str
) -> None:
    (folder / "made").mkdir()
    assert re.search(words_of_error, refused(folder, *words, DATABASE_URL=f"sqlite:///{file}"))


def test_a_table_that_is_not_there_asks_for_migrate(folder: Path) -> None:
    assert "has 'datalayer migrate' been run on database 'default'?" in refused(folder, *QUERY)


def test_a_full_disk_leaves_the_migration_out(folder: Path) -> None:
    line = refused(folder, "migrate", first=FULL_DISK)
    assert "database 'default'" in line
    assert "database or disk is full" in line
    assert run(folder, "showmigrations").stdout == "[ ] 0001_initial\n"
    assert run(folder, "migrate").stdout == "applied 0001_initial\n"


def test_a_database_that_could_not_be_made_leaves_no_file(folder: Path) -> None:
    line = refused(folder, "database", "create", first=NO_ROOM)
    assert "cannot connect 'default' to SQLite" in line
    assert not (folder / "db.sqlite3").exists()


# -- models --------------------------------------------------------------------------------------

BROKEN = {
    "reserved name": ("    save: Mapped[str]\n", "Lamp.save hides Model.save; choose another attribute"),
    "unknown model": ('    room: ForeignKey["Rom"] = ForeignKey()\n', "Lamp.room refers to 'Rom'"),
    "clash of ways back": (
        '    twin: ForeignKey["Lamp"] = ForeignKey(related_name="name")\n',
        "is called 'name' on Lamp, which has that name already",
    ),
    "unknown option": (
        "    watts: Mapped[int] = Field(default=1, max_lenght=3)\n",
        "lamps.py:7: Field() has no option 'max_lenght'; the choices are",
    ),
    "syntax": ("    watts = (\n", "lamps.py:7: SyntaxError: '(' was never closed"),
    "missing import": ("    watts: Mapped[int] = Feild()\n", "lamps.py:7: NameError: name 'Feild' is not defined"),
}


@pytest.mark.parametrize(("line", "words"), BROKEN.values(), ids=BROKEN)
def test_a_model_that_cannot_be_is_named_and_nothing_is_written(folder: Path, line: str, words: str) -> None:
    (folder / "lamps.py").write_text(MODELS + line)
    assert words in refused(folder, "makemigrations")
    assert [file.name for file in (folder / "migrations").glob("*.py")] == ["0001_initial.py"]
    checked = run(folder, "check")
    assert checked.returncode == 1
    assert words in checked.stdout + checked.stderr


def test_the_migration_of_these_tests_is_what_the_models_say(folder: Path) -> None:
    assert run(folder, "makemigrations", "--check").returncode == 0


def test_where_an_error_of_the_projects_own_code_came_from_is_told(folder: Path) -> None:
    (folder / "lamps.py").write_text("import os\n\nos.environ['LAMPS']\n")
    assert refused(folder, "makemigrations").startswith("error: lamps.py:3: KeyError: 'LAMPS' (--traceback")


def test_traceback_shows_the_whole_way(folder: Path) -> None:
    (folder / "lamps.py").write_text("1 / 0\n")
    done = run(folder, "makemigrations", "--traceback")
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.endswith(
        "error: lamps.py:1: ZeroDivisionError: division by zero (--traceback shows where it came from)\n"
    )


@pytest.mark.parametrize("words", ["settings", "migrate"])
def test_a_command_whose_outputs_are_closed_does_its_work(folder: Path, words: str) -> None:
    line = f"{sys.executable} -m datalayer {words} >&- 2>&-"
    done = subprocess.run(["sh", "-c", line], cwd=folder, env=environment(), timeout=120)
    assert done.returncode == 0
    assert (folder / "db.sqlite3").exists() is (words == "migrate")
