"""Pony, in its `db_session`; on PostgreSQL it speaks psycopg2."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pony import orm

from benchmarks.rows import DEFAULTS, Row, is_nullable, kind_of, names

PYTHON: dict[str, Any] = {
    "float": float, "smallint": int, "int": int, "bigint": int, "varchar": str, "text": orm.LongStr,
    "decimal": Decimal, "json": orm.Json,
}  # fmt: skip


def bind(database: orm.Database, url: str) -> None:
    """Tells a database where it is."""
    if not url.startswith("sqlite"):
        database.bind("postgres", url)
        return

    @database.on_connect(provider="sqlite")
    def pragmas(_database: Any, connection: Any) -> None:
        connection.execute("PRAGMA journal_mode = wal").fetchall()
        connection.execute("PRAGMA synchronous = NORMAL")

    database.bind(provider="sqlite", filename=url.removeprefix("sqlite:///"), create_db=True)


class Target:
    """Entities; Pony knows no aware times, so they are kept and given in UTC without the zone."""

    def __init__(self, url: str, model: int) -> None:
        self.database = orm.Database()
        body: dict[str, Any] = {
            "_table_": "journal",
            "timestamp": orm.Required(datetime),
            "level": orm.Required(int, index=True),
            "text": orm.Required(str, 255, index=True),
        }
        if model == 2:
            body |= {
                "parent": orm.Optional("Journal", reverse="children"),
                "children": orm.Set("Journal", reverse="parent"),
                "related_to": orm.Set("Journal", reverse="related_from"),
                "related_from": orm.Set("Journal", reverse="related_to"),
            }
        for name in names(model)[3:]:
            kind = kind_of(name)
            options: dict[str, Any] = {"size": {"smallint": 16, "int": 32, "bigint": 64}[kind]} if kind in (
                "smallint", "int", "bigint",
            ) else {}  # fmt: skip
            if kind == "decimal":
                options |= {"precision": 12, "scale": 4}
            if kind == "text":
                options["lazy"] = False  # or every read of an instance would be two
            if is_nullable(name):
                body[name] = orm.Optional(PYTHON[kind], **options, **({"nullable": True} if kind != "json" else {}))
            else:
                body[name] = orm.Required(PYTHON[kind], default=DEFAULTS[kind], **options)
        self.model: Any = type(self.database.Entity)("Journal", (self.database.Entity,), body)
        self.names = names(model)

        bind(self.database, url)
        self.database.generate_mapping(create_tables=True)
        self.session: Any = None

    def values(self, row: Row) -> dict[str, Any]:
        found = {name: value for name, value in zip(self.names, row, strict=True) if value is not None}
        found["timestamp"] = row[0].replace(tzinfo=None)
        return found

    def insert_each(self, rows: Sequence[Row], *, is_one_transaction: bool) -> None:
        with orm.db_session:
            for row in rows:
                self.model(**self.values(row))
                if is_one_transaction:
                    orm.flush()
                else:
                    orm.commit()

    def bulk(self, rows: Sequence[Row]) -> None:
        with orm.db_session:
            for row in rows:
                self.model(**self.values(row))

    @orm.db_session
    def everything(self) -> list[Any]:
        return list(self.model.select().order_by(self.model.id))

    @orm.db_session
    def pages(self, offsets: Sequence[int]) -> list[Any]:
        found = self.model.select().order_by(self.model.id)
        return [row for offset in offsets for row in found.limit(20, offset=offset)]

    def get(self, keys: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        for key in keys:  # a session each, or its identity map would answer instead of the database
            with orm.db_session:
                found.append(self.model[key])
        return found

    @orm.db_session
    def dicts(self) -> list[Any]:
        names = ("id", *self.names)  # `to_dict` is of entities, which take four times as long
        return [dict(zip(names, row, strict=True)) for row in self.tuples()]

    @orm.db_session
    def tuples(self) -> list[Any]:
        text = ", ".join(f"one.{name}" for name in ("id", *self.names))
        return list(orm.select(f"({text}) for one in Model", {"Model": self.model}).order_by(1))

    def load(self, first: int, count: int) -> list[Any]:
        self.session = orm.db_session(optimistic=False)  # entities live in one, which ends when they are written
        self.session.__enter__()
        return list(self.model.select(lambda one: one.id >= first).order_by(self.model.id).limit(count))

    def change_all(self, objects: Sequence[Any], rows: Sequence[Row]) -> None:
        for one, row in zip(objects, rows, strict=True):
            one.set(**self.values(row))
        self.session.__exit__()

    def change_one(self, objects: Sequence[Any], levels: Sequence[int]) -> None:
        for one, level in zip(objects, levels, strict=True):
            one.level = level
        self.session.__exit__()

    def delete_each(self, objects: Sequence[Any]) -> None:
        for one in objects:
            one.delete()
        self.session.__exit__()

    def delete_together(self, objects: Sequence[Any]) -> None:
        keys = [one.id for one in objects]
        self.model.select(lambda one: one.id in keys).delete(bulk=True)
        self.session.__exit__()

    def plain(self, found: Sequence[Any]) -> list[Row]:
        with orm.db_session:
            rows = [tuple([getattr(one, name) for name in ("id", *self.names)]) for one in found]
        return [(row[0], row[1].replace(tzinfo=UTC), *row[2:]) for row in rows]

    def close(self) -> None:
        self.database.disconnect()
