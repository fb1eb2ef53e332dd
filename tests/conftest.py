"""Fixtures of the whole suite: a fresh database of each backend, both worlds, and settings that end with the test.

A test that takes `database_url` and `world` runs four times: on SQLite and PostgreSQL, blocking and awaiting.
PostgreSQL comes from DATALAYER_TEST_POSTGRES_URL, or a private server is started (tests/postgres_server.py): once for
a run, in the process that controls the workers of pytest-xdist.
"""

from __future__ import annotations

import compileall
import gc
import itertools
import os
import secrets
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import hypothesis
import pytest

from tests import postgres_server
from tests.worlds import AwaitingWorld, BlockingWorld, World

# A machine with other work to do is slow now and then, and no fact is about that.
hypothesis.settings.register_profile("datalayer", deadline=None)
hypothesis.settings.load_profile("datalayer")

_URL_VARIABLE = "DATALAYER_TEST_POSTGRES_URL"
_URL = pytest.StashKey[str]()
_SERVER = pytest.StashKey[postgres_server.PostgresServer]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sqlite-only", action="store_true", help="leave out every test that needs a PostgreSQL")


def pytest_configure(config: pytest.Config) -> None:
    if memory := postgres_server.folder_in_memory():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", memory)
    # What a script starts with `&` ignores Ctrl-C, and so would every process that a test starts and interrupts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    worker_input: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker_input is None:
        # Hundreds of processes are started, and each would compile the package where bytecode is not to be written.
        compileall.compile_dir(str(Path(__file__).parents[1] / "datalayer"), quiet=2)
    if worker_input is not None and "postgres_url" in worker_input:
        config.stash[_URL] = worker_input["postgres_url"]


def pytest_unconfigure(config: pytest.Config) -> None:
    server = config.stash.get(_SERVER, None)
    if server is not None:
        server.stop()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    # pytest-xdist: runs in the controller, before a worker starts.
    if not node.config.getoption("--sqlite-only"):
        node.workerinput["postgres_url"] = _url_of_run(node.config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--sqlite-only"):
        return
    left_out = [item for item in items if _needs_postgresql(item)]
    items[:] = [item for item in items if not _needs_postgresql(item)]
    config.hook.pytest_deselected(items=left_out)


def pytest_report_collectionfinish(items: list[pytest.Item]) -> str:
    """How many tests run on each backend and in each world; `pytest --collect-only -q tests | grep backend`."""
    counted: Counter[str] = Counter()
    for item in items:
        call = getattr(item, "callspec", None)
        given: dict[str, object] = {} if call is None else call.params
        backend, world = str(given.get("backend", "")), str(given.get("world", ""))
        counted[f"{backend} {world}".strip() or "neither"] += 1
    return "backend and world: " + ", ".join(f"{name} {number}" for name, number in sorted(counted.items()))


def pytest_collection_finish() -> None:
    # Ten thousand tests are a heap that the collector would walk again and again, and tests collect on purpose too.
    gc.collect()
    gc.freeze()


def _needs_postgresql(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function):
        return False
    call = getattr(item, "callspec", None)
    backend = None if call is None else call.params.get("backend", call.params.get("make"))
    return str(backend).startswith("postgresql") or (backend is None and "postgresql_server_url" in item.fixturenames)


def _url_of_run(config: pytest.Config) -> str:
    if _URL not in config.stash:
        url = os.environ.get(_URL_VARIABLE)
        if not url:
            try:
                server = postgres_server.start()
            except postgres_server.PostgresNotFound as error:
                raise pytest.UsageError(str(error)) from error
            config.stash[_SERVER] = server
            url = server.url
        config.stash[_URL] = url
    return config.stash[_URL]


# -- databases -----------------------------------------------------------------------------------


class PostgresDatabases:
    """Lends databases on the server of the run: a used one is swept empty and lent again, or dropped."""

    def __init__(self, server_url: str) -> None:
        import psycopg

        self.server_url = server_url
        self._connection = psycopg.connect(server_url, autocommit=True, connect_timeout=10)
        self._prefix = f"datalayer_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{secrets.token_hex(3)}"
        self._numbers = itertools.count(1)
        self._uses: dict[str, int] = {}
        self._clean: list[str] = []

    def create(self) -> str:
        """The URL of an empty database."""
        name = self._clean.pop() if self._clean else self._create()
        self._uses[name] = self._uses.get(name, 0) + 1
        return _with_database(self.server_url, name)

    def drop(self, url: str) -> None:
        """Takes a database back, whoever is still connected."""
        name = _database_of(url)
        if self._uses.get(name, _USES) < _USES and self._sweep(name):
            self._clean.append(name)
        else:
            self._drop(name)

    def sessions(self, url: str) -> int:
        """How many sessions are open on a database."""
        found = self._connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'",
            [_database_of(url)],
        ).fetchone()
        assert found is not None
        return int(found[0])

    def wait_until_unused(self, url: str) -> int:
        """How many sessions stay open; the server needs a moment to notice that a client has closed."""
        deadline = time.monotonic() + 5
        while (left := self.sessions(url)) and time.monotonic() < deadline:
            time.sleep(0.005)
        return left

    def close(self) -> None:
        for name in self._clean:
            self._drop(name)
        self._connection.close()

    def _create(self) -> str:
        name = f"{self._prefix}_{next(self._numbers)}"
        # FILE_COPY is twice as fast as WAL_LOG where nothing waits for the disk.
        strategy = " STRATEGY file_copy" if self._connection.info.server_version >= 150000 else ""
        self._connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0{strategy}'.encode())
        return name

    def _drop(self, name: str) -> None:
        self._connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())

    def _sweep(self, name: str) -> bool:
        """Whether the database is as good as new again: two or three times faster than another one."""
        import psycopg

        try:
            self._connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", [name]
            )
            with psycopg.connect(_with_database(self.server_url, name), autocommit=True) as connection:
                connection.execute(_SWEEP)
                row = connection.execute(_IS_LIKE_NEW).fetchone()
        except psycopg.Error:
            return False
        return row == (True,)


# Catalogs grow with every table made and dropped, and nothing vacuums them here.
_USES = 50

_SWEEP = """
DO $$
DECLARE name text;
BEGIN
    SET LOCAL client_min_messages = warning;
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
    CREATE SCHEMA public AUTHORIZATION pg_database_owner;
    GRANT USAGE ON SCHEMA public TO public;
    COMMENT ON SCHEMA public IS 'standard public schema';
END $$
"""

_IS_LIKE_NEW = """
SELECT NOT EXISTS (SELECT FROM pg_extension WHERE extname <> 'plpgsql')
    AND NOT EXISTS (SELECT FROM pg_publication)
    AND NOT EXISTS (SELECT FROM pg_event_trigger)
    AND NOT EXISTS (SELECT FROM pg_largeobject_metadata)
    AND NOT EXISTS (SELECT FROM pg_default_acl)
    AND NOT EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database())
    AND NOT EXISTS (
        SELECT FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
        WHERE d.datname = current_database()
    )
"""


def _database_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def _with_database(url: str, name: str) -> str:
    scheme, location, _, query, fragment = urlsplit(url)
    return urlunsplit((scheme, location, f"/{name}", query, fragment))


@pytest.fixture(scope="session")
def postgresql_server_url(request: pytest.FixtureRequest) -> str:
    """The server of the run; its own database is not for the tests."""
    return _url_of_run(request.config)


@pytest.fixture(scope="session")
def postgresql_databases(postgresql_server_url: str) -> Iterator[PostgresDatabases]:
    databases = PostgresDatabases(postgresql_server_url)
    yield databases
    databases.close()


@pytest.fixture
def postgresql_url(postgresql_databases: PostgresDatabases) -> Iterator[str]:
    """An empty PostgreSQL database, gone after the test."""
    url = postgresql_databases.create()
    yield url
    left = postgresql_databases.wait_until_unused(url)
    postgresql_databases.drop(url)
    assert not left, f"the test left sessions of PostgreSQL open: {left}"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """An SQLite database in a file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'db.sqlite3'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    """The name of the backend the test runs on."""
    return str(request.param)


@pytest.fixture
def database_url(backend: str, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of the backend."""
    return str(request.getfixturevalue(f"{backend}_url"))


# -- worlds --------------------------------------------------------------------------------------


@pytest.fixture(params=["blocking", "awaiting"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The way the test waits; see tests/worlds.py."""
    world = BlockingWorld() if request.param == "blocking" else AwaitingWorld()
    yield world
    try:
        if isinstance(world, AwaitingWorld):
            left = world.tasks()
            assert not left, f"the test left tasks behind: {left}"
    finally:
        world.close()


@pytest.fixture
def configured(database_url: str, world: World) -> Iterator[str]:
    """Settings whose `default` is the fresh database; pools and settings are gone afterwards."""
    import datalayer
    from datalayer.conf import reset
    from datalayer.databases import databases
    from datalayer.pooling.registry import pools

    datalayer.configure(databases={"default": database_url})
    try:
        yield database_url
    finally:
        world.run(lambda: None, pools.aclose_all)
        pools.close_all()
        pools.reset()
        databases.clear()
        reset()


@pytest.fixture(autouse=True)
def _no_settings_left_behind() -> Iterator[None]:
    """Settings that a test has made or found end with it: they would be in the way of those of the next."""
    yield
    from datalayer.conf import current

    left = current._state.settings  # to ask for them would be to look for some
    current.reset()
    assert left is None, "the test left settings behind; take the fixture `configured`, or end with reset()"


@pytest.fixture(autouse=True)
def _no_thread_left_behind() -> Iterator[None]:
    """Every thread a test starts ends with it; a daemon only where it is one of ours."""
    before = set(threading.enumerate())
    yield
    left = [
        thread
        for thread in set(threading.enumerate()) - before
        if not thread.daemon or thread.name.startswith("datalayer")
    ]
    for thread in left:
        thread.join(2)
    left = [thread for thread in left if thread.is_alive()]
    assert not left, f"the test left threads behind: {left}"
