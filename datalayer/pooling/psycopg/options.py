"""The words of our configuration in those of psycopg-pool, and those it has none for."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from datalayer.conf.options import NOT_FOR_PSYCOPG
from datalayer.errors import PoolConfigError
from datalayer.pooling.config import PoolConfig, refuse_no_room

FOR_EVER = 10 * 365 * 86400.0
"""What psycopg-pool is told where our configuration says None."""

INSTEAD = 'or choose our own pool with pool = { implementation = "generic" }'


def refuse_what_cannot_be_honoured(config: PoolConfig) -> None:
    """Raises when an option is set that psycopg-pool would silently ignore.

    Raises:
        PoolConfigError: There is one.
    """
    default = {one.name: one.default for one in fields(PoolConfig)}
    for name in NOT_FOR_PSYCOPG:
        if getattr(config, name) != default[name]:
            raise PoolConfigError(
                f"{name}={getattr(config, name)!r} is not possible with psycopg-pool: leave it out, {INSTEAD}"
            )
    refuse_no_room(config)


def options(config: PoolConfig, name: str) -> dict[str, Any]:
    """What a pool of psycopg-pool is told.

    Args:
        config: Our configuration.
        name: The name it shall have there.
    """
    return {
        "min_size": config.min_idle,
        "max_size": config.max_size,
        "open": False,
        "name": name,
        "timeout": FOR_EVER if config.connection_timeout is None else config.connection_timeout,
        "max_waiting": 0,  # it would count callers who have given up: the ledger knows better
        "max_lifetime": FOR_EVER,  # looked at here, at checkout and at return
        "max_idle": config.idle_timeout or FOR_EVER,
        "reconnect_timeout": 0.0,  # trying again is ours: see `gate`
    }
