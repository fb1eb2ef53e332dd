"""What an operation of a migration makes of the tables: how a history is replayed without a database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import sqlalchemy as sa
from alembic.ddl.postgresql import CreateExcludeConstraintOp
from alembic.operations import ops
from alembic.operations.ops import MigrateOperation
from alembic.runtime.migration import MigrationContext

from datalayer._compile import exclusion
from datalayer._compile.tables import DIALECTS
from datalayer.errors import MigrationError, choices_text, nearest
from datalayer.migrations.describing import describe_column, describe_index, describe_table, sql_text, with_constraint
from datalayer.migrations.state import Index, State, column_of, rename_column, rename_table, table_of


def _create_table(state: State, operation: ops.CreateTableOp, context: MigrationContext) -> State:
    if operation.table_name in state:
        raise MigrationError(f"table {operation.table_name!r} is created, but it exists at this point of the history")
    table = describe_table(operation.to_table(context))
    return {**state, table.name: table}


def _drop_table(state: State, operation: ops.DropTableOp, context: MigrationContext) -> State:
    table_of(state, operation.table_name)
    return {name: table for name, table in state.items() if name != operation.table_name}


def _rename_table(state: State, operation: ops.RenameTableOp, context: MigrationContext) -> State:
    return rename_table(state, operation.table_name, str(operation.new_table_name))


def _add_column(state: State, operation: ops.AddColumnOp, context: MigrationContext) -> State:
    table = table_of(state, operation.table_name)
    if operation.column.name in table.columns:
        raise MigrationError(f"column {operation.column.name!r} is added to {table.name!r}, but it is there already")
    column = describe_column(operation.column)
    table = replace(table, columns={**table.columns, column.name: column})
    # A column knows its foreign keys only in a table; one that is in a table already is copied by Alembic itself.
    holder: sa.Table | None = getattr(operation.column, "table", None)  # SQLAlchemy types it as never None
    if holder is None:
        holder = sa.Table(table.name, sa.MetaData(), operation.column)
    for constraint in holder.constraints:
        table = with_constraint(table, constraint)
    indexes = {str(index.name): describe_index(index) for index in holder.indexes}
    return {**state, table.name: replace(table, indexes={**table.indexes, **indexes})}


def _drop_column(state: State, operation: ops.DropColumnOp, context: MigrationContext) -> State:
    table = table_of(state, operation.table_name)
    gone = operation.column_name
    column_of(table, gone)
    changed = replace(
        table,
        columns={name: column for name, column in table.columns.items() if name != gone},
        primary_key=() if gone in table.primary_key else table.primary_key,
        uniques={name: unique for name, unique in table.uniques.items() if gone not in unique.columns},
        checks={name: text for name, text in table.checks.items() if f'"{gone}"' not in text[0]},
        exclusions={name: one for name, one in table.exclusions.items() if gone not in dict(one.pairs)},
        foreign_keys={name: key for name, key in table.foreign_keys.items() if gone not in key.columns},
        indexes={name: index for name, index in table.indexes.items() if not _concerns(index, gone)},
    )
    return {**state, table.name: changed}


def _concerns(index: Index, column: str) -> bool:
    """Whether an index goes with a column."""
    texts = [part for part, is_expression in zip(index.parts, index.expressions, strict=True) if is_expression]
    texts += index.where or ()
    return column in (*index.parts, *index.include) or any(f'"{column}"' in text for text in texts)


def _alter_column(state: State, operation: ops.AlterColumnOp, context: MigrationContext) -> State:
    table = table_of(state, operation.table_name)
    column = column_of(table, operation.column_name)
    if operation.modify_type is not None:
        made = operation.modify_type() if isinstance(operation.modify_type, type) else operation.modify_type
        text = made.compile(DIALECTS["sqlite"]), made.compile(DIALECTS["postgresql"])
        column = replace(column, type=made, type_text=text)
    if operation.modify_nullable is not None:
        column = replace(column, nullable=operation.modify_nullable)
    if operation.modify_server_default is not False:
        default = operation.modify_server_default
        column = replace(column, default=None if default is None else sql_text(default))
    if operation.modify_comment is not False:
        column = replace(column, comment=operation.modify_comment)
    state = {**state, table.name: replace(table, columns={**table.columns, column.name: column})}
    if operation.modify_name is not None:
        return rename_column(state, table.name, column.name, operation.modify_name)
    return state


def _create_index(state: State, operation: ops.CreateIndexOp, context: MigrationContext) -> State:
    table = table_of(state, operation.table_name)
    index = operation.to_index(context)
    indexes = {**table.indexes, str(index.name): describe_index(index)}
    return {**state, table.name: replace(table, indexes=indexes)}


def _drop_index(state: State, operation: ops.DropIndexOp, context: MigrationContext) -> State:
    name = str(operation.index_name)
    for table in state.values():
        if name in table.indexes:
            left = {other: index for other, index in table.indexes.items() if other != name}
            return {**state, table.name: replace(table, indexes=left)}
    known = [index for table in state.values() for index in table.indexes]
    raise MigrationError(f"no index {name!r} at this point of the history{nearest(name, known)}")


def table_changed(operation: Any) -> str:
    """The table an operation changes; a foreign key calls it the source table."""
    return str(getattr(operation, "source_table", None) or operation.table_name)


def _add_constraint(state: State, operation: ops.AddConstraintOp, context: MigrationContext) -> State:
    table = table_of(state, table_changed(operation))
    if isinstance(operation, CreateExcludeConstraintOp):
        said: Any = operation
        pairs: list[Any] = list(operation.elements)
        made: Any = exclusion.Exclusion(
            *pairs, name=str(operation.constraint_name), where=cast("Any", operation.where), **said.kw
        )
        return {**state, table.name: with_constraint(table, made)}
    return {**state, table.name: with_constraint(table, operation.to_constraint(context))}


def _drop_constraint(state: State, operation: ops.DropConstraintOp, context: MigrationContext) -> State:
    table = table_of(state, operation.table_name)
    name = str(operation.constraint_name)
    known = {*table.uniques, *table.checks, *table.exclusions, *table.foreign_keys, table.primary_key_name}
    if name not in known:
        raise MigrationError(
            f"no constraint {name!r} on table {table.name!r} at this point of the history; there are: "
            f"{choices_text(filter(None, known))}{nearest(name, known)}"
        )
    if name == table.primary_key_name:
        return {**state, table.name: replace(table, primary_key=(), primary_key_name="")}
    changed = replace(
        table,
        uniques={key: value for key, value in table.uniques.items() if key != name},
        checks={key: value for key, value in table.checks.items() if key != name},
        exclusions={key: value for key, value in table.exclusions.items() if key != name},
        foreign_keys={key: value for key, value in table.foreign_keys.items() if key != name},
    )
    return {**state, table.name: changed}


def _table_comment(state: State, operation: Any, context: MigrationContext) -> State:
    table = table_of(state, operation.table_name)
    return {**state, table.name: replace(table, comment=getattr(operation, "comment", None))}


def _nothing(state: State, operation: Any, context: MigrationContext) -> State:
    return state


_CHANGES: tuple[tuple[type[MigrateOperation], Callable[[State, Any, MigrationContext], State]], ...] = (
    (ops.CreateTableOp, _create_table),
    (ops.DropTableOp, _drop_table),
    (ops.RenameTableOp, _rename_table),
    (ops.AddColumnOp, _add_column),
    (ops.DropColumnOp, _drop_column),
    (ops.AlterColumnOp, _alter_column),
    (ops.CreateIndexOp, _create_index),
    (ops.DropIndexOp, _drop_index),
    (ops.AddConstraintOp, _add_constraint),
    (ops.DropConstraintOp, _drop_constraint),
    (ops.CreateTableCommentOp, _table_comment),
    (ops.DropTableCommentOp, _table_comment),
    (ops.ExecuteSQLOp, _nothing),
    (ops.BulkInsertOp, _nothing),
)


def changed_by(state: State, operation: MigrateOperation, context: MigrationContext) -> State:
    """The state after one operation.

    Raises:
        MigrationError: The operation does not fit the state, or is of a kind unknown here.
    """
    for kind, change in _CHANGES:
        if isinstance(operation, kind):
            return change(state, operation, context)
    return state
