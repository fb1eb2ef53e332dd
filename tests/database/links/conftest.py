"""A link of each backend and world, with the same words for both worlds."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from datalayer._links import run as runners
from datalayer._links.sqlite import aconnect_sqlite, connect_sqlite
from datalayer._plans.plan import Command, Plan, Reply
from tests.worlds import World, collect


class LinkDriver:
    """Speaks with a link of either world and backend; SQL is written with `?`."""

    def __init__(self, url: str, world: World, **options: Any) -> None:
        self.url = url
        self.world = world
        self.options = options
        self.is_sqlite = url.startswith(("sqlite", "file:"))
        self.link: Any = self._connect()

    def _connect(self) -> Any:
        if self.is_sqlite:
            path = self.url.removeprefix("sqlite:///")
            return self.world.run(
                lambda: connect_sqlite(path, **self.options), lambda: aconnect_sqlite(path, **self.options)
            )
        from datalayer._links.postgresql import aconnect_postgresql, connect_postgresql

        return self.world.run(
            lambda: connect_postgresql(self.url, **self.options), lambda: aconnect_postgresql(self.url, **self.options)
        )

    def command(self, sql: str, *params: object, **options: Any) -> Command:
        return Command(sql if self.is_sqlite else sql.replace("?", "%s"), params, **options)

    def do(self, method: str, *args: Any) -> Any:
        """Calls or awaits a method of the link."""
        return self.world.run(lambda: getattr(self.link, method)(*args), lambda: getattr(self.link, method)(*args))

    def execute(self, sql: str, *params: object) -> Reply:
        reply: Reply = self.do("execute", self.command(sql, *params, returns_rows=False, writes=True))
        return reply

    def rows(self, sql: str, *params: object) -> list[Any]:
        rows: list[Any] = self.do("execute", self.command(sql, *params)).rows
        return rows

    def insert(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        for row in rows:
            self.execute(sql, *row)

    def stream(self, sql: str, *params: object, size: int) -> list[list[Any]]:
        command = self.command(sql, *params)
        return self.world.run(
            lambda: list(self.link.stream(command, size)), lambda: collect(self.link.stream(command, size))
        )

    def run(self, plan: Plan[Any]) -> Any:
        return self.world.run(lambda: runners.run(plan, self.link), lambda: runners.arun(plan, self.link))

    def close(self) -> None:
        if not self.link.is_broken:
            self.do("close")


class Connect:
    """Makes links to the database of the test and closes them after it."""

    def __init__(self, url: str, world: World) -> None:
        self.url = url
        self.world = world
        self.made: list[LinkDriver] = []

    def __call__(self, url: str | None = None, **options: Any) -> LinkDriver:
        driver = LinkDriver(url or self.url, self.world, **options)
        self.made.append(driver)
        return driver


@pytest.fixture
def connect(database_url: str, world: World) -> Iterator[Connect]:
    made = Connect(database_url, world)
    yield made
    for driver in made.made:
        driver.close()
    made.made.clear()
    gc.collect()


@pytest.fixture
def link(connect: Connect) -> LinkDriver:
    return connect()
