"""The targets: one module for each library, written the way its documentation recommends for speed.

A target is a class with the operations A to K as methods (`Target`); those of an awaiting library are coroutines, and
the worker awaits them. `NAME` and `NAME-10` (ten tasks at a time) name it on the command line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import Any, Protocol

from benchmarks.rows import Row

MODULES = {
    "raw": "raw",
    "datalayer": "ours",
    "datalayer-async": "ours_async",
    "django": "django_orm",
    "sqlalchemy": "sqlalchemy_orm",
    "sqlalchemy-core": "sqlalchemy_core",
    "sqlmodel": "sqlmodel_orm",
    "peewee": "peewee_orm",
    "pony": "pony_orm",
    "tortoise": "tortoise_orm",
    "piccolo": "piccolo_orm",
}


class Target(Protocol):
    """What a target can do; `rows` are tuples in the order of `rows.names(model)`, keys are integers."""

    def insert_each(self, rows: Sequence[Row], *, is_one_transaction: bool) -> Any:
        """A and B: one statement for each row, in a transaction for each or in one for all."""

    def bulk(self, rows: Sequence[Row]) -> Any:
        """C: all rows by the fastest way there is."""

    def everything(self) -> Any:
        """D: all rows as instances, by key."""

    def pages(self, offsets: Sequence[int]) -> Any:
        """E: for each offset the twenty rows from there on, by key; all of them in one list."""

    def get(self, keys: Sequence[int]) -> Any:
        """F: the instance of each key."""

    def dicts(self) -> Any:
        """G: all rows as dicts, by key."""

    def tuples(self) -> Any:
        """H: all rows as tuples, by key."""

    def load(self, first: int, count: int) -> Any:
        """Not timed: the instances of a number of keys from one on, for I, J and K."""

    def change_all(self, objects: Sequence[Any], rows: Sequence[Row]) -> Any:
        """I: every field of each object and save, in one transaction."""

    def change_one(self, objects: Sequence[Any], levels: Sequence[int]) -> Any:
        """J: the level of each object and save, in one transaction."""

    def delete_each(self, objects: Sequence[Any]) -> Any:
        """K: each object, in one transaction."""

    def plain(self, found: Sequence[Any]) -> list[Row]:
        """Not timed: instances (or rows) as tuples with the key first."""


def make(name: str, url: str, model: int) -> Target:
    """The target of that name, with an empty table of a model."""
    library, _, tasks = name.rpartition("-")
    is_many = tasks.isdigit()
    module = import_module(f"benchmarks.targets.{MODULES[library if is_many else name]}")
    target: Target = module.Target(url, model, **({"tasks": int(tasks)} if is_many else {}))
    return target


def loop(name: str, url: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop of a target: uvloop's, as those that await advise."""
    library = name.partition("-")[0]
    if library == "piccolo" and url.startswith("sqlite"):
        return None  # there each statement has a thread of its own, which asyncio's loop hears of sooner
    if library not in ("tortoise", "piccolo") and "-async" not in name:
        return None
    import uvloop

    return uvloop.new_event_loop


async def spread(tasks: int, items: Sequence[Any], work: Callable[[Sequence[Any]], Awaitable[list[Any]]]) -> list[Any]:
    """Work on items by a number of tasks at a time, each its part; the results in order."""
    if tasks == 1:
        return await work(items)
    size = -(-len(items) // tasks)
    parts = await asyncio.gather(*[work(items[start : start + size]) for start in range(0, len(items), size)])
    return [found for part in parts for found in part]
