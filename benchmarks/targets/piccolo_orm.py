"""Piccolo, over aiosqlite and asyncpg with a pool."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from piccolo import columns
from piccolo.columns.indexes import IndexMethod
from piccolo.table import Table, create_db_tables

from benchmarks.rows import DEFAULTS, Row, is_nullable, kind_of, names
from benchmarks.targets import spread


class Target:
    """Everything awaited, by one task or several at a time."""

    def __init__(self, url: str, model: int, tasks: int = 1) -> None:
        self.tasks = tasks
        self.names = names(model)
        self.is_sqlite = url.startswith("sqlite")
        self.url = url
        self.has_json = model == 3  # its look for JSON copies each row
        kinds: dict[str, Any] = {
            "float": columns.DoublePrecision, "smallint": columns.SmallInt, "int": columns.Integer,
            "bigint": columns.BigInt, "varchar": columns.Varchar, "text": columns.Text, "decimal": columns.Numeric,
            "json": columns.JSON if self.is_sqlite else columns.JSONB,
        }  # fmt: skip
        body: dict[str, Any] = {
            "__module__": __name__,
            "timestamp": columns.Timestamptz(),
            "level": columns.Integer(index=True, index_method=IndexMethod.btree),
            "text": columns.Varchar(length=255, index=True),
        }
        if model == 2:
            body["parent"] = columns.ForeignKey("self", null=True, index=True)
        for name in names(model)[3:]:
            kind = kind_of(name)
            default = DEFAULTS[kind]
            options: dict[str, Any] = {"null": True, "default": None} if is_nullable(name) else {"default": default}
            if kind == "json" and not is_nullable(name):
                options["default"] = json.dumps(default)
            if kind == "decimal":
                options["digits"] = (12, 4)
            body[name] = kinds[kind](**options)
        if self.is_sqlite:
            from piccolo.engine.sqlite import SQLiteEngine

            self.engine: Any = SQLiteEngine(path=url.removeprefix("sqlite:///"))
        else:
            from piccolo.engine.postgres import PostgresEngine

            self.engine = PostgresEngine(config={"dsn": url})
        self.model: Any = type(Table)("Journal", (Table,), body, db=self.engine, tablename="journal")
        self.made = [self.model]
        if model == 2:
            links = {f"{end}_id": columns.ForeignKey(self.model, null=False, index=True) for end in ("from", "to")}
            links["__module__"] = __name__
            self.made.append(type(Table)("Related", (Table,), links, db=self.engine, tablename="journal_related"))
        self.columns = [getattr(self.model, name) for name in ("id", *self.names)]

    async def open(self) -> None:
        if self.is_sqlite:
            await self.engine._run_in_new_connection("PRAGMA journal_mode = wal")
        else:
            await self.engine.start_connection_pool(max_size=10)
        await create_db_tables(*self.made)

    def make(self, row: Row) -> Any:
        return self.model(**dict(zip(self.names, row, strict=True)))

    async def insert_each(self, rows: Sequence[Row], *, is_one_transaction: bool) -> None:
        async def work(part: Sequence[Row]) -> list[Any]:
            for row in part:
                await self.make(row).save()
            return []

        if is_one_transaction:
            async with self.engine.transaction():
                await work(rows)
        else:
            await spread(self.tasks, rows, work)

    async def bulk(self, rows: Sequence[Row]) -> None:
        step = 30_000 // (len(self.names) + 2)  # PostgreSQL takes 32 767 values a statement
        async with self.engine.transaction():
            for start in range(0, len(rows), step):
                await self.model.insert(*[self.make(row) for row in rows[start : start + step]])

    async def everything(self) -> list[Any]:
        return await self.model.objects().order_by(self.model.id).output(load_json=self.has_json)

    async def pages(self, offsets: Sequence[int]) -> list[Any]:
        async def work(part: Sequence[int]) -> list[Any]:
            found: list[Any] = []
            for offset in part:
                page = self.model.objects().order_by(self.model.id).limit(20).offset(offset)
                found += await page.output(load_json=self.has_json)
            return found

        return await spread(self.tasks, offsets, work)

    async def get(self, keys: Sequence[int]) -> list[Any]:
        async def work(part: Sequence[int]) -> list[Any]:
            return [
                await self.model.objects().get(self.model.id == key).output(load_json=self.has_json) for key in part
            ]

        return await spread(self.tasks, keys, work)

    async def dicts(self) -> list[Any]:
        return await self.model.select(*self.columns).order_by(self.model.id).output(load_json=self.has_json)

    async def tuples(self) -> list[Any]:
        found = await self.dicts()
        return [tuple(row.values()) for row in found]

    async def load(self, first: int, count: int) -> list[Any]:
        return await self.model.objects().where(self.model.id >= first).order_by(self.model.id).limit(count)

    async def change_all(self, objects: Sequence[Any], rows: Sequence[Row]) -> None:
        async with self.engine.transaction():
            for one, row in zip(objects, rows, strict=True):
                for name, value in zip(self.names, row, strict=True):
                    setattr(one, name, value)
                await one.save()

    async def change_one(self, objects: Sequence[Any], levels: Sequence[int]) -> None:
        only = [self.model.level]
        async with self.engine.transaction():
            for one, level in zip(objects, levels, strict=True):
                one.level = level
                await one.save(columns=only)

    async def delete_each(self, objects: Sequence[Any]) -> None:
        async with self.engine.transaction():
            for one in objects:
                await one.remove()

    async def delete_together(self, objects: Sequence[Any]) -> None:
        await self.model.delete().where(self.model.id.is_in([one.id for one in objects]))

    def plain(self, found: Sequence[Any]) -> list[Row]:
        rows: list[Row] = []
        for one in found:
            values = [getattr(one, name) for name in ("id", *self.names)]
            for place, name in enumerate(self.names, 1):
                if name.startswith("json") and isinstance(values[place], str):
                    values[place] = json.loads(values[place])
            rows.append(tuple(values))
        return rows

    async def close(self) -> None:
        if not self.is_sqlite:
            await self.engine.close_connection_pool()
