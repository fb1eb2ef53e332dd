"""SQLAlchemy's ORM in its 2.x style: a session for each unit of work, bulk by the ORM's insert."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from benchmarks.rows import Row, kind_of, names
from benchmarks.targets import sqlalchemy_tables as shared


class Target:
    """Instances by a session; one that commits each statement where that is what is wanted, and for reading."""

    def __init__(self, url: str, model: int) -> None:
        warnings.simplefilter("ignore", sa.exc.SAWarning)  # SQLite has no decimals, it says
        self.engine, self.single = shared.engine(url), shared.engine(url, **shared.AUTOCOMMIT)
        self.names = names(model)
        self.model = self.declared(model)
        self.session = orm.sessionmaker(self.engine, expire_on_commit=False)
        self.alone = orm.sessionmaker(self.single, expire_on_commit=False)
        key = self.model.id
        self.all = sa.select(self.model).order_by(key)
        self.page = self.all.limit(20).offset(sa.bindparam("start"))
        self.columns = sa.select(*[getattr(self.model, name) for name in ("id", *self.names)]).order_by(key)
        self.metadata.create_all(self.engine)
        self.kept: Any = None

    def declared(self, model: int) -> Any:
        base = orm.declarative_base()
        self.metadata = base.metadata
        body: dict[str, Any] = {
            "__tablename__": "journal",
            "id": sa.Column(sa.Integer, primary_key=True),
            "timestamp": sa.Column(sa.DateTime(timezone=True), nullable=False),
            "level": sa.Column(sa.Integer, nullable=False, index=True),
            "text": sa.Column(sa.String(255), nullable=False, index=True),
        }
        if model == 2:
            body["parent_id"] = sa.Column(sa.ForeignKey("journal.id", ondelete="CASCADE"), index=True)
            shared.links(base.metadata)
        types = shared.types()
        for name in names(model)[3:]:
            body[name] = sa.Column(types[kind_of(name)], **shared.options(name))
        return type("Journal", (base,), body)

    def make(self, row: Row) -> Any:
        return self.model(**dict(zip(self.names, row, strict=True)))

    def insert_each(self, rows: Sequence[Row], *, is_one_transaction: bool) -> None:
        with (self.session if is_one_transaction else self.alone)() as session:
            for row in rows:
                session.add(self.make(row))
                if is_one_transaction:
                    session.flush()
                else:
                    session.commit()
            session.commit()

    def bulk(self, rows: Sequence[Row]) -> None:
        names = self.names
        with self.session.begin() as session:
            session.execute(sa.insert(self.model), [dict(zip(names, row, strict=True)) for row in rows])

    def everything(self) -> list[Any]:
        with self.alone() as session:
            return list(session.scalars(self.all))

    def pages(self, offsets: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        with self.alone() as session:
            for offset in offsets:
                found += session.scalars(self.page, {"start": offset})
        return found

    def get(self, keys: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        for key in keys:  # a session each, or its identity map would answer instead of the database
            with self.alone() as session:
                found.append(session.get(self.model, key))
        return found

    def dicts(self) -> list[Any]:
        with self.alone() as session:
            return shared.dicts(session.execute(self.columns))

    def tuples(self) -> list[Any]:
        with self.alone() as session:
            return list(session.execute(self.columns))

    def load(self, first: int, count: int) -> list[Any]:
        self.kept = self.session()
        query = sa.select(self.model).where(self.model.id >= first).order_by(self.model.id).limit(count)
        return list(self.kept.scalars(query))

    def change_all(self, objects: Sequence[Any], rows: Sequence[Row]) -> None:
        names = self.names
        for one, row in zip(objects, rows, strict=True):
            for name, value in zip(names, row, strict=True):
                setattr(one, name, value)
        self.kept.commit()
        self.kept.close()

    def change_one(self, objects: Sequence[Any], levels: Sequence[int]) -> None:
        for one, level in zip(objects, levels, strict=True):
            one.level = level
        self.kept.commit()
        self.kept.close()

    def delete_each(self, objects: Sequence[Any]) -> None:
        for one in objects:
            self.kept.delete(one)
        self.kept.commit()
        self.kept.close()

    def change_together(self, objects: Sequence[Any], levels: Sequence[int]) -> None:
        self.kept.close()
        changes = [{"id": one.id, "level": level} for one, level in zip(objects, levels, strict=True)]
        with self.session.begin() as session:
            session.execute(sa.update(self.model), changes)

    def change_all_together(self, objects: Sequence[Any], rows: Sequence[Row]) -> None:
        self.kept.close()
        names = ("id", *self.names)
        changes = [dict(zip(names, (one.id, *row), strict=True)) for one, row in zip(objects, rows, strict=True)]
        with self.session.begin() as session:
            session.execute(sa.update(self.model), changes)

    def delete_together(self, objects: Sequence[Any]) -> None:
        self.kept.close()
        these = self.model.id.in_([one.id for one in objects])
        with self.alone() as session:
            session.execute(sa.delete(self.model).where(these).execution_options(synchronize_session=False))

    def plain(self, found: Sequence[Any]) -> list[Row]:
        return [tuple([getattr(one, name) for name in ("id", *self.names)]) for one in found]

    def close(self) -> None:
        self.engine.dispose()
        self.single.dispose()
