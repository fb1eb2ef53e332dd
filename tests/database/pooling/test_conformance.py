"""What every pool must do alike: our own and psycopg-pool's, on SQLite and PostgreSQL, blocking and awaiting.

The checks are those of `datalayer.pooling.testing.conformance`, each one a test of its name here. EXCUSED lists the few
things psycopg-pool and null pools cannot do; the checks see that each is refused, and the end of this file that the
words name the way out. LEFT_OUT has the checks of what there is not: null pools keep nothing, SQLite has one writer.
What the checks cannot know, because it is about the words or the insides of our pools, stands here as well.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from datalayer._plans.plan import Command
from datalayer.errors import (
    ConnectionLost,
    DoubleRelease,
    ForeignLease,
    LeaseReleased,
    PoolClosed,
    PoolConfigError,
    PoolDeadlock,
    PoolError,
    PoolTimeout,
    TooManyWaiting,
)
from datalayer.pooling.testing.conformance import PoolCase, connecting, hooking, lending, limiting, living, pool_checks
from datalayer.pooling.testing.conformance.checks import MEANS, OF_CONNECTORS, OF_POOLS
from datalayer.pooling.testing.conformance.scripts import Script, block, call, raising, wait
from tests.database.pooling.conftest import KINDS, MORE_KINDS, Maker
from tests.database.pooling.scripts import play
from tests.worlds import World

EXCUSED = {
    "postgresql-psycopg": {
        "pause": "psycopg-pool serves whoever asks",
        "resume": "psycopg-pool serves whoever asks",
        "add": "psycopg-pool takes in nothing that it has not opened",
        "detach": "psycopg-pool counts a connection as its own until it is closed",
        "queue_strategy": "psycopg-pool always lends the connection that was idle for longest",
        "keepalive": "psycopg-pool has no timer for idle connections",
        "max_opening": "psycopg-pool grows by one connection at a time",
        "fail_fast": "psycopg-pool always waits",
        "queue_target": "psycopg-pool never sheds load",
    },
    "null": {"add": "what keeps nothing takes in nothing"},
}
LACKS = {"null": {"keeps"}, "facade": {"lends_several"}}
"""What a kind of pool is not made for; the checks that need it are left out: `LEFT_OUT`."""
LEFT_OUT = {
    kind: {one.__name__ for one in OF_POOLS if LACKS.get(kind, set()) & set(MEANS.get(one, ()))}
    for kind in (*KINDS, *MORE_KINDS)
}


# -- the links of our databases, as the checks see them ------------------------------------------


def execute(link: Any, sql: str, **options: Any) -> Any:
    return link.execute(Command(sql, **options))


def use(link: Any) -> Any:
    return execute(link, "select 1")


def cut(link: Any) -> Any:
    # psycopg-pool must not hear of it: the socket goes, not the connection object.
    return link.raw.pgconn.finish() if hasattr(link.raw, "pgconn") else link.close()


def soil(world: World) -> Callable[[Any], Any]:
    def texts(link: Any) -> Script:
        yield partial(execute, link, "create table t (x int)", returns_rows=False, writes=True)
        yield partial(execute, link, "begin", returns_rows=False)
        yield partial(execute, link, "insert into t values (1)", returns_rows=False, writes=True)

    return in_world(world, texts)


def is_clean(world: World) -> Callable[[Any], Any]:
    def texts(link: Any) -> Script:
        found = yield partial(execute, link, "select count(*) from t")
        return found.rows == [(0,)]

    return in_world(world, texts)


def in_world(world: World, script: Callable[[Any], Script]) -> Callable[[Any], Any]:
    """A function of this world that does what a script says."""
    return lambda link: (wait if world.is_async else block)(script(link))


def case_of(make: Maker) -> PoolCase[Any]:
    return PoolCase(
        make=make.bare,
        use=use,
        close=lambda link: link.close(),
        cut=cut,
        loss=lambda: ConnectionLost("gone", alias="shop"),
        soil=soil(make.world),
        is_clean=is_clean(make.world),
        refused=partial(make.bare, url=make.missing),
        excused=EXCUSED.get(make.kind, {}),
        **dict.fromkeys(LACKS.get(make.kind, ()), False),
    )


def as_test(name: str) -> Callable[[Maker, World], None]:
    kinds = [kind for kind, left_out in LEFT_OUT.items() if name not in left_out]

    @pytest.mark.parametrize("make", kinds, indirect=True)
    def test(make: Maker, world: World) -> None:
        [check] = [one for one in pool_checks(case_of(make)) if one.name == name]
        world.run(check.run, check.arun)

    return test


for script in OF_POOLS:  # a test of its own for each, to be named by docs/pools-faults.md
    globals()[f"test_{script.__name__}"] = as_test(script.__name__)


def test_every_check_is_in_the_list_and_has_the_means_it_asks_for() -> None:
    modules = (connecting, lending, limiting, hooking, living)
    found = {one for module in modules for one in vars(module).values() if is_script_of(one, module)}
    assert found == {*OF_CONNECTORS, *OF_POOLS}
    assert set(MEANS) <= found


def is_script_of(found: Any, module: Any) -> bool:
    return inspect.isgeneratorfunction(found) and found.__module__ == module.__name__ and found.__name__[0] != "_"


@pytest.mark.parametrize("world", ["awaiting"], indirect=True)
def test_check_of_the_other_world_is_refused_in_words(make: Maker, world: World) -> None:
    check = pool_checks(case_of(make))[0]
    with pytest.raises(TypeError, match=r"is of the awaiting world: use `await check.arun"):
        check.run()


of_all_kinds = pytest.mark.parametrize("make", [*KINDS, *MORE_KINDS], indirect=True)


# -- the words of our pools ----------------------------------------------------------------------


@of_all_kinds
def test_leases_that_have_ended_say_how_and_what_to_do(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        lease = yield pool.acquire
        yield lease.release
        with raising(LeaseReleased, match="acquire a new one"):
            lease.conn  # noqa: B018
        with raising(DoubleRelease, match="given back"):
            yield lease.release
        lease = yield pool.acquire
        lease.discard()
        with raising(DoubleRelease, match="discarded"):
            yield lease.release

    play(world, script())


@of_all_kinds
def test_callers_in_vain_are_told_of_the_limit_and_the_place(make: Maker, world: World) -> None:
    pool = make(max_size=1, max_waiting=0)

    def script() -> Script:
        lease = yield pool.acquire
        with raising(TooManyWaiting, match="max_waiting is 0"):
            yield pool.acquire
        yield lease.release

    play(world, script())
    pool = make(max_size=1)

    def another() -> Script:
        lease = yield pool.acquire
        with raising(PoolDeadlock, match=rf"borrowed at .*{HERE}"):
            yield pool.acquire
        yield lease.release

    play(world, another())
    pool = make(max_size=1, on_deadlock="ignore")

    def one_more() -> Script:
        lease = yield pool.acquire
        limit = "the one connection of SQLite that writes" if make.kind == "facade" else "max_size=1"
        with raising(PoolTimeout, match=limit) as caught:
            yield call(pool.acquire, timeout=0.01)
        assert HERE in caught.value.holders[0]
        yield lease.release

    play(world, one_more())


HERE = "scripts.py"  # where the steps of a script are called


@of_all_kinds
def test_closed_pool_tells_the_way_back(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        if not make.is_psycopg:
            with raising(PoolClosed, match="not open yet"):
                pool.pause()
        yield pool.open
        yield pool.close
        for method in (pool.acquire, pool.try_acquire):
            with raising(PoolClosed, match=r"open\(\) opens it again"):
                yield method
        if not make.is_psycopg:
            with raising(PoolClosed, match=r"open\(\) opens it again"):
                pool.pause()

    play(world, script())


def test_wrong_numbers_are_named_with_what_may_be_said(make: Maker, world: World) -> None:
    with pytest.raises(PoolConfigError, match="max_size=0 is out of range: use 1 or more"):
        make(max_size=0)
    pool = make(max_size=2)

    def script() -> Script:
        for size in (-1, 0):
            with raising(PoolConfigError, match=f"max_size={size}"):
                yield call(pool.resize, max_size=size)
        for method in (pool.acquire, pool.wait_ready, pool.close):
            with raising(PoolConfigError, match="is no time to wait"):
                yield call(method, -1)

    play(world, script())


@pytest.mark.parametrize("make", ["postgresql-psycopg"], indirect=True)
def test_excuse_names_the_way_out(make: Maker, world: World) -> None:
    options: dict[str, Any] = {"queue_strategy": "fifo", "keepalive": 60.0, "max_opening": 2, "queue_target": 0.1}
    for name, value in options.items():
        with pytest.raises(PoolConfigError, match=f"{name}.*generic"):
            make(**{name: value})
    with pytest.raises(PoolConfigError, match=r"fail_fast.*generic"):
        make(fail_fast=True)
    pool = make()

    def script() -> Script:
        for method in (pool.pause, pool.resume):
            with raising(PoolError, match="cannot be paused.*generic"):
                method()
        link = yield pool.dedicated
        with raising(PoolError, match="generic"):
            yield call(pool.add, link)
        yield link.close
        lease = yield pool.acquire
        with raising(PoolError, match=r"dedicated\(\).*generic"):
            lease.detach()

    play(world, script())


# -- what is about the insides of our pools ------------------------------------------------------


def test_foreign_lease_is_refused_and_its_connection_untouched(make: Maker, world: World) -> None:
    mine, other = make(), make()

    def script() -> Script:
        lease = yield mine.acquire
        with pytest.raises(ForeignLease, match="own pool"):
            yield call(other.release_entry, lease._entry)
        assert not lease.conn.is_broken
        assert mine.stats().in_use == 1
        yield lease.release

    play(world, script())


def test_entry_that_is_not_lent_is_refused_and_nothing_changes(make: Maker, world: World) -> None:
    pool = make()

    def script() -> Script:
        lease = yield pool.acquire
        entry = lease._entry
        yield lease.release
        before = pool.stats()
        with pytest.raises(DoubleRelease, match="give each lease back once"):
            yield call(pool.release_entry, entry)
        assert pool.stats() == before

    play(world, script())


@pytest.mark.parametrize("world", ["awaiting"], indirect=True)  # a thread that waits takes over nothing
def test_task_that_waits_may_not_take_over_the_last_lease(make: Maker, world: World) -> None:
    pool = make(max_size=1)

    async def hold() -> Any:
        return await pool.acquire()

    async def script() -> None:
        lease = await asyncio.create_task(hold())
        waiting = pool.acquire().__await__()
        next(waiting)._asyncio_future_blocking = False  # a task that drives two things by hand: it waits, and it runs
        with pytest.raises(PoolDeadlock, match="borrowed at"):
            lease.transfer()
        with pytest.raises(asyncio.CancelledError):
            waiting.throw(asyncio.CancelledError())
        lease.transfer()
        await lease.release()

    world.run(lambda: None, script)
    assert (pool.stats().deadlocks, pool.stats().acquires_rejected) == (1, 0)
