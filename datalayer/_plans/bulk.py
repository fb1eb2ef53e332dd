"""Writing many rows in as few statements as the backend allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from datalayer._compile.compiler import Compiler
from datalayer._plans import transaction
from datalayer._plans.plan import Plan, Row
from datalayer._plans.read import converted
from datalayer._plans.write import numbered_on, writing
from datalayer._query.change import Insert
from datalayer._schema.table import TableSpec

T = TypeVar("T")

BINDS: Final = {"sqlite": 32_766, "postgresql": 65_535}
"""Placeholders one statement may have."""

COLUMN_ROWS: Final = 10_000
"""Rows of a statement that is given whole columns (PostgreSQL's `unnest`): its text is the same for any number."""

ROWS: Final = 1_000
"""Rows a statement of our own choosing has: longer ones are hardly faster and are compiled for every length."""


def size(compiler: Compiler, width: int, batch_size: int | None) -> int:
    """How many rows go into one statement."""
    return max(1, min(batch_size or ROWS, BINDS[compiler.backend] // max(1, width)))


def chunks(rows: Sequence[T], length: int) -> Iterator[Sequence[T]]:
    """The rows in pieces."""
    for start in range(0, len(rows), length):
        yield rows[start : start + length]


@writing
def create(
    compiler: Compiler,
    table: TableSpec,
    fields: tuple[str, ...],
    rows: Sequence[Sequence[object]],
    returning: tuple[str, ...] = (),
    *,
    conflict: tuple[str, ...] | None = None,
    update: tuple[str, ...] = (),
    batch_size: int | None = None,
    depth: int = 0,
) -> Plan[list[Row]]:
    """Inserts rows that set the same fields; gives the fields to read back, in the order of the rows.

    With `conflict`, rows that were left alone give nothing back.

    Args:
        compiler: For the backend at hand.
        table: Where to.
        fields: What every row sets.
        rows: The values.
        returning: What to read back.
        conflict: As in `Insert`.
        update: As in `Insert`.
        batch_size: The longest statement, in rows.
        depth: How many transactions and savepoints are open already.
    """
    if not rows:
        return []
    insert = Insert(table, fields, returning, conflict, update)
    by_column = compiler.backend == "postgresql" and bool(fields)
    length = (batch_size or COLUMN_ROWS) if by_column else size(compiler, len(fields), batch_size) if fields else 1
    pieces = list(chunks(rows, length))

    def steps() -> Plan[list[Row]]:
        found: list[Row] = []
        for piece in pieces:
            if by_column:
                prepared = compiler.insert_columns(insert)
                reply = yield prepared.command([list(column) for column in zip(*piece, strict=True)])
            else:
                prepared = compiler.insert(insert, len(piece))
                reply = yield prepared.command([value for row in piece for value in row])
            found.extend(converted(prepared.columns, reply.rows))
        yield from numbered_on(compiler, table, fields, rows)
        return found

    if len(pieces) == 1:
        return (yield from steps())
    return (yield from transaction.nested(compiler.backend, steps, depth=depth))


@writing
def update(
    compiler: Compiler,
    table: TableSpec,
    fields: tuple[str, ...],
    rows: Sequence[Sequence[object]],
    *,
    batch_size: int | None = None,
    depth: int = 0,
) -> Plan[int]:
    """Writes other values to each of many rows; gives the number of rows found.

    Args:
        compiler: For the backend at hand.
        table: Where to.
        fields: The fields to write.
        rows: For each row: the primary key's values, then the values of `fields`.
        batch_size: The longest statement, in rows.
        depth: How many transactions and savepoints are open already.
    """
    if not rows or not fields:
        return 0
    change = Insert(table, (*table.primary_key, *fields))
    pieces = list(chunks(rows, size(compiler, len(change.fields), batch_size)))

    def steps() -> Plan[int]:
        total = 0
        for piece in pieces:
            reply = yield compiler.update_many(change, len(piece)).command([value for row in piece for value in row])
            total += reply.count
        return total

    if len(pieces) == 1:
        return (yield from steps())
    return (yield from transaction.nested(compiler.backend, steps, depth=depth))
