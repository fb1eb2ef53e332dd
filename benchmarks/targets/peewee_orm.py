"""peewee, with its database open for the whole run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import peewee

from benchmarks.rows import DEFAULTS, Row, is_nullable, kind_of, names


class Stamp(peewee.DateTimeField):
    """An aware time, which peewee leaves to its user on SQLite: kept in UTC without the zone."""

    def db_value(self, value: Any) -> Any:
        return value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value

    def python_value(self, value: Any) -> Any:
        return datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value


class Json(peewee.TextField):
    """JSON as text."""

    def db_value(self, value: Any) -> Any:
        return None if value is None else json.dumps(value)

    def python_value(self, value: Any) -> Any:
        return None if value is None else json.loads(value)


def linked(model: Any) -> Any:
    """The table of a many to many between rows of one model."""

    class Related(peewee.Model):  # type: ignore[misc]  # peewee is not typed
        origin = peewee.ForeignKeyField(model, backref="related", on_delete="CASCADE", column_name="from_id")
        to = peewee.ForeignKeyField(model, backref="related_from", on_delete="CASCADE")

        class Meta:
            database = model._meta.database
            table_name = "journal_related"
            indexes = ((("origin", "to"), True),)

    return Related


class Target:
    """Instances by `create`, `get_by_id` and `save`; `dicts()` and `tuples()` for the others."""

    def __init__(self, url: str, model: int, database: Any = None) -> None:
        kinds: dict[str, Any] = {
            "float": peewee.DoubleField, "smallint": peewee.SmallIntegerField, "int": peewee.IntegerField,
            "bigint": peewee.BigIntegerField, "varchar": peewee.CharField, "text": peewee.TextField,
            "decimal": peewee.DecimalField, "json": Json,
        }  # fmt: skip
        stamp: Any = Stamp
        if url.startswith("sqlite"):
            pragmas = {"journal_mode": "wal", "synchronous": "normal", "foreign_keys": 1}
            self.database: Any = peewee.SqliteDatabase(url.removeprefix("sqlite:///"), pragmas=pragmas)
        else:
            from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField, Psycopg3Database

            self.database = database or Psycopg3Database(url, prepare_threshold=0)
            kinds["json"], stamp = BinaryJSONField, DateTimeTZField

        def field(name: str) -> Any:
            kind = kind_of(name)
            options: dict[str, Any] = {"null": True} if is_nullable(name) else {"default": DEFAULTS[kind]}
            if kind == "json" and not is_nullable(name):
                options = {"default": DEFAULTS[kind].copy}
            if kind == "json" and kinds["json"] is not Json:
                options["index"] = False
            if kind == "decimal":
                options |= {"max_digits": 12, "decimal_places": 4, "auto_round": True}
            return kinds[kind](**options)

        body: dict[str, Any] = {
            "timestamp": stamp(),
            "level": peewee.IntegerField(index=True),
            "text": peewee.CharField(255, index=True),
            "Meta": type("Meta", (), {"database": self.database, "table_name": "journal"}),
        }
        if model == 2:
            body["parent"] = peewee.ForeignKeyField("self", null=True, backref="children", on_delete="CASCADE")
        body |= {name: field(name) for name in names(model)[3:]}
        self.model: Any = type("Journal", (peewee.Model,), body)
        made = [self.model]
        if model == 2:
            made.append(linked(self.model))
        self.names = names(model)
        self.fields = [getattr(self.model, name) for name in ("id", *self.names)]
        self.database.connect()
        self.database.create_tables(made)  # where they are not there

    def make(self, row: Row) -> Any:
        return self.model(**dict(zip(self.names, row, strict=True)))

    def insert_each(self, rows: Sequence[Row], *, is_one_transaction: bool) -> None:
        create, names = self.model.create, self.names
        if is_one_transaction:
            with self.database.atomic():
                for row in rows:
                    create(**dict(zip(names, row, strict=True)))
        else:
            for row in rows:
                create(**dict(zip(names, row, strict=True)))

    def bulk(self, rows: Sequence[Row]) -> None:
        fields = self.fields[1:]
        with self.database.atomic():
            for part in peewee.chunked(rows, 30_000 // len(fields)):
                self.model.insert_many(part, fields=fields).execute()

    def everything(self) -> list[Any]:
        return list(self.model.select().order_by(self.model.id).iterator())

    def pages(self, offsets: Sequence[int]) -> list[Any]:
        found = self.model.select().order_by(self.model.id)
        return [row for offset in offsets for row in found.limit(20).offset(offset)]

    def get(self, keys: Sequence[int]) -> list[Any]:
        get = self.model.get_by_id
        return [get(key) for key in keys]

    def dicts(self) -> list[Any]:
        return list(self.model.select(*self.fields).order_by(self.model.id).dicts().iterator())

    def tuples(self) -> list[Any]:
        return list(self.model.select(*self.fields).order_by(self.model.id).tuples().iterator())

    def load(self, first: int, count: int) -> list[Any]:
        return list(self.model.select().where(self.model.id >= first).order_by(self.model.id).limit(count))

    def change_all(self, objects: Sequence[Any], rows: Sequence[Row]) -> None:
        names = self.names
        with self.database.atomic():
            for one, row in zip(objects, rows, strict=True):
                for name, value in zip(names, row, strict=True):
                    setattr(one, name, value)
                one.save()

    def change_one(self, objects: Sequence[Any], levels: Sequence[int]) -> None:
        only = [self.model.level]
        with self.database.atomic():
            for one, level in zip(objects, levels, strict=True):
                one.level = level
                one.save(only=only)

    def delete_each(self, objects: Sequence[Any]) -> None:
        with self.database.atomic():
            for one in objects:
                one.delete_instance()

    def change_together(self, objects: Sequence[Any], levels: Sequence[int]) -> None:
        for one, level in zip(objects, levels, strict=True):
            one.level = level
        with self.database.atomic():
            self.model.bulk_update(objects, fields=[self.model.level], batch_size=100)

    def change_all_together(self, objects: Sequence[Any], rows: Sequence[Row]) -> None:
        if len(self.names) > 4 and not isinstance(self.database, peewee.SqliteDatabase):
            return self.change_all(objects, rows)  # PostgreSQL refuses its CASE of values that are all None: text
        for one, row in zip(objects, rows, strict=True):
            for name, value in zip(self.names, row, strict=True):
                setattr(one, name, value)
        with self.database.atomic():
            self.model.bulk_update(objects, fields=self.fields[1:], batch_size=100)
        return None

    def delete_together(self, objects: Sequence[Any]) -> None:
        self.model.delete().where(self.model.id.in_([one.id for one in objects])).execute()

    def plain(self, found: Sequence[Any]) -> list[Row]:
        return [tuple([getattr(one, name) for name in ("id", *self.names)]) for one in found]

    def close(self) -> None:
        self.database.close()
