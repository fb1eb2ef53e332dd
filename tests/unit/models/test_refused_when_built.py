"""ORM.md, "Beyond Django" 2: each mistake is refused when it is built, with the model, the column, the choices and the
nearest; nothing is sent, so these tests have settings, and a database that is never there.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, cast
from uuid import UUID

import pytest

import datalayer
from datalayer import (
    CASCADE,
    Case,
    Count,
    Excluded,
    F,
    Field,
    ForeignKey,
    ManyToMany,
    Mapped,
    Model,
    OuterRef,
    Q,
    Reverse,
    Subquery,
    Sum,
    UniqueConstraint,
    Value,
    When,
    Window,
    atomic,
    conf,
)
from datalayer import functions as fn
from datalayer.errors import DatalayerError
from datalayer.models import registry
from datalayer.pooling.registry import pools
from datalayer.testing import assert_num_queries, create_tables


class Color(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


with registry.isolated():

    class Author(Model):
        name: Mapped[str] = Field(max_length=20)
        color: Mapped[Color] = Field(default=Color.RED)
        data: Mapped[dict[str, Any]] = Field(default_factory=dict)
        books: ClassVar[Reverse[Book]]

        class Meta:
            table = "refused_author"

    class Tag(Model):
        label: Mapped[str] = Field(max_length=10)

        class Meta:
            table = "refused_tag"

    class Book(Model):
        title: Mapped[str] = Field(max_length=30)
        price: Mapped[Decimal] = Field(max_digits=8, decimal_places=2, ge=0)
        pages: Mapped[int] = Field(default=0)
        sold_at: Mapped[datetime | None] = Field(default=None)
        isbn: Mapped[UUID | None] = Field(default=None, unique=True)
        twice: Mapped[int] = Field(generated="pages * 2", init=False)
        author: ForeignKey[Author] = ForeignKey(on_delete=CASCADE, related_name="books")
        tags: ManyToMany[Tag] = ManyToMany(related_name="books")

        class Meta:
            table = "refused_book"
            constraints = (UniqueConstraint("author", "title", name="one_title"),)

    registry.tables()

# To type checkers anything: they would refuse most of the lines themselves.
books: Any = Book.objects
authors: Any = Author.objects
columns: Any = Book
ann = Author.model_construct(id=1, name="Ann")
book = Book.model_construct(id=2, title="One", price=Decimal(1), author=ann, twice=0)

row: Any = book


def one() -> Book:
    return Book(title="One", price=Decimal(1), author=ann)


Ask = Callable[[], Any]
UNKNOWN = "did you mean 'title'?"
CASES: dict[str, list[tuple[Ask, tuple[str, ...]]]] = {
    "unknown names": [
        (lambda: books.filter(titel="x"), ("Book has no field 'titel'", "author_id, id, isbn", UNKNOWN)),
        (lambda: books.exclude(author__nam="x"), ("Author has no field 'nam' in 'author__nam'", "'name'?")),
        (lambda: books.order_by("-titel"), ("Book has no field 'titel'", UNKNOWN)),
        (lambda: books.values("titel"), ("Book has no field 'titel'", UNKNOWN)),
        (lambda: books.values_list("titel"), ("Book has no field 'titel'", UNKNOWN)),
        (lambda: books.only("titel"), ("no field of Book", "choices are", UNKNOWN)),
        (lambda: books.defer("titel"), ("no field of Book", "choices are", UNKNOWN)),
        (lambda: books.distinct("titel"), ("Book has no field 'titel'", UNKNOWN)),
        (lambda: books.in_bulk([1], field="titel"), ("in_bulk() by 'titel'", "Book", "choices are id, isbn, pk")),
        (lambda: books.select_related("autor"), ("no relation of Book", "choices are: author", "'author'?")),
        (lambda: books.prefetch_related("tag"), ("no relation of Book", "author, tags", "'tags'?")),
        (lambda: books.annotate(n=Count("tagz")), ("Book has no field 'tagz'", "'tags'?")),
        (lambda: books.aggregate(Sum("pags")), ("Book has no field 'pags'", "'pages'?")),
        (lambda: books.aggregate(Count("*", filter=Q(pags=1))), ("Book has no field 'pags'", "'pages'?")),
        (lambda: books.annotate(n=Window(fn.RowNumber(), order_by="titel")), ("Book has no field 'titel'", UNKNOWN)),
        (lambda: books.annotate(n=Case(When(pags=1, then=Value(1)))), ("Book has no field 'pags'", "'pages'?")),
        (lambda: books.filter(pk=1).update(titel="x"), ("update() names 'titel'", "Book", "choices are", UNKNOWN)),
        (lambda: books.filter(pk=1).update(tags=[1]), ("Book does not have as a column", "set(), on a saved row")),
        (lambda: books.filter(pk=1).update(author__name="x"), ("update() names 'author__name'", "Book", "author_id")),
        (lambda: books.get_or_create(titel="x"), ("Book has no field 'titel'", UNKNOWN)),
        (lambda: books.get_or_create({"pags": 1}, title="x"), ("defaults names 'pags'", "Book", "'pages'?")),
        (lambda: books.update_or_create({}, {"tags": []}, title="x"), ("create_defaults names 'tags'", "saved row")),
        (lambda: books.create(titel="x"), ("Book has no field 'titel'; the choices are", UNKNOWN)),
        (lambda: books.bulk_update([book], ["titel"]), ("bulk_update(fields) names 'titel'", "Book", UNKNOWN)),
        (lambda: book.save(update_fields=["titel"]), ("save(update_fields) names 'titel'", "Book", UNKNOWN)),
        (lambda: books.insert_from(authors.values(titel=F("name"))), ("insert_from() names 'titel'", UNKNOWN)),
    ],
    "unknown lookups": [
        (lambda: books.filter(title__icontain="x"), ("'icontain' on 'title' of Book", "iexact", "'icontains'?")),
        (lambda: books.filter(title__year=1), ("'year' on 'title' of Book", "the choices for string fields are")),
        (lambda: books.filter(pages__contains=1), ("'contains' on 'pages' of Book", "integer fields", "gte")),
    ],
    "values of another type": [
        (lambda: books.filter(id="x"), ("Book: id is big integer", "'x'", "valid integer")),
        (lambda: books.filter(columns.id == "x"), ("Book.id is big integer", "'x'")),
        (lambda: books.filter(author__id__gt="x"), ("Book: author__id__gt is big integer", "'x'")),
        (lambda: books.filter(title=3), ("Book: title is string", "3")),
        (lambda: books.filter(title__in="abc"), ("Book: title__in", "needs a list, tuple, set or query", "'abc'")),
        (lambda: books.filter(columns.title.in_("abc")), ("Book.title", "needs a list", "'abc'")),
        (lambda: books.filter(pages__gt=None), ("Book: pages__gt: None", "use isnull")),
        (lambda: books.filter(columns.pages > None), ("Book.pages: None", "use isnull")),
        (lambda: books.filter(pages__range=(1,)), ("Book: pages__range", "a pair of values")),
        (lambda: books.filter(pages__isnull=3), ("Book: pages__isnull", "True or False", "3")),
        (lambda: books.filter(isbn="x"), ("Book: isbn is uuid", "'x'")),
        (lambda: books.filter(sold_at=datetime(2020, 1, 1)), ("Book: sold_at", "needs a time zone", "now(UTC)")),
        (lambda: authors.filter(color="green"), ("Author: color is enum", "'red' or 'blue'")),
        (lambda: books.filter(pk=ann), ("Book: pk is big integer", "is a row", ".pk")),
        (lambda: books.filter(pk__in=[book]), ("Book: pk__in is big integer", "is a row")),
        (lambda: books.filter(author=book), ("Book: 'author' leads to Author", "is a Book")),
        (lambda: books.filter(author=Author(name="x")), ("Book: 'author'", "not saved yet")),
        (lambda: books.in_bulk(["x"]), ("Book: pk__in is big integer", "'x'")),
        (lambda: books.filter(pk=1).update(pages="x"), ("Book.pages cannot be 'x'", "valid integer")),
        (lambda: books.filter(pk=1).update(pages=None), ("Book.pages cannot be None",)),
        (lambda: books.filter(pk=1).update(title="x" * 31), ("Book.title cannot be", "at most 30")),
        (lambda: books.filter(pk=1).update(price=-1), ("Book.price cannot be -1", "greater than or equal to 0")),
        (lambda: books.filter(pk=1).update(pages=2**40), ("Book.pages cannot be", "2147483647")),
        (lambda: books.filter(pk=1).update(pages=F("title")), ("Book.pages is integer, not string",)),
        (lambda: books.filter(pk=1).update(author=book), ("'author' leads to Author", "is a Book")),
        (lambda: books.filter(pk=1).update(author_id=ann), ("Book.author_id cannot be",)),
        (lambda: books.update_or_create({"pages": "x"}, title="x"), ("Book.pages cannot be 'x'",)),
        (lambda: books.get_or_create({"author": book}, title="x"), ("author", "needs a Author")),
        (lambda: books.bulk_create([ann]), ("bulk_create() of Book was given Author",)),
        (lambda: books.bulk_update([ann], ["title"]), ("bulk_update() of Book was given Author",)),
        (
            lambda: books.insert_from(authors.values(title=F("name"), price=Value("x"), author=F("id"))),
            ("'price', which is text, to Book.price, which is decimal",),
        ),
    ],
    "things of another kind": [
        (lambda: books.all().update(5), ("update() takes values by name, such as update(title=...)", "not 5")),
        (lambda: books.all().update({"pages": 1}), ("write update(**values) for a dictionary",)),
        (lambda: books.create({"title": "x"}), ("write create(**values) for a dictionary",)),
        (lambda: books.get_or_create(5), ("defaults is 5; give values by name",)),
        (lambda: books.get_or_create(["pages"], title="x"), ("defaults is ['pages']; give values by name",)),
        (lambda: books.update_or_create({}, 5, title="x"), ("create_defaults is 5; give values by name",)),
        (lambda: books.raw(5), ("raw() takes SQL as text, not 5", "select * from refused_book")),
        (lambda: books.raw(" "), ("raw() takes SQL as text, not ' '",)),
        (lambda: books.raw("select 1", 5), ("raw(params) is 5; give values in a list for %s",)),
        (lambda: books.raw("select 1", "5"), ("raw(params) is '5'; give values in a list for %s",)),
        (lambda: When(), ("When() was given no condition",)),
        (lambda: cast("Any", When)(pages=1), ("When(pages=1, then='...') has no value", "then=Value('cheap')")),
        (lambda: books.bulk_create(5), ("bulk_create() takes a list of rows, not 5",)),
        (lambda: books.bulk_create(one()), ("bulk_create() of Book was given",)),
        (lambda: books.bulk_create([one()], batch_size="2"), ("batch_size is '2'; a statement writes a number",)),
        (lambda: books.bulk_create([one()], on_conflict=5), ("on_conflict is 5; give names in a list",)),
        (lambda: books.bulk_create([one()], on_conflict=("id",), update=5), ("update is 5; give names in a list",)),
        (lambda: books.bulk_update(5, ["pages"]), ("bulk_update() takes a list of rows, not 5",)),
        (lambda: books.bulk_update([book], 5), ("bulk_update(fields) is 5; give names in a list",)),
        (lambda: books.bulk_delete(5), ("bulk_delete() takes a list of rows, not 5",)),
        (lambda: books.explain(format=5), ("explain(format=5): the choices are json, text, xml, yaml",)),
        (lambda: books.dates(5, "year"), ("dates() takes a column or its name, not 5",)),
        (lambda: books.with_cte(5, books.all()), ("5 is no name of a CTE",)),
        (lambda: row.save(update_fields=5), ("save(update_fields) is 5; give names in a list",)),
        (lambda: row.save(update_fields=[5]), ("save(update_fields) names 5, which Book does not have",)),
        (lambda: row.save(using=5), ("no database 5 in the settings",)),
        (lambda: cast("Any", create_tables)("author"), ("take models, not 'author'",)),
    ],
    "columns of a model that is not joined": [
        (lambda: books.filter(Author.name == "x"), ("Author.name is a column of Author, not of Book", "walk over a")),
        (lambda: books.order_by(Author.name), ("Author.name is a column of Author, not of Book",)),
        (lambda: books.values_list(Author.name), ("Author.name is a column of Author, not of Book",)),
        (lambda: books.filter(columns.author[Book.title] == "x"), ("Book.author leads to Author", "Book.title")),
        (lambda: books.bulk_update([book], [Author.name]), ("bulk_update(fields)", "no column of Book")),
        (lambda: books.union(authors.all()), ("union() of Book and Author", "values(...)")),
    ],
    "aggregates and windows in the wrong place": [
        (lambda: books.filter(Sum("price") > 3), ("over the one row of Book itself", "values(...)", "Subquery(...)")),
        (lambda: books.filter(pk=1).update(pages=Sum("pages")), ("update(pages=Sum('pages'))", "over many rows")),
        (
            lambda: books.filter(pk=1).update(pages=Window(fn.RowNumber())),
            ("a window", "no place for one in an UPDATE"),
        ),
        (lambda: books.bulk_update([book], {"pages": Sum("pages")}), ("bulk_update(pages=Sum('pages'))",)),
        (lambda: books.aggregate(x=Window(fn.RowNumber())), ("aggregate(x=...)", "annotate() it first")),
        (lambda: books.annotate(x=Sum(Window(fn.RowNumber()))), ("over an aggregate or a window", "Subquery")),
        (lambda: books.annotate(x=fn.Window(cast("Any", fn.Window(fn.RowNumber())))), ("Window() takes Rank()",)),
        (lambda: books.aggregate(x=Sum("title")), ("Sum('title') is over string values", "integer")),
    ],
    "changes of what are no rows": [
        (lambda: books.all()[:3].update(pages=1), ("update() of a sliced query", "filter(pk__in=[...])")),
        (lambda: books.all()[:3].delete(), ("delete() of a sliced query", "filter(pk__in=[...])")),
        (lambda: books.values("author").annotate(n=Count("*")).update(pages=1), ("update() is about rows of Book",)),
        (lambda: books.values("author").annotate(n=Count("*")).delete(), ("delete() is about rows of Book",)),
        (lambda: books.filter(pk=1).distinct().update(pages=1), ("update() of distinct or grouped rows",)),
        (lambda: books.all().union(books.all()).delete(), ("delete() of the rows of another query", "pk__in")),
        (lambda: books.update(pages=1), ("update() would take the whole table of Book", ".all().update(...)")),
        (lambda: books.delete(), ("delete() would take the whole table of Book", ".all().delete(...)")),
        (lambda: books.filter(pk=1).update(), ("update() was given no values",)),
        (lambda: books.bulk_update([book, book.model_copy()], ["title"]), ("two objects of the Book 2", "one of them")),
    ],
    "conflict targets": [
        (
            lambda: books.bulk_create([one()], on_conflict=("pages",)),
            ("no unique constraint of Book", "author_id, title"),
        ),
        (lambda: books.bulk_create([one()], on_conflict="one_titel"), ("no unique", "Book", "'one_title'?")),
        (lambda: books.bulk_create([one()], on_conflict=("titel",)), ("on_conflict names 'titel'", "Book", UNKNOWN)),
        (
            lambda: books.bulk_create([one()], on_conflict=("author", "title"), update=("pags",)),
            ("update names 'pags'", "Book", "'pages'?"),
        ),
        (
            lambda: books.bulk_create([one()], on_conflict=("isbn",), update={"pages": Excluded("pags")}),
            ("Book has no field 'pags'", "'pages'?"),
        ),
        (
            lambda: books.bulk_create([one(), one()], on_conflict=("author", "title"), update=("pages",)),
            ("two rows with the same author_id, title, at 0 and 1",),
        ),
        (lambda: books.bulk_create([one()], update=("pages",)), ("need on_conflict=(...)",)),
        (lambda: books.filter(pk=1).update(pages=Excluded("pages")), ("only an upsert and bulk_update have",)),
    ],
    "lists of columns": [
        (
            lambda: books.insert_from(authors.values("name", "id"), columns=("title",)),
            ("names 1 fields (title) for 2 columns",),
        ),
        (lambda: books.insert_from(authors.values("name"), columns=("titel",)), ("'titel'", "Book", UNKNOWN)),
        (lambda: books.insert_from(authors.all()), ("a query that names its columns",)),
        (lambda: books.values("id").union(authors.values("id", "name")), ("the columns must be the same",)),
        (lambda: books.filter(id__in=authors.values("id", "name")), ("Book: id__in", "one column", "has 2")),
        (lambda: books.annotate(x=Subquery(authors.all())), ("one value", "whole rows", ".values(")),
        (lambda: books.annotate(x=Subquery(authors.filter(name=OuterRef("titel")).values("id"))), (UNKNOWN,)),
        (lambda: row.save(update_fields="title"), ("save(update_fields) is 'title'", "['title']")),
        (lambda: books.bulk_update([book], "title"), ("bulk_update(fields) is 'title'", "['title']")),
    ],
    "another kind of thing than asked for": [
        (lambda: books.annotate(Count("tags")), ("annotate(Count('tags'))", "annotate(name=...)")),  # type: ignore[arg-type]
        (lambda: books.values("id").alias(F("id")), ("alias(F('id'))", "give it a name")),  # type: ignore[arg-type]
        (lambda: books.using(5), ("using(5) takes the alias",)),  # type: ignore[arg-type]
        (lambda: books.join(other=5), ("join(other=Join(Model, Q(...)))",)),  # type: ignore[arg-type]
        (lambda: F(5), ("F(5) takes the name of a column",)),  # type: ignore[arg-type]
        (lambda: books.select_for_update(of=5), ("takes a tuple of names",)),  # type: ignore[arg-type]
        (lambda: books.bulk_update([], Book.title), ("Book.title", "truth value")),  # type: ignore[arg-type]
        (lambda: books.insert_from(books.values("title"), columns=Book.title), ("in a list: [<Column Book.title>]",)),  # type: ignore[arg-type]
    ],
    "truth values": [
        (lambda: books.filter((columns.pages > 1) and (columns.title == "x")), ("& | ~",)),
        (lambda: books.filter((columns.pages > 1) or (columns.title == "x")), ("& | ~",)),
        (lambda: books.filter(not (columns.pages > 1)), ("& | ~",)),
        (lambda: books.filter(1 < columns.pages < 3), ("& | ~",)),
        (lambda: books.filter(Q(pages=1) and Q(title="x")), ("& | ~",)),
        (lambda: books.filter(not Q(pages=1)), ("& | ~",)),
        (lambda: books.filter(F("pages") and F("title")), ("& | ~",)),
        (lambda: books.filter(True), ("filter() takes conditions such as Book.name == 'x'", "True")),
    ],
    "generated columns": [
        (lambda: books.filter(pk=1).update(twice=3), ("Book.twice is computed by the database",)),
        (lambda: books.bulk_update([book], ["twice"]), ("Book.twice is computed by the database",)),
        (lambda: books.update_or_create({"twice": 3}, title="x"), ("Book.twice is computed by the database",)),
        (lambda: book.save(update_fields=["twice"]), ("Book.twice is computed by the database",)),
        (
            lambda: books.bulk_create([one()], on_conflict=("isbn",), update=("twice",)),
            ("Book.twice is computed by the database",),
        ),
        (lambda: Field(generated=columns.pages * 2), ("Field(generated=...) is SQL", "write it as text")),
    ],
    "missing values": [
        (lambda: books.create(title="x", price=1), ("author_id", "Field required")),
        (
            lambda: books.bulk_create([Book(title="x", price=Decimal(1), author=Author(name="y"))]),
            ("Book.author is not saved",),
        ),
        (
            lambda: books.insert_from(authors.values(title=F("name"), author=F("id"))),
            ("Book.price has no value and can never be NULL", "name it in values()"),
        ),
    ],
    "transactions": [
        (lambda: atomic(3), ("atomic() takes the alias of a database, or decorates a function", "3")),  # type: ignore[call-overload]
        (lambda: atomic(isolation="serial"), ("unknown isolation 'serial'", "serializable")),  # type: ignore[call-overload]
    ],
}
EVERY = [
    pytest.param(ask, words, id=f"{kind}-{place}")
    for kind, cases in CASES.items()
    for place, (ask, words) in enumerate(cases)
]


@pytest.fixture
def nowhere(tmp_path: Path) -> Iterator[None]:
    """Settings of a database that nobody can open."""
    datalayer.configure(databases={"default": f"sqlite:///{tmp_path / 'missing' / 'db.sqlite3'}"})
    yield
    pools.reset()
    conf.reset()


@pytest.mark.parametrize(("ask", "words"), EVERY)
@pytest.mark.usefixtures("nowhere")
def test_a_mistake_is_refused_when_it_is_built(ask: Ask, words: tuple[str, ...]) -> None:
    with assert_num_queries(0), pytest.raises((DatalayerError, ValueError, TypeError)) as caught:
        ask()
    for word in words:
        assert word in str(caught.value), str(caught.value)
