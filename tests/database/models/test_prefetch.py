"""What comes along with rows: prefetched relations, parts of them, joined rows, and columns that are left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from datalayer import (
    Count,
    Field,
    ForeignKey,
    ManyToMany,
    Mapped,
    Model,
    ModelBase,
    Prefetch,
    Reverse,
    aprefetch_related_objects,
    prefetch_related_objects,
)
from datalayer.errors import FieldError, FieldNotLoaded, QueryError, RelationNotLoaded, SyncInAsyncContext
from datalayer.models import registry
from datalayer.testing import capture_queries, create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import World

with registry.isolated():

    class Tag(Model):
        label: Mapped[str] = Field(max_length=20)
        books: ClassVar[Reverse[Book]]

        class Meta:
            table = "pre_tag"
            ordering = ("label",)

    class Author(Model):
        name: Mapped[str] = Field(max_length=20)
        notes: Mapped[dict[str, int]] = Field(default_factory=dict)
        books: ClassVar[Reverse[Book]]

        class Meta:
            table = "pre_author"
            ordering = ("name",)

    class Book(Model):
        title: Mapped[str] = Field(max_length=20)
        pages: Mapped[int] = Field(default=0)
        author: ForeignKey[Author] = ForeignKey(related_name="books")
        editor: ForeignKey[Author | None] = ForeignKey(default=None, related_name="edited")
        tags: ManyToMany[Tag] = ManyToMany(related_name="books")

        class Meta:
            table = "pre_book"
            ordering = ("title",)

    class Order(ModelBase):
        region: Mapped[str] = Field(max_length=5)
        number: Mapped[int]
        lines: ClassVar[Reverse[Line]]

        class Meta:
            table = "pre_order"
            primary_key = ("region", "number")
            ordering = ("region", "number")

    class Line(ModelBase):
        region: Mapped[str] = Field(max_length=5)
        number: Mapped[int]
        place: Mapped[int]
        order: ForeignKey[Order] = ForeignKey(fields=("region", "number"), related_name="lines")

        class Meta:
            table = "pre_line"
            primary_key = ("order", "place")

    registry.tables()

MODELS = (Tag, Author, Book, Order, Line)


@pytest.fixture(autouse=True)
def shop(configured: str, world: World) -> None:
    """Two authors with three books each, of 1, 2, 3 pages; every book has the tags a and b, the third c as well."""
    world.run(lambda: create_tables(*MODELS), lambda: acreate_tables(*MODELS))
    tags = world.call(Tag.objects, "bulk_create", [Tag(label=label) for label in "abc"])
    for name in ("Ann", "Bob"):
        author = world.call(Author.objects, "create", name=name, notes={"n": 1})
        for number in (1, 2, 3):
            book = world.call(author.books, "create", title=f"{name}{number}", pages=number, editor=author)
            world.call(book.tags, "add", *tags[: 3 if number == 3 else 2])


def titles(world: World, rows: Any) -> list[str]:
    return [row.title for row in world.iterate(rows)]


# -- prefetch --------------------------------------------------------------------------------------


def test_a_part_of_the_rows_is_prefetched_into_the_relation(world: World) -> None:
    chosen = Prefetch("books", Book.objects.filter(pages__gt=1).order_by("-pages"))
    with capture_queries() as sent:
        found = world.iterate(Author.objects.prefetch_related(chosen))
        assert [titles(world, row.books) for row in found] == [["Ann3", "Ann2"], ["Bob3", "Bob2"]]
    assert len(sent) == 2


def test_parts_are_prefetched_into_attributes_of_their_own(world: World) -> None:
    query = Author.objects.prefetch_related(
        Prefetch("books", Book.objects.filter(pages=1), to_attr="short"),
        Prefetch(Author.books, Book.objects.filter(pages=3), to_attr="long"),
        "books",
    )
    with capture_queries() as sent:
        ann = world.iterate(query)[0]
        assert ([row.title for row in ann.short], [row.title for row in ann.long]) == (["Ann1"], ["Ann3"])
        assert titles(world, ann.books) == ["Ann1", "Ann2", "Ann3"]
    assert len(sent) == 4


def test_each_parent_gets_its_own_slice(world: World) -> None:
    for low, high, wanted in ((0, 2, ["Ann3", "Ann2"]), (1, None, ["Ann2", "Ann1"]), (2, 9, ["Ann1"]), (0, 0, [])):
        part = Book.objects.order_by("-pages")[low:high]
        with capture_queries() as sent:
            ann, bob = world.iterate(Author.objects.prefetch_related(Prefetch("books", part)))
        assert titles(world, ann.books) == wanted
        assert titles(world, bob.books) == [title.replace("Ann", "Bob") for title in wanted]
        assert len(sent) <= 2


def test_one_parent_gets_the_same_slice_as_each_of_several(world: World) -> None:
    for low, high, wanted in ((0, 2, ["Bob3", "Bob2"]), (1, None, ["Bob2", "Bob1"]), (2, 9, ["Bob1"]), (0, 0, [])):
        part = Book.objects.order_by("-pages")[low:high]
        (bob,) = world.iterate(Author.objects.filter(name="Bob").prefetch_related(Prefetch("books", part)))
        assert titles(world, bob.books) == wanted
    tags = Tag.objects.order_by("-label").annotate(n=Count("books"))[:1]
    (book,) = world.iterate(Book.objects.filter(title="Bob3").prefetch_related(Prefetch("tags", tags)))
    assert [(tag.label, tag.n) for tag in world.iterate(book.tags)] == [("c", 2)]


def test_rows_behind_one_row_are_asked_for_by_its_key(world: World) -> None:
    part = Book.objects.order_by("-pages")[:2]
    with capture_queries() as sent:
        world.iterate(Author.objects.filter(name="Bob").prefetch_related(Prefetch("books", part), "edited"))
    for statement in sent[1:]:
        assert not {"json_each", "ANY", "row_number", "key_of_each0"} & set(statement.sql.replace("(", " ").split())


def test_each_parent_gets_its_own_slice_of_links(world: World) -> None:
    part = Tag.objects.order_by("-label").annotate(n=Count("books"))[:1]
    found = world.iterate(Book.objects.prefetch_related(Prefetch("tags", part)))
    assert [[(tag.label, tag.n) for tag in world.iterate(row.tags)] for row in found] == [
        [("b", 6)], [("b", 6)], [("c", 2)], [("b", 6)], [("b", 6)], [("c", 2)]
    ]  # fmt: skip


def test_a_slice_without_an_order_goes_by_the_default_one(world: World) -> None:
    found = world.iterate(Author.objects.prefetch_related(Prefetch("books", Book.objects.all()[:1])))
    assert [titles(world, row.books) for row in found] == [["Ann1"], ["Bob1"]]


def test_slices_of_keys_of_several_columns(world: World) -> None:
    for number in (1, 2, 3):
        order = world.call(Order.objects, "create", region="eu", number=number)
        for place in range(number):
            world.call(Line.objects, "create", order=order, place=place)
    part = Line.objects.order_by("-place")[:2]
    found = world.iterate(Order.objects.prefetch_related(Prefetch("lines", part)))
    assert [[line.place for line in world.iterate(row.lines)] for row in found] == [[0], [1, 0], [2, 1]]


def test_prefetched_rows_prefetch_and_join_in_turn(world: World) -> None:
    part = Book.objects.filter(pages=3).select_related("editor").prefetch_related("tags")
    with capture_queries() as sent:
        ann, _ = world.iterate(
            Author.objects.prefetch_related(Prefetch("books", part, to_attr="long"), "long__tags__books")
        )
        (book,) = ann.long
        assert (book.editor, book.author) == (ann, ann)
        assert [tag.label for tag in world.iterate(book.tags)] == ["a", "b", "c"]
        assert len(titles(world, world.iterate(book.tags)[2].books)) == 2
    assert len(sent) == 4


def test_a_joined_relation_is_gone_on_from(world: World) -> None:
    with capture_queries() as sent:
        found = world.iterate(Book.objects.select_related("author").prefetch_related("author__books__tags"))
        assert titles(world, found[0].author.books) == ["Ann1", "Ann2", "Ann3"]
        assert len(world.iterate(world.iterate(found[0].author.books)[0].tags)) == 2
    assert len(sent) == 3


def test_a_relation_to_one_takes_a_part_as_well(world: World) -> None:
    bobs = Prefetch("author", Author.objects.filter(name="Bob").only("id", "name"), to_attr="bob")
    found = world.iterate(Book.objects.prefetch_related(bobs))
    assert [row.bob and row.bob.name for row in found] == [None] * 3 + ["Bob"] * 3


def test_only_some_columns_are_prefetched(world: World) -> None:
    with capture_queries() as sent:
        found = world.iterate(Author.objects.prefetch_related(Prefetch("books", Book.objects.only("title"))))
        assert titles(world, found[1].books) == ["Bob1", "Bob2", "Bob3"]
        assert found[1].books[0].author is found[1]
    assert len(sent) == 2
    assert "pages" not in sent[1].sql


def plain(world: World, row: Any, place: str) -> Any:
    """What stands at a place of a row: the rows with theirs, and whether each knows the row."""
    there = getattr(row, place)
    if there is None or isinstance(there, ModelBase):
        return there
    rows = there if isinstance(there, list) else world.iterate(there)
    return [
        (each, getattr(each, "n", None), place == "books" and isinstance(row, Author) and each.author is row)
        for each in rows
    ]


@pytest.mark.parametrize(
    ("model", "place", "lookup"),
    [
        (Author, "books", lambda: "books"),
        (Author, "books", lambda: Author.books),
        (Author, "books", lambda: Prefetch("books", Book.objects.filter(pages__gt=1).order_by("-pages"))),
        (Author, "books", lambda: Prefetch("books", Book.objects.annotate(n=Count("tags")).order_by("-n", "title"))),
        (Author, "books", lambda: Prefetch("books", Book.objects.select_related("editor").only("title", "editor"))),
        (Author, "books", lambda: Prefetch("books", Book.objects.none())),
        (Author, "books", lambda: Prefetch("books", Book.objects.order_by("-pages")[1:2])),
        (Author, "books", lambda: Prefetch("books", Book.objects.order_by("-pages")[1:])),
        (Author, "books", lambda: Prefetch("books", Book.objects.order_by("-pages")[:0])),
        (Author, "edited", lambda: "edited__tags__books"),
        (Author, "found", lambda: Prefetch("books", Book.objects.filter(pages=2), to_attr="found")),
        (Book, "tags", lambda: "tags"),
        (Book, "tags", lambda: Prefetch("tags", Tag.objects.annotate(n=Count("books")).order_by("-label"))),
        (Book, "tags", lambda: Prefetch("tags", Tag.objects.order_by("-label")[:1])),
        (Tag, "books", lambda: Prefetch("books", Book.objects.select_related("author"))),
        (Book, "author", lambda: "author"),
        (Book, "editor", lambda: "editor"),
        (Book, "found", lambda: Prefetch("author", Author.objects.filter(name="Bob"), to_attr="found")),
        (Order, "lines", lambda: "lines"),
    ],
)  # fmt: skip
def test_one_row_after_another_gets_what_all_get_together(
    world: World, model: Any, place: str, lookup: Callable[[], Any]
) -> None:
    for number in (1, 2):
        order = world.call(Order.objects, "create", region="eu", number=number)
        world.call(Line.objects, "create", order=order, place=number)
    world.call(Book.objects.filter(title="Ann2"), "update", editor=None)
    together = world.iterate(model.objects.prefetch_related(lookup()))
    rows = model.objects.prefetch_related(lookup())
    for row in together:  # the third and all that follow go the short way
        with capture_queries() as sent:
            found = world.call(rows, "get", pk=row.pk)
            assert plain(world, found, place) == plain(world, row, place)
        assert len(sent) <= 4


def test_rows_of_one_after_another_are_loaded_when_they_are_read(world: World) -> None:
    for _ in range(3):
        for name in ("Ann", "Bob"):
            author = world.call(Author.objects, "get", name=name)
            assert titles(world, author.books) == [f"{name}1", f"{name}2", f"{name}3"]
            assert [book.author for book in world.iterate(author.books)] == [author] * 3


def test_rows_behind_a_row_are_those_of_the_key_it_had(world: World) -> None:
    ann = world.call(Author.objects.prefetch_related("books"), "get", name="Ann")
    rows = ann.books
    ann.id = -1
    assert world.call(rows, "count") == 3
    assert world.call(rows.filter(pages=2), "count") == 1
    assert world.call(rows, "get", pages=2).title == "Ann2"


def test_a_slice_of_one_after_another_is_cut_by_the_same_statement(world: World) -> None:
    rows = Author.objects.prefetch_related(Prefetch("books", Book.objects.order_by("-pages")[:2]))
    with capture_queries() as sent:
        for name in ("Ann", "Bob", "Ann", "Bob"):
            assert titles(world, world.call(rows, "get", name=name).books) == [f"{name}3", f"{name}2"]
    assert len({statement.sql for statement in sent}) == 2


def test_objects_that_are_there_get_their_relations(world: World) -> None:
    found = world.iterate(Author.objects.all())
    paths = ("books__tags", Prefetch("books", Book.objects.filter(pages=1), to_attr="short"))
    with capture_queries() as sent:
        world.run(lambda: prefetch_related_objects(found, *paths), lambda: aprefetch_related_objects(found, *paths))
        assert titles(world, found[1].books) == ["Bob1", "Bob2", "Bob3"]
        assert [row.title for row in found[0].short] == ["Ann1"]
    assert len(sent) == 3
    with capture_queries() as sent:
        world.run(lambda: prefetch_related_objects(found, "books"), lambda: aprefetch_related_objects(found, "books"))
        world.run(lambda: prefetch_related_objects([], "books"), lambda: aprefetch_related_objects([], "books"))
        world.call(found[0], "load", "books", "books__tags")
    assert not sent


def test_a_stream_prefetches_chunk_by_chunk(world: World) -> None:
    query = Book.objects.prefetch_related("author", "tags")
    with capture_queries() as sent:
        rows = world.run(
            lambda: list(query.iterator(chunk_size=4)),
            lambda: _collected(query.aiterator(chunk_size=4)),
        )
        assert [row.author.name for row in rows] == ["Ann"] * 3 + ["Bob"] * 3
        assert [len(world.iterate(row.tags)) for row in rows] == [2, 2, 3, 2, 2, 3]
    # One for the rows, and two for each of two chunks.
    assert len([each for each in sent if each.sql.startswith("SELECT")]) == 5


async def _collected(items: Any) -> list[Any]:
    return [item async for item in items]


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (list, ["a", "b"]),
        (len, 2),
        (bool, True),
        (lambda rows: rows[0], "a"),
        (lambda rows: list(rows[1:]), ["b"]),
        (repr, "<Manager [Tag(id=1, label='a'), Tag(id=2, label='b')]>"),
    ],
)
def test_all_rows_that_came_along_are_there_in_both_worlds_without_a_question(
    world: World, ask: Any, answer: Any
) -> None:
    book = world.call(Book.objects.prefetch_related("tags"), "get", title="Ann1")

    async def in_a_loop() -> Any:
        return ask(book.tags.all())

    with capture_queries() as sent:
        found = world.run(lambda: ask(book.tags.all()), in_a_loop)
    if isinstance(found, list):
        found = [tag.label for tag in found]
    assert (found.label if isinstance(found, Tag) else found) == answer
    assert len(sent) == 0


def test_all_rows_that_came_along_are_counted_without_a_question(world: World) -> None:
    book = world.call(Book.objects.prefetch_related("tags"), "get", title="Ann1")
    a, c = world.call(Tag.objects, "get", label="a"), world.call(Tag.objects, "get", label="c")
    with capture_queries() as sent:
        assert world.call(book.tags.all(), "count") == 2
        assert world.call(book.tags.all(), "exists")
        assert world.call(book.tags.all(), "contains", a)
        assert not world.call(book.tags.all(), "contains", c)
    assert len(sent) == 0
    rows = book.tags.all()
    world.call(book.tags, "add", c)
    assert world.call(rows, "count") == 3


def test_earlier_wishes_are_taken_back(world: World) -> None:
    with capture_queries() as sent:
        world.iterate(
            Book.objects.select_related("author").prefetch_related("tags").prefetch_related(None).select_related(None)
        )
    assert len(sent) == 1
    assert "JOIN" not in sent[0].sql


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: Author.objects.prefetch_related("boks"), "did you mean 'books'"),
        (lambda: Author.objects.prefetch_related("books__tag"), "did you mean 'tags'"),
        (lambda: Author.objects.prefetch_related("name"), "'name' is no relation of Author"),
        (lambda: Author.objects.prefetch_related(Book.tags), "starts at Book, not at Author"),
        (lambda: Author.objects.prefetch_related(3), "3 is no relation"),
        (
            lambda: Author.objects.prefetch_related(Prefetch("books", Tag.objects.all())),
            "leads to Book, and .* gives Tag",
        ),
        (lambda: Author.objects.prefetch_related(Prefetch("books", Book.objects.values("id"))), "whole Book instances"),
        (lambda: Author.objects.prefetch_related(Prefetch("books", to_attr="name")), "Author has 'name' already"),
        (lambda: Author.objects.prefetch_related(Prefetch("books", to_attr="save")), "Author has 'save' already"),
        (lambda: Prefetch("books", to_attr="a b"), "must be the name of an attribute"),
        (lambda: Book.objects.prefetch_related(Prefetch("author", Author.objects.all()[:1])), "at most one Author"),
        (
            lambda: Author.objects.prefetch_related("books", Prefetch("books", Book.objects.all())),
            "'books' is prefetched twice",
        ),
        (lambda: Author.objects.prefetch_related(Prefetch("books", Book.objects.distinct()[:1])), "leave distinct"),
        (lambda: Author.objects.prefetch_related("books").values("name"), "values are no instances"),
        (lambda: Book.objects.select_related("tags"), "'tags' is a relation to many rows of Book.*author, editor"),
        (lambda: Book.objects.select_related("autor"), "'autor' is no relation of Book.*did you mean 'author'"),
        (lambda: Book.objects.only("titel"), "did you mean 'title'"),
        (lambda: Book.objects.defer("tags"), "has no column in Book"),
        (lambda: Book.objects.defer("author__name"), r"select_related\('author'\) first"),
        (lambda: Book.objects.only("title__icontains"), "nothing may follow"),
    ],
)
def test_wrong_wishes_are_refused_when_they_are_made(ask: Any, message: str) -> None:
    with capture_queries() as sent, pytest.raises((QueryError, FieldError), match=message):
        ask()
    assert not sent


def test_objects_of_several_models_or_unsaved_ones_are_refused(world: World) -> None:
    ann, book = world.call(Author.objects, "first"), world.call(Book.objects, "first")
    for wrong, message in (
        ([ann, book], "an Author and a Book|a Author and a Book"),
        ([Author(name="n")], "not saved"),
    ):
        with pytest.raises(QueryError, match=message):
            world.run(
                lambda wrong=wrong: prefetch_related_objects(wrong, "books"),
                lambda wrong=wrong: aprefetch_related_objects(wrong, "books"),
            )


# -- columns that are left out ---------------------------------------------------------------------


def test_a_column_that_was_left_out_is_loaded_for_all_rows(world: World) -> None:
    found = world.iterate(Book.objects.defer("title", "pages"))
    with capture_queries() as sent:
        if world.is_async:
            with pytest.raises(FieldNotLoaded, match=r"arefresh\(fields=\['title'\]\)"):
                world.run(lambda: None, lambda: _read(found[0], "title"))
            world.call(found[0], "refresh", fields=["title"])
            assert found[0].title == "Ann1"
        else:
            assert [row.title for row in found] == ["Ann1", "Ann2", "Ann3", "Bob1", "Bob2", "Bob3"]
    assert len(sent) == 1
    assert "pages" not in sent[0].sql


async def _read(row: Any, name: str) -> Any:
    return getattr(row, name)


def test_dumps_reprs_and_saves_load_nothing(world: World) -> None:
    found = world.iterate(Author.objects.only("name"))
    with capture_queries() as sent:
        assert found[0].model_dump() == {"id": found[0].id, "name": "Ann"}
        assert "notes" not in repr(found[0])
        assert found[0] == found[0].model_copy()
        world.call(found[0], "save")
    assert not sent
    found[0].name = "Eve"
    world.call(found[0], "save")
    fresh = world.call(Author.objects, "get", pk=found[0].pk)
    assert (fresh.name, fresh.notes) == ("Eve", {"n": 1})


def test_what_was_loaded_later_is_saved_when_it_changes(world: World) -> None:
    row = world.call(Author.objects.defer("notes"), "first")
    world.call(row, "refresh", fields=["notes"])
    row.notes["m"] = 2
    world.call(row, "save")
    assert world.call(Author.objects, "get", pk=row.pk).notes == {"n": 1, "m": 2}


def test_columns_are_left_out_step_by_step(world: World) -> None:
    def loaded(query: Any) -> set[str]:
        return set(world.call(query, "first").__dict__)

    assert loaded(Book.objects.defer("title").defer("pages")) == {"id", "author_id", "editor_id"}
    assert loaded(Book.objects.only("title", "pages").defer("pages")) == {"id", "title"}
    assert loaded(Book.objects.only("title").only("pages")) == {"id", "pages"}
    assert loaded(Book.objects.only(Book.author)) == {"id", "author_id"}
    assert loaded(Book.objects.defer(Book.title, "author", "editor", "pk")) == {"id", "pages"}


def test_columns_of_joined_rows_are_left_out(world: World) -> None:
    joined = Book.objects.select_related("author")
    row = world.call(joined.only("title", "author__name"), "first")
    assert (set(row.__dict__), set(row.author.__dict__)) == ({"id", "title", "author_id"}, {"id", "name"})
    row = world.call(joined.defer(Book.author[Author.notes]), "first")
    assert (set(row.author.__dict__), "pages" in row.__dict__) == ({"id", "name"}, True)
    row = world.call(joined.only("author__name"), "first")
    assert (set(row.__dict__), set(row.author.__dict__)) == ({"id", "author_id"}, {"id", "name"})


def test_relations_are_dropped_by_a_refresh(world: World) -> None:
    book = world.call(Book.objects.select_related("author", "editor").prefetch_related("tags"), "first")
    author, editor = book.author, book.editor
    world.call(book, "refresh", fields=["pages", "tags", "author"])
    assert book.editor is editor
    if world.is_async:
        with pytest.raises(RelationNotLoaded):
            world.run(lambda: None, lambda: _read(book, "author"))
    else:
        assert book.author == author
        assert book.author is not author
    with capture_queries() as sent:
        world.iterate(book.tags)
        world.call(book, "refresh", fields=["tags"])
    assert len(sent) == 1


# -- the other world -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (list, "'for' would block .*'async for'"),
        (len, r"len\(\) would block .*len\(await queryset\)"),
        (bool, "truth value of a queryset would block .*aexists"),
        (lambda books: books[0], "an index would block .*'await' the queryset first"),
        (lambda books: 5 in books, "'in' would block .*acontains"),
        (lambda books: books.get(id=1), r"get\(\) would block .*aget"),
        (lambda books: books.first(), r"first\(\) would block .*afirst"),
        (lambda books: books.count(), r"count\(\) would block .*acount"),
        (lambda books: books.aggregate(n=Count("*")), r"aggregate\(\) would block .*aaggregate"),
        (lambda books: list(books.iterator()), r"iterator\(\) would block .*aiterator"),
        (lambda books: books.update(pages=1), r"update\(\) would block .*aupdate"),
        (lambda books: books.delete(), r"delete\(\) would block .*adelete"),
        (lambda books: books.create(title="x", author_id=1), r"create\(\) would block .*acreate"),
        (lambda books: books.get_or_create(title="x", author_id=1), r"get_or_create\(\) would block .*aget_or_create"),
        (
            lambda books: books.bulk_create([Book(title="x", author_id=1)]),
            r"bulk_create\(\) would block .*abulk_create",
        ),
        (lambda books: Book(title="x", author_id=1).save(), r"save\(\) would block .*asave"),
    ],
)
def test_a_blocking_question_in_an_event_loop_is_told_what_to_write(world: World, ask: Any, message: str) -> None:
    async def in_a_loop() -> None:
        with pytest.raises(SyncInAsyncContext, match=message):
            ask(Book.objects.all())

    world.run(lambda: None, in_a_loop)
