"""The right to use one connection until it is given back."""

from __future__ import annotations

import logging
import warnings
import weakref
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from datalayer.errors import DoubleRelease, LeaseReleased
from datalayer.pooling.entry import Entry
from datalayer.pooling.explain import call_site

C = TypeVar("C")

log = logging.getLogger("datalayer.pooling")


class LeasePool(Protocol[C]):
    """What a lease needs of the pool it came from.

    Attributes:
        weak: The pool, held weakly.
    """

    weak: weakref.ref[Any]

    def discard_entry(self, entry: Entry[C], reason: str) -> None:
        """Ends a lease and closes its connection."""
        ...

    def detach_entry(self, entry: Entry[C]) -> C:
        """Ends a lease and leaves the connection with the caller."""
        ...

    def orphan_entry(self, entry: Entry[C]) -> None:
        """Ends a lease that was garbage collected."""
        ...

    def is_lost(self, exc: BaseException) -> bool:
        """Whether an error says that the server is gone."""
        ...

    def lose_entry(self, entry: Entry[C], exc: BaseException) -> None:
        """Ends a lease whose server is gone, and makes every connection stale that is not newer."""
        ...

    def now(self) -> float:
        """The pool's clock."""
        ...

    def transfer_entry(self, entry: Entry[C]) -> None:
        """Makes the thread or task that runs now the holder of a lease."""
        ...


class Grip(Generic[C]):
    """What a lease holds its entry by; one that dies while it holds an entry died with a lease that was not ended.

    The entry keeps it from lease to lease: so no lease has a `__del__`, which costs as much as making one.

    Attributes:
        entry: What it holds; None between two leases.
    """

    __slots__ = ("_pool", "entry")

    def __init__(self, pool: LeasePool[C]) -> None:
        self.entry: Entry[C] | None = None
        # Weak, so that a pool that is dropped goes at once, whatever its entries keep; and the pool's own, since the
        # collector clears those that are part of a circle of garbage before `__del__` runs.
        self._pool = pool.weak

    def __del__(self) -> None:
        entry = self.entry
        if entry is not None:
            pool = self._pool()
            if pool is not None:
                pool.orphan_entry(entry)


def grip_of(pool: LeasePool[C], entry: Entry[C]) -> Grip[C]:
    """The grip for a new lease; the pools that lend most do the same by hand."""
    grip = entry.grip
    if grip is None:
        grip = Grip(pool)
    entry.grip = None
    grip.entry = entry
    return grip


class BaseLease(Generic[C]):
    """The right to use one connection until it is given back.

    Attributes:
        pool: Where it came from.
    """

    __slots__ = ("_gone", "_grip", "pool")

    # A pool makes one and fills it in by hand: an `__init__` would cost a tenth of an acquire and release.
    pool: LeasePool[C]
    _grip: Grip[C] | None  # None once it has ended
    _gone: str  # how it ended, when it was not given back

    @property
    def _entry(self) -> Entry[C] | None:
        """What it holds."""
        grip = self._grip
        return None if grip is None else grip.entry

    @property
    def conn(self) -> C:
        """The connection.

        Raises:
            LeaseReleased: It was given back; somebody else may be using it.
        """
        grip = self._grip
        if grip is None or (entry := grip.entry) is None:
            raise LeaseReleased(
                f"this lease was {self._how()}: its connection may belong to somebody else by now; acquire a new one"
            )
        return entry.conn

    @property
    def id(self) -> int:
        """The number of the connection in its pool."""
        return self._held().id

    @property
    def info(self) -> dict[str, object]:
        """Notes that live as long as the connection does."""
        entry = self._held()
        if entry.info is None:
            entry.info = {}
        return entry.info

    @property
    def age(self) -> float:
        """Seconds since the connection was opened."""
        return self.pool.now() - self._held().born

    @property
    def uses(self) -> int:
        """How many times the connection was lent, this time included."""
        return self._held().uses

    def discard(self, reason: str | None = None) -> None:
        """Ends the lease and throws the connection away; it is closed by the pool.

        Args:
            reason: For the log.
        """
        entry = self.end("discarded")
        if reason:
            log.info("connection %s was discarded: %s", entry.id, reason)
        self.pool.discard_entry(entry, "discarded")

    def detach(self) -> C:
        """Ends the lease and keeps the connection: it is yours to close, and the pool may open another one."""
        return self.pool.detach_entry(self.end("detached"))

    def note_place(self) -> None:
        """Notes the line outside of this package that runs now as the one that borrowed: for pools behind others."""
        grip = self._grip
        if grip is not None and grip.entry is not None:
            grip.entry.code, grip.entry.offset = call_site()

    def transfer(self) -> None:
        """Makes the thread or task that runs now the holder: for leases that are passed on.

        Raises:
            PoolDeadlock: It waits for a connection of this pool itself, as all other holders do.
        """
        self.pool.transfer_entry(self._held())

    def report(self, exc: BaseException) -> None:
        """Tells the pool about an error; one that says the server is gone ends the lease and makes all others stale.

        A `with` block does so by itself with an error that leaves it.
        """
        if self._entry is not None and self.pool.is_lost(exc):
            self.pool.lose_entry(self.end("discarded"), exc)

    def __repr__(self) -> str:
        entry = self._entry
        return f"<{type(self).__name__} {self._how() if entry is None else f'of connection {entry.id}'}>"

    def _held(self) -> Entry[C]:
        entry = self._entry
        if entry is None:
            raise LeaseReleased(f"this lease was {self._how()}: acquire a new one")
        return entry

    def _how(self) -> str:
        return getattr(self, "_gone", "given back")

    def _refusal(self) -> DoubleRelease:
        return DoubleRelease(f"this lease was {self._how()} already: give each lease back once, best by `with`")

    def end(self, how: str) -> Entry[C]:
        """Ends the lease; for its pool, which has to do the rest."""
        grip = self._grip
        if grip is None or (entry := grip.entry) is None:
            raise self._refusal()
        self._grip = grip.entry = None
        entry.grip = grip
        self._gone = how
        return entry


class ReleasingPool(LeasePool[C], Protocol[C]):
    """What a blocking lease needs of the pool it came from."""

    def release_entry(self, entry: Entry[C]) -> None:
        """Ends a lease: cleans the connection, and keeps or closes it."""
        ...


class Lease(BaseLease[C]):
    """The right to use one connection; `with lease as conn` gives it back at the end."""

    __slots__ = ()

    pool: ReleasingPool[C]  # pyright: ignore[reportIncompatibleVariableOverride]  # set once

    def release(self) -> None:
        """Gives the connection back: it is cleaned and kept, or thrown away when it cannot be cleaned.

        Raises:
            DoubleRelease: The lease has ended already.
        """
        self.pool.release_entry(self.end("given back"))

    def __enter__(self) -> C:
        grip = self._grip
        if grip is None or (entry := grip.entry) is None:
            return self.conn  # which refuses
        return entry.conn

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if exc is not None:
            self.report(exc)
        if self._grip is not None:  # not after a discard or detach in the block
            self.release()


def lease_of(pool: ReleasingPool[C], entry: Entry[C]) -> Lease[C]:
    """The lease of an entry; `Pool.acquire` does the same by hand."""
    lease: Lease[C] = Lease()
    lease.pool, lease._grip = pool, grip_of(pool, entry)  # pyright: ignore[reportPrivateUsage]  # filled in by hand
    return lease


def warn_of_orphan(entry: Entry[Any]) -> None:
    """Warns that a lease was garbage collected."""
    warnings.warn(
        f"a lease of connection {entry.id} was dropped without being given back: use `with`", ResourceWarning, 3
    )
