from __future__ import annotations

import sys
from pathlib import Path

import pytest

from datalayer import __main__, errors
from datalayer.cli import app, output, project


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in app.command_names() if name not in shown] == []


def test_help_is_understood_as_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["help"]) == 0
    assert "startproject" in capsys.readouterr().out
    assert app.main(["help", "migrate"]) == 0
    assert "Usage: datalayer migrate" in capsys.readouterr().out


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main([]) == 0
    assert "startproject" in capsys.readouterr().out


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("datalayer ")


def test_a_command_behind_version_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.main(["--version", "startproject", "shop"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_unknown_command_gets_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["makemigration"]) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: unknown command 'makemigration'; did you mean 'makemigrations'?\n")
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    "line",
    [
        ["startproject"],
        ["startproject", "shop", "--minimul"],
        ["migrate", "a", "b"],
        ["migrate", "--sql", "--check"],
        ["makemigrations", "x", "--update"],
    ],
)
def test_wrong_use_is_one_line_and_exit_code_two(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(line) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UnansweredQuestion("is it a rename"), 3),
        (errors.MigrationError("two heads"), 1),
        (ValueError("a bug"), 1),
    ],
)
def test_exit_codes(error: Exception, code: int) -> None:
    assert app.exit_code(error) == code


@pytest.mark.parametrize("place", [0, 1, 2])
def test_traceback_may_stand_anywhere(place: int, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["startproject", "class"]
    line.insert(place, "--traceback")
    assert app.main(line) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "\nerror: 'class' is a word of Python" in shown


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("my-shop", "did you mean 'my_shop'?"),
        ("2shop", "no name for a Python package"),
        ("class", "is a word of Python itself"),
        ("café", "did you mean 'cafe'?"),
        ("_shop", "did you mean 'shop'?"),
        ("shop_", "no underscore last"),
        ("json", "standard library"),
        ("pydantic", "an installed module"),
        ("datalayer", "every project uses"),
        ("tests", "every project uses"),
        ("../shop", "no name for a Python package"),
    ],
)
def test_bad_project_names_are_refused(
    name: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["startproject", name]) == 1
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_not_empty_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "mine.txt").write_text("mine")
    assert app.main(["startproject", "shop"]) == 1
    assert "is not an empty folder" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "shop").iterdir()] == ["mine.txt"]


def test_half_written_project_is_taken_away(tmp_path: Path) -> None:
    files = {Path("a/b.py"): "1", Path("a/b.py/c.py"): "a file is no folder"}
    with pytest.raises(OSError, match=r"b\.py"):
        project.write(tmp_path / "shop", files)
    assert not (tmp_path / "shop").exists()


def test_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.error("one\n  two")
    assert capsys.readouterr().err == "error: one two\n"


def test_a_table_of_many_columns_is_folded_until_it_fits_the_terminal() -> None:
    row = [
        "default",
        "postgresql://me@database.example.org/shop",
        "ok",
        "12.0 ms",
        "13.5 ms",
        "0 to 10, psycopg",
        15 * "x",
    ]
    assert output._drawn(("database", "url", "state", "connect", "ping", "pool", "sessions"), [row], 80)[1] == 80


def test_table_in_a_pipe_is_tab_separated(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("key", "value"), [("a", "[b]")])
    assert capsys.readouterr().out == "a\t[b]\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("database creat", "unknown command 'database creat'; did you mean 'create'?"),
        ("database", "a command is missing: datalayer database create, drop, reset"),
        ("migrations", "a command is missing: datalayer migrations eject"),
        ("--database-url x migrate", "--database-url belongs to a command and stands after it"),
        ("--nope", "no such option: --nope"),
        ("migrate --databse x", "did you mean --database, --database-url?"),
        ("revert -n x", "--number: input should be a valid integer"),
        ("revert -n -1", "--number: input should be greater than or equal to 0"),
        ("revert -n 2 --all", "--all and --number exclude each other"),
        ("redo --all -n 2", "--all and --number exclude each other"),
        ("migrate --sql --fake", "--sql and --fake exclude each other"),
        ("migrate --check --fake", "--check and --fake exclude each other"),
        ("migrate --fake --fake-initial", "--fake and --fake-initial exclude each other"),
        ("makemigrations x --sql --dry-run", "--sql and --dry-run exclude each other"),
        ("makemigrations x --empty --default a.b=1", "--empty and --default exclude each other"),
        ("makemigrations --sql", "--sql needs a name"),
        ("makemigrations --no-down", "--no-down goes with --sql"),
    ],
)
def test_wrong_use_is_told_with_its_cure(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(line.split()) == 2
    shown = capsys.readouterr().err
    assert words in shown
    assert shown.count("\n") == 1


def test_ctrl_c_while_the_command_is_being_imported_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupting:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "datalayer.cli.app":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "datalayer.cli.app")
    monkeypatch.delattr("datalayer.cli.app")
    monkeypatch.setattr(sys, "meta_path", [Interrupting, *sys.meta_path])
    assert __main__.main() == 130
    assert capsys.readouterr().err == "error: interrupted; nothing was done\n"


def test_help_of_a_command_of_a_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["help", "database", "create"]) == 0
    assert "Usage: datalayer database create" in capsys.readouterr().out


def test_an_error_of_the_system_is_told_without_its_number() -> None:
    assert app.in_words(OSError(28, "No space left on device"), []) == "no space left on device"
    assert app.in_words(FileNotFoundError(2, "No such file or directory", "rows.jsonl"), []) == (
        "no such file or directory: 'rows.jsonl'"
    )


def test_a_url_that_is_none_is_told_by_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["migrate", "--database-url", "shop.db"]) == 1
    assert capsys.readouterr().err.startswith("error: --database-url: not a database URL: it starts with sqlite:///")


@pytest.mark.parametrize(
    ("line", "here"),
    [
        ("migration run", "datalayer migrate"),
        ("migrations run", "datalayer migrate"),
        ("migration pending", "datalayer migrate --check"),
        ("database setup", "datalayer database create, then datalayer migrate"),
        ("print-schema --help", "datalayer inspectdb"),
        ("completions bash", "datalayer --install-completion"),
        ("upgrade head", "datalayer migrate"),
        ("diffsettings", "datalayer settings"),
    ],
)
def test_a_command_of_another_tool_is_told_as_ours(line: str, here: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(line.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: unknown command '")
    assert error.endswith(f"; it is `{here}` here\n")
