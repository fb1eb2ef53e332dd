"""Statements that the server has prepared already, run again straight through libpq.

psycopg's cursor finds a prepared statement again in four steps of Python and chooses the dumpers and loaders of its
values anew whenever the statement is another one than before: half of what a get by key costs the client. Here they are
chosen once for each statement. Nothing is prepared, evicted or forgotten here: a statement goes through a cursor first,
and psycopg's own register says each time whether the server still has it.

The register and the query of a cursor are private to psycopg, and named in this file only; with a release of psycopg
that calls them otherwise, every statement goes through a cursor.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import adapt, errors
from psycopg.pq import ExecStatus, Format, PipelineStatus
from psycopg.types.numeric import Int8

from datalayer._plans.plan import CHUNK, Command, Reply, Row

if TYPE_CHECKING:
    from collections import OrderedDict
    from collections.abc import Sequence

    from psycopg.abc import Transformer
    from psycopg.adapt import PyFormat
    from psycopg.pq.abc import PGresult

MOST: Final = 512
"""Statements that are remembered, and that psycopg keeps prepared."""

_MOST_NAMES: Final = 16
"""Names of one statement whose loaders are remembered: one that is evicted and prepared again has a new name."""

_BIGGEST: Final = 2**63
_BINARY: Final = Format.BINARY
_NO_PIPELINE: Final = PipelineStatus.OFF
_TUPLES: Final = ExecStatus.TUPLES_OK
_DONE: Final = ExecStatus.COMMAND_OK


_PLAIN: Final = {sql: sql.encode() for sql in ("BEGIN", "COMMIT")}
"""What is sent as it is: nothing to prepare, no value, no row, and nothing that psycopg's register must hear of."""


class _Known:
    """A statement that a cursor has run.

    Attributes:
        query: Its text as the server has it.
        formats: How each value is to be sent.
        dumper: Turns values into what is sent.
        types: Those of the values that it was prepared for last as `widened`, with the fewest that are not known.
        loaders: Turns rows into values; by the name under which the server has the statement, since what comes back
            is certain as long as that is the same.
    """

    __slots__ = ("dumper", "formats", "loaders", "query", "types")

    def __init__(self, query: bytes, formats: list[PyFormat], dumper: Transformer) -> None:
        self.query = query
        self.formats = formats
        self.dumper = dumper
        self.types: tuple[int, ...] = ()
        self.loaders: dict[bytes, Transformer] = {}

    def types_for(self, values: Sequence[object]) -> tuple[int, ...]:
        """The types of values that were dumped last: those it was prepared for, where they differ by NULLs alone."""
        types, before = self.dumper.types or (), self.types
        if len(types) == len(before) and all(map(_fits, values, types, before)):
            return before
        return types


def _fits(value: object, type: int, before: int) -> bool:
    return value is None or type == before


class Statements:
    """The statements of one connection that can be run again."""

    __slots__ = ("_known", "_loaders", "_name", "_names", "_pgconn", "_raw")

    def __init__(self, raw: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
        self._raw = raw
        self._pgconn = raw.pgconn
        self._names: OrderedDict[Any, bytes] | None = getattr(getattr(raw, "_prepared", None), "_names", None)
        self._known: dict[str, _Known] = {}
        self._name = b""  # of what was sent last
        self._loaders: dict[bytes, Transformer] = {}  # of what was sent last

    def note(self, command: Command, cursor: psycopg.Cursor[Any] | psycopg.AsyncCursor[Any]) -> None:
        """Remembers a statement that a cursor has prepared and run."""
        if self._names is None:
            return
        known = self._known.get(command.sql)
        if known is not None:  # other types of values, or the server has it under another name now
            if command.written:
                known.dumper.dump_sequence(self.widened(command), known.formats)
                types, before = known.dumper.types or (), known.types
                if (known.query, before) not in self._names or types.count(0) <= before.count(0):
                    known.types = types
            return
        convert = getattr(cursor, "_convert_query", None)
        query = None if convert is None else convert(command.sql, command.params)
        formats: list[PyFormat] | None = getattr(query, "_want_formats", None)
        if query is None or formats is None:
            return
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[command.sql] = _Known(query.query, formats, adapt.Transformer(self._raw))

    def send(self, command: Command) -> bool:
        """Sends a statement that is prepared for values of these types; False when a cursor has to run it."""
        known = self._known.get(command.sql)
        if known is None:
            return command.sql in _PLAIN and self._send_plain(_PLAIN[command.sql])
        params = command.params
        pgconn = self._pgconn
        if len(params) != len(known.formats) or pgconn.pipeline_status != _NO_PIPELINE:
            return False
        dumper, names = known.dumper, self._names
        values = dumper.dump_sequence(params, known.formats)
        key = known.query, dumper.types or ()
        name = None if names is None else names.get(key)
        if names is None or name is None:
            return names is not None and bool(command.written) and self._send_widened(command, known, names)
        names.move_to_end(key)  # the one not used for longest is evicted first
        self._name, self._loaders = name, known.loaders
        pgconn.send_query_prepared(name, values, dumper.formats, _BINARY)
        return True

    def _send_widened(self, command: Command, known: _Known, names: OrderedDict[Any, bytes]) -> bool:
        values = known.dumper.dump_sequence(self.widened(command), known.formats)
        key = known.query, known.types_for(values)
        name = names.get(key)
        if name is None:
            return False
        names.move_to_end(key)
        self._name, self._loaders = name, known.loaders
        self._pgconn.send_query_prepared(name, values, known.dumper.formats, _BINARY)
        return True

    def widened(self, command: Command) -> Sequence[object]:
        """The values of a statement; where it was prepared for others before, whole numbers for columns as `bigint`.

        psycopg sends a whole number in as few bytes as it has room in, and NULL without a type; and the types of the
        values are part of what is prepared. The server would have one INSERT of five numbers up to a thousand times.
        """
        if not command.written or command.sql not in self._known:
            return command.params
        values = list(command.params)
        for _, place in command.written:
            value = values[place]
            if type(value) is int and -_BIGGEST <= value < _BIGGEST:
                values[place] = Int8(value)
        return values

    def _send_plain(self, query: bytes) -> bool:
        if self._pgconn.pipeline_status != _NO_PIPELINE:
            return False
        self._pgconn.send_query(query)
        return True

    def reply(self, results: list[PGresult], in_chunks: bool = False) -> Reply:
        """What the server has answered to what was sent last.

        Args:
            results: Of libpq.
            in_chunks: As in `Command`.

        Raises:
            psycopg.Error: It has refused.
        """
        if not results:
            raise psycopg.InternalError("got no result from the query")
        result = results[-1]  # outside of a transaction a deferred constraint is refused after the rows have come
        status = result.status
        if status == _TUPLES:
            loader = self._loaders.get(self._name)
            if loader is None:
                if len(self._loaders) >= _MOST_NAMES:
                    self._loaders.clear()
                loader = self._loaders[self._name] = adapt.Transformer(self._raw)
                loader.set_pgresult(result)
            else:
                loader.set_pgresult(result, set_loaders=False)
            count = result.ntuples
            if in_chunks and count > CHUNK:
                reply = Reply([], count)
                reply.chunks = _chunks(loader, count)
                # It reads its result later: what is sent until then has a loader of its own.
                del self._loaders[self._name]
                return reply
            rows: list[Row] = loader.load_rows(0, count, tuple)
            loader.set_pgresult(None, set_loaders=False)  # an idle connection holds no rows
            return Reply(rows, count)
        if status == _DONE:
            changed = result.command_tuples
            return Reply([], -1 if changed is None else changed)
        raise errors.error_from_result(result, encoding=self._raw.info.encoding)


def _chunks(loader: Transformer, count: int) -> Generator[list[Row], None, None]:
    for start in range(0, count, CHUNK):
        yield loader.load_rows(start, min(start + CHUNK, count), tuple)
