"""Short statements of an awaiting SQLite connection, on the event loop itself.

A row by its key takes SQLite some microseconds, and handing it to the connection's thread and back takes the loop ten
times as long; a page of rows at an offset takes about as long as the hand-over. So a read is begun on the event loop
and stopped when it takes longer than `LONG`; then it begins again on the thread, and the next times go there at once.
A write cannot be stopped, since that would roll back its transaction. So only a write of one row by its key, or of a
few new ones, is done here, and only inside a transaction: it takes as many steps as its rows have columns and indexes,
and its disk has to do nothing before the commit, which is the thread's. Where it takes longer (a trigger), the thread
has it the next times. So it is with a read that SQLite does not let be stopped (it counts a whole table in one step).

A machine that is busy makes everything late for once: after some times on the thread a statement is tried here again,
after the fewer times the less often it was late.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from time import perf_counter
from typing import Final

from datalayer._links.numbered import Connection, check_numbered
from datalayer._links.sqlite_thread import Worker
from datalayer._links.translate import code_of, from_sqlite
from datalayer._plans.plan import Command, Reply, Row
from datalayer.late import asyncio

LONG: Final = 0.000_2
"""A statement that takes longer, in seconds, belongs to the thread: the hand-over takes about a quarter of that."""

TURN: Final = 0.000_2
"""After so many seconds of statements the other tasks of the event loop have their turn."""

_REST: Final = 0.000_015
"""What a statement takes besides SQLite, about: of that no clock is read."""

_STEPS: Final = 5_000
"""After so many steps of SQLite's virtual machine, some hundredths of a millisecond, a read is looked at."""

_REMEMBERED: Final = 1_000
_MOST_TIMES: Final = 1_000

RAISED_BY_SQLITE: Final[tuple[type[Exception], ...]] = (sqlite3.Error, sqlite3.Warning, OverflowError, ValueError)


def key_row(cursor: sqlite3.Cursor) -> list[Row]:
    """What RETURNING would give after the insert of a row: its key, or nothing where a trigger has ignored it."""
    return [(cursor.lastrowid,)] if cursor.rowcount == 1 else []


class LoopTime:
    """What a pool of connections takes of the event loop's time, and which statements take too much of it.

    Attributes:
        taken: The seconds since the other tasks had their turn.
        late: The statements that were late: how often, and how many times more they go to the thread at once.
    """

    __slots__ = ("late", "taken")

    def __init__(self) -> None:
        self.taken = 0.0
        self.late: dict[str, list[int]] = {}

    @property
    def is_over(self) -> bool:
        """Whether others should have their turn before the next connection is lent."""
        return self.taken >= TURN

    async def pass_on(self) -> None:
        """Lets the other tasks have their turn."""
        self.taken = 0.0
        await asyncio.sleep(0)

    def hand_over(self, sql: str) -> None:
        """The thread has a statement, and the other tasks their turn."""
        self.taken = 0.0
        if sql in self.late:
            self.late[sql][1] -= 1

    def note_late(self, sql: str, *, is_stopped: bool) -> None:
        """Remembers that a statement was late on the loop; one that was stopped has the thread for longer."""
        if len(self.late) >= _REMEMBERED and sql not in self.late:
            self.late.clear()
        found = self.late.setdefault(sql, [0, 0])
        found[1] = min(4 ** (found[0] + is_stopped), _MOST_TIMES)
        found[0] += 1

    def note_in_time(self, sql: str) -> None:
        """Remembers that a statement that was late before was not late now."""
        found = self.late[sql]
        found[0] -= 1
        if not found[0]:
            del self.late[sql]


class _Clock:
    """When the running read is late; knows no connection, since one that knew it would keep it alive."""

    __slots__ = ("until",)

    def __init__(self) -> None:
        self.until = math.inf

    def is_late(self) -> bool:
        return perf_counter() > self.until


class ShortStatements:
    """The statements of one connection that need no thread.

    Args:
        raw: The connection.
        worker: Its thread, for all other work.
        alias: The alias of the database, for error messages.
        time: Shared with the other connections of a pool.
    """

    __slots__ = ("_alias", "_clock", "_is_late", "_is_off", "_raw", "_worker", "time")

    def __init__(self, raw: Connection, worker: Worker, alias: str, time: LoopTime) -> None:
        self._raw = raw
        self._alias = alias
        self._worker = worker
        self._is_off = False
        self._clock = clock = _Clock()
        self._is_late: Callable[[], bool] = clock.is_late
        self.time = time

    def at_once(self, command: Command) -> Reply | None:
        """The reply; None where the statement is the thread's, or others have their turn before it.

        Raises:
            DatabaseError: What SQLite says of it.
        """
        worker, time = self._worker, self.time
        if type(command) is not Command or worker.pending or self._is_off:
            return None
        sql, raw = command.sql, self._raw
        is_write, began = False, 0.0
        try:
            if command.is_small and raw.in_transaction:
                if time.taken >= TURN:
                    return None
                is_write = True
            elif sql.startswith("SELECT"):
                # One statement on a connection: others had their turn before it was lent, since a reader that is lent
                # meanwhile is missing. But one after the other may run on the same.
                if time.taken >= 2 * TURN:
                    return None
            else:
                return None
            if sql in time.late and time.late[sql][1] > 0:
                return None
            began = perf_counter()
            if not is_write:
                self._clock.until = began + LONG
            if worker.heeded is not self._is_late:
                worker.heed(raw, self._is_late, _STEPS)
            if command.returns_key and command.table is not None and command.table.name not in raw.numbered:
                check_numbered(raw, command.table, self._alias)
            cursor = raw.execute(sql, command.params)
            reply = Reply(key_row(cursor) if command.returns_key else cursor.fetchall(), cursor.rowcount)
        except sqlite3.OperationalError as error:
            code = code_of(error)
            time.taken += perf_counter() - began
            if code == "SQLITE_INTERRUPT" and not is_write:
                time.note_late(sql, is_stopped=True)
            elif code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                self._is_off = True  # others keep readers out of this file: waiting is for the thread
            else:
                raise from_sqlite(error, alias=self._alias, command=command) from error
            return None
        except RAISED_BY_SQLITE as error:
            raise from_sqlite(error, alias=self._alias, command=command) from error
        finally:
            self._clock.until = math.inf  # whoever runs something here by hand is not late
        took = perf_counter() - began
        time.taken += took + _REST
        if took > LONG:
            time.note_late(sql, is_stopped=False)
        elif sql in time.late:
            time.note_in_time(sql)
        return reply
