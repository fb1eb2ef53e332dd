"""The raw drivers: one statement for each list, prepared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.movies.data import New

MOVIE = "SELECT title, year, (SELECT avg(rating) FROM review WHERE movie_id = movie.id) FROM movie WHERE id = ?"
DIRECTORS = (
    "SELECT person.name FROM direction JOIN person ON person.id = person_id WHERE movie_id = ? ORDER BY direction.id"
)
ROLES = (
    "SELECT person.name, role.name FROM role JOIN person ON person.id = person_id WHERE movie_id = ? ORDER BY position"
)
REVIEWS = (
    "SELECT rating, text, account.name FROM review JOIN account ON account.id = account_id "
    "WHERE movie_id = ? ORDER BY review.id"
)
PERSON = "SELECT name FROM person WHERE id = ?"
DIRECTED = (
    "SELECT title, year FROM direction JOIN movie ON movie.id = movie_id WHERE person_id = ? ORDER BY direction.id"
)
PLAYED = (
    "SELECT role.name, title, year FROM role JOIN movie ON movie.id = movie_id WHERE person_id = ? ORDER BY role.id"
)
USER = "SELECT name FROM account WHERE id = ?"
NEWEST = (
    "SELECT rating, title FROM review JOIN movie ON movie.id = movie_id WHERE account_id = ? "
    "ORDER BY review.id DESC LIMIT 10"
)
INSERTS = (
    "INSERT INTO movie (title, year) VALUES (?, ?) RETURNING id",
    "INSERT INTO direction (movie_id, person_id) VALUES (?, ?)",
    "INSERT INTO role (movie_id, person_id, name, position) VALUES (?, ?, ?, ?)",
)


class Target:
    """One connection in autocommit mode."""

    def __init__(self, url: str) -> None:
        self.is_sqlite = url.startswith("sqlite")
        if self.is_sqlite:
            import sqlite3

            self.connection: Any = sqlite3.connect(
                url.removeprefix("sqlite:///"), isolation_level=None, cached_statements=512
            )
            for pragma in ("synchronous = NORMAL", "foreign_keys = ON"):
                self.connection.execute(f"PRAGMA {pragma}")
        else:
            import psycopg

            self.connection = psycopg.connect(url, autocommit=True)
            self.cursor: Any = self.connection.cursor(binary=True)

    def execute(self, sql: str, *values: Any) -> Any:
        if self.is_sqlite:
            return self.connection.execute(sql, values)
        return self.cursor.execute(sql.replace("?", "%s"), values, prepare=True)

    def rows(self, sql: str, key: int) -> list[Any]:
        return self.execute(sql, key).fetchall()

    def movie(self, key: int) -> Any:
        title, year, average = self.execute(MOVIE, key).fetchone()
        directors = [name for (name,) in self.rows(DIRECTORS, key)]
        return title, year, directors, self.rows(ROLES, key), self.rows(REVIEWS, key), average

    def movies(self, keys: Sequence[int]) -> list[Any]:
        return [self.movie(key) for key in keys]

    def people(self, keys: Sequence[int]) -> list[Any]:
        return [
            (*self.execute(PERSON, key).fetchone(), self.rows(DIRECTED, key), self.rows(PLAYED, key)) for key in keys
        ]

    def users(self, keys: Sequence[int]) -> list[Any]:
        return [(*self.execute(USER, key).fetchone(), self.rows(NEWEST, key)) for key in keys]

    def add(self, movies: Sequence[New]) -> list[Any]:
        found: list[Any] = []
        movie, direction, role = INSERTS
        for title, year, directors, cast in movies:
            self.execute("BEGIN IMMEDIATE" if self.is_sqlite else "BEGIN")
            ((key,),) = self.execute(movie, title, year).fetchall()
            many = [(key, person) for person in directors]
            roles = [(key, person, name, place) for place, (person, name) in enumerate(cast)]
            if self.is_sqlite:
                self.connection.executemany(direction, many)
                self.connection.executemany(role, roles)
            else:
                self.cursor.executemany(direction.replace("?", "%s"), many)
                self.cursor.executemany(role.replace("?", "%s"), roles)
            self.execute("COMMIT")
            found.append(self.movie(key))
        return found

    def close(self) -> None:
        self.connection.close()
