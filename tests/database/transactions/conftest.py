from __future__ import annotations

from typing import Any

import pytest

from datalayer._plans.plan import Command, Plan
from datalayer.databases import databases
from tests.worlds import World

from .accounts import Accounts


def sql(compiler: Any, text: str, *values: object, rows: bool = False) -> Plan[Any]:
    """A plan of one statement; `?` stands for a value on both backends."""
    text = text if compiler.backend == "sqlite" else text.replace("?", "%s")
    writes = not text.lower().startswith("select")
    reply = yield Command(text, values, returns_rows=rows or not writes, writes=writes)
    return reply.rows if rows or not writes else reply.count


class Table:
    """A table with one column, in the world of the test."""

    def __init__(self, world: World) -> None:
        self.world = world

    @property
    def database(self) -> Any:
        return databases["default"]

    def send(self, text: str, *values: object) -> Any:
        return self.world.call(self.database, "run", sql, text, *values)

    def add(self, number: int) -> None:
        assert self.send("insert into t (id) values (?)", number) == 1

    def all(self) -> list[int]:
        return [row[0] for row in self.send("select id from t order by id")]


@pytest.fixture
def table(configured: str, world: World) -> Table:
    table = Table(world)
    table.send("create table t (id integer primary key)")
    return table


@pytest.fixture
def accounts(configured: str, world: World) -> Accounts:
    return Accounts(world)
