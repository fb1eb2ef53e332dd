# ruff: noqa: PT012  (how a block ends is what is tested)
"""Models over a database that is down, locked, full, read-only or not there at all."""

from __future__ import annotations

import logging
import socket
import sqlite3
import struct
import tempfile
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import datalayer
from datalayer.conf import reset
from datalayer.databases import atomic, on_commit
from datalayer.errors import (
    ConfigurationError,
    ConnectionFailed,
    ConnectionLost,
    DatalayerError,
    DiskFull,
    LockTimeout,
    PoolTimeout,
    TransactionError,
    TransactionResolutionUnknown,
    UndefinedColumn,
    UndefinedTable,
)
from datalayer.pooling.registry import pools
from tests import forks, processes
from tests.tcp_proxy import Proxy, proxy_to
from tests.worlds import World

from .accounts import Account, Accounts, Entry

POSTGRESQL = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

SECRET = "s3cr3t"


@pytest.fixture
def ended(world: World) -> Iterator[None]:
    """Pools and settings of the test are gone afterwards."""
    yield
    world.run(lambda: None, pools.aclose_all)
    pools.close_all()
    pools.reset()
    reset()


def told(error: BaseException, caplog: pytest.LogCaptureFixture) -> str:
    """Everything an error tells, and what was logged on the way."""
    chain: list[str] = []
    found: BaseException | None = error
    while found is not None:
        chain += [str(found), repr(found), repr(vars(found)) if isinstance(found, DatalayerError) else ""]
        found = found.__cause__ or found.__context__
    return "\n".join([*chain, *traceback.format_exception(error), caplog.text])


# -- no connection -------------------------------------------------------------------------------


@pytest.mark.usefixtures("ended")
def test_a_server_that_is_down_is_named_without_the_password(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"postgresql://me:{SECRET}@127.0.0.1:{port}/shop"
    datalayer.configure(databases={"default": {"url": url, "pool": {"connection_timeout": 0.2}}})
    with pytest.raises(PoolTimeout, match=rf"'default'.*127\.0\.0\.1, port {port}") as caught:
        world.call(Account.objects, "get", owner="Ada")
    assert isinstance(caught.value.__cause__, ConnectionFailed)
    assert SECRET not in told(caught.value, caplog)


class Refusing:
    """A server of PostgreSQL's protocol that knows nobody."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self) -> Refusing:
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._refuse(connection)

    def _refuse(self, connection: socket.socket) -> None:
        while len(size := connection.recv(4)) == 4:
            request = connection.recv(struct.unpack("!i", size)[0] - 4)
            if struct.unpack("!i", request[:4])[0] >> 16 == 1234:  # asks for encryption
                connection.sendall(b"N")
                continue
            fields = b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "me"\0\0'
            connection.sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)
            return


@pytest.mark.usefixtures("ended")
def test_a_wrong_password_fails_at_once_and_is_not_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Refusing() as server:
        datalayer.configure(databases={"default": f"postgresql://me:{SECRET}@127.0.0.1:{server.port}/shop"})
        with pytest.raises(ConnectionFailed, match=r"'default'.*password authentication failed") as caught:
            world.call(Account.objects, "create", owner="Ada")
        world.run(lambda: None, pools.aclose_all)
        pools.close_all()
    assert caught.value.is_fatal
    assert f"127.0.0.1, port {server.port}" in str(caught.value)
    assert SECRET not in told(caught.value, caplog)
    assert SECRET not in repr(pools["default"]) + repr(datalayer.settings.databases)


@pytest.mark.usefixtures("ended")
def test_an_unknown_scheme_names_the_choices(world: World) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown database scheme 'postgress'.*sqlite, postgresql") as caught:
        datalayer.configure(databases={"default": f"postgress://me:{SECRET}@localhost/shop"})
    assert caught.value.key == "databases.default.url"
    assert SECRET not in str(caught.value)


NO_PSYCOPG = """
import asyncio, sys, traceback
sys.modules["psycopg"] = sys.modules["psycopg_pool"] = None
import datalayer
from datalayer import Model, errors

class Account(Model):
    pass

datalayer.configure(databases={"default": "postgresql://me:s3cr3t@localhost/shop"})
try:
    asyncio.run(Account.objects.acount()) if sys.argv[1] == "awaiting" else Account.objects.count()
except errors.MissingExtra:
    traceback.print_exc(file=sys.stdout)
"""


def test_without_psycopg_the_extra_is_named(world: World, tmp_path: Path) -> None:
    output = processes.output_of(NO_PSYCOPG, world.name, folder=tmp_path)
    assert "pip install 'datalayer[postgres]'" in output
    assert SECRET not in output


# -- lost in the middle --------------------------------------------------------------------------


@pytest.fixture
def proxy(database_url: str) -> Iterator[Proxy]:
    with proxy_to(database_url) as proxy:
        yield proxy


@pytest.fixture
def behind(proxy: Proxy, database_url: str, world: World, ended: None) -> Accounts:
    """Accounts whose server is reached through the proxy."""
    datalayer.configure(databases={"default": proxy.url(database_url)})
    return Accounts(world)


def drop_when_asleep(proxy: Proxy, url: str) -> threading.Thread:
    """A thread that resets every connection of the proxy once a statement runs."""
    import psycopg

    sql = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"

    def work() -> None:
        with psycopg.connect(url, autocommit=True) as watcher:
            while watcher.execute(sql).fetchone() == (0,):
                pass
            proxy.drop()
            watcher.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where wait_event = 'PgSleep' and datname = current_database()"
            )

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def sleep(world: World) -> None:
    query = Account.objects.raw("select a.* from transactions_account a, pg_sleep(60)")

    async def awaiting() -> None:
        await query

    world.run(lambda: list(query), awaiting)


@POSTGRESQL
def test_a_connection_dropped_during_a_query_is_lost_and_replaced(
    behind: Accounts, proxy: Proxy, database_url: str, world: World
) -> None:
    behind.add("Ada")
    dropping = drop_when_asleep(proxy, database_url)
    with pytest.raises(ConnectionLost) as caught:
        sleep(world)
    dropping.join()
    assert caught.value.alias == "default"
    assert set(behind.all()) == {"Ada"}
    assert pools["default"].stats().in_use == 0


@POSTGRESQL
def test_a_transaction_whose_connection_is_dropped_is_undone(
    behind: Accounts, proxy: Proxy, database_url: str, world: World
) -> None:
    grace = behind.add("Grace")
    dropping = drop_when_asleep(proxy, database_url)
    with pytest.raises(ConnectionLost), world.enter(atomic()):
        behind.add("Ada")
        grace.balance = 5
        behind.save(grace)
        sleep(world)
    dropping.join()
    assert behind.all() == {"Grace": 0}
    behind.save(grace)
    assert behind.all() == {"Grace": 5}
    assert pools["default"].stats().in_use == 0


# -- SQLite: locked, read-only, full -------------------------------------------------------------


@SQLITE
def test_a_database_locked_by_another_program_says_so(accounts: Accounts, world: World, tmp_path: Path) -> None:
    accounts.add("Ada")

    async def awaiting() -> None:
        async with pools["default"].alink("write") as link:
            link._raw.execute("pragma busy_timeout = 1")  # type: ignore[attr-defined]

    def blocking() -> None:
        with pools["default"].connection() as raw:
            raw.execute("pragma busy_timeout = 1")

    world.run(blocking, awaiting)
    other = sqlite3.connect(tmp_path / "db.sqlite3", isolation_level=None)
    other.execute("begin immediate")
    try:
        with pytest.raises(LockTimeout, match="locked") as caught:
            accounts.add("Grace")
        assert caught.value.alias == "default"
        assert set(accounts.all()) == {"Ada"}
    finally:
        other.close()
    accounts.add("Grace")
    assert set(accounts.all()) == {"Ada", "Grace"}


@SQLITE
def test_a_full_disk_loses_nothing_that_was_committed(accounts: Accounts, world: World) -> None:
    accounts.add("before")

    def limit(raw: Any, more: int) -> None:
        (pages,) = raw.execute("pragma page_count").fetchone()
        raw.execute(f"pragma max_page_count = {pages + more}")

    def room(more: int) -> None:
        async def awaiting() -> None:
            async with pools["default"].alink("write") as link:
                limit(link._raw, more)  # type: ignore[attr-defined]

        def blocking() -> None:
            with pools["default"].connection() as raw:
                limit(raw, more)

        world.run(blocking, awaiting)

    room(3)
    rows = [Account(owner=str(number), notes=["x" * 500]) for number in range(3000)]
    with pytest.raises(DiskFull, match="full") as caught, world.enter(atomic()):
        accounts.add("undone")
        world.call(Account.objects, "bulk_create", rows)
    assert caught.value.model == "Account"
    assert set(accounts.all()) == {"before"}
    room(100_000)
    world.call(Account.objects, "bulk_create", rows)
    assert len(accounts.all()) == 3001


CHILD = """
import asyncio, resource, signal, sys
import datalayer
from datalayer import Field, Mapped, Model, atomic, errors, pools
from datalayer.testing import create_tables

class Account(Model):
    owner: Mapped[str] = Field(max_length=100_000)

    class Meta:
        table = "outages_account"

def do(function, awaiting):
    return asyncio.run(closing(awaiting())) if sys.argv[1] == "awaiting" else function()

async def closing(awaitable):
    try:
        return await awaitable
    finally:
        await pools.aclose_all()

datalayer.configure(databases={"default": "sqlite:///db.sqlite3"})
"""

READ_ONLY = f"""
{CHILD}
with datalayer.pools.override("default", url="sqlite:///:memory:"):  # imports what is imported late
    create_tables()
    Account.objects.create(owner="Ada")
    Account.objects.count()
{processes.UNPRIVILEGED}
print(do(Account.objects.count, Account.objects.acount))
try:
    do(lambda: Account.objects.create(owner="Ada"), lambda: Account.objects.acreate(owner="Ada"))
except errors.ReadOnlyTransaction as error:
    print(error)
print(do(Account.objects.count, Account.objects.acount))
"""


def test_a_file_that_may_only_be_read_says_so(world: World) -> None:
    with tempfile.TemporaryDirectory() as name:  # the folders of tmp_path are closed to others
        folder = Path(name)
        raw = sqlite3.connect(folder / "db.sqlite3")
        raw.execute("create table outages_account (id integer primary key, owner text)")
        raw.execute("insert into outages_account (owner) values ('before')")
        raw.commit()
        raw.close()
        (folder / "db.sqlite3").chmod(0o444)
        folder.chmod(0o555)
        try:
            first, said, last = forks.output_of(READ_ONLY, world.name, folder=folder).splitlines()
        finally:
            folder.chmod(0o755)
    assert (first, last) == ("1", "1")
    assert "readonly" in said


FULL = f"""
{CHILD}
create_tables()
do(lambda: Account.objects.create(owner="before"), lambda: Account.objects.acreate(owner="before"))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))

def rows():
    return [Account(owner="x" * 1000) for _ in range(3000)]

def load():
    with atomic():
        Account.objects.create(owner="Ada")
        Account.objects.bulk_create(rows())

async def aload():
    async with atomic():
        await Account.objects.acreate(owner="Ada")
        await Account.objects.abulk_create(rows())

try:
    do(load, aload)
except errors.ConnectionLost as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, before)
print(do(Account.objects.count, Account.objects.acount))
do(load, aload)
print(do(Account.objects.count, Account.objects.acount))
"""


def test_a_file_that_may_not_grow_loses_nothing_that_was_committed(world: World, tmp_path: Path) -> None:
    said, before, after = forks.output_of(FULL, world.name, folder=tmp_path).splitlines()
    assert said == "table 'outages_account': disk I/O error"
    assert (before, after) == ("1", "3002")
    raw = sqlite3.connect(tmp_path / "db.sqlite3")
    assert raw.execute("pragma integrity_check").fetchone() == ("ok",)
    raw.close()


# -- tables that are not there -------------------------------------------------------------------


def test_a_missing_table_asks_for_migrate(configured: str, world: World) -> None:
    with pytest.raises(UndefinedTable, match="has 'datalayer migrate' been run on database 'default'") as caught:
        world.call(Account.objects, "create", owner="Ada")
    assert (caught.value.table, caught.value.model) == ("transactions_account", "Account")
    with pytest.raises(UndefinedTable, match="datalayer migrate"):
        world.call(Entry.objects, "count")


def test_a_missing_column_asks_for_migrate(accounts: Accounts, world: World) -> None:
    from datalayer.databases import databases

    from .conftest import sql

    world.call(databases["default"], "run", sql, "alter table transactions_account drop column notes")
    with pytest.raises(UndefinedColumn, match="has 'datalayer migrate' been run") as caught:
        accounts.add("Ada")
    assert caught.value.columns == ("notes",)
    assert caught.value.model == "Account"


def drop_when_committing(proxy: Proxy, url: str) -> threading.Thread:
    """A thread that holds up a commit, drops the connection it was asked for on, and lets the server go on."""
    import psycopg

    waiting = (
        "select pid from pg_stat_activity"
        " where query = 'COMMIT' and wait_event = 'advisory' and datname = current_database()"
    )
    held = threading.Event()

    def work() -> None:
        with psycopg.connect(url, autocommit=True) as holder:
            holder.execute(
                "create function pause() returns trigger language plpgsql as"
                " 'begin perform pg_advisory_xact_lock(1); return null; end'"
            )
            holder.execute(
                "create constraint trigger pause after insert on transactions_account"
                " deferrable initially deferred for each row execute function pause()"
            )
            holder.execute("select pg_advisory_lock(1)")
            held.set()
            while (found := holder.execute(waiting).fetchone()) is None:
                pass
            proxy.drop()
            holder.execute("select pg_advisory_unlock(1)")
            while holder.execute("select 1 from pg_stat_activity where pid = %s", found).fetchone() is not None:
                pass

    thread = threading.Thread(target=work)
    thread.start()
    held.wait()
    return thread


@POSTGRESQL
def test_a_connection_lost_during_the_commit_leaves_its_outcome_unknown(
    behind: Accounts, proxy: Proxy, database_url: str, world: World
) -> None:
    called: list[str] = []

    async def awaiting() -> None:
        on_commit(lambda: called.append("Ada"))

    dropping = drop_when_committing(proxy, database_url)
    with (
        pytest.raises(TransactionResolutionUnknown, match="may have been committed or rolled back") as caught,
        world.enter(atomic()),
    ):
        behind.add("Ada")
        world.run(lambda: on_commit(lambda: called.append("Ada")), awaiting)
    dropping.join()
    assert isinstance(caught.value.__cause__, ConnectionLost)
    assert (caught.value.alias, called) == ("default", [])
    assert set(behind.all()) == {"Ada"}
    assert pools["default"].stats().in_use == 0


@POSTGRESQL
def test_a_connection_lost_before_the_commit_is_not_lost_during_it(
    behind: Accounts, proxy: Proxy, world: World
) -> None:
    def inner() -> None:
        with world.enter(atomic()):
            proxy.drop()

    with pytest.raises(TransactionError, match="the connection was lost"), world.enter(atomic()):
        behind.add("Ada")
        with pytest.raises(ConnectionLost):
            inner()
    assert behind.all() == {}
