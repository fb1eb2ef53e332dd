"""The pools of links that the settings ask for, behind one surface for both backends and both implementations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from datalayer._links.link import AsyncLink, Link
from datalayer.conf import DatabaseSettings
from datalayer.extras import for_postgresql
from datalayer.late import LateModule
from datalayer.pooling.address import Address
from datalayer.pooling.config import PoolConfig
from datalayer.pooling.explain import call_site
from datalayer.pooling.flows import Machine
from datalayer.pooling.lease import Lease
from datalayer.pooling.links import AsyncLinkConnector, LinkConnector
from datalayer.pooling.pool import Pool
from datalayer.pooling.sqlite import LOCK_TIMEOUT, PING_BYPASS, AsyncSQLitePool, Mode, SQLitePool
from datalayer.pooling.stats import CloseReport, LeaseInfo, PoolStats
from datalayer.pooling.timeouts import DEFAULT, Timeout

if TYPE_CHECKING:
    from datalayer.pooling import async_pool
    from datalayer.pooling.async_lease import Acquiring
    from datalayer.pooling.events import Listener
else:
    async_pool = LateModule("datalayer.pooling.async_pool")


class Part(Protocol):
    """One pool of connections: SQLite has two for each database, one that writes and one that reads."""

    @property
    def name(self) -> str | None: ...  # noqa: D102
    def stats(self) -> PoolStats: ...  # noqa: D102
    def listen(self, listener: Listener) -> None: ...  # noqa: D102
    def unlisten(self, listener: Listener) -> None: ...  # noqa: D102


class LinkPool(Protocol):
    """What the registry needs of a blocking pool of links."""

    @property
    def parts(self) -> Sequence[Part]: ...  # noqa: D102
    def acquire(self, mode: Mode = "write", timeout: Timeout = DEFAULT) -> Lease[Link]: ...  # noqa: D102
    def open(self, *, wait: bool = False) -> object: ...  # noqa: D102
    def close(self, timeout: float | None = None) -> CloseReport: ...  # noqa: D102
    def stats(self) -> PoolStats: ...  # noqa: D102
    def leases(self) -> list[LeaseInfo]: ...  # noqa: D102


class AsyncLinkPool(Protocol):
    """What the registry needs of an awaiting pool of links."""

    @property
    def parts(self) -> Sequence[Part]: ...  # noqa: D102
    def acquire(self, mode: Mode = "write", timeout: Timeout = DEFAULT) -> Acquiring[AsyncLink]: ...  # noqa: D102
    async def open(self, *, wait: bool = False) -> object: ...  # noqa: D102
    async def close(self, timeout: float | None = None) -> CloseReport: ...  # noqa: D102
    def stats(self) -> PoolStats: ...  # noqa: D102
    def leases(self) -> list[LeaseInfo]: ...  # noqa: D102
    def abandon(self) -> None: ...  # noqa: D102


class _Whole:
    """A pool without readers of its own: every mode gets the same kind of connection."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._is_generic = isinstance(pool, Machine)  # psycopg-pool's looks beyond this
        self.parts: Sequence[Part] = (pool,)
        self.open = pool.open
        self.close = pool.close
        self.stats = pool.stats
        self.leases = pool.leases


class Moded(_Whole):
    """Such a pool of the blocking world."""

    def acquire(self, mode: Mode = "write", timeout: Timeout = DEFAULT) -> Lease[Link]:
        """Lends a connection, whatever the mode."""
        lease: Lease[Link] = self._pool.acquire(timeout)
        if self._is_generic:
            lease.note_place()
        return lease


class AsyncModed(_Whole):
    """The twin of `Moded`."""

    def __init__(self, pool: Any) -> None:
        super().__init__(pool)
        self.abandon = pool.abandon

    def acquire(self, mode: Mode = "write", timeout: Timeout = DEFAULT) -> Acquiring[AsyncLink]:
        """The twin of `Moded.acquire`."""
        asking: Acquiring[AsyncLink] = self._pool.acquire(timeout)
        if self._is_generic:
            asking.code, asking.offset = call_site()
        return asking


def link_pool(alias: str, chosen: DatabaseSettings, file: Callable[[], str]) -> LinkPool:
    """The blocking pool of a database, as its settings want it.

    Args:
        alias: The name of the database, for messages.
        chosen: Its settings.
        file: Gives the path of an SQLite database; asked for nothing else.

    Raises:
        MissingExtra: The driver is not installed.
    """
    config = _config_of(chosen)
    if chosen.url.backend == "sqlite":
        statements = _pragmas_of(chosen)

        def configure(link: Link) -> None:
            raw: Any = link.raw
            for statement in statements:
                raw.execute(statement)

        own = configure if statements else None
        return SQLitePool(
            file(), config, name=alias, readers=chosen.pool.readers, lock_timeout=_lock_timeout(chosen), configure=own
        )
    address, behind = Address(alias, chosen), chosen.transaction_pooling
    if chosen.pool.implementation == "generic":
        connect = partial(
            for_postgresql("datalayer._links.postgresql").connect_postgresql,
            alias=alias, connect_timeout=config.connect_timeout, transaction_pooling=behind,
        )  # fmt: skip
        connector = LinkConnector(
            lambda: connect(address.now().render()),
            ping_timeout=config.validation_timeout, reset_timeout=config.reset_timeout,
        )  # fmt: skip
        return Moded(Pool(connector, config, name=alias))
    driver = for_postgresql("datalayer.pooling.psycopg")
    return Moded(driver.PsycopgPool(lambda: address.now().render(), config, name=alias, transaction_pooling=behind))


def async_link_pool(alias: str, chosen: DatabaseSettings, file: Callable[[], str]) -> AsyncLinkPool:
    """The twin of `link_pool`, for the running loop."""
    config = _config_of(chosen)
    if chosen.url.backend == "sqlite":
        statements = _pragmas_of(chosen)

        async def configure(link: AsyncLink) -> None:
            raw: Any = link.raw
            for statement in statements:
                await raw.execute(statement)

        own = configure if statements else None
        return AsyncSQLitePool(
            file(), config, name=alias, readers=chosen.pool.readers, lock_timeout=_lock_timeout(chosen), configure=own
        )
    address, behind = Address(alias, chosen), chosen.transaction_pooling

    async def url() -> str:
        return (await address.anow()).render()

    if chosen.pool.implementation == "generic":
        aconnect = for_postgresql("datalayer._links.postgresql").aconnect_postgresql

        async def connect() -> AsyncLink:
            link: AsyncLink = await aconnect(
                await url(), alias=alias, connect_timeout=config.connect_timeout, transaction_pooling=behind
            )
            return link

        return AsyncModed(
            async_pool.AsyncPool(AsyncLinkConnector(connect, reset_timeout=config.reset_timeout), config, name=alias)
        )
    driver = for_postgresql("datalayer.pooling.psycopg")
    return AsyncModed(driver.AsyncPsycopgPool(url, config, name=alias, transaction_pooling=behind))


_FOR_EVER = 1_000_000.0  # seconds: some days, which SQLite can still count in milliseconds


def _pragmas_of(chosen: DatabaseSettings) -> list[str]:
    """The statements that set what the settings say; its names and words were looked at there."""
    return [
        f"PRAGMA {name} = {int(value) if isinstance(value, bool) else value}" for name, value in chosen.pragmas.items()
    ]


def _lock_timeout(chosen: DatabaseSettings) -> float:
    """For how long SQLite waits for another program: as long as for a writer of this one, where the settings say it."""
    if "connection_timeout" not in chosen.pool.model_fields_set:
        return LOCK_TIMEOUT
    seconds = chosen.pool.connection_timeout
    return _FOR_EVER if seconds is None else min(seconds, _FOR_EVER)


def _config_of(database: DatabaseSettings) -> PoolConfig:
    chosen = database.pool
    options = {one.name: getattr(chosen, one.name) for one in fields(PoolConfig)}
    if "test_bypass" not in chosen.model_fields_set:
        options["test_bypass"] = PING_BYPASS if database.url.backend == "sqlite" else 0.5
    return PoolConfig(**options)
