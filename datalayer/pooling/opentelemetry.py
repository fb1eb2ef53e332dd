"""The numbers of the pools as OpenTelemetry metrics, by the names of its semantic conventions for database clients.

    from datalayer.pooling.opentelemetry import PoolMetrics

    PoolMetrics().start()

It needs the package `opentelemetry-api`, and nothing else of datalayer does. Each metric has the attribute
`db.client.connection.pool.name`: the alias of the database, or `alias (read)` for the readers of SQLite.

| metric | |
|---|---|
| `db.client.connection.count` | connections there are, by `db.client.connection.state`: `idle` or `used` |
| `db.client.connection.max`, `.idle.max`, `.idle.min` | the limits |
| `db.client.connection.pending_requests` | callers who wait |
| `db.client.connection.timeouts` | callers who waited in vain |
| `db.client.connection.create_time` | how long connecting took, in seconds |
| `db.client.connection.wait_time` | how long a caller waited |
| `db.client.connection.use_time` | how long a connection was lent |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from datalayer.extras import optional
from datalayer.pooling.events import AcquireTimeout, CheckedIn, CheckedOut, ConnectionOpened, Event
from datalayer.pooling.registry import PoolRegistry, pools
from datalayer.pooling.stats import PoolStats

PREFIX = "db.client.connection."
POOL_NAME = f"{PREFIX}pool.name"
STATE = f"{PREFIX}state"

_SHORT = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0)


class PoolMetrics:
    """Gives the numbers of all pools of a registry to a meter.

    Args:
        meter: Of the OpenTelemetry API; by default one named `datalayer` of the provider in force.
        registry: Whose pools.

    Raises:
        MissingExtra: The OpenTelemetry API is not installed.
    """

    def __init__(self, meter: Any = None, *, registry: PoolRegistry = pools) -> None:
        api = optional("opentelemetry.metrics", "PoolMetrics() needs OpenTelemetry", "opentelemetry-sdk")
        self._registry = registry
        self._observation: Callable[[int, dict[str, str]], Any] = api.Observation
        self._is_started = False
        meter = meter if meter is not None else api.get_meter("datalayer")
        self._observe(meter, "count", "{connection}", "Connections of the pool by their state.", _states)
        self._observe(meter, "max", "{connection}", "The most there may be.", lambda one: [(one.max_size, {})])
        self._observe(meter, "idle.max", "{connection}", "The most that may be idle.", lambda one: [(one.max_size, {})])
        self._observe(meter, "idle.min", "{connection}", "How many are kept idle.", lambda one: [(one.min_idle, {})])
        self._observe(meter, "pending_requests", "{request}", "Callers who wait.", lambda one: [(one.waiting, {})])
        self._timeouts = meter.create_counter(f"{PREFIX}timeouts", "{timeout}", "Callers who waited in vain.")
        self._created = self._histogram(meter, "create_time", "How long connecting took.")
        self._waited = self._histogram(meter, "wait_time", "How long a caller waited for a connection.")
        self._used = self._histogram(meter, "use_time", "How long a connection was lent.")

    def start(self) -> PoolMetrics:
        """Begins; gives itself."""
        if not self._is_started:
            self._is_started = True
            self._registry.listen(self._heard)
        return self

    def stop(self) -> None:
        """Ends; the meter hears nothing more."""
        self._is_started = False
        self._registry.unlisten(self._heard)

    def _heard(self, name: str, event: Event) -> None:
        pool = {POOL_NAME: name}
        match event:
            case CheckedOut(waited=waited):
                self._waited.record(waited, pool)
            case CheckedIn(used=used):
                self._used.record(used, pool)
            case ConnectionOpened(took=took):
                self._created.record(took, pool)
            case AcquireTimeout():
                self._timeouts.add(1, pool)
            case _:
                pass

    def _histogram(self, meter: Any, name: str, description: str) -> Any:
        return meter.create_histogram(
            f"{PREFIX}{name}", "s", description, explicit_bucket_boundaries_advisory=list(_SHORT)
        )

    def _observe(
        self,
        meter: Any,
        name: str,
        unit: str,
        description: str,
        numbers: Callable[[PoolStats], list[tuple[int, dict[str, str]]]],
    ) -> None:
        def look(options: object) -> Iterable[Any]:
            if not self._is_started:
                return
            for pool, stats in self._registry.parts().items():
                for number, attributes in numbers(stats):
                    yield self._observation(number, {POOL_NAME: pool, **attributes})

        meter.create_observable_up_down_counter(f"{PREFIX}{name}", [look], unit, description)


def _states(stats: PoolStats) -> list[tuple[int, dict[str, str]]]:
    return [(stats.idle, {STATE: "idle"}), (stats.size - stats.idle, {STATE: "used"})]
