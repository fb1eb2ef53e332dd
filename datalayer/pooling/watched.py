"""What can be asked of every pool, whoever keeps its connections: its numbers, its holders, its events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from weakref import ref

from datalayer.errors import PoolConfigError, PoolTimeout
from datalayer.late import LateModule
from datalayer.pooling.config import PoolConfig
from datalayer.pooling.entry import Entry, State
from datalayer.pooling.explain import MORE_CONNECTIONS, explain_timeout, site_text
from datalayer.pooling.listeners import Listeners
from datalayer.pooling.stats import LeaseInfo, PoolStats

if TYPE_CHECKING:
    from datalayer.pooling import events
    from datalayer.pooling.events import Event, Listener
else:
    events = LateModule("datalayer.pooling.events")

C = TypeVar("C")

log = logging.getLogger("datalayer.pooling")


class Books(Protocol):
    """Where a pool writes down what it has and counts: its core, or its ledger."""

    def lent(self) -> Iterator[Entry[Any]]:
        """The connections that are lent at this moment."""
        ...

    def clear_counters(self) -> None:
        """Starts all counters again."""
        ...


class Watched(Generic[C]):
    """A pool as its user watches it.

    Attributes:
        config: The limits now.
        name: For messages.
        weak: The pool, held weakly: what its leases know it by.
        cure: What the error says of a pool that has lent out everything.
    """

    def __init__(
        self, config: PoolConfig, *, name: str | None, listeners: Sequence[Listener], clock: Callable[[], float]
    ) -> None:
        self.config = config
        self.name = name
        self.cure = MORE_CONNECTIONS
        self._clock = clock
        self._listeners = Listeners(listeners)
        self._mutex = RLock()  # one that knows its holder; nothing takes it twice
        self.weak: ref[Any] = ref(self)

    @property
    def state(self) -> State:
        """`new`, `open`, `paused`, `closing` or `closed`."""
        raise NotImplementedError

    @property
    def closed(self) -> bool:
        """Whether the pool is closed, or being closed."""
        return self.state in ("closing", "closed")

    def stats(self, *, reset: bool = False) -> PoolStats:
        """All numbers of the pool at one moment.

        Args:
            reset: Start the counters again afterwards.
        """
        self._collect()
        with self._mutex:
            found = self._numbers()
            if reset:
                self._books().clear_counters()
        return found

    def leases(self) -> list[LeaseInfo]:
        """Who holds a connection at this moment."""
        now = self._clock()
        with self._mutex:
            lent = [(one.id, now - one.since, one.owner, one.site) for one in self._books().lent()]
        return [LeaseInfo(id, held, *self._describe(owner), site=site_text(site)) for id, held, owner, site in lent]

    def listen(self, listener: Listener) -> None:
        """Tells the listener of every event from now on, outside of every lock; what it raises is logged."""
        with self._mutex:
            self._listeners.add(listener)

    def unlisten(self, listener: Listener) -> None:
        """Stops telling the listener."""
        with self._mutex:
            self._listeners.remove(listener)

    def now(self) -> float:
        """The pool's clock."""
        return self._clock()

    def _tell(self, event: Event) -> None:
        if self._listeners.all:
            self._listeners.tell(event, self)

    def _suspect(self, entry: Entry[C], held: float) -> None:
        """Tells about a lease that is out for too long."""
        info = LeaseInfo(entry.id, held, *self._describe(entry.owner), site=site_text(entry.site))
        log.warning("%s may have a leak: %s", self, info)
        self._tell(events.LeakSuspected(entry.id, held, str(info)))

    def _timed_out(self, reason: str, waited: float) -> PoolTimeout:
        return explain_timeout(self.name, reason, waited, self.stats(), self.leases(), self.cure)

    def _note_wrong_check(self, error: BaseException) -> None:
        """Says so when a connection failed its check because the check itself is wrong: all of them will."""
        if isinstance(error, PoolConfigError):
            log.error("every connection of %s is replaced before it is lent: %s", self, error)

    # -- what a pool adds -----------------------------------------------------------------------

    def _books(self) -> Books:
        raise NotImplementedError

    def _numbers(self) -> PoolStats:
        """All numbers; called under the lock."""
        raise NotImplementedError

    def _collect(self) -> None:
        """Does what is left to do, before anybody looks."""

    def _describe(self, owner: object) -> tuple[str, str]:
        """The name of a holder, and where it is at this moment."""
        raise NotImplementedError

    def current_owner(self) -> object:
        """Who runs at this moment: a thread or a task."""
        raise NotImplementedError
