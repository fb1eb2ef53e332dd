"""Tortoise, over aiosqlite and asyncpg."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Sequence
from typing import Any

from tortoise import Tortoise, fields
from tortoise.models import Model
from tortoise.transactions import in_transaction

from benchmarks.rows import DEFAULTS, Row, is_nullable, kind_of, names
from benchmarks.targets import spread


def declared(model: int) -> Any:
    kinds: dict[str, Any] = {
        "float": fields.FloatField, "smallint": fields.SmallIntField, "int": fields.IntField,
        "bigint": fields.BigIntField, "varchar": fields.CharField, "text": fields.TextField,
        "decimal": fields.DecimalField, "json": fields.JSONField,
    }  # fmt: skip
    body: dict[str, Any] = {
        "__module__": "benchmarks.tortoise_models",
        "id": fields.IntField(primary_key=True),
        "timestamp": fields.DatetimeField(),
        "level": fields.IntField(db_index=True),
        "text": fields.CharField(255, db_index=True),
        "Meta": type("Meta", (), {"table": "journal"}),
    }
    if model == 2:
        body["parent"] = fields.ForeignKeyField("models.Journal", related_name="children", null=True, db_index=True)
        body["related_to"] = fields.ManyToManyField("models.Journal", related_name="related_from")
    for name in names(model)[3:]:
        kind = kind_of(name)
        options: dict[str, Any] = {"null": True} if is_nullable(name) else {"default": DEFAULTS[kind]}
        if kind == "varchar":
            options["max_length"] = 255
        if kind == "decimal":
            options |= {"max_digits": 12, "decimal_places": 4}
        body[name] = kinds[kind](**options)
    return type("Journal", (Model,), body)


def url_of(url: str, connections: int = 10) -> str:
    """A URL in Tortoise's words."""
    if url.startswith("sqlite"):
        pragmas = "journal_mode=WAL&synchronous=NORMAL&foreign_keys=ON&journal_size_limit=-1"
        return f"sqlite://{url.removeprefix('sqlite:///')}?{pragmas}"
    return url.replace("postgresql://", "asyncpg://", 1) + ("&" if "?" in url else "?") + f"maxsize={connections}"


class Target:
    """Everything awaited, by one task or several at a time."""

    def __init__(self, url: str, model: int, tasks: int = 1, connections: int = 10) -> None:
        self.tasks, self.connections = tasks, connections
        self.names = names(model)
        self.model: Any = declared(model)
        self.url = url
        module = types.ModuleType("benchmarks.tortoise_models")
        module.Journal = self.model  # type: ignore[attr-defined]  # a module made here has what is put into it
        sys.modules[module.__name__] = module

    async def open(self) -> None:
        await Tortoise.init(
            db_url=url_of(self.url, self.connections), modules={"models": ["benchmarks.tortoise_models"]}, use_tz=True
        )
        await Tortoise.generate_schemas()

    def make(self, row: Row) -> Any:
        return self.model(**dict(zip(self.names, row, strict=True)))

    async def insert_each(self, rows: Sequence[Row], *, is_one_transaction: bool) -> None:
        create, names = self.model.create, self.names

        async def work(part: Sequence[Row]) -> list[Any]:
            for row in part:
                await create(**dict(zip(names, row, strict=True)))
            return []

        if is_one_transaction:
            async with in_transaction():
                await work(rows)
        else:
            await spread(self.tasks, rows, work)

    async def bulk(self, rows: Sequence[Row]) -> None:
        await self.model.bulk_create([self.make(row) for row in rows])

    async def everything(self) -> list[Any]:
        return list(await self.model.all().order_by("id"))

    async def pages(self, offsets: Sequence[int]) -> list[Any]:
        async def work(part: Sequence[int]) -> list[Any]:
            return [row for offset in part for row in await self.model.all().order_by("id").limit(20).offset(offset)]

        return await spread(self.tasks, offsets, work)

    async def get(self, keys: Sequence[int]) -> list[Any]:
        async def work(part: Sequence[int]) -> list[Any]:
            return [await self.model.get(id=key) for key in part]

        return await spread(self.tasks, keys, work)

    async def dicts(self) -> list[Any]:
        return list(await self.model.all().order_by("id").values("id", *self.names))

    async def tuples(self) -> list[Any]:
        return list(await self.model.all().order_by("id").values_list("id", *self.names))

    async def load(self, first: int, count: int) -> list[Any]:
        return list(await self.model.filter(id__gte=first).order_by("id").limit(count))

    async def change_all(self, objects: Sequence[Any], rows: Sequence[Row]) -> None:
        names = self.names
        async with in_transaction():
            for one, row in zip(objects, rows, strict=True):
                for name, value in zip(names, row, strict=True):
                    setattr(one, name, value)
                await one.save()

    async def change_one(self, objects: Sequence[Any], levels: Sequence[int]) -> None:
        async with in_transaction():
            for one, level in zip(objects, levels, strict=True):
                one.level = level
                await one.save(update_fields=["level"])

    async def delete_each(self, objects: Sequence[Any]) -> None:
        async with in_transaction():
            for one in objects:
                await one.delete()

    async def change_together(self, objects: Sequence[Any], levels: Sequence[int]) -> None:
        for one, level in zip(objects, levels, strict=True):
            one.level = level
        await self.model.bulk_update(objects, fields=["level"])

    async def change_all_together(self, objects: Sequence[Any], rows: Sequence[Row]) -> None:
        for one, row in zip(objects, rows, strict=True):
            for name, value in zip(self.names, row, strict=True):
                setattr(one, name, value)
        # In batches, since PostgreSQL takes 32 767 values a statement and each row brings several for each field.
        await self.model.bulk_update(objects, fields=self.names, batch_size=200)

    async def delete_together(self, objects: Sequence[Any]) -> None:
        await self.model.filter(id__in=[one.id for one in objects]).delete()

    def plain(self, found: Sequence[Any]) -> list[Row]:
        return [tuple([getattr(one, name) for name in ("id", *self.names)]) for one in found]

    async def close(self) -> None:
        await Tortoise.close_connections()
        await asyncio.sleep(0)
