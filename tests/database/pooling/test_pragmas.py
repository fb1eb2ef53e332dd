"""`pragmas` of the settings: what SQLite is told on each new connection."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import datalayer
from datalayer import pools
from datalayer._plans.plan import Command
from datalayer.conf import reset
from datalayer.errors import ConfigurationError, LockTimeout
from tests.worlds import World


@pytest.fixture
def pool(tmp_path: Path, world: World) -> Iterator[Any]:
    reset()
    pragmas = {"cache_size": -12345, "synchronous": "FULL", "recursive_triggers": True}
    datalayer.configure(databases={"default": {"url": f"sqlite:///{tmp_path / 'db.sqlite3'}", "pragmas": pragmas}})
    yield pools["default"]
    world.run(pools.close_all, pools.aclose_all)
    pools.reset()
    reset()


@pytest.mark.parametrize("mode", ["read", "write"])
def test_each_new_connection_is_told(pool: Any, world: World, mode: str) -> None:
    def asked(name: str) -> Any:
        command = Command(f"PRAGMA {name}", (), returns_rows=True)
        return world.run(lambda: lease.conn.execute(command), lambda: lease.conn.execute(command)).rows[0][0]

    lease = world.call(pool, "borrow", mode)
    found = [asked(name) for name in ("cache_size", "synchronous", "recursive_triggers", "foreign_keys")]
    world.run(lease.release, lease.release)
    assert found == [-12345, 2, 1, 1]


@pytest.mark.parametrize(
    ("options", "waits"), [({"connection_timeout": 0.2}, (0.1, 3)), ({"connection_timeout": 7}, None), ({}, None)]
)
def test_another_program_is_waited_for_as_long_as_a_connection(
    tmp_path: Path, world: World, options: dict[str, float], waits: tuple[float, float] | None
) -> None:
    reset()
    file = tmp_path / "db.sqlite3"
    datalayer.configure(databases={"default": {"url": f"sqlite:///{file}", "pool": options}})
    write = Command("CREATE TABLE x (y)", (), writes=True)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE" if waits else "SELECT 1")
        lease = world.call(pools["default"], "borrow", "write")
        if waits:
            began = time.monotonic()
            with pytest.raises(LockTimeout):
                world.run(lambda: lease.conn.execute(write), lambda: lease.conn.execute(write))
            assert waits[0] <= time.monotonic() - began < waits[1]
        elif not world.is_async:  # an awaiting one waits by turns, so that it can be cancelled
            command = Command("PRAGMA busy_timeout", (), returns_rows=True)
            assert lease.conn.execute(command).rows == [(1000 * options.get("connection_timeout", 5),)]
        world.run(lease.release, lease.release)
    world.run(pools.close_all, pools.aclose_all)
    pools.reset()
    reset()


@pytest.mark.parametrize(
    ("pragmas", "words"),
    [
        ({"cache_sise": 1}, "SQLite has no such PRAGMA; did you mean 'cache_size'"),
        ({"cache_size": "1; DROP TABLE x"}, "one word such as NORMAL"),
        ({"journal_mode": "DELETE"}, "it is WAL"),
        ({"query_only": True}, "readers"),
        ({"busy_timeout": 5}, "pool.connection_timeout"),
    ],
)
def test_what_would_do_nothing_or_harm_is_refused_with_the_settings(pragmas: Any, words: str) -> None:
    reset()
    with pytest.raises(ConfigurationError, match=words):
        datalayer.configure(databases={"default": {"url": "sqlite:///x.sqlite3", "pragmas": pragmas}})
    reset()


def test_a_server_has_none() -> None:
    reset()
    with pytest.raises(ConfigurationError, match="pragmas are SQLite's"):
        datalayer.configure(databases={"default": {"url": "postgresql://db/shop", "pragmas": {"cache_size": 1}}})
    reset()
