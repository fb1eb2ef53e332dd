"""peewee: a query with a join for each list, as its page on relationships advises for one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import peewee

from benchmarks.movies.data import New


class Target:
    """Instances, each list by a query of its own."""

    def __init__(self, url: str) -> None:
        if url.startswith("sqlite"):
            pragmas = {"journal_mode": "wal", "synchronous": "normal", "foreign_keys": 1}
            self.database: Any = peewee.SqliteDatabase(url.removeprefix("sqlite:///"), pragmas=pragmas)
        else:
            from playhouse.postgres_ext import Psycopg3Database

            self.database = Psycopg3Database(url, prepare_threshold=0)

        def model(name: str, /, **fields: Any) -> Any:
            meta = type("Meta", (), {"database": self.database, "table_name": name.lower()})
            return type(name, (peewee.Model,), {"Meta": meta, **fields})

        def text() -> Any:
            return peewee.CharField(255)

        def to(other: Any, name: str) -> Any:
            return peewee.ForeignKeyField(other, backref=name, on_delete="CASCADE")

        self.person = model("Person", name=text(), born=peewee.IntegerField())
        self.movie = model("Movie", title=text(), year=peewee.IntegerField())
        self.account = model("Account", name=text())
        self.direction = model("Direction", movie=to(self.movie, "directions"), person=to(self.person, "directions"))
        self.role = model(
            "Role", movie=to(self.movie, "roles"), person=to(self.person, "roles"), name=text(),
            position=peewee.IntegerField(),
        )  # fmt: skip
        self.review = model(
            "Review", movie=to(self.movie, "reviews"), account=to(self.account, "reviews"),
            rating=peewee.IntegerField(), text=text(),
        )  # fmt: skip
        self.database.connect()

    def joined(self, model: Any, other: Any) -> Any:
        """Rows of a model with what they refer to."""
        return model.select(model, other).join(other)

    def whole_movie(self, key: int) -> Any:
        movies, directions, roles, reviews = self.movie, self.direction, self.role, self.review
        rating = peewee.fn.AVG(reviews.rating).coerce(False)
        average = reviews.select(rating).where(reviews.movie == movies.id)
        movie = movies.select(movies, average.alias("average")).where(movies.id == key).get()
        directors = self.joined(directions, self.person).where(directions.movie == key).order_by(directions.id)
        cast = self.joined(roles, self.person).where(roles.movie == key).order_by(roles.position)
        read = self.joined(reviews, self.account).where(reviews.movie == key).order_by(reviews.id)
        return (
            movie.title,
            movie.year,
            [each.person.name for each in directors],
            [(each.person.name, each.name) for each in cast],
            [(each.rating, each.text, each.account.name) for each in read],
            movie.average,
        )

    def movies(self, keys: Sequence[int]) -> list[Any]:
        return [self.whole_movie(key) for key in keys]

    def people(self, keys: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        directions, roles = self.direction, self.role
        for key in keys:
            person = self.person.get_by_id(key)
            directed = self.joined(directions, self.movie).where(directions.person == key).order_by(directions.id)
            played = self.joined(roles, self.movie).where(roles.person == key).order_by(roles.id)
            found.append(
                (
                    person.name,
                    [(each.movie.title, each.movie.year) for each in directed],
                    [(each.name, each.movie.title, each.movie.year) for each in played],
                )
            )
        return found

    def users(self, keys: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        reviews = self.review
        for key in keys:
            user = self.account.get_by_id(key)
            newest = (
                self.joined(reviews, self.movie).where(reviews.account == key).order_by(reviews.id.desc()).limit(10)
            )
            found.append((user.name, [(each.rating, each.movie.title) for each in newest]))
        return found

    def add(self, movies: Sequence[New]) -> list[Any]:
        found: list[Any] = []
        for title, year, directors, cast in movies:
            with self.database.atomic():
                key = self.movie.create(title=title, year=year).id
                self.direction.insert_many([{"movie": key, "person": person} for person in directors]).execute()
                self.role.insert_many(
                    [
                        {"movie": key, "person": person, "name": name, "position": place}
                        for place, (person, name) in enumerate(cast)
                    ]
                ).execute()
            found.append(self.whole_movie(key))
        return found

    def close(self) -> None:
        self.database.close()
