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
    """Instances by a session."""

    def __init__(self, url: str, model: int) -> None:
        warnings.simplefilter("ignore", sa.exc.SAWarning)  # SQLite has no decimals, it says
        self.engine = shared.engine(url)
        self.names = names(model)
        self.model = self.declared(model)
        self.columns: Any = [getattr(self.model, name) for name in ("id", *self.names)]
        self.session = orm.sessionmaker(self.engine, expire_on_commit=False)
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
            sa.Table(
                "journal_related",
                base.metadata,
                sa.Column("from_id", sa.ForeignKey("journal.id", ondelete="CASCADE"), primary_key=True),
                sa.Column("to_id", sa.ForeignKey("journal.id", ondelete="CASCADE"), primary_key=True),
            )
        types = shared.types()
        for name in names(model)[3:]:
            body[name] = sa.Column(types[kind_of(name)], **shared.options(name))
        return type("Journal", (base,), body)

    def make(self, row: Row) -> Any:
        return self.model(**dict(zip(self.names, row, strict=True)))

    def insert_each(self, rows: Sequence[Row], *, is_one_transaction: bool) -> None:
        with self.session() as session:
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
        with self.session() as session:
            return list(session.scalars(sa.select(self.model).order_by(self.model.id)))

    def pages(self, offsets: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        with self.session() as session:
            for offset in offsets:
                found += session.scalars(sa.select(self.model).order_by(self.model.id).limit(20).offset(offset))
        return found

    def get(self, keys: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        for key in keys:  # a session each, or its identity map would answer instead of the database
            with self.session() as session:
                found.append(session.get(self.model, key))
        return found

    def dicts(self) -> list[Any]:
        with self.session() as session:
            return [dict(row) for row in session.execute(sa.select(*self.columns).order_by(self.model.id)).mappings()]

    def tuples(self) -> list[Any]:
        with self.session() as session:
            return list(session.execute(sa.select(*self.columns).order_by(self.model.id)))

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

    def plain(self, found: Sequence[Any]) -> list[Row]:
        return [tuple([getattr(one, name) for name in ("id", *self.names)]) for one in found]

    def close(self) -> None:
        self.engine.dispose()
