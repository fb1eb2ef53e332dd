"""SQLAlchemy Core: a statement with a join for each list, made once and kept; what it gives are rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from benchmarks.movies.data import COLUMNS, New
from benchmarks.targets import sqlalchemy_tables as shared


class Target:
    """A connection for each object; for reading one without transactions."""

    def __init__(self, url: str) -> None:
        self.engine, self.single = shared.engine(url), shared.engine(url, **shared.AUTOCOMMIT)
        metadata = sa.MetaData()
        self.tables = {
            name: sa.Table(name, metadata, *[self.column(column) for column in columns])
            for name, columns in COLUMNS.items()
        }
        person, movie, account, direction, role, review = self.tables.values()
        key = sa.bindparam("key")
        average = sa.select(sa.func.avg(review.c.rating)).where(review.c.movie_id == movie.c.id).scalar_subquery()
        self.movie = sa.select(movie.c.title, movie.c.year, average).where(movie.c.id == key)
        self.directors = (
            sa.select(person.c.name)
            .join_from(direction, person)
            .where(direction.c.movie_id == key)
            .order_by(direction.c.id)
        )
        self.roles = (
            sa.select(person.c.name, role.c.name)
            .join_from(role, person)
            .where(role.c.movie_id == key)
            .order_by(role.c.position)
        )
        self.reviews = (
            sa.select(review.c.rating, review.c.text, account.c.name)
            .join_from(review, account)
            .where(review.c.movie_id == key)
            .order_by(review.c.id)
        )
        self.person = sa.select(person.c.name).where(person.c.id == key)
        self.directed = (
            sa.select(movie.c.title, movie.c.year)
            .join_from(direction, movie)
            .where(direction.c.person_id == key)
            .order_by(direction.c.id)
        )
        self.played = (
            sa.select(role.c.name, movie.c.title, movie.c.year)
            .join_from(role, movie)
            .where(role.c.person_id == key)
            .order_by(role.c.id)
        )
        self.account = sa.select(account.c.name).where(account.c.id == key)
        self.newest = (
            sa.select(review.c.rating, movie.c.title)
            .join_from(review, movie)
            .where(review.c.account_id == key)
            .order_by(review.c.id.desc())
            .limit(10)
        )
        self.inserts = sa.insert(movie), sa.insert(direction), sa.insert(role)

    def column(self, name: str) -> Any:
        if name.endswith("_id"):
            return sa.Column(name, sa.ForeignKey(f"{name[:-3]}.id"))
        is_text = name in ("name", "title", "text")
        return sa.Column(name, sa.String(255) if is_text else sa.Integer, primary_key=name == "id")

    def rows(self, connection: Any, statement: Any, key: int) -> list[Any]:
        return [tuple(row) for row in connection.execute(statement, {"key": key})]

    def whole_movie(self, connection: Any, key: int) -> Any:
        title, year, average = connection.execute(self.movie, {"key": key}).one()
        directors = list(connection.scalars(self.directors, {"key": key}))
        roles, reviews = self.rows(connection, self.roles, key), self.rows(connection, self.reviews, key)
        return title, year, directors, roles, reviews, average

    def movies(self, keys: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        for key in keys:
            with self.single.connect() as connection:
                found.append(self.whole_movie(connection, key))
        return found

    def people(self, keys: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        for key in keys:
            with self.single.connect() as connection:
                name = connection.scalar(self.person, {"key": key})
                directed, played = (self.rows(connection, what, key) for what in (self.directed, self.played))
                found.append((name, directed, played))
        return found

    def users(self, keys: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        for key in keys:
            with self.single.connect() as connection:
                name = connection.scalar(self.account, {"key": key})
                found.append((name, self.rows(connection, self.newest, key)))
        return found

    def add(self, movies: Sequence[New]) -> list[Any]:
        found: list[Any] = []
        movie, direction, role = self.inserts
        for title, year, directors, cast in movies:
            with self.engine.begin() as connection:
                (key,) = connection.execute(movie, {"title": title, "year": year}).inserted_primary_key
                connection.execute(direction, [{"movie_id": key, "person_id": person} for person in directors])
                connection.execute(
                    role,
                    [
                        {"movie_id": key, "person_id": person, "name": name, "position": place}
                        for place, (person, name) in enumerate(cast)
                    ],
                )
            with self.single.connect() as connection:
                found.append(self.whole_movie(connection, key))
        return found

    def close(self) -> None:
        self.engine.dispose()
        self.single.dispose()
