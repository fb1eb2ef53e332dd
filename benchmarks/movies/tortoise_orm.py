"""Tortoise: prefetched relations, each with what it refers to joined."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Sequence
from typing import Any

from tortoise import Tortoise, fields
from tortoise.functions import Avg
from tortoise.models import Model
from tortoise.query_utils import Prefetch
from tortoise.transactions import in_transaction

from benchmarks.movies.data import New
from benchmarks.targets import spread
from benchmarks.targets.tortoise_orm import url_of

MODULE = "benchmarks.tortoise_movies"


def declared(name: str, /, **columns: Any) -> Any:
    body = {"__module__": MODULE, "id": fields.IntField(primary_key=True), **columns}
    return type(name, (Model,), {**body, "Meta": type("Meta", (), {"table": name.lower()})})


def to(other: str, name: str) -> Any:
    return fields.ForeignKeyField(f"models.{other}", related_name=name)


class Target:
    """Everything awaited, by one task or several at a time."""

    def __init__(self, url: str, tasks: int = 1) -> None:
        self.url, self.tasks = url, tasks
        self.person = declared("Person", name=fields.CharField(255), born=fields.IntField())
        self.movie = declared("Movie", title=fields.CharField(255), year=fields.IntField())
        self.account = declared("Account", name=fields.CharField(255))
        self.direction = declared("Direction", movie=to("Movie", "directions"), person=to("Person", "directions"))
        self.role = declared(
            "Role", movie=to("Movie", "roles"), person=to("Person", "roles"), name=fields.CharField(255),
            position=fields.IntField(),
        )  # fmt: skip
        self.review = declared(
            "Review", movie=to("Movie", "reviews"), account=to("Account", "reviews"), rating=fields.IntField(),
            text=fields.CharField(255),
        )  # fmt: skip
        module = types.ModuleType(MODULE)
        for model in (self.person, self.movie, self.account, self.direction, self.role, self.review):
            setattr(module, model.__name__, model)
        sys.modules[MODULE] = module

    async def open(self) -> None:
        await Tortoise.init(db_url=url_of(self.url), modules={"models": [MODULE]})

    async def whole_movie(self, key: int) -> Any:
        movie = await (
            self.movie.get(id=key)
            .annotate(average=Avg("reviews__rating"))
            .prefetch_related(
                Prefetch("directions", self.direction.all().select_related("person").order_by("id")),
                Prefetch("roles", self.role.all().select_related("person").order_by("position")),
                Prefetch("reviews", self.review.all().select_related("account").order_by("id")),
            )
        )
        return (
            movie.title,
            movie.year,
            [each.person.name for each in movie.directions],
            [(each.person.name, each.name) for each in movie.roles],
            [(each.rating, each.text, each.account.name) for each in movie.reviews],
            movie.average,
        )

    async def movies(self, keys: Sequence[int]) -> list[Any]:
        async def work(part: Sequence[int]) -> list[Any]:
            return [await self.whole_movie(key) for key in part]

        return await spread(self.tasks, keys, work)

    async def people(self, keys: Sequence[int]) -> list[Any]:
        async def work(part: Sequence[int]) -> list[Any]:
            found: list[Any] = []
            for key in part:
                person = await self.person.get(id=key).prefetch_related(
                    Prefetch("directions", self.direction.all().select_related("movie").order_by("id")),
                    Prefetch("roles", self.role.all().select_related("movie").order_by("id")),
                )
                directed = [(each.movie.title, each.movie.year) for each in person.directions]
                played = [(each.name, each.movie.title, each.movie.year) for each in person.roles]
                found.append((person.name, directed, played))
            return found

        return await spread(self.tasks, keys, work)

    async def users(self, keys: Sequence[int]) -> list[Any]:
        async def work(part: Sequence[int]) -> list[Any]:
            found: list[Any] = []
            for key in part:
                user = await self.account.get(id=key)
                newest = await self.review.filter(account_id=key).select_related("movie").order_by("-id").limit(10)
                found.append((user.name, [(each.rating, each.movie.title) for each in newest]))
            return found

        return await spread(self.tasks, keys, work)

    async def add(self, movies: Sequence[New]) -> list[Any]:
        async def work(part: Sequence[New]) -> list[Any]:
            found: list[Any] = []
            for title, year, directors, cast in part:
                async with in_transaction():
                    movie = await self.movie.create(title=title, year=year)
                    await self.direction.bulk_create(
                        [self.direction(movie_id=movie.id, person_id=person) for person in directors]
                    )
                    await self.role.bulk_create(
                        [
                            self.role(movie_id=movie.id, person_id=person, name=name, position=place)
                            for place, (person, name) in enumerate(cast)
                        ]
                    )
                found.append(await self.whole_movie(movie.id))
            return found

        return await spread(self.tasks, movies, work)

    async def close(self) -> None:
        await Tortoise.close_connections()
        await asyncio.sleep(0)
