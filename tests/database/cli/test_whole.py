"""`datalayer database create`, `drop` and `reset`, without a project and with one."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from tests import forks, terminal
from tests.processes import environment

HOSTILE = 'a "new" one; 100 %s'
UP, DOWN = "CREATE TABLE lamp (id INTEGER);", "DROP TABLE lamp;"


@pytest.fixture
def url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database that does not exist."""
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path / 'new.db'}"
        return
    base: str = request.getfixturevalue("postgresql_url")
    place, _, query = base.partition("?")
    yield f"{place}_new{'?' if query else ''}{query}"
    with psycopg.connect(base, autocommit=True) as connection:
        for name in (f"{place.rpartition('/')[2]}_new", HOSTILE):
            connection.execute(f'DROP DATABASE IF EXISTS "{name.replace(chr(34), chr(34) * 2)}"'.encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "migrations" / "0001_lamp"
    made.mkdir(parents=True)
    (made / "up.sql").write_text(UP)
    (made / "down.sql").write_text(DOWN)
    return tmp_path


def run(folder: Path, *words: str, url: str) -> tuple[int, str, str]:
    done = forks.run(["-m", "datalayer", "database", *words, "--database-url", url], folder=folder)
    return done.returncode, done.stdout, done.stderr


def open_directly(url: str) -> psycopg.Connection | sqlite3.Connection:
    if url.startswith("sqlite"):
        return sqlite3.connect(url.removeprefix("sqlite:///"))
    return psycopg.connect(url, application_name="payroll")


def test_a_database_is_made_once_and_dropped_once(tmp_path: Path, url: str) -> None:
    said = [run(tmp_path, *words, url=url) for words in (["create"], ["create"], ["drop", "--yes"], ["drop", "--yes"])]
    assert [code for code, _, _ in said] == [0, 0, 0, 0], said
    assert said[0][1].startswith("made the ")
    assert said[1][1].endswith(" is there already\n")
    assert said[2][1].startswith("dropped the ")
    assert said[3][1].endswith(" is not there\n")


def test_a_reset_database_is_empty_and_migrated(folder: Path, url: str) -> None:
    migrations = ("--migrations", "migrations")
    first = run(folder, "reset", *migrations, url=url)
    assert (first[0], first[2]) == (0, "")
    assert first[1].endswith("\napplied 0001_lamp\n")
    with open_directly(url) as connection:
        connection.execute("INSERT INTO lamp VALUES (1)")
    connection.close()
    again = run(folder, "reset", "--yes", *migrations, url=url)
    assert again[0] == 0, again
    assert again[1].startswith("dropped the ")
    connection = open_directly(url)
    assert connection.execute("SELECT count(*) FROM lamp").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("0001_lamp/up.sql", "-- nothing", "0001_lamp/up.sql holds no statement"),
        ("0002_gone.py", 'import gone\n\nrevision = "0002_gone"\ndown_revision = None\n', "No module named 'gone'"),
        ("0002/down.sql", "", "holds no up.sql"),
    ],
)
def test_nothing_is_dropped_before_the_migrations_are_read(
    folder: Path, url: str, file: str, text: str, said: str
) -> None:
    run(folder, "create", url=url)
    path = folder / "migrations" / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    code, shown, told = run(folder, "reset", "--yes", "--migrations", "migrations", url=url)
    assert (code, shown) == (1, "")
    assert said in told
    assert run(folder, "create", url=url)[1].endswith("is there already\n")


def test_without_anybody_to_ask_nothing_is_dropped(tmp_path: Path, url: str) -> None:
    run(tmp_path, "create", url=url)
    code, shown, told = run(tmp_path, "drop", url=url)
    assert (code, shown) == (3, "")
    assert told.endswith("there is nobody to ask: say --yes\n")
    assert run(tmp_path, "create", url=url)[1].endswith("is there already\n")


def test_who_is_connected_is_told_and_only_force_drops_then(tmp_path: Path, url: str) -> None:
    run(tmp_path, "create", url=url)
    connection = open_directly(url)
    connection.execute("CREATE TABLE lamp (id INTEGER)")
    connection.commit()
    try:
        code, shown, told = run(tmp_path, "drop", "--yes", url=url)
        assert (code, shown) == (1, "")
        who = "1 other session is connected" if url.startswith("postgres") else "another process has"
        assert who in told
        assert ("'payroll'" in told) is url.startswith("postgres")
        assert "--force" in told
        assert run(tmp_path, "drop", "--yes", "--force", url=url)[0] == 0
        assert run(tmp_path, "create", url=url)[1].startswith("made the ")
    finally:
        connection.close()


def test_on_a_terminal_it_asks_and_no_is_the_answer_of_enter(tmp_path: Path, url: str) -> None:
    run(tmp_path, "create", url=url)
    words = [sys.executable, "-m", "datalayer", "database", "drop", "--database-url", url]
    for answer, code, last in (("\n", 1, "nothing was dropped\n"), ("y\n", 0, "")):
        with terminal.running(words, folder=tmp_path, variables=environment()) as shown:
            shown.read_until("with everything in it?")
            shown.type(answer)
            assert shown.end() == code
        assert last in shown.shown
    assert run(tmp_path, "drop", "--yes", url=url)[1].endswith(" is not there\n")


def test_a_name_is_never_sql(tmp_path: Path, url: str) -> None:
    place, _, query = url.partition("?")
    hostile = f"{place.rpartition('/')[0]}/{quote(HOSTILE)}{'?' if query else ''}{query}"
    assert run(tmp_path, "create", url=hostile)[0] == 0
    assert run(tmp_path, "create", url=hostile)[1].endswith("is there already\n")
    assert run(tmp_path, "drop", "--yes", url=hostile)[0] == 0


@pytest.mark.parametrize("name", ["postgres", "template1"])
def test_what_is_the_servers_own_is_never_dropped(tmp_path: Path, postgresql_url: str, name: str) -> None:
    place, _, query = postgresql_url.partition("?")
    own = f"{place.rpartition('/')[0]}/{name}{'?' if query else ''}{query}"
    code, _, told = run(tmp_path, "drop", "--yes", "--force", url=own)
    assert code == 1
    assert told == f"error: {name!r} is the server's own database; the url must name one of yours\n"


def test_a_role_that_may_make_no_databases_is_told_so(tmp_path: Path, postgresql_url: str) -> None:
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS datalayer_nobody")
        connection.execute("CREATE ROLE datalayer_nobody LOGIN")
        try:
            scheme, _, rest = postgresql_url.partition("://")
            there = rest.rpartition("@")[2].replace("?", "_x?") if "?" in rest else f"{rest.rpartition('@')[2]}_x"
            code, _, told = run(tmp_path, "create", url=f"{scheme}://datalayer_nobody@{there}")
        finally:
            connection.execute("DROP ROLE datalayer_nobody")
    assert code == 1
    assert "needs to be CREATEDB" in told


def test_another_machine_wants_the_name_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    from datalayer.cli import questions, whole
    from datalayer.conf import DatabaseUrl

    asked: list[str] = []

    class Person(questions.Terminal):
        def types(self, question: str, name: str) -> bool:
            asked.append(name)
            return False

    monkeypatch.setattr(questions, "somebody", Person)
    assert not whole.agreed("drop", DatabaseUrl.parse("postgresql://db.example.org/payroll"), yes=False)
    assert asked == ["payroll"]


def test_a_file_that_is_no_database_stays(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear reader, this is no database.")
    code, _, told = run(tmp_path, "drop", "--yes", "--force", url=f"sqlite:///{tmp_path / 'letter.txt'}")
    assert code == 1
    assert "is not an SQLite database; nothing was deleted" in told
    assert (tmp_path / "letter.txt").exists()


def test_nothing_of_an_sqlite_database_is_left(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    run(tmp_path, "create", url=url)
    (tmp_path / "x.db-wal").touch()
    (tmp_path / "x.db-shm").touch()
    assert run(tmp_path, "drop", "--yes", url=url)[0] == 0
    assert list(tmp_path.iterdir()) == []
