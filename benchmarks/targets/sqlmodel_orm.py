"""SQLModel: pydantic models over SQLAlchemy's ORM."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel

from benchmarks.rows import DEFAULTS, is_nullable, kind_of, names
from benchmarks.targets import sqlalchemy_orm
from benchmarks.targets import sqlalchemy_tables as shared

PYTHON: dict[str, Any] = {
    "float": float, "smallint": int, "int": int, "bigint": int, "varchar": str, "text": str, "decimal": Decimal,
    "json": dict,
}  # fmt: skip


class Target(sqlalchemy_orm.Target):
    """The same with SQLModel's classes and session."""

    def __init__(self, url: str, model: int) -> None:
        super().__init__(url, model)
        self.session.class_ = self.alone.class_ = Session

    def declared(self, model: int) -> Any:
        self.metadata = SQLModel.metadata
        annotations: dict[str, Any] = {"id": int | None, "timestamp": datetime, "level": int, "text": str}
        body: dict[str, Any] = {
            "__module__": __name__,
            "__qualname__": "Journal",
            "id": Field(default=None, primary_key=True),
            "timestamp": Field(sa_type=sa.DateTime(timezone=True)),
            "level": Field(index=True),
            "text": Field(index=True, max_length=255),
        }
        if model == 2:
            annotations["parent_id"] = int | None
            body["parent_id"] = Field(default=None, foreign_key="journal.id", ondelete="CASCADE", index=True)
            shared.links(self.metadata)
        types = shared.types()
        for name in names(model)[3:]:
            kind = kind_of(name)
            annotations[name] = PYTHON[kind] | None if is_nullable(name) else PYTHON[kind]
            body[name] = Field(
                default=None if is_nullable(name) else DEFAULTS[kind],
                sa_type=types[kind],
                nullable=is_nullable(name),
            )
        body["__annotations__"] = annotations
        return type(SQLModel)("Journal", (SQLModel,), body, table=True)
