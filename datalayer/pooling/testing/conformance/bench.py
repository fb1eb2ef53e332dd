"""Where one check is run: what makes connections and pools for it, and looks afterwards what has become of them."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any

from datalayer.pooling.async_pool import AsyncPool
from datalayer.pooling.config import PoolConfig
from datalayer.pooling.pool import Pool
from datalayer.pooling.testing.conformance.cases import ConnectorCase, Making, PoolCase
from datalayer.pooling.testing.conformance.scripts import Script, call
from datalayer.pooling.testing.report import check_stats


class Clock:
    """The clock of the machine, which a check may move on."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        """Now, in seconds."""
        return time.monotonic() + self.ahead


class Bench:
    """Where one check is run: makes pools, and closes them at the end.

    Attributes:
        is_async: Whether it is in the awaiting world.
        clock: The clock of the pools it makes.
    """

    def __init__(self, make: Making, *, is_async: bool) -> None:
        self.is_async = is_async
        self.clock = Clock()
        self._make = make
        self._pools: list[Any] = []

    def pool(
        self,
        *,
        make: Making | None = None,
        hooks: Mapping[str, Callable[[Any], object]] | None = None,
        listeners: Any = (),
        **config: Any,
    ) -> Any:
        """A pool of either world with these hooks and this configuration."""
        options = {name: self._hook(one) for name, one in (hooks or {}).items()}
        limits = PoolConfig(**config)
        made: Any = (make or self._make)(limits, name="checked", listeners=listeners, clock=self.clock, **options)
        self.must_fit(made, made.close)
        self._pools.append(made)
        return made

    def must_fit(self, made: object, method: Any) -> None:
        """Refuses what is of the other world, as one of its methods tells."""
        is_async = inspect.iscoroutinefunction(method)
        if is_async != self.is_async:
            world, way = ("awaiting", "await check.arun()") if is_async else ("blocking", "check.run()")
            raise TypeError(f"{made!r} is of the {world} world: use `{way}`")

    def close(self) -> Script:
        """Closes all pools that were made."""
        for pool in self._pools:
            yield call(pool.close, 1.0)

    def look_back(self) -> None:
        """Makes sure that the pools are empty and that their numbers add up."""
        for pool in self._pools:
            stats = pool.stats()
            check_stats(stats)
            assert (stats.size, stats.opening, stats.waiting) == (0, 0, 0), f"something was left in {pool!r}: {stats}"

    def _hook(self, function: Callable[[Any], object]) -> Any:
        if not self.is_async:
            return function

        async def hook(conn: Any) -> object:
            found: Any = function(conn)
            return await found if inspect.isawaitable(found) else found

        return hook


class PoolBench(Bench):
    """The bench of the checks of pools.

    Attributes:
        case: What is checked.
    """

    def __init__(self, case: PoolCase[Any], *, is_async: bool) -> None:
        super().__init__(case.make, is_async=is_async)
        self.case: Any = case


class ConnectorBench(Bench):
    """The bench of the checks of connectors: has one, and makes pools with it.

    Attributes:
        case: What is checked.
        connector: A connector of it.
    """

    def __init__(self, case: ConnectorCase[Any], *, is_async: bool) -> None:
        super().__init__(self.pool_of(case.connector), is_async=is_async)
        self.case: Any = case
        self.connector: Any = case.connector()
        self.must_fit(self.connector, self.connector.connect)
        self._connections: list[Any] = []

    def pool_of(self, connector: Callable[[], object]) -> Making:
        """How to make a pool with such a connector."""

        def make(config: PoolConfig, /, **options: Any) -> object:
            made: Any = connector()
            return AsyncPool(made, config, **options) if self.is_async else Pool(made, config, **options)

        return make

    def connected(self) -> Script:
        """A new connection, which is closed at the end."""
        conn = yield self.connector.connect
        self._connections.append(conn)
        return conn

    def close(self) -> Script:
        """Closes all pools and connections that were made."""
        yield from super().close()
        for conn in self._connections:
            yield call(self.connector.close, conn)
