"""What `startproject` and `startapp` render passes both strict type checkers as it is: no error, and nothing ignored."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.typing import checkers


@pytest.fixture(params=["", "--minimal"], ids=["whole", "minimal"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    flags = [request.param] if request.param else []
    rendered(tmp_path, "startproject", "shop", *flags)
    rendered(tmp_path / "shop", "startapp", "orders")
    return tmp_path / "shop"


def rendered(folder: Path, *command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "datalayer", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(checkers.ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_mypy_refuses_nothing(project: Path) -> None:
    assert checkers.mypy(project, ".") == {}


def test_pyright_refuses_nothing(project: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    assert checkers.pyright(project, tmp_path / "work") == {}


def test_nothing_is_ignored(project: Path) -> None:
    ignored = [path for path in project.rglob("*.py") if "ignore" in path.read_text("utf-8")]
    assert ignored == []
