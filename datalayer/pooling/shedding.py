"""Turning callers away while the queue is too slow, so that the rest may yet be served in time."""

from __future__ import annotations

from datalayer.errors import PoolOverloaded
from datalayer.pooling.config import PoolConfig


class Shedding:
    """Watches how long the oldest caller in the queue waits. Pure: it is told the time."""

    __slots__ = ("_config", "_slow_since")

    def __init__(self, config: PoolConfig) -> None:
        self._config = config
        self._slow_since: float | None = None

    def judge(self, oldest: float | None, waiting: int, now: float) -> PoolOverloaded | None:
        """Why the newest caller is turned away; None when it is not.

        Args:
            oldest: For how long the oldest caller waits; None when nobody does.
            waiting: How many wait.
        """
        target = self._config.queue_target
        if target is None or oldest is None or oldest <= target:
            self._slow_since = None
            return None
        if self._slow_since is None:
            self._slow_since = now
        slow_for = now - self._slow_since
        if slow_for < self._config.queue_interval:
            return None
        return PoolOverloaded(
            f"callers have waited for more than queue_target={target} s for {slow_for:.3f} s, and {waiting} wait "
            "now: raise max_size, hold connections for a shorter time, or try again later"
        )
