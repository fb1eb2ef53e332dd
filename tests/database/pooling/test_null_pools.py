"""Pools that keep nothing, where they are not as other pools are: the rest is in test_conformance.py."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from datalayer.errors import PoolConfigError, PoolFull, PoolTimeout
from tests.database.pooling.conftest import Maker
from tests.database.pooling.scripts import Script, Until, call, play
from tests.worlds import World

pytestmark = pytest.mark.parametrize("make", ["null"], indirect=True)


def test_returned_connection_is_closed(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        for _ in range(2):
            lease = yield pool.acquire
            yield lease.release
            assert (pool.stats().size, pool.stats().idle) == (0, 0)

    play(world, script())
    assert (pool.stats().connections_opened, pool.stats().closed_max_uses) == (2, 2)


def test_connection_of_a_caller_who_gave_up_is_closed(make: Maker, world: World) -> None:
    gate: Any = asyncio.Event() if world.is_async else threading.Event()

    async def aconfigure(_link: Any) -> None:
        await gate.wait()

    def configure(_link: Any) -> None:
        gate.wait(5.0)

    pool = make(hooks={"configure": aconfigure if world.is_async else configure})

    def script() -> Script:
        with pytest.raises(PoolTimeout, match="connecting"):
            yield call(pool.acquire, timeout=0.01)
        gate.set()
        yield Until(lambda: pool.stats().connections_opened == 1 and not pool.stats().opening)
        yield Until(lambda: pool.stats().size == 0)

    play(world, script())
    assert pool.stats().closed_surplus == 1


def test_there_is_never_one_to_be_had_without_opening(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        lease = yield pool.acquire
        yield lease.release
        assert (yield pool.try_acquire) is None
        assert ((yield pool.check).checked, (yield pool.drain)) == (0, 0)

    play(world, script())


def test_no_limit_is_a_size_of_0(make: Maker, world: World) -> None:
    pool = make(max_size=1, on_deadlock="ignore")

    def script() -> Script:
        first = yield pool.acquire
        with pytest.raises(PoolTimeout, match="exhausted"):
            yield call(pool.acquire, timeout=0)
        yield call(pool.resize, max_size=0)
        second = yield pool.acquire
        yield first.release
        yield second.release

    play(world, script())


@pytest.mark.parametrize("option", ["min_idle", "max_uses"])
def test_option_that_means_keeping_is_refused(make: Maker, world: World, option: str) -> None:
    with pytest.raises(PoolConfigError, match=rf"{option}=2 .*keeps no connection: leave it out, or use Pool"):
        make(None, **{option: 2})


def test_resize_does_not_make_it_keep(make: Maker, world: World) -> None:
    pool = make(max_size=3)

    def script() -> Script:
        with pytest.raises(PoolConfigError, match="min_idle=1 is not possible"):
            yield call(pool.resize, min_idle=1)

    play(world, script())
    assert (pool.config.min_idle, pool.stats().min_idle) == (0, 0)


def test_added_connection_stays_with_the_caller(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        link = yield pool.dedicated
        with pytest.raises(PoolFull, match=r"keeps no connection.*stays with you") as caught:
            yield call(pool.add, link)
        assert caught.value.connection is link
        assert not link.is_broken
        yield link.close

    play(world, script())
