from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datalayer import conf
from datalayer.cli import app
from datalayer.models import registry
from tests import forks


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("DATABASE_URL", "DATALAYER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    conf.reset()
    (tmp_path / "datalayer.toml").write_text('[databases.default]\nurl = "sqlite:///db.sqlite3"\n')
    yield tmp_path
    conf.reset()


def test_unknown_target_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["migrate", "0042"]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1


def test_a_word_that_is_nearly_zero_is_taken_for_that(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "migrations").mkdir()
    assert app.main(["migrate", "zer"]) == 1
    assert capsys.readouterr().err.endswith("; did you mean 'zero'?\n")


@pytest.mark.parametrize("command", ["revert", "redo"])
def test_what_takes_back_wants_a_folder_too(project: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    (project / "db.sqlite3").touch()
    assert app.main([command]) == 1
    assert capsys.readouterr().err.startswith("error: there is no folder 'migrations' with migrations")


def test_empty_migration_goes_there_and_back(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["makemigrations", "first", "--empty"]) == 0
    assert (project / "migrations" / "0001_first.py").is_file()
    assert app.main(["migrate", "--check"]) == 1
    assert app.main(["migrate"]) == 0
    assert app.main(["migrate", "--check"]) == 0
    capsys.readouterr()
    assert app.main(["showmigrations"]) == 0
    assert "[x] 0001_first" in capsys.readouterr().out
    assert app.main(["migrate", "zero"]) == 0
    capsys.readouterr()
    assert app.main(["showmigrations"]) == 0
    assert "[ ] 0001_first" in capsys.readouterr().out


def test_check_of_an_empty_project_finds_nothing(project: Path) -> None:
    # In a process of its own: other tests of this one declare models.
    done = forks.run(["-m", "datalayer", "check"], folder=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no problems" in done.stdout


MADE = """from alembic import op
import sqlalchemy as sa

revision = "0001_made"
down_revision = None


def upgrade():
    op.create_table("made", sa.Column("id", sa.BigInteger(), primary_key=True))


def downgrade():
    op.drop_table("made")
"""


def test_a_project_without_models_has_tables_that_nobody_wants_to_drop(project: Path) -> None:
    (project / "migrations").mkdir()
    (project / "migrations" / "0001_made.py").write_text(MADE)
    for words in (["migrate"], ["check"], ["check", "--database", "default"]):
        done = forks.run(["-m", "datalayer", *words], folder=project)
        assert (done.returncode, done.stderr) == (0, ""), words
    made = forks.run(["-m", "datalayer", "makemigrations"], folder=project)
    assert (made.returncode, made.stdout) == (1, "")
    assert made.stderr == (
        "error: there are no models, so every table would be dropped: the setting models names no module; name those "
        'that have models, as in models = ["shop.models"], or write a migration by hand with --empty or --sql\n'
    )


def test_paths_go_to_stdout_alone_where_a_script_asks(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["makemigrations", "first", "--sql", "--scriptable"]) == 0
    shown = capsys.readouterr()
    folder = project / "migrations"
    assert shown.out == f"{folder}/0001_first.up.sql\n{folder}/0001_first.down.sql\n"
    assert shown.err.startswith("migrations/0001_first.up.sql\n  ")


def test_models_that_cannot_be_imported_do_not_keep_migrate_from_working(project: Path) -> None:
    (project / "broken.py").write_text("raise TypeError('a bug')")
    text = (project / "datalayer.toml").read_text()
    (project / "datalayer.toml").write_text(f'models = ["broken"]\n{text}')
    assert app.main(["makemigrations", "first", "--empty"]) == 0
    assert app.main(["migrate"]) == 0
    assert app.main(["migrate"]) == 0  # with nothing to do it looks whether the models have changed


def test_sql_goes_to_stdout_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["makemigrations", "first", "--empty"]) == 0
    capsys.readouterr()
    assert app.main(["sqlmigrate", "0001"]) == 0
    shown = capsys.readouterr()
    assert shown.out
    assert shown.err == ""


def test_a_folder_of_sql_and_a_url_are_a_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "datalayer.toml").unlink()
    url = f"sqlite:///{tmp_path}/plain.sqlite3"
    (tmp_path / "sql").mkdir()
    for word in ("up", "down"):
        text = "CREATE TABLE a (id INTEGER)" if word == "up" else "DROP TABLE a"
        (tmp_path / "sql" / f"0001_a.{word}.sql").write_text(text)
    where = ["--database-url", url, "--migrations", "sql"]
    shown = []
    for words in (["migrate"], ["redo"], ["showmigrations"], ["revert", "--all"], ["migrate", "--check"]):
        conf.reset()
        shown.append((app.main([*words, *where]), capsys.readouterr().out))
    assert shown == [
        (0, "applied 0001_a\n"),
        (0, "reverted 0001_a\napplied 0001_a\n"),
        (0, "[x] 0001_a\n"),
        (0, "reverted 0001_a\n"),
        (1, "would apply 0001_a\n"),
    ]


def test_a_folder_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["migrate"]) == 1
    assert "there is no folder 'migrations'" in capsys.readouterr().err
    assert app.main(["migrate", "--migrations", "nowhere"]) == 1
    assert "there is no folder 'nowhere'" in capsys.readouterr().err


def test_check_and_pools_need_no_project_where_the_line_says_what_they_look_at(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "datalayer.toml").unlink()
    (project / "sql").mkdir()
    (project / "sql" / "0001_first.up.sql").write_text("create table first (id integer);")
    url = ("--database-url", "sqlite:///other.sqlite3")
    assert app.main(["database", "create", *url]) == 0
    conf.reset()
    with registry.isolated():  # other tests of this process declare models
        assert app.main(["check", *url, "--migrations", "sql"]) == 0
    assert "database 'default' lacks 0001_first" in capsys.readouterr().out
    (project / "datalayer.toml").write_text('[databases.reports]\nurl = "sqlite:///reports.sqlite3"\n')
    conf.reset()
    assert app.main(["pools", *url]) == 0
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == ["default"]


def test_check_makes_no_file_of_a_database_that_is_not_there(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with registry.isolated():
        assert app.main(["check", "--database-url", "sqlite:///gone.sqlite3"]) == 1
    assert "database 'default' has no tables: there is no file" in capsys.readouterr().out
    assert not (project / "gone.sqlite3").exists()


@pytest.mark.parametrize("words", [("pools",), ("revert",), ("revert", "--plan"), ("redo",)])
def test_looking_at_a_file_that_is_not_there_makes_none(
    words: tuple[str, ...], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "migrations").mkdir()
    assert app.main([*words, "--database-url", "sqlite:///gone.sqlite3"]) == 1
    said = capsys.readouterr()
    assert "there is no file" in said.out + said.err
    assert "run datalayer migrate" in said.out + said.err
    assert not (project / "gone.sqlite3").exists()


@pytest.mark.parametrize("words", [("dumpdata",), ("loaddata", "rows.jsonl"), ("flush", "--yes")])
def test_rows_of_a_file_that_is_not_there_make_none(
    words: tuple[str, ...], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "keeps.py").write_text("from datalayer import Model\n\n\nclass Kept(Model):\n    pass\n")
    (project / "rows.jsonl").write_text("")
    (project / "datalayer.toml").write_text('models = ["keeps"]\n[databases.default]\nurl = "sqlite:///gone.sqlite3"\n')
    conf.reset()
    with registry.isolated():
        assert app.main([*words]) == 1
    assert "there is no file 'gone.sqlite3'" in capsys.readouterr().err.replace(f"{project}/", "")
    assert not (project / "gone.sqlite3").exists()


def test_one_url_is_not_that_of_two_pools(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["pools", "default", "reports", "--database-url", "sqlite:///other.sqlite3"]) == 2
    assert "--database-url is where one database is" in capsys.readouterr().err


def test_a_relative_file_of_the_line_is_one_of_the_folder_where_it_is_typed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "below").mkdir()
    monkeypatch.chdir(project / "below")
    assert app.main(["database", "create", "--database-url", "sqlite:///here.db"]) == 0
    assert (project / "below" / "here.db").is_file()


@pytest.mark.parametrize(("words", "folder"), [([], "migrations"), (["--migrations", "a/sql"], "a/sql")])
def test_plain_sql_is_begun_where_there_is_no_project_and_no_folder(
    words: list[str], folder: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "datalayer.toml").unlink()
    assert app.main(["makemigrations", "--sql", "first", *words]) == 0
    assert {file.name for file in (project / folder).iterdir()} == {"0001_first.up.sql", "0001_first.down.sql"}
    (project / folder / "0001_first.up.sql").write_text("CREATE TABLE a (id INTEGER)")
    conf.reset()
    assert app.main(["migrate", "--database-url", "sqlite:///new.sqlite3", *words]) == 0
    assert capsys.readouterr().out.endswith("applied 0001_first\n")
