"""`dumpdata`: the rows of models as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from datalayer._schema.table import TableSpec
from datalayer.data.lines import head, row_adapter, written_fields
from datalayer.data.order import chosen, ordered
from datalayer.databases.atomic import atomic
from datalayer.models.manager import Manager

CHUNK = 1000
"""Rows that are in memory at a time."""


def _tells_nobody(name: str, done: int, total: int) -> None: ...


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
    tables = chosen(models)
    names = {table.name: label for label, table in tables.items()}
    order = ordered(tables.values())
    with atomic(using, isolation="repeatable read", read_only=True):
        counts = [int(_rows(table, using).count()) for table in order]
        file.write(head(sum(counts)))
        for table, count in zip(order, counts, strict=True):
            _dump_table(file, table, names[table.name], using, count, on_rows)
    return sum(counts)


def _rows(table: TableSpec, using: str) -> Manager[Any]:
    model: Any = table.python_model
    return Manager[Any]().__get__(None, model).using(using)  # not one of the model's own, which may hide rows


def _dump_table(
    file: BinaryIO, table: TableSpec, label: str, using: str, total: int, on_rows: Callable[[str, int, int], None]
) -> None:
    rows = _rows(table, using)
    fields, dumped = written_fields(table), row_adapter(table).dump_json
    begin = b'{"model":' + json.dumps(label).encode() + b',"fields":'
    done = 0
    for row in rows.order_by(*table.primary_key).values_list(*fields).iterator(CHUNK):
        file.write(begin + dumped(dict(zip(fields, row, strict=True))) + b"}\n")
        done += 1
        if done % CHUNK == 0:
            on_rows(label, done, total)
    if total:
        on_rows(label, done, total)
