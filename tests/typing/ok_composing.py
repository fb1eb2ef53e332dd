"""Right lines of expressions: functions, aggregates, windows, queries of queries."""

from __future__ import annotations

from datetime import date
from typing import Any, assert_type

from shop import Author, Book, BookManager

from datalayer import Case, Count, Exists, F, FilteredRelation, Join, OuterRef, Q, Subquery, Sum, Value, When, Window
from datalayer import functions as fn
from datalayer.models.column import Expr
from datalayer.models.expressions import Computable

assert_type(fn.Lower(Book.title), Expr[Book, str])
assert_type(fn.Lower("title"), Computable)
assert_type(fn.Length(Book.author[Author.name]), Expr[Book, int])
assert_type(fn.Abs(Book.pages), Expr[Book, int])
assert_type(fn.Sqrt(Book.pages), Expr[Book, float])
assert_type(fn.TruncMonth(Book.published_on), Expr[Book, date | None])
assert_type(fn.Cast(Book.price, int), Expr[Book, int])
assert_type(fn.Concat(Book.title, Book.author[Author.name]), Expr[Book, str])
assert_type(list(Book.objects.values_list(fn.Upper(Book.title), fn.Cast(Book.pages, float))), list[tuple[str, float]])
Book.objects.filter(fn.Length(Book.title) > 3, fn.Lower("title") == "x", F("pages") > 3, F("a") < F("b"))
Book.objects.filter(Exists(Author.objects.filter(id=OuterRef("author"))), ~Exists(Author.objects.all()) | Q(id=1))
Book.objects.annotate(
    k=Case(When(Book.price < 5, then=Value("x")), default=Value("y")),
    p=Window(fn.RowNumber(), partition_by="author", order_by=Book.price.desc()),
    s=Subquery(Author.objects.values("name")[:1]),
    big=FilteredRelation("author", Q(author__name="x")),
)
assert_type(Book.objects.union(Book.objects.published()), BookManager)
assert_type(Book.objects.values("author").annotate(n=Count("*")).aggregate(Sum("n")), dict[str, Any])
assert_type(Book.objects.join(other=Join(Book, Q(author=F("other__author")))).first(), Book | None)
assert_type(Book.objects.contains(Book.objects.get(id=1)), bool)
assert_type(list(Author.objects.with_cte("t", Author.objects.all()) | Author.objects.all()), list[Author])
