"""What every connector must do: alone, and in a pool."""

from __future__ import annotations

from typing import Any

from datalayer.errors import PoolTimeout
from datalayer.pooling.testing.conformance.bench import ConnectorBench
from datalayer.pooling.testing.conformance.scripts import Join, Script, Spawn, Until, call, raising

MISTAKES = (ValueError("a mistake of the program"), RuntimeError(), KeyboardInterrupt())


def each_connect_gives_a_connection_of_its_own(bench: ConnectorBench) -> Script:
    first = yield from bench.connected()
    second = yield from bench.connected()
    assert first is not None, "connect() gave None"
    assert first is not second, "connect() gave the same connection twice: two borrowers would share it"
    yield call(bench.connector.close, first)
    yield call(bench.case.use, second)


def new_connection_is_good(bench: ConnectorBench) -> Script:
    conn = yield from bench.connected()
    assert bench.connector.is_broken(conn) is False, "is_broken() of a new connection must be False"
    yield call(bench.connector.ping, conn)
    yield call(bench.case.use, conn)


def good_connection_stays_good(bench: ConnectorBench) -> Script:
    conn = yield from bench.connected()
    for _ in range(3):
        yield call(bench.case.use, conn)
        yield call(bench.connector.reset, conn)
        yield call(bench.connector.ping, conn)
        assert bench.connector.is_broken(conn) is False, "is_broken() of a connection that was reset must be False"


def closed_connection_is_known_to_be_broken(bench: ConnectorBench) -> Script:
    conn = yield from bench.connected()
    yield call(bench.connector.close, conn)
    found = bench.connector.is_broken(conn)
    assert found is True, f"is_broken() of a closed connection gave {found!r}: a pool would lend it again"


def connection_may_be_closed_twice(bench: ConnectorBench) -> Script:
    conn = yield from bench.connected()
    yield call(bench.connector.close, conn)
    yield call(bench.connector.close, conn)  # a borrower closed it, and the pool does


def ping_of_a_closed_connection_raises(bench: ConnectorBench) -> Script:
    conn = yield from bench.connected()
    yield call(bench.connector.close, conn)
    yield from _must_fail(bench, bench.connector.ping, conn, "ping() of a closed connection raised nothing")


def mistake_of_the_program_is_no_loss_and_not_fatal(bench: ConnectorBench) -> Script:
    for error in MISTAKES:
        for judge in (bench.connector.is_disconnect, bench.connector.is_fatal):
            found = judge(error)
            assert found is False, f"{judge.__name__}({error!r}) gave {found!r}; it must be False"
    yield from ()


def cut_connection_is_found_by_ping(bench: ConnectorBench) -> Script:
    conn = yield from bench.connected()
    yield call(bench.case.cut, conn)
    yield from _must_fail(bench, bench.connector.ping, conn, "ping() of a connection that was cut raised nothing")


def error_of_a_cut_connection_is_a_loss(bench: ConnectorBench) -> Script:
    for method in (bench.connector.ping, bench.case.use):
        conn = yield from bench.connected()
        yield call(bench.case.cut, conn)
        error = yield from _must_fail(bench, method, conn, f"{method} of a connection that was cut raised nothing")
        found = bench.connector.is_disconnect(error)
        assert found is True, f"is_disconnect({error!r}) gave {found!r}, though the connection was cut"


def cut_connection_can_be_closed(bench: ConnectorBench) -> Script:
    conn = yield from bench.connected()
    yield call(bench.case.cut, conn)
    yield call(bench.connector.close, conn)
    assert bench.connector.is_broken(conn) is True, "is_broken() must be True once a cut connection was closed"


def reset_takes_away_what_was_left(bench: ConnectorBench) -> Script:
    conn = yield from bench.connected()
    yield call(bench.case.soil, conn)
    assert not (yield call(bench.case.is_clean, conn)), "`soil` left nothing that `is_clean` would find"
    yield call(bench.connector.reset, conn)
    assert (yield call(bench.case.is_clean, conn)), "reset() left what the next borrower must not find"


def refusal_is_fatal_and_no_loss(bench: ConnectorBench) -> Script:
    connector: Any = bench.case.refused()
    error = yield from _must_fail(bench, connector.connect, None, "connect() of `refused` raised nothing")
    assert connector.is_fatal(error) is True, f"is_fatal({error!r}) must be True: trying again cannot help"


def server_that_is_not_there_is_worth_another_try(bench: ConnectorBench) -> Script:
    connector: Any = bench.case.unreachable()
    error = yield from _must_fail(bench, connector.connect, None, "connect() of `unreachable` raised nothing")
    assert connector.is_fatal(error) is False, f"is_fatal({error!r}) must be False: the server may come back"


def terminate_ends_a_connection_at_once(bench: ConnectorBench) -> Script:
    conn = yield from bench.connected()
    terminate = getattr(bench.connector, "terminate", None)
    if terminate is None:
        assert not bench.is_async, "an awaiting connector needs terminate(conn), for a loop that is gone"
        return
    found = terminate(conn)
    assert found is None, f"terminate() must not be awaited, and give None; it gave {found!r}"
    if bench.is_async:  # in the blocking world it ends what another thread does, and close() follows
        yield from _must_fail(bench, bench.connector.ping, conn, "ping() of a terminated connection raised nothing")
    terminate(conn)
    yield call(bench.connector.close, conn)


def ping_within_keeps_its_time(bench: ConnectorBench) -> Script:
    conn = yield from bench.connected()
    if (ping := getattr(bench.connector, "ping_within", None)) is not None:
        yield call(ping, conn, 5.0)
        yield call(bench.case.use, conn)


# -- in a pool --------------------------------------------------------------------------------------


def pool_lends_a_connection_again(bench: ConnectorBench) -> Script:
    pool = bench.pool(max_size=1)
    lent: list[Any] = []
    for _ in range(3):
        lease = yield pool.acquire
        yield call(bench.case.use, lease.conn)
        lent.append(lease.conn)
        yield lease.release
    stats = pool.stats()
    assert stats.connections_opened == 1, f"three leases needed {stats.connections_opened} connections: {stats}"
    assert lent[0] is lent[1] is lent[2]


def connections_serve_several_at_one_time(bench: ConnectorBench) -> Script:
    pool = bench.pool(max_size=3, on_deadlock="ignore")

    def borrower() -> Script:
        for _ in range(5):
            lease = yield pool.acquire
            yield call(bench.case.use, lease.conn)
            yield lease.release

    borrowers: list[Any] = []
    for _ in range(6):
        borrowers.append((yield Spawn(borrower())))
    for one in borrowers:
        yield Join(one)
    assert pool.stats().closed == 0, f"connections were thrown away: {pool.stats()}"


def connection_that_was_closed_while_lent_is_replaced(bench: ConnectorBench) -> Script:
    pool = bench.pool(max_size=1)
    lease = yield pool.acquire
    yield call(bench.connector.close, lease.conn)
    yield lease.release
    lease = yield pool.acquire
    yield call(bench.case.use, lease.conn)
    yield lease.release
    assert pool.stats().closed_broken == 1


def connection_that_was_cut_while_idle_is_replaced(bench: ConnectorBench) -> Script:
    pool = bench.pool(max_size=1)
    lease = yield pool.acquire
    first = lease.conn
    yield lease.release
    yield call(bench.case.cut, first)
    lease = yield pool.acquire
    assert lease.conn is not first, "a connection was lent that had been cut"
    yield call(bench.case.use, lease.conn)
    yield lease.release


def loss_makes_all_connections_stale(bench: ConnectorBench) -> Script:
    pool = bench.pool(max_size=2)
    lent = yield pool.acquire
    idle = yield pool.acquire
    yield idle.release
    yield call(bench.case.cut, lent.conn)
    error = yield from _must_fail(bench, bench.case.use, lent.conn, "a connection that was cut could be used")
    lent.report(error)
    yield Until(lambda: pool.stats().closed == 2)
    assert pool.stats().generation == 1


def next_borrower_finds_a_clean_connection(bench: ConnectorBench) -> Script:
    pool = bench.pool(max_size=1)
    lease = yield pool.acquire
    yield call(bench.case.soil, lease.conn)
    yield lease.release
    lease = yield pool.acquire
    assert (yield call(bench.case.is_clean, lease.conn)), "a borrower found what another one had left"
    yield call(bench.case.use, lease.conn)
    yield lease.release


def closed_pool_has_closed_every_connection(bench: ConnectorBench) -> Script:
    pool = bench.pool(max_size=2)
    first = yield pool.acquire
    second = yield pool.acquire
    lent = [first.conn, second.conn]
    yield first.release
    yield second.release
    yield pool.close
    open_ones = [conn for conn in lent if not bench.connector.is_broken(conn)]
    assert not open_ones, f"the pool is closed and these connections are not: {open_ones}"


def refusal_reaches_the_caller_at_once(bench: ConnectorBench) -> Script:
    pool = bench.pool(make=bench.pool_of(bench.case.refused), connection_timeout=30.0)
    with raising(Exception) as caught:
        yield pool.acquire
    assert not isinstance(caught.value, PoolTimeout), "a caller waited for what can never come"


def caller_of_a_server_that_is_not_there_hears_why(bench: ConnectorBench) -> Script:
    pool = bench.pool(make=bench.pool_of(bench.case.unreachable), connection_timeout=0.1, backoff_initial=0.01)
    with raising(PoolTimeout) as caught:
        yield pool.acquire
    assert caught.value.__cause__ is not None or caught.value.reason == "connecting"


def _must_fail(bench: ConnectorBench, method: Any, conn: Any, otherwise: str) -> Script:
    try:
        yield method if conn is None else call(method, conn)
    except Exception as error:
        return error
    raise AssertionError(otherwise)


SCRIPTS = (
    each_connect_gives_a_connection_of_its_own, new_connection_is_good, good_connection_stays_good,
    closed_connection_is_known_to_be_broken, connection_may_be_closed_twice, ping_of_a_closed_connection_raises,
    mistake_of_the_program_is_no_loss_and_not_fatal, cut_connection_is_found_by_ping,
    error_of_a_cut_connection_is_a_loss, cut_connection_can_be_closed, reset_takes_away_what_was_left,
    refusal_is_fatal_and_no_loss, server_that_is_not_there_is_worth_another_try, terminate_ends_a_connection_at_once,
    ping_within_keeps_its_time, pool_lends_a_connection_again, connections_serve_several_at_one_time,
    connection_that_was_closed_while_lent_is_replaced, connection_that_was_cut_while_idle_is_replaced,
    loss_makes_all_connections_stale, next_borrower_finds_a_clean_connection, closed_pool_has_closed_every_connection,
    refusal_reaches_the_caller_at_once, caller_of_a_server_that_is_not_there_hears_why,
)  # fmt: skip
