"""Right lines of the newer words: lookups as values, CTEs, samples, dates, whole keys, checks of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, assert_type

from shop import Author, Book, BookManager

from datalayer import Case, F, Join, Q, When
from datalayer import functions as fn
from datalayer.checks import Finding, register
from datalayer.models.expressions import Compared
from datalayer.models.values import Values

assert_type(fn.GreaterThan(Book.pages, 5), Compared)
assert_type(fn.GreaterThan("pages", F("price")), Compared)
assert_type(fn.In(Book.title, ["a", "b"]), Compared)
assert_type(fn.Between(Book.price, Decimal(1), Decimal(2)), Compared)
assert_type(fn.IsNull(Book.published_on), Compared)
assert_type(fn.StartsWith(Book.author[Author.name], "Le"), Compared)
Book.objects.filter(fn.GreaterThan(Book.pages, 5) | Q(title="x"), ~fn.IContains("title", "x"))
Book.objects.annotate(is_long=fn.GreaterThan(Book.pages, 300), is_dear=Case(When(fn.LessThan("price", 9), then=1)))
Book.objects.order_by(fn.IsNull(Book.published_on).desc(), fn.Exact(Book.title, "x"))

assert_type(Book.objects.with_cte("dear", Book.objects.filter(Book.price > 9)), BookManager)
assert_type(
    Book.objects.with_cte("t", lambda rows: rows.published(), recursive=lambda rows: rows.filter(id=1), distinct=True),
    BookManager,
)
assert_type(Author.objects.join(dear=Join(Book.objects.filter(id=1), Q(id=F("dear__author")))).first(), Author | None)
assert_type(Book.objects.sample(10), BookManager)
assert_type(Book.objects.sample(Decimal("0.5"), method="system", seed=1).published(), BookManager)
assert_type(Book.objects.db, str)

assert_type(Author.objects.dates(Author.born, "year"), Values[Author, date])
assert_type(list(Author.objects.filter(id=1).dates("born", "month", "DESC")), list[date])
assert_type(list(Author.objects.datetimes(Author.made, "hour", tzinfo="Europe/Rome")), list[datetime])
assert_type(list(Book.objects.dates(Book.published_on, "day")), list[date])
assert_type(list(Book.objects.values_list("pk", flat=True)), list[Any])


@register
def books_have_pages() -> Iterator[Finding]:
    yield Finding("shop.W001", "a book has no pages")


assert_type(list(books_have_pages()), list[Finding])
