"""Django: prefetched relations, each with what it refers to joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.movies.data import New
from benchmarks.targets.django_orm import database


class Target:
    """Instances by `objects`."""

    def __init__(self, url: str) -> None:
        import django
        from django.conf import settings

        settings.configure(
            INSTALLED_APPS=["benchmarks.movies"],
            DATABASES={"default": database(url)},
            DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        )
        django.setup()
        from django.db import connection, models, transaction

        def model(name: str, /, **fields: Any) -> Any:
            meta = type("Meta", (), {"app_label": "movies", "db_table": name.lower()})
            return type(name, (models.Model,), {"__module__": __name__, "Meta": meta, **fields})

        def text() -> Any:
            return models.CharField(max_length=255)

        def to(other: Any, name: str) -> Any:
            return models.ForeignKey(other, models.CASCADE, related_name=name)

        self.person = model("Person", name=text(), born=models.IntegerField())
        self.movie = model("Movie", title=text(), year=models.IntegerField())
        self.account = model("Account", name=text())
        self.direction = model("Direction", movie=to(self.movie, "directions"), person=to(self.person, "directions"))
        self.role = model(
            "Role", movie=to(self.movie, "roles"), person=to(self.person, "roles"), name=text(),
            position=models.IntegerField(),
        )  # fmt: skip
        self.review = model(
            "Review", movie=to(self.movie, "reviews"), account=to(self.account, "reviews"),
            rating=models.IntegerField(), text=text(),
        )  # fmt: skip
        self.atomic, self.connection = transaction.atomic, connection
        joined = {name: getattr(self, name).objects for name in ("direction", "role", "review")}
        self.whole_movies = self.movie.objects.annotate(average=models.Avg("reviews__rating")).prefetch_related(
            models.Prefetch("directions", joined["direction"].select_related("person").order_by("id")),
            models.Prefetch("roles", joined["role"].select_related("person").order_by("position")),
            models.Prefetch("reviews", joined["review"].select_related("account").order_by("id")),
        )
        self.whole_people = self.person.objects.prefetch_related(
            models.Prefetch("directions", joined["direction"].select_related("movie").order_by("id")),
            models.Prefetch("roles", joined["role"].select_related("movie").order_by("id")),
        )

    def whole_movie(self, key: int) -> Any:
        movie = self.whole_movies.get(id=key)
        return (
            movie.title,
            movie.year,
            [each.person.name for each in movie.directions.all()],
            [(each.person.name, each.name) for each in movie.roles.all()],
            [(each.rating, each.text, each.account.name) for each in movie.reviews.all()],
            movie.average,
        )

    def movies(self, keys: Sequence[int]) -> list[Any]:
        return [self.whole_movie(key) for key in keys]

    def people(self, keys: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        for key in keys:
            person = self.whole_people.get(id=key)
            directed = [(each.movie.title, each.movie.year) for each in person.directions.all()]
            played = [(each.name, each.movie.title, each.movie.year) for each in person.roles.all()]
            found.append((person.name, directed, played))
        return found

    def users(self, keys: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        for key in keys:
            user = self.account.objects.get(id=key)
            newest = user.reviews.select_related("movie").order_by("-id")[:10]
            found.append((user.name, [(each.rating, each.movie.title) for each in newest]))
        return found

    def add(self, movies: Sequence[New]) -> list[Any]:
        found: list[Any] = []
        for title, year, directors, cast in movies:
            with self.atomic():
                movie = self.movie.objects.create(title=title, year=year)
                self.direction.objects.bulk_create(
                    [self.direction(movie=movie, person_id=person) for person in directors]
                )
                self.role.objects.bulk_create(
                    [
                        self.role(movie=movie, person_id=person, name=name, position=place)
                        for place, (person, name) in enumerate(cast)
                    ]
                )
            found.append(self.whole_movie(movie.id))
        return found

    def close(self) -> None:
        self.connection.close()
