"""What the tables look like at one point of the history: plain values that can be compared, and how operations
change them. Nothing here talks to a database.

SQL text is kept as a pair, for SQLite and for PostgreSQL, because one history serves both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import sqlalchemy as sa
from alembic.operations import ops
from alembic.operations.ops import MigrateOperation
from alembic.runtime.migration import MigrationContext

from datalayer._compile.tables import DIALECTS
from datalayer._compile.types import sql, written
from datalayer._schema.names import constraint_name
from datalayer.errors import MigrationError, choices_text, nearest

Text2: TypeAlias = tuple[str, str]
SQLITE, POSTGRESQL = 0, 1


@dataclass(frozen=True)
class Column:
    """A column. Types are compared by what each backend is told, so `sa.Integer()` equals `types.Integer()`."""

    name: str
    type: sa.types.TypeEngine[Any] = field(compare=False)
    type_text: Text2 = ("", "")
    nullable: bool = True
    default: Text2 | None = None
    identity: bool = False
    computed: Text2 | None = None
    comment: str | None = None


@dataclass(frozen=True)
class Unique:
    """A unique constraint."""

    columns: tuple[str, ...]
    nulls_distinct: bool = True


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key constraint."""

    columns: tuple[str, ...]
    target: str
    remote: tuple[str, ...]
    on_delete: str | None = None


@dataclass(frozen=True)
class Index:
    """An index; each part is a column's name or an expression."""

    parts: tuple[str, ...]
    expressions: tuple[bool, ...]
    unique: bool = False
    where: Text2 | None = None
    method: str | None = None
    include: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table; constraints and indexes by name."""

    name: str
    columns: dict[str, Column]
    primary_key: tuple[str, ...] = ()
    primary_key_name: str = ""
    uniques: dict[str, Unique] = field(default_factory=dict[str, Unique])
    checks: dict[str, Text2] = field(default_factory=dict[str, Text2])
    foreign_keys: dict[str, ForeignKey] = field(default_factory=dict[str, ForeignKey])
    indexes: dict[str, Index] = field(default_factory=dict[str, Index])
    comment: str | None = field(default=None)

    @property
    def is_numbered(self) -> bool:
        """Whether a column gets its value from the database (identity, AUTOINCREMENT)."""
        return any(column.identity for column in self.columns.values())


State: TypeAlias = dict[str, Table]


# -- from SQLAlchemy --------------------------------------------------------------------------------


def sql_text(clause: Any) -> Text2:
    """An SQL expression as text for each backend; a string is a value."""
    if isinstance(clause, str):
        quoted = "'" + clause.replace("'", "''") + "'"
        return quoted, quoted
    found: list[str] = []
    for dialect in DIALECTS.values():
        compiler = dialect.statement_compiler(dialect, None)
        found.append(compiler.process(clause, literal_binds=True))
    return found[0], found[1]


def describe_column(column: sa.Column[Any]) -> Column:
    """A SQLAlchemy column as a value."""
    default = column.server_default
    computed = column.computed
    plain = isinstance(default, sa.DefaultClause)
    return Column(
        column.name,
        column.type,
        (column.type.compile(DIALECTS["sqlite"]), column.type.compile(DIALECTS["postgresql"])),
        nullable=bool(column.nullable) and not column.primary_key,
        default=sql_text(default.arg) if isinstance(default, sa.DefaultClause) and plain else None,
        identity=column.identity is not None,
        computed=None if computed is None else sql_text(computed.sqltext),
        comment=column.comment,
    )


def describe_index(index: sa.Index) -> Index:
    """A SQLAlchemy index as a value."""
    parts: list[str] = []
    expressions: list[bool] = []
    for expression in index.expressions:
        is_column = isinstance(expression, sa.Column)
        parts.append(expression.name if isinstance(expression, sa.Column) else sql_text(expression)[0])
        expressions.append(not is_column)
    options = index.dialect_options
    sqlite_where = options["sqlite"].get("where")
    where = options["postgresql"].get("where")
    both: Text2 | None = None
    if where is not None or sqlite_where is not None:
        either = where if where is not None else sqlite_where
        as_clause = sa.text(either) if isinstance(either, str) else either
        both = sql_text(as_clause)
    using = options["postgresql"].get("using") or None
    include = tuple(str(getattr(one, "name", one)) for one in options["postgresql"].get("include") or ())
    return Index(tuple(parts), tuple(expressions), bool(index.unique), both, using, include)


def _with_constraint(table: Table, constraint: sa.Constraint) -> Table:
    name = None if constraint.name is None else str(constraint.name)
    if isinstance(constraint, sa.PrimaryKeyConstraint):
        columns = tuple(column.name for column in constraint.columns)
        if not columns:
            return table
        changed = {**table.columns}
        for column in columns:
            changed[column] = replace(changed[column], nullable=False)
        return replace(
            table,
            columns=changed,
            primary_key=columns,
            primary_key_name=name or constraint_name("pk", table.name, ()),
        )
    if isinstance(constraint, sa.UniqueConstraint):
        columns = tuple(column.name for column in constraint.columns)
        distinct = not constraint.dialect_options["postgresql"].get("nulls_not_distinct")
        key = name or constraint_name("uq", table.name, columns)
        return replace(table, uniques={**table.uniques, key: Unique(columns, distinct)})
    if isinstance(constraint, sa.ForeignKeyConstraint):
        columns = tuple(constraint.column_keys)
        targets = [element.target_fullname.rsplit(".", 1) for element in constraint.elements]
        key = name or constraint_name("fk", table.name, columns)
        made = ForeignKey(columns, targets[0][0], tuple(target[1] for target in targets), constraint.ondelete)
        return replace(table, foreign_keys={**table.foreign_keys, key: made})
    if isinstance(constraint, sa.CheckConstraint):
        key = name or constraint_name("ck", table.name, (), str(len(table.checks)))
        return replace(table, checks={**table.checks, key: sql_text(constraint.sqltext)})
    raise MigrationError(f"a constraint of type {type(constraint).__name__} on {table.name!r} is not known here")


def describe_table(table: sa.Table) -> Table:
    """A SQLAlchemy table as a value."""
    columns = {column.name: describe_column(column) for column in table.columns}
    counted = table.autoincrement_column
    if counted is not None:  # files written by hand do not say Identity()
        columns[counted.name] = replace(columns[counted.name], identity=True)
    made = Table(table.name, columns, comment=table.comment)
    for constraint in sorted(table.constraints, key=lambda one: str(one.name or "")):
        made = _with_constraint(made, constraint)
    indexes = {str(index.name): describe_index(index) for index in sorted(table.indexes, key=lambda i: str(i.name))}
    return replace(made, indexes=indexes)


def describe(metadata: sa.MetaData) -> State:
    """All tables of a MetaData as values."""
    return {table.name: describe_table(table) for table in metadata.tables.values()}


# -- to SQLAlchemy ----------------------------------------------------------------------------------


def _clause(text: Text2) -> Any:
    return sql(sqlite=text[SQLITE], postgresql=text[POSTGRESQL])


def to_metadata(state: State) -> sa.MetaData:
    """The tables as SQLAlchemy knows them, for writing DDL."""
    metadata = sa.MetaData()
    for table in state.values():
        _to_table(table, metadata)
    return metadata


def _to_table(table: Table, metadata: sa.MetaData) -> sa.Table:
    parts: list[Any] = []
    for column in table.columns.values():
        extra: list[Any] = [sa.Identity()] if column.identity else []
        if column.computed is not None:
            extra.append(sa.Computed(_clause(column.computed), persisted=True))
        default = None if column.default is None else _clause(column.default)
        parts.append(
            sa.Column(
                column.name,
                column.type.copy() if isinstance(column.type, sa.types.SchemaType) else column.type,
                *extra,
                nullable=column.nullable,
                autoincrement=column.identity,
                server_default=default,
                comment=column.comment,
            )
        )
    if table.primary_key:
        parts.append(sa.PrimaryKeyConstraint(*table.primary_key, name=table.primary_key_name))
    for name, unique in table.uniques.items():
        options: dict[str, Any] = {} if unique.nulls_distinct else {"postgresql_nulls_not_distinct": True}
        parts.append(sa.UniqueConstraint(*unique.columns, name=name, **options))
    for name, check in table.checks.items():
        parts.append(sa.CheckConstraint(_clause(check), name=name))
    for name, key in table.foreign_keys.items():
        remote = [f"{key.target}.{column}" for column in key.remote]
        parts.append(sa.ForeignKeyConstraint(list(key.columns), remote, name=name, ondelete=key.on_delete))
    for name, index in table.indexes.items():
        columns = [sql(p) if e else p for p, e in zip(index.parts, index.expressions, strict=True)]
        kw: dict[str, Any] = {}
        if index.where is not None:
            kw.update(postgresql_where=_clause(index.where), sqlite_where=_clause(index.where))
        if index.method:
            kw["postgresql_using"] = index.method
        if index.include:
            kw["postgresql_include"] = list(index.include)
        parts.append(sa.Index(name, *columns, unique=index.unique, **kw))
    return sa.Table(table.name, metadata, *parts, comment=table.comment, sqlite_autoincrement=table.is_numbered)


# -- what operations do -----------------------------------------------------------------------------


def rename_table(state: State, old: str, new: str) -> State:
    """The state after `old` was named `new`; foreign keys follow."""
    table_of(state, old)
    renamed: State = {}
    for table in state.values():
        keys = {
            name: replace(key, target=new) if key.target == old else key for name, key in table.foreign_keys.items()
        }
        name = new if table.name == old else table.name
        renamed[name] = replace(table, name=name, foreign_keys=keys)
    return renamed


def _renamed_text(text: Text2 | None, old: str, new: str) -> Text2 | None:
    if text is None:
        return None
    return text[0].replace(f'"{old}"', f'"{new}"'), text[1].replace(f'"{old}"', f'"{new}"')


def rename_column(state: State, table_name: str, old: str, new: str) -> State:
    """The state after a column was renamed; constraints, indexes and foreign keys to it follow."""

    def names(columns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(new if column == old else column for column in columns)

    table = table_of(state, table_name)
    column_of(table, old)
    changed = dict(state)
    for other in state.values():
        keys = {
            name: replace(key, remote=names(key.remote)) if key.target == table_name else key
            for name, key in other.foreign_keys.items()
        }
        changed[other.name] = replace(other, foreign_keys=keys)
    table = changed[table_name]
    changed[table_name] = replace(
        table,
        columns={
            (new if name == old else name): replace(column, name=new) if name == old else column
            for name, column in table.columns.items()
        },
        primary_key=names(table.primary_key),
        uniques={name: replace(unique, columns=names(unique.columns)) for name, unique in table.uniques.items()},
        checks={name: _renamed_text(check, old, new) or check for name, check in table.checks.items()},
        foreign_keys={name: replace(key, columns=names(key.columns)) for name, key in table.foreign_keys.items()},
        indexes={
            name: replace(
                index,
                parts=tuple(
                    part.replace(f'"{old}"', f'"{new}"') if is_expression else (new if part == old else part)
                    for part, is_expression in zip(index.parts, index.expressions, strict=True)
                ),
                where=_renamed_text(index.where, old, new),
                include=names(index.include),
            )
            for name, index in table.indexes.items()
        },
    )
    return changed


def rename_index(state: State, table_name: str, old: str, new: str) -> State:
    """The state after an index was renamed."""
    table = table_of(state, table_name)
    if old not in table.indexes:
        raise MigrationError(
            f"no index {old!r} on table {table_name!r} at this point of the history; there are: "
            f"{choices_text(table.indexes)}{nearest(old, table.indexes)}"
        )
    indexes = {new if name == old else name: index for name, index in table.indexes.items()}
    return {**state, table_name: replace(table, indexes=indexes)}


def rename_constraints(state: State, table_name: str, names: Mapping[str, str]) -> State:
    """The state after constraints were renamed, the primary key among them."""
    table = table_of(state, table_name)
    known = constraints_of(table)
    for old in names:
        if old not in known:
            raise MigrationError(
                f"no constraint {old!r} on table {table_name!r} at this point of the history; there are: "
                f"{choices_text(known)}{nearest(old, known)}"
            )
    changed = replace(
        table,
        primary_key_name=names.get(table.primary_key_name, table.primary_key_name),
        uniques={names.get(name, name): one for name, one in table.uniques.items()},
        checks={names.get(name, name): one for name, one in table.checks.items()},
        foreign_keys={names.get(name, name): one for name, one in table.foreign_keys.items()},
    )
    return {**state, table_name: changed}


def constraints_of(table: Table) -> dict[str, object]:
    """All constraints of a table by name."""
    found: dict[str, object] = {**table.uniques, **table.foreign_keys}
    found.update({name: ("check", text) for name, text in table.checks.items()})
    if table.primary_key:
        found[table.primary_key_name] = ("primary key", table.primary_key)
    return found


def table_of(state: State, name: str) -> Table:
    """The table, or an error that names the ones there are at this point of the history."""
    if name not in state:
        raise MigrationError(
            f"no table {name!r} at this point of the history; there are: {choices_text(state)}{nearest(name, state)}"
        )
    return state[name]


def column_of(table: Table, name: str) -> Column:
    """The column, or an error that names the ones there are at this point of the history."""
    if name not in table.columns:
        raise MigrationError(
            f"no column {name!r} in table {table.name!r} at this point of the history; there are: "
            f"{choices_text(table.columns)}{nearest(name, table.columns)}"
        )
    return table.columns[name]


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
        table = _with_constraint(table, constraint)
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
    return {**state, table.name: _with_constraint(table, operation.to_constraint(context))}


def _drop_constraint(state: State, operation: ops.DropConstraintOp, context: MigrationContext) -> State:
    table = table_of(state, operation.table_name)
    name = str(operation.constraint_name)
    known = {*table.uniques, *table.checks, *table.foreign_keys, table.primary_key_name}
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


__all__ = ["Column", "ForeignKey", "Index", "State", "Table", "Unique", "changed_by", "describe", "written"]
