"""Short statements of an awaiting SQLite connection, on the event loop itself.

A row by its key takes SQLite some microseconds, and handing it to the connection's thread and back takes ten times as
long. So a read is begun on the event loop and stopped after a few hundred steps of SQLite's virtual machine (a step is
some hundredths of a microsecond); what is not done by then begins again on the thread, and the next time goes there at
once. A write cannot be stopped, since that would roll back its transaction. So only a write of one row, by its key or a
new one, is done here, and only inside a transaction: it takes as many steps as the table has columns and indexes, and
its disk has to do nothing before the commit, which is the thread's. Where it takes more (a trigger), the thread has it
from the second time on.
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Final

from datalayer._links.numbered import Connection, check_numbered
from datalayer._links.sqlite_thread import Worker
from datalayer._links.translate import code_of
from datalayer._plans.plan import Command, Reply, Row

STEPS: Final = 300
"""SQLite counts over all runs of a statement: one is stopped after this many steps at the least, and twice that."""

_WRITE_STEPS: Final = 3_000
"""A write that takes more belongs to the thread from then on."""

_IN_A_ROW: Final = 8
"""So many statements may follow each other before the other tasks of the event loop have their turn."""

_REMEMBERED: Final = 1_000


def key_row(cursor: sqlite3.Cursor) -> list[Row]:
    """What RETURNING would give after the insert of a row: its key, or nothing where a trigger has ignored it."""
    return [(cursor.lastrowid,)] if cursor.rowcount == 1 else []


class ShortStatements:
    """The statements of one connection that need no thread.

    Args:
        raw: The connection.
        worker: Its thread, for all other work.
        alias: The alias of the database, for error messages.
    """

    __slots__ = ("_alias", "_in_a_row", "_is_off", "_long", "_questions", "_raw", "_worker")

    def __init__(self, raw: Connection, worker: Worker, alias: str) -> None:
        self._raw = raw
        self._alias = alias
        self._worker = worker
        self._long: set[str] = set()
        self._is_off = False
        self._questions = 0
        self._in_a_row = 0

    async def execute(self, command: Command) -> Reply | None:
        """The reply; None where the thread has to work on the statement.

        Raises:
            sqlite3.Error: What SQLite says of it.
        """
        sql = command.sql
        is_write = command.is_one_row and self._raw.in_transaction
        if self._is_off or not (is_write or sql.startswith("SELECT")) or sql in self._long or not self._worker.is_idle:
            self._in_a_row = 0
            return None
        self._in_a_row += 1
        if self._in_a_row > _IN_A_ROW:
            self._in_a_row = 0
            await asyncio.sleep(0)
        return self._tried(command, is_write)

    def _tried(self, command: Command, is_write: bool) -> Reply | None:
        self._questions = 0
        raw = self._raw
        if command.returns_key and command.table is not None and command.table.name not in raw.numbered:
            check_numbered(raw, command.table, self._alias)
        if is_write:
            raw.set_progress_handler(self._count, _WRITE_STEPS)
        else:
            raw.set_progress_handler(self._is_long, STEPS)
        try:
            cursor = raw.execute(command.sql, command.params)
            reply = Reply(key_row(cursor) if command.returns_key else cursor.fetchall(), cursor.rowcount)
        except sqlite3.OperationalError as error:
            code = code_of(error)
            if code == "SQLITE_INTERRUPT":
                self._remember(command.sql)
            elif code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                self._is_off = True  # others keep readers out of this file: waiting is for the thread
            else:
                raise
            return None
        finally:
            self._worker.listen(raw)
        if is_write and self._questions > 1:
            self._remember(command.sql)
        return reply

    def _remember(self, sql: str) -> None:
        """From now on the thread has that statement."""
        if len(self._long) >= _REMEMBERED:
            self._long.clear()
        self._long.add(sql)

    def _is_long(self) -> bool:
        self._questions += 1
        return self._questions > 1

    def _count(self) -> None:
        self._questions += 1
