"""What comes along with rows, what is loaded later, and by how many statements."""

from __future__ import annotations

from typing import Any

import pytest

from datalayer._plans.plan import CHUNK
from datalayer.databases.events import Listener, Statement, listen
from datalayer.errors import FieldError, QueryError, RelationNotLoaded
from datalayer.testing import assert_num_queries
from tests.database.queries.library import Author, Book, Profile, Shelf
from tests.worlds import AwaitingWorld, BlockingWorld, World


def names(book: Book) -> tuple[str, str | None]:
    return book.author.name, book.editor.name if book.editor else None


# -- select_related --------------------------------------------------------------------------------


@pytest.mark.parametrize("paths", [("author", "editor"), (Book.author, Book.editor)])
def test_joined_rows_come_in_one_statement_nulls_included(world: World, books: Shelf, paths: Any) -> None:
    with assert_num_queries(1):
        found = world.iterate(Book.objects.select_related(*paths).order_by("id"))
        assert [names(book) for book in found] == [names(book) for book in books]


def test_joined_rows_come_over_several_steps(world: World, books: Shelf) -> None:
    def mentor(book: Book) -> str | None:
        return book.author.mentor.name if book.author.mentor else None

    for path in ("author__mentor", Book.author[Author.mentor]):
        with assert_num_queries(1):
            found = world.iterate(Book.objects.select_related(path).order_by("id"))
            assert [mentor(book) for book in found] == [mentor(book) for book in books]


def test_joined_rows_come_with_get_first_slices_and_streams(world: World, books: Shelf) -> None:
    query = Book.objects.select_related("author", "editor").order_by("id")
    with assert_num_queries(3):
        assert names(world.call(query, "get", id=books[0].id)) == names(books[0])
        assert names(world.call(query, "first")) == names(books[0])
        assert [names(book) for book in world.iterate(query[2:4])] == [names(book) for book in books[2:4]]


def test_both_sides_of_one_to_one_are_joined(world: World, books: Shelf) -> None:
    ann, other = books[0].author, next(b.author for b in books if b.author != books[0].author)
    world.call(Profile.objects, "create", author=ann, bio="writes")
    with assert_num_queries(1):
        profile = world.call(Profile.objects.select_related("author"), "get")
        assert profile.author == ann
        assert profile.author.profile is profile
    with assert_num_queries(1):
        found = {author.id: author for author in world.iterate(Author.objects.select_related("profile"))}
        assert found[ann.id].profile.bio == "writes"
        assert found[ann.id].profile.author is found[ann.id]
        with pytest.raises(Profile.DoesNotExist):
            _ = found[other.id].profile


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("autor", FieldError, "did you mean 'author'"),
        ("title", FieldError, "no relation"),
        ("author__nam", FieldError, "no relation"),
        (Author.books, QueryError, "Author"),
        (3, QueryError, "no relation"),
    ],
)
def test_what_cannot_be_joined_is_refused(path: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Book.objects.select_related(path)


@pytest.mark.parametrize("path", ["books", Author.books])
def test_many_rows_cannot_be_joined(path: Any) -> None:
    with pytest.raises(FieldError, match="many"):
        Author.objects.select_related(path)


# -- loading when it is read -----------------------------------------------------------------------


class TestBlocking:
    """The blocking world loads a relation for all rows of the same result at once."""

    @pytest.fixture
    def world(self) -> World:
        return BlockingWorld()

    def test_a_forward_relation_costs_one_statement_for_all(self, books: Shelf) -> None:
        with assert_num_queries(2):
            assert [book.author.name for book in Book.objects.order_by("id")] == [b.author.name for b in books]

    def test_null_costs_nothing_and_editors_one_statement(self, books: Shelf) -> None:
        with assert_num_queries(2):
            assert [book.editor for book in Book.objects.order_by("id")] == [book.editor for book in books]

    def test_more_rows_than_come_at_a_time_are_loaded_for_at_once(self, books: Shelf) -> None:
        many = 2 * CHUNK + 1
        Book.objects.bulk_create([Book(title="many", price=1, author=books[0].author) for _ in range(many)])
        with assert_num_queries(2):
            found = Book.objects.filter(title="many")
            assert [book.author for book in found] == [books[0].author] * many

    def test_steps_cost_one_statement_each(self, books: Shelf) -> None:
        with assert_num_queries(3):
            for book in Book.objects.all():
                _ = book.author.mentor and book.author.mentor.name

    def test_the_way_back_costs_one_statement_for_all(self, books: Shelf) -> None:
        with assert_num_queries(2):
            found = {author.id: {book.id for book in author.books} for author in Author.objects.all()}
        assert found == {a: {b.id for b in books if b.author.id == a} for a in found}

    def test_there_and_back_costs_no_more(self, books: Shelf) -> None:
        with assert_num_queries(2):
            for author in Author.objects.all():
                for book in author.books:
                    assert book.author is author

    def test_one_to_one_costs_one_statement_from_either_side(self, books: Shelf) -> None:
        authors = list(Author.objects.order_by("id"))
        Profile.objects.bulk_create([Profile(author=author, bio=author.name) for author in authors[:3]])
        with assert_num_queries(2):
            assert [profile.author.name for profile in Profile.objects.order_by("id")] == [a.name for a in authors[:3]]
        with assert_num_queries(2):
            bios = []
            for author in Author.objects.order_by("id"):
                try:
                    bios.append(author.profile.bio)
                except Profile.DoesNotExist:
                    bios.append(None)
            assert bios == [author.name for author in authors[:3]] + [None] * 4

    def test_joined_rows_load_the_rest_together(self, books: Shelf) -> None:
        with assert_num_queries(2):
            for book in Book.objects.select_related("author"):
                _ = book.author.mentor

    def test_a_slice_loads_for_the_slice(self, books: Shelf) -> None:
        with assert_num_queries(2) as sent:
            assert len({book.author.id for book in Book.objects.order_by("id")[:3]}) <= 3
        assert len(sent[1].params) <= 3

    def test_a_filtered_way_back_is_asked_anew(self, books: Shelf) -> None:
        author = books[0].author
        with assert_num_queries(1):
            assert author.books.filter(price__lt=1).count() == sum(b.author == author and b.price < 1 for b in books)

    def test_the_way_back_is_a_queryset(self, books: Shelf) -> None:
        author = Author.objects.get(id=books[0].author.id)
        own = [book for book in books if book.author == author]
        assert author.books.count() == len(own)
        assert author.books.order_by("-id").first() == own[-1]
        assert author.books.filter(id=own[0].id).get() == own[0]
        assert set(author.books.values_list("id", flat=True)) == {book.id for book in own}
        made = author.books.create(title="new", price=1)
        assert made.author is author
        assert author.books.filter(title="new").exists()


# -- the awaiting world ----------------------------------------------------------------------------


class TestAwaiting:
    """The awaiting world never loads behind the reader's back."""

    @pytest.fixture
    def world(self) -> Any:
        world = AwaitingWorld()
        yield world
        world.close()

    def test_what_is_not_loaded_says_how_to_load_it(self, world: AwaitingWorld, books: Shelf) -> None:
        async def read() -> None:
            book = await Book.objects.aget(id=books[0].id)
            for ways in ("select_related", "prefetch_related", "aload"):
                with pytest.raises(RelationNotLoaded, match=ways):
                    _ = book.author
            author = await Author.objects.aget(id=books[0].author.id)
            with pytest.raises(RelationNotLoaded, match="aload"):
                _ = author.profile
            await book.aload("author")
            assert book.author == author

        world.wait(read())

    def test_null_needs_no_loading(self, world: AwaitingWorld, books: Shelf) -> None:
        async def read() -> None:
            book = await Book.objects.filter(editor=None).afirst()
            assert book is not None
            assert book.editor is None

        world.wait(read())

    def test_the_way_back_is_awaited_like_any_query(self, world: AwaitingWorld, books: Shelf) -> None:
        async def read() -> None:
            author = await Author.objects.aget(id=books[0].author.id)
            own = [book for book in books if book.author == author]
            assert {book.id for book in await author.books} == {book.id for book in own}
            assert {book.id async for book in author.books} == {book.id for book in own}
            assert await author.books.acount() == len(own)

        world.wait(read())


# -- prefetch --------------------------------------------------------------------------------------


def test_every_prefetched_step_costs_one_statement(world: World, books: Shelf) -> None:
    with assert_num_queries(3):
        authors = world.iterate(Author.objects.prefetch_related("books__editor").order_by("id"))
        found = {a.id: {(b.id, b.editor.name if b.editor else None) for b in world.iterate(a.books)} for a in authors}
    assert found == {
        author: {(b.id, b.editor.name if b.editor else None) for b in books if b.author.id == author}
        for author in found
    }


def test_prefetch_works_with_get_and_first(world: World, books: Shelf) -> None:
    author = books[0].author
    with assert_num_queries(2):
        found = world.call(Author.objects.prefetch_related(Author.books), "get", id=author.id)
        assert {book.id for book in world.iterate(found.books)} == {b.id for b in books if b.author == author}


async def _all(items: Any) -> list[Any]:
    return [item async for item in items]


# -- many rows -------------------------------------------------------------------------------------


class Counting(Listener):
    """Notes how many rows each statement gave."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def statement_finished(self, statement: Statement) -> None:
        self.rows.append(statement.rows)


def test_a_listener_hears_of_all_rows_of_a_statement(world: World, books: Shelf) -> None:
    many = 2 * CHUNK + 1
    author = books[0].author
    world.call(Book.objects, "bulk_create", [Book(title="many", price=1, author=author) for _ in range(many)])
    counting = Counting()
    with listen(counting):
        world.iterate(Book.objects.filter(title="many"))
    assert counting.rows == [many]
