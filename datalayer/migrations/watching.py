"""Looks on from a thread of its own while a statement takes long, so that somebody can be told.

The thread only looks: it sends nothing over the connection of the migration. PostgreSQL is asked how far it is and whom
it waits for, over another connection that is opened when a statement has taken long.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from datalayer.errors import ConnectionFailed
from datalayer.migrations.sessions import PARTS, named

BETWEEN_LOOKS = 1.0  # seconds; a statement that takes less is not told
_PROGRESS = """
SELECT phase, CASE WHEN phase LIKE 'waiting%' THEN lockers_done WHEN tuples_total > 0 THEN tuples_done
ELSE blocks_done END, CASE WHEN phase LIKE 'waiting%' THEN lockers_total WHEN tuples_total > 0 THEN tuples_total
ELSE blocks_total END FROM pg_stat_progress_create_index WHERE pid = :pid
UNION ALL SELECT phase, heap_blks_scanned, heap_blks_total FROM pg_stat_progress_cluster WHERE pid = :pid
UNION ALL SELECT phase, heap_blks_scanned, heap_blks_total FROM pg_stat_progress_vacuum WHERE pid = :pid
"""
_BLOCKER = f"""
SELECT {PARTS}, coalesce(a.xact_start, a.state_change), a.state FROM pg_stat_activity a
WHERE a.pid = ANY(pg_blocking_pids(:pid)) ORDER BY a.xact_start LIMIT 1
"""


@dataclass(frozen=True)
class Lasting:
    """A statement that takes long.

    Attributes:
        text: The statement, on one line.
        seconds: How long it has taken so far.
        phase: How far PostgreSQL says it is; empty where it says nothing.
        waits_for: The session of PostgreSQL that it waits for, in words; empty where there is none.
    """

    text: str
    seconds: float
    phase: str = ""
    waits_for: str = ""


OnStatement: TypeAlias = Callable[[Lasting | None], None]
"""Told of a statement that takes long, again and again until it ends; then once with None. Called in another thread."""


@contextlib.contextmanager
def watched(
    connection: sa.Connection,
    connect: Callable[[], AbstractContextManager[sa.Connection]],
    on_statement: OnStatement | None,
) -> Generator[None]:
    """Tells of the statements of a connection that take long, until the end.

    Args:
        connection: The connection.
        connect: Opens another one to the same database, where that is PostgreSQL.
        on_statement: Who is told.
    """
    if on_statement is None:
        yield
        return
    watch = _Watch(connection, connect, on_statement)
    event.listen(connection, "before_cursor_execute", watch.begins)
    event.listen(connection, "after_cursor_execute", watch.ends)
    thread = threading.Thread(target=watch.look, name="datalayer-migrate-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        watch.over.set()
        thread.join()
        event.remove(connection, "before_cursor_execute", watch.begins)
        event.remove(connection, "after_cursor_execute", watch.ends)


class _Watch:
    def __init__(
        self,
        connection: sa.Connection,
        connect: Callable[[], AbstractContextManager[sa.Connection]],
        on_statement: OnStatement,
    ) -> None:
        driver: Any = connection.connection.driver_connection
        self.pid = driver.info.backend_pid if connection.dialect.name == "postgresql" else None
        self.connect = connect
        self.on_statement = on_statement
        self.over = threading.Event()
        self.running: tuple[str, float] | None = None

    def begins(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        self.running = (statement, time.monotonic())

    def ends(self, *rest: Any) -> None:
        self.running = None

    def look(self) -> None:
        """What the thread does."""
        is_told = False
        with contextlib.ExitStack() as opened:
            other: sa.Connection | None = None
            while not self.over.wait(BETWEEN_LOOKS):
                running = self.running
                seconds = 0.0 if running is None else time.monotonic() - running[1]
                if running is None or seconds < BETWEEN_LOOKS:
                    if is_told:
                        self.on_statement(None)
                    is_told = False
                    continue
                if other is None and self.pid is not None:
                    other = self._opened(opened)
                asked = self._asked(other)
                if self.running is running:  # else it is another one that was asked about
                    self.on_statement(Lasting(" ".join(running[0].split()), seconds, *asked))
                    is_told = True
        if is_told:
            self.on_statement(None)

    def _opened(self, opened: contextlib.ExitStack) -> sa.Connection | None:
        try:
            return opened.enter_context(self.connect()).execution_options(isolation_level="AUTOCOMMIT")
        except ConnectionFailed:  # there may be no place for one more
            self.pid = None
            return None

    def _asked(self, other: sa.Connection | None) -> tuple[str, str]:
        """How far PostgreSQL is, and whom it waits for."""
        if other is None or self.pid is None:
            return "", ""
        try:
            found = other.execute(sa.text(_PROGRESS), {"pid": self.pid}).first()
            blocker = other.execute(sa.text(_BLOCKER), {"pid": self.pid}).first()
        except DBAPIError:  # a server that does not know these views, or is going down: the migration says it itself
            self.pid = None
            return "", ""
        phase = "" if found is None else str(found[0])
        if found is not None and found[2]:
            phase += f", {100 * found[1] // found[2]} %"
        return phase, "" if blocker is None else named(*blocker)


__all__ = ["Lasting", "OnStatement", "watched"]
