from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from pooling_fakes import AsyncFakeConnector

from datalayer.errors import DoubleRelease, ForeignLease, PoolClosed, PoolDeadlock, PoolTimeout, WrongEventLoop
from datalayer.pooling import AsyncNullPool, AsyncPool, PoolConfig
from datalayer.pooling.waiting import PORTION


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


async def settle(rounds: int = 10) -> None:
    for _ in range(rounds):
        await asyncio.sleep(0)


def test_lends_by_with_and_by_await() -> None:
    async def work() -> None:
        connector = AsyncFakeConnector()
        async with AsyncPool(connector) as pool:
            async with pool.acquire() as conn:
                assert conn.number == 1
            lease = await pool.acquire()
            assert lease.conn is conn
            await lease.release()
            with pytest.raises(DoubleRelease):
                await lease.release()
        assert connector.closed == 1

    run(work)


def test_timeout_names_the_task() -> None:
    async def work() -> None:
        async with AsyncPool(AsyncFakeConnector(), PoolConfig(max_size=1, on_deadlock="ignore")) as pool:
            lease = await pool.acquire()
            with pytest.raises(PoolTimeout) as caught:
                await pool.acquire(timeout=0)
            assert caught.value.reason == "exhausted"
            assert "task" in caught.value.holders[0]
            await lease.release()

    run(work)


@pytest.mark.parametrize("kind", [AsyncPool, AsyncNullPool])
def test_foreign_entry_is_refused(kind: type[AsyncPool[Any]]) -> None:
    async def work() -> None:
        async with kind(AsyncFakeConnector()) as ours, kind(AsyncFakeConnector()) as theirs:
            lease = await theirs.acquire()
            assert lease._entry is not None
            with pytest.raises(ForeignLease, match="own pool"):
                await ours.release_entry(lease._entry)
            assert (ours.stats().in_use, theirs.stats().in_use) == (0, 1)
            await lease.release()

    run(work)


def test_self_deadlock_is_found() -> None:
    async def work() -> None:
        async with AsyncPool(AsyncFakeConnector(), PoolConfig(max_size=1)) as pool, pool.acquire():
            with pytest.raises(PoolDeadlock):
                await pool.acquire()

    run(work)


def test_cancelled_in_the_queue_leaves_it(identities: Any) -> None:
    async def work() -> None:
        async with AsyncPool(AsyncFakeConnector(), PoolConfig(max_size=1)) as pool:
            lease = await pool.acquire()
            task = asyncio.ensure_future(pool.acquire())
            await settle()
            assert pool.stats().waiting == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert pool.stats().waiting == 0
            await lease.release()
            identities(pool.stats())
            assert pool.stats().idle == 1

    run(work)


def test_cancelled_in_the_tick_of_delivery_gives_back(identities: Any) -> None:
    async def work() -> None:
        async with AsyncPool(AsyncFakeConnector(), PoolConfig(max_size=1)) as pool:
            lease = await pool.acquire()
            task = asyncio.ensure_future(pool.acquire())
            await settle()
            await lease.release()  # hands over to the waiting task
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            identities(pool.stats())
            assert pool.stats().idle == 1
            assert pool.stats().acquires_cancelled == 1

    run(work)


def test_cancelled_while_connecting_keeps_the_connection() -> None:
    async def work() -> None:
        connector = AsyncFakeConnector()
        gate = connector.gates["connect"] = asyncio.Event()
        async with AsyncPool(connector) as pool:
            task = asyncio.ensure_future(pool.acquire())
            await settle()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            gate.set()
            await settle()
            assert pool.stats().idle == 1

    run(work)


@pytest.mark.parametrize("step", ["ping", "reset"])
def test_cancelled_in_ping_or_reset_discards(step: str, identities: Any) -> None:
    async def work() -> None:
        connector = AsyncFakeConnector()
        async with AsyncPool(connector) as pool:
            async with pool.acquire():
                pass
            gate = asyncio.Event()

            async def use() -> None:
                async with pool.acquire():
                    pass

            connector.gates[step] = gate
            task = asyncio.ensure_future(use())
            await settle()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            gate.set()
            await settle()
            identities(pool.stats())
            assert pool.stats().size == 0
            assert connector.closed == 1

    run(work)


def test_cancel_storm(identities: Any) -> None:
    async def work() -> None:
        async with AsyncPool(AsyncFakeConnector(), PoolConfig(max_size=1)) as pool:
            lease = await pool.acquire()
            tasks = [asyncio.ensure_future(pool.acquire(timeout=None)) for _ in range(2000)]
            await settle(3)
            assert pool.stats().waiting == 2000
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert pool.stats().waiting == 0
            await lease.release()
            identities(pool.stats())

    run(work)


def test_cancelled_crowd_leaves_in_portions_so_that_others_get_their_turn(identities: Any) -> None:
    async def work() -> None:
        async with AsyncPool(AsyncFakeConnector(), PoolConfig(max_size=1)) as pool:
            lease = await pool.acquire()
            tasks = [asyncio.ensure_future(pool.acquire(timeout=None)) for _ in range(20 * PORTION)]
            await settle(3)
            for task in tasks:
                task.cancel()
            left, most = len(tasks), 0
            while left:
                await asyncio.sleep(0)
                now = sum(not task.done() for task in tasks)
                left, most = now, max(most, left - now)
            assert 0 < most <= 2 * PORTION
            assert all(task.cancelled() for task in tasks)
            await lease.release()
            identities(pool.stats())
            assert pool.stats().acquires_cancelled == len(tasks)

    run(work)


def test_nobody_on_the_way_out_is_served_before_those_who_wait(identities: Any) -> None:
    async def work() -> None:
        async with AsyncPool(AsyncFakeConnector(), PoolConfig(max_size=1)) as pool:
            lease = await pool.acquire()
            crowd = [asyncio.ensure_future(pool.acquire(timeout=None)) for _ in range(10 * PORTION)]
            last = asyncio.ensure_future(pool.acquire(timeout=None))
            await settle(3)
            for task in crowd:
                task.cancel()
            await lease.release()
            await settle(3)
            assert last.done()  # while most of the crowd is still there
            assert not crowd[-1].done()
            await (await last).release()
            assert all(isinstance(one, asyncio.CancelledError) for one in await gathered(crowd))
            identities(pool.stats())
            assert (pool.stats().acquires_cancelled, pool.stats().idle) == (len(crowd), 1)

    run(work)


def test_cancellation_is_not_lost_to_a_pool_that_is_closed_meanwhile(identities: Any) -> None:
    async def work() -> None:
        pool = AsyncPool(AsyncFakeConnector(), PoolConfig(max_size=1))
        lease = await pool.acquire()
        crowd = [asyncio.ensure_future(pool.acquire(timeout=None)) for _ in range(3 * PORTION)]
        await settle(3)
        for task in crowd:
            task.cancel()
        await lease.release()
        await pool.close()
        assert all(isinstance(one, asyncio.CancelledError) for one in await gathered(crowd))
        identities(pool.stats())

    run(work)


async def gathered(tasks: list[asyncio.Future[Any]]) -> list[object]:
    return list(await asyncio.gather(*tasks, return_exceptions=True))


@pytest.mark.parametrize("seed", range(5))
def test_random_cancels_never_lose_a_connection(seed: int, identities: Any) -> None:
    async def work() -> None:
        rng = random.Random(seed)
        connector = AsyncFakeConnector()
        async with AsyncPool(connector, PoolConfig(max_size=3)) as pool:

            async def use() -> None:
                async with pool.acquire(timeout=None):
                    for _ in range(rng.randrange(3)):
                        await asyncio.sleep(0)

            tasks = {asyncio.ensure_future(use()) for _ in range(50)}
            while tasks:
                await asyncio.sleep(0)
                rng.choice(sorted(tasks, key=id)).cancel()
                tasks = {task for task in tasks if not task.done()}
                identities(pool.stats())
            await settle()
            stats = pool.stats()
            assert (stats.in_use, stats.testing, stats.waiting) == (0, 0, 0)
            async with pool.acquire(timeout=1):
                pass
        assert connector.closed == len(connector.made)

    run(work)


def test_another_loop_is_refused_while_the_first_one_lives() -> None:
    pool = AsyncPool(AsyncFakeConnector())

    async def use() -> None:
        async with pool.acquire():
            pass

    first = asyncio.new_event_loop()
    first.run_until_complete(use())
    with pytest.raises(WrongEventLoop, match="another event loop"):
        asyncio.run(use())
    first.run_until_complete(pool.close())
    first.close()


def test_pool_moves_on_when_its_loop_is_closed() -> None:
    connector = AsyncFakeConnector()
    pool = AsyncPool(connector)

    async def use() -> None:
        async with pool.acquire():
            pass

    async def use_and_close() -> None:
        await use()
        await pool.close()

    asyncio.run(use())
    asyncio.run(use_and_close())
    assert len(connector.made) == connector.closed == 2


def test_close_fails_the_queue() -> None:
    async def work() -> None:
        pool = await AsyncPool(AsyncFakeConnector(), PoolConfig(max_size=1)).open()
        lease = await pool.acquire()
        task = asyncio.ensure_future(pool.acquire())
        await settle()
        report = await pool.close(timeout=0, force=False)
        with pytest.raises(PoolClosed):
            await task
        assert len(report.leftovers) == 1
        await lease.release()
        await settle()

    run(work)


def test_min_idle() -> None:
    async def work() -> None:
        async with await AsyncPool(AsyncFakeConnector(), PoolConfig(min_idle=3)).open(wait=True) as pool:
            assert pool.stats().idle == 3

    run(work)
