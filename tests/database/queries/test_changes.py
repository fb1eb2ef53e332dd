"""Changes of the rows a query finds: expressions, rows that come back, inserts from a query, save()'s options."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from datalayer import Count, Excluded, F, Field, Mapped, Max, Model, OuterRef, Subquery, UUIDModel, Value
from datalayer.errors import FieldError, InvalidValue, NotUpdated, QueryError
from datalayer.functions import UUID7, Coalesce
from datalayer.models import registry
from datalayer.testing import acreate_tables, assert_num_queries, capture_queries, create_tables
from tests.database.queries.library import Author, Book, Shelf
from tests.worlds import World

with registry.isolated():

    class Sale(Model):
        title: Mapped[str] = Field(max_length=200, unique=True)
        price: Mapped[Decimal] = Field(max_digits=8, decimal_places=2)
        count: Mapped[int] = Field(default=1)
        made: Mapped[datetime] = Field(auto_now_add=True)
        note: Mapped[str | None] = Field(default=None)
        total: Mapped[Decimal] = Field(max_digits=10, decimal_places=2, init=False, generated="price * count")

        class Meta:
            table = "changes_sale"

    class Token(UUIDModel):
        word: Mapped[str] = Field()
        seen: Mapped[list[str]] = Field(default_factory=list)
        about: Mapped[dict[str, int]] = Field(default_factory=dict)

        class Meta:
            table = "changes_token"

    registry.tables()


@pytest.fixture
def sales(books: Shelf, world: World) -> Shelf:
    world.run(lambda: create_tables(Sale, Token), lambda: acreate_tables(Sale, Token))
    world.call(Author.objects.filter(mentor=None), "update", born=None)
    return books


# -- update ----------------------------------------------------------------------------------------


def test_update_gives_the_written_rows(world: World, books: Shelf) -> None:
    some = [book.id for book in books[:3]]
    with assert_num_queries(1):
        found = world.call(
            Book.objects.filter(pk__in=some), "update", title="new", price=F("price") / 2, returning=True
        )
    assert sorted(book.id for book in found) == some
    assert {book.title for book in found} == {"new"}
    again = dict(world.iterate(Book.objects.filter(pk__in=some).values_list("id", "price")))
    assert {book.id: book.price for book in found} == again
    with assert_num_queries(0):
        world.call(found[0], "save")
    assert world.call(Book.objects.none(), "update", title="x", returning=True) == []


def test_update_reads_every_row_before_it_writes_one(world: World, books: Shelf) -> None:
    authors = {author.id: author for author in world.iterate(Author.objects.all())}
    names = {key: authors[author.mentor_id].name if author.mentor_id else "" for key, author in authors.items()}
    wanted = {key: names[author.mentor_id] if author.mentor_id else "" for key, author in authors.items()}
    world.call(Author.objects.all(), "update", name=Coalesce(F("mentor__name"), Value("")))
    assert dict(world.iterate(Author.objects.values_list("id", "name"))) == names
    assert world.call(Author.objects.all(), "update", name=Coalesce(F("mentor__name"), Value(""))) == len(authors)
    assert dict(world.iterate(Author.objects.values_list("id", "name"))) == wanted
    # A chain in the other order: each row is written after the one it reads.
    first, *_, last = sorted(authors)
    world.call(Author.objects.filter(id=first), "update", mentor=last, name="first")
    world.call(Author.objects.filter(id=last), "update", mentor=first, name="last")
    found = world.call(
        Author.objects.filter(id__in=[first, last]), "update", name=F("mentor__name"), born=None, returning=True
    )
    assert {author.id: author.name for author in found} == {first: "last", last: "first"}
    inside = Subquery(Author.objects.filter(mentor=OuterRef("pk")).order_by("id").values("name")[:1])
    world.call(Author.objects.filter(id__in=[first, last]), "update", name=inside)
    assert world.call(Author.objects, "get", id=last).name == "last"


def test_update_computes_over_relations(world: World, books: Shelf) -> None:
    expected = {book.id: book.author.name for book in books}
    assert world.call(Book.objects.all(), "update", title=F("author__name")) == len(books)
    assert dict(world.iterate(Book.objects.values_list("id", "title"))) == expected
    world.call(Book.objects.filter(author__name="Bob"), "update", note=F("editor__name"))
    for book in world.iterate(Book.objects.filter(author__name="Bob").select_related("editor")):
        assert book.note == (book.editor.name if book.editor else None)


def test_update_computes_aggregates_of_relations(world: World, books: Shelf) -> None:
    world.call(Author.objects.all(), "update", born=Max("books__published_on"))
    for author in world.iterate(Author.objects.all()):
        dates = [book.published_on for book in books if book.author_id == author.id and book.published_on]
        assert author.born == max(dates, default=None)


def test_update_names_annotations(world: World, books: Shelf) -> None:
    many = Author.objects.annotate(written=Count("books")).filter(written__gt=0)
    world.call(many, "update", name=F("name"))
    counted = Author.objects.annotate(first=Max("books__published_on")).all()
    world.call(counted, "update", born=F("first"))
    assert world.call(Author.objects.filter(born=None), "count") < 7


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"title": F("author__books__title")}, QueryError, "many rows of Book|aggregate them"),
        ({"pages": F("title")}, InvalidValue, "pages is integer, not"),
        ({"published_on": Book.price}, InvalidValue, "published_on is date, not decimal"),
        ({"price": Excluded("price")}, QueryError, "new row"),
    ],
)
def test_expressions_that_fit_no_column_are_refused(
    world: World, shelves: str, values: Any, error: type[Exception], message: str
) -> None:
    with assert_num_queries(0), pytest.raises(error, match=message):
        world.call(Book.objects.all(), "update", **values)


# -- delete ----------------------------------------------------------------------------------------


def test_delete_gives_the_deleted_rows(world: World, books: Shelf) -> None:
    gone = world.call(Book.objects.filter(pages=None), "delete", returning=True)
    assert sorted(book.id for book in gone) == sorted(book.id for book in books if book.pages is None)
    assert world.call(Book.objects.filter(pages=None), "count") == 0
    assert world.call(Book.objects.filter(pages=None), "delete", returning=True) == []


# -- insert from a query ---------------------------------------------------------------------------


def test_rows_are_inserted_from_a_query(world: World, sales: Shelf) -> None:
    source = Author.objects.values(title=F("id"), price=F("id"))
    with pytest.raises(InvalidValue, match=r"'title', which is big integer, to Sale\.title"):
        world.call(Sale.objects, "insert_from", source)
    world.call(Book.objects.all(), "update", title=F("author__name"))
    named = Book.objects.filter(price__gt=0).order_by("id")[:1].values("title", "price")
    assert world.call(Sale.objects, "insert_from", named) == 1
    (sale,) = world.iterate(Sale.objects.all())
    assert (sale.count, sale.note, sale.made.tzinfo is not None) == (1, None, True)


def test_inserted_rows_come_back_and_conflicts_are_settled(world: World, sales: Shelf) -> None:
    source = Author.objects.filter(name__in=["Bob", "Çelik"]).values(title=F("name"), price=F("id"))
    with assert_num_queries(1):
        made = world.call(Sale.objects, "insert_from", source, returning=True)
    assert sorted(sale.title for sale in made) == ["Bob", "Çelik"]
    assert all(sale.total == sale.price for sale in made)
    more = {"count": F("count") + Excluded("count")}
    world.call(Sale.objects, "insert_from", source, on_conflict=("title",), update=more)
    assert world.call(Sale.objects.filter(count=2), "count") == 2
    assert world.call(Sale.objects, "insert_from", source, on_conflict=("title",)) == 0
    assert world.call(Sale.objects, "insert_from", Author.objects.none().values(title="name", price="id")) == 0


def test_distinct_rows_are_inserted_in_the_order_of_another_column(world: World, sales: Shelf) -> None:
    source = (
        Author.objects.filter(name__in=["Bob", "Çelik"]).order_by("-born", "id").values(title=F("name"), price=Value(1))
    )
    assert world.call(Sale.objects, "insert_from", source.distinct()) == 2


def test_keys_inserted_from_a_query_are_not_given_again(world: World, sales: Shelf) -> None:
    source = Author.objects.filter(name="Bob").values("id", title=F("name"), price=F("id"))
    world.call(Sale.objects, "insert_from", source)
    last = world.call(Sale.objects, "get").id
    assert world.call(Sale.objects, "create", title="next", price=1).id == last + 1


def test_columns_of_a_source_go_where_the_caller_says(world: World, sales: Shelf) -> None:
    source = Author.objects.filter(name="Bob").values_list(Author.name, Author.id)
    with assert_num_queries(1):
        (sale,) = world.call(Sale.objects, "insert_from", source, columns=(Sale.title, "price"), returning=True)
    assert (sale.title, sale.price) == ("Bob", world.call(Author.objects, "get", name="Bob").id)


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        (("title",), QueryError, r"names 1 fields \(title\) for 2 columns of the source \(name, id\)"),
        (("title", "prise"), FieldError, "insert_from\\(columns\\) names 'prise'.*did you mean 'price'"),
        (("title", "title"), QueryError, r"Sale\.title twice"),
        ("title", QueryError, "is 'title', which is text"),
        (("title", Book.price), QueryError, r"which is no column of Sale"),
        (("title", "note"), InvalidValue, r"'id', which is big integer, to Sale\.note"),
    ],
)
def test_columns_that_do_not_fit_a_source_are_refused(
    world: World, shelves: str, columns: Any, error: type[Exception], message: str
) -> None:
    source = Author.objects.values_list("name", "id")
    with assert_num_queries(0), pytest.raises(error, match=message):
        world.call(Sale.objects, "insert_from", source, columns=columns)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (lambda: Book.objects.all(), QueryError, "names its columns"),
        (lambda: Book.objects.values("pages"), FieldError, "names 'pages', which Sale does not have"),
        (lambda: Book.objects.values("title"), InvalidValue, "Sale.price has no value"),
        (lambda: Book.objects.values("title", "price", total="price"), QueryError, "computed by the database"),
        (lambda: Book.objects.using("other").values("title", "price"), QueryError, "one statement runs in one"),
    ],
)
def test_sources_that_do_not_fit_are_refused(
    world: World, shelves: str, source: Any, error: type[Exception], message: str
) -> None:
    with assert_num_queries(0), pytest.raises(error, match=message):
        world.call(Sale.objects, "insert_from", source())


def test_keys_made_in_python_must_be_named(world: World, sales: Shelf) -> None:
    with pytest.raises(
        InvalidValue, match=r"Token\.id is made in Python.*functions\.UUID7\(\) .* columns=\(\"id\", ...\)"
    ):
        world.call(Token.objects, "insert_from", Author.objects.values(word=F("name")))
    world.call(Token.objects, "create", word="a")
    again = Token.objects.values("id", "word")
    assert world.call(Token.objects, "insert_from", again, on_conflict=("id",)) == 0


def test_keys_made_by_the_database_and_what_is_empty_in_each_row_are_filled_in(world: World, sales: Shelf) -> None:
    source = Author.objects.filter(name="Bob").values_list(UUID7(), "name")
    (token,) = world.call(Token.objects, "insert_from", source, columns=("id", "word"), returning=True)
    assert (token.word, token.seen, token.about) == ("Bob", [], {})
    assert world.call(Token.objects.filter(seen=[], about={}), "count") == 1


# -- save ------------------------------------------------------------------------------------------


def test_text_where_names_belong_is_refused(world: World, books: Shelf) -> None:
    book = books[0]
    book.title = "other"
    writes: list[Callable[[], object]] = [
        lambda: world.call(Book.objects, "bulk_update", [book], "title"),
        lambda: world.call(Book.objects, "bulk_update", [], "title"),
        lambda: world.call(book, "save", update_fields="title"),
        lambda: world.call(book, "refresh", fields="title"),
        lambda: world.call(Book.objects, "bulk_create", [book], on_conflict=("id",), update="title"),
    ]
    with assert_num_queries(0):
        for write in writes:
            with pytest.raises(QueryError, match=r"is 'title', which is text; give names in a list: \['title'\]"):
                write()
    assert book.title == "other"


def test_a_refused_update_forgets_nothing(world: World, books: Shelf) -> None:
    (author,) = world.iterate(Author.objects.prefetch_related("books").filter(name="Bob"))
    known = world.iterate(author.books)
    with assert_num_queries(0):
        with pytest.raises(FieldError):
            world.call(author.books.all(), "update", titel="x")
        with pytest.raises(QueryError):
            world.call(author.books.all()[:1], "delete")
        assert world.iterate(author.books) == known
    world.call(author.books.all(), "update", title="x")
    assert {book.title for book in world.iterate(author.books)} == {"x"}


def test_a_forced_update_writes_every_field(world: World, books: Shelf) -> None:
    author = Author(id=books[0].author_id, name="forced")
    world.call(author, "save", force_update=True)
    again = world.call(Author.objects, "get", pk=author.id)
    assert (again.name, again.born) == ("forced", None)
    with assert_num_queries(1):
        world.call(again, "save", force_update=True)


def test_update_fields_of_a_new_instance_is_an_update(world: World, books: Shelf) -> None:
    kept = world.call(Author.objects, "get", pk=1)
    world.call(Author(id=1, name="only name"), "save", update_fields=["name"])
    again = world.call(Author.objects, "get", pk=1)
    assert (again.name, again.born) == ("only name", kept.born)


def test_a_row_that_is_gone_is_not_updated(world: World, books: Shelf) -> None:
    with pytest.raises(Author.NotUpdated, match="Author 9999 is gone") as told:
        world.call(Author(id=9999, name="x"), "save", force_update=True)
    assert isinstance(told.value, NotUpdated)
    assert not isinstance(told.value, Book.NotUpdated)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"force_insert": True, "force_update": True}, "cannot be an update"),
        ({"force_insert": True, "update_fields": ["name"]}, "cannot be an update"),
        ({"force_update": True}, "no primary key"),
    ],
)
def test_options_of_save_that_contradict_are_refused(world: World, shelves: str, named: Any, message: str) -> None:
    with assert_num_queries(0), pytest.raises(QueryError, match=message):
        world.call(Author(name="x"), "save", **named)


def test_update_or_create_makes_and_writes_different_things(world: World, books: Shelf) -> None:
    for expected in (True, False):
        row, is_new = world.call(
            Author.objects, "update_or_create", {"born": None}, {"name": "Made", "born": None}, name="Made"
        )
        assert is_new is expected
        assert row.name == "Made"


def test_update_or_create_locks_the_row_it_writes(world: World, books: Shelf, backend: str) -> None:
    with capture_queries() as sent:
        world.call(Author.objects, "update_or_create", {"born": None}, id=1)
    assert sent.all[0].sql in ("BEGIN", "BEGIN IMMEDIATE")
    assert ("FOR UPDATE" in sent[0].sql) is (backend == "postgresql")
