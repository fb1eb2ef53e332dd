"""What a pool counts: the part of the core and of the ledger that `PoolStats` shows.

Pure bookkeeping, and little of it in an acquire or a return of the usual kind, for speed. Each connection counts how
often it was lent; how many acquires were served, and how many leases have ended, follows from that when it is asked.
The histogram of uses counts only what is beyond its first bucket: the rest of `returns` is in that one.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Literal, TypeAlias

from datalayer.pooling.entry import State
from datalayer.pooling.stats import BUCKETS, CLOSE_REASONS, PoolStats

Outcome: TypeAlias = Literal["waited", "timed_out", "cancelled", "rejected", "failed"]
"""How an acquire may end that is not served at once."""

_SHORT = BUCKETS[0]


class Tally:
    """Counters, peaks and durations of one pool."""

    __slots__ = (
        "_lent_at_start", "added_count", "closed", "connect_errors", "deadlocks", "last_error", "last_error_at",
        "leaks", "notable", "open_histogram", "open_max", "open_total", "opened_count", "outages", "outcomes",
        "past_uses", "peak_in_use", "peak_waiting", "ping_failures", "pings", "use_histogram", "use_max", "use_total",
        "wait_histogram", "wait_max", "wait_total",
    )  # fmt: skip

    outcomes: dict[Outcome, int]

    def __init__(self) -> None:
        self.last_error: BaseException | None = None
        self.last_error_at: float | None = None
        self.start_again(size=0, in_use=0, waiting=0, uses=0)

    def start_again(self, *, size: int, in_use: int, waiting: int, uses: int) -> None:
        """Starts all counters again; those of running acquires and present connections are kept consistent.

        Args:
            uses: How often the present connections were lent.
        """
        self.past_uses = -uses  # with the uses of the present connections: the acquires that were served
        self._lent_at_start = in_use
        self.outcomes = dict.fromkeys(("waited", "timed_out", "cancelled", "rejected", "failed"), 0)
        self.closed: dict[str, int] = dict.fromkeys(CLOSE_REASONS, 0)
        self.opened_count, self.added_count = size, 0
        self.connect_errors = self.pings = self.ping_failures = 0
        self.leaks = self.deadlocks = self.outages = 0
        self.peak_in_use, self.peak_waiting = in_use, waiting
        self.wait_total = self.wait_max = self.use_total = self.use_max = self.open_total = self.open_max = 0.0
        self.notable = 0.0  # a shorter use than this changes nothing but `use_total`
        self.open_histogram = [0] * (len(BUCKETS) + 1)
        self.wait_histogram = [0] * (len(BUCKETS) + 1)
        self.use_histogram = [0] * (len(BUCKETS) + 1)

    def count_wait(self, waited: float) -> None:
        """Counts the time of a caller that was not served at once."""
        self.wait_total += waited
        self.wait_max = max(self.wait_max, waited)
        self.wait_histogram[bisect_left(BUCKETS, waited)] += 1

    def count_use(self, used: float) -> None:
        """Counts how long a connection was lent that comes back."""
        self.use_total += used
        if used > self.notable:
            self.note_use(used)

    def note_use(self, used: float) -> None:
        """Counts what is notable in a use: that it is the longest so far, or beyond the first bucket."""
        if used > self.use_max:
            self.use_max = used
            self.notable = min(used, _SHORT)
        if used > _SHORT:
            self.use_histogram[bisect_left(BUCKETS, used)] += 1

    def count_open(self, took: float) -> None:
        """Counts a connection that was made."""
        self.opened_count += 1
        self.open_total += took
        self.open_max = max(self.open_max, took)
        self.open_histogram[bisect_left(BUCKETS, took)] += 1

    def count_failed_open(self, error: BaseException, now: float, *, configured: bool) -> None:
        """Counts a connection that could not be made.

        Args:
            configured: False when connecting went well and `configure` failed.
        """
        self.connect_errors += 1
        if not configured:
            self.opened_count += 1
            self.closed["configure_failed"] += 1
        self.note_error(error, now)

    def note_error(self, error: BaseException, now: float) -> None:
        """Remembers the last error."""
        self.last_error = error
        self.last_error_at = now

    def shown(
        self,
        *,
        state: State,
        size: int,
        idle: int,
        testing: int,
        opening: int,
        waiting: int,
        max_size: int,
        min_idle: int,
        generation: int,
        uses: int,
    ) -> PoolStats:
        """All numbers, with the gauges of the same moment, and how often the present connections were lent."""
        outcomes = self.outcomes
        immediate = self.past_uses + uses - outcomes["waited"]
        in_use = size - idle - testing
        returns = self.past_uses + uses - in_use + self._lent_at_start
        return PoolStats(
            state=state, size=size, idle=idle, in_use=in_use, testing=testing, opening=opening,
            waiting=waiting, max_size=max_size, min_idle=min_idle, generation=generation,
            peak_in_use=self.peak_in_use, peak_waiting=self.peak_waiting,
            acquires_started=immediate + sum(outcomes.values()) + waiting + testing, acquires_immediate=immediate,
            **{f"acquires_{how}": count for how, count in outcomes.items()},
            returns=returns, connections_opened=self.opened_count, connections_added=self.added_count,
            connect_errors=self.connect_errors, pings=self.pings, ping_failures=self.ping_failures, leaks=self.leaks,
            deadlocks=self.deadlocks, outages=self.outages, wait_time_total=self.wait_total,
            wait_time_max=self.wait_max, usage_time_total=self.use_total, usage_time_max=self.use_max,
            open_time_total=self.open_total, open_time_max=self.open_max, open_histogram=tuple(self.open_histogram),
            wait_histogram=tuple(self.wait_histogram),
            usage_histogram=(returns - sum(self.use_histogram), *self.use_histogram[1:]),
            last_error=self.last_error, last_error_at=self.last_error_at,
            **{f"closed_{reason}": count for reason, count in self.closed.items()},
        )  # fmt: skip
