"""`dumpdata`: the rows of models as lines of JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from datalayer._schema.table import TableSpec
from datalayer.data.lines import beginning, head, row_adapter, written_fields
from datalayer.data.natural import Reference, natural_key, references
from datalayer.data.order import chosen, late_fields, ordered
from datalayer.databases.atomic import atomic
from datalayer.errors import QueryError
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

    def __init__(self, label: str, table: TableSpec, using: str, natural: dict[str, Reference], left_out: bool) -> None:
        model: Any = table.python_model
        self.label = label
        self.fields = [name for name in written_fields(table) if not (left_out and name in table.primary_key)]
        self.to_json = row_adapter(table).dump_json
        self.rows: Manager[Any] = Manager[Any]().__get__(None, model).using(using)  # no manager that may hide rows
        columns: list[str] = []
        self._natural: list[tuple[str, int, int]] = []
        for name in self.fields:
            reference = natural.get(name)
            begin = len(columns)
            columns += [name] if reference is None else [f"{reference.relation}__{part}" for part in reference.parts]
            self._natural.append((name, begin, 0 if reference is None else len(columns)))
        self._has_natural = bool(natural)
        self.in_order = self.rows.order_by(*table.primary_key).values_list(*columns)

    def values(self, row: tuple[object, ...]) -> dict[str, object]:
        """The fields of a row; a natural key is a tuple, and None where nothing is referred to."""
        if not self._has_natural:
            return dict(zip(self.fields, row, strict=True))
        found: dict[str, object] = {}
        for name, begin, end in self._natural:
            part = row[begin:end]
            found[name] = (None if None in part else part) if end else row[begin]
        return found


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
        fields = self._table.values(row)
        self._file.write(self._begin + self._table.to_json(fields) + b"}\n")
        self._done += 1
        if self._done % CHUNK == 0:
            self._on_rows(self._table.label, self._done, self._total)

    def end(self) -> None:
        """Tells that this was all."""
        if self._total:
            self._on_rows(self._table.label, self._done, self._total)


def _dumped(
    models: Sequence[str], but: Sequence[str], using: str, natural_foreign: bool, natural_primary: bool
) -> list[_Dumped]:
    if natural_primary and not natural_foreign:
        raise QueryError(
            "natural_primary leaves keys out that others refer to; give natural_foreign too, so that they refer to the "
            "natural ones"
        )
    tables = chosen(models, but)
    names = {table.name: label for label, table in tables.items()}
    late = late_fields(tables.values())

    def made(table: TableSpec) -> _Dumped:
        natural = references(table) if natural_foreign else {}
        left_out = natural_primary and bool(natural_key(table)) and table.name not in late and _is_numbered(table)
        return _Dumped(names[table.name], table, using, natural, left_out)

    return [made(table) for table in ordered(tables.values())]


def _is_numbered(table: TableSpec) -> bool:
    """Whether the database makes the primary key of a new row."""
    keys = [table.fields[name] for name in table.primary_key]
    return all(key.is_identity or key.db_default is not None for key in keys)


def dump(
    file: BinaryIO,
    models: Sequence[str] = (),
    *,
    but: Sequence[str] = (),
    using: str = "default",
    natural_foreign: bool = False,
    natural_primary: bool = False,
    on_rows: Callable[[str, int, int], None] = _tells_nobody,
) -> int:
    """Writes the rows of models to a file, one a line, each model after those it refers to; gives their number.

    All rows are of one moment, whatever others write meanwhile, and only some are in memory at a time. The first line
    tells how many rows follow, so that a file that was cut is known by it.

    Args:
        file: Where to.
        models: The names of the models; all when none is named.
        but: The names of models that are left out, with the tables that join them to others.
        using: The alias of the database.
        natural_foreign: References are written as the `Meta.natural_key` of the row they lead to, where it has one.
        natural_primary: Rows that have one are written without the key that the database numbers.
        on_rows: Told the model, how many of its rows are written, and how many there are.

    Raises:
        QueryError: No model is called so; or keys that are referred to would be left out.
        ModelError: Models refer to each other in a way that no order is right for.
    """
    tables = _dumped(models, but, using, natural_foreign, natural_primary)
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
    but: Sequence[str] = (),
    using: str = "default",
    natural_foreign: bool = False,
    natural_primary: bool = False,
    on_rows: Callable[[str, int, int], None] = _tells_nobody,
) -> int:
    """The awaiting twin of `dump`; what is written to the file blocks."""
    tables = _dumped(models, but, using, natural_foreign, natural_primary)
    async with atomic(using, isolation="repeatable read", read_only=True):
        counts = [await table.rows.acount() for table in tables]
        file.write(head(sum(counts)))
        for table, count in zip(tables, counts, strict=True):
            lines = _Lines(file, table, count, on_rows)
            async for row in table.in_order.aiterator(CHUNK):
                lines.write(row)
            lines.end()
    return sum(counts)
