"""SQLAlchemy's ORM: lists by `selectinload`, what each row refers to joined."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.orm import Mapped, joinedload, mapped_column, relationship, selectinload

from benchmarks.movies.data import New
from benchmarks.targets import sqlalchemy_tables as shared


class Base(orm.DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    born: Mapped[int]
    directions: Mapped[list[Direction]] = relationship(back_populates="person", order_by="Direction.id")
    roles: Mapped[list[Role]] = relationship(back_populates="person", order_by="Role.id")


class Movie(Base):
    __tablename__ = "movie"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    year: Mapped[int]
    directions: Mapped[list[Direction]] = relationship(back_populates="movie", order_by="Direction.id")
    roles: Mapped[list[Role]] = relationship(back_populates="movie", order_by="Role.position")
    reviews: Mapped[list[Review]] = relationship(back_populates="movie", order_by="Review.id")


class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Direction(Base):
    __tablename__ = "direction"
    id: Mapped[int] = mapped_column(primary_key=True)
    movie_id: Mapped[int] = mapped_column(sa.ForeignKey("movie.id"))
    person_id: Mapped[int] = mapped_column(sa.ForeignKey("person.id"))
    movie: Mapped[Movie] = relationship(back_populates="directions")
    person: Mapped[Person] = relationship(back_populates="directions")


class Role(Base):
    __tablename__ = "role"
    id: Mapped[int] = mapped_column(primary_key=True)
    movie_id: Mapped[int] = mapped_column(sa.ForeignKey("movie.id"))
    person_id: Mapped[int] = mapped_column(sa.ForeignKey("person.id"))
    name: Mapped[str]
    position: Mapped[int]
    movie: Mapped[Movie] = relationship(back_populates="roles")
    person: Mapped[Person] = relationship(back_populates="roles")


class Review(Base):
    __tablename__ = "review"
    id: Mapped[int] = mapped_column(primary_key=True)
    movie_id: Mapped[int] = mapped_column(sa.ForeignKey("movie.id"))
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    rating: Mapped[int]
    text: Mapped[str]
    movie: Mapped[Movie] = relationship(back_populates="reviews")
    account: Mapped[Account] = relationship()


class Target:
    """A session for each object; for reading one without transactions, with statements made once and kept."""

    def __init__(self, url: str) -> None:
        self.engine, self.single = shared.engine(url), shared.engine(url, **shared.AUTOCOMMIT)
        self.of = self.declared()
        Movie, Direction, Role, Review, Person = (
            self.of.Movie, self.of.Direction, self.of.Role, self.of.Review, self.of.Person
        )  # fmt: skip
        self.session = orm.sessionmaker(self.engine, expire_on_commit=False)
        self.alone = orm.sessionmaker(self.single, expire_on_commit=False)
        key = sa.bindparam("key")
        average = sa.select(sa.func.avg(Review.rating)).where(Review.movie_id == Movie.id).scalar_subquery()
        self.movie = (
            sa.select(Movie, average)
            .where(Movie.id == key)
            .options(
                selectinload(Movie.directions).joinedload(Direction.person, innerjoin=True),
                selectinload(Movie.roles).joinedload(Role.person, innerjoin=True),
                selectinload(Movie.reviews).joinedload(Review.account, innerjoin=True),
            )
        )
        self.person = (
            sa.select(Person)
            .where(Person.id == key)
            .options(
                selectinload(Person.directions).joinedload(Direction.movie, innerjoin=True),
                selectinload(Person.roles).joinedload(Role.movie, innerjoin=True),
            )
        )
        self.newest = (
            sa.select(Review)
            .where(Review.account_id == key)
            .options(joinedload(Review.movie, innerjoin=True))
            .order_by(Review.id.desc())
            .limit(10)
        )

    def declared(self) -> SimpleNamespace:
        return SimpleNamespace(
            Person=Person, Movie=Movie, Account=Account, Direction=Direction, Role=Role, Review=Review
        )

    def whole_movie(self, session: Any, key: int) -> Any:
        movie, average = session.execute(self.movie, {"key": key}).one()
        return (
            movie.title,
            movie.year,
            [each.person.name for each in movie.directions],
            [(each.person.name, each.name) for each in movie.roles],
            [(each.rating, each.text, each.account.name) for each in movie.reviews],
            average,
        )

    def movies(self, keys: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        for key in keys:
            with self.alone() as session:
                found.append(self.whole_movie(session, key))
        return found

    def people(self, keys: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        for key in keys:
            with self.alone() as session:
                person = session.scalars(self.person, {"key": key}).one()
                directed = [(each.movie.title, each.movie.year) for each in person.directions]
                played = [(each.name, each.movie.title, each.movie.year) for each in person.roles]
                found.append((person.name, directed, played))
        return found

    def users(self, keys: Sequence[int]) -> list[Any]:
        found: list[Any] = []
        for key in keys:
            with self.alone() as session:
                user = session.get_one(self.of.Account, key)
                newest = session.scalars(self.newest, {"key": key})
                found.append((user.name, [(each.rating, each.movie.title) for each in newest]))
        return found

    def add(self, movies: Sequence[New]) -> list[Any]:
        found: list[Any] = []
        for title, year, directors, cast in movies:
            with self.session() as session:
                movie = self.of.Movie(title=title, year=year)
                movie.directions = [self.of.Direction(person_id=person) for person in directors]
                movie.roles = [
                    self.of.Role(person_id=person, name=name, position=place)
                    for place, (person, name) in enumerate(cast)
                ]
                session.add(movie)
                session.commit()
                key = movie.id
            with self.alone() as session:
                found.append(self.whole_movie(session, key))
        return found

    def close(self) -> None:
        self.engine.dispose()
        self.single.dispose()
