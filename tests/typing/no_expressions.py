"""Wrong lines about what a database computes; see `no_queries.py`."""

from __future__ import annotations

from datetime import date

from keys import Row
from shop import Author, Book

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
