"""What psycopg-pool cannot tell, written down: who holds which connection, why one was closed, how long things took.

Pure bookkeeping, as the core of the generic pool is: no lock, no clock, no driver. The adapter calls it under its lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, Generic, TypeVar

from datalayer.pooling.config import PoolConfig
from datalayer.pooling.entry import GONE, IDLE, LENT, NEVER, TESTING, Entry, State
from datalayer.pooling.explain import Site
from datalayer.pooling.outage import Outage
from datalayer.pooling.stats import PoolStats
from datalayer.pooling.tally import Outcome, Tally

L = TypeVar("L")


class RawEntry(Entry[L]):
    """A connection, the driver's own object, and the pool of psycopg-pool it lives in."""

    __slots__ = ("home", "raw", "reason")

    def __init__(self, link: L, raw: Any, id: int, now: float, expires: float, generation: int) -> None:
        super().__init__(link, id, now, expires, generation)
        self.raw = raw
        self.home: Any = None
        self.reason: str | None = None  # why it is about to be closed


class Ledger(Tally, Generic[L]):
    """The connections of one adapter and everything counted about them.

    Args:
        config: The limits.
        generation: The number of the first generation of connections.
        rng: The source of jitter.
    """

    def __init__(self, config: PoolConfig, *, generation: int, rng: Random) -> None:
        self.max_size = config.max_size
        self.min_idle = config.min_idle
        self.entries: dict[int, RawEntry[L]] = {}
        self.waiting: dict[object, int] = {}
        self.queued = 0
        self.generation = generation
        self.lent_count = 0
        self.testing = 0
        self.opening = 0
        self._config = config
        self._max_uses = config.max_uses or NEVER
        self._rng = rng
        self._next_id = 0
        self.outage = Outage(config, rng)
        super().__init__()

    def clear_counters(self) -> None:
        """Starts all counters again; those of running acquires and present connections are kept consistent."""
        self.start_again(size=len(self.entries), in_use=self.lent_count, waiting=self.queued, uses=self._present_uses())

    # -- connections ----------------------------------------------------------------------------

    def turn_to_connect(self, now: float) -> float | None:
        """Begins a connect when it is wanted and due; gives how long to wait else, and None when it is not wanted."""
        size = len(self.entries)
        if max(self.queued, self.min_idle - size) <= self.opening or size + self.opening >= self.max_size:
            return None
        if self.outage.failures:
            if self.opening:
                return NEVER  # one probe at a time; its end wakes those who wait
            if now < self.outage.retry_at:
                return self.outage.retry_at - now
        self.opening += 1
        return 0.0

    def hurry(self, now: float) -> None:
        """Somebody came to wait during an outage: the server may be back, and is asked soon; but no refusal is."""
        if self.outage.refusal is None:
            self.outage.hurry(now)

    def connected(self, link: L, raw: Any, now: float, took: float) -> tuple[RawEntry[L], float | None]:
        """A connection was made; gives it, and how long an outage lasted that is over by this."""
        self.opening -= 1
        self._next_id += 1
        life = self._config.max_lifetime
        expires = NEVER if life is None else now + life * (1.0 - self._config.lifetime_jitter * self._rng.random())
        entry = self.entries[id(raw)] = RawEntry(link, raw, self._next_id, now, expires, self.generation)
        self.count_open(took)
        down_for = self.outage.ended(now)
        return entry, down_for

    def connect_failed(self, error: BaseException, now: float, *, configured: bool, hopeless: bool) -> bool:
        """A connection could not be made; gives whether an outage begins with it."""
        self.opening -= 1
        self.count_failed_open(error, now, configured=configured)
        begins = self.outage.failed(now, error if hopeless else None, is_waited_for=bool(self.queued))
        self.outages += begins
        return begins

    def is_hopeless(self, now: float) -> bool:
        """Whether nobody can be served: connecting cannot succeed, and all who hold a connection wait themselves."""
        if self.outage.refusal is None or now >= self.outage.retry_at:
            return False
        return self.lent_count == len(self.entries) and all(one.owner in self.waiting for one in self.lent())

    def closed_one(self, raw: Any, *, is_open: bool) -> tuple[RawEntry[L], str] | None:
        """A connection is being closed, by whomever; gives it and the reason, or None for one that is not known."""
        entry = self.entries.pop(id(raw), None)
        if entry is None:
            return None
        reason = entry.reason
        if entry.state == LENT:
            self.lent_count -= 1
            reason = reason or "broken"
        elif reason is None:
            stale = "stale" if entry.generation != self.generation else "idle"
            reason = stale if is_open else "pool_closed"
        self.closed[reason] += 1
        self.past_uses += entry.uses
        entry.state = GONE
        return entry, reason

    # -- acquires -------------------------------------------------------------------------------

    def begin(self, owner: object) -> None:
        """An acquire begins."""
        self.queued += 1
        self.waiting[owner] = self.waiting.get(owner, 0) + 1
        self.peak_waiting = max(self.peak_waiting, self.queued)

    def is_crowded(self, limit: int) -> int | None:
        """How many wait already, when one more is too many: as many as may, and more than could be opened."""
        others = self.queued - 1 - self.idle
        room = self.max_size - len(self.entries) if self.outage.retry_at == -NEVER else 0
        return None if others < limit or others < room else others

    def end(self, owner: object, outcome: Outcome | None, *, tested: bool = False) -> None:
        """An acquire ends.

        Args:
            outcome: How; None when it was served at once.
            tested: Whether it had a connection in its hands already.
        """
        if outcome is not None:
            self.outcomes[outcome] += 1
        if tested:
            self.testing -= 1
        else:
            self._leave_queue(owner)

    def lend_idle(
        self, raw: Any, home: Any, owner: object, site: Site, now: float, bypass: float
    ) -> RawEntry[L] | None:
        """A whole acquire with an idle connection: lends it; None when it must be tested, or is no good.

        Args:
            bypass: For how many seconds an idle connection is trusted.
        """
        entry = self.entries.get(id(raw))
        if (
            entry is None
            or entry.generation != self.generation
            or entry.expires <= now
            or (now - entry.since >= bypass and not entry.fresh)
        ):
            return None
        entry.home = home
        entry.owner, entry.since, entry.state, entry.fresh, entry.reported = owner, now, LENT, False, False
        entry.code, entry.offset = site
        entry.uses += 1
        self.lent_count = lent = self.lent_count + 1
        if lent > self.peak_in_use:
            self.peak_in_use = lent
        return entry

    def take(self, raw: Any, home: Any, owner: object) -> RawEntry[L] | None:
        """A caller has a connection in its hands, not tested yet."""
        entry = self.entries.get(id(raw))
        if entry is not None:
            self._leave_queue(owner)
            self.testing += 1
            entry.home, entry.state = home, TESTING
        return entry

    def checking(self, raw: Any) -> RawEntry[L] | None:
        """An idle connection is pinged by `check()`."""
        self.pings += 1
        return self.entries.get(id(raw))

    def put_back(self, owner: object) -> None:
        """What a caller had in its hands was no good: it queues again."""
        self.testing -= 1
        self.queued += 1
        self.waiting[owner] = self.waiting.get(owner, 0) + 1

    def lend(
        self, entry: RawEntry[L], owner: object, site: Site, now: float, waited: float, *, immediate: bool
    ) -> None:
        """Ends an acquire: the connection is lent."""
        self.end(owner, None if immediate else "waited", tested=True)
        entry.owner, entry.since, entry.state, entry.fresh, entry.reported = owner, now, LENT, False, False
        entry.code, entry.offset = site
        entry.uses += 1
        self.lent_count += 1
        self.peak_in_use = max(self.peak_in_use, self.lent_count)
        if not immediate:
            self.count_wait(waited)

    def give_back(self, entry: RawEntry[L], now: float, drop: str | None) -> str | None:
        """Ends a lease; gives the reason to close the connection, if there is one."""
        self.use_total += (used := now - entry.since)
        if used > self.notable:
            self.note_use(used)
        entry.owner = None
        if drop is None and (
            entry.uses >= self._max_uses
            or entry.generation != self.generation
            or entry.expires <= now
            or len(self.entries) > self.max_size
        ):
            drop = self._why_to_go(entry, now)
        entry.since = now
        entry.reason = drop
        if entry.state == LENT:
            self.lent_count -= 1
            entry.state = IDLE
        return drop

    def _why_to_go(self, entry: RawEntry[L], now: float) -> str:
        if entry.uses >= self._max_uses:
            return "max_uses"
        if entry.generation != self.generation:
            return "stale"
        return "lifetime" if entry.expires <= now else "surplus"

    def is_deadlocked(self) -> bool:
        """Whether everybody who holds a connection waits for another one."""
        if self.lent_count < self.max_size:
            return False
        return all(one.owner in self.waiting for one in self.lent())

    def make_stale(self) -> None:
        """Every connection of now is to be closed: psycopg-pool drains lent ones too, at their return."""
        for entry in self.entries.values():
            entry.generation = -1

    # -- what there is --------------------------------------------------------------------------

    @property
    def idle(self) -> int:
        """How many connections nobody has in his hands."""
        return len(self.entries) - self.lent_count - self.testing

    def lent(self) -> Iterator[RawEntry[L]]:
        """The connections that are lent at this moment."""
        return (entry for entry in self.entries.values() if entry.state == LENT)

    def stats(self, state: State) -> PoolStats:
        """All numbers at one moment."""
        return self.shown(
            state=state, size=len(self.entries), idle=self.idle, testing=self.testing, opening=self.opening,
            waiting=self.queued, max_size=self.max_size, min_idle=self.min_idle, generation=self.generation,
            uses=self._present_uses(),
        )  # fmt: skip

    def _present_uses(self) -> int:
        return sum(entry.uses for entry in self.entries.values())

    def _leave_queue(self, owner: object) -> None:
        self.queued -= 1
        left = self.waiting[owner] - 1
        if left:
            self.waiting[owner] = left
        else:
            del self.waiting[owner]
