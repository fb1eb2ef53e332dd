"""Our pool beside psycopg_pool and SQLAlchemy's QueuePool, on fake connections: `python benchmarks/pools.py`.

What is measured is the pool alone: connecting, pinging and closing cost nothing, or exactly what a case says. The pools
take turns within a round, and rounds are short, so that some are disturbed by nobody even on a busy machine. Of the
speeds the fastest round is shown, since other programs only add to it, with its ratio to psycopg_pool's, and the median
of the ratios within a round, which says little when programs take longer turns of the processor than a round lasts.
Losses are printed like everything else.
`soak.py` beside this file runs random cancellations.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import platform
import statistics
import sys
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psycopg_pool
from psycopg.pq import TransactionStatus
from sqlalchemy.pool import QueuePool

from datalayer.pooling import AsyncLease, AsyncPool, Pool, PoolConfig

IDLE = SimpleNamespace(transaction_status=TransactionStatus.IDLE)
GONE = SimpleNamespace(transaction_status=TransactionStatus.UNKNOWN)


# -- connections that cost nothing ---------------------------------------------------------------


class Plan:
    """What the fakes of one case do."""

    connect_seconds = 0.0
    stale: set[int] = set()  # whose ping fails
    made = 0


class Raw:
    """A connection for all three: what psycopg_pool reads of one, and what SQLAlchemy calls."""

    autocommit = True
    closed = False

    def __init__(self) -> None:
        Plan.made += 1
        self.number = Plan.made
        self.pgconn = IDLE
        self._pool: Any = None
        self._created_at = self._expire_at = 0.0

    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> Raw:
        if Plan.connect_seconds:
            time.sleep(Plan.connect_seconds)
        return cls()

    def ping(self) -> None:
        if self.number in Plan.stale:
            self.pgconn = GONE
            raise ConnectionResetError("stale")

    def close(self) -> None:
        self.pgconn = GONE

    def rollback(self) -> None:
        pass

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    async def __aenter__(self) -> Raw:
        return self

    async def __aexit__(self, *exception: object) -> None:
        pass


class AsyncRaw(Raw):
    @classmethod
    async def connect(cls, conninfo: str = "", **options: Any) -> AsyncRaw:  # type: ignore[override]
        if Plan.connect_seconds:
            await asyncio.sleep(Plan.connect_seconds)
        return cls()

    async def close(self) -> None:  # type: ignore[override]
        self.pgconn = GONE


class Judge:
    fast_open = False

    def is_broken(self, conn: Raw) -> bool:
        return conn.pgconn is GONE

    def is_disconnect(self, exc: BaseException) -> bool:
        return isinstance(exc, ConnectionResetError)

    def is_fatal(self, exc: BaseException) -> bool:
        return False


class Connector(Judge):
    def connect(self) -> Raw:
        return Raw.connect()

    def close(self, conn: Raw) -> None:
        conn.close()

    def ping(self, conn: Raw) -> None:
        conn.ping()

    def reset(self, conn: Raw) -> None:
        pass


class AsyncConnector(Judge):
    async def connect(self) -> AsyncRaw:
        return await AsyncRaw.connect()

    async def close(self, conn: AsyncRaw) -> None:
        await conn.close()

    async def ping(self, conn: AsyncRaw) -> None:
        conn.ping()

    def reset(self, conn: AsyncRaw) -> None:
        """Nothing to await, which psycopg_pool sees by the state of the connection as well."""

    def terminate(self, conn: AsyncRaw) -> None:
        conn.pgconn = GONE


# -- the pools -----------------------------------------------------------------------------------


def ours(size: int, **options: Any) -> Any:
    return Pool(Connector(), PoolConfig(max_size=size, **{"test_on_check_out": False, **options}))


def ours_async(size: int, **options: Any) -> Any:
    return AsyncPool(AsyncConnector(), PoolConfig(max_size=size, **{"test_on_check_out": False, **options}))


def theirs(size: int, *, min_size: int = 0, check: Any = None) -> Any:
    return psycopg_pool.ConnectionPool(
        "", connection_class=Raw, min_size=min_size, max_size=size, open=True, check=check,
        timeout=5.0 if check else 120.0,
    )  # fmt: skip


def theirs_async(size: int, *, min_size: int = 0) -> Any:
    return psycopg_pool.AsyncConnectionPool(
        "", connection_class=AsyncRaw, min_size=min_size, max_size=size, open=False, timeout=120,  # type: ignore[type-var]
    )  # fmt: skip


def sqlalchemys(size: int) -> Any:
    return QueuePool(Raw.connect, pool_size=size, max_overflow=0, timeout=120, reset_on_return=None)  # type: ignore[arg-type]


class Borrow:
    """`with borrow()` for the three pools that block."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        if isinstance(pool, Pool):
            self.enter: Callable[[], Any] = pool.acquire
            self.close: Callable[[], object] = pool.close
        elif isinstance(pool, QueuePool):
            self.enter = lambda: Fairy(pool)
            self.close = pool.dispose
        else:
            self.enter = pool.connection
            self.close = pool.close


class Fairy:
    """SQLAlchemy's pool has no context manager of its own."""

    __slots__ = ("conn", "pool")

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    def __enter__(self) -> Any:
        self.conn = self.pool.connect()
        return self.conn

    def __exit__(self, *exception: object) -> None:
        self.conn.close()


# -- speed ---------------------------------------------------------------------------------------


def get_and_put(borrow: Borrow, pool: Any, times: int) -> float:
    """Acquire and release without a context manager: the calls themselves."""
    if isinstance(pool, Pool):
        started = time.perf_counter()
        for _ in range(times):
            pool.acquire().release()
    elif isinstance(pool, QueuePool):
        started = time.perf_counter()
        for _ in range(times):
            pool.connect().close()
    else:
        get, put = pool.getconn, pool.putconn
        started = time.perf_counter()
        for _ in range(times):
            put(get())
    return (time.perf_counter() - started) / times


async def aget_and_put(pool: Any, times: int) -> float:
    started = time.perf_counter()
    if isinstance(pool, AsyncPool):
        for _ in range(times):
            await (await pool.acquire()).release()
    else:
        for _ in range(times):
            await pool.putconn(await pool.getconn())
    return (time.perf_counter() - started) / times


def with_block(borrow: Borrow, pool: Any, times: int) -> float:
    enter = borrow.enter
    started = time.perf_counter()
    for _ in range(times):
        with enter():
            pass
    return (time.perf_counter() - started) / times


async def awith_block(pool: Any, times: int) -> float:
    enter = pool.acquire if isinstance(pool, AsyncPool) else pool.connection
    started = time.perf_counter()
    for _ in range(times):
        async with enter():
            pass
    return (time.perf_counter() - started) / times


def speed(rounds: int, times: int) -> None:
    pools = {"ours": ours(4), "psycopg_pool": theirs(4), "QueuePool": sqlalchemys(4)}
    borrows = {name: Borrow(pool) for name, pool in pools.items()}
    for label, measure in (("acquire + release", get_and_put), ("with block", with_block)):
        seconds: dict[str, list[float]] = {name: [] for name in pools}
        for _ in range(rounds + 1):
            for name, pool in pools.items():
                seconds[name].append(measure(borrows[name], pool, times))
        report(f"{label}, blocking", seconds)
    for borrow in borrows.values():
        borrow.close()

    async def awaiting() -> None:
        pools = {"ours": ours_async(4), "psycopg_pool": theirs_async(4)}
        for pool in pools.values():
            await pool.open()
        for label, measure in (("acquire + release", aget_and_put), ("with block", awith_block)):
            seconds: dict[str, list[float]] = {name: [] for name in pools}
            for _ in range(rounds + 1):
                for name, pool in pools.items():
                    seconds[name].append(await measure(pool, times))
            report(f"{label}, awaiting", seconds)
        for pool in pools.values():
            await pool.close()

    asyncio.run(awaiting())


def report(label: str, seconds: dict[str, list[float]]) -> None:
    base = seconds["psycopg_pool"][1:]
    words = []
    for name, values in seconds.items():
        ratio = statistics.median(one / two for one, two in zip(values[1:], base, strict=True))
        fastest = min(values[1:])
        words.append(f"{name} {fastest * 1e6:.2f} us ({fastest / min(base):.2f}x, median {ratio:.2f}x)")
    print(f"  {label}: {', '.join(words)}")


# -- the rest ------------------------------------------------------------------------------------


def fairness(pool: Any, seconds: float, threads: int = 40) -> float:
    """Checkouts per thread, the most by the fewest."""
    borrow = Borrow(pool)
    counts = [0] * threads
    gate, stop = threading.Barrier(threads + 1), threading.Event()

    def work(number: int) -> None:
        gate.wait()
        while not stop.is_set():
            with borrow.enter():
                time.sleep(0.0002)
            counts[number] += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    gate.wait()
    time.sleep(seconds)
    stop.set()
    for worker in workers:
        worker.join()
    borrow.close()
    return max(counts) / max(min(counts), 1)


def concurrent_opens(pool: Any, count: int = 20) -> float:
    """How long `count` threads take to hold a connection each, when connecting takes 0.1 s."""
    Plan.connect_seconds = 0.1
    borrow = Borrow(pool)
    gate = threading.Barrier(count)

    def work() -> None:
        with borrow.enter():
            gate.wait()

    workers = [threading.Thread(target=work) for _ in range(count)]
    started = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took = time.perf_counter() - started
    borrow.close()
    Plan.connect_seconds = 0.0
    return took


def stale_connections(pool: Any, connect_seconds: float = 0.02, count: int = 10) -> float:
    """From ten idle connections to a server that was restarted to a good one."""
    borrow = Borrow(pool)
    enter, leave = threading.Barrier(count), threading.Barrier(count)

    def fill() -> None:
        with borrow.enter():
            enter.wait()
            leave.wait()

    workers = [threading.Thread(target=fill) for _ in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    Plan.stale = set(range(Plan.made + 1))
    Plan.connect_seconds = connect_seconds
    started = time.perf_counter()
    with contextlib.suppress(psycopg_pool.PoolTimeout), borrow.enter():
        pass
    took = time.perf_counter() - started
    Plan.connect_seconds, Plan.stale = 0.0, set()
    borrow.close()
    return took


async def many_waiters(pool: Any, enter: Callable[[], Any], count: int = 25_000) -> tuple[float, bool]:
    """How long that many tasks over 3 connections take, and whether they were served in order."""
    served: list[int] = []

    async def work(number: int) -> None:
        async with enter():
            served.append(number)
            await asyncio.sleep(0)

    started = time.perf_counter()
    await asyncio.gather(*(work(number) for number in range(count)))
    took = time.perf_counter() - started
    await pool.close()
    return took, served == sorted(served)


async def cancel_storm(pool: Any, enter: Callable[[], Awaitable[Any]], count: int = 10_000) -> float:
    """The longest turn of the loop after that many waiters were cancelled in one of its turns.

    In seconds of the processor: what other programs take from it is not the pool's.
    """
    lease = await enter()
    loop = asyncio.get_running_loop()
    left, all_gone = count, asyncio.Event()

    async def wait() -> None:
        nonlocal left
        try:
            await enter()
        except asyncio.CancelledError:
            left -= 1
            if not left:
                all_gone.set()

    tasks = [loop.create_task(wait()) for _ in range(count)]
    await asyncio.sleep(0.05)
    last = blocked = 0.0

    def beat() -> None:
        nonlocal last, blocked
        now = time.thread_time()
        blocked, last = max(blocked, now - last), now
        if left:
            loop.call_soon(beat)

    gc.collect()
    gc.disable()
    try:
        for task in tasks:
            task.cancel()
        last = time.thread_time()
        loop.call_soon(beat)
        await all_gone.wait()
    finally:
        gc.enable()
    if isinstance(lease, AsyncLease):
        await lease.release()
    elif lease is not None:
        await pool.putconn(lease)
    return blocked


class Parking:
    """What asyncio itself takes for waiting and being cancelled."""

    is_taken = False

    async def enter(self) -> None:
        if self.is_taken:
            await asyncio.get_running_loop().create_future()
        self.is_taken = True


def memory(count: int = 2_000) -> float:
    """Bytes for an idle connection, the connection itself left out."""
    pool = ours(count)
    with pool:
        conns = [Raw() for _ in range(count)]
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for conn in conns:
            pool.add(conn)
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    return (after - before) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=280)
    parser.add_argument("--times", type=int, default=500)
    given = parser.parse_args()
    print(f"Python {platform.python_version()}, psycopg_pool {psycopg_pool.__version__}; ratios to psycopg_pool")
    speed(given.rounds, given.times)
    kinds: dict[str, Callable[[int], Any]] = {"ours": ours, "psycopg_pool": theirs, "QueuePool": sqlalchemys}
    found = {name: fairness(make(4), 2.0) for name, make in kinds.items()}
    print("  checkouts per thread, most/fewest, 40 on 4:", ", ".join(f"{n} {v:.2f}" for n, v in found.items()))
    found = {
        "ours": concurrent_opens(ours(20, max_opening=20)),
        "psycopg_pool": concurrent_opens(theirs(20)),
        "QueuePool": concurrent_opens(sqlalchemys(20)),
    }
    print("  20 opens of 0.1 s at once:", ", ".join(f"{n} {v:.3f} s" for n, v in found.items()))
    found = {"ours": stale_connections(ours(10, test_on_check_out=True, test_bypass=0.0, max_opening=10))}
    found["psycopg_pool"] = stale_connections(theirs(10, check=Raw.ping))
    words = ", ".join(f"{name} {value:.3f} s{' (gave up)' if value >= 5 else ''}" for name, value in found.items())
    print("  a good connection after 10 stale ones, connect 0.02 s:", words)

    async def crowds() -> None:
        mine, other = ours_async(3), theirs_async(3)
        await other.open()
        for name, pool, enter in (("ours", mine, mine.acquire), ("psycopg_pool", other, other.connection)):
            took, in_order = await many_waiters(pool, enter)
            print(f"  25 000 waiters over 3: {name} {took:.2f} s, {'in order' if in_order else 'NOT in order'}")
        mine, other = ours_async(1, on_deadlock="ignore"), theirs_async(1)
        await other.open()
        for name, pool, enter in (
            ("ours", mine, mine.acquire),
            ("psycopg_pool", other, other.getconn),
            ("futures without any pool", mine, None),
        ):
            blocked = statistics.median([await cancel_storm(pool, enter or Parking().enter) for _ in range(5)])
            print(
                f"  10 000 waiters cancelled at once: {name}: a turn of the loop takes {blocked * 1000:.2f} ms at most"
            )
        await mine.close()
        await other.close()

    asyncio.run(crowds())
    print(f"  an idle connection takes {memory():.0f} bytes")


if __name__ == "__main__":
    main()
