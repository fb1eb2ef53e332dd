from __future__ import annotations

import pytest

from datalayer.errors import PoolConfigError
from datalayer.pooling import PoolConfig


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_size": -1}, "max_size"),
        ({"max_size": 2.5}, "max_size"),
        ({"max_size": True}, "max_size"),
        ({"min_idle": 11}, "min_idle"),
        ({"connection_timeout": -1}, "connection_timeout"),
        ({"connection_timeout": "3"}, "connection_timeout"),
        ({"connect_timeout": 0}, "connect_timeout"),
        ({"max_lifetime": float("nan")}, "max_lifetime"),
        ({"lifetime_jitter": 1.5}, "lifetime_jitter"),
        ({"queue_strategy": "lifoo"}, "did you mean 'lifo'"),
        ({"on_deadlock": "panic"}, "on_deadlock"),
        ({"test_on_check_out": 1}, "test_on_check_out"),
        ({"max_uses": 0}, "max_uses"),
        ({"backoff_initial": 5.0, "backoff_max": 1.0}, "backoff_max"),
        ({"maxsize": 5}, "did you mean 'max_size'"),
    ],
)
def test_bad_value_is_refused_and_named(options: dict[str, object], named: str) -> None:
    with pytest.raises(PoolConfigError, match=named):
        PoolConfig.from_mapping(options)


def test_config_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="use 0 or more"):
        PoolConfig(max_size=-1)


def test_times_may_be_switched_off() -> None:
    config = PoolConfig(connection_timeout=None, max_lifetime=None, idle_timeout=None)
    assert config.connection_timeout is None
