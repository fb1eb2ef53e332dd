"""Wrong lines of the newer words; see `no_queries.py`."""

from __future__ import annotations

from shop import Author, Book

from datalayer import Count, F, Join, Q
from datalayer import functions as fn
from datalayer.checks import register

fn.GreaterThan(Book.pages, "x")  # no
fn.In(Book.title, [1, 2])  # no
fn.In(Book.title, 5)  # no
fn.Between(Book.pages, "a", "b")  # no
fn.StartsWith(Book.pages, "x")  # no
fn.StartsWith(Book.title, 5)  # no
fn.IsNull(Book.title, "yes")  # no

Book.objects.with_cte("t", Author.objects.all())  # no
Book.objects.with_cte("t", lambda rows: 5)  # no
Book.objects.with_cte(Book.objects.all())  # no
Book.objects.join(other=5)  # no
Book.objects.join(other=Join(Book))  # no
Book.objects.sample("10")  # no
Book.objects.sample(10, method="rows")  # no
Book.objects.using(5)  # no
Book.objects.annotate(Count("author"))  # no
Book.objects.alias(F("title"))  # no
F(5)  # no

Author.objects.dates(Author.name, "year")  # no
Author.objects.dates(Author.made, "year")  # no
Author.objects.dates(Book.published_on, "year")  # no
Author.objects.dates("born", "hour")  # no
Author.objects.dates("born", "year", "down")  # no
Author.objects.datetimes("made", "decade")  # no
Author.objects.datetimes(Author.born, "day")  # no
[born.year + "x" for born in Author.objects.dates("born", "year")]  # no

Book.objects.filter(Q(fn.GreaterThan(Book.pages, "x")))  # no


@register  # no
def gives_no_findings() -> int:
    return 5
