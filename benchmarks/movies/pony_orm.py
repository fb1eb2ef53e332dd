"""Pony: entities in a session for each object, what each row refers to prefetched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pony import orm

from benchmarks.movies.data import New
from benchmarks.targets.pony_orm import bind


class Target:
    """Entities; what is added is read whole in a session of its own."""

    def __init__(self, url: str) -> None:
        self.database = orm.Database()

        def entity(name: str, /, **fields: Any) -> Any:
            return type(self.database.Entity)(name, (self.database.Entity,), {"_table_": name.lower(), **fields})

        def to(other: str, reverse: str) -> Any:
            return orm.Required(other, reverse=reverse, column=f"{other.lower()}_id")

        self.person = entity(
            "Person", name=orm.Required(str, 255), born=orm.Required(int),
            directions=orm.Set("Direction"), roles=orm.Set("Role"),
        )  # fmt: skip
        self.movie = entity(
            "Movie", title=orm.Required(str, 255), year=orm.Required(int), directions=orm.Set("Direction"),
            roles=orm.Set("Role"), reviews=orm.Set("Review"),
        )  # fmt: skip
        self.account = entity("Account", name=orm.Required(str, 255), reviews=orm.Set("Review"))
        self.direction = entity("Direction", movie=to("Movie", "directions"), person=to("Person", "directions"))
        self.role = entity(
            "Role", movie=to("Movie", "roles"), person=to("Person", "roles"), name=orm.Required(str, 255),
            position=orm.Required(int),
        )  # fmt: skip
        self.review = entity(
            "Review", movie=to("Movie", "reviews"), account=to("Account", "reviews"), rating=orm.Required(int),
            text=orm.Required(str, 255),
        )  # fmt: skip

        bind(self.database, url)
        self.database.generate_mapping(create_tables=False)

    def whole_movie(self, key: int) -> Any:
        movie = self.movie[key]
        directors = movie.directions.select().order_by(self.direction.id).prefetch(self.person)
        cast = movie.roles.select().order_by(self.role.position).prefetch(self.person)
        reviews = movie.reviews.select().order_by(self.review.id).prefetch(self.account)
        return (
            movie.title,
            movie.year,
            [each.person.name for each in directors],
            [(each.person.name, each.name) for each in cast],
            [(each.rating, each.text, each.account.name) for each in reviews],
            orm.avg(movie.reviews.rating),
        )

    def movies(self, keys: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        for key in keys:
            with orm.db_session:
                found.append(self.whole_movie(key))
        return found

    def people(self, keys: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        for key in keys:
            with orm.db_session:
                person = self.person[key]
                directed = person.directions.select().order_by(self.direction.id).prefetch(self.movie)
                played = person.roles.select().order_by(self.role.id).prefetch(self.movie)
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
        for key in keys:
            with orm.db_session:
                user = self.account[key]
                newest = user.reviews.select().order_by(orm.desc(self.review.id)).prefetch(self.movie).limit(10)
                found.append((user.name, [(each.rating, each.movie.title) for each in newest]))
        return found

    def add(self, movies: Sequence[New]) -> list[Any]:
        found: list[Any] = []
        for title, year, directors, cast in movies:
            with orm.db_session:
                movie = self.movie(title=title, year=year)
                for person in directors:
                    self.direction(movie=movie, person=person)
                for place, (person, name) in enumerate(cast):
                    self.role(movie=movie, person=person, name=name, position=place)
                orm.commit()
                key = movie.id
            with orm.db_session:
                found.append(self.whole_movie(key))
        return found

    def close(self) -> None:
        self.database.disconnect()
