"""Turns a `TableSpec` into a `sqlalchemy.Table`: the only place that constructs tables from models."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import uuid
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, Literal, TypeAlias, cast

import sqlalchemy as sa
from sqlalchemy.schema import (
    AddConstraint,
    CreateIndex,
    CreateTable,
    DropConstraint,
    DropTable,
    SetColumnComment,
    SetTableComment,
)
from sqlalchemy.sql import ddl

from datalayer._compile import nulls, types
from datalayer._compile.values import array_text, is_numeric_decimal, to_driver
from datalayer._schema.field import UNSET, ColumnType, DatabaseDefault, FieldSpec, Kind
from datalayer._schema.names import constraint_name
from datalayer._schema.ranges import is_interval
from datalayer._schema.table import IndexSpec, Initially, TableSpec, UniqueSpec

Backend: TypeAlias = Literal["sqlite", "postgresql"]


class _Dialects(dict[str, sa.Dialect]):
    """SQLAlchemy's dialects, each imported when it is first asked for: PostgreSQL's is a sixth of SQLAlchemy."""

    def __missing__(self, backend: str) -> sa.Dialect:
        # "named" keeps a percent sign single: these statements are text to read or to run without values.
        made: sa.Dialect = import_module(f"sqlalchemy.dialects.{backend}").dialect(paramstyle="named")
        self[backend] = made
        return made


DIALECTS = _Dialects()

_SIMPLE: dict[Kind, type[sa.types.TypeEngine[Any]]] = {
    Kind.SMALL_INTEGER: types.SmallInteger,
    Kind.INTEGER: types.Integer,
    Kind.BIG_INTEGER: types.BigInteger,
    Kind.FLOAT: types.Float,
    Kind.BOOLEAN: types.Boolean,
    Kind.BYTES: types.Bytes,
    Kind.DATE: types.Date,
    Kind.TIME: types.Time,
    Kind.DATETIME: types.DateTime,
    Kind.NAIVE_DATETIME: types.NaiveDateTime,
    Kind.DURATION: types.Duration,
    Kind.UUID: types.Uuid,
    Kind.JSON: types.Json,
    Kind.INET: types.Inet,
}


def sql_type(column_type: ColumnType, backend: Backend | None = None) -> sa.types.TypeEngine[Any]:
    """The SQLAlchemy type of a column; the same object serves every backend."""
    kind = column_type.kind
    if kind is Kind.ARRAY and column_type.item is not None:
        return types.Array(sql_type(column_type.item))
    if kind is Kind.RANGE and column_type.item is not None:
        return types.Range(sql_type(column_type.item))
    if kind is Kind.STRING:
        collation = column_type.collation
        return types.String(column_type.length, collation) if column_type.length else types.Text(collation=collation)
    if kind is Kind.TEXT:
        return types.Text(collation=column_type.collation)
    if kind is Kind.DECIMAL:
        return types.Decimal(column_type.precision, column_type.scale)
    if kind is Kind.ENUM:
        if column_type.choices and all(isinstance(choice, int) for choice in column_type.choices):
            small = all(-(2**31) <= int(choice) < 2**31 for choice in column_type.choices)
            return types.Integer() if small else types.BigInteger()
        longest = max((len(str(choice)) for choice in column_type.choices), default=0)
        return types.String(max(column_type.length or 0, longest) or None)
    return _SIMPLE[kind]()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def literal_sql(value: object, column_type: ColumnType | None = None) -> types.BackendSql:
    """A plain Python value as SQL text.

    Raises:
        TypeError: The value is of a type that has no SQL literal.
    """
    if column_type is not None and column_type.to_stored is not None and isinstance(value, column_type.python):
        return literal_sql(column_type.to_stored(value), column_type.stored)
    if isinstance(value, enum.Enum):
        value = value.value
    if column_type is not None and column_type.kind is Kind.ARRAY and isinstance(value, list):
        return types.sql(
            sqlite=_quoted(str(to_driver(column_type, "sqlite")(value))),  # type: ignore[misc]  # arrays have one
            postgresql=_quoted(array_text(column_type)(cast("object", value))),
        )
    if column_type is not None and is_interval(value):
        sqlite, postgresql = (to_driver(column_type, backend) for backend in ("sqlite", "postgresql"))
        return types.sql(
            sqlite=_quoted(str(sqlite(value))),  # type: ignore[misc]  # ranges have one
            postgresql=_quoted(str(postgresql(value))),  # type: ignore[misc]
        )
    if column_type is not None and column_type.kind is Kind.JSON:
        return types.sql(_quoted(value if isinstance(value, str) and column_type.codec else json.dumps(value)))
    if value is None:
        return types.sql("NULL")
    if isinstance(value, bool):
        return types.sql(sqlite=str(int(value)), postgresql=str(value).lower())
    if isinstance(value, int | float):
        return types.sql(str(value))
    if isinstance(value, decimal.Decimal):
        as_text = column_type is None or not is_numeric_decimal(column_type)
        return types.sql(sqlite=_quoted(f"{value:f}") if as_text else f"{value:f}", postgresql=f"{value:f}")
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            return types.sql(_quoted(value.isoformat(" ", "microseconds")))
        moment = value.astimezone(datetime.UTC)
        return types.sql(
            sqlite=_quoted(moment.replace(tzinfo=None).isoformat(" ", "microseconds")),
            postgresql=_quoted(moment.isoformat(" ", "microseconds")),
        )
    if isinstance(value, datetime.timedelta):
        micros = (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds
        return types.sql(sqlite=str(micros), postgresql=_quoted(f"{micros} microseconds"))
    if isinstance(value, datetime.time):
        return types.sql(_quoted(value.isoformat("microseconds")))
    if isinstance(value, datetime.date):
        return types.sql(_quoted(value.isoformat()))
    if isinstance(value, bytes):
        return types.sql(sqlite=f"X'{value.hex()}'", postgresql=f"'\\x{value.hex()}'")
    if isinstance(value, str | uuid.UUID) or type(value).__module__ == "ipaddress":
        return types.sql(_quoted(str(value)))
    raise TypeError(f"a value of type {type(value).__name__} has no SQL literal; give the default as SQL instead")


def _per_backend(text: str | dict[str, str]) -> types.BackendSql | None:
    if isinstance(text, str):
        return types.sql(text)
    if not text:
        return None
    any_text = next(iter(text.values()))
    return types.sql(sqlite=text.get("sqlite", any_text), postgresql=text.get("postgresql", any_text))


def default_sql(default: DatabaseDefault | None, column_type: ColumnType) -> types.BackendSql | None:
    """The DEFAULT of a column as SQL text."""
    if default is None:
        return None
    if default.sql is not None:
        return _per_backend(default.sql)
    return None if default.literal is UNSET else literal_sql(default.literal, column_type)


def _column(field: FieldSpec) -> sa.Column[Any]:
    parts: list[Any] = []
    if field.is_identity:
        parts.append(sa.Identity())
    if field.generated is not None:
        parts.append(sa.Computed(types.sql(field.generated), persisted=True))
    return sa.Column(
        field.column,
        sql_type(field.type),
        *parts,
        nullable=field.nullable and not field.is_primary_key,
        autoincrement=field.is_identity,
        server_default=default_sql(field.db_default, field.type) if field.generated is None else None,
        comment=field.comment,
    )


def index_part(text: str, opclass: str) -> types.BackendSql:
    """An expression or a descending column in an index, with its operator class on PostgreSQL."""
    if not opclass:
        return types.sql(text)
    tail = " DESC" if text.endswith(" DESC") else ""
    return types.sql(sqlite=text, postgresql=f"{text.removesuffix(' DESC')} {opclass}{tail}")


def _index(table: TableSpec, spec: IndexSpec) -> sa.Index:
    parts: list[Any] = []
    options: dict[str, Any] = {}
    for name, opclass in zip(spec.fields, spec.opclasses or [""] * len(spec.fields), strict=True):
        if name.startswith("("):
            parts.append(index_part(name, opclass))
            continue
        column = table.fields[name.removeprefix("-")].column
        quoted = column.replace('"', '""')
        parts.append(index_part(f'"{quoted}" DESC', opclass) if name.startswith("-") else column)
        if opclass and not name.startswith("-"):
            options.setdefault("postgresql_ops", {})[column] = opclass
    if not spec.nulls_distinct:
        options["postgresql_nulls_not_distinct"] = True
    if spec.condition is not None:
        where = _per_backend(spec.condition)
        options.update(postgresql_where=where, sqlite_where=where)
    if spec.method is not None:
        options["postgresql_using"] = spec.method
    if spec.include:
        options["postgresql_include"] = [table.fields[name].column for name in spec.include]
    return sa.Index(spec.name, *parts, unique=spec.unique, **options)


def _as_index(unique: UniqueSpec) -> IndexSpec:
    return IndexSpec(
        unique.name,
        unique.fields,
        unique.condition,
        include=unique.include,
        unique=True,
        nulls_distinct=unique.nulls_distinct,
        opclasses=unique.opclasses,
    )


def deferral(initially: Initially | None) -> dict[str, Any]:
    """What SQLAlchemy is told of a constraint that can be checked later."""
    return {} if initially is None else {"deferrable": True, "initially": initially}


def unique_options(nulls_distinct: bool, initially: Initially | None) -> dict[str, Any]:
    """What SQLAlchemy is told of a unique constraint besides its columns and its name."""
    return {**({} if nulls_distinct else {"postgresql_nulls_not_distinct": True}), **deferral(initially)}


def to_table(table: TableSpec, metadata: sa.MetaData, tables: dict[str, TableSpec]) -> sa.Table:
    """Adds one table to `metadata`; `tables` are all of them by name, for the columns foreign keys refer to."""

    def columns(names: Iterable[str]) -> list[str]:
        return [table.fields[name].column for name in names]

    parts: list[Any] = [_column(field) for field in table.fields.values()]
    if table.primary_key:
        name = constraint_name("pk", table.name, ())
        parts.append(sa.PrimaryKeyConstraint(*columns(table.primary_key), name=name))
    for unique in table.unique:
        if not unique.is_index:
            options = unique_options(unique.nulls_distinct, unique.initially)
            parts.append(sa.UniqueConstraint(*columns(unique.fields), name=unique.name, **options))
    for check in table.checks:
        text = _per_backend(check.sql)
        if text is not None:
            parts.append(sa.CheckConstraint(text, name=check.name))
    for one in table.exclusions:
        where = None if one.condition is None else _per_backend(one.condition)
        pairs = [(table.fields[name].column, sign) for name, sign in one.pairs]
        parts.append(
            import_module("datalayer._compile.exclusion").Exclusion(
                *pairs, name=one.name, using=one.method, where=where
            )
        )
    for key in table.foreign_keys:
        target = tables.get(key.target)
        names = [target.fields[name].column if target else name for name in key.target_fields]
        remote = [f"{key.target}.{name}" for name in names]
        on_delete = None if key.on_delete == "NO ACTION" else key.on_delete
        said: dict[str, Any] = {"ondelete": on_delete, **deferral(key.initially)}
        parts.append(sa.ForeignKeyConstraint(columns(key.fields), remote, name=key.name, **said))
    for spec in table.indexes:
        parts.append(_index(table, spec))
    for unique in table.unique:
        if unique.is_index:
            parts.append(_index(table, _as_index(unique)))
    numbered = any(field.is_identity for field in table.fields.values())
    made = sa.Table(table.name, metadata, *parts, comment=table.comment, sqlite_autoincrement=numbered)
    nulls.add_indexes(made, DIALECTS)
    return made


def to_metadata(tables: Iterable[TableSpec], backend: Backend | None = None) -> sa.MetaData:
    """All tables as SQLAlchemy knows them; the same for every backend, so `backend` may be left out."""
    by_name = {table.name: table for table in tables}
    metadata = sa.MetaData()
    for table in by_name.values():
        to_table(table, metadata, by_name)
    return metadata


def _text(element: sa.schema.ExecutableDDLElement, backend: Backend) -> str:
    return str(element.compile(dialect=DIALECTS[backend])).strip()


def in_order(metadata: sa.MetaData) -> list[tuple[sa.Table | None, list[sa.ForeignKeyConstraint]]]:
    """The tables, those that are referred to first, with the foreign keys that fit in them; the rest comes last."""
    found: list[tuple[Any, Any]] = cast("Any", ddl).sort_tables_and_constraints(list(metadata.tables.values()))
    return [(table, list(keys)) for table, keys in found]


def create_all_statements(
    tables: Sequence[TableSpec], backend: Backend, existing: Iterable[TableSpec] = ()
) -> list[str]:
    """The statements that create the tables, in an order that works.

    Foreign keys that go in a circle come last on PostgreSQL; SQLite takes them in the table. A percent sign is
    written once: run the statements without values.

    Args:
        tables: What is created.
        backend: Where.
        existing: Tables that are there already, for foreign keys to refer to.
    """
    metadata = to_metadata((*existing, *tables), backend)
    created = {table.name for table in tables}
    statements: list[str] = []
    late: list[str] = []
    for table, keys in in_order(metadata):
        if table is None:
            if backend != "sqlite":
                late += [_text(AddConstraint(key), backend) for key in keys if key.table.name in created]
            continue
        if table.name not in created:
            continue
        inline = None if backend == "sqlite" else keys
        statements.append(_text(CreateTable(table, include_foreign_key_constraints=inline), backend))
        ordered = sorted(table.indexes, key=lambda index: str(index.name))
        ordered = [index for index in ordered if backend == "sqlite" or not nulls.is_beside(index)]
        statements += [_text(CreateIndex(index), backend) for index in ordered]
        statements += _comments(table, backend)
    return statements + late


def _comments(table: sa.Table, backend: Backend) -> list[str]:
    """The statements that put down what a table and its columns are; SQLite has no place for it."""
    if backend == "sqlite":
        return []
    said = [_text(SetTableComment(table), backend)] if table.comment else []
    return said + [_text(SetColumnComment(column), backend) for column in table.columns if column.comment]


def drop_all_statements(tables: Sequence[TableSpec], backend: Backend, existing: Iterable[TableSpec] = ()) -> list[str]:
    """The statements that drop the tables, those that refer before those that are referred to.

    Tables that are missing are no error. SQLite may check foreign keys only at the end: outside a transaction they
    are switched off meanwhile, and inside one they are deferred. `existing` tables stay.
    """
    metadata = to_metadata((*existing, *tables), backend)
    dropped = {table.name for table in tables}
    drops: list[str] = []
    first: list[str] = []
    for table, keys in reversed(in_order(metadata)):
        if table is not None:
            if table.name in dropped:
                drops.append(_text(DropTable(table, if_exists=True), backend))
        elif backend != "sqlite":
            for key in [key for key in keys if key.table.name in dropped]:
                text = _text(DropConstraint(key, if_exists=True), backend)
                first.append(text.replace("ALTER TABLE ", "ALTER TABLE IF EXISTS ", 1))
    if backend == "sqlite":
        return ["PRAGMA foreign_keys=OFF", "PRAGMA defer_foreign_keys=ON", *drops, "PRAGMA foreign_keys=ON"]
    return first + drops
