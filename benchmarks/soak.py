"""Random cancellations, blocking and awaiting, without one connection lost or leaked: `python benchmarks/soak.py`.

Needs nothing but this package, so any interpreter can run it: `nox -s soak-3.11 soak-3.12 soak-3.13` does so with each.
The suite runs the same with a few hundred (`tests/unit/pooling/test_soak.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import platform
import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datalayer.errors import PoolTimeout, TooManyWaiting
from datalayer.pooling import AsyncPool, Pool, PoolConfig
from datalayer.pooling.testing import check_stats

SIZE = 3


class Thing:
    """A connection that knows whether two use it."""

    def __init__(self) -> None:
        self.users = 0
        self.is_closed = False

    def __enter__(self) -> None:
        assert not self.is_closed, "a closed connection was lent"
        self.users += 1
        assert self.users == 1, "a connection was lent to two"

    def __exit__(self, *exception: object) -> None:
        self.users -= 1


class Ledger:
    """What both connectors share: how many were opened and closed, and errors now and then."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.opened = self.closed = 0
        self.lock = threading.Lock()

    def make(self) -> Thing:
        if self.rng.random() < 0.02:
            raise OSError("no connection this time")
        with self.lock:
            self.opened += 1
        return Thing()

    def end(self, conn: Thing) -> None:
        assert not conn.is_closed, "a connection was closed twice"
        conn.is_closed = True
        with self.lock:
            self.closed += 1

    def look(self) -> None:
        if self.rng.random() < 0.02:
            raise ConnectionResetError("no answer this time")

    def is_broken(self, conn: Thing) -> bool:
        return self.rng.random() < 0.02

    def is_disconnect(self, exc: BaseException) -> bool:
        return isinstance(exc, ConnectionResetError) and self.rng.random() < 0.2

    def is_fatal(self, exc: BaseException) -> bool:
        return False


class Connector(Ledger):
    def connect(self) -> Thing:
        return self.make()

    def close(self, conn: Thing) -> None:
        self.end(conn)

    def ping(self, conn: Thing) -> None:
        self.look()

    def reset(self, conn: Thing) -> None:
        self.look()


class AsyncConnector(Ledger):
    async def step(self) -> None:
        for _ in range(self.rng.randrange(3)):
            await asyncio.sleep(0)

    async def connect(self) -> Thing:
        await self.step()
        return self.make()

    async def close(self, conn: Thing) -> None:
        await self.step()
        self.end(conn)

    async def ping(self, conn: Thing) -> None:
        await self.step()
        self.look()

    async def reset(self, conn: Thing) -> None:
        await self.step()
        self.look()

    def terminate(self, conn: Thing) -> None:
        if not conn.is_closed:
            self.end(conn)


def config(**options: Any) -> PoolConfig:
    return PoolConfig(
        max_size=SIZE, connection_timeout=None, backoff_initial=0.0005, backoff_max=0.001, reset_timeout=60.0,
        validation_timeout=60.0, on_deadlock="ignore", **options,
    )  # fmt: skip


async def cancel_tasks(cancellations: int, seed: int) -> Counter[str]:
    """Tasks that are cancelled wherever they stand: by `cancel`, by `wait_for`, by the pool's own timeout."""
    rng = random.Random(seed)
    connector = AsyncConnector(rng)
    pool: AsyncPool[Thing] = AsyncPool(connector, config(), rng=rng)
    ended: Counter[str] = Counter()

    async def hold(conn: Thing) -> None:
        with conn:
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)

    async def with_block() -> None:
        async with pool.acquire() as conn:
            await hold(conn)

    async def with_lease() -> None:
        lease = await pool.acquire(rng.choice([None, 0.0, 0.0005]))
        try:
            await hold(lease.conn)
        finally:
            await lease.release()

    async def with_wait_for() -> None:
        lease = await asyncio.wait_for(pool.acquire(), rng.choice([0.0, 0.0002, 0.001, 5.0]))
        try:
            await hold(lease.conn)
        finally:
            await asyncio.shield(lease.release())

    async def with_timeout() -> None:
        async with asyncio.timeout(rng.choice([0.0, 0.0002, 0.001, 5.0])), pool.acquire() as conn:
            await hold(conn)

    while ended["cancelled"] + ended["timeout"] < cancellations:
        kinds = (with_block, with_lease, with_wait_for, with_timeout)
        tasks = [asyncio.ensure_future(rng.choice(kinds)()) for _ in range(20)]
        for task in tasks:
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            if rng.random() < 0.7:
                task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, asyncio.CancelledError):
                ended["cancelled"] += 1
            elif isinstance(result, TimeoutError):
                ended["timeout"] += 1
            elif isinstance(result, BaseException):
                raise result
            else:
                ended["done"] += 1
        check_stats(pool.stats())
    await until(lambda: pool.stats().in_use == pool.stats().waiting == pool.stats().testing == 0)
    async with asyncio.timeout(30):
        leases = [await pool.acquire() for _ in range(SIZE)]  # every place can still be had
    for lease in leases:
        await lease.release()
    await pool.close()
    await until(lambda: connector.opened == connector.closed)
    check_stats(pool.stats())
    assert pool.stats().size == 0
    return ended


async def until(claim: Any) -> None:
    async with asyncio.timeout(30):
        while not claim():
            await asyncio.sleep(0)


def cancel_threads(cancellations: int, seed: int) -> Counter[str]:
    """Threads that give up waiting, fall over in the middle of a use, throw connections away and forget leases."""
    connector = Connector(random.Random(seed))
    pool: Pool[Thing] = Pool(connector, config(max_waiting=6), rng=random.Random(seed))
    ended: Counter[str] = Counter()
    lock = threading.Lock()
    errors: list[BaseException] = []

    def work(number: int) -> None:
        rng = random.Random(seed * 1000 + number)
        mine: Counter[str] = Counter()
        while not errors and mine["timeout"] + mine["fell over"] < cancellations / 8:
            try:
                with pool.acquire(rng.choice([0.0, 0.0, 0.0001, 0.001, 0.01])) as conn, conn:
                    if rng.random() < 0.2:
                        time.sleep(0.0001)
                    if rng.random() < 0.3:
                        raise KeyError("in the middle of a use")
                mine["done"] += 1
            except PoolTimeout:
                mine["timeout"] += 1
            except TooManyWaiting:
                mine["turned away"] += 1
            except KeyError:
                mine["fell over"] += 1
            except BaseException as error:
                errors.append(error)
        with lock:
            ended.update(mine)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            check_stats(pool.stats())  # at any moment, while others change them
            thread.join(0.002)
    if errors:
        raise errors[0]
    stats = pool.stats()
    assert stats.in_use == stats.waiting == stats.testing == 0, stats
    for lease in [pool.acquire(30) for _ in range(SIZE)]:
        lease.release()
    pool.close()
    check_stats(pool.stats())
    assert pool.stats().size == 0
    assert connector.opened == connector.closed
    return ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cancellations", type=int, nargs="?", default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.disable(logging.WARNING)  # of every connection that could not be reset
    for label, run in (
        ("awaiting", lambda: asyncio.run(cancel_tasks(given.cancellations, given.seed))),
        ("blocking", lambda: cancel_threads(given.cancellations, given.seed)),
    ):
        began = time.perf_counter()
        ended = run()
        figures = ", ".join(f"{count} {how}" for how, count in sorted(ended.items()))
        took = time.perf_counter() - began
        print(
            f"Python {platform.python_version()}, {label}: {figures}; none lost, none leaked, {took:.0f} s", flush=True
        )


if __name__ == "__main__":
    main()
