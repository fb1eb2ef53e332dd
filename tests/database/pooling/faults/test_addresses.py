"""`url_from`: a function of the project gives the address of each new connection, and its secret is seen nowhere."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

import datalayer
from datalayer import pools
from datalayer.cli.shell import client
from datalayer.conf import DatabaseUrl, reset
from datalayer.errors import ConfigurationError, ConnectionFailed, PoolTimeout
from datalayer.pooling.address import Address
from tests.database.pooling.faults.conftest import PASSWORD
from tests.database.pooling.faults.test_servers import set_password
from tests.postgres_server import PostgresServer
from tests.worlds import World

HERE = __name__
CHANGED = "a word nobody may see"


class Vault:
    """Where the functions of this file get the password, and what they do instead when they are told to."""

    def __init__(self) -> None:
        self.password = PASSWORD
        self.error: Exception | None = None
        self.asked: list[str] = []

    def hand_out(self, url: DatabaseUrl, by: str) -> DatabaseUrl:
        self.asked.append(by)
        if self.error is not None:
            raise self.error
        return url.with_password(self.password)


vault = Vault()


def fresh(url: DatabaseUrl) -> DatabaseUrl:
    return vault.hand_out(url, "fresh")


def twin(url: DatabaseUrl) -> DatabaseUrl:
    return vault.hand_out(url, "twin")


async def atwin(url: DatabaseUrl) -> DatabaseUrl:
    await asyncio.sleep(0)
    return vault.hand_out(url, "atwin")


async def lonely(url: DatabaseUrl) -> DatabaseUrl:
    return vault.hand_out(url, "lonely")


def naked(url: DatabaseUrl) -> Any:
    return vault.password


def elsewhere(url: DatabaseUrl) -> DatabaseUrl:
    return DatabaseUrl.parse("sqlite:///:memory:")


@pytest.fixture(params=["generic", "psycopg"])
def lender(request: pytest.FixtureRequest, server: PostgresServer, world: World) -> Iterator[Any]:
    """`lender(function, **pool)` is the pool of a role that needs a password, which its url does not have."""

    def configure(function: str = "fresh", **pool: object) -> Any:
        url = server.url.replace("postgres@", "locked@")
        chosen = {"implementation": request.param, **pool}
        datalayer.configure(databases={"default": {"url": url, "url_from": f"{HERE}:{function}", "pool": chosen}})
        return pools["default"]

    vault.__init__()  # type: ignore[misc]  # as it was made
    reset()
    yield configure
    set_password(server, PASSWORD)
    world.run(lambda: None, pools.aclose_all)
    pools.reset()
    reset()


def borrowed(pool: Any, world: World) -> Any:
    return world.call(pool, "borrow")


def release(lease: Any, world: World) -> None:
    world.run(lease.release, lease.release)


def test_function_is_asked_at_each_connect(lender: Any, world: World, server: PostgresServer) -> None:
    pool = lender()
    first = borrowed(pool, world)
    set_password(server, CHANGED)
    vault.password = CHANGED
    second = borrowed(pool, world)
    release(first, world)
    release(second, world)
    assert vault.asked == ["fresh", "fresh"]
    assert pool.stats().connect_errors == 0


def test_awaiting_twin_is_awaited_by_awaiting_pools(lender: Any, world: World) -> None:
    pool = lender("twin")
    release(borrowed(pool, world), world)
    assert vault.asked == ["atwin" if world.is_async else "twin"]


def test_function_that_must_be_awaited_is_refused_by_blocking_pools(lender: Any, world: World) -> None:
    pool = lender("lonely")
    if world.is_async:
        release(borrowed(pool, world), world)
        return
    with pytest.raises(ConnectionFailed, match=r"lonely is an `async def`.*plain function.*alonely beside it"):
        borrowed(pool, world)


def test_password_that_is_late_is_asked_for_again(lender: Any, world: World, server: PostgresServer) -> None:
    pool = lender(backoff_initial=0.01, backoff_max=0.02)
    set_password(server, CHANGED)
    with pytest.raises(ConnectionFailed, match="password authentication failed"):
        borrowed(pool, world)
    vault.password = CHANGED

    def cured() -> bool:
        try:
            release(borrowed(pool, world), world)
        except ConnectionFailed:
            return False
        return True

    while not cured():
        world.run(lambda: None, lambda: asyncio.sleep(0))
    assert pool.stats().in_use == 0


def test_function_that_fails_is_asked_again_and_is_the_cause(lender: Any, world: World) -> None:
    pool = lender(connection_timeout=0.3, backoff_initial=0.01, backoff_max=0.02)
    vault.error = OSError("the vault is sealed")
    with pytest.raises(PoolTimeout) as caught:
        borrowed(pool, world)
    cause = caught.value.__cause__
    assert isinstance(cause, ConnectionFailed)
    assert f"{HERE}:fresh raised OSError" in str(cause)
    assert isinstance(cause.__cause__, OSError)
    assert len(vault.asked) > 1
    vault.error = None
    release(borrowed(pool, world), world)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("naked", r"naked gave str: give a DatabaseUrl, as url\.with_password"),
        ("elsewhere", "elsewhere gave an address of sqlite"),
        ("frehs", "has no function 'frehs'; did you mean 'fresh'"),
    ],
)
def test_wrong_function_is_told_at_once(lender: Any, world: World, function: str, words: str) -> None:
    pool = lender(function)
    with pytest.raises(ConnectionFailed, match=words) as caught:
        borrowed(pool, world)
    assert caught.value.is_fatal
    assert PASSWORD not in str(caught.value)


def test_secret_is_seen_nowhere(
    lender: Any, world: World, server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    heard: list[object] = []
    vault.password = CHANGED
    pool = lender(connection_timeout=0.3, backoff_initial=0.01, backoff_max=0.02)
    pool.listen(lambda name, event: heard.append(event))
    with pytest.raises(ConnectionFailed) as caught:
        borrowed(pool, world)
    set_password(server, CHANGED)
    stats = pool.stats()
    seen = [str(caught.value), repr(pool), repr(pool.settings), repr(stats), str(stats.last_error), repr(heard)]
    seen += ["".join(traceback.format_exception(caught.value)), caplog.text]
    assert not [one for one in seen if CHANGED in one]


def test_variable_of_the_environment_names_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATALAYER_DATABASES__DEFAULT__URL", "postgresql://shop@db/shop")
    monkeypatch.setenv("DATALAYER_DATABASES__DEFAULT__URL_FROM", f"{HERE}:fresh")
    reset()
    vault.__init__()  # type: ignore[misc]  # as it was made
    chosen = datalayer.settings.databases["default"]
    assert Address("default", chosen).now().password is not None
    assert client(Address("default", chosen).now())[1]["PGPASSWORD"] == PASSWORD
    reset()


def test_settings_refuse_what_can_never_work() -> None:
    reset()
    for options, words in [
        ({"url": "sqlite:///x.sqlite3", "url_from": "shop.secrets:fresh"}, "sqlite is a file"),
        ({"url": "postgresql://shop@db/shop", "url_from": "shop.secrets.fresh"}, "package.module:function"),
        ({"url": "postgresql://shop@db/shop", "url_from": 3}, "url_from"),
    ]:
        with pytest.raises(ConfigurationError, match=words):
            datalayer.configure(databases={"default": options})
    reset()
