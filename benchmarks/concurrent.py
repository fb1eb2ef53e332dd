"""Many gets by key at a time through a pool of PostgreSQL connections: by tasks, by threads, with more connections.

A part of `curves.py`. Bare psycopg_pool is what the others are compared with; each peer is pooled as its documentation
has it, and every get borrows and gives back.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

POOL = 10
"""Connections, where the curve is not about them."""

TASKS = 50
"""Tasks at a time, where the curve is about connections."""

GETS = 2_000  # by all tasks or threads of a point together
AT_A_TIME = {
    "tasks": (1, 2, 5, 10, 20, 50, 100, 200),
    "threads": (1, 2, 4, 8, 16, 32),
    "connections": (1, 2, 5, 10, 20, 50),
}
"""The curves, and their points."""
CONCURRENT = {
    "tasks": ("psycopg_pool", "asyncpg", "datalayer", "sqlalchemy", "tortoise", "piccolo"),
    "threads": ("psycopg_pool", "datalayer", "sqlalchemy", "django", "peewee"),
    "connections": ("psycopg_pool", "asyncpg", "datalayer", "sqlalchemy", "tortoise", "piccolo"),
}
"""Who takes part. Bare psycopg_pool first: the others are compared with it."""

SELECT = "SELECT id, timestamp, level, text FROM journal WHERE id = "
SIZE = 1_000


async def tasks(name: str, url: str, count: int, size: int) -> tuple[float, list[float]]:
    """Gets by key by so many tasks at a time through so many connections: seconds of all, and of each."""
    get, close = await ASYNC[name](url, size)
    waits: list[float] = []

    async def work(number: int) -> None:
        for turn in range(max(GETS // count, 5)):
            began = time.perf_counter()
            await get(1 + (number * 7 + turn) % SIZE)
            waits.append(time.perf_counter() - began)

    await asyncio.gather(*[work(number) for number in range(min(count, size) * 2)])
    waits.clear()
    gc.collect()
    began = time.perf_counter()
    await asyncio.gather(*[work(number) for number in range(count)])
    seconds = time.perf_counter() - began
    await close()
    return seconds, waits


def in_threads(name: str, url: str, count: int, size: int) -> tuple[float, list[float]]:
    """The same by threads."""
    get, close = BLOCKING[name](url, size)
    waits: list[float] = []
    barrier = threading.Barrier(count + 1)

    def work(number: int) -> None:
        get(1)
        own: list[float] = []
        barrier.wait()
        for turn in range(max(GETS // count, 5)):
            began = time.perf_counter()
            get(1 + (number * 7 + turn) % SIZE)
            own.append(time.perf_counter() - began)
        waits.extend(own)

    every = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in every:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    for thread in every:
        thread.join()
    seconds = time.perf_counter() - began
    close()
    return seconds, waits


Get = Callable[[int], Any]
AGet = Callable[[int], Awaitable[Any]]


def ours(url: str, size: int) -> Any:
    from benchmarks.models import journal
    from datalayer import configure

    configure(databases={"default": {"url": url, "pool": {"max_size": size}}})
    return journal(1)


async def async_datalayer(url: str, size: int) -> tuple[AGet, AGet]:
    from datalayer import pools

    model = ours(url, size)
    return lambda key: model.objects.aget(id=key), pools.aclose_all


async def async_psycopg(url: str, size: int) -> tuple[AGet, Any]:
    from psycopg_pool import AsyncConnectionPool

    pool: Any = AsyncConnectionPool(url, min_size=1, max_size=size, open=False, kwargs={"autocommit": True})
    await pool.open(wait=True)

    async def get(key: int) -> Any:
        async with pool.connection() as connection:
            cursor = connection.cursor(binary=True)
            await cursor.execute(SELECT + "%s", (key,), prepare=True)
            return await cursor.fetchone()

    return get, pool.close


async def async_asyncpg(url: str, size: int) -> tuple[AGet, Any]:
    import asyncpg

    pool: Any = await asyncpg.create_pool(url, min_size=1, max_size=size)
    return lambda key: pool.fetchrow(SELECT + "$1", key), pool.close


async def async_sqlalchemy(url: str, size: int) -> tuple[AGet, Any]:
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    from benchmarks.targets.sqlalchemy_orm import Target
    from benchmarks.targets.sqlalchemy_tables import AUTOCOMMIT, address

    engine = create_async_engine(
        address(url), pool_size=size, max_overflow=0, connect_args={"prepare_threshold": 0}, **AUTOCOMMIT
    )
    model = Target.declared(Target.__new__(Target), 1)

    async def get(key: int) -> Any:
        async with AsyncSession(engine) as session:
            return await session.get(model, key)

    return get, engine.dispose


async def async_tortoise(url: str, size: int) -> tuple[AGet, Any]:
    from benchmarks.targets.tortoise_orm import Target

    target = Target(url, 1, connections=size)
    await target.open()
    return lambda key: target.model.get(id=key), target.close


async def async_piccolo(url: str, size: int) -> tuple[AGet, Any]:
    from benchmarks.targets.piccolo_orm import Target

    target = Target(url, 1)
    await target.engine.start_connection_pool(min_size=1, max_size=size)
    model = target.model
    return lambda key: model.objects().get(model.id == key), target.close


def blocking_datalayer(url: str, size: int) -> tuple[Get, Any]:
    from datalayer import pools

    model = ours(url, size)
    return lambda key: model.objects.get(id=key), pools.close_all


def blocking_psycopg(url: str, size: int) -> tuple[Get, Any]:
    from psycopg_pool import ConnectionPool

    pool: Any = ConnectionPool(url, min_size=1, max_size=size, open=True, kwargs={"autocommit": True})

    def get(key: int) -> Any:
        with pool.connection() as connection:
            cursor = connection.cursor(binary=True)
            return cursor.execute(SELECT + "%s", (key,), prepare=True).fetchone()

    return get, pool.close


def blocking_sqlalchemy(url: str, size: int) -> tuple[Get, Any]:
    from sqlalchemy import orm

    from benchmarks.targets.sqlalchemy_orm import Target
    from benchmarks.targets.sqlalchemy_tables import AUTOCOMMIT
    from benchmarks.targets.sqlalchemy_tables import engine as made

    engine = made(url, pool_size=size, max_overflow=0, **AUTOCOMMIT)
    model = Target.declared(Target.__new__(Target), 1)

    def get(key: int) -> Any:
        with orm.Session(engine) as session:
            return session.get(model, key)

    return get, engine.dispose


def blocking_django(url: str, size: int) -> tuple[Get, Any]:
    from benchmarks.targets.django_orm import Target, database

    settings = database(url) | {"CONN_MAX_AGE": 0}
    settings["OPTIONS"] |= {"pool": {"min_size": 1, "max_size": size}}
    target = Target(url, 1, settings)
    from django.db import connection

    def get(key: int) -> Any:
        try:
            return target.model.objects.get(pk=key)
        finally:
            connection.close()  # gives it back to the pool, as the end of a request does

    return get, connection.close_pool


def blocking_peewee(url: str, size: int) -> tuple[Get, Any]:
    from playhouse.postgres_ext import PooledPsycopg3Database

    from benchmarks.targets.peewee_orm import Target

    database = PooledPsycopg3Database(url, max_connections=size, timeout=0, prepare_threshold=0)
    target = Target(url, 1, database)
    database.close()

    def get(key: int) -> Any:
        with database.connection_context():
            return target.model.get_by_id(key)

    return get, database.close_all


ASYNC: dict[str, Any] = {
    "psycopg_pool": async_psycopg,
    "asyncpg": async_asyncpg,
    "datalayer": async_datalayer,
    "sqlalchemy": async_sqlalchemy,
    "tortoise": async_tortoise,
    "piccolo": async_piccolo,
}
BLOCKING: dict[str, Any] = {
    "psycopg_pool": blocking_psycopg,
    "datalayer": blocking_datalayer,
    "sqlalchemy": blocking_sqlalchemy,
    "django": blocking_django,
    "peewee": blocking_peewee,
}


def concurrent(kind: str, name: str, url: str, count: int) -> dict[str, float]:
    """Gets a second, and the 99th percentile of their time in milliseconds."""
    if kind == "threads":
        seconds, waits = in_threads(name, url, count, POOL)
    else:
        many, size = (TASKS, count) if kind == "connections" else (count, POOL)
        import uvloop  # as asyncpg, Tortoise and Piccolo advise; for all who await

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            seconds, waits = runner.run(tasks(name, url, many, size))
    return {"throughput": len(waits) / seconds, "p99": statistics.quantiles(waits, n=100)[98] * 1e3}


def fill(url: str) -> None:
    """The rows that tasks and threads get."""
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute(
            "CREATE TABLE journal (id integer PRIMARY KEY, timestamp timestamptz NOT NULL, level integer NOT NULL, "
            "text varchar(255) NOT NULL)"
        )
        connection.execute(
            f"INSERT INTO journal SELECT i, now(), i % 50, 'message ' || i FROM generate_series(1, {SIZE}) i"
        )
