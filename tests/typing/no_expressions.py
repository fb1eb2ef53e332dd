"""Wrong lines about what a database computes; see `no_queries.py`."""

from __future__ import annotations

from datetime import date

from keys import Row
from shop import Author, Book

from datalayer import Field, Mapped, Model, Range



class Listed(Model):
    tags: Mapped[list[str]] = Field(default_factory=list)
    nights: Mapped[Range[int]] = Field(default=Range(1, 5))


Listed.tags.contains("a")  # no
Listed.tags.contains([1])  # no (pyright)
Listed.tags.overlaps([1])  # no
Book.pages.length()  # no
Book.pages.lower()  # no
Listed(nights=Range("a", "b"))  # no
Listed.nights.contains("a")  # no
Listed.nights.fully_lt(5)  # no
Listed.objects.filter(Listed.nights.lower() > "x")  # no
Listed.objects.filter(Listed.tags[0] > 5)  # no

print(Book.title + 3)  # no
print(Book.pages + "x")  # no
print(Book.price * Book.title)  # no
print(Book.price + Author.name)  # no
print(Book.pages + Row.small)  # no
print(Book.published_on + 1)  # no
print(Book.published_on + date(2020, 1, 1))  # no
print(Book.title * 2)  # no
print(Book.author + 1)  # no
print(Row.is_open + Row.is_open)  # no
