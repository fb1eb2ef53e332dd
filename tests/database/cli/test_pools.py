"""`datalayer pools` in a process of its own, on both backends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forks, processes


@pytest.fixture
def folder(tmp_path: Path, database_url: str) -> Path:
    (tmp_path / "datalayer.toml").write_text(
        f'models = []\n[databases.default]\nurl = "{database_url}"\n'
        '[databases.away]\nurl = "postgresql://me:hidden@127.0.0.1:1/shop"\n'
    )
    (tmp_path / "db.sqlite3").touch()  # looking at a database makes none
    return tmp_path


def run(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return forks.run(["-m", "datalayer", "pools", *words], folder=folder)


def test_database_that_answers_is_a_line_with_its_times(folder: Path, backend: str) -> None:
    done = run("default", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    name, url, state, connect, ping, pool, sessions = done.stdout.rstrip("\n").split("\t")
    assert (name, state) == ("default", "ok")
    assert url.startswith(backend)
    assert connect.endswith(" ms")
    assert ping.endswith(" ms")
    assert pool == ("1 writer, 4 readers" if backend == "sqlite" else "0 to 10, psycopg")
    assert sessions == ("" if backend == "sqlite" else "0 others of 200")


def test_database_that_does_not_answer_is_a_line_too_and_exit_code_1(folder: Path) -> None:
    done = run("--timeout", "0.3", folder=folder)
    assert (done.returncode, done.stderr) == (1, "")
    good, bad = done.stdout.splitlines()
    assert good.startswith("default\t")
    assert "Connection refused" in bad
    assert "hidden" not in bad


def test_unknown_database_is_an_error_that_names_the_nearest(folder: Path) -> None:
    done = run("defalt", folder=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert "did you mean 'default'?" in done.stderr


@pytest.mark.parametrize("words", [["--interval", "0"], ["--timeout", "soon"]])
def test_number_that_is_none_is_wrong_use(folder: Path, words: list[str]) -> None:
    assert run(*words, folder=folder).returncode == 2


def test_watching_ends_well_by_ctrl_c(folder: Path) -> None:
    words = [sys.executable, "-W", "error", "-m", "datalayer", "pools", "default", "--watch", "--interval", "0.1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words, cwd=folder, env=processes.environment(), text=True, stdout=pipe, stderr=pipe
    ) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(3)]
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        except BaseException:
            process.kill()
            raise
    assert [line.split("\t")[2] for line in lines] == ["ok"] * 3
    assert (process.returncode, errors) == (0, "")
