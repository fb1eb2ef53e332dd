"""Load shedding: whoever is served at all is served soon, though more come than can be served."""

from __future__ import annotations

import pytest

from datalayer.pooling import PoolConfig
from datalayer.pooling.testing import SimPool, SimReport, check_stats


def overloaded(rate: float, **options: float) -> SimReport:
    """Four connections, each of them free ten times a second: forty callers a second are the most."""
    pool = SimPool(PoolConfig(max_size=4, connection_timeout=5.0, **options), seed=3)  # type: ignore[arg-type]
    pool.arrivals(rate=rate, hold=0.1, seconds=60)
    report = pool.run()
    check_stats(report.stats)
    return report


def test_twice_the_load_makes_a_shedding_pool_turn_callers_away_and_serve_the_rest_soon() -> None:
    waiting, shedding = overloaded(80.0), overloaded(80.0, queue_target=0.2, queue_interval=0.5)
    assert waiting.wait(0.5) > 4.0  # everybody waits for nearly as long as he can
    assert shedding.wait(0.95) < 1.5
    assert shedding.timed_out == 0
    assert shedding.errors.keys() == {"PoolOverloaded"}
    assert shedding.served > 0.8 * waiting.served  # and hardly fewer are served for it


def test_nobody_is_turned_away_from_a_pool_that_keeps_up() -> None:
    report = overloaded(20.0, queue_target=0.2, queue_interval=0.5)
    assert report.stats.acquires_rejected == 0
    assert not report.errors


@pytest.mark.parametrize("seconds", [0.4, 3.0])
def test_short_rush_is_no_overload_until_it_lasts(seconds: float) -> None:
    pool = SimPool(PoolConfig(max_size=4, queue_target=0.2, queue_interval=2.0), seed=3)
    pool.arrivals(rate=150.0, hold=0.1, seconds=seconds)
    report = pool.run()
    assert bool(report.stats.acquires_rejected) == (seconds > 2.0)
