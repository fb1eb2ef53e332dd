"""The thread that looks after a blocking pool: there while something is to be expected, and no longer."""

from __future__ import annotations

import threading
import weakref
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Protocol


class Kept(Protocol):
    """A pool that needs looking after."""

    def is_kept(self) -> bool:
        """Whether there may be something to do."""
        ...

    def upkeep(self) -> float | None:
        """Does what is due; gives the seconds until the next time, or None when the thread may end."""
        ...


class Keeper:
    """The housekeeper of one pool; it does not keep the pool alive.

    Attributes:
        name: Of its thread.
        thread: The thread, while there is one.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.thread: threading.Thread | None = None
        self._bell: SimpleQueue[None] = SimpleQueue()

    def arm(self, pool: Kept) -> None:
        """Sees to it that somebody looks when the next time has come; what that time is, `upkeep` tells.

        Called under the lock of the pool, as `dismiss` is: so neither comes between the halves of the other.
        """
        if self.thread is None and pool.is_kept():
            self.thread = threading.Thread(
                target=_keep_house, args=(weakref.ref(pool), self._bell), daemon=True, name=self.name
            )
            self.thread.start()
        else:
            self.wake()

    def wake(self) -> None:
        """Lets it look now; may be called from anywhere."""
        self._bell.put(None)

    def dismiss(self) -> None:
        """Its thread ends; the next `arm` begins another."""
        self.thread = None


def _keep_house(ref: weakref.ref[Kept], bell: SimpleQueue[None]) -> None:
    while True:
        pool = ref()
        if pool is None:
            return
        wait = pool.upkeep()
        del pool  # a pool nobody else holds must be free to go
        if wait is None:
            return
        with suppress(Empty):
            bell.get(timeout=min(wait, threading.TIMEOUT_MAX))
