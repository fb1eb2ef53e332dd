"""Right lines: every one must be accepted by both checkers, with the types it says."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, assert_type

from shop import Author, Book, BookManager

from datalayer import Avg, Count, F, Manager, Max, Min, Q, Sum
from datalayer.functions import AnyValue
from datalayer.models.column import Column

ann = Author(name="Ann", born=date(1970, 1, 1))
book = Book(title="One", price=Decimal(1), author=ann)
assert_type(Author.name, Column[Author, str])
assert_type(ann.name, str)
assert_type(ann.id, int)
assert_type(ann.born, date | None)
assert_type(book.author, Author)
assert_type(book.author.name, str)
assert_type(book.editor, Author | None)
assert_type(Book.objects, BookManager)
assert_type(Author.objects.get(Author.name == "Ann"), Author)
assert_type(Book.objects.published().first(), Book | None)
assert_type(Book.objects.published().order_by(Book.price.desc(), "title")[0], Book)
assert_type(list(Book.objects.filter(Book.price < 10)), list[Book])
assert_type(list(ann.books), list[Book])
assert_type(
    list(Book.objects.values_list(Book.title, Book.author[Author.name], Book.published_on)),
    list[tuple[str, str, date | None]],
)
assert_type(list(Book.objects.values_list(Book.pages, flat=True)), list[int])
assert_type(list(Book.objects.values_list("title", Book.pages, named=True))[0][0:1], tuple[Any, ...])
assert_type(Book.objects.values_list(Book.title, named=True).get().title, Any)
assert_type(Book.objects.values_list("title", Book.pages).first(), tuple[Any, ...] | None)
assert_type(Book.objects.values_list(*["title", "pages"]).get(), tuple[Any, ...])
assert_type(Book.objects.values_list(Book.title, "pages").get(), tuple[str, *tuple[Any, ...]])
assert_type(Book.objects.values_list(Book.title, Book.pages, F("price") * 2)[0], tuple[str, int, *tuple[Any, ...]])
for title, pages in Book.objects.values_list(Book.title, "pages"):
    assert_type(title, str)
Book.objects.filter(Book.title.in_({"a", "b"}), Book.title.in_({"a": 1}), Book.pages.in_(range(3)))
Book.objects.filter((Book.price < Decimal(5)) | ~Book.title.startswith("The"), Book.author == ann)
Book.objects.filter(Book.pages.in_([1, 2]), Book.published_on.is_null(), Book.published_on > date(2020, 1, 1))
Book.objects.filter(Book.editor[Author.name] == "x", Q(title="x") | Q(pages__gt=2), author__name="x")
Author.objects.filter(Author.books[Book.title] == "x", Author.born == None)  # noqa: E711
Book.objects.all().update(price=F("price") * 2, pages=Book.pages + 1)
assert_type(
    Book.objects.aggregate_list(Count(), Max(Book.price), Sum(Book.pages), Avg(Book.pages)),
    tuple[int, Decimal | None, int | None, float | None],
)
assert_type(Book.objects.aggregate_list(Min(Book.published_on)), tuple[date | None])
assert_type(Book.objects.aggregate_list(Sum(Book.price, default=Decimal(0), filter=Book.pages > 3)), tuple[Decimal])
assert_type(Book.objects.aggregate_list(Avg(Book.price), Avg(Book.pages, default=0.0)), tuple[Decimal | None, float])
assert_type(Book.objects.aggregate_list(AnyValue(Book.price), AnyValue("x")), tuple[Decimal | None, Any])
assert_type(Book.objects.aggregate_list(Max(Book.author[Author.born]), Sum("x")), tuple[date | None, Any])
assert_type(Author.objects.aggregate_list(Count(Author.books), Count("x", filter=Q(name="x"))), tuple[int, int])
Book.objects.aggregate(Sum("price"), Count(Book.title), Avg(F("pages") + 1), total=Sum(Book.price) / Count("*"))
assert_type(Book.objects.in_bulk([1, 2]), dict[int, Book])
assert_type(Book.objects.in_bulk(["a", "b"], field="title"), dict[str, Book])
assert_type(Book.objects.in_bulk(), dict[Any, Book])
counted = Author.objects.annotate(book_count=Count("books"))
assert_type(counted, Manager[Author])
assert_type(counted.get().book_count, int)
assert_type(counted.filter(Author.book_count > 3).order_by(Author.book_count.desc())[0].book_count, int)
assert_type(counted.values_list(Author.name, Author.book_count).get(), tuple[str, int])
assert_type(Book.objects.get(id=1).author.book_count, int)
book.author = ann
book.editor = None
book.title = "Two"


async def awaited() -> None:
    assert_type(await Book.objects.aget(id=1), Book)
    assert_type(await Book.objects.published(), list[Book])
    assert_type(await Book.objects.aaggregate_list(Max(Book.price), Count()), tuple[Decimal | None, int])
    assert_type([row async for row in Book.objects.values_list(Book.title)], list[tuple[str]])
    await book.asave()
