"""The connection that migrations run on, and what a database has against them, in words."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, OperationalError, PendingRollbackError
from sqlalchemy.pool import NullPool

from datalayer._links.functions import register
from datalayer._links.sqlite import why_not_open
from datalayer._links.translate import cure_of_collation, with_cure
from datalayer.conf.url import DatabaseUrl
from datalayer.errors import ConnectionFailed, MigrationError
from datalayer.extras import for_postgresql

_CURES = {
    "locked": "; another process is writing to it: run this again when it has finished",
    "readonly": "; the file and its folder must be writable for whoever runs migrations",
    "permission denied": "; migrations need a role that may create tables there and owns those it changes",
    "must be owner": "; migrations need a role that owns the tables they change",
    "not a database": "; the url in the settings leads to another kind of file",
    "cannot run inside a transaction block": "; let this migration run without one: atomic = False in a Python file, "
    "-- datalayer: atomic = false in an SQL file, run_in_transaction = false in metadata.toml",
    "cannot VACUUM from within a transaction": "; let this migration run without one: atomic = False in a Python "
    "file, -- datalayer: atomic = false in an SQL file, run_in_transaction = false in metadata.toml",
    "one statement at a time": "; SQLite takes one at a time: call op.execute() for each",
    "lock timeout": "; somebody else uses the table: try again, or raise databases.<alias>.migrate.lock_timeout",
    'no default operator class for access method "gist"': "; an = on a plain value needs the extension btree_gist: "
    'online.create_extension("btree_gist") before it',
    "statement timeout": "; it took longer than databases.<alias>.migrate.statement_timeout allows",
}
FIRST_TO_NOTICE = 140_000  # the version of PostgreSQL that has client_connection_check_interval
_FOR_EVER = 1_000_000.0  # seconds: some days, which SQLite can still count in milliseconds
_STEPS_BETWEEN_LOOKS = 100_000  # some milliseconds of SQLite's work


def reason(error: DBAPIError) -> str:
    """What the database said, and what helps."""
    diagnostic = getattr(error.orig, "diag", None)  # what PostgreSQL says, without the line of SQL and its caret
    parts = (
        [] if diagnostic is None else [diagnostic.message_primary, diagnostic.message_detail, diagnostic.message_hint]
    )
    said = " ".join("; ".join(filter(None, parts)).split() or str(error.orig).split())
    return said + next((cure for word, cure in _CURES.items() if word in said), cure_of_collation(said))


def is_interrupt(error: BaseException) -> bool:
    """Whether it is what Ctrl-C becomes where SQLite sees it: nothing else interrupts a migration's connection."""
    return isinstance(error, OperationalError) and str(error.orig) == "interrupted"


def in_transaction(connection: sa.Connection) -> bool:
    """Whether the database itself is inside a transaction, whoever began it."""
    driver = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        return driver.in_transaction
    return bool(driver is not None and driver.info.transaction_status)


@contextlib.contextmanager
def connect(url: DatabaseUrl, alias: str, lock_timeout: float | None) -> Generator[sa.Connection]:
    """A connection for migrations, closed at the end.

    Args:
        url: The database.
        alias: Its alias, for messages.
        lock_timeout: How many seconds to wait for whoever else writes to an SQLite file; None for ever.

    Raises:
        ConnectionFailed: There is none to be had.
    """
    engine = _engine(url, alias, lock_timeout)
    try:
        connection = engine.connect()
    except DBAPIError as error:
        why = with_cure("; ".join(line.strip() for line in str(error.orig).splitlines() if line.strip()))
        if url.backend == "sqlite" and error.orig is not None:
            why = why_not_open(url.database, error.orig)
        raise ConnectionFailed(f"cannot connect to database {alias!r} at {url}: {why}", alias=alias) from error
    with connection:
        yield connection
    engine.dispose()


@contextlib.contextmanager
def autocommitting(connection: sa.Connection) -> Generator[sa.Connection]:
    """The connection, for as long as each statement is to be a transaction of its own."""
    before = connection.get_isolation_level()
    connection.commit()
    connection.execution_options(isolation_level="AUTOCOMMIT", datalayer_autocommit=True)
    try:
        yield connection
    finally:
        with contextlib.suppress(DBAPIError, PendingRollbackError):  # a lost session has nothing to go back to
            connection.rollback()
            connection.execution_options(isolation_level=before, datalayer_autocommit=False)


def notices_death(connection: sa.Connection) -> bool:
    """Whether a server can be told to end a statement whose client is gone: PostgreSQL from 14 on, not on Windows."""
    driver = connection.connection.driver_connection
    if driver is None or driver.info.server_version < FIRST_TO_NOTICE:
        return False
    try:
        connection.exec_driver_sql("SET LOCAL client_connection_check_interval = 1000")
    except DBAPIError:
        return False
    finally:
        connection.rollback()
    return True


def _engine(url: DatabaseUrl, alias: str, lock_timeout: float | None) -> sa.Engine:
    if url.is_memory:
        raise MigrationError(
            f"database {alias!r} is in memory and gone with its connection, so it cannot be migrated; "
            "use a file, or datalayer.testing.create_tables()"
        )
    if url.backend == "sqlite":
        creator = lambda: _open_sqlite(url.database, lock_timeout)  # noqa: E731 - as SQLAlchemy wants it
        engine = sa.create_engine("sqlite+pysqlite://", creator=creator, poolclass=NullPool)
        event.listen(engine, "begin", _begin_immediate)
        return engine
    secret = url.password
    is_socket = (url.host or "").startswith("/")
    options = dict(url.options)
    if is_socket and url.host:
        options["host"] = url.host
    made = sa.URL.create(
        "postgresql+psycopg",
        username=url.user,
        password=None if secret is None else secret.get_secret_value(),
        host=None if is_socket else url.host,
        port=url.port,
        database=url.database,
        query={"fallback_application_name": "datalayer migrate", **options},
    )
    for_postgresql("psycopg")
    return sa.create_engine(made, poolclass=NullPool)


def _open_sqlite(database: str, lock_timeout: float | None) -> sqlite3.Connection:
    # Without a transaction of its own, so that DDL is as transactional as everything else.
    timeout = _FOR_EVER if lock_timeout is None else lock_timeout
    connection = sqlite3.connect(database, isolation_level=None, timeout=timeout)
    # Tables are rebuilt with their references in place; each migration ends with a check of all of them.
    connection.execute("PRAGMA foreign_keys=OFF")
    register(connection)  # a CHECK or a generated column may call our functions
    # SQLite asks this while it works, which lets Python see Ctrl-C in the middle of a long statement.
    connection.set_progress_handler(lambda: 0, _STEPS_BETWEEN_LOOKS)
    return connection


def _begin_immediate(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("datalayer_autocommit") and options.get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN" if options.get("datalayer_reads") else "BEGIN IMMEDIATE")


__all__ = ["autocommitting", "connect", "in_transaction", "is_interrupt", "notices_death", "reason"]
