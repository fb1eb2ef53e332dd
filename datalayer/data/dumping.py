"""`dumpdata`: the rows of models as lines of JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from datalayer._schema.table import TableSpec
from datalayer.data.lines import beginning, head, row_adapter, written_fields
from datalayer.data.order import chosen, ordered
from datalayer.databases.atomic import atomic
from datalayer.models.manager import Manager

CHUNK = 1000
"""Rows that are in memory at a time."""


def _tells_nobody(name: str, done: int, total: int) -> None: ...


class _Dumped:
    """A table whose rows are written.

    Attributes:
        rows: All of them.
        in_order: Their fields, in the order of their keys.
    """

    def __init__(self, label: str, table: TableSpec, using: str) -> None:
        model: Any = table.python_model
        self.label = label
        self.fields, self.to_json = written_fields(table), row_adapter(table).dump_json
        self.rows: Manager[Any] = Manager[Any]().__get__(None, model).using(using)  # no manager that may hide rows
        self.in_order = self.rows.order_by(*table.primary_key).values_list(*self.fields)


class _Lines:
    """The lines of one table, and who is told of them."""

    def __init__(self, file: BinaryIO, table: _Dumped, total: int, on_rows: Callable[[str, int, int], None]) -> None:
        self._file = file
        self._table = table
        self._total = total
        self._on_rows = on_rows
        self._begin = beginning(table.label)
        self._done = 0

    def write(self, row: tuple[object, ...]) -> None:
        """Writes a row."""
        fields = dict(zip(self._table.fields, row, strict=True))
        self._file.write(self._begin + self._table.to_json(fields) + b"}\n")
        self._done += 1
        if self._done % CHUNK == 0:
            self._on_rows(self._table.label, self._done, self._total)

    def end(self) -> None:
        """Tells that this was all."""
        if self._total:
            self._on_rows(self._table.label, self._done, self._total)


def _dumped(models: Sequence[str], using: str) -> list[_Dumped]:
    tables = chosen(models)
    names = {table.name: label for label, table in tables.items()}
    return [_Dumped(names[table.name], table, using) for table in ordered(tables.values())]


def dump(
    file: BinaryIO,
    models: Sequence[str] = (),
    *,
    using: str = "default",
    on_rows: Callable[[str, int, int], None] = _tells_nobody,
) -> int:
    """Writes the rows of models to a file, one a line, each model after those it refers to; gives their number.

    All rows are of one moment, whatever others write meanwhile, and only some are in memory at a time. The first line
    tells how many rows follow, so that a file that was cut is known by it.

    Args:
        file: Where to.
        models: The names of the models; all when none is named.
        using: The alias of the database.
        on_rows: Told the model, how many of its rows are written, and how many there are.

    Raises:
        QueryError: No model is called so.
        ModelError: Models refer to each other in a way that no order is right for.
    """
    tables = _dumped(models, using)
    with atomic(using, isolation="repeatable read", read_only=True):
        counts = [table.rows.count() for table in tables]
        file.write(head(sum(counts)))
        for table, count in zip(tables, counts, strict=True):
            lines = _Lines(file, table, count, on_rows)
            for row in table.in_order.iterator(CHUNK):
                lines.write(row)
            lines.end()
    return sum(counts)


async def adump(
    file: BinaryIO,
    models: Sequence[str] = (),
    *,
    using: str = "default",
    on_rows: Callable[[str, int, int], None] = _tells_nobody,
) -> int:
    """The awaiting twin of `dump`; what is written to the file blocks."""
    tables = _dumped(models, using)
    async with atomic(using, isolation="repeatable read", read_only=True):
        counts = [await table.rows.acount() for table in tables]
        file.write(head(sum(counts)))
        for table, count in zip(tables, counts, strict=True):
            lines = _Lines(file, table, count, on_rows)
            async for row in table.in_order.aiterator(CHUNK):
                lines.write(row)
            lines.end()
    return sum(counts)
