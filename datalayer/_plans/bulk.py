"""Writing many rows in as few statements as the backend allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final, TypeVar

from datalayer._compile.compiler import Compiler
from datalayer._compile.prepared import Prepared
from datalayer._plans import transaction
from datalayer._plans.plan import Command, Plan, Row
from datalayer._plans.violations import explained
from datalayer._plans.write import numbered_on, writing
from datalayer._query.change import Given, Insert, OnConflict, UpdateMany
from datalayer._query.expression import Expression
from datalayer._schema.table import TableSpec
from datalayer.errors import DatabaseError, ForeignKeyViolation, ProgrammingError, UniqueViolation

T = TypeVar("T")

BINDS: Final = {"sqlite": 32_766, "postgresql": 65_535}
"""Placeholders one statement may have."""

COLUMN_ROWS: Final = 10_000
"""Rows of a statement that is given whole columns (PostgreSQL's `unnest`): its text is the same for any number."""

ROWS: Final = 1_000
"""Rows a statement of our own choosing has: longer ones are hardly faster and are compiled for every length."""


def size(compiler: Compiler, width: int, batch_size: int | None, others: int = 0) -> int:
    """How many rows go into one statement.

    Args:
        compiler: For the backend at hand.
        width: Values of a row.
        batch_size: The most the caller wants.
        others: Values of the statement that belong to no row.
    """
    return max(1, min(batch_size or ROWS, (BINDS[compiler.backend] - others) // max(1, width)))


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
    conflict: OnConflict | None = None,
    is_telling: bool = False,
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
        conflict: What to do about rows in the way; None where they are an error.
        is_telling: Whether each row that comes back ends with whether it is new; `returning` then begins with the
            primary key.
        batch_size: The longest statement, in rows.
        depth: How many transactions and savepoints are open already.
    """
    if not rows:
        return []
    by_column = compiler.backend == "postgresql" and bool(fields)
    looks = is_telling and compiler.backend == "sqlite"
    insert = Insert(table, fields, returning, conflict, is_telling and not looks)
    others: tuple[object, ...] = () if conflict is None else conflict.values
    length = (batch_size or COLUMN_ROWS) if by_column else size(compiler, len(fields), batch_size, len(others))
    pieces = list(chunks(rows, length if fields else 1))

    def steps() -> Plan[list[Row]]:
        found: list[Row] = []
        for piece in pieces:
            known = (yield from _in_the_way(compiler, insert, piece)) if looks else set[Row]()
            prepared, values = _inserting(compiler, insert, piece, by_column)
            try:
                reply = yield prepared.command((*values, *others) if others else values)
            except (ForeignKeyViolation, UniqueViolation) as error:
                return (yield from explained(compiler, table, fields, piece, error))
            if len(reply.rows) != len(piece) and returning and conflict is None:
                raise DatabaseError(
                    f"{len(piece)} new rows of {table.model} were written and {len(reply.rows)} kept: a trigger or "
                    f"rule of {table.name!r} has ignored the others, and which ones is not told; let it keep the rows, "
                    "or raise an error",
                    model=table.model,
                    table=table.name,
                )
            made = prepared.read(reply.rows)
            _check_numbered(compiler, table, returning, made)
            width = len(table.primary_key)
            found.extend([(*row, row[:width] not in known) for row in made] if looks else made)
        yield from numbered_on(compiler, table, fields, rows)
        return found

    if len(pieces) == 1 and not looks:
        return (yield from steps())
    return (yield from transaction.nested(compiler.backend, steps, depth=depth))


def _check_numbered(compiler: Compiler, table: TableSpec, returning: Sequence[str], rows: Sequence[Row]) -> None:
    """Refuses rows without a key, as SQLite has them in a table whose key it does not number.

    Raises:
        ProgrammingError: The first has none.
    """
    if compiler.backend == "sqlite" and rows and table.primary_key[:1] == tuple(returning[:1]) and rows[0][0] is None:
        raise ProgrammingError(
            f"the new rows of table {table.name!r} have no key: SQLite numbers rows by a column that is INTEGER "
            f"PRIMARY KEY alone, and {table.primary_key[0]!r} is none; give each row its key, or migrate the column",
            model=table.model,
            table=table.name,
            columns=(table.fields[table.primary_key[0]].column,),
        )


def _inserting(
    compiler: Compiler, insert: Insert, rows: Sequence[Sequence[object]], by_column: bool
) -> tuple[Prepared, list[Any]]:
    if by_column:
        return compiler.insert_columns(insert), [list(column) for column in zip(*rows, strict=True)]
    return compiler.insert(insert, len(rows)), list(chain.from_iterable(rows))


def _in_the_way(compiler: Compiler, insert: Insert, rows: Sequence[Sequence[object]]) -> Plan[set[Row]]:
    """The primary keys of the rows that the new ones meet; SQLite cannot tell afterwards which were new."""
    assert insert.conflict is not None
    target = insert.conflict.fields
    if not set(target) <= set(insert.fields):
        return set()  # the database numbers it: nothing can be in the way
    places = [insert.fields.index(name) for name in target]
    prepared = compiler.in_the_way(insert, len(rows))
    reply = yield prepared.command([row[place] for row in rows for place in places])
    return set(prepared.read(reply.rows))


@writing
def update(
    compiler: Compiler,
    table: TableSpec,
    fields: tuple[str, ...],
    rows: Sequence[Sequence[object]],
    *,
    assignments: tuple[tuple[str, Expression], ...] | None = None,
    returning: tuple[str, ...] = (),
    batch_size: int | None = None,
    depth: int = 0,
) -> Plan[tuple[int, list[Row]]]:
    """Writes other values to each of many rows; gives the number of rows found and the fields to read back.

    Args:
        compiler: For the backend at hand.
        table: Where to.
        fields: The fields each row brings a value of, besides its primary key.
        rows: For each row: the values of `fields`, then those of the primary key.
        assignments: What is written; the values the rows brought when not given.
        returning: What to read back, in no certain order.
        batch_size: The longest statement, in rows.
        depth: How many transactions and savepoints are open already.
    """
    if assignments is None:
        assignments = tuple([(name, Given(name, table.fields[name].type)) for name in fields])
    if not rows or not assignments:
        return 0, []
    change = UpdateMany(table, (*fields, *table.primary_key), assignments, returning)
    by_column = compiler.backend == "postgresql"
    repeats = not by_column and change.is_row_by_row
    others = change.values
    if repeats:
        length = batch_size or ROWS
    elif by_column:
        length = batch_size or COLUMN_ROWS
    else:
        length = size(compiler, len(change.fields), batch_size, len(others))
    pieces = list(chunks(rows, length))

    def steps() -> Plan[tuple[int, list[Row]]]:
        total, found = 0, list[Row]()
        for piece in pieces:
            prepared = compiler.update_many(change, 0 if by_column or repeats else len(piece))
            if repeats:
                command: Command = prepared.repeated(piece)
            elif by_column:
                command = prepared.command([*[list(column) for column in zip(*piece, strict=True)], *others])
            else:
                command = prepared.command([*chain.from_iterable(piece), *others])
            try:
                reply = yield command
            except (ForeignKeyViolation, UniqueViolation) as error:
                return (yield from explained(compiler, table, change.fields, piece, error))
            total += len(reply.rows) if returning else reply.count
            found.extend(prepared.read(reply.rows))
        return total, found

    if len(pieces) == 1 and (not repeats or len(rows) == 1):
        return (yield from steps())
    return (yield from transaction.nested(compiler.backend, steps, depth=depth))
