"""A connection that takes its time to close, as one does whose server is gone, holds nobody up."""

from __future__ import annotations

import threading

import pytest
from pooling_fakes import FakeConnection, FakeConnector

from datalayer.pooling import Pool, PoolConfig


class SlowToClose(FakeConnector):
    """A connector over a network; closing waits until the test lets it."""

    fast_open = False

    def __init__(self) -> None:
        super().__init__()
        self.may_close = threading.Event()

    def close(self, conn: FakeConnection) -> None:
        assert self.may_close.wait(10.0)
        super().close(conn)


def test_caller_does_not_wait_for_the_end_of_dead_connections() -> None:
    connector = SlowToClose()
    pool = Pool(connector, PoolConfig(max_size=3))
    for lease in [pool.acquire() for _ in range(3)]:
        lease.release()
    connector.ping_errors = [ConnectionResetError("gone")]
    lease = pool.acquire()
    assert (connector.closed, pool.stats().closed_stale, pool.stats().closed_invalid) == (0, 2, 1)
    lease.discard()
    connector.may_close.set()
    pool.close()
    assert connector.closed == 4


def test_close_ends_in_time_whatever_closing_takes() -> None:
    connector = SlowToClose()
    pool = Pool(connector, PoolConfig(max_size=3))
    for lease in [pool.acquire() for _ in range(3)]:
        lease.release()
    pool.close(0.01)
    assert (pool.state, connector.closed) == ("closed", 0)
    connector.may_close.set()
    for thread in [one for one in threading.enumerate() if one.name.endswith("-work")]:
        thread.join()
    assert connector.closed == 3


def test_pool_works_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    connector = SlowToClose()
    connector.may_close.set()
    pool = Pool(connector, PoolConfig(idle_timeout=None, max_lifetime=None))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        pool.acquire().release()
        pool.close()
    assert (len(connector.made), connector.closed) == (1, 1)
