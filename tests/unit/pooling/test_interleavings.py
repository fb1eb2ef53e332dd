"""Two threads in one pool: at every lock that one of them is about to take, the other one goes first.

Nothing here is left to chance: a call is repeated, and the other thread goes before its first lock, its second, and so
on, until it takes no more of them.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
from pooling_fakes import FakeConnector

from datalayer.errors import PoolClosed, PoolTimeout
from datalayer.pooling import Lease, Pool, PoolConfig

Call: TypeAlias = Callable[[Pool[Any], Lease[Any]], object]


class SwitchingLock(type(threading.RLock())):  # type: ignore[misc]  # the class has no name of its own
    """A lock before whose taking, for the n-th time, another thread has its turn."""

    def __init__(self, turn: int, other: Callable[[], object]) -> None:
        self.left = turn
        self.other = other
        self.error: BaseException | None = None
        self.went_at: float | None = None
        self.is_over = False
        self._first = threading.get_ident()

    def _switch(self) -> None:
        self.left -= threading.get_ident() == self._first
        if self.left == -1 and self.went_at is None and not self.is_over:
            self.went_at = time.monotonic()
            thread = threading.Thread(target=self._go)
            thread.start()
            thread.join(10.0)
            assert not thread.is_alive()
            if self.error is not None:
                raise self.error

    def _go(self) -> None:
        try:
            with contextlib.suppress(PoolClosed):
                self.other()
        except BaseException as error:
            self.error = error

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        self._switch()
        return bool(super().acquire(blocking, timeout))

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exception: object) -> None:
        self.release()


@contextlib.contextmanager
def switching(second: Call, turn: int, identities: Any, size: int) -> Iterator[tuple[Pool[Any], Any, Any]]:
    """A pool with two lent connections, one to each thread, and idle ones besides; and a good end of it."""
    connector = FakeConnector()
    with Pool(connector, PoolConfig(max_size=size, on_deadlock="ignore")) as pool:
        leases = [pool.acquire() for _ in range(size)]
        mine, others = leases.pop(), leases.pop()
        for lease in leases:
            lease.release()
        lock = SwitchingLock(turn, lambda: second(pool, others))
        pool._mutex = lock
        yield pool, mine, lock
        lock.is_over = True
        for lease in (mine, others):
            if lease._entry is not None:
                lease.release()
        stats = pool.stats()
        identities(stats)
        assert (stats.in_use, stats.waiting, stats.testing) == (0, 0, 0)
        pool.open()
        pool.acquire(5.0).release()
    assert connector.closed == len(connector.made)


def tries(pool: Pool[Any]) -> None:
    lease = pool.try_acquire()
    if lease is not None:
        lease.release()


OTHERS: dict[str, Call] = {
    "gives back": lambda pool, lease: lease.release(),
    "throws away": lambda pool, lease: lease.discard(),
    "tries": lambda pool, lease: tries(pool),
    "drains": lambda pool, lease: pool.drain(),
    "checks": lambda pool, lease: pool.check(),
    "invalidates": lambda pool, lease: pool.invalidate(),
    "makes smaller": lambda pool, lease: pool.resize(max_size=3),
    "closes": lambda pool, lease: pool.close(0.0, force=False),
}
CALLS: dict[str, Call] = {
    **OTHERS,
    "borrows": lambda pool, lease: pool.acquire(5.0).release(),
    "reports": lambda pool, lease: lease.report(ConnectionResetError("lost")),
    "looks": lambda pool, lease: (pool.stats(), pool.leases()),
}


@pytest.mark.parametrize("first", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("second", OTHERS.values(), ids=OTHERS)
def test_other_thread_may_go_first_at_every_lock(first: Call, second: Call, identities: Any) -> None:
    for turn in range(50):
        with switching(second, turn, identities, size=4) as (pool, lease, lock), contextlib.suppress(PoolClosed):
            first(pool, lease)
        if lock.went_at is None:
            return
    pytest.fail("it takes locks without end")


@pytest.mark.parametrize(
    ("second", "error"),
    [
        (OTHERS["gives back"], None),
        (OTHERS["throws away"], None),
        (lambda pool, lease: pool.resize(max_size=3), None),
        (OTHERS["closes"], PoolClosed),
    ],
    ids=["gives back", "throws away", "makes bigger", "closes"],
)
def test_caller_of_a_full_pool_misses_nothing_that_happens_before_it_waits(
    second: Call, error: type[Exception] | None, identities: Any
) -> None:
    tried = 0
    for turn in range(50):
        with switching(second, turn, identities, size=2) as (pool, _, lock):
            began = time.monotonic()
            try:
                pool.acquire(0.4).release()
                came: type[BaseException] | None = None
            except (PoolTimeout, PoolClosed) as raised:
                came = type(raised)
        if lock.went_at is None or lock.went_at - began >= 0.4:
            break  # it took the lock again when its time was up
        assert came is error, f"the other thread went before lock {turn + 1}"
        tried += 1
    assert tried >= 3
