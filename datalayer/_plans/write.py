"""Writing one thing: INSERT of a row, UPDATE and DELETE of what a query finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, TypeVar, cast

from datalayer._compile.compiler import Compiler
from datalayer._compile.prepared import Prepared
from datalayer._plans.plan import Plan, Reply, Row
from datalayer._plans.read import is_nothing
from datalayer._plans.violations import explained
from datalayer._query.change import Delete, Insert, Update
from datalayer._query.expression import Value
from datalayer._schema.table import TableSpec
from datalayer.errors import DatabaseError, ForeignKeyViolation

F = TypeVar("F", bound=Callable[..., Any])


WRITING: Final[set[Callable[..., object]]] = set()
"""The plan functions that were marked by `writing`."""


def writing(function: F) -> F:
    """Marks a plan function that needs a link for writing, whatever its first command is."""
    WRITING.add(function)
    return function


@writing
def insert(compiler: Compiler, change: Insert, values: Sequence[object]) -> Plan[Row]:
    """Writes one row; gives the fields to read back, converted, or an empty tuple.

    Raises:
        DatabaseError: The database has not kept the row, and said nothing of it.
    """
    prepared = compiler.insert(change)
    try:
        reply = yield prepared.command(values)
    except ForeignKeyViolation as error:
        return (yield from explained(compiler, change.table, change.fields, [values], error))
    if not change.returning:
        return ()
    if not reply.rows:
        table = change.table
        raise DatabaseError(
            f"the new {table.model} was not kept: a trigger or rule of {table.name!r} has ignored the row; let it keep "
            "the row, or raise an error",
            model=table.model,
            table=table.name,
        )
    row: Row = prepared.read(reply.rows)[0]
    return row


def numbered_on(
    compiler: Compiler, table: TableSpec, fields: tuple[str, ...], rows: Sequence[Sequence[object]]
) -> Plan[None]:
    """Moves the numbering of a key past the numbers that were given by hand, so that it does not meet them later.

    SQLite does it by itself; PostgreSQL's sequences know nothing of the rows.
    """
    if compiler.backend != "postgresql":
        return
    for place, name in enumerate(fields):
        if table.fields[name].is_identity:
            numbers = [row[place] for row in rows if isinstance(row[place], int)]
            if numbers:
                yield compiler.numbering(table, name).command((max(cast("list[int]", numbers)),))


@writing
def update(compiler: Compiler, change: Update) -> Plan[int]:
    """Writes to the rows a query finds; gives their number."""
    if is_nothing(change.query):
        return 0
    reply = yield from updated(compiler, change, compiler.update(change))
    return len(reply.rows) if change.returning else reply.count


def updated(compiler: Compiler, change: Update, prepared: Prepared) -> Plan[Reply]:
    """What the database answers to a prepared update; a violated reference is named."""
    values = change.values
    try:
        return (yield prepared.command(values))
    except ForeignKeyViolation as error:
        return (yield from violated(compiler, change, values, error))


def violated(
    compiler: Compiler, change: Update, values: Sequence[object], error: ForeignKeyViolation
) -> Plan[NoReturn]:
    """The plan that raises the error of an update that violated a reference, which it names.

    Args:
        compiler: For the backend at hand.
        change: What was written.
        values: Its values.
        error: What the database said.
    """
    names: list[str] = []
    plain: list[object] = []
    place = 0
    for name, expression in change.assignments:
        if type(expression) is Value:
            names.append(name)
            plain.append(values[place])
        place += len(expression.values)
    return explained(compiler, change.query.table, names, [plain], error)


@writing
def delete(compiler: Compiler, change: Delete, values: Sequence[object] | None = None) -> Plan[int]:
    """Deletes the rows a query finds; gives their number, of this table only.

    Args:
        compiler: For the backend at hand.
        change: Which rows.
        values: Its values, where it was made for all of its shape; its own when not given.
    """
    if is_nothing(change.query):
        return 0
    reply = yield compiler.delete(change).command(change.values if values is None else values)
    return len(reply.rows) if change.returning else reply.count
