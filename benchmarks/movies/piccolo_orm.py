"""Piccolo: a select of the columns that are wanted for each list, what each row refers to joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from piccolo import columns
from piccolo.query.functions import Avg
from piccolo.table import Table

from benchmarks.movies.data import New
from benchmarks.targets import spread


class Target:
    """Everything awaited, by one task or several at a time."""

    def __init__(self, url: str, tasks: int = 1) -> None:
        self.tasks = tasks
        self.is_sqlite = url.startswith("sqlite")
        if self.is_sqlite:
            from piccolo.engine.sqlite import SQLiteEngine

            self.engine: Any = SQLiteEngine(path=url.removeprefix("sqlite:///"))
        else:
            from piccolo.engine.postgres import PostgresEngine

            self.engine = PostgresEngine(config={"dsn": url})

        def table(name: str, /, **fields: Any) -> Any:
            body = {"__module__": __name__, "__qualname__": name, **fields}
            return type(Table)(name, (Table,), body, db=self.engine, tablename=name.lower())

        def to(other: Any) -> Any:
            return columns.ForeignKey(other, db_column_name=f"{other.__name__.lower()}_id")

        text, number = columns.Varchar, columns.Integer
        self.person = table("Person", name=text(), born=number())
        self.movie = table("Movie", title=text(), year=number())
        self.account = table("Account", name=text())
        self.direction = table("Direction", movie=to(self.movie), person=to(self.person))
        self.role = table("Role", movie=to(self.movie), person=to(self.person), name=text(), position=number())
        self.review = table("Review", movie=to(self.movie), account=to(self.account), rating=number(), text=text())

    async def open(self) -> None:
        if not self.is_sqlite:
            await self.engine.start_connection_pool(max_size=10)

    async def whole_movie(self, key: int) -> Any:
        movies, directions, roles, reviews = self.movie, self.direction, self.role, self.review
        movie = await movies.select(movies.title, movies.year).where(movies.id == key).first()
        average = await reviews.select(Avg(reviews.rating)).where(reviews.movie == key).first()
        directors = await (
            directions.select(directions.person.name).where(directions.movie == key).order_by(directions.id)
        )
        cast = await roles.select(roles.person.name, roles.name).where(roles.movie == key).order_by(roles.position)
        read = await (
            reviews.select(reviews.rating, reviews.text, reviews.account.name)
            .where(reviews.movie == key)
            .order_by(reviews.id)
        )
        return (
            movie["title"],
            movie["year"],
            [each["person_id.name"] for each in directors],
            [(each["person_id.name"], each["name"]) for each in cast],
            [(each["rating"], each["text"], each["account_id.name"]) for each in read],
            average["avg"],
        )

    async def movies(self, keys: Sequence[int]) -> list[Any]:
        async def work(part: Sequence[int]) -> list[Any]:
            return [await self.whole_movie(key) for key in part]

        return await spread(self.tasks, keys, work)

    async def people(self, keys: Sequence[int]) -> list[Any]:
        person, directions, roles = self.person, self.direction, self.role

        async def work(part: Sequence[int]) -> list[Any]:
            found: list[Any] = []
            for key in part:
                one = await person.select(person.name).where(person.id == key).first()
                directed = await (
                    directions.select(directions.movie.title, directions.movie.year)
                    .where(directions.person == key)
                    .order_by(directions.id)
                )
                played = await (
                    roles.select(roles.name, roles.movie.title, roles.movie.year)
                    .where(roles.person == key)
                    .order_by(roles.id)
                )
                found.append(
                    (
                        one["name"],
                        [(each["movie_id.title"], each["movie_id.year"]) for each in directed],
                        [(each["name"], each["movie_id.title"], each["movie_id.year"]) for each in played],
                    )
                )
            return found

        return await spread(self.tasks, keys, work)

    async def users(self, keys: Sequence[int]) -> list[Any]:
        account, reviews = self.account, self.review

        async def work(part: Sequence[int]) -> list[Any]:
            found: list[Any] = []
            for key in part:
                user = await account.select(account.name).where(account.id == key).first()
                newest = await (
                    reviews.select(reviews.rating, reviews.movie.title)
                    .where(reviews.account == key)
                    .order_by(reviews.id, ascending=False)
                    .limit(10)
                )
                found.append((user["name"], [(each["rating"], each["movie_id.title"]) for each in newest]))
            return found

        return await spread(self.tasks, keys, work)

    async def add(self, movies: Sequence[New]) -> list[Any]:
        async def work(part: Sequence[New]) -> list[Any]:
            found: list[Any] = []
            for title, year, directors, cast in part:
                async with self.engine.transaction():
                    movie = self.movie(title=title, year=year)
                    await movie.save()
                    await self.direction.insert(
                        *[self.direction(movie=movie.id, person=person) for person in directors]
                    )
                    await self.role.insert(
                        *[
                            self.role(movie=movie.id, person=person, name=name, position=place)
                            for place, (person, name) in enumerate(cast)
                        ]
                    )
                found.append(await self.whole_movie(movie.id))
            return found

        return await spread(self.tasks, movies, work)

    async def close(self) -> None:
        if not self.is_sqlite:
            await self.engine.close_connection_pool()
