"""SQLAlchemy Core: tables and statements; an "instance" is a row, a named tuple."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from benchmarks.rows import Row, kind_of, names
from benchmarks.targets import sqlalchemy_tables as shared


class Target:
    """Statements made once and kept, values by name."""

    def __init__(self, url: str, model: int) -> None:
        warnings.simplefilter("ignore", sa.exc.SAWarning)
        self.engine, self.single = shared.engine(url), shared.engine(url, **shared.AUTOCOMMIT)
        self.names = names(model)
        metadata = sa.MetaData()
        types = shared.types()
        columns: list[Any] = [
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
            sa.Column("level", sa.Integer, nullable=False, index=True),
            sa.Column("text", sa.String(255), nullable=False, index=True),
            *[sa.Column(name, types[kind_of(name)], **shared.options(name)) for name in self.names[3:]],
        ]
        if model == 2:
            columns.append(sa.Column("parent_id", sa.ForeignKey("journal.id", ondelete="CASCADE"), index=True))
            shared.links(metadata)
        table = self.table = sa.Table("journal", metadata, *columns)
        metadata.create_all(self.engine)
        key = table.c.id == sa.bindparam("key")
        self.insert = sa.insert(table)
        self.select = sa.select(table.c.id, *[table.c[name] for name in self.names])
        self.ordered = self.select.order_by(table.c.id)
        self.page = self.ordered.limit(20).offset(sa.bindparam("start"))
        self.by_key = self.select.where(key)
        self.update = sa.update(table).where(key)
        self.level = sa.update(table).where(key).values(level=sa.bindparam("new"))
        self.delete = sa.delete(table).where(key)
        self.deletes = sa.delete(table).where(table.c.id.in_(sa.bindparam("keys", expanding=True)))

    def values(self, row: Row) -> dict[str, Any]:
        return dict(zip(self.names, row, strict=True))

    def insert_each(self, rows: Sequence[Row], *, is_one_transaction: bool) -> None:
        with (self.engine if is_one_transaction else self.single).begin() as connection:
            for row in rows:
                connection.execute(self.insert, self.values(row))

    def bulk(self, rows: Sequence[Row]) -> None:
        with self.engine.begin() as connection:
            connection.execute(self.insert, [self.values(row) for row in rows])

    def everything(self) -> list[Any]:
        with self.single.connect() as connection:
            return list(connection.execute(self.ordered))

    def pages(self, offsets: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        with self.single.connect() as connection:
            for offset in offsets:
                found += connection.execute(self.page, {"start": offset})
        return found

    def get(self, keys: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        for key in keys:  # a connection each, as any request that gets one row
            with self.single.connect() as connection:
                found.append(connection.execute(self.by_key, {"key": key}).one())
        return found

    def dicts(self) -> list[Any]:
        with self.single.connect() as connection:
            return shared.dicts(connection.execute(self.ordered))

    tuples = everything

    def load(self, first: int, count: int) -> list[Any]:
        with self.single.connect() as connection:
            return list(connection.execute(self.ordered.where(self.table.c.id >= first).limit(count)))

    def change_all(self, objects: Sequence[Any], rows: Sequence[Row]) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                self.update, [{"key": one.id, **self.values(row)} for one, row in zip(objects, rows, strict=True)]
            )

    def change_one(self, objects: Sequence[Any], levels: Sequence[int]) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                self.level, [{"key": one.id, "new": level} for one, level in zip(objects, levels, strict=True)]
            )

    def delete_each(self, objects: Sequence[Any]) -> None:
        with self.engine.begin() as connection:
            connection.execute(self.delete, [{"key": one.id} for one in objects])

    def delete_together(self, objects: Sequence[Any]) -> None:
        with self.single.connect() as connection:
            connection.execute(self.deletes, {"keys": [one.id for one in objects]})

    def plain(self, found: Sequence[Any]) -> list[Row]:
        return [tuple(row) for row in found]

    def close(self) -> None:
        self.engine.dispose()
        self.single.dispose()
