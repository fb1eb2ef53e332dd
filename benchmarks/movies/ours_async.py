"""datalayer in the awaiting world, by one task or several at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.movies import ours
from benchmarks.movies.data import New
from benchmarks.targets import spread
from datalayer import atomic, pools


class Target(ours.Target):
    """The twins of `ours.Target`."""

    def __init__(self, url: str, tasks: int = 1) -> None:
        super().__init__(url)
        self.tasks = tasks

    async def movies(self, keys: Sequence[int]) -> list[Any]:
        async def work(part: Sequence[int]) -> list[Any]:
            return [ours.whole_movie(await self.whole_movies.aget(id=key)) for key in part]

        return await spread(self.tasks, keys, work)

    async def people(self, keys: Sequence[int]) -> list[Any]:
        async def work(part: Sequence[int]) -> list[Any]:
            return [ours.whole_person(await self.whole_people.aget(id=key)) for key in part]

        return await spread(self.tasks, keys, work)

    async def users(self, keys: Sequence[int]) -> list[Any]:
        async def work(part: Sequence[int]) -> list[Any]:
            return [ours.whole_user(await self.whole_users.aget(id=key)) for key in part]

        return await spread(self.tasks, keys, work)

    async def add(self, movies: Sequence[New]) -> list[Any]:
        async def work(part: Sequence[New]) -> list[Any]:
            found: list[Any] = []
            for title, year, directors, cast in part:
                async with atomic():
                    movie = await ours.Movie.objects.acreate(title=title, year=year)
                    directions, roles = self.parts(movie, directors, cast)
                    await ours.Direction.objects.abulk_create(directions)
                    await ours.Role.objects.abulk_create(roles)
                found.append(ours.whole_movie(await self.whole_movies.aget(id=movie.id)))
            return found

        return await spread(self.tasks, movies, work)

    async def close(self) -> None:
        await pools.aclose_all()
        super().close()
