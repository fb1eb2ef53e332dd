"""Connection classes that report to their pool: the only way to see what happens inside psycopg-pool."""

from __future__ import annotations

import time
import weakref
from typing import Any, Protocol

import psycopg

from datalayer._links.postgresql import AsyncPostgresLink, PostgresLink, cannot_connect
from datalayer.errors import ConnectionFailed


class Reported(Protocol):
    """What the classes tell their pool."""

    name: str

    def connected(self, link: Any, raw: Any, took: float) -> None: ...  # noqa: D102
    def connect_failed(self, error: BaseException, *, configured: bool = True) -> None: ...  # noqa: D102
    def closed_one(self, raw: Any) -> None: ...  # noqa: D102


class ReportedTo(Reported, Protocol):
    """The pool of blocking connections."""

    def configure_link(self, link: PostgresLink) -> None: ...  # noqa: D102


class AsyncReportedTo(Reported, Protocol):
    """The pool of awaiting connections."""

    async def configure_link(self, link: AsyncPostgresLink) -> None: ...  # noqa: D102


def _failure(error: psycopg.Error, conninfo: str, alias: str) -> ConnectionFailed:
    failed = cannot_connect(error, conninfo, alias)
    failed.__cause__ = error
    return failed


def connection_class(ref: weakref.ref[Any], alias: str) -> type[psycopg.Connection[Any]]:
    """The class of the connections of one blocking pool.

    Args:
        ref: The pool, a `ReportedTo`; it may be gone.
        alias: For error messages.
    """

    def pool() -> ReportedTo | None:
        return ref()

    class PooledConnection(psycopg.Connection[Any]):
        @classmethod
        def connect(cls, conninfo: str = "", **options: Any) -> Any:
            began = time.monotonic()
            adapter = pool()
            try:
                raw = super().connect(conninfo, **options)
            except psycopg.Error as error:
                if adapter is not None:
                    adapter.connect_failed(_failure(error, conninfo, alias))
                raise
            if adapter is None:
                return raw
            link = PostgresLink(raw, alias=alias)
            try:
                adapter.configure_link(link)
            except BaseException as error:
                raw.close()
                adapter.connect_failed(error, configured=False)
                if not isinstance(error, Exception):  # it would end the worker of psycopg-pool this runs in
                    raise psycopg.OperationalError("the configure hook was interrupted") from error
                raise
            adapter.connected(link, raw, time.monotonic() - began)
            return raw

        def close(self) -> None:
            if (adapter := pool()) is not None:
                adapter.closed_one(self)
            super().close()

    return PooledConnection


def async_connection_class(ref: weakref.ref[Any], alias: str) -> type[psycopg.AsyncConnection[Any]]:
    """The twin of `connection_class`."""

    def pool() -> AsyncReportedTo | None:
        return ref()

    class PooledAsyncConnection(psycopg.AsyncConnection[Any]):
        @classmethod
        async def connect(cls, conninfo: str = "", **options: Any) -> Any:
            began = time.monotonic()
            adapter = pool()
            try:
                raw = await super().connect(conninfo, **options)
            except psycopg.Error as error:
                if adapter is not None:
                    adapter.connect_failed(_failure(error, conninfo, alias))
                raise
            if adapter is None:
                return raw
            link = AsyncPostgresLink(raw, alias=alias)
            try:
                await adapter.configure_link(link)
            except BaseException as error:
                await raw.close()
                adapter.connect_failed(error, configured=False)
                raise
            adapter.connected(link, raw, time.monotonic() - began)
            return raw

        async def close(self) -> None:
            if (adapter := pool()) is not None:
                adapter.closed_one(self)
            await super().close()

    return PooledAsyncConnection
