"""datalayer in the blocking world."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.models import journal
from benchmarks.rows import Row, names
from datalayer import atomic, configure, pools
from datalayer.testing import create_tables


class Target:
    """One object for each row, saved by itself; `bulk_create` for many."""

    def __init__(self, url: str, model: int) -> None:
        configure(databases={"default": url})
        self.model: Any = journal(model)
        self.names = names(model)
        create_tables()

    def make(self, row: Row) -> Any:
        return self.model(**dict(zip(self.names, row, strict=True)))

    def insert_each(self, rows: Sequence[Row], *, is_one_transaction: bool) -> None:
        create, names = self.model.objects.create, self.names
        if is_one_transaction:
            with atomic():
                for row in rows:
                    create(**dict(zip(names, row, strict=True)))
        else:
            for row in rows:
                create(**dict(zip(names, row, strict=True)))

    def bulk(self, rows: Sequence[Row]) -> None:
        self.model.objects.bulk_create([self.make(row) for row in rows])

    def everything(self) -> list[Any]:
        return list(self.model.objects.order_by("id"))

    def pages(self, offsets: Sequence[int]) -> list[Any]:
        found = self.model.objects.order_by("id")
        return [row for offset in offsets for row in found[offset : offset + 20]]

    def get(self, keys: Sequence[int]) -> list[Any]:
        model = self.model
        return [model.objects.get(id=key) for key in keys]

    def dicts(self) -> list[Any]:
        return list(self.model.objects.order_by("id").values("id", *self.names))

    def tuples(self) -> list[Any]:
        return list(self.model.objects.order_by("id").values_list("id", *self.names))

    def load(self, first: int, count: int) -> list[Any]:
        return list(self.model.objects.filter(id__gte=first).order_by("id")[:count])

    def change_all(self, objects: Sequence[Any], rows: Sequence[Row]) -> None:
        names = self.names
        with atomic():
            for one, row in zip(objects, rows, strict=True):
                for name, value in zip(names, row, strict=True):
                    setattr(one, name, value)
                one.save()

    def change_one(self, objects: Sequence[Any], levels: Sequence[int]) -> None:
        with atomic():
            for one, level in zip(objects, levels, strict=True):
                one.level = level
                one.save()

    def delete_each(self, objects: Sequence[Any]) -> None:
        with atomic():
            for one in objects:
                one.delete()

    def change_together(self, objects: Sequence[Any], levels: Sequence[int]) -> None:
        for one, level in zip(objects, levels, strict=True):
            one.level = level
        self.model.objects.bulk_update(objects)

    def change_all_together(self, objects: Sequence[Any], rows: Sequence[Row]) -> None:
        for one, row in zip(objects, rows, strict=True):
            for name, value in zip(self.names, row, strict=True):
                setattr(one, name, value)
        self.model.objects.bulk_update(objects)

    def delete_together(self, objects: Sequence[Any]) -> None:
        self.model.objects.bulk_delete(objects)

    def plain(self, found: Sequence[Any]) -> list[Row]:
        names = ("id", *self.names)
        return [tuple([getattr(one, name) for name in names]) for one in found]

    def close(self) -> None:
        pools.close_all()
