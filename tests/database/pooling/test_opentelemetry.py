"""The metrics of OpenTelemetry, read by its own SDK, and the listeners they come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from datalayer.errors import PoolTimeout
from datalayer.pooling import events, pools
from datalayer.pooling.opentelemetry import PoolMetrics
from tests.worlds import World

NAME = "db.client.connection.pool.name"


class Metrics:
    """What a reader finds."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider(metric_readers=[self.reader])
        self.metrics = PoolMetrics(self.provider.get_meter("test")).start()

    def read(self) -> dict[str, dict[tuple[str, ...], Any]]:
        data = self.reader.get_metrics_data()
        found: dict[str, dict[tuple[str, ...], Any]] = {}
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points: Any = metric.data.data_points
                    found[metric.name.removeprefix("db.client.connection.")] = {
                        tuple(dict[str, str](point.attributes).values()): point for point in points
                    }
        return found


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    metrics = Metrics()
    yield metrics
    metrics.metrics.stop()
    metrics.provider.shutdown()


def borrow(world: World) -> Any:
    return world.call(pools["default"], "borrow")


def release(world: World, lease: Any) -> None:
    world.run(lambda: lease.release(), lambda: lease.release())


@pytest.mark.usefixtures("configured")
def test_states_limits_and_times_are_exported(metrics: Metrics, world: World) -> None:
    lease = borrow(world)
    found = metrics.read()
    assert found["count"]["default", "used"].value == 1
    assert found["count"]["default", "idle"].value == 0
    assert found["max"][("default",)].value == found["idle.max"][("default",)].value >= 1
    assert found["idle.min"][("default",)].value == 0
    assert found["pending_requests"][("default",)].value == 0
    assert found["create_time"][("default",)].count == 1
    assert found["wait_time"][("default",)].count == 1
    release(world, lease)
    found = metrics.read()
    assert found["count"]["default", "idle"].value == 1
    assert found["use_time"][("default",)].count == 1
    assert found["use_time"][("default",)].sum > 0


def test_timeouts_are_counted(metrics: Metrics, world: World, sqlite_url: str) -> None:
    import datalayer
    from datalayer.conf import reset

    reset()
    pool = {"connection_timeout": 0.3, "on_deadlock": "ignore"}
    datalayer.configure(databases={"default": {"url": sqlite_url, "pool": pool}})
    lease = borrow(world)
    with pytest.raises(PoolTimeout):
        borrow(world)
    release(world, lease)
    assert metrics.read()["timeouts"][("default",)].value == 1
    world.run(lambda: None, pools.aclose_all)
    pools.reset()
    reset()


@pytest.mark.usefixtures("configured")
def test_nothing_is_exported_after_the_end(metrics: Metrics, world: World) -> None:
    metrics.metrics.stop()
    release(world, borrow(world))
    assert "wait_time" not in metrics.read()


@pytest.mark.usefixtures("configured")
def test_listener_of_the_registry_hears_pools_of_before_and_after(world: World) -> None:
    heard: list[tuple[str, events.Event]] = []

    def listen(name: str, event: events.Event) -> None:
        heard.append((name, event))

    def kinds() -> list[type]:
        found = [type(event) for name, event in heard if name == "default" and hasattr(event, "id")]
        heard.clear()
        return found

    release(world, borrow(world))
    pools.listen(listen)
    try:
        release(world, borrow(world))
        assert kinds() == [events.CheckedOut, events.CheckedIn]
        world.call(pools["default"], "close")
        heard.clear()
        release(world, borrow(world))
        assert kinds() == [events.ConnectionOpened, events.CheckedOut, events.CheckedIn]
    finally:
        pools.unlisten(listen)
    release(world, borrow(world))
    assert kinds() == []


@pytest.mark.usefixtures("configured")
def test_listener_that_fails_is_logged_and_harms_nobody(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def angry(name: str, event: events.Event) -> None:
        raise RuntimeError("no")

    pools.listen(angry)
    try:
        release(world, borrow(world))
    finally:
        pools.unlisten(angry)
    assert "a listener of" in caplog.text
