"""The lock that keeps two deployers apart for as long as one of them migrates, whatever happens to it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, PendingRollbackError

from datalayer.conf.url import DatabaseUrl
from datalayer.migrations.sessions import PARTS, moment, named

LOCK_KEY = 0x64617461_6C617965  # "datalaye": the advisory lock of PostgreSQL
BETWEEN_TRIES = 0.2  # seconds
SUFFIX = "-migrate"
OnWait: TypeAlias = Callable[[str], None]
"""Told who holds the lock that is waited for, and how to end that; again when it is somebody else."""

_HOLDER = f"""
SELECT {PARTS}, a.backend_start
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid JOIN pg_database d ON d.oid = l.database
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND d.datname = current_database()
AND (l.classid::bigint << 32) + l.objid::bigint = :key
"""


@contextlib.contextmanager
def locked(connection: sa.Connection, url: DatabaseUrl, on_wait: OnWait | None) -> Generator[None]:
    """Keeps other deployers out until the end; one that comes waits, however long that takes.

    The system lets go of it when the process or the session is gone, so nothing stays locked after a crash.

    Args:
        connection: The database.
        url: Where it is.
        on_wait: Told who is waited for.
    """
    if url.backend == "sqlite":
        with on_file(Path(f"{url.database}{SUFFIX}"), on_wait):
            yield
        return
    _advisory(connection, on_wait)
    try:
        yield
    finally:
        with contextlib.suppress(DBAPIError, PendingRollbackError):  # a lost session has let go of the lock itself
            connection.rollback()
            connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})
            connection.commit()


def _advisory(connection: sa.Connection, on_wait: OnWait | None) -> None:
    """Takes PostgreSQL's lock by asking for it again and again.

    Who waits inside a statement has a snapshot, and CREATE INDEX CONCURRENTLY of the deployer before waits for the end
    of that: a deadlock.
    """
    told = None
    while True:
        is_ours = connection.execute(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK_KEY}).scalar()
        who = None if is_ours or on_wait is None else connection.execute(sa.text(_HOLDER), {"key": LOCK_KEY}).first()
        connection.commit()
        if is_ours:
            return
        if on_wait is not None and who is not None and who[0] != told:
            on_wait(named(*who))
            told = who[0]
        time.sleep(BETWEEN_TRIES)


@contextlib.contextmanager
def on_file(path: Path, on_wait: OnWait | None) -> Generator[None]:
    """A lock of the operating system on a file beside the database, which is there only as long as it is held."""
    descriptor = _taken(path, on_wait)
    try:
        yield
    finally:
        if descriptor is not None:
            if sys.platform != "win32":
                path.unlink(missing_ok=True)  # while it is still ours
            os.close(descriptor)


def _taken(path: Path, on_wait: OnWait | None) -> int | None:
    """The file, locked; None where nobody can write there, so that nobody migrates: the migration says it best."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return None
        try:
            if not _try(descriptor):
                if on_wait is not None:
                    on_wait(_holder(path))
                on_wait = None
                _wait(descriptor)
            if _is_still(path, descriptor):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()}, since {moment(datetime.now(UTC))}".encode())
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # whoever had it took the file away with it


def _holder(path: Path) -> str:
    """Who has locked the file, as they wrote into it; Windows lets nobody else read it."""
    with contextlib.suppress(OSError):
        return path.read_text() or "a process that has just begun"
    return "another process"


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _try(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _wait(descriptor: int) -> None:
        while not _try(descriptor):
            time.sleep(BETWEEN_TRIES)
else:
    import fcntl

    def _try(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # Ctrl-C ends it


__all__ = ["LOCK_KEY", "locked", "on_file"]
