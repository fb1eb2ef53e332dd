"""Whole databases, made and dropped: a file on SQLite, a database of the server on PostgreSQL.

What is asked goes to the server's own database `postgres`, over a connection of its own: the one it is about need not
exist, and nobody can drop the database they are connected to.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datalayer._links.run import run
from datalayer._links.sqlite import connect_sqlite
from datalayer._links.translate import code_of
from datalayer._plans import servers
from datalayer.conf.url import DatabaseUrl
from datalayer.errors import ConfigurationError, ConnectionFailed, DatabaseError, DatalayerError
from datalayer.extras import for_postgresql

if TYPE_CHECKING:
    from datalayer._links.link import Link

_SERVERS_OWN = ("postgres", "template0", "template1")
_SQLITE_HEADER = b"SQLite format 3\0"
_BESIDE = ("-wal", "-shm", "-journal")
_MOST_NAMED = 5


def exists(url: DatabaseUrl) -> bool:
    """Whether the database is there.

    Args:
        url: The database.

    Raises:
        ConnectionFailed: The server cannot be reached.
    """
    if url.backend == "sqlite":
        return os.path.exists(_file(url))
    with _server(url) as link:
        return run(servers.exists(url.database), link)


def create(url: DatabaseUrl, *, template: str | None = None) -> None:
    """Makes an empty database.

    Args:
        url: The database.
        template: PostgreSQL: the database to copy instead.

    Raises:
        DatabaseError: It is there already, or the role may not make one.
        ConnectionFailed: The server cannot be reached, or the folder of the file is missing.
    """
    if url.backend == "sqlite":
        file = Path(_file(url))
        was_there = file.exists()
        try:
            connect_sqlite(str(file)).close()
        except BaseException:
            if not was_there:
                file.unlink(missing_ok=True)  # the next try would take an empty one for the database
            raise
        return
    with _server(url) as link, _cured("makes databases", "CREATEDB"):
        run(servers.create(url.database, template), link)


def drop(url: DatabaseUrl, *, force: bool = False) -> None:
    """Drops a database, if it is there, with all that is in it.

    Args:
        url: The database.
        force: Also while others are connected to it; PostgreSQL ends their sessions.

    Raises:
        DatalayerError: Others are connected to it, it is the server's own, or a file that is no database.
        ConnectionFailed: The server cannot be reached.
    """
    if url.backend == "sqlite":
        _remove(_file(url), force=force)
        return
    with _server(url) as link:
        others = [] if force else run(servers.sessions(url.database), link)
        if others:
            shown = "; ".join(map(_in_words, others[:_MOST_NAMED]))
            more = f"; and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
            raise DatalayerError(
                f"{_counted(len(others))} connected to {url.database!r}: {shown}{more}; end them, or use --force"
            )
        with _cured("drops this database", "its owner"):
            run(servers.drop(url.database, force=force), link)


def describe(url: DatabaseUrl, text: str) -> None:
    """Notes something about a database of a server: its comment.

    Raises:
        ConnectionFailed: The server cannot be reached.
    """
    with _server(url) as link:
        run(servers.describe(url.database, text), link)


def description(url: DatabaseUrl) -> str | None:
    """What was noted about a database of a server; None where nothing was, or there is none.

    Raises:
        ConnectionFailed: The server cannot be reached.
    """
    with _server(url) as link:
        return run(servers.description(url.database), link)


def refuse_the_servers_own(url: DatabaseUrl) -> None:
    """Refuses to make or drop what belongs to the server itself, or has no name.

    Raises:
        ConfigurationError: It is such a database.
    """
    if url.backend == "sqlite":
        _file(url)
    elif not url.database:
        raise ConfigurationError(f"the url {url} names no database: write postgresql://host/NAME")
    elif url.database in _SERVERS_OWN:
        raise ConfigurationError(f"{url.database!r} is the server's own database; the url must name one of yours")


def _file(url: DatabaseUrl) -> str:
    if url.is_memory:
        raise ConfigurationError("a database in memory comes and goes with its connection: there is nothing to do")
    return url.database


def _remove(name: str, *, force: bool) -> None:
    """Deletes the file of a database and those that SQLite keeps beside it."""
    file = Path(name)
    if not file.exists():
        return
    if file.is_dir():
        raise ConfigurationError(f"{name!r} is a folder and no database; nothing was deleted")
    with file.open("rb") as head:
        begin = head.read(len(_SQLITE_HEADER))
    if begin not in (b"", _SQLITE_HEADER):
        raise ConfigurationError(f"{name!r} is not an SQLite database; nothing was deleted, check the url")
    if not force and begin:
        _refuse_others(name)
    for place in (file, *(Path(name + end) for end in _BESIDE)):
        place.unlink(missing_ok=True)


def _refuse_others(name: str) -> None:
    """Refuses while another connection is open: leaving write-ahead logging needs the file for itself."""
    raw = sqlite3.connect(name, isolation_level=None, timeout=0.0)
    try:
        raw.execute("PRAGMA journal_mode = delete")
        raw.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if not code_of(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return  # damaged or read-only: what is broken may go, and the folder decides on the rest
        raise DatalayerError(
            f"another process has {name!r} open (`fuser {name}` names it); end it, or use --force"
        ) from error
    except sqlite3.DatabaseError:
        return  # damaged, and nobody can have it open
    finally:
        raw.close()


@contextlib.contextmanager
def _server(url: DatabaseUrl) -> Generator[Link]:
    """A connection to the server beside the database."""
    refuse_the_servers_own(url)
    link: Link = _connected(for_postgresql("datalayer._links.postgresql"), url)
    try:
        yield link
    finally:
        link.close()


def _connected(driver: Any, url: DatabaseUrl) -> Link:
    """Connects to `postgres`, and to `template1` on a server without it."""
    try:
        link: Link = driver.connect_postgresql(replace(url, database="postgres").render())
    except ConnectionFailed as error:
        if 'database "postgres" does not exist' not in str(error):
            raise
        link = driver.connect_postgresql(replace(url, database="template1").render())
    return link


@contextlib.contextmanager
def _cured(what: str, needed: str) -> Generator[None]:
    try:
        yield
    except DatabaseError as error:
        if error.sqlstate == "42501":
            raise DatalayerError(f"{error}; a role that {what} needs to be {needed}") from error
        raise


def _counted(number: int) -> str:
    return f"{number} other session is" if number == 1 else f"{number} other sessions are"


def _in_words(session: tuple[str, ...]) -> str:
    process, role, program, address, state = session
    words = [f"process {process}", f"role {role!r}", repr(program) if program else "", address, state]
    return ", ".join(word for word in words if word)
