"""A project that is nothing but a folder of migrations and a database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from datalayer import conf


@pytest.fixture
def migrations(database_url: str, tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "migrations"
    made.mkdir()
    with conf.override(databases={"default": {"url": database_url}}, migrations=str(made)):
        yield made
