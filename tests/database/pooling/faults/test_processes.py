"""Faults of processes and event loops, each in a Python of its own: numbers 26, 34 and 35 of docs/pools-faults.md."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datalayer.conf import reset
from datalayer.pooling import pools
from tests import forks
from tests.database.pooling.faults.conftest import sessions_left
from tests.postgres_server import PostgresServer
from tests.processes import environment
from tests.tcp_proxy import Proxy

KINDS = pytest.mark.parametrize("kind", ["psycopg", "generic"])

BEGIN = """
import asyncio, gc, os, sys, threading, warnings
import datalayer
from datalayer import pools
from datalayer._plans.plan import Command

# A fork beside threads is what is tried here; Python 3.12 and newer warn of it.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
url, kind = sys.argv[1:3]
datalayer.configure(databases={"default": {"url": url, "pool": {"implementation": kind, "max_size": 4}}})
pool = pools["default"]

def pid(link):
    return link.execute(Command("select pg_backend_pid()")).rows[0][0]

async def apid(link):
    return (await link.execute(Command("select pg_backend_pid()"))).rows[0][0]
"""


def output_of(code: str, url: str, kind: str, *, folder: Path, leaks: bool = False) -> str:
    """What the code printed; it must end well, in time, and without a word of complaint.

    Args:
        code: What to run, after BEGIN.
        url: Its database.
        kind: The implementation of its pool.
        folder: Where it runs.
        leaks: Whether it leaves something open, of which Python warns when it is asked to.
    """
    words = ["-c", BEGIN + code, url, kind]
    if leaks:
        words = [sys.executable, *words]
        done = subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True, timeout=8)
    else:
        done = forks.run(words, folder=folder, patience=8)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


# -- 35: the interpreter ends --------------------------------------------------------------------

EXITS = {
    "with everything idle": "pool.borrow().release(); print('ended')",
    "with a lease that is out": "lease = pool.borrow(); print('ended')",
    "from a daemon thread that holds one": """
def hold():
    with pool.link():
        held.set()
        threading.Event().wait()

held = threading.Event()
threading.Thread(target=hold, daemon=True).start()
held.wait()
print('ended')
""",
    "while a caller waits in a daemon thread": """
leases = [pool.borrow() for _ in range(4)]
def wait():
    try:
        pool.borrow()
    except datalayer.errors.PoolClosed:
        pass

threading.Thread(target=wait, daemon=True).start()
while not pool.stats().waiting:
    pass
print('ended')
""",
    "by sys.exit in the middle of a block": """
with pool.link() as link:
    pid(link)
    print('ended')
    sys.exit(0)
""",
    "after a pool of one's own was dropped without close": """
from datalayer.pooling import Pool
from datalayer.pooling.links import LinkConnector
from datalayer.pooling.psycopg import PsycopgPool
from datalayer._links.postgresql import connect_postgresql
own = PsycopgPool(url) if kind == 'psycopg' else Pool(LinkConnector(lambda: connect_postgresql(url)))
own.acquire().release()
print('ended')
""",
}


@KINDS
@pytest.mark.parametrize("how", EXITS)
def test_interpreter_ends_at_once(kind: str, how: str, server: PostgresServer, tmp_path: Path) -> None:
    # The time counts from the last word of the code: how long an interpreter takes to start is not the pool's doing.
    words = [sys.executable, "-u", "-c", BEGIN + EXITS[how], server.url, kind]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=tmp_path, env=environment(), stdout=pipe, stderr=pipe, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ended\n"
        said = time.monotonic()
        output, complaints = child.communicate(timeout=8)
        assert time.monotonic() - said < 4
    assert (child.returncode, output, complaints) == (0, "", "")
    assert sessions_left(server) == []


@KINDS
def test_dropped_pool_closes_its_connections_and_ends_its_threads(
    kind: str, server: PostgresServer, tmp_path: Path
) -> None:
    code = (
        EXITS["after a pool of one's own was dropped without close"].replace("print('ended')", "")
        + """
link = None
with own.acquire() as link:
    raw = link.raw
with warnings.catch_warnings():
    warnings.simplefilter('ignore', ResourceWarning)
    del own, link
    gc.collect()
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join(10)
print([thread.name for thread in threading.enumerate() if thread is not threading.main_thread()])
"""
    )
    assert output_of(code, server.url, kind, folder=tmp_path) == "[]\n"


@KINDS
def test_dropped_pool_of_a_server_that_is_down_ends_its_threads(kind: str, proxy: Proxy, tmp_path: Path) -> None:
    proxy.refuse()
    code = """
from datalayer.errors import PoolTimeout
from datalayer.pooling import Pool, PoolConfig
from datalayer.pooling.links import LinkConnector
from datalayer.pooling.psycopg import PsycopgPool
from datalayer._links.postgresql import connect_postgresql
config = PoolConfig(backoff_initial=60.0, backoff_max=60.0)
own = PsycopgPool(url, config) if kind == 'psycopg' else Pool(LinkConnector(lambda: connect_postgresql(url)), config)
try:
    own.acquire(0.2)
except PoolTimeout as error:
    del error
del own
gc.collect()
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join(5)
print([thread.name for thread in threading.enumerate() if thread is not threading.main_thread()])
"""
    assert output_of(code, proxy.url("postgresql://postgres@/postgres"), kind, folder=tmp_path) == "[]\n"


# -- 34: event loops come and go -----------------------------------------------------------------

LOOPS = {
    "with everything idle": """
async def main():
    async with pool.alink() as link:
        await apid(link)
""",
    "while the pool grows": """
async def main():
    tasks = [asyncio.create_task(use()) for _ in range(20)]
    while pool.stats().opening == 0:
        await asyncio.sleep(0)

async def use():
    async with pool.alink() as link:
        await apid(link)
""",
    "with leases and waiters": """
async def main():
    tasks = [asyncio.create_task(hold()) for _ in range(9)]
    while pool.stats().waiting < 5:
        await asyncio.sleep(0.001)

async def hold():
    async with pool.alink() as link:
        await asyncio.Event().wait()
""",
    "in the middle of a query": """
async def main():
    started = asyncio.Event()
    async def query():
        async with pool.alink() as link:
            started.set()
            await link.execute(Command("select pg_sleep(60)"))
    task = asyncio.create_task(query())
    await started.wait()
    async with pool.alink() as link:
        query = Command("select count(*) from pg_stat_activity where query like '%%sleep(60)' and state = 'active'")
        while (await link.execute(query)).rows != [(1,)]:
            pass
""",
}


@KINDS
@pytest.mark.parametrize("how", LOOPS)
def test_asyncio_run_ends_without_close(kind: str, how: str, server: PostgresServer, tmp_path: Path) -> None:
    code = LOOPS[how] + "\nfor _ in range(3):\n    asyncio.run(main())\nassert not pool._loops\nprint('ended')"
    assert output_of(code, server.url, kind, folder=tmp_path) == "ended\n"
    assert sessions_left(server) == []


@KINDS
def test_asyncio_run_ends_while_the_server_does_not_answer(
    kind: str, proxy: Proxy, server: PostgresServer, tmp_path: Path
) -> None:
    proxy.freeze()
    code = LOOPS["while the pool grows"] + "\nasyncio.run(main())\nprint('ended')"
    assert output_of(code, proxy.url(server.url), kind, folder=tmp_path) == "ended\n"


@KINDS
def test_asyncio_run_ends_while_the_server_is_down(
    kind: str, proxy: Proxy, server: PostgresServer, tmp_path: Path
) -> None:
    proxy.refuse()
    code = """
async def main():
    tasks = [asyncio.create_task(use()) for _ in range(20)]
    while pool.stats().connect_errors < 2:
        await asyncio.sleep(0.001)

async def use():
    async with pool.alink() as link:
        await apid(link)

asyncio.run(main())
print('ended')
"""
    assert output_of(code, proxy.url(server.url), kind, folder=tmp_path) == "ended\n"


@pytest.fixture
def database(request: pytest.FixtureRequest, server: PostgresServer) -> Iterator[Any]:
    import datalayer

    reset()
    datalayer.configure(
        databases={"default": {"url": server.url, "pool": {"implementation": request.param, "max_size": 2}}}
    )
    yield pools["default"]
    pools.reset()
    reset()


EACH = pytest.mark.parametrize("database", ["psycopg", "generic"], indirect=True)


async def use(database: Any) -> None:
    async with database.aconnection() as connection:
        await connection.execute("select 1")


@EACH
def test_each_loop_has_its_pool_and_takes_it_along(database: Any) -> None:
    async def other_loop(first: Any) -> None:
        await use(database)
        assert len(database._loops) == 2

    with asyncio.Runner() as one:
        one.run(use(database))
        with asyncio.Runner() as two:
            two.run(other_loop(database))
        assert list(database._loops) == [one.get_loop()]
        one.run(use(database))
        assert database.stats().connections_opened == 1
    assert not database._loops
    assert database.stats().size == 0


@EACH
def test_loop_that_was_only_closed_leaves_its_sockets_to_the_next_one(database: Any) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(use(database))
    [abandoned] = database._loops.values()
    if hasattr(abandoned._pool, "_home"):
        loop.run_until_complete(stop_workers(abandoned._pool._home))
    loop.close()
    assert database.stats().size == 0, "counting sweeps"
    assert abandoned.stats().state == "closed"
    asyncio.run(use(database))
    assert not database._loops


async def stop_workers(home: Any) -> None:
    """Ends the tasks of psycopg-pool, of which Python would complain when they are pending at the end of their loop."""
    workers = [*home._workers, home._sched_runner]
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


# -- 26: fork ------------------------------------------------------------------------------------

FORK = """
def ask(query):
    with pool.link() as link:
        return link.execute(Command(query)).rows[0][0]

idle = pool.borrow()
lent = pool.borrow()
theirs = {pid(idle.conn), pid(lent.conn)}
idle.release()
others = [pool.borrow() for _ in range(3)]  # the idle one, and two more: the pool is full
theirs |= {pid(one.conn) for one in others}

def wait():
    with pool.link() as link:
        served.append(pid(link))

served = []
waiter = threading.Thread(target=wait)
waiter.start()
while not pool.stats().waiting:
    pass
others.pop().release()
waiter.join()
idle = others.pop()
idle.release()
waiter = threading.Thread(target=lambda: None)

child = os.fork()
if child == 0:
    mine = {ask("select pg_backend_pid()") for _ in range(3)}
    assert not mine & theirs, "the child spoke on a connection of its parent"
    lent.release()  # inherited: nothing to do with us
    assert pool.stats().waiting == 0
    sys.exit(0)  # with everything Python does at its end
_, status = os.waitpid(child, 0)
assert status == 0, status
assert {pid(lent.conn)} <= theirs
assert ask("select pg_backend_pid()") in theirs, "the child has closed a connection of its parent"
lent.release()
for one in others:
    one.release()
print('ended')
"""


@KINDS
def test_child_opens_its_own_and_leaves_those_of_its_parent_alone(
    kind: str, server: PostgresServer, tmp_path: Path
) -> None:
    # The child leaves what it has inherited as it is, and its driver may warn of that.
    assert output_of(FORK, server.url, kind, folder=tmp_path, leaks=True) == "ended\n"


FORK_WHILE_WAITING = """
leases = [pool.borrow() for _ in range(4)]
served = []

def wait():
    with pool.link() as link:
        served.append(pid(link))

waiters = [threading.Thread(target=wait) for _ in range(3)]
for waiter in waiters:
    waiter.start()
while pool.stats().waiting < 3:
    pass
child = os.fork()
if child == 0:
    with pool.link() as link:  # full in the parent, empty here
        pid(link)
    assert pool.stats().waiting == 0
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
for lease in leases:
    lease.release()
for waiter in waiters:
    waiter.join()
assert len(served) == 3
print('ended')
"""


@KINDS
def test_fork_while_callers_wait_loses_none_of_them(kind: str, server: PostgresServer, tmp_path: Path) -> None:
    assert output_of(FORK_WHILE_WAITING, server.url, kind, folder=tmp_path) == "ended\n"


FORK_IN_A_LOOP = """
async def main():
    async with pool.alink() as link:
        mine = await apid(link)
        child = os.fork()
        if child == 0:
            os._exit(in_child(mine))
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        assert await apid(link) == mine
    async with pool.alink() as link:
        assert await apid(link) == mine

def in_child(theirs):
    asyncio._set_running_loop(None)
    asyncio.set_event_loop(None)
    async def use():
        async with pool.alink() as link:
            assert await apid(link) != theirs
        assert list(pool._loops) == [asyncio.get_running_loop()]
    asyncio.run(use())
    return 0

asyncio.run(main())
print('ended')
"""


@KINDS
def test_child_of_a_loop_has_no_pool_of_that_loop(kind: str, server: PostgresServer, tmp_path: Path) -> None:
    assert output_of(FORK_IN_A_LOOP, server.url, kind, folder=tmp_path) == "ended\n"
