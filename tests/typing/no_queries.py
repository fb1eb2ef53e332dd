"""Wrong lines: every line that ends in `# no` must be refused by both checkers, and no other
(`# no (pyright)`: mypy infers the owner of a column from what is expected, and lets it pass; the query refuses it)."""

from __future__ import annotations

from decimal import Decimal

from shop import Author, Book

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
Book.objects.order_by(Author.name)  # no (pyright)
Book.objects.values_list(Author.name)  # no (pyright)
Book.objects.publish()  # no
title: int = Book.objects.get(id=1).title  # no
Book.objects.filter("title")  # no
