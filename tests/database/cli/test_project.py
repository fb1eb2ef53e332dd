"""A started project, used as its user would, each command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(params=["service", "minimal"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    flags = ["--minimal"] if request.param == "minimal" else []
    done = run(tmp_path, "-m", "datalayer", "startproject", "shop", *flags)
    assert done.returncode == 0, done.stderr
    return tmp_path / "shop"


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    hidden = ("DATABASE_URL", "DATALAYER_", "PYTEST_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_project_is_green_with_zero_edits(folder: Path, database_url: str) -> None:
    for words in (
        ("-m", "datalayer", "migrate"),
        ("-m", "datalayer", "migrate", "--check"),
        ("-m", "datalayer", "makemigrations", "--check"),
        ("-m", "datalayer", "check"),
        ("-m", "shop.report"),
        ("-m", "datalayer", "migrate", "zero"),
    ):
        done = run(folder, *words, DATABASE_URL=database_url)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"


def test_its_own_tests_are_green_and_warn_of_nothing(folder: Path, database_url: str) -> None:
    words = ("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "datalayer.testing.plugin")
    done = run(folder, *words, DATABASE_URL=database_url, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_shell_has_the_models(folder: Path) -> None:
    assert run(folder, "-m", "datalayer", "migrate").returncode == 0
    done = run(folder, "-m", "datalayer", "shell", "-c", "print(Product.objects.count(), Status.DRAFT.value)")
    assert (done.stdout, done.returncode) == ("0 draft\n", 0), done.stderr


def test_models_out_of_step_are_found(folder: Path) -> None:
    models = folder / "shop" / "models" / "people.py"
    models.write_text(models.read_text("utf-8").replace("max_length=254", "max_length=300"), "utf-8")
    done = run(folder, "-m", "datalayer", "makemigrations", "--check")
    assert done.returncode == 1
    assert "email" in done.stdout
