"""What a shell offers for a word that is begun, asked as bash asks."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datalayer import conf
from datalayer.cli import app
from tests.processes import environment

SETTINGS = """
models = ["lamps"]
[databases.default]
url = "sqlite:///db.sqlite3"
[databases.reports]
url = "sqlite:///reports.sqlite3"
"""
MODELS = "from datalayer import Model\nclass CompletedLamp(Model): ...\nclass CompletedShade(Model): ...\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "datalayer.toml").write_text(SETTINGS)
    (tmp_path / "lamps.py").write_text(MODELS)
    for place, name in (("migrations", "0001_lamps"), ("migrations", "0002_shades"), ("sql", "0001_plain")):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / f"{name}.up.sql").write_text("create table a (id int);")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("DATABASE_URL", "DATALAYER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    conf.reset()
    yield tmp_path
    conf.reset()


def offered(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    monkeypatch.setenv("COMP_WORDS", f"datalayer {line}")
    monkeypatch.setenv("COMP_CWORD", str(len(shlex.split(line)) + line.endswith(" ")))
    monkeypatch.setenv("_DATALAYER_COMPLETE", "complete_bash")
    with pytest.raises(SystemExit, match="0"):
        app.main([])
    shown = capsys.readouterr()
    assert shown.err == ""
    return shown.out.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("migrat", ["migrate", "migrations"]),
        ("migrate ", ["0001_lamps", "0002_shades", "zero"]),
        ("migrate 0002", ["0002_shades"]),
        ("migrate --migrations sql 00", ["0001_plain"]),
        ("migrate --database-url sqlite:///x.db --migrations sql z", ["zero"]),
        ("migrate --database re", ["reports"]),
        ("sqlmigrate 0001", ["0001_lamps"]),
        ("squashmigrations 0001", ["0001_lamps"]),
        ("check --database ", ["default", "reports"]),
        ("makemigrations --adopt r", ["reports"]),
        ("pools d", ["default"]),
        ("dbshell --database d", ["default"]),
    ],
)
@pytest.mark.usefixtures("folder")
def test_names_of_the_project_are_offered(
    line: str, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert offered(line, monkeypatch, capsys) == words


@pytest.mark.parametrize("command", ["dumpdata", "diagram"])
@pytest.mark.usefixtures("folder")
def test_names_of_models_are_offered(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert offered(f"{command} CompletedL", monkeypatch, capsys) == ["CompletedLamp"]


@pytest.mark.parametrize("text", ["modles = []", "[", None], ids=["a wrong key", "no TOML", "no file"])
def test_a_project_that_is_wrong_offers_nothing_and_says_nothing(
    folder: Path, text: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is None:
        (folder / "datalayer.toml").unlink()
    else:
        (folder / "datalayer.toml").write_text(text)
    assert offered("migrate --database d", monkeypatch, capsys) == []


def test_bash_completes_the_name_of_a_migration(folder: Path) -> None:
    bin_folder = Path(sys.executable).parent
    script = (
        'eval "$(_DATALAYER_COMPLETE=source_bash datalayer)"\n'
        "COMP_WORDS=(datalayer migrate 0002) COMP_CWORD=2\n"
        '_datalayer_completion datalayer; echo "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**environment(), "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("0002_shades\n", "")
