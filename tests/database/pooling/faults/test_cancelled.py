"""Tasks cancelled and threads interrupted at every point of a lease: numbers 9 to 14 of docs/pools-faults.md."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Generator
from typing import Any

import pytest

from datalayer._plans.plan import Command
from datalayer.errors import PoolTimeout
from tests.database.pooling.conftest import Maker, adds_up
from tests.database.pooling.scripts import Cancel, Join, Script, Spawn, Until, call, play
from tests.tcp_proxy import Proxy
from tests.worlds import AwaitingWorld, World

AWAITING = pytest.mark.parametrize("world", ["awaiting"], indirect=True)


def borrow(pool: Any) -> Script:
    lease = yield call(pool.acquire, 10.0)
    reply = yield call(lease.conn.execute, Command("select pg_backend_pid()"))
    yield lease.release
    return reply.rows[0][0]


def cancelled(handle: Any) -> Script:
    yield Cancel(handle)
    with pytest.raises(asyncio.CancelledError):
        yield Join(handle)


def is_clean(pool: Any) -> bool:
    stats = pool.stats()
    adds_up(stats)
    return (stats.in_use, stats.waiting, stats.testing, stats.opening) == (0, 0, 0, 0)


@AWAITING
def test_cancelled_in_the_queue_leaves_it_and_the_next_one_is_served(make: Maker, world: World) -> None:
    pool = make(max_size=1)

    def script() -> Script:
        lease = yield pool.acquire
        first = yield Spawn(borrow(pool))
        yield Until(lambda: pool.stats().waiting == 1)
        second = yield Spawn(borrow(pool))
        yield Until(lambda: pool.stats().waiting == 2)
        yield from cancelled(first)
        assert pool.stats().waiting == 1
        yield lease.release
        yield Join(second)

    play(world, script())
    assert pool.stats().acquires_cancelled == 1
    assert is_clean(pool)


@AWAITING
def test_cancelled_in_the_moment_of_delivery_gives_the_connection_back(make: Maker, world: World) -> None:
    pool = make(max_size=1)
    pids: list[int] = []

    async def script() -> None:
        lease = await pool.acquire()
        pids.append(lease.conn.raw.info.backend_pid)
        waiter = asyncio.create_task(take())
        while not pool.stats().waiting:
            await asyncio.sleep(0)
        await lease.release()  # waits for nothing: the waiter has been woken, and has not run
        assert not waiter.done()
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        async with pool.acquire() as link:
            pids.append(link.raw.info.backend_pid)

    async def take() -> None:
        async with pool.acquire():
            pytest.fail("it was cancelled")

    world.run(lambda: None, script)
    assert pids[0] == pids[1]
    assert is_clean(pool)


@AWAITING
def test_cancelled_while_the_pool_connects_for_it_leaves_the_connection_to_the_pool(
    make: Maker, world: World, proxy: Proxy
) -> None:
    pool = make()

    def script() -> Script:
        proxy.freeze()
        waiter = yield Spawn(borrow(pool))
        yield Until(lambda: pool.stats().opening == 1)
        yield from cancelled(waiter)
        proxy.thaw()
        yield Until(lambda: pool.stats().idle == 1)
        yield from borrow(pool)

    play(world, script())
    assert pool.stats().connections_opened == 1
    assert is_clean(pool)


@AWAITING
def test_cancelled_in_its_ping_throws_the_connection_away(make: Maker, world: World, proxy: Proxy) -> None:
    pool = make()

    def script() -> Script:
        pid = yield from borrow(pool)
        proxy.freeze()
        waiter = yield Spawn(borrow(pool))
        yield Until(lambda: pool.stats().testing == 1)
        yield from cancelled(waiter)
        yield Until(lambda: pool.stats().closed_invalid == 1)
        proxy.thaw()
        assert (yield from borrow(pool)) != pid

    play(world, script())
    assert pool.stats().closed_invalid == 1
    assert is_clean(pool)


@AWAITING
def test_cancelled_while_its_broken_connection_is_closed_frees_the_place(make: Maker, world: World) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(link: Any) -> None:
        begun.set()
        await go_on.wait()

    pool = make(max_size=1, hooks={"reset": fails, "on_close": slowly})

    async def give_back() -> None:
        await (await pool.acquire()).release()

    async def script() -> None:
        giving = asyncio.create_task(give_back())
        await asyncio.wait_for(begun.wait(), 10.0)
        giving.cancel()
        await asyncio.wait([giving])
        go_on.set()
        await (await pool.acquire(10.0)).release()

    world.run(lambda: None, script)
    assert pool.stats().closed_reset_failed == 2
    assert is_clean(pool)


@AWAITING
@pytest.mark.parametrize("make", ["postgresql-psycopg"], indirect=True)
def test_cancelled_while_it_waits_to_give_back_frees_the_place(make: Maker, world: World) -> None:
    pool = make(max_size=1)

    async def script() -> None:
        lease = await pool.acquire()
        lock = lease._entry.home._lock  # of psycopg-pool, which everybody takes who gives back
        async with lock:
            giving = asyncio.create_task(lease.release())
            while not lock._waiters:
                await asyncio.sleep(0)
            giving.cancel()
            await asyncio.sleep(0)
        await asyncio.wait([giving])
        await (await pool.acquire(10.0)).release()

    world.run(lambda: None, script)
    assert is_clean(pool)


def fails(link: Any) -> None:
    raise ValueError("not clean")


@pytest.mark.parametrize(("hook", "reason"), [("check", "invalid"), ("reset", "reset_failed")])
def test_interrupted_in_a_hook_throws_the_connection_away(make: Maker, world: World, hook: str, reason: str) -> None:
    stop: type[BaseException] = asyncio.CancelledError if world.is_async else KeyboardInterrupt
    left = [1]

    def interrupt(link: Any) -> None:
        if left:
            left.pop()
            raise stop

    pool = make(max_size=1, hooks={hook: interrupt})

    def twice() -> Script:
        yield from borrow(pool)
        yield from borrow(pool)

    def script() -> Script:
        with pytest.raises(stop):
            yield from twice()
        yield Until(lambda: getattr(pool.stats(), f"closed_{reason}") == 1)
        yield from borrow(pool)  # its place is free again

    play(world, script())
    assert is_clean(pool)


def test_interrupted_in_configure_frees_the_place_and_is_tried_again(make: Maker, world: World) -> None:
    left = [1]

    def interrupt(link: Any) -> None:
        if left:
            left.pop()
            raise SystemExit(1) if not world.is_async else ValueError("no")

    pool = make(max_size=1, backoff_initial=0.01, hooks={"configure": interrupt})
    play(world, borrow(pool))
    assert pool.stats().closed_configure_failed == 1
    assert is_clean(pool)


# -- cancelled anywhere --------------------------------------------------------------------------


class Stepper:
    """Awaits a coroutine, and cancels it at the n-th time it would wait."""

    def __init__(self, work: Coroutine[Any, Any, Any], at: int) -> None:
        self.work = work
        self.at = at
        self.steps = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Any = self.work.send
        value: Any = None
        while True:
            try:
                waits_for: Any = step(value)
            except StopIteration as stop:
                return stop.value
            self.steps += 1
            if self.steps == self.at:
                if waits_for is not None and hasattr(waits_for, "cancel"):
                    waits_for._asyncio_future_blocking = False
                    waits_for.cancel()
                step, value = self.work.throw, asyncio.CancelledError()
                continue
            try:
                value = yield waits_for
            except BaseException as error:
                step, value = self.work.throw, error
            else:
                step = self.work.send


@AWAITING
def test_cancelled_at_every_await_nothing_is_lost(make: Maker, world: AwaitingWorld) -> None:
    """Borrowing anew, with a ping, a query and a return: cancelled once at each point where it waits."""
    pool = make(max_size=1, on_deadlock="ignore")

    async def use() -> None:
        async with pool.acquire(10.0) as link:
            await link.execute(Command("begin", returns_rows=False))
            await link.execute(Command("select 1"))

    async def once(at: int, *, fresh: bool) -> int:
        if fresh:
            pool.invalidate()
        stepper = Stepper(use(), at)
        try:
            await stepper
        except asyncio.CancelledError:
            pass
        else:
            return -1
        async with asyncio.timeout(10):
            await use()
            while not is_clean(pool):
                await asyncio.sleep(0.001)
        return stepper.steps

    async def script() -> None:
        await use()  # so that the first one finds a connection to ping
        for fresh in (False, True):
            at = 1
            while await once(at, fresh=fresh) >= 0:
                at += 1
            assert at > 3, "it was cancelled in several places"

    world.run(lambda: None, script)
    assert is_clean(pool)


@AWAITING
def test_random_cancels_lose_nothing(make: Maker, world: World) -> None:
    pool = make(max_size=3, on_deadlock="ignore")
    chance = random.Random(7)

    async def use() -> None:
        async with pool.acquire(10.0) as link:
            await link.execute(Command("select 1"))

    async def cancel_some() -> None:
        for _ in range(40):
            tasks = [asyncio.create_task(use()) for _ in range(10)]
            for task in tasks:
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
                if chance.random() < 0.6:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(10):
            await asyncio.gather(*(use() for _ in range(6)))
            while not is_clean(pool):
                await asyncio.sleep(0.001)

    world.run(lambda: None, cancel_some)
    stats = pool.stats()
    assert stats.size <= 3
    assert is_clean(pool)


@AWAITING
def test_wait_for_is_honoured_in_time_and_loses_nothing(make: Maker, world: World) -> None:
    pool = make(max_size=1)

    async def script() -> None:
        loop = asyncio.get_running_loop()
        holder = await pool.acquire()

        async def ask() -> None:
            other = await asyncio.wait_for(take(), 0.01)
            await other.release()

        async def take() -> Any:
            return await pool.acquire(None)

        began = loop.time()
        with pytest.raises(TimeoutError):
            await asyncio.create_task(ask())
        assert loop.time() - began < 1
        for pause in range(30):  # the timer and the delivery come ever closer to each other
            asker = asyncio.create_task(ask())
            handle = loop.create_future()
            loop.call_later(0.008 + pause * 0.0002, handle.set_result, None)
            await handle
            await holder.release()
            await asyncio.gather(asker, return_exceptions=True)
            async with asyncio.timeout(10):
                holder = await pool.acquire(None)
        await holder.release()

    world.run(lambda: None, script)
    assert is_clean(pool)
    assert pool.stats().size == 1


@AWAITING
def test_storm_of_cancelled_waiters_leaves_no_trace(make: Maker, world: World) -> None:
    pool = make(max_size=1, on_deadlock="ignore")

    async def script() -> None:
        lease = await pool.acquire()
        waiters = [asyncio.create_task(wait()) for _ in range(2000)]
        while pool.stats().waiting < 2000:
            await asyncio.sleep(0)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
        assert pool.stats().waiting == 0
        await lease.release()
        async with pool.acquire():
            pass

    async def wait() -> None:
        async with pool.acquire(None):
            pytest.fail("it was cancelled")

    world.run(lambda: None, script)
    assert pool.stats().acquires_cancelled == 2000
    assert is_clean(pool)


def test_callers_that_gave_up_are_passed_over(make: Maker, world: World) -> None:
    pool = make(max_size=1, on_deadlock="ignore")

    def give_up() -> Script:
        with pytest.raises(PoolTimeout):
            yield call(pool.acquire, 0.01)

    def script() -> Script:
        lease = yield pool.acquire
        for _ in range(5):
            yield from give_up()
        waiter = yield Spawn(borrow(pool))
        yield Until(lambda: pool.stats().waiting == 1)
        yield lease.release
        yield Join(waiter)

    play(world, script())
    assert is_clean(pool)
