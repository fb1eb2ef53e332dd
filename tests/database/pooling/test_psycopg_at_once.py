"""An idle connection of psycopg-pool, which is lent and kept in few steps."""

from __future__ import annotations

import time
from typing import Any

import psycopg_pool
import pytest

from datalayer.pooling import PoolConfig
from datalayer.pooling.psycopg import AsyncPsycopgPool, PsycopgPool
from tests.worlds import World


class Interrupted(BaseException):
    """As Ctrl-C."""


def refuse(*_: Any, **__: Any) -> Any:
    raise AssertionError("psycopg-pool was asked for what is idle")


class Clock:
    """The clock of the machine, which fails once when it is told to."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def __call__(self) -> float:
        if self.errors:
            raise self.errors.pop()
        return time.monotonic()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(world: World, postgresql_url: str, clock: Clock) -> Any:
    kind: Any = AsyncPsycopgPool if world.is_async else PsycopgPool
    made = kind(postgresql_url, PoolConfig(max_size=2, test_bypass=60), clock=clock)
    yield made
    world.run(lambda: made.close(), lambda: made.close())


def lent(world: World, pool: Any) -> Any:
    return world.run(lambda: pool.acquire(), lambda: pool.acquire())


def give_back(world: World, lease: Any) -> None:
    world.run(lambda: lease.release(), lambda: lease.release())


def test_psycopg_pool_is_not_asked_for_an_idle_connection_nor_to_take_it_back(
    world: World, pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = lent(world, pool)
    number = first.id
    give_back(world, first)
    for kind in (psycopg_pool.ConnectionPool, psycopg_pool.AsyncConnectionPool):
        monkeypatch.setattr(kind, "getconn", refuse)
        monkeypatch.setattr(kind, "putconn", refuse)
    second = lent(world, pool)
    assert second.id == number
    give_back(world, second)
    stats = pool.stats()
    assert (stats.idle, stats.acquires_started, stats.acquires_waited) == (1, 2, 1)


def test_a_connection_left_in_a_transaction_is_clean_when_it_is_lent_again(world: World, pool: Any) -> None:
    lease = lent(world, pool)
    link = lease.conn
    world.run(lambda: link.raw.execute("BEGIN"), lambda: link.raw.execute("BEGIN"))
    assert not link.is_clean
    give_back(world, lease)
    again = lent(world, pool)
    assert again.conn is link
    assert link.is_clean
    give_back(world, again)


def test_a_stale_idle_connection_is_not_lent_at_once(world: World, pool: Any) -> None:
    lease = lent(world, pool)
    number = lease.id
    give_back(world, lease)
    with pool._mutex:
        pool._ledger.generation += 1  # as `invalidate` does, before it has drained what is idle
    again = lent(world, pool)
    assert again.id != number
    give_back(world, again)
    assert pool.stats().closed_stale == 1


def test_an_interrupt_between_taking_and_lending_loses_no_connection(world: World, pool: Any, clock: Clock) -> None:
    lease = lent(world, pool)
    number = lease.id
    give_back(world, lease)
    clock.errors.append(Interrupted())  # a KeyboardInterrupt would end the loop of the test as well
    with pytest.raises(Interrupted):
        lent(world, pool)
    again = lent(world, pool)
    assert again.id == number
    give_back(world, again)
    stats = pool.stats()
    assert (stats.size, stats.idle, stats.in_use) == (1, 1, 0)


OF_ITS_POOL = {"_lock", "_pool", "_closed", "_nconns_min", "_waiting", "_pool_full_event", "_drained_at"}
OF_ITS_CONNECTIONS = {"_pool", "_created_at", "_expire_at"}


def test_psycopg_pool_has_the_private_names_that_are_read_beside_it(world: World, pool: Any) -> None:
    lease = lent(world, pool)
    missing = {name for name in OF_ITS_POOL if not hasattr(pool._home, name)}
    missing |= {name for name in OF_ITS_CONNECTIONS if not hasattr(lease.conn.raw, name)}
    give_back(world, lease)
    assert not missing, "this psycopg-pool calls them otherwise: adapt take() and keep() in psycopg/connections.py"
