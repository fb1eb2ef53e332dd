"""What a pool knows about itself: numbers that add up, because all are read in one hold of its lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, fields
from typing import Any

from datalayer.late import dataclass

BUCKETS = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0)
"""Upper bounds of the histograms, in seconds; one more bucket holds everything above."""

CLOSE_REASONS = (
    "broken", "invalid", "idle", "lifetime", "max_uses", "stale", "reset_failed", "configure_failed", "surplus",
    "discarded", "detached", "abandoned", "pool_closed",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStats:
    """A snapshot of a pool.

    These always hold: `acquires_started` is the sum of `immediate`, `waited`, `timed_out`, `cancelled`, `rejected`,
    `failed`, `waiting` and `testing`; `connections_opened + connections_added` minus all `closed_...` is `size`;
    `size` is `idle + in_use + testing`; `size + opening` is never more than `max_size` (but after a `resize()` down).
    """

    state: str
    size: int = 0
    idle: int = 0
    in_use: int = 0
    testing: int = 0
    opening: int = 0
    waiting: int = 0
    max_size: int = 0
    min_idle: int = 0
    generation: int = 0
    peak_in_use: int = 0
    peak_waiting: int = 0
    acquires_started: int = 0
    acquires_immediate: int = 0
    acquires_waited: int = 0
    acquires_timed_out: int = 0
    acquires_cancelled: int = 0
    acquires_rejected: int = 0
    acquires_failed: int = 0
    returns: int = 0
    connections_opened: int = 0
    connections_added: int = 0
    connect_errors: int = 0
    closed_broken: int = 0
    closed_invalid: int = 0
    closed_idle: int = 0
    closed_lifetime: int = 0
    closed_max_uses: int = 0
    closed_stale: int = 0
    closed_reset_failed: int = 0
    closed_configure_failed: int = 0
    closed_surplus: int = 0
    closed_discarded: int = 0
    closed_detached: int = 0
    closed_abandoned: int = 0
    closed_pool_closed: int = 0
    pings: int = 0
    ping_failures: int = 0
    leaks: int = 0
    deadlocks: int = 0
    outages: int = 0
    wait_time_total: float = 0.0
    wait_time_max: float = 0.0
    usage_time_total: float = 0.0
    usage_time_max: float = 0.0
    open_time_total: float = 0.0
    open_time_max: float = 0.0
    wait_histogram: tuple[int, ...] = ()
    usage_histogram: tuple[int, ...] = ()
    open_histogram: tuple[int, ...] = ()
    last_error: BaseException | None = field(default=None, compare=False)
    last_error_at: float | None = None

    @property
    def closed(self) -> int:
        """How many connections left the pool, for whatever reason."""
        return sum(getattr(self, f"closed_{reason}") for reason in CLOSE_REASONS)

    def as_dict(self) -> dict[str, object]:
        """Plain values for a health page; the error by its class only, since its text may name too much."""
        values: dict[str, object] = {one.name: getattr(self, one.name) for one in fields(self)}
        values["last_error"] = type(self.last_error).__name__ if self.last_error is not None else None
        return values


@dataclass(frozen=True, slots=True)
class LeaseInfo:
    """Who holds a connection.

    Attributes:
        id: The number of the connection.
        held: For how long, in seconds.
        owner: The thread or task.
        where: Where that is at this moment, as the end of a sentence.
        site: The file and line where it was borrowed.
    """

    id: int
    held: float
    owner: str
    where: str
    site: str = ""

    def __str__(self) -> str:
        borrowed = f", borrowed at {self.site}" if self.site else ""
        return f"connection {self.id} held for {self.held:.3f} s by {self.owner}{borrowed}{self.where}"


@dataclass(frozen=True, slots=True)
class CloseReport:
    """What `close()` found: the leases that were still out when its time was over."""

    leftovers: tuple[LeaseInfo, ...] = ()
    terminated: int = 0


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `check()` found among the idle connections."""

    checked: int
    failed: int


_LARGEST = ("peak_in_use", "peak_waiting", "wait_time_max", "usage_time_max", "open_time_max", "generation")


def total(parts: Sequence[PoolStats]) -> PoolStats:
    """Several pools of one database as one: sums, and the largest of what cannot be summed."""
    if len(parts) == 1:
        return parts[0]
    values: dict[str, Any] = {}
    for one in fields(PoolStats):
        found = [getattr(part, one.name) for part in parts]
        if one.name == "state":
            order = ("open", "paused", "closing", "new")
            values[one.name] = next((state for state in order if state in found), "closed")
        elif one.name in ("last_error", "last_error_at"):
            latest = max(parts, key=lambda part: part.last_error_at or 0.0, default=None)
            values[one.name] = getattr(latest, one.name, None)
        elif one.name in _LARGEST:
            values[one.name] = max(found, default=0)
        elif one.name.endswith("_histogram"):
            values[one.name] = tuple(sum(column) for column in zip(*found, strict=True))
        else:
            values[one.name] = sum(found)
    return PoolStats(**values)


def joined(reports: Sequence[CloseReport]) -> CloseReport:
    """The reports of several pools as one."""
    leftovers = tuple(one for report in reports for one in report.leftovers)
    return CloseReport(leftovers, sum(report.terminated for report in reports))
