"""What a pool is given is looked at when it is made, and each wrong thing is named with the way out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pooling_fakes import AsyncFakeConnector, FakeConnector

from datalayer.errors import PoolConfigError
from datalayer.pooling import AsyncPool, AsyncSQLitePool, NullPool, Pool, SQLitePool
from datalayer.pooling.psycopg import AsyncPsycopgPool, PsycopgPool

BLOCKING: dict[str, Callable[..., Any]] = {
    "generic": lambda *args, **options: Pool(FakeConnector(), *args, **options),
    "null": lambda *args, **options: NullPool(FakeConnector(), *args, **options),
    "sqlite": lambda *args, **options: SQLitePool(":memory:", *args, **options),
    "psycopg": lambda *args, **options: PsycopgPool("postgresql://nobody@127.0.0.1:1/x", *args, **options),
}
AWAITING: dict[str, Callable[..., Any]] = {
    "generic": lambda *args, **options: AsyncPool(AsyncFakeConnector(), *args, **options),
    "sqlite": lambda *args, **options: AsyncSQLitePool(":memory:", *args, **options),
    "psycopg": lambda *args, **options: AsyncPsycopgPool("postgresql://nobody@127.0.0.1:1/x", *args, **options),
}
of_all = pytest.mark.parametrize(
    "made", [*BLOCKING.values(), *AWAITING.values()], ids=[*BLOCKING, *(f"awaiting-{name}" for name in AWAITING)]
)
HOOKS = ("configure", "check", "reset", "on_close")


async def awaits(conn: object) -> None:
    pass


def gives_nothing(conn: object) -> Any:
    pass


async def lent_by(made: AsyncPool[Any]) -> object:
    async with made as pool, pool.acquire() as conn:
        return conn


@of_all
def test_what_is_not_what_it_must_be_is_named(made: Callable[..., Any]) -> None:
    for hook in HOOKS:
        with pytest.raises(PoolConfigError, match=f"{hook} is 5, which cannot be called: give a function"):
            made(**{hook: 5})
    for listeners, words in ((5, "is no list"), ([5], "cannot be called"), ([awaits], "told without awaiting")):
        with pytest.raises(PoolConfigError, match=words):
            made(listeners=listeners)
    with pytest.raises(PoolConfigError, match="clock is 5"):
        made(clock=5)
    with pytest.raises(PoolConfigError, match=r"rng=5 .* give a random\.Random"):
        made(rng=5)
    with pytest.raises(PoolConfigError, match=r"from_mapping\(\)"):
        made({"max_size": 5})
    with pytest.raises(PoolConfigError, match=r"use PoolConfig\("):
        made(5)


@pytest.mark.parametrize("made", BLOCKING.values(), ids=BLOCKING)
@pytest.mark.parametrize("hook", HOOKS)
def test_blocking_pool_refuses_a_hook_that_must_be_awaited(made: Callable[..., Any], hook: str) -> None:
    with pytest.raises(PoolConfigError, match=f"{hook}=awaits is an `async def`.*give a plain function"):
        made(**{hook: awaits})


def test_hook_that_gives_nothing_to_await_is_told_to_the_caller_at_once() -> None:
    with pytest.raises(PoolConfigError, match=r"configure=gives_nothing gave NoneType.*make it an `async def`"):
        asyncio.run(lent_by(AsyncPool(AsyncFakeConnector(), configure=gives_nothing)))


def test_check_that_gives_nothing_to_await_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def twice() -> None:
        async with AsyncPool(AsyncFakeConnector(), check=gives_nothing) as pool:
            for _ in range(2):
                await (await pool.acquire()).release()

    asyncio.run(twice())
    [said] = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    assert "replaced before it is lent: check=gives_nothing gave NoneType" in said


def test_hook_that_only_passes_on_is_awaited() -> None:
    seen: list[object] = []

    async def later(conn: object) -> None:
        seen.append(conn)

    conn = asyncio.run(lent_by(AsyncPool(AsyncFakeConnector(), configure=lambda conn: later(conn))))
    assert seen == [conn]


def test_connector_of_the_other_world_or_of_half_its_methods_is_refused() -> None:
    wrong: Any
    for wrong, words in (
        (AsyncFakeConnector(), r"connect\(\) of AsyncFakeConnector is an `async def`.*use AsyncPool"),
        (FakeConnector, "the class FakeConnector: give an object of it"),
        (None, r"NoneType, which was given as connector, has no method connect\(\)"),
    ):
        with pytest.raises(PoolConfigError, match=words):
            Pool(wrong)
    wrong = object()
    with pytest.raises(PoolConfigError, match=r"AsyncConnector in datalayer\.pooling says"):
        AsyncPool(wrong)


def test_connector_that_gives_nothing_to_await_is_told_to_the_caller_at_once() -> None:
    connector: Any = AsyncFakeConnector()
    connector.connect = object
    with pytest.raises(PoolConfigError, match=r"connect\(\) of the connector gave object"):
        asyncio.run(lent_by(AsyncPool(connector)))


@pytest.mark.parametrize("kind", [PsycopgPool, AsyncPsycopgPool])
def test_address_must_be_a_text_or_a_function(kind: Any) -> None:
    with pytest.raises(PoolConfigError, match="conninfo is of type int: give a url"):
        kind(5)
