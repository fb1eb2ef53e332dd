"""A server of its own that may be killed, and a proxy before it that may lose its way: the scene of the faults."""

from __future__ import annotations

from collections.abc import Iterator

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
    yield server
    server.stop()


@pytest.fixture
def proxy(server: PostgresServer) -> Iterator[Proxy]:
    """A proxy to that server."""
    with proxy_to(server.url) as proxy:
        yield proxy


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, world: World, server: PostgresServer, proxy: Proxy) -> Iterator[Maker]:
    """Makes pools of both kinds whose connections go through the proxy."""
    url = proxy.url(server.url)
    maker = Maker(str(request.param), world, url, url.replace("/postgres", "/no_such_datalayer", 1))
    yield from lend_maker(maker)
