"""Pools that keep nothing: the surface of a pool for what is better opened anew each time."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TypeVar

from datalayer.errors import PoolConfigError, PoolFull
from datalayer.pooling.config import PoolConfig
from datalayer.pooling.flows import Machine
from datalayer.pooling.pool import Pool

C = TypeVar("C")


class KeepingNothing(Machine[C]):
    """What both have in common: nothing is ever idle."""

    _keeps = False
    _usual = PoolConfig(max_size=0)

    def _limits(self, wanted: PoolConfig) -> PoolConfig:
        for name, value, fitting in (("min_idle", wanted.min_idle, (0,)), ("max_uses", wanted.max_uses, (None, 1))):
            if value not in fitting:
                raise PoolConfigError(
                    f"{name}={value!r} is not possible with {type(self).__name__}, which keeps no connection: "
                    "leave it out, or use Pool or AsyncPool"
                )
        return replace(wanted, max_uses=1, max_size=wanted.max_size or sys.maxsize)

    def _add(self, conn: C, is_broken: bool) -> None:
        raise PoolFull(
            f"{type(self).__name__} keeps no connection, and takes in none: use Pool or AsyncPool for that; "
            "it stays with you, in .connection",
            conn,
        )


class NullPool(KeepingNothing[C], Pool[C]):
    """A pool that keeps nothing: every lease opens a connection, every return closes it.

    It is made as a `Pool`. `max_size` limits how many connections exist at one time, and 0 is no limit, as is the
    default here. `try_acquire()` never finds any, and `add()` takes in none.

    Raises:
        PoolConfigError: `min_idle`, or `max_uses` other than 1, which cannot be honoured.
    """
