"""The tests run on a SQLite file of their own, with the tables as the models declare them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from datalayer import pools
from datalayer.testing import create_tables


@pytest.fixture(autouse=True)
def database(tmp_path: Path) -> Iterator[None]:
    with pools.override("default", url=f"sqlite:///{tmp_path}/test.sqlite3"):
        create_tables()
        yield
        pools.close_all()
