"""datalayer in the blocking world."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.movies.data import New
from datalayer import Avg, Field, ForeignKey, Mapped, Model, Prefetch, atomic, configure, pools


class Person(Model):
    name: Mapped[str] = Field(max_length=255)
    born: Mapped[int] = Field()


class Movie(Model):
    title: Mapped[str] = Field(max_length=255)
    year: Mapped[int] = Field()


class Account(Model):
    name: Mapped[str] = Field(max_length=255)


class Direction(Model):
    movie: ForeignKey[Movie] = ForeignKey(related_name="directions")
    person: ForeignKey[Person] = ForeignKey(related_name="directions")


class Role(Model):
    movie: ForeignKey[Movie] = ForeignKey(related_name="roles")
    person: ForeignKey[Person] = ForeignKey(related_name="roles")
    name: Mapped[str] = Field(max_length=255)
    position: Mapped[int] = Field()


class Review(Model):
    movie: ForeignKey[Movie] = ForeignKey(related_name="reviews")
    account: ForeignKey[Account] = ForeignKey(related_name="reviews")
    rating: Mapped[int] = Field()
    text: Mapped[str] = Field(max_length=255)


def whole_movie(movie: Any) -> Any:
    """A movie that was read with everything, plain."""
    return (
        movie.title,
        movie.year,
        [each.person.name for each in movie.directions],
        [(each.person.name, each.name) for each in movie.roles],
        [(each.rating, each.text, each.account.name) for each in movie.reviews],
        movie.average,
    )


def whole_person(person: Any) -> Any:
    """A person that was read with everything, plain."""
    return (
        person.name,
        [(each.movie.title, each.movie.year) for each in person.directions],
        [(each.name, each.movie.title, each.movie.year) for each in person.roles],
    )


def whole_user(user: Any) -> Any:
    """A user that was read with everything, plain."""
    return user.name, [(each.rating, each.movie.title) for each in user.newest]


def whole_movies() -> Any:
    """The query of movies with everything."""
    objects: Any = Movie.objects
    return objects.annotate(average=Avg("reviews__rating")).prefetch_related(
        Prefetch("directions", Direction.objects.select_related("person").order_by("id")),
        Prefetch("roles", Role.objects.select_related("person").order_by("position")),
        Prefetch("reviews", Review.objects.select_related("account").order_by("id")),
    )


class Target:
    """Prefetched relations, each with what it refers to joined."""

    def __init__(self, url: str) -> None:
        configure(databases={"default": url})
        self.whole_movies = whole_movies()
        objects: Any = Person.objects
        self.whole_people = objects.prefetch_related(
            Prefetch("directions", Direction.objects.select_related("movie").order_by("id")),
            Prefetch("roles", Role.objects.select_related("movie").order_by("id")),
        )
        objects = Account.objects
        newest = Review.objects.select_related("movie").order_by("-id")[:10]
        self.whole_users = objects.prefetch_related(Prefetch("reviews", newest, to_attr="newest"))

    def movies(self, keys: Sequence[int]) -> list[Any]:
        return [whole_movie(self.whole_movies.get(id=key)) for key in keys]

    def people(self, keys: Sequence[int]) -> list[Any]:
        return [whole_person(self.whole_people.get(id=key)) for key in keys]

    def users(self, keys: Sequence[int]) -> list[Any]:
        return [whole_user(self.whole_users.get(id=key)) for key in keys]

    def parts(self, movie: Any, directors: Sequence[int], cast: Sequence[tuple[int, str]]) -> tuple[Any, Any]:
        """The rows behind a new movie."""
        return (
            [Direction(movie=movie, person_id=person) for person in directors],
            [
                Role(movie=movie, person_id=person, name=name, position=place)
                for place, (person, name) in enumerate(cast)
            ],
        )

    def add(self, movies: Sequence[New]) -> list[Any]:
        found: list[Any] = []
        for title, year, directors, cast in movies:
            with atomic():
                movie = Movie.objects.create(title=title, year=year)
                directions, roles = self.parts(movie, directors, cast)
                Direction.objects.bulk_create(directions)
                Role.objects.bulk_create(roles)
            found.append(whole_movie(self.whole_movies.get(id=movie.id)))
        return found

    def close(self) -> None:
        pools.close_all()
