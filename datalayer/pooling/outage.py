"""Connecting fails: since when, when to try again, and from when on it is an outage."""

from __future__ import annotations

from random import Random

from datalayer.pooling.config import PoolConfig
from datalayer.pooling.entry import NEVER

WAITED_FOR = 1.0
"""The longest pause between two attempts to connect while somebody waits, in seconds: who waits shall not lose more."""


class Outage:
    """The failures to connect since the last success. Pure: it is told the time.

    Attributes:
        failures: How many in a row; attempts that were begun together count as one.
        since: When the first of them was.
        is_on: Whether that is long enough ago to be called an outage.
        retry_at: When the next attempt is due.
        refusal: The last error, when it can only come again until `retry_at`.
    """

    __slots__ = ("_config", "_rng", "_tried_at", "failures", "is_on", "refusal", "retry_at", "since")

    def __init__(self, config: PoolConfig, rng: Random) -> None:
        self._config = config
        self._rng = rng
        self.clear()

    def clear(self) -> None:
        """Forgets all failures."""
        self.failures = 0
        self.since: float | None = None
        self.is_on = False
        self._tried_at = self.retry_at = -NEVER
        self.refusal: BaseException | None = None

    def failed(self, now: float, refusal: BaseException | None, *, is_waited_for: bool) -> bool:
        """One more failure; gives whether an outage begins with it.

        Args:
            refusal: The error, when it can only come again.
            is_waited_for: Whether somebody waits for what the next attempt may give.
        """
        self.refusal = refusal
        if self.since is None:
            self.since = now
        config = self._config
        if now >= self.retry_at:
            self.failures += 1
            pause = min(config.backoff_initial * 2.0 ** min(self.failures - 1, 60), config.backoff_max)
            if is_waited_for and refusal is None:
                pause = min(pause, max(WAITED_FOR, config.backoff_initial))
            self._tried_at, self.retry_at = now, now + pause * (1.0 - config.backoff_jitter * self._rng.random())
        after = config.unavailable_after
        if after is None or self.is_on or now - self.since < after:
            return False
        self.is_on = True
        return True

    def ended(self, now: float) -> float | None:
        """A connection could be made; gives how long an outage lasted that is over by this."""
        down_for = now - self.since if self.is_on and self.since is not None else None
        self.clear()
        return down_for

    def hurry(self, now: float) -> None:
        """Somebody comes to wait: the server may be back, and is asked soon."""
        self.retry_at = min(self.retry_at, max(now, self._tried_at + self._config.backoff_initial))
