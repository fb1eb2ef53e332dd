"""A server of its own that may be killed, and a proxy before it that may lose its way: the scene of the faults."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests import postgres_server
from tests.database.pooling.conftest import Maker, lend_maker
from tests.postgres_server import PostgresServer
from tests.tcp_proxy import Proxy, proxy_to
from tests.worlds import World

KINDS = ("postgresql-generic", "postgresql-psycopg")

PASSWORD = "open sesame"


@pytest.fixture(scope="session")
def server(postgresql_server_url: str) -> Iterator[PostgresServer]:
    """A server nobody else uses; the role `locked` needs a password."""
    server = postgres_server.start()
    rules = server.folder / "data" / "pg_hba.conf"
    rules.write_text(f"local all locked scram-sha-256\n{rules.read_text()}")
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE locked LOGIN PASSWORD '{PASSWORD}'")
        connection.execute("SELECT pg_reload_conf()")
    with contextlib.suppress(psycopg.OperationalError):  # refused: the server has read its rules
        while True:
            psycopg.connect(server.url.replace("postgres@", "locked:wrong@")).close()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _swept(server: PostgresServer) -> Iterator[None]:
    """No statement of a test runs on into the next one: a server finishes what it does for a client that is gone."""
    yield
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )


@pytest.fixture
def proxy(server: PostgresServer) -> Iterator[Proxy]:
    """A proxy to that server."""
    with proxy_to(server.url) as proxy:
        yield proxy


@pytest.fixture(params=KINDS)
def make(
    request: pytest.FixtureRequest, _swept: None, world: World, server: PostgresServer, proxy: Proxy
) -> Iterator[Maker]:
    """Makes pools of both kinds whose connections go through the proxy."""
    url = proxy.url(server.url)
    maker = Maker(str(request.param), world, url, url.replace("/postgres", "/no_such_datalayer", 1))
    yield from lend_maker(maker)


def sessions_left(server: PostgresServer) -> list[Any]:
    """The sessions of the server besides ours; it may need a moment to notice that one has ended."""
    until = time.monotonic() + 5
    with psycopg.connect(server.url, autocommit=True) as connection:
        while True:
            found = connection.execute(
                "select state, query, wait_event, datname, backend_start from pg_stat_activity "
                "where backend_type = 'client backend' and pid <> pg_backend_pid()"
            ).fetchall()
            if not found or time.monotonic() > until:
                return found
