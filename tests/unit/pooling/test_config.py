from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from datalayer.errors import PoolConfigError
from datalayer.pooling import Pool, PoolConfig
from datalayer.pooling.timeouts import check_timeout

WHOLE = {"max_size": 0, "min_idle": 0, "max_opening": 1}
OPTIONAL_WHOLE = {"max_uses": 1, "max_waiting": 0}
SECONDS = (
    "connect_timeout", "validation_timeout", "reset_timeout", "close_timeout", "reaper_rate", "backoff_initial",
    "backoff_max", "queue_interval",
)  # fmt: skip
OPTIONAL_SECONDS = ("max_lifetime", "idle_timeout", "keepalive", "leak_threshold", "queue_target", "unavailable_after")
FROM_ZERO = ("connection_timeout", "test_bypass")
SHARES = ("lifetime_jitter", "backoff_jitter")
SWITCHES = ("test_on_check_out", "retry_connection", "fail_fast")
CHOICES = {"queue_strategy": "fifo, lifo", "on_deadlock": "ignore, raise, warn"}

WRONG: list[tuple[str, Any, str]] = [
    *((name, value, f"use an int of {low} or more") for name, low in WHOLE.items() for value in ("5", 2.5, True, None)),
    *((name, low - 1, f"use {low} or more") for name, low in (WHOLE | OPTIONAL_WHOLE).items()),
    *((name, value, "use an int") for name in OPTIONAL_WHOLE for value in ("5", 2.5, False)),
    *((name, value, "use more than 0") for name in SECONDS for value in (0, -1.5, "3", True, None, math.nan)),
    *((name, value, "use more than 0") for name in OPTIONAL_SECONDS for value in (0, -1.5, "3", True, math.nan)),
    *((name, value, "use 0 or more") for name in FROM_ZERO for value in (-1, "3", True, math.nan)),
    ("test_bypass", None, "use 0 or more"),
    *((name, value, "use a number from 0 to 1") for name in SHARES for value in (-0.1, 1.1, "1", True, None)),
    *((name, value, "use True or False") for name in SWITCHES for value in (1, "yes", None)),
    *((name, value, words) for name, words in CHOICES.items() for value in ("other", None, 1)),
]


@pytest.mark.parametrize(("field", "value", "allowed"), WRONG, ids=lambda one: str(one)[:20])
def test_wrong_value_is_refused_with_its_field_and_what_is_allowed(field: str, value: Any, allowed: str) -> None:
    with pytest.raises(PoolConfigError) as caught:
        PoolConfig(**{field: value})
    assert str(caught.value).startswith(f"{field}={value!r} ")
    assert allowed in str(caught.value)


def test_every_field_is_among_the_tested() -> None:
    assert {field for field, _, _ in WRONG} == {field.name for field in dataclasses.fields(PoolConfig)}


@pytest.mark.parametrize("field", [*SECONDS, "test_bypass", "connection_timeout", "lifetime_jitter"])
def test_number_larger_than_any_clock_is_refused_in_words(field: str) -> None:
    with pytest.raises(PoolConfigError, match=f"{field} is out of range, a number of more than 308 digits: use"):
        PoolConfig(**{field: 10**400})


def test_timeout_larger_than_any_clock_is_refused_in_words() -> None:
    with pytest.raises(PoolConfigError, match="more than 308 digits"):
        check_timeout(10**400)


def test_endless_times_are_times() -> None:
    for field in (*SECONDS, "test_bypass"):
        PoolConfig(**{"backoff_max": math.inf, field: math.inf})  # longer than anything: no mistake


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"min_idle": 11}, "min_idle=11 is more than max_size=10"),
        ({"backoff_initial": 5.0, "backoff_max": 1.0}, "backoff_max=1.0 is less than backoff_initial=5.0"),
        ({"maxsize": 5}, "did you mean 'max_size'"),
        ({"min_size": 5}, "the options are"),
        ({"queue_strategy": "lifoo"}, "did you mean 'lifo'"),
    ],
)
def test_options_that_do_not_go_together_or_do_not_exist_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(PoolConfigError) as caught:
        PoolConfig.from_mapping(options)
    assert words in str(caught.value)


def test_config_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="use 0 or more"):
        PoolConfig(max_size=-1)


def test_times_may_be_switched_off() -> None:
    config = PoolConfig(**dict.fromkeys((*OPTIONAL_SECONDS, "connection_timeout", *OPTIONAL_WHOLE), None))
    assert config.connection_timeout is None


def test_edges_of_the_ranges_are_allowed() -> None:
    config = PoolConfig(
        max_size=0, max_waiting=0, max_uses=1, lifetime_jitter=1, backoff_jitter=0, connection_timeout=0
    )
    assert config.max_size == 0


@pytest.mark.parametrize("timeout", [-1, "3", math.nan, True, [1]])
def test_wrong_timeout_of_an_acquire_is_refused_before_anything_happens(timeout: Any) -> None:
    from pooling_fakes import FakeConnector

    connector = FakeConnector()
    with Pool(connector) as pool:
        with pytest.raises(PoolConfigError, match="timeout"):
            pool.acquire(timeout)
        assert pool.stats().acquires_started == 0
    assert not connector.made
