"""A project folder of its own for each test, with nothing configured and nothing in the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datalayer.conf import reset

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in list(os.environ):
        if name.startswith("DATALAYER_") or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    reset()
    yield tmp_path
    reset()


@pytest.fixture
def write(project: Path) -> Write:
    """Writes a file of the project: `write("text")` is datalayer.toml, `write("text", ".env")` another one."""

    def write_file(text: str, name: str = "datalayer.toml") -> Path:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write_file
