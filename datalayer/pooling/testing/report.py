"""What came of a simulation, and whether the numbers of a pool add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import ceil

from datalayer.pooling.stats import PoolStats


@dataclass(frozen=True)
class SimReport:
    """What came of a simulation.

    Attributes:
        seconds: How long it took, in virtual time.
        served: How many acquires were served.
        timed_out: How many waited in vain.
        errors: How many clients ended with an error, by its class.
        waits: How long each served acquire waited, in seconds, the shortest first.
        utilisation: The share of `max_size` times `seconds` during which connections were lent.
        stats: The numbers of the pool at the end.
    """

    seconds: float
    served: int
    timed_out: int
    errors: Counter[str]
    waits: tuple[float, ...]
    utilisation: float
    stats: PoolStats

    def wait(self, share: float) -> float:
        """The waiting time that this share of the served acquires did not exceed: `wait(0.95)`."""
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"{share!r} is no share: use a number from 0 to 1")
        return self.waits[max(ceil(len(self.waits) * share) - 1, 0)] if self.waits else 0.0

    def __str__(self) -> str:
        return (
            f"{self.served} served, {self.timed_out} timed out in {self.seconds:.1f} s; "
            f"wait 50% {self.wait(0.5):.4f} s, 95% {self.wait(0.95):.4f} s, most {self.wait(1.0):.4f} s; "
            f"utilisation {self.utilisation:.0%}, at most {self.stats.peak_in_use} in use, "
            f"{self.stats.peak_waiting} waiting"
        )


def check_stats(stats: PoolStats) -> None:
    """Makes sure that the numbers of a pool add up, as `PoolStats` promises.

    Raises:
        AssertionError: They do not; names the identity that is broken.
    """
    ended = (
        stats.acquires_immediate + stats.acquires_waited + stats.acquires_timed_out + stats.acquires_cancelled
        + stats.acquires_rejected + stats.acquires_failed
    )  # fmt: skip
    claims = {
        "every acquire has one outcome": stats.acquires_started == ended + stats.waiting + stats.testing,
        "every connection came and went": stats.connections_opened + stats.connections_added - stats.closed
        == stats.size,
        "every connection is idle, tested or lent": stats.size == stats.idle + stats.in_use + stats.testing,
        "no more connections than max_size": stats.size + stats.opening <= stats.max_size,
        "no number is negative": min(
            stats.size, stats.idle, stats.in_use, stats.testing, stats.opening, stats.waiting, stats.acquires_immediate
        )
        >= 0,
        "every use is in one bucket": not stats.usage_histogram or sum(stats.usage_histogram) == stats.returns,
        "no more in use than at the peak": stats.in_use <= stats.peak_in_use,
        "no more waiting than at the peak": stats.waiting <= stats.peak_waiting,
    }
    broken = [claim for claim, holds in claims.items() if not holds]
    assert not broken, f"{'; '.join(broken)}: not so in {stats}"
