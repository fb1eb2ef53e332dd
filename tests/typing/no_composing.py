"""Wrong lines of expressions: every line that ends in `# no` must be refused by both checkers."""

from __future__ import annotations

from shop import Author, Book

from datalayer import functions as fn

Author.objects.filter(fn.Lower(Book.title) == "x")  # no
fn.Lower(Book.pages)  # no
fn.Left(Book.title, "x")  # no
fn.Round(Book.price, "x")  # no
Book.objects.filter(fn.Length(Book.title) > "x")  # no
fn.Window()  # no
fn.Frame(start="x")  # no
Book.objects.contains(Author.objects.get(id=1))  # no
title: int = list(Book.objects.values_list(fn.Lower(Book.title), flat=True))[0]  # no
