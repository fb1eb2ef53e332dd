"""What the targets on SQLAlchemy share: the engine, and the types of the columns."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from benchmarks.rows import DEFAULTS, is_nullable, kind_of


def engine(url: str) -> sa.Engine:
    """An engine with the pragmas of all targets, or psycopg with prepared statements."""
    if not url.startswith("sqlite"):
        return sa.create_engine(
            url.replace("postgresql://", "postgresql+psycopg://", 1), connect_args={"prepare_threshold": 0}
        )
    made = sa.create_engine(url)

    @sa.event.listens_for(made, "connect")
    def pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode = wal", "synchronous = NORMAL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}").fetchall()

    @sa.event.listens_for(made, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    return made


def types() -> dict[str, Any]:
    """The type of each kind of column."""
    return {
        "float": sa.Float(53),
        "smallint": sa.SmallInteger(),
        "int": sa.Integer(),
        "bigint": sa.BigInteger(),
        "varchar": sa.String(255),
        "text": sa.Text(),
        "decimal": sa.Numeric(12, 4),
        "json": sa.JSON().with_variant(JSONB(), "postgresql"),
    }


def options(name: str) -> dict[str, Any]:
    """The default or the NULL of a wide column."""
    return {"nullable": True} if is_nullable(name) else {"nullable": False, "default": DEFAULTS[kind_of(name)]}
