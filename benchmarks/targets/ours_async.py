"""datalayer in the awaiting world, by one task or several at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.rows import Row
from benchmarks.targets import ours, spread
from datalayer import atomic, pools


class Target(ours.Target):
    """The twins of `ours.Target`."""

    def __init__(self, url: str, model: int, tasks: int = 1) -> None:
        super().__init__(url, model)
        self.tasks = tasks

    async def insert_each(self, rows: Sequence[Row], *, is_one_transaction: bool) -> None:
        acreate, names = self.model.objects.acreate, self.names

        async def work(part: Sequence[Row]) -> list[Any]:
            for row in part:
                await acreate(**dict(zip(names, row, strict=True)))
            return []

        if is_one_transaction:
            async with atomic():
                await work(rows)
        else:
            await spread(self.tasks, rows, work)

    async def bulk(self, rows: Sequence[Row]) -> None:
        await self.model.objects.abulk_create([self.make(row) for row in rows])

    async def everything(self) -> list[Any]:
        return await self.model.objects.order_by("id")

    async def pages(self, offsets: Sequence[int]) -> list[Any]:
        found = self.model.objects.order_by("id")

        async def work(part: Sequence[int]) -> list[Any]:
            return [row for offset in part for row in await found[offset : offset + 20]]

        return await spread(self.tasks, offsets, work)

    async def get(self, keys: Sequence[int]) -> list[Any]:
        model = self.model

        async def work(part: Sequence[int]) -> list[Any]:
            return [await model.objects.aget(id=key) for key in part]

        return await spread(self.tasks, keys, work)

    async def dicts(self) -> list[Any]:
        return await self.model.objects.order_by("id").values("id", *self.names)

    async def tuples(self) -> list[Any]:
        return await self.model.objects.order_by("id").values_list("id", *self.names)

    async def load(self, first: int, count: int) -> list[Any]:
        return await self.model.objects.filter(id__gte=first).order_by("id")[:count]

    async def change_all(self, objects: Sequence[Any], rows: Sequence[Row]) -> None:
        names = self.names
        async with atomic():
            for one, row in zip(objects, rows, strict=True):
                for name, value in zip(names, row, strict=True):
                    setattr(one, name, value)
                await one.asave()

    async def change_one(self, objects: Sequence[Any], levels: Sequence[int]) -> None:
        async with atomic():
            for one, level in zip(objects, levels, strict=True):
                one.level = level
                await one.asave()

    async def delete_each(self, objects: Sequence[Any]) -> None:
        async with atomic():
            for one in objects:
                await one.adelete()

    async def change_together(self, objects: Sequence[Any], levels: Sequence[int]) -> None:
        for one, level in zip(objects, levels, strict=True):
            one.level = level
        await self.model.objects.abulk_update(objects)

    async def change_all_together(self, objects: Sequence[Any], rows: Sequence[Row]) -> None:
        for one, row in zip(objects, rows, strict=True):
            for name, value in zip(self.names, row, strict=True):
                setattr(one, name, value)
        await self.model.objects.abulk_update(objects)

    async def delete_together(self, objects: Sequence[Any]) -> None:
        await self.model.objects.abulk_delete(objects)

    async def close(self) -> None:
        await pools.aclose_all()
        super().close()
