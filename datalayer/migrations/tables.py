"""The tables as they are at this point of the history, for migrations that change rows.

    from datalayer.migrations import rows, tables

    def upgrade() -> None:
        book = tables.book

Nothing of the app is imported, so such a migration means the same in ten years. Values are what models have: `Decimal`,
aware datetimes, UUIDs, on both backends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator, UserDefinedType

from datalayer._compile import types
from datalayer._compile.tables import DIALECTS, literal_sql
from datalayer._compile.values import from_driver, to_driver
from datalayer._schema.field import ColumnType, Kind
from datalayer.errors import MigrationError
from datalayer.migrations._alembic import running
from datalayer.migrations.operations import Recording
from datalayer.migrations.state import Table, table_of
from datalayer.models.ranges import Range

_KINDS: dict[type[sa.types.TypeEngine[Any]], Kind] = {
    types.Boolean: Kind.BOOLEAN,
    types.Date: Kind.DATE,
    types.Time: Kind.TIME,
    types.DateTime: Kind.DATETIME,
    types.NaiveDateTime: Kind.NAIVE_DATETIME,
    types.Duration: Kind.DURATION,
    types.Uuid: Kind.UUID,
    types.Inet: Kind.INET,
    types.Decimal: Kind.DECIMAL,
}


class _Converted(UserDefinedType[Any]):
    """A type whose values are converted as those of models are."""

    cache_ok = True

    def __init__(self, column_type: ColumnType, name: str = "") -> None:
        self.column_type = column_type
        self.name = name

    def get_col_spec(self, **_: object) -> str:
        return self.name

    def bind_processor(self, dialect: sa.Dialect) -> Any:
        return _unless_null(to_driver(self.column_type, dialect.name))

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        return _unless_null(from_driver(self.column_type, dialect.name))


class _Literal(TypeDecorator[Any]):
    """A type whose values can be written into SQL, where that is only read or written down."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, kind: sa.types.TypeEngine[Any], column_type: ColumnType) -> None:
        super().__init__()
        self.impl = kind  # type: ignore[assignment]  # SQLAlchemy itself sets an instance over the class
        self.column_type = column_type

    def literal_processor(self, dialect: sa.Dialect) -> Any:
        def literal(value: object) -> str:
            text = literal_sql(value, self.column_type)
            return text.sqlite if dialect.name == "sqlite" else text.postgresql

        return literal


def _unless_null(convert: Callable[[Any], object] | None) -> Callable[[object], object] | None:
    if convert is None:
        return None

    def converted(value: object) -> object:
        return None if value is None else convert(value)

    return converted


def of_name(name: str) -> sa.Table:
    """A table by its name, for names that are no Python identifiers.

    Raises:
        MigrationError: There is no such table at this point of the history.
    """
    op = running()
    if not isinstance(op, Recording):
        raise MigrationError("the tables of datalayer.migrations.tables are known inside a migration only")
    table = table_of(op.state, name)
    known, made = op.tables.get(name, (None, None))
    if made is None or known is not table:  # the same table twice in a statement is one table
        context = op.migration_context
        made = _made(table, context.dialect.name, is_text=context.as_sql)
        op.tables[name] = table, made
    return made


def __getattr__(name: str) -> sa.Table:
    if name.startswith("__"):
        raise AttributeError(name)
    return of_name(name)


def _made(table: Table, backend: str, *, is_text: bool) -> sa.Table:
    columns = [
        sa.Column(
            name,
            _written(column.type) if is_text else _type(column.type, backend),
            primary_key=name in table.primary_key,
            nullable=column.nullable,
        )
        for name, column in table.columns.items()
    ]
    return sa.Table(table.name, sa.MetaData(), *columns)


def _written(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """The type of a column whose values become part of a text."""
    if isinstance(kind, types.Array):
        return _Literal(kind, ColumnType(Kind.ARRAY, list, item=_item(kind.item, Kind.TEXT)))
    if isinstance(kind, types.Range):
        return _Literal(kind, ColumnType(Kind.RANGE, python=Range, item=_item(kind.item, Kind.INTEGER)))
    if isinstance(kind, types.Json):
        return _Literal(sa.JSON(none_as_null=True), ColumnType(Kind.JSON))
    known = Kind.BYTES if isinstance(kind, types.Bytes) else _KINDS.get(type(kind))
    if known is None:
        return kind
    precision, scale = getattr(kind, "precision", None), getattr(kind, "scale", None)
    return _Literal(kind, ColumnType(known, precision=precision, scale=scale))


def _item(kind: sa.types.TypeEngine[Any], other: Kind) -> ColumnType:
    return ColumnType(_KINDS.get(type(kind), other))


def _type(kind: sa.types.TypeEngine[Any], backend: str) -> sa.types.TypeEngine[Any]:
    if isinstance(kind, types.Array):
        if backend != "sqlite":
            return sa.ARRAY(kind.item)
        return _Converted(ColumnType(Kind.ARRAY, list, item=_item(kind.item, Kind.TEXT)))
    if isinstance(kind, types.Range):
        made = ColumnType(Kind.RANGE, python=Range, item=_item(kind.item, Kind.INTEGER))
        return _Converted(made, kind.compile(DIALECTS[backend]))
    if isinstance(kind, types.Json):
        return sa.JSON(none_as_null=True)
    known = _KINDS.get(type(kind))
    if backend != "sqlite" or known is None:
        return kind
    precision, scale = getattr(kind, "precision", None), getattr(kind, "scale", None)
    return _Converted(ColumnType(known, precision=precision, scale=scale))
