"""Right lines about what a database computes: arithmetic, functions, cases, windows, subqueries, relations to many."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any, ClassVar, assert_type

from keys import Row
from shop import Author, Book, BookManager

from datalayer import (
    Avg,
    Case,
    Count,
    Exists,
    F,
    Field,
    ManyToMany,
    Mapped,
    Max,
    Min,
    Model,
    OuterRef,
    Q,
    Range,
    Reverse,
    Subquery,
    Sum,
    Value,
    When,
    Window,
)
from datalayer.functions import Length, Lower, Rank
from datalayer.models.column import Expr


class Tag(Model):
    label: Mapped[str] = Field(max_length=40)
    articles: ClassVar[Reverse[Article]]


class Article(Model):
    title: Mapped[str]
    tags: ManyToMany[Tag] = ManyToMany(related_name="articles")


class Listed(Model):
    tags: Mapped[list[str]] = Field(default_factory=list)
    marks: Mapped[list[int] | None] = Field(default=None)
    data: Mapped[dict[str, Any]] = Field(default_factory=dict)
    nights: Mapped[Range[int]] = Field(default=Range(1, 5))
    open_on: Mapped[Range[date] | None] = Field(default=None)
    day: Mapped[date] = Field(default=date(2020, 1, 1))


assert_type(Listed.tags[0], Expr[Listed, str | None])
assert_type(Listed.marks[0], Expr[Listed, int | None])
assert_type(Listed.tags[0:2], Expr[Listed, list[str]])
assert_type(Book.title[0:2], Expr[Book, str])
assert_type(Book.title[0], Expr[Book, str])
assert_type(Listed.tags.length(), Expr[Listed, int])
assert_type(Listed.data["a"], Expr[Listed, Any])
Listed.objects.filter(Listed.tags.contains(["a"]), Listed.tags.overlaps(["b"]), Listed.marks.contains([1]))
Listed.objects.filter(Listed.tags[0] == "a", Listed.marks.length() > 2, Listed.data["a"]["b"] == 1)
Listed.objects.filter(tags__contains=["a"], data__a__b__gt=1)

assert_type(Listed.nights.lower(), Expr[Listed, int | None])
assert_type(Listed.open_on.upper(), Expr[Listed, date | None])
assert_type(Listed.nights.is_empty(), Expr[Listed, bool])
assert_type(Listed().nights, Range[int])
assert_type(Listed().nights.lower, int | None)
Listed.objects.filter(Listed.nights.contains(3), Listed.nights.contains(Range(2, 3)), Listed.open_on.contains(Listed.day))
Listed.objects.filter(Listed.nights.overlaps(Range(1, None)), Listed.open_on.fully_lt(Range(date(2020, 1, 1), None)))
Listed.objects.filter(Listed.nights == Range(1, 2), Listed.nights.lower() > 3, nights__contains=3)

assert_type(Book.price * 2, Expr[Book, Decimal])
assert_type(Book.pages + Book.pages - 1, Expr[Book, int])
assert_type(2 * Book.pages, Expr[Book, int])
assert_type(Book.title + "!", Expr[Book, str])
assert_type("x" + Book.title + Lower(Book.title), Expr[Book, str])
assert_type(Book.published_on + timedelta(days=1), Expr[Book, date | None])
Row.objects.filter(Row.made - timedelta(days=1) > Row.made)
assert_type(Row.made - Row.made, Expr[Row, timedelta])
assert_type(Row.span * 2, Expr[Row, timedelta])
assert_type(Row.ratio / 2 + Row.amount, Expr[Row, float])
print(Book.price + F("price"))
print(F("price") + Book.price)
print(-Book.price + Decimal(1))
print(Book.author[Author.name] + Book.title)
print(Length(Book.title) * 2 % 3)
Book.objects.all().update(price=Book.price * 2, pages=Book.pages + 1)
assert_type(Lower(Book.title), Expr[Book, str])
assert_type(Length(Book.title), Expr[Book, int])
Book.objects.filter(Lower(Book.title) == "x", Book.price * 2 < Decimal(10), Book.pages + 1 > Book.pages)
Book.objects.filter(Book.published_on + timedelta(days=1) > date(2020, 1, 1))
Book.objects.filter(~(Q(title="x") & Q(Book.pages > 3)) | Q(price__lt=F("price") * 2), Book.price >= F("price"))
Book.objects.order_by(Lower(Book.title), F("pages").desc(nulls="last"), Book.author[Author.name].asc(), "-price")
Book.objects.annotate(size=Case(When(Book.pages > 300, then=Value("long")), default=Value("short")), n=F("pages") + 1)
Book.objects.annotate(place=Window(Rank(), partition_by="author", order_by="-price"))
Author.objects.filter(Exists(Book.objects.filter(author=OuterRef("pk"))))
Author.objects.annotate(dearest=Subquery(Book.objects.filter(author=OuterRef("pk")).values("price")[:1]))
Author.objects.annotate(total=Count("books", filter=Q(books__price__gt=5))).filter(total__gt=3).order_by("-total")
assert_type(
    Book.objects.aggregate(Avg("price"), cheapest=Min(Book.price), dearest=Max("price"), all=Sum("pages")),
    dict[str, Any],
)
assert_type(list(Book.objects.values_list(Lower(Book.title), Book.pages * 2)), list[tuple[str, int]])

article = Article(title="x")
assert_type(list(article.tags), list[Tag])
assert_type(article.tags.filter(Tag.label == "a").first(), Tag | None)
article.tags.add(Tag(label="a"))
article.tags.set([Tag(label="a")])
assert_type(list(Tag(label="a").articles), list[Article])
Article.objects.filter(Article.tags[Tag.label] == "a").prefetch_related(Article.tags)
Author(name="x").books.add(Book(title="x", price=Decimal(1), author=Author(name="x")))
assert_type(Author(name="x").books, BookManager)
