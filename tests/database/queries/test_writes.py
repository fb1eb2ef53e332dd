"""Changes of many rows: batches, conflicts, races."""

from __future__ import annotations

import asyncio
import threading
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from datalayer import Avg, Excluded, F, Field, ForeignKey, Mapped, Model, UniqueConstraint, atomic
from datalayer.errors import FieldError, InvalidValue, QueryError, UniqueViolation
from datalayer.models import registry
from datalayer.testing import acreate_tables, assert_num_queries, capture_queries, create_tables
from tests.database.queries.library import Author, Book, Genre, Shelf
from tests.worlds import World

with registry.isolated():

    class Page(Model):
        path: Mapped[str] = Field(max_length=100, unique=True)
        hits: Mapped[int] = Field(default=0)
        title: Mapped[str | None] = Field(default=None)

        class Meta:
            table = "writes_page"

    class Visit(Model):
        page: ForeignKey[Page] = ForeignKey(related_name="visits")
        day: Mapped[date] = Field()
        count: Mapped[int] = Field(default=1)

        class Meta:
            table = "writes_visit"
            constraints = (UniqueConstraint("page", "day"),)

    class Topic(Model):
        code: Mapped[str] = Field(max_length=20, unique=True)
        above: ForeignKey[Topic | None] = ForeignKey(to_field="code", default=None, related_name="below")

        class Meta:
            table = "writes_topic"

    registry.tables()


@pytest.fixture
def pages(configured: str, world: World) -> str:
    world.run(lambda: create_tables(Page, Visit, Topic), lambda: acreate_tables(Page, Visit, Topic))
    return configured


def hits(world: World) -> dict[str, int]:
    return dict(world.iterate(Page.objects.values_list(Page.path, Page.hits)))


# -- bulk_create -----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 3, 2_500])
def test_many_rows_get_their_keys_in_order(world: World, pages: str, count: int) -> None:
    rows = [Page(path=f"/{number}", hits=number) for number in range(count)]
    made = world.call(Page.objects, "bulk_create", rows)
    assert made == rows
    assert [page.id for page in rows] == sorted(page.id for page in rows)
    known = dict(world.iterate(Page.objects.values_list("id", "path")))
    assert known == {page.id: page.path for page in rows}
    with assert_num_queries(0):
        for page in rows[:3]:
            world.call(page, "save")


def test_a_batch_size_cuts_the_statements(world: World, pages: str) -> None:
    with assert_num_queries(4):
        world.call(Page.objects, "bulk_create", [Page(path=f"/{n}") for n in range(10)], batch_size=3)
    assert world.call(Page.objects, "count") == 10


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_has_at_least_one_row(world: World, pages: str, size: int) -> None:
    with pytest.raises(QueryError, match="batch_size"):
        world.call(Page.objects, "bulk_create", [Page(path="/")], batch_size=size)
    with pytest.raises(QueryError, match="batch_size"):
        world.call(Page.objects, "bulk_update", [Page(path="/")], ["hits"], batch_size=size)


def test_a_failing_batch_takes_all_of_them_back(world: World, pages: str) -> None:
    rows = [Page(path=f"/{number % 7}") for number in range(8)]
    with pytest.raises(UniqueViolation):
        world.call(Page.objects, "bulk_create", rows, batch_size=2)
    assert world.call(Page.objects, "count") == 0


def test_conflicts_are_left_alone(world: World, pages: str) -> None:
    world.call(Page.objects, "create", path="/a", hits=5)
    for conflict in (("path",), ()):
        world.call(Page.objects, "bulk_create", [Page(path="/a"), Page(path="/b")], on_conflict=conflict)
    assert hits(world) == {"/a": 5, "/b": 0}


def test_conflicts_are_overwritten(world: World, pages: str) -> None:
    page = world.call(Page.objects, "create", path="/a", hits=5, title="old")
    rows = [Page(path="/a", hits=7, title="new"), Page(path="/b", hits=1)]
    world.call(Page.objects, "bulk_create", rows, on_conflict=("path",), update=("hits",))
    assert hits(world) == {"/a": 7, "/b": 1}
    assert world.call(Page.objects, "get", path="/a").title == "old"
    day = date(2020, 1, 1)
    for count in (1, 2):
        visit = Visit(page=page, day=day, count=count)
        world.call(Visit.objects, "bulk_create", [visit], on_conflict=("page", "day"), update=("count",))
    assert world.iterate(Visit.objects.values_list("count", flat=True)) == [2]


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        ({"on_conflict": ("title",)}, QueryError, "unique"),
        ({"on_conflict": ("pth",)}, FieldError, "did you mean 'path'"),
        ({"on_conflict": ("path",), "update": ("hit",)}, FieldError, "did you mean 'hits'"),
        ({"update": ("hits",)}, QueryError, "on_conflict"),
        ({"on_conflict": (), "update": ("hits",)}, QueryError, "on_conflict"),
        ({"on_conflict": "path"}, QueryError, "on_conflict"),
        ({"on_conflict": ("path",), "update": "hits"}, QueryError, "update"),
    ],
)
def test_conflicts_nobody_can_mean_are_refused(
    world: World, pages: str, named: dict[str, Any], error: type[Exception], message: str
) -> None:
    with assert_num_queries(0), pytest.raises(error, match=message):
        world.call(Page.objects, "bulk_create", [Page(path="/")], **named)


def test_rows_of_another_model_are_refused(world: World, pages: str) -> None:
    with pytest.raises(QueryError, match="bulk_create"):
        world.call(Page.objects, "bulk_create", [Author(name="x")])


# -- bulk_update -----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2_500])
def test_many_rows_are_written_each_with_its_own_values(world: World, pages: str, count: int) -> None:
    rows = [Page(path=f"/{number}") for number in range(count)]
    world.call(Page.objects, "bulk_create", rows)
    for page in rows:
        page.hits, page.title = page.id, None if page.id % 2 else f"t{page.id}"
    assert world.call(Page.objects, "bulk_update", rows, ["hits", Page.title]) == count
    found = {page.id: (page.hits, page.title) for page in world.iterate(Page.objects.all())}
    assert found == {page.id: (page.hits, page.title) for page in rows}
    with assert_num_queries(0):
        for page in rows[:3]:
            world.call(page, "save")


def test_every_kind_of_value_is_written(world: World, books: Shelf) -> None:
    names = [name for name in Book.table.fields if name not in {"id", "author_id", "editor_id"}]
    for book, other in zip(books, reversed([book.model_copy() for book in books]), strict=True):
        for name in names:
            setattr(book, name, getattr(other, name))
    assert world.call(Book.objects, "bulk_update", books, names) == len(books)
    found = {book.id: book.model_dump() for book in world.iterate(Book.objects.all())}
    assert found == {book.id: book.model_dump() for book in books}


def test_a_relation_is_written_by_its_name(world: World, books: Shelf) -> None:
    target = books[0].author
    for book in books[:5]:
        book.author = target
        book.editor = None
    world.call(Book.objects, "bulk_update", books[:5], ["author", Book.editor])
    ids = [book.id for book in books[:5]]
    assert world.call(Book.objects.filter(id__in=ids, author=target, editor=None), "count") == 5


def test_rows_that_are_gone_are_not_counted(world: World, pages: str) -> None:
    rows = [Page(path=f"/{number}") for number in range(3)]
    world.call(Page.objects, "bulk_create", rows)
    world.call(Page.objects.filter(path="/1"), "delete")
    assert world.call(Page.objects, "bulk_update", rows, ["hits"]) == 2


def test_rows_without_a_key_or_of_another_model_are_refused(world: World, pages: str) -> None:
    with pytest.raises(QueryError, match="not saved"):
        world.call(Page.objects, "bulk_update", [Page(path="/")], ["hits"])
    with pytest.raises(QueryError, match="bulk_update"):
        world.call(Page.objects, "bulk_update", [Author(name="x")], ["hits"])
    with pytest.raises(FieldError, match="did you mean 'hits'"):
        world.call(Page.objects, "bulk_update", [], ["hit"])


# -- bulk_update of what differs, and bulk_delete --------------------------------------------------


def saved_pages(world: World, count: int) -> list[Page]:
    rows = [Page(path=f"/{number}") for number in range(count)]
    world.call(Page.objects, "bulk_create", rows)
    return rows


def test_without_fields_each_row_is_written_what_differs_in_it(world: World, pages: str) -> None:
    rows = saved_pages(world, 4)
    rows[0].hits = 1
    rows[1].hits, rows[1].title = 2, "two"
    rows[2].hits = 3
    world.call(Page.objects.filter(path="/1"), "update", path="/one")
    assert world.call(Page.objects, "bulk_update", rows) == 3
    assert hits(world) == {"/0": 1, "/one": 2, "/2": 3, "/3": 0}
    with assert_num_queries(0):
        assert world.call(Page.objects, "bulk_update", rows) == 0


def test_without_fields_rows_that_differ_in_the_same_go_in_one_statement(world: World, pages: str) -> None:
    rows = saved_pages(world, 20)
    for page in rows:
        page.hits = page.id
    with assert_num_queries(1):
        world.call(Page.objects, "bulk_update", rows)


def test_without_fields_all_of_it_is_written_or_nothing(world: World, pages: str) -> None:
    rows = saved_pages(world, 3)
    rows[0].hits = 1
    rows[1].path = "/2"
    with pytest.raises(UniqueViolation):
        world.call(Page.objects, "bulk_update", rows)
    assert hits(world) == {"/0": 0, "/1": 0, "/2": 0}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_on_sqlite_a_refused_row_takes_those_before_it_back_and_the_transaction_goes_on(
    world: World, pages: str
) -> None:
    rows = saved_pages(world, 3)
    for page in rows:
        page.path = "/same"

    def blocking() -> None:
        with atomic():
            with pytest.raises(UniqueViolation):
                Page.objects.bulk_update(rows)
            Page.objects.create(path="/new")

    async def awaiting() -> None:
        async with atomic():
            with pytest.raises(UniqueViolation):
                await Page.objects.abulk_update(rows)
            await Page.objects.acreate(path="/new")

    world.run(blocking, awaiting)
    assert set(hits(world)) == {"/0", "/1", "/2", "/new"}


def test_rows_and_what_refers_to_them_are_written_together(world: World, pages: str) -> None:
    top = world.call(Topic.objects, "create", code="old")
    rows = [top, world.call(Topic.objects, "create", code="part", above=top)]
    top.code = rows[1].above_id = "new"
    assert world.call(Topic.objects, "bulk_update", rows, ["code", "above"]) == 2
    assert world.iterate(Topic.objects.order_by("id").values_list("code", "above_id")) == [
        ("new", None),
        ("part", "new"),
    ]


def test_the_text_is_the_same_for_any_number_of_rows(world: World, pages: str) -> None:
    rows = saved_pages(world, 5)
    texts: set[str] = set()
    for count in (1, 2, 5):
        for page in rows[:count]:
            page.hits += 1
        with capture_queries() as sent:
            world.call(Page.objects, "bulk_update", rows)
        texts.update(statement.sql for statement in sent)
    assert len(texts) == 1


def test_without_fields_a_new_object_is_refused(world: World, pages: str) -> None:
    rows = saved_pages(world, 1)
    with pytest.raises(QueryError, match="not saved"):
        world.call(Page.objects, "bulk_update", [*rows, Page(path="/new")])


def test_no_fields_at_all_are_refused(world: World, pages: str) -> None:
    with pytest.raises(QueryError, match="no fields to write; leave them out"):
        world.call(Page.objects, "bulk_update", [], [])


@pytest.mark.parametrize("count", [0, 1, 2_500])
def test_the_rows_of_many_objects_are_deleted(world: World, pages: str, count: int) -> None:
    rows = saved_pages(world, count + 1)
    with assert_num_queries(1 if count else 0):
        assert world.call(Page.objects, "bulk_delete", rows[1:]) == count
    assert hits(world) == {"/0": 0}


def test_deleted_objects_may_be_saved_again(world: World, pages: str) -> None:
    rows = saved_pages(world, 3)
    world.call(Page.objects, "bulk_delete", rows)
    world.call(rows[1], "save")
    assert hits(world) == {"/1": 0}


def test_deleted_objects_are_saved_ones_again_after_a_rollback(world: World, pages: str) -> None:
    rows = saved_pages(world, 2)

    class Undone(Exception):
        pass

    def blocking() -> None:
        with atomic():
            Page.objects.bulk_delete(rows)
            raise Undone

    async def awaiting() -> None:
        async with atomic():
            await Page.objects.abulk_delete(rows)
            raise Undone

    with pytest.raises(Undone):
        world.run(blocking, awaiting)
    rows[0].hits = 5
    world.call(rows[0], "save")
    assert hits(world) == {"/0": 5, "/1": 0}


def test_objects_that_are_gone_already_are_not_counted(world: World, pages: str) -> None:
    rows = saved_pages(world, 3)
    world.call(Page.objects.filter(path="/1"), "delete")
    assert world.call(Page.objects, "bulk_delete", rows) == 2


def test_an_object_without_a_row_is_not_deleted(world: World, pages: str) -> None:
    rows = saved_pages(world, 1)
    with pytest.raises(QueryError, match="not saved, so there is nothing to delete"):
        world.call(Page.objects, "bulk_delete", [*rows, Page(path="/new")])
    with pytest.raises(QueryError, match="bulk_delete"):
        world.call(Page.objects, "bulk_delete", [Author(name="x")])
    assert hits(world) == {"/0": 0}


# -- update and delete -----------------------------------------------------------------------------


def test_values_are_computed_by_the_database(world: World, books: Shelf) -> None:
    world.call(Book.objects.filter(price__gt=1000), "update", price=1000)
    for book in books:
        book.price = min(book.price, Decimal(1000))
    assert world.call(Book.objects.all(), "update", price=F("price") * 2 + 1, pages=Book.pages + 1) == len(books)
    found = {book.id: (book.price, book.pages) for book in world.iterate(Book.objects.all())}
    assert found == {b.id: (b.price * 2 + 1, None if b.pages is None else b.pages + 1) for b in books}
    assert world.call(Book.objects.filter(pages=None), "update", note=F("title")) == sum(b.pages is None for b in books)


def test_update_follows_relations_in_its_conditions(world: World, books: Shelf) -> None:
    expected = sum(book.author.name == "Bob" for book in books)
    assert world.call(Book.objects.filter(author__name="Bob"), "update", genre=Genre.POEM, editor=None) == expected
    assert world.call(Author.objects.filter(books__genre=Genre.POEM).distinct(), "count") >= 1
    assert world.call(Author.objects.filter(books__title__isnull=False), "update", born=None) == 6


def test_a_relation_is_updated_by_object_key_and_null(world: World, books: Shelf) -> None:
    author = books[0].author
    one = Book.objects.filter(id=books[1].id)
    for given in ({"author": author}, {"author": author.id}, {"author_id": author.id}):
        assert world.call(one, "update", **given) == 1
        assert world.call(one, "get").author_id == author.id  # type: ignore[attr-defined]
    assert world.call(one, "update", editor=None) == 1


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({}, QueryError, "no values"),
        ({"pric": 1}, FieldError, "did you mean 'price'"),
        ({"author__name": "x"}, FieldError, "author"),
        ({"price": "x"}, InvalidValue, "price"),
        ({"price": None}, InvalidValue, "price"),
        ({"author": None}, InvalidValue, "author"),
        ({"author": "x"}, InvalidValue, "author"),
        ({"genre": "poetry"}, InvalidValue, "genre"),
        ({"title": "x" * 201}, InvalidValue, "title"),
        ({"title": F("titel")}, FieldError, "did you mean 'title'"),
        ({"title": Author.name}, QueryError, "Author"),
        ({"price": Avg("price")}, QueryError, "aggregate|Avg"),
    ],
)
def test_values_a_row_cannot_have_are_refused(
    world: World, shelves: str, values: dict[str, Any], error: type[Exception], message: str
) -> None:
    with assert_num_queries(0), pytest.raises(error, match=message):
        world.call(Book.objects.all(), "update", **values)


def test_an_object_of_another_model_is_no_value(world: World, books: Shelf) -> None:
    with pytest.raises(InvalidValue, match="Author"):
        world.call(Book.objects.all(), "update", author=books[0])


def test_a_whole_table_needs_all(world: World, books: Shelf) -> None:
    for query in (Book.objects, Book.objects.order_by("id"), Book.objects.filter(), Book.objects.exclude()):
        with pytest.raises(QueryError, match=r"\.all\(\)"):
            world.call(query, "delete")
        with pytest.raises(QueryError, match=r"\.all\(\)"):
            world.call(query, "update", pages=1)
    assert world.call(Book.objects.all(), "delete") == len(books)


def test_deleted_rows_are_counted_and_cascades_are_not(world: World, books: Shelf) -> None:
    own = [book for book in books if book.author == books[0].author]
    assert world.call(Author.objects.filter(id=books[0].author.id), "delete") == 1
    assert world.call(Book.objects, "count") == len(books) - len(own)
    assert world.call(Book.objects.filter(author__name="Bob"), "delete") == sum(
        book.author.name == "Bob" and book not in own for book in books
    )


@pytest.mark.parametrize("verb", ["update", "delete"])
def test_slices_and_distinct_rows_are_not_written(world: World, books: Shelf, verb: str) -> None:
    values = {"pages": 1} if verb == "update" else {}
    for query in (Book.objects.all()[:3], Book.objects.filter(id__gt=0).distinct()):
        with pytest.raises(QueryError, match=verb):
            world.call(query, verb, **values)


# -- races -----------------------------------------------------------------------------------------


def together(world: World, count: int, method: str, **named: Any) -> list[Any]:
    """The results of many callers that begin at the same moment."""

    async def awaiting() -> list[Any]:
        return await asyncio.gather(*[getattr(Page.objects, f"a{method}")(**named) for _ in range(count)])

    def blocking() -> list[Any]:
        barrier, found = threading.Barrier(count), []

        def run() -> None:
            barrier.wait()
            found.append(getattr(Page.objects, method)(**named))

        threads = [threading.Thread(target=run) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    return world.run(blocking, awaiting)


def test_of_many_who_get_or_create_one_creates(world: World, pages: str) -> None:
    for number in range(5):
        found = together(world, 6, "get_or_create", path=f"/{number}", defaults={"hits": 1})
        assert len(found) == 6
        assert len({page.id for page, _ in found}) == 1
        assert sum(is_new for _, is_new in found) == 1
    assert world.call(Page.objects, "count") == 5


def test_of_many_who_update_or_create_one_creates(world: World, pages: str) -> None:
    for number in range(5):
        found = together(world, 6, "update_or_create", path=f"/{number}", defaults={"hits": number})
        assert sum(is_new for _, is_new in found) == 1
    assert hits(world) == {f"/{number}": number for number in range(5)}


def test_get_or_create_inside_a_transaction_survives_a_lost_race(world: World, pages: str) -> None:
    def default() -> int:
        raise AssertionError("never called: the row is there")

    def blocking() -> None:
        with atomic():
            page, _ = Page.objects.get_or_create(path="/a", defaults={"hits": 1})
            again, is_new = Page.objects.get_or_create(path="/a", defaults={"hits": default})
            assert (again, is_new) == (page, False)
            with pytest.raises(UniqueViolation):
                Page.objects.get_or_create(path="/b", defaults={"id": page.id})
            assert Page.objects.count() == 1

    async def awaiting() -> None:
        async with atomic():
            page, _ = await Page.objects.aget_or_create(path="/a", defaults={"hits": 1})
            again, is_new = await Page.objects.aget_or_create(path="/a", defaults={"hits": default})
            assert (again, is_new) == (page, False)
            with pytest.raises(UniqueViolation):
                await Page.objects.aget_or_create(path="/b", defaults={"id": page.id})
            assert await Page.objects.acount() == 1

    world.run(blocking, awaiting)


def test_get_or_create_calls_defaults_and_checks_their_names(world: World, pages: str) -> None:
    page, is_new = world.call(Page.objects, "get_or_create", path="/a", defaults={"title": lambda: "made"})
    assert (page.title, is_new) == ("made", True)
    with assert_num_queries(0), pytest.raises(FieldError, match="did you mean 'title'"):
        world.call(Page.objects, "get_or_create", path="/a", defaults={"titel": "x"})
    with pytest.raises(FieldError, match="did you mean 'path'"):
        world.call(Page.objects, "get_or_create", pat="/a")


def test_get_or_create_of_related_rows(world: World, pages: str) -> None:
    page = world.call(Page.objects, "create", path="/a")
    day = date(2020, 1, 1)
    first, is_new = world.call(page.visits, "get_or_create", day=day)
    assert is_new
    assert first.page == page
    assert world.call(page.visits, "get_or_create", day=day) == (first, False)
    assert world.call(page.visits, "update_or_create", day=day, defaults={"count": 5}) == (first, False)
    assert world.call(Visit.objects, "get", id=first.id).count == 5


def test_several_matches_are_an_error(world: World, pages: str) -> None:
    world.call(Page.objects, "bulk_create", [Page(path="/a", hits=1), Page(path="/b", hits=1)])
    with pytest.raises(Page.MultipleObjectsReturned):
        world.call(Page.objects, "get_or_create", hits=1, defaults={"path": "/c"})


def test_counters_do_not_lose_a_step(world: World, pages: str) -> None:
    world.call(Page.objects, "create", path="/a")

    async def awaiting() -> None:
        await asyncio.gather(*[Page.objects.filter(path="/a").aupdate(hits=F("hits") + 1) for _ in range(20)])

    def blocking() -> None:
        def add() -> None:
            Page.objects.filter(path="/a").update(hits=F("hits") + 1)

        threads = [threading.Thread(target=add) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    world.run(blocking, awaiting)
    assert hits(world) == {"/a": 20}


def test_bulk_update_writes_a_value_that_another_field_brought(world: World, pages: str) -> None:
    rows = world.call(Page.objects, "bulk_create", [Page(path="/a", title="a"), Page(path="/b", title="b")])
    for row in rows:
        row.path = f"/new{row.path}"
    world.call(Page.objects, "bulk_update", rows, {"path": Excluded("path"), "title": Excluded("path")})
    assert world.iterate(Page.objects.order_by("pk").values_list(Page.title, flat=True)) == ["/new/a", "/new/b"]
    assert [row.title for row in rows] == ["/new/a", "/new/b"]


def test_bulk_update_counts_an_object_that_was_given_twice_once(world: World, pages: str) -> None:
    row, other = world.call(Page.objects, "bulk_create", [Page(path="/a"), Page(path="/b")])
    row.hits = other.hits = 1
    assert world.call(Page.objects, "bulk_update", [row, other, row], ["hits"]) == 2


# -- update_or_create with expressions -------------------------------------------------------------


@pytest.mark.parametrize("step", [F("hits") + 1, Page.hits + 1])
def test_update_or_create_works_out_expressions_of_a_row_that_is_there(world: World, pages: str, step: Any) -> None:
    world.call(Page.objects, "create", path="/a", hits=5)
    page, is_new = world.call(Page.objects, "update_or_create", path="/a", defaults={"hits": step, "title": "a"})
    assert (is_new, page.hits, page.title, hits(world)) == (False, 6, "a", {"/a": 6})


def test_update_or_create_makes_a_row_without_expressions_of_create_defaults(world: World, pages: str) -> None:
    page, is_new = world.call(
        Page.objects, "update_or_create", path="/a", defaults={"hits": F("hits") + 1}, create_defaults={"hits": 1}
    )
    assert (is_new, page.hits, hits(world)) == (True, 1, {"/a": 1})


def test_an_expression_is_no_value_of_a_new_row_of_update_or_create(world: World, pages: str) -> None:
    with pytest.raises(InvalidValue, match=r"hits.*create_defaults="):
        world.call(Page.objects, "update_or_create", path="/a", defaults={"hits": F("hits") + 1})
    assert hits(world) == {}


@pytest.mark.parametrize(
    ("verb", "named", "message"),
    [
        ("get_or_create", {"defaults": {"hits": F("hits") + 1}}, "hits cannot be"),
        ("update_or_create", {"create_defaults": {"hits": F("hits") + 1}}, "hits cannot be"),
        ("update_or_create", {"defaults": {"hits": F("title")}}, "is integer, not"),
    ],
)
def test_expressions_that_have_no_place_are_refused_before_anything_is_sent(
    world: World, pages: str, verb: str, named: Any, message: str
) -> None:
    with assert_num_queries(0), pytest.raises(InvalidValue, match=message):
        world.call(Page.objects, verb, path="/a", **named)
