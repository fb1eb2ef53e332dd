"""The models of the measurements, as `rows.py` describes them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from benchmarks.rows import DEFAULTS, WIDE, is_nullable, kind_of
from datalayer import BigInt, Field, ForeignKey, ManyToMany, Mapped, Model, SmallInt


def journal(number: int) -> type[Model]:
    """The model 1, 2 or 3; a process measures one of them."""
    return {1: _simple, 2: _related, 3: _wide}[number]()


def _simple() -> type[Model]:
    class Journal(Model):
        timestamp: Mapped[datetime] = Field()
        level: Mapped[int] = Field(index=True)
        text: Mapped[str] = Field(max_length=255, index=True)

    return Journal


def _related() -> type[Model]:
    class Journal(Model):
        timestamp: Mapped[datetime] = Field()
        level: Mapped[int] = Field(index=True)
        text: Mapped[str] = Field(max_length=255, index=True)
        parent: ForeignKey[Journal | None] = ForeignKey(default=None, related_name="children")
        related: ManyToMany[Journal] = ManyToMany(related_name="related_from", symmetrical=False)

    return Journal


ANNOTATIONS: dict[str, Any] = {
    "float": float,
    "smallint": SmallInt,
    "int": int,
    "bigint": BigInt,
    "varchar": str,
    "text": str,
    "decimal": Decimal,
    "json": dict[str, Any],
}


def _wide() -> type[Model]:
    annotations: dict[str, Any] = {"timestamp": datetime, "level": int, "text": str}
    body: dict[str, Any] = {
        "__module__": __name__,
        "__qualname__": "Journal",
        "level": Field(index=True),
        "text": Field(max_length=255, index=True),
    }
    for name in WIDE:
        kind = kind_of(name)
        options: dict[str, Any] = {"default": None if is_nullable(name) else DEFAULTS[kind]}
        if kind == "varchar":
            options["max_length"] = 255
        if kind == "decimal":
            options |= {"max_digits": 12, "decimal_places": 4}
        if kind == "json" and not is_nullable(name):
            options = {"default_factory": DEFAULTS[kind].copy}
        annotations[name] = ANNOTATIONS[kind] | None if is_nullable(name) else ANNOTATIONS[kind]
        body[name] = Field(**options)
    body["__annotations__"] = annotations
    made: type[Model] = type(Model)("Journal", (Model,), body)
    return made
