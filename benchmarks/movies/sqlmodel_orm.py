"""SQLModel: the statements and the loading of SQLAlchemy's ORM, on SQLModel's classes and session."""

# Its relations cannot be read from annotations that are kept as text, so these are not.

from types import SimpleNamespace
from typing import Any, Optional

from sqlmodel import Field, Relationship, Session, SQLModel

from benchmarks.movies import sqlalchemy_orm


def many(name: str, order: str) -> Any:
    return Relationship(back_populates=name, sa_relationship_kwargs={"order_by": order})


class Person(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str
    born: int
    directions: list["Direction"] = many("person", "Direction.id")
    roles: list["Role"] = many("person", "Role.id")


class Movie(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    title: str
    year: int
    directions: list["Direction"] = many("movie", "Direction.id")
    roles: list["Role"] = many("movie", "Role.position")
    reviews: list["Review"] = many("movie", "Review.id")


class Account(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str


class Direction(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    movie_id: int | None = Field(default=None, foreign_key="movie.id")
    person_id: int | None = Field(default=None, foreign_key="person.id")
    movie: Optional["Movie"] = Relationship(back_populates="directions")
    person: Optional["Person"] = Relationship(back_populates="directions")


class Role(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    movie_id: int | None = Field(default=None, foreign_key="movie.id")
    person_id: int | None = Field(default=None, foreign_key="person.id")
    name: str
    position: int
    movie: Optional["Movie"] = Relationship(back_populates="roles")
    person: Optional["Person"] = Relationship(back_populates="roles")


class Review(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    movie_id: int | None = Field(default=None, foreign_key="movie.id")
    account_id: int | None = Field(default=None, foreign_key="account.id")
    rating: int
    text: str
    movie: Optional["Movie"] = Relationship(back_populates="reviews")
    account: Optional["Account"] = Relationship()


class Target(sqlalchemy_orm.Target):
    """The same with SQLModel's classes and session."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.session.class_ = self.alone.class_ = Session

    def declared(self) -> SimpleNamespace:
        return SimpleNamespace(
            Person=Person, Movie=Movie, Account=Account, Direction=Direction, Role=Role, Review=Review
        )
