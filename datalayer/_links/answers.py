"""Waiting for the answer to a ping of PostgreSQL, for so long and no longer."""

from __future__ import annotations

import asyncio
import selectors
import time
from typing import Any

import psycopg
from psycopg.pq import ExecStatus


def await_answer(raw: psycopg.Connection[Any], timeout: float | None) -> None:
    """Waits for the answer to a query that was sent; psycopg itself has no time limit for that."""
    pgconn = raw.pgconn
    until = None if timeout is None else time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        selector.register(pgconn.socket, selectors.EVENT_READ)
        while pgconn.is_busy():
            if not selector.select(None if until is None else max(until - time.monotonic(), 0.0)):
                raise TimeoutError
            pgconn.consume_input()
    _raise_what_came(raw)


async def aawait_answer(raw: psycopg.AsyncConnection[Any]) -> None:
    """The awaiting twin of `await_answer`.

    A cancelled wait ends at once, where psycopg would first ask the server to end the query: for up to ten seconds,
    when the server does not answer, which is just what a ping is to find out.
    """
    pgconn = raw.pgconn
    loop = asyncio.get_running_loop()
    while pgconn.is_busy():
        readable = asyncio.Event()
        loop.add_reader(pgconn.socket, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(pgconn.socket)
        pgconn.consume_input()
    _raise_what_came(raw)


def _raise_what_came(raw: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    while (result := raw.pgconn.get_result()) is not None:
        if result.status == ExecStatus.FATAL_ERROR:
            raise psycopg.OperationalError(result.get_error_message())
