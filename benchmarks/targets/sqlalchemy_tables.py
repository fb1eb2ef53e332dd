"""What the targets on SQLAlchemy share: the engines, and the types of the columns."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from benchmarks.rows import DEFAULTS, is_nullable, kind_of

AUTOCOMMIT: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}
"""For one statement at a time: no BEGIN before it, and no COMMIT or ROLLBACK behind it."""


def engine(url: str, **options: Any) -> sa.Engine:
    """An engine with the pragmas of all targets, or psycopg with prepared statements."""
    if not url.startswith("sqlite"):
        return sa.create_engine(address(url), connect_args={"prepare_threshold": 0}, **options)
    made = sa.create_engine(url, **options)

    @sa.event.listens_for(made, "connect")
    def pragmas(connection: Any, _record: Any) -> None:
        for pragma in ("journal_mode = wal", "synchronous = NORMAL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}").fetchall()

    return made


def address(url: str) -> str:
    """The URL of a server in SQLAlchemy's words."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def links(metadata: sa.MetaData) -> sa.Table:
    """The table of the many to many of model 2."""
    names = ("from_id", "to_id")
    columns = [sa.Column(name, sa.ForeignKey("journal.id", ondelete="CASCADE"), primary_key=True) for name in names]
    return sa.Table("journal_related", metadata, *columns)


def dicts(result: sa.Result[Any]) -> list[dict[str, Any]]:
    """Rows as dicts; made of `mappings()` each takes twice as long."""
    names = tuple(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result]


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
