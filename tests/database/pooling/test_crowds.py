"""Very many callers over very few connections."""

from __future__ import annotations

import asyncio
from typing import Any

from datalayer.pooling import AsyncPool, PoolConfig
from tests.database.pooling.conftest import adds_up
from tests.unit.pooling.fakes import AsyncFakeConnector


def test_crowd_of_25_000_is_served_in_the_order_of_asking() -> None:
    served: list[int] = []

    async def main() -> Any:
        config = PoolConfig(max_size=3, connection_timeout=None, on_deadlock="ignore")
        async with AsyncPool(AsyncFakeConnector(), config) as pool:

            async def ask(number: int) -> None:
                async with pool.acquire():
                    served.append(number)

            await asyncio.gather(*(ask(number) for number in range(25_000)))
            return pool.stats()

    stats = asyncio.run(main())
    adds_up(stats)
    assert served == list(range(25_000))
    assert stats.peak_in_use <= 3
