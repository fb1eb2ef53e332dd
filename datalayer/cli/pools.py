"""The command about connections: whether each database can be reached, how fast, and who else is there."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import typer

from datalayer.cli import completion, output
from datalayer.cli.here import enter, impatient
from datalayer.cli.options import DATABASE_URL
from datalayer.errors import DatalayerError

if TYPE_CHECKING:
    from datalayer._links.link import Link
    from datalayer.pooling import DatabasePool

HEADINGS = ("database", "url", "state", "connect", "ping", "pool", "sessions")


def pools(
    aliases: list[str] = typer.Argument(
        None,
        metavar="ALIAS",
        help="Which databases; all of them when left out.",
        autocompletion=completion.databases,
    ),
    database_url: str | None = DATABASE_URL,
    watch: bool = typer.Option(False, "--watch", "-w", help="Look again and again, until Ctrl-C."),
    interval: float = typer.Option(2.0, "--interval", min=0.1, metavar="SECONDS", help="Between two looks."),
    timeout: float = typer.Option(5.0, "--timeout", min=0.1, metavar="SECONDS", help="To wait for each database."),
) -> int:
    """Connect to every database and show how it is.

    For each: whether it answers, how long connecting and a ping take, how many connections a pool of these settings may
    open, and, on PostgreSQL, the sessions all other programs have there now. It opens one connection to each database.

    The pools of a running program are inside it and cannot be seen from here; it shows them by `pools.stats()`, or by
    OpenTelemetry. Exit code 1 when a database did not answer.

    \b
    Examples:
      datalayer pools
      datalayer pools default reports --timeout 1
      datalayer pools --watch --interval 1
    """
    if database_url is not None and len(aliases or ()) > 1:
        raise typer.BadParameter("--database-url is where one database is; name one, or none for 'default'")
    if database_url is not None:
        aliases = aliases or ["default"]
    settings = enter(database_url, alias=aliases[0] if aliases else "default")
    from datalayer.pooling import pools as registry

    # Who watches waits for the database to come back, and the last refusal would hide that for a while.
    with contextlib.nullcontext() if watch else impatient(settings):
        chosen = [registry[alias] for alias in aliases or settings.databases]
    try:
        if not watch:
            rows = [_look(pool, timeout) for pool in chosen]
            output.table(HEADINGS, [row for row, _ in rows])
            return 0 if all(is_good for _, is_good in rows) else 1
        with output.changing_table(HEADINGS) as draw:
            pause = threading.Event()
            while True:
                draw([_look(pool, timeout)[0] for pool in chosen])
                pause.wait(interval)
    except KeyboardInterrupt:
        if not watch:
            raise
        return 0  # the way to end it
    finally:
        registry.close_all(0.0)


def _look(pool: DatabasePool, timeout: float) -> tuple[tuple[str, ...], bool]:
    url = pool.settings.url
    if url.has_no_file:  # looking must not make one
        return (pool.alias, str(url), url.without_file(pool.alias), "", "", _size(pool), ""), False
    began = time.perf_counter()
    try:
        with pool.borrow("read", timeout) as link:
            took = time.perf_counter() - began
            began = time.perf_counter()
            link.ping(timeout)
            ping = time.perf_counter() - began
            sessions = _sessions(link)
    except DatalayerError as error:
        return (pool.alias, str(url), _said(error), "", "", _size(pool), ""), False
    stats = pool.stats()
    opened = stats.connections_opened
    # A connection that was kept says nothing about connecting: then the last one that was made does.
    connect = stats.open_time_total / opened if opened else took
    return (pool.alias, str(url), "ok", _ms(connect), _ms(ping), _size(pool), sessions), True


def _sessions(link: Link) -> str:
    if link.backend != "postgresql":
        return ""
    from datalayer._links.run import run
    from datalayer._plans import sessions

    found, limit = run(sessions.others(), link)
    states = ", ".join(f"{count} {state}" for state, count in found.items())
    return f"{sum(found.values())} others of {limit}{f': {states}' if states else ''}"


def _size(pool: DatabasePool) -> str:
    chosen = pool.settings.pool
    if pool.backend == "sqlite":
        return f"1 writer, {chosen.readers} readers"
    return f"{chosen.min_idle} to {chosen.max_size}, {chosen.implementation or 'psycopg'}"


def _said(error: DatalayerError) -> str:
    cause = error.__cause__ if isinstance(error, TimeoutError) and error.__cause__ is not None else error
    return " ".join(str(cause).split())


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


COMMANDS = (pools,)
