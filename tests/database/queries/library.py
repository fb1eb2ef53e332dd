"""The models that the tests of queries ask about, and rows with every kind of value, NULL among them."""

from __future__ import annotations

import enum
import random
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from datalayer import CASCADE, SET_NULL, Field, ForeignKey, Mapped, Model, OneToOne, Reverse, ReverseOne
from datalayer.models import registry


class Genre(enum.StrEnum):
    NOVEL = "novel"
    ESSAY = "essay"
    POEM = "poem"


with registry.isolated():

    class Author(Model):
        name: Mapped[str] = Field(max_length=200)
        born: Mapped[date | None] = Field(default=None)
        mentor: ForeignKey[Author | None] = ForeignKey(on_delete=SET_NULL, default=None, related_name="pupils")
        books: ClassVar[Reverse[Book]]
        edited: ClassVar[Reverse[Book]]
        profile: ClassVar[ReverseOne[Profile]]

        class Meta:
            table = "library_author"

    class Profile(Model):
        author: OneToOne[Author] = OneToOne(on_delete=CASCADE, related_name="profile")
        bio: Mapped[str] = Field(default="")

        class Meta:
            table = "library_profile"

    class Book(Model):
        title: Mapped[str] = Field(max_length=200)
        note: Mapped[str | None] = Field(default=None)
        price: Mapped[Decimal] = Field(max_digits=8, decimal_places=2)
        pages: Mapped[int | None] = Field(default=None)
        rating: Mapped[float | None] = Field(default=None)
        in_print: Mapped[bool | None] = Field(default=None)
        published_on: Mapped[date | None] = Field(default=None)
        sold_at: Mapped[datetime | None] = Field(default=None)
        opens_at: Mapped[time | None] = Field(default=None)
        lent_for: Mapped[timedelta | None] = Field(default=None)
        isbn: Mapped[UUID | None] = Field(default=None)
        genre: Mapped[Genre | None] = Field(default=None)
        author: ForeignKey[Author] = ForeignKey(on_delete=CASCADE, related_name="books")
        editor: ForeignKey[Author | None] = ForeignKey(on_delete=SET_NULL, default=None, related_name="edited")

        class Meta:
            table = "library_book"

    registry.tables()


class Shelf(list[Book]):
    """Books that fit on one line when a test fails."""

    def __repr__(self) -> str:
        return f"<{len(self)} books>"


MODELS = (Author, Profile, Book)

TEXTS = [
    "",
    "a",
    "A",
    "ab",
    "aB",
    "b%",
    "%",
    "_",
    "a_b",
    "\\",
    "a\\%b",
    "é",
    "É",
    "[a]",
    "*",
    "a?",
    "x'y",
    '"',
    "a b",
    "ab\nc",
]
POOLS: dict[str, list[Any]] = {
    "title": TEXTS,
    "note": [None, None, *TEXTS],
    "price": [Decimal(text) for text in ("0", "0.01", "1.10", "5", "9.99", "10", "-3.50", "999999.99")],
    "pages": [None, None, -2, -1, 0, 1, 2, 3, 100, 2_000_000_000],
    "rating": [None, None, -1.5, 0.0, 0.1, 0.2, 0.30000000000000004, 2.5, 1e10],
    "in_print": [None, True, False],
    "published_on": [
        None,
        date(1969, 12, 29),
        date(2020, 1, 1),
        date(2020, 2, 29),
        date(2020, 12, 31),
        date(2021, 1, 3),
    ],
    "sold_at": [
        None,
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2020, 1, 1, tzinfo=UTC),
        datetime(2020, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2021, 1, 3, 12, 30, 45, 500000, tzinfo=UTC),
        datetime(2021, 6, 15, 0, 0, 1, tzinfo=UTC),
    ],
    "opens_at": [None, time(0), time(8, 30), time(23, 59, 59, 999999)],
    "lent_for": [
        None,
        timedelta(0),
        timedelta(days=1),
        timedelta(days=-1),
        timedelta(microseconds=1),
        timedelta(days=400),
    ],
    "isbn": [None, UUID(int=0), UUID(int=1), UUID("ffffffff-ffff-4fff-bfff-ffffffffffff")],
    "genre": [None, *Genre],
}
NAMES = ["Ann", "ann", "Bob", "b_b", "Çelik", "çelik", "Ann"]
BORN = [None, date(1950, 5, 1), date(1950, 5, 1), date(1980, 1, 1)]


def authors() -> list[Author]:
    """Seven authors, not saved; `mentor` is set by `mentored`."""
    chance = random.Random(7)
    return [Author(name=name, born=chance.choice(BORN)) for name in NAMES]


def mentored(found: list[Author]) -> None:
    """Gives some authors a mentor, himself in one case."""
    for pupil, mentor in ((1, 0), (2, 0), (3, 1), (4, 4)):
        found[pupil].mentor = found[mentor]


def books(found: list[Author], count: int = 60) -> Shelf:
    """Books with values of the pools in all combinations a fixed chance gives, not saved; the last author has none."""
    chance = random.Random(11)
    return Shelf(
        Book(
            **{name: chance.choice(pool) for name, pool in POOLS.items()},
            author=chance.choice(found[:-1]),
            editor=chance.choice([None, None, *found[:4]]),
        )
        for _ in range(count)
    )
