"""Wrong lines: every line that ends in `# no` must be refused by both checkers, and no other
(`# no (pyright)`: mypy has nothing against a truth value that is None; what is built raises)."""

from __future__ import annotations

from decimal import Decimal

from shop import Author, Book

from datalayer import Count, Max, Sum

ann = Author(name="Ann")
Author(nam="x")  # no
Author()  # no
Author(name=3)  # no
Author(name="x", made=None)  # no
Book(title="x", price=Decimal(1))  # no
book = Book(title="x", price=Decimal(1), author=ann)
Book(title="x", price=Decimal(1), author=book)  # no
book.author = book  # no
book.author = None  # no
book.title = 3  # no
Author.nam  # no
Author.objects.filter(Author.born > "x")  # no
Author.objects.filter(Author.name == 3)  # no
Author.objects.filter(Book.title == "x")  # no
Book.objects.filter(Book.author[Book.title] == "x")  # no
Book.objects.filter(Book.author == book)  # no
Book.objects.filter(Book.price.startswith("x"))  # no
Book.objects.filter(Book.pages.in_("abc"))  # no
Book.objects.order_by(Author.name)  # no
Book.objects.values_list(Author.name)  # no
Book.objects.publish()  # no
title: int = Book.objects.get(id=1).title  # no
Book.objects.filter("title")  # no
Book.objects.in_bulk("ab", field="title")  # no
known: dict[str, Book] = Book.objects.in_bulk([1, 2])  # no
Book.objects.in_bulk(5)  # no
Book.objects.aggregate(Max(Author.born))  # no
Book.objects.aggregate_list(Max(Author.born))  # no
Book.objects.aggregate_list(Count(), Sum(Author.id))  # no
Book.objects.aggregate_list(Book.price)  # no
Book.objects.aggregate_list("price")  # no
Sum(Book.price, filter=Author.name == "x")  # no
Sum(Book.price, filter="x")  # no
Count(3)  # no
Max(Book.price, default="x")  # no
(dearest,) = Book.objects.aggregate_list(Max(Book.price))
print(dearest + 1)  # no
number: str = Book.objects.aggregate_list(Count())[0]  # no
Author.objects.filter(Author.book_count > "x")  # no
Book.objects.filter(Author.book_count > 3)  # no
Author.objects.get(id=1).book_total  # no
counted: str = Author.objects.get(id=1).book_count  # no
Author(name="x", book_count=3)  # no
Book.objects.filter(Book.title.in_("abc"))  # no
Book.objects.values_list(Author.name, "title")  # no
Book.objects.values_list("title", Author.name)  # no
Book.objects.values_list(Book.title, Author.name)  # no
part: list[tuple[int, str]] = list(Book.objects.values_list(Book.title, "pages"))  # no
Book.objects.distinct(Author.name)  # no
Book.objects.defer(Author.name)  # no
Book.objects.filter(Author.objects.filter(Author.name == "x"))  # no
