# ruff: noqa: PT012  (how a block ends is what is tested)
"""The database goes away, or has no room, in the middle of a transaction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datalayer.databases import atomic
from datalayer.errors import (
    ConnectionLost,
    DiskFull,
    LockTimeout,
    ReadOnlyTransaction,
    TransactionError,
    TransactionResolutionUnknown,
)
from datalayer.pooling.registry import pools
from tests.worlds import World

from .conftest import Table

POSTGRESQL = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def in_use() -> int:
    return pools["default"].stats().in_use


def end_session(url: str, pid: int) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("select pg_terminate_backend(%s, 5000)", [pid])


@POSTGRESQL
def test_a_connection_lost_inside(table: Table, world: World, database_url: str) -> None:
    with pytest.raises(ConnectionLost), world.enter(atomic()):
        table.add(1)
        end_session(database_url, table.send("select pg_backend_pid()")[0][0])
        table.add(2)
    assert in_use() == 0
    assert table.all() == []
    with world.enter(atomic()):
        table.add(3)
    assert table.all() == [3]


@POSTGRESQL
def test_a_connection_lost_before_the_commit(table: Table, world: World, database_url: str) -> None:
    with pytest.raises(TransactionResolutionUnknown), world.enter(atomic()):
        table.add(1)
        end_session(database_url, table.send("select pg_backend_pid()")[0][0])
    assert in_use() == 0
    assert table.all() == []


@POSTGRESQL
def test_a_lost_connection_that_was_caught_is_told_at_the_end(table: Table, world: World, database_url: str) -> None:
    with pytest.raises(TransactionError, match="broken") as caught, world.enter(atomic()):
        table.add(1)
        with pytest.raises(ConnectionLost), world.enter(atomic()):
            end_session(database_url, table.send("select pg_backend_pid()")[0][0])
            table.add(2)
    assert isinstance(caught.value.__cause__, ConnectionLost)
    assert in_use() == 0
    assert table.all() == []


@POSTGRESQL
def test_an_error_of_our_own_is_not_hidden_by_a_lost_connection(table: Table, world: World, database_url: str) -> None:
    with pytest.raises(KeyError), world.enter(atomic()):
        table.add(1)
        end_session(database_url, table.send("select pg_backend_pid()")[0][0])
        raise KeyError("ours")
    assert in_use() == 0
    assert table.all() == []


def limit_pages(world: World, more: int) -> None:
    def limit(raw: Any) -> None:
        (pages,) = raw.execute("pragma page_count").fetchone()
        raw.execute(f"pragma max_page_count = {pages + more}")

    async def awaiting() -> None:
        async with pools["default"].alink("write") as link:
            limit(link._raw)  # type: ignore[attr-defined]

    def blocking() -> None:
        with pools["default"].connection() as raw:
            limit(raw)

    world.run(blocking, awaiting)


@SQLITE
def test_a_full_disk(table: Table, world: World) -> None:
    table.send("create table big (content blob)")
    limit_pages(world, 2)
    with pytest.raises(DiskFull), world.enter(atomic()):
        table.add(1)
        table.send("insert into big (content) values (zeroblob(1000000))")
    assert in_use() == 0
    assert table.all() == []
    with pytest.raises(TransactionError, match="broken"), world.enter(atomic()):
        table.add(1)
        with pytest.raises(DiskFull):
            table.send("insert into big (content) values (zeroblob(1000000))")
    assert table.all() == []
    table.add(2)
    assert table.all() == [2]


@SQLITE
def test_a_file_that_another_program_has_locked(table: Table, world: World, tmp_path: Path) -> None:
    import sqlite3

    async def awaiting() -> None:
        async with pools["default"].alink("write") as link:
            link._raw.execute("pragma busy_timeout = 1")  # type: ignore[attr-defined]

    def blocking() -> None:
        with pools["default"].connection() as raw:
            raw.execute("pragma busy_timeout = 1")

    world.run(blocking, awaiting)
    other = sqlite3.connect(tmp_path / "db.sqlite3", isolation_level=None)
    other.execute("begin immediate")
    try:
        with pytest.raises(LockTimeout), world.enter(atomic(retries=2)):
            table.add(1)
        assert in_use() == 0
        assert table.all() == []
        with world.enter(atomic(read_only=True)):
            assert table.all() == []
    finally:
        other.close()
    table.add(1)
    assert table.all() == [1]


@SQLITE
def test_a_file_that_may_only_be_read(table: Table, world: World, tmp_path: Path) -> None:
    table.add(1)

    async def awaiting() -> None:
        async with pools["default"].alink("write") as link:
            link._raw.execute("pragma query_only = on")  # type: ignore[attr-defined]

    def blocking() -> None:
        with pools["default"].connection() as raw:
            raw.execute("pragma query_only = on")

    world.run(blocking, awaiting)
    with pytest.raises(ReadOnlyTransaction), world.enter(atomic()):
        table.add(2)
    assert table.all() == [1]
