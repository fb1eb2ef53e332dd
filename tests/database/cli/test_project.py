"""A started project, used as its user would, each command in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import forks, processes


@pytest.fixture(params=["service", "minimal"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    flags = ["--minimal"] if request.param == "minimal" else []
    done = forks.run(["-m", "datalayer", "startproject", "shop", *flags], folder=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path / "shop"


def test_project_is_green_with_zero_edits(folder: Path, database_url: str) -> None:
    for words in (
        ("-m", "datalayer", "migrate"),
        ("-m", "datalayer", "migrate", "--check"),
        ("-m", "datalayer", "makemigrations", "--check"),
        ("-m", "datalayer", "check"),
        ("-m", "shop.report"),
        ("-m", "datalayer", "migrate", "zero"),
    ):
        done = forks.run(words, folder=folder, DATABASE_URL=database_url)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"


def test_a_database_of_the_command_line_needs_no_installed_project(folder: Path, database_url: str) -> None:
    done = forks.run(["-m", "datalayer", "showmigrations", "--database-url", database_url], folder=folder / "tests")
    assert (done.returncode, done.stdout, done.stderr) == (0, "[ ] 0001_initial\n", "")


def test_its_own_tests_are_green_and_warn_of_nothing(folder: Path, database_url: str) -> None:
    words = ["-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "datalayer.testing.plugin"]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**processes.environment(), "DATABASE_URL": database_url, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_shell_has_the_models(folder: Path) -> None:
    assert forks.run(["-m", "datalayer", "migrate"], folder=folder).returncode == 0
    script = "print(Product.objects.count(), Status.DRAFT.value)"
    done = forks.run(["-m", "datalayer", "shell", "-c", script], folder=folder)
    assert (done.stdout, done.returncode) == ("0 draft\n", 0), done.stderr


def test_models_out_of_step_are_found(folder: Path) -> None:
    models = folder / "shop" / "models" / "people.py"
    models.write_text(models.read_text("utf-8").replace("max_length=254", "max_length=300"), "utf-8")
    done = forks.run(["-m", "datalayer", "makemigrations", "--check"], folder=folder)
    assert done.returncode == 1
    assert "email" in done.stdout
