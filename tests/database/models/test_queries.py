"""The whole path of a model, on each backend and in each world."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Self

import pytest

from datalayer import (
    CASCADE,
    SET_NULL,
    Avg,
    Count,
    F,
    Field,
    ForeignKey,
    Manager,
    Mapped,
    Min,
    Model,
    Q,
    Reverse,
    UniqueConstraint,
)
from datalayer.databases.events import Listener, Statement, listen
from datalayer.errors import (
    FieldError,
    InvalidValue,
    NotUpdated,
    QueryError,
    RelationNotLoaded,
    SyncInAsyncContext,
    UniqueViolation,
)
from datalayer.models import registry
from datalayer.testing import assert_num_queries
from datalayer.testing.tables import acreate_tables, create_tables
from tests.worlds import World

with registry.isolated():

    class Author(Model):
        name: Mapped[str] = Field(max_length=200)
        email: Mapped[str] = Field(max_length=254, unique=True)
        born: Mapped[date | None] = Field(default=None)
        made: Mapped[datetime] = Field(auto_now_add=True, init=False)
        books: ClassVar[Reverse[Book]]

        class Meta:
            ordering = ("name",)
            table = "queries_author"

    class BookManager(Manager["Book"]):
        def published(self) -> Self:
            return self.filter(Book.published_on.is_not_null())

    class Book(Model):
        title: Mapped[str] = Field(max_length=300, index=True)
        price: Mapped[Decimal] = Field(max_digits=8, decimal_places=2, ge=0)
        published_on: Mapped[date | None] = Field(default=None)
        author: ForeignKey[Author] = ForeignKey(on_delete=CASCADE, related_name="books")
        editor: ForeignKey[Author | None] = ForeignKey(on_delete=SET_NULL, default=None, related_name="edited")
        labels: Mapped[list[str]] = Field(default_factory=list)

        objects: ClassVar[BookManager] = BookManager()

        class Meta:
            table = "queries_book"
            constraints = (UniqueConstraint("author", "title"),)

    registry.tables()


@pytest.fixture
def tables(configured: str, world: World) -> str:
    world.run(
        lambda: create_tables(Author, Book),
        lambda: acreate_tables(Author, Book),
    )
    return configured


@pytest.fixture
def sent() -> Iterator[list[str]]:
    found: list[str] = []

    class Sent(Listener):
        def statement_finished(self, statement: Statement) -> None:
            found.append(statement.sql)

    with listen(Sent()):
        yield found


def make(world: World) -> tuple[Author, Author, list[Book]]:
    ann = world.call(Author.objects, "create", name="Ann", email="ann@x.org")
    bob = world.call(Author.objects, "create", name="Bob", email="bob@x.org", born=date(1970, 1, 2))
    books = [
        Book(title="One", price=Decimal("3.50"), author=ann, published_on=date(2020, 1, 1)),
        Book(title="Two", price=Decimal("9.99"), author=bob, editor=ann, labels=["a"]),
        Book(title="Three", price=Decimal("5"), author=ann),
    ]
    world.call(Book.objects, "bulk_create", books)
    return ann, bob, books


def titles(world: World, query: Any) -> list[str]:
    return sorted(book.title for book in world.iterate(query))


@pytest.mark.usefixtures("tables")
def test_an_instance_lives(world: World, sent: list[str]) -> None:
    ann = Author(name="Ann", email="ann@x.org")
    world.call(ann, "save")
    assert ann.id == 1
    assert abs((datetime.now(UTC) - ann.made).total_seconds()) < 60
    book = Book(title="One", price=Decimal("3.5"), author=ann)
    world.call(book, "save")
    again = world.call(Book.objects, "get", Book.title == "One")
    assert again == book
    assert again is not book
    assert again.model_dump(exclude={"id"}) == book.model_dump(exclude={"id"}) | {"price": Decimal("3.50")}
    sent.clear()
    world.call(again, "save")
    assert sent == []
    again.title = "Another"
    world.call(again, "save")
    assert len(sent) == 1
    assert "price" not in sent[0]
    again.labels.append("x")
    world.call(again, "save")
    world.call(book, "refresh")
    assert (book.title, book.labels) == ("Another", ["x"])
    assert world.call(book, "delete") == 1
    again.title = "Gone"
    with pytest.raises(NotUpdated):
        world.call(again, "save")


@pytest.mark.usefixtures("tables")
def test_conditions(world: World) -> None:
    ann, bob, _ = make(world)
    for query, expected in [
        (Book.objects.filter(Book.price < 5), ["One"]),
        (Book.objects.filter(Book.price.between(Decimal(4), Decimal(6))), ["Three"]),
        (Book.objects.filter((Book.price < 5) | Book.title.startswith("Tw")), ["One", "Two"]),
        (Book.objects.filter(~Book.title.startswith("T")), ["One"]),
        (Book.objects.filter(Q(price__lt=5) | Q(title="Two")), ["One", "Two"]),
        (Book.objects.filter(Book.author[Author.name] == "Bob"), ["Two"]),
        (Book.objects.filter(author__name__icontains="ANN"), ["One", "Three"]),
        (Book.objects.filter(author=ann), ["One", "Three"]),
        (Book.objects.filter(Book.author == bob), ["Two"]),
        (Book.objects.filter(author_id=bob.id), ["Two"]),
        (Book.objects.filter(editor=None), ["One", "Three"]),
        (Book.objects.exclude(editor=ann), ["One", "Three"]),
        (Book.objects.filter(Book.title.in_(["One", "Two"])), ["One", "Two"]),
        (Book.objects.filter(title__in=[]), []),
        (Book.objects.published(), ["One"]),
        (Book.objects.filter(published_on__year=2020), ["One"]),
        (Book.objects.filter(price__gt=F("author_id")), ["One", "Three", "Two"]),
        (Book.objects.none(), []),
    ]:
        assert titles(world, query) == expected
        assert world.call(query, "count") == len(expected)
        assert world.call(query, "exists") == bool(expected)
    found = [a.name for a in world.iterate(Author.objects.filter(Author.books[Book.title] == "Two"))]
    assert found == ["Bob"]


@pytest.mark.usefixtures("tables")
def test_orders_and_slices(world: World) -> None:
    make(world)
    ordered = Book.objects.order_by(Book.price.desc())
    assert [b.title for b in world.iterate(ordered)] == ["Two", "Three", "One"]
    assert [b.title for b in world.iterate(ordered[1:])] == ["Three", "One"]
    assert [b.title for b in world.iterate(ordered[:2][1:])] == ["Three"]
    assert [b.title for b in world.iterate(ordered.reverse())] == ["One", "Three", "Two"]
    assert [b.title for b in world.iterate(Book.objects.order_by("author__name", "-title"))] == ["Three", "One", "Two"]
    assert world.call(ordered, "first").title == "Two"
    assert world.call(ordered, "last").title == "One"
    assert world.call(Book.objects.filter(title="?"), "first") is None


@pytest.mark.usefixtures("tables")
def test_other_forms(world: World) -> None:
    _, _, books = make(world)
    pairs = Book.objects.order_by("title").values_list(Book.title, Book.author[Author.name])
    assert world.iterate(pairs) == [("One", "Ann"), ("Three", "Ann"), ("Two", "Bob")]
    rows = Book.objects.filter(title="Two").values("title", "author__name", "labels")
    assert world.iterate(rows) == [{"title": "Two", "author__name": "Bob", "labels": ["a"]}]
    assert world.iterate(Book.objects.order_by("title").values_list(Book.title, flat=True)) == ["One", "Three", "Two"]
    found = world.call(Book.objects, "aggregate", Avg("price"), cheapest=Min("price"), n=Count())
    assert (found["cheapest"], found["n"]) == (Decimal("3.50"), 3)
    assert round(found["price__avg"], 2) == Decimal("6.16")
    known = world.call(Book.objects, "in_bulk", [books[0].id, books[1].id])
    assert {key: book.title for key, book in known.items()} == {books[0].id: "One", books[1].id: "Two"}
    counted = Author.objects.annotate(total=Count("books")).filter(total__gt=1)
    assert [(a.name, a.total) for a in world.iterate(counted)] == [("Ann", 2)]  # type: ignore[attr-defined]
    raw = Book.objects.raw("select * from queries_book where price < %(p)s", {"p": 5})
    assert [b.title for b in world.iterate(raw)] == ["One"]
    streamed = world.run(lambda: list(Book.objects.iterator(2)), lambda: collect(Book.objects.aiterator(2)))
    assert sorted(b.title for b in streamed) == ["One", "Three", "Two"]
    assert "queries_book" in world.call(Book.objects.filter(title="x"), "explain")


@pytest.mark.usefixtures("tables")
def test_rows_of_sql_by_hand_are_indexed_and_counted_without_asking_again(world: World) -> None:
    make(world)
    raw = Book.objects.raw("select * from queries_book order by title")
    with assert_num_queries(1):
        titles = [book.title for book in world.iterate(raw)]
        assert titles == ["One", "Three", "Two"]
        assert (len(raw), bool(raw), raw[0].title, raw[-1].title) == (3, True, "One", "Two")
        assert [book.title for book in raw[1:]] == titles[1:]
        assert [book.title for book in world.iterate(raw)] == titles
        with pytest.raises(IndexError):
            raw[3]


async def collect(items: Any) -> list[Any]:
    return [item async for item in items]


@pytest.mark.usefixtures("tables")
def test_changes(world: World) -> None:
    ann, _, books = make(world)
    assert world.call(Book.objects.filter(title="One"), "update", price=F("price") * 2) == 1
    assert world.call(Book.objects, "get", title="One").price == Decimal("7.00")
    for book in books:
        book.price += 1
    assert world.call(Book.objects, "bulk_update", books, ["price"]) == 3
    assert world.call(Book.objects, "get", title="One").price == Decimal("4.50")
    again = [Book(title="One", price=Decimal(1), author=ann), Book(title="Four", price=Decimal(2), author=ann)]
    world.call(Book.objects, "bulk_create", again, on_conflict=("author", "title"), update=("price",))
    assert world.call(Book.objects, "get", title="One").price == Decimal(1)
    assert world.call(Book.objects, "count") == 4
    found, is_new = world.call(Author.objects, "get_or_create", email="ann@x.org", defaults={"name": "Z"})
    assert (found, is_new) == (ann, False)
    found, is_new = world.call(Author.objects, "get_or_create", email="cid@x.org", defaults={"name": "Cid"})
    assert is_new
    found, is_new = world.call(Author.objects, "update_or_create", email="cid@x.org", defaults={"name": "Dee"})
    assert (found.name, is_new) == ("Dee", False)
    with pytest.raises(UniqueViolation):
        world.call(Author.objects, "create", name="x", email="ann@x.org")
    assert world.call(Book.objects.filter(title__startswith="F"), "delete") == 1
    assert world.call(Book.objects.all(), "delete") == 3


@pytest.mark.usefixtures("tables")
def test_relations_load_for_all_rows_at_once(world: World, sent: list[str]) -> None:
    make(world)
    sent.clear()
    if world.is_async:
        book = world.call(Book.objects, "first")

        async def read() -> None:
            with pytest.raises(RelationNotLoaded, match="aload"):
                _ = book.author

        world.run(lambda: None, read)
        world.call(book, "load", "author")
        assert book.author.name == "Ann"
    else:
        assert sorted(b.author.name for b in Book.objects.all()) == ["Ann", "Ann", "Bob"]
        assert len(sent) == 2
        sent.clear()
        assert [(a.name, sorted(b.title for b in a.books)) for a in Author.objects.all()] == [
            ("Ann", ["One", "Three"]),
            ("Bob", ["Two"]),
        ]
        assert len(sent) == 2
    sent.clear()
    joined = world.iterate(Book.objects.select_related("author", "editor").order_by("title"))
    assert [(b.author.name, b.editor and b.editor.name) for b in joined] == [
        ("Ann", None),
        ("Ann", None),
        ("Bob", "Ann"),
    ]
    assert len(sent) == 1
    sent.clear()
    authors = world.iterate(Author.objects.prefetch_related("books__editor"))
    assert [[b.editor and b.editor.name for b in world.iterate(a.books)] for a in authors] == [[None, None], ["Ann"]]
    assert authors[0].books.all().count() == 2 if not world.is_async else True
    assert len(sent) <= 4


@pytest.mark.usefixtures("tables")
def test_mistakes_are_refused_before_anything_is_sent(world: World, sent: list[str]) -> None:
    sent.clear()
    with pytest.raises(FieldError, match="did you mean 'title'"):
        Book.objects.filter(titel="x")
    with pytest.raises(FieldError, match="choices"):
        Book.objects.filter(price__gtt=1)
    with pytest.raises(InvalidValue):
        Book.objects.filter(id="x")
    with pytest.raises(InvalidValue):
        Book.objects.filter(title__in="abc")
    with pytest.raises(InvalidValue):
        Book.objects.filter(price__gt=None)
    with pytest.raises(InvalidValue, match="time zone"):
        Author.objects.filter(made__gt=datetime(2020, 1, 1))
    with pytest.raises(QueryError, match="column of Author"):
        Book.objects.filter(Author.name == "x")  # type: ignore[arg-type]
    with pytest.raises(QueryError, match=r"\.all\(\)\.delete"):
        world.call(Book.objects, "delete")
    with pytest.raises(QueryError, match="sliced"):
        world.call(Book.objects.all()[:3], "delete")
    with pytest.raises(InvalidValue, match="greater than or equal"):
        world.call(Book.objects.all(), "update", price=-1)
    with pytest.raises(FieldError, match="did you mean 'author'"):
        Book.objects.select_related("autor")
    with pytest.raises(QueryError, match="unique"):
        world.call(Book.objects, "bulk_create", [], on_conflict=("title",))
    with pytest.raises(TypeError, match=r"& \| ~"):
        bool(Book.price > 3)
    if world.is_async:

        async def block() -> None:
            with pytest.raises(SyncInAsyncContext, match="aget"):
                Book.objects.get(id=1)

        world.run(lambda: None, block)
    assert sent == []


@pytest.mark.usefixtures("tables")
def test_each_model_has_its_own_errors(world: World) -> None:
    make(world)
    with pytest.raises(Author.DoesNotExist, match="no Author"):
        world.call(Author.objects, "get", name="?")
    with pytest.raises(Book.MultipleObjectsReturned):
        world.call(Book.objects, "get")
    assert not issubclass(Author.DoesNotExist, Book.DoesNotExist)


@pytest.mark.parametrize("query", [Author.objects.all(), Author.objects.values_list("name")])
def test_an_order_by_nothing_takes_that_of_the_model_away(query: Any) -> None:
    bare = query.order_by()
    assert query.ordered
    for part in (bare, bare.filter(pk__gt=0), bare.values("name"), bare[:2]):
        assert not part.ordered
    assert bare.order_by("pk").ordered
