"""Commands of a project, and commands called from Python."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datalayer import conf
from datalayer.cli import app, call_command
from datalayer.errors import CommandError, MigrationError

SETTINGS = """[databases.default]
url = "sqlite:///db.sqlite3"

[commands]
greet = "chores:greet"
wait = "chores:wait"
stock = "chores:stock"
gone = "chores:nothing"
"""
CHORES = '''
import asyncio

import typer

from datalayer.errors import CommandError

stock = typer.Typer(help="About the stock.")


@stock.command()
def count() -> None:
    """Count it."""
    print("counted")


@stock.command()
def burn() -> None:
    """Burn it."""


def greet(name: str, times: int = 1, loud: bool = False) -> int:
    """Say hello.

    Args:
        name: Who.
    """
    if name == "nobody":
        raise CommandError("there is nobody to greet")
    for _ in range(times):
        print("HELLO" if loud else "hello", name)
    return 0


async def wait() -> int:
    """Wait a moment."""
    await asyncio.sleep(0)
    return 4
'''


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("DATABASE_URL", "DATALAYER_CONFIG", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "chores", raising=False)
    conf.reset()
    (tmp_path / "datalayer.toml").write_text(SETTINGS)
    (tmp_path / "chores.py").write_text(CHORES)
    yield tmp_path
    sys.modules.pop("chores", None)
    conf.reset()


def test_a_function_of_the_project_is_a_command_with_its_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["greet", "Ada", "--times", "2", "--loud"]) == 0
    assert capsys.readouterr().out == "HELLO Ada\nHELLO Ada\n"


def test_its_help_is_that_of_the_function(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["greet", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Usage: datalayer greet [OPTIONS] NAME" in shown
    assert "Say hello." in shown


def test_a_function_that_awaits_is_run_to_its_end_and_gives_the_exit_code() -> None:
    assert app.main(["wait"]) == 4


def test_a_group_of_typer_has_commands_below(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["stock", "count"]) == 0
    assert capsys.readouterr().out == "counted\n"


def test_the_list_of_commands_names_them_and_imports_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "chores.py").write_text("raise RuntimeError")
    assert app.main(["--help"]) == 0
    assert "greet             chores:greet, a command of this project." in capsys.readouterr().out


def test_a_mistyped_one_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["gret"]) == 2
    assert "did you mean 'greet'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["greet", "nobody"], 1, "error: there is nobody to greet\n"),
        (["greet"], 2, "error: missing argument 'NAME'; see `datalayer greet --help`\n"),
        (["gone"], 1, "error: commands.gone (datalayer.toml:8): module 'chores' has no 'nothing'\n"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(words) == code
    assert capsys.readouterr().err == message


def test_a_name_that_datalayer_has_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "datalayer.toml").write_text('[commands]\nmigrate = "chores:greet"\n')
    assert app.main(["migrate"]) == 1
    assert capsys.readouterr().err == (
        "error: commands.migrate (datalayer.toml:2): datalayer has a command of that name; choose another one\n"
    )


def test_a_command_is_called_from_python(capsys: pytest.CaptureFixture[str]) -> None:
    assert call_command("makemigrations", "first", sql=True, no_down=True, check=False, number=None) == 0
    assert call_command("migrate", check=True) == 1
    assert call_command("greet", "Ada", times=2) == 0
    assert capsys.readouterr().out.endswith("hello Ada\nhello Ada\n")


def test_what_a_called_command_has_against_it_is_raised() -> None:
    with pytest.raises(MigrationError, match="no folder 'migrations'"):
        call_command("migrate")
    with pytest.raises(CommandError, match="unknown command 'migrat'; did you mean 'migrate'"):
        call_command("migrat")
    with pytest.raises(CommandError, match="no such option: --plam"):
        call_command("migrate", plam=True)


def test_another_settings_file_is_named_anywhere_on_the_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "other.toml").write_text('migrations = "elsewhere"\n[databases.default]\nurl = "sqlite:///b.sqlite3"\n')
    for line in (["--config", "other.toml", "showmigrations"], ["showmigrations", "--config=other.toml"]):
        conf.reset()
        assert app.main(line) == 0
        assert "'elsewhere'" in capsys.readouterr().out
    conf.reset()
    assert app.main(["showmigrations"]) == 0
    assert "'migrations'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "said"),
    [("nowhere.toml", "error: --config names no file: "), ("pyproject.toml", "error: --config has no table ")],
)
def test_a_settings_file_that_is_none_is_one_line_about_the_option(
    name: str, said: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "pyproject.toml").write_text("[tool.other]\n")
    assert app.main(["--config", name, "showmigrations"]) == 1
    line = capsys.readouterr().err
    assert line.startswith(said)
    assert line.count("\n") == 1
