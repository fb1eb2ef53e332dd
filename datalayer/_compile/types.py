"""Column types that mean the same on every backend, and SQL text that may differ between them.

Migration files use these names (`datalayer.migrations.types` hands them out), so one file runs on SQLite and on
PostgreSQL. Each type writes itself for both; its `repr` is what makemigrations writes down.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import UserDefinedType

from datalayer._compile.values import EXACT_DIGITS

Collation: TypeAlias = str | Mapping[str, str] | tuple[str, str]
"""The name of a collation: for both backends, by the name of the backend, or for SQLite and for PostgreSQL."""


def collation_pair(given: Collation | None) -> tuple[str, str]:
    """The collation on SQLite and on PostgreSQL; empty for the database's own."""
    if isinstance(given, Mapping):
        return given.get("sqlite", ""), given.get("postgresql", "")
    if isinstance(given, tuple):
        return given
    return given or "", given or ""


# SQLite numbers rows by itself only in a column declared INTEGER, and its integers all have 64 bits.


class SmallInteger(sa.SmallInteger):
    """A whole number of 16 bits."""


class Integer(sa.Integer):
    """A whole number of 32 bits."""


class BigInteger(sa.BigInteger):
    """A whole number of 64 bits."""


class Float(sa.Double[float]):
    """A floating point number of double precision."""


class Decimal(sa.Numeric[Any]):
    """An exact decimal number.

    SQLite keeps 15 digits exactly as numbers; longer ones are kept as text, because its 64 bit floats would round.
    """

    def __init__(self, precision: int | None = None, scale: int | None = None) -> None:
        super().__init__(precision, scale)


class Boolean(sa.Boolean):
    """True or false."""


class String(sa.String):
    """Text of at most `length` characters.

    Args:
        length: In characters.
        collation: What compares and orders it, a name for both backends or one for each.
    """

    def __init__(self, length: int | None = None, collation: Collation | None = None) -> None:
        super().__init__(length)
        self.collations = collation_pair(collation)  # apart from SQLAlchemy's, which is one for every backend


class Text(sa.Text):
    """Text of any length.

    Args:
        collation: What compares and orders it, a name for both backends or one for each.
    """

    def __init__(self, *, collation: Collation | None = None) -> None:
        super().__init__()
        self.collations = collation_pair(collation)


def collation_of(type_: sa.String) -> tuple[str, str]:
    """The collation that a type has on SQLite and on PostgreSQL; empty for the database's own."""
    return type_.collations if isinstance(type_, String | Text) else collation_pair(type_.collation)


def _collated(text: str, type_: sa.String, dialect: sa.Dialect) -> str:
    """A type with its collation behind it, quoted: whatever it holds is a name."""
    name = collation_of(type_)[dialect.name != "sqlite"]
    return f"{text} COLLATE {dialect.identifier_preparer.quote_identifier(name)}" if name else text


@compiles(String)
def _write_string(type_: String, compiler: Any, **options: Any) -> str:
    text = "VARCHAR" if type_.length is None else f"VARCHAR({type_.length})"
    return _collated(text, type_, compiler.dialect)


@compiles(Text)
def _write_text(type_: Text, compiler: Any, **options: Any) -> str:
    return _collated("TEXT", type_, compiler.dialect)


class Bytes(sa.LargeBinary):
    """Bytes of any length."""


class Date(sa.Date):
    """A day."""


class Time(sa.Time):
    """A time of day."""


class DateTime(sa.DateTime):
    """A moment in time, kept in UTC."""

    def __init__(self) -> None:
        super().__init__(timezone=True)


class NaiveDateTime(sa.DateTime):
    """A day and a time of day without a time zone."""

    def __init__(self) -> None:
        super().__init__(timezone=False)


class Duration(UserDefinedType[Any]):
    """A length of time; SQLite keeps it in microseconds."""

    cache_ok = True


class Uuid(sa.Uuid[uuid.UUID]):
    """A UUID; SQLite keeps its canonical text."""

    def __init__(self) -> None:
        super().__init__(as_uuid=True)


class Json(sa.JSON):
    """JSON; `jsonb` on PostgreSQL and text on SQLite."""


class Inet(UserDefinedType[Any]):
    """An IP address or network."""

    cache_ok = True


class Array(UserDefinedType[Any]):
    """A list of values of one type: an array on PostgreSQL, JSON text on SQLite."""

    cache_ok = True

    def __init__(self, item: sa.types.TypeEngine[Any] | type[sa.types.TypeEngine[Any]]) -> None:
        self.item: sa.types.TypeEngine[Any] = item() if isinstance(item, type) else item

    def __repr__(self) -> str:
        return f"Array({self.item!r})"


@compiles(Array)
def _write_array(type_: Array, compiler: Any, **options: Any) -> str:
    return "TEXT" if compiler.dialect.name == "sqlite" else f"{compiler.process(type_.item)}[]"


class Range(UserDefinedType[Any]):
    """All values of one type from one to another: a range on PostgreSQL, text on SQLite."""

    cache_ok = True

    def __init__(self, item: sa.types.TypeEngine[Any] | type[sa.types.TypeEngine[Any]]) -> None:
        self.item: sa.types.TypeEngine[Any] = item() if isinstance(item, type) else item

    def __repr__(self) -> str:
        return f"Range({self.item!r})"


@compiles(Range)
def _write_range(type_: Range, compiler: Any, **options: Any) -> str:
    if compiler.dialect.name == "sqlite":
        return "TEXT"
    found = next((name for kind, name in _RANGES if type(type_.item) is kind), None)
    if found is None:
        raise TypeError(f"there are no ranges of {type_.item!r}")
    return found


PORTABLE: tuple[type[sa.types.TypeEngine[Any]], ...] = (
    SmallInteger, Integer, BigInteger, Float, Decimal, Boolean, String, Text, Bytes, Date, Time, DateTime,
    NaiveDateTime, Duration, Uuid, Json, Inet, Array, Range,
)  # fmt: skip

_RANGES: tuple[tuple[type, str], ...] = (
    (Integer, "INT4RANGE"), (BigInteger, "INT8RANGE"), (Decimal, "NUMRANGE"),
    (Date, "DATERANGE"), (DateTime, "TSTZRANGE"), (NaiveDateTime, "TSRANGE"),
)  # fmt: skip

_FIXED: dict[type, tuple[str, str]] = {
    SmallInteger: ("INTEGER", "SMALLINT"),
    Integer: ("INTEGER", "INTEGER"),
    BigInteger: ("INTEGER", "BIGINT"),
    Float: ("DOUBLE", "DOUBLE PRECISION"),
    Boolean: ("BOOLEAN", "BOOLEAN"),
    Bytes: ("BLOB", "BYTEA"),
    Date: ("DATE", "DATE"),
    Time: ("TIME", "TIME WITHOUT TIME ZONE"),
    DateTime: ("DATETIME", "TIMESTAMP WITH TIME ZONE"),
    NaiveDateTime: ("TIMESTAMP", "TIMESTAMP WITHOUT TIME ZONE"),
    Duration: ("BIGINT", "INTERVAL"),
    Uuid: ("CHAR(36)", "UUID"),
    Json: ("TEXT", "JSONB"),
    Inet: ("TEXT", "INET"),
}


def _register(kind: type, sqlite: str, postgresql: str) -> None:
    def write(type_: Any, compiler: Any, **options: Any) -> str:
        return sqlite if compiler.dialect.name == "sqlite" else postgresql

    compiles(kind)(write)


for _kind, (_sqlite, _postgresql) in _FIXED.items():
    _register(_kind, _sqlite, _postgresql)

WIDE_DECIMAL = "TEXT COLLATE datalayer_decimal"
"""Longer ones on SQLite: text that compares, sorts, groups, is unique and is indexed by its value."""


@compiles(Decimal)
def _write_decimal(type_: Decimal, compiler: Any, **options: Any) -> str:
    if compiler.dialect.name == "sqlite" and (type_.precision is None or type_.precision > EXACT_DIGITS):
        return WIDE_DECIMAL
    name = "DECIMAL" if compiler.dialect.name == "sqlite" else "NUMERIC"
    if type_.precision is None:
        return name
    return f"{name}({type_.precision}, {type_.scale or 0})"


def written(type_: sa.types.TypeEngine[Any]) -> str:
    """The type as a migration file says it: `types.String(200)`, or `sa.…` for one that is not ours."""
    name = type(type_).__name__
    if type(type_) not in PORTABLE:
        return f"sa.{type_!r}"
    if isinstance(type_, Array | Range):
        return f"types.{name}({written(type_.item)})"
    if isinstance(type_, String | Text):
        parts = [str(type_.length)] if type_.length else []
        return f"types.{name}({', '.join(parts + _collation_source(type_))})"
    if isinstance(type_, Decimal):
        return f"types.{name}({'' if type_.precision is None else f'{type_.precision}, {type_.scale or 0}'})"
    return f"types.{name}()"


def _collation_source(type_: String | Text) -> list[str]:
    """The collation of a type as Python source, where it has one."""
    sqlite, postgresql = collation_of(type_)
    if not sqlite and not postgresql:
        return []
    if sqlite == postgresql:
        return [f"collation={json.dumps(sqlite)}"]
    names = {"sqlite": sqlite, "postgresql": postgresql}
    return [f"collation={json.dumps({backend: name for backend, name in names.items() if name})}"]


@compiles(sa.UniqueConstraint, "sqlite")
def _write_unique(constraint: sa.UniqueConstraint, compiler: Any, **options: Any) -> str:
    # SQLite can put off foreign keys alone, and does not read the words after another constraint.
    deferrable, initially = constraint.deferrable, constraint.initially
    constraint.deferrable = constraint.initially = None
    try:
        return str(compiler.visit_unique_constraint(constraint, **options))
    finally:
        constraint.deferrable, constraint.initially = deferrable, initially


class BackendSql(sa.Executable, sa.ColumnElement[Any]):
    """SQL text as it is, the same on both backends or one text for each."""

    inherit_cache = False
    supports_execution = True

    def __init__(self, sqlite: str, postgresql: str) -> None:
        self.sqlite = sqlite
        self.postgresql = postgresql


@compiles(BackendSql)
def _write_sql(element: BackendSql, compiler: Any, **options: Any) -> str:
    text = element.sqlite if compiler.dialect.name == "sqlite" else element.postgresql
    # The driver of PostgreSQL reads % as the start of a placeholder, unless the dialect says otherwise.
    return text.replace("%", "%%") if compiler.preparer._double_percents else text


def sql(text: str | None = None, /, *, sqlite: str | None = None, postgresql: str | None = None) -> BackendSql:
    """SQL text for a default, a CHECK or the condition of an index; taken as it is.

    Args:
        text: The text for every backend.
        sqlite: The text for SQLite, instead of `text`.
        postgresql: The text for PostgreSQL, instead of `text`.
    """
    if text is None and (sqlite is None or postgresql is None):
        raise TypeError("sql() needs one text, or both sqlite= and postgresql=")
    common = text or ""
    return BackendSql(common if sqlite is None else sqlite, common if postgresql is None else postgresql)
