"""How a thread waits for the pool."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

from datalayer.pooling.entry import Entry

C = TypeVar("C")


class ThreadWaiter(Generic[C]):
    """A one-shot: born locked, woken by letting go."""

    __slots__ = ("_lock", "_woken", "entry", "error", "is_leaving", "owner", "since")

    def __init__(self, owner: object) -> None:
        self.entry: Entry[C] | None = None
        self.error: BaseException | None = None
        self.is_leaving = False
        self.owner = owner
        self.since = 0.0
        self._woken = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        """Lets the waiting thread go on; only the first call counts."""
        if not self._woken:
            self._woken = True
            self._lock.release()

    def wait(self, timeout: float | None) -> None:
        """Blocks until woken, or for so many seconds."""
        self._lock.acquire(timeout=-1 if timeout is None else min(max(timeout, 0), threading.TIMEOUT_MAX))
