"""Tables as SQLAlchemy has them, as the values of a state, and the way back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from datalayer._compile import exclusion, nulls
from datalayer._compile.tables import DIALECTS, deferral, index_part, unique_options
from datalayer._compile.types import sql
from datalayer._schema.names import constraint_name
from datalayer._schema.table import Initially
from datalayer.errors import MigrationError
from datalayer.migrations.state import (
    POSTGRESQL,
    SQLITE,
    Column,
    Exclusion,
    ForeignKey,
    Index,
    State,
    Table,
    Text2,
    Unique,
)


def sql_text(clause: Any) -> Text2:
    """An SQL expression as text for each backend; a string is a value."""
    if isinstance(clause, str):
        quoted = "'" + clause.replace("'", "''") + "'"
        return quoted, quoted
    found: list[str] = []
    for dialect in (DIALECTS["sqlite"], DIALECTS["postgresql"]):
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
    opclasses: list[str] = []
    options = index.dialect_options
    operators: dict[str, str] = options["postgresql"].get("ops") or {}
    for expression in index.expressions:
        is_column = isinstance(expression, sa.Column)
        if isinstance(expression, sa.Column):
            parts.append(expression.name)
            opclasses.append(operators.get(expression.name, ""))
        else:
            text, theirs = sql_text(expression)
            parts.append(text)
            opclasses.append(theirs.removeprefix(text.removesuffix(" DESC")).removesuffix(" DESC").strip())
        expressions.append(not is_column)
    sqlite_where = options["sqlite"].get("where")
    where = options["postgresql"].get("where")
    both: Text2 | None = None
    if where is not None or sqlite_where is not None:
        either = where if where is not None else sqlite_where
        as_clause = sa.text(either) if isinstance(either, str) else either
        both = sql_text(as_clause)
    using = options["postgresql"].get("using") or None
    include = tuple(str(getattr(one, "name", one)) for one in options["postgresql"].get("include") or ())
    distinct = not options["postgresql"].get("nulls_not_distinct")
    classes = tuple(opclasses) if any(opclasses) else ()
    return Index(tuple(parts), tuple(expressions), bool(index.unique), both, using, include, distinct, classes)


def with_constraint(table: Table, constraint: sa.Constraint) -> Table:
    """The table with one constraint more."""
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
        return replace(table, uniques={**table.uniques, key: Unique(columns, distinct, _initially(constraint))})
    if isinstance(constraint, sa.ForeignKeyConstraint):
        columns = tuple(constraint.column_keys)
        targets = [element.target_fullname.rsplit(".", 1) for element in constraint.elements]
        key = name or constraint_name("fk", table.name, columns)
        remote = tuple(target[1] for target in targets)
        made = ForeignKey(columns, targets[0][0], remote, constraint.ondelete, _initially(constraint))
        return replace(table, foreign_keys={**table.foreign_keys, key: made})
    if isinstance(constraint, sa.CheckConstraint):
        key = name or constraint_name("ck", table.name, (), str(len(table.checks)))
        return replace(table, checks={**table.checks, key: sql_text(constraint.sqltext)})
    if isinstance(constraint, exclusion.Exclusion):
        key = name or constraint_name("ex", table.name, tuple(dict(constraint.pairs)))
        where: Any = constraint.where
        one = Exclusion(constraint.pairs, constraint.using or "gist", None if where is None else sql_text(where))
        return replace(table, exclusions={**table.exclusions, key: one})
    raise MigrationError(f"a constraint of type {type(constraint).__name__} on {table.name!r} is not known here")


def _initially(constraint: sa.Constraint) -> Initially | None:
    """When a constraint is checked that can be checked later; IMMEDIATE where only that is said, as SQL has it."""
    if not constraint.deferrable and not constraint.initially:
        return None
    return "DEFERRED" if (constraint.initially or "").upper() == "DEFERRED" else "IMMEDIATE"


def describe_table(table: sa.Table) -> Table:
    """A SQLAlchemy table as a value."""
    columns = {column.name: describe_column(column) for column in table.columns}
    counted = table.autoincrement_column
    if counted is not None:  # files written by hand do not say Identity()
        columns[counted.name] = replace(columns[counted.name], identity=True)
    made = Table(table.name, columns, comment=table.comment)
    for constraint in sorted(table.constraints, key=lambda one: str(one.name or "")):
        made = with_constraint(made, constraint)
    told = sorted((one for one in table.indexes if not nulls.is_beside(one)), key=lambda one: str(one.name))
    indexes = {str(index.name): describe_index(index) for index in told}
    return replace(made, indexes=indexes)


def describe(metadata: sa.MetaData) -> State:
    """All tables of a MetaData as values."""
    return {table.name: describe_table(table) for table in metadata.tables.values()}


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
        options = unique_options(unique.nulls_distinct, unique.initially)
        parts.append(sa.UniqueConstraint(*unique.columns, name=name, **options))
    for name, check in table.checks.items():
        parts.append(sa.CheckConstraint(_clause(check), name=name))
    for name, one in table.exclusions.items():
        where = None if one.where is None else _clause(one.where)
        parts.append(exclusion.Exclusion(*one.pairs, name=name, using=one.method, where=where))
    for name, key in table.foreign_keys.items():
        remote = [f"{key.target}.{column}" for column in key.remote]
        said: dict[str, Any] = {"ondelete": key.on_delete, **deferral(key.initially)}
        parts.append(sa.ForeignKeyConstraint(list(key.columns), remote, name=name, **said))
    for name, index in table.indexes.items():
        columns = [index_part(part, opclass) if is_sql else part for part, is_sql, opclass in index.pieces]
        kw: dict[str, Any] = {}
        operators = {part: opclass for part, is_sql, opclass in index.pieces if opclass and not is_sql}
        if operators:
            kw["postgresql_ops"] = operators
        if not index.nulls_distinct:
            kw["postgresql_nulls_not_distinct"] = True
        if index.where is not None:
            kw.update(postgresql_where=_clause(index.where), sqlite_where=_clause(index.where))
        if index.method:
            kw["postgresql_using"] = index.method
        if index.include:
            kw["postgresql_include"] = list(index.include)
        parts.append(sa.Index(name, *columns, unique=index.unique, **kw))
    made = sa.Table(table.name, metadata, *parts, comment=table.comment, sqlite_autoincrement=table.is_numbered)
    nulls.add_indexes(made, DIALECTS)
    return made
