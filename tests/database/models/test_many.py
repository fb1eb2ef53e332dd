"""Many to many and related managers: linking, unlinking, and what instances know of each other afterwards."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Any, ClassVar

import pytest

from datalayer import (
    Count,
    F,
    Field,
    FilteredRelation,
    ForeignKey,
    ManyToMany,
    Mapped,
    Model,
    ModelBase,
    Prefetch,
    Q,
    Reverse,
    atomic,
)
from datalayer.errors import FieldError, InvalidValue, QueryError
from datalayer.models import registry
from datalayer.models.state import Origin, set_origin
from datalayer.testing import capture_queries, create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import AwaitingWorld, World

with registry.isolated():

    class Tag(Model):
        label: Mapped[str] = Field(max_length=20, unique=True)
        books: ClassVar[Reverse[Book]]

        class Meta:
            table = "many_tag"
            ordering = ("label",)

    class Author(Model):
        name: Mapped[str] = Field(max_length=20)
        books: ClassVar[Reverse[Book]]
        edited: ClassVar[Reverse[Book]]

        class Meta:
            table = "many_author"

    class Book(Model):
        title: Mapped[str] = Field(max_length=20)
        author: ForeignKey[Author] = ForeignKey(related_name="books")
        editor: ForeignKey[Author | None] = ForeignKey(default=None, related_name="edited")
        tags: ManyToMany[Tag] = ManyToMany(related_name="books")
        similar: ManyToMany[Book] = ManyToMany()
        sequels: ManyToMany[Book] = ManyToMany(symmetrical=False, related_name="prequels", db_table="many_sequels")

        class Meta:
            table = "many_book"
            ordering = ("title",)

    class Band(Model):
        name: Mapped[str] = Field(max_length=20)
        members: ManyToMany[Author] = ManyToMany(
            through="Membership", through_fields=("band", "person"), related_name="bands"
        )

        class Meta:
            table = "many_band"

    class Membership(Model):
        band: ForeignKey[Band] = ForeignKey(related_name="memberships")
        person: ForeignKey[Author] = ForeignKey(related_name="memberships")
        invited_by: ForeignKey[Author | None] = ForeignKey(default=None, related_name="+")
        role: Mapped[str] = Field(default="member", max_length=20)

        class Meta:
            table = "many_membership"

    class Order(ModelBase):
        region: Mapped[str] = Field(max_length=5)
        number: Mapped[int]
        linked: ManyToMany[Order] = ManyToMany(symmetrical=False, related_name="linked_from")
        tags: ManyToMany[Tag] = ManyToMany(related_name="orders")

        class Meta:
            table = "many_order"
            primary_key = ("region", "number")
            ordering = ("region", "number")

    registry.tables()

MODELS = (Tag, Author, Book, Band, Membership, Order)


@pytest.fixture
def tables(configured: str, world: World) -> str:
    world.run(lambda: create_tables(*MODELS), lambda: acreate_tables(*MODELS))
    return configured


pytestmark = pytest.mark.usefixtures("tables")


def make(world: World, model: Any, names: Iterable[str], **more: Any) -> list[Any]:
    field = {"Tag": "label", "Book": "title"}.get(model.__name__, "name")
    return [world.call(model.objects, "create", **{field: name}, **more) for name in names]


def books(world: World, names: str = "xyz") -> list[Any]:
    (author,) = make(world, Author, ["Ann"])
    return make(world, Book, names, author=author)


def labels(world: World, rows: Any) -> list[str]:
    return [getattr(row, "label", None) or row.title for row in world.iterate(rows)]


# -- many to many ----------------------------------------------------------------------------------


def test_rows_are_added_removed_and_cleared(world: World) -> None:
    book, other, _ = books(world)
    a, b, c = make(world, Tag, "abc")
    world.call(book.tags, "add", a, b, c)
    world.call(other.tags, "add", a)
    assert labels(world, book.tags) == ["a", "b", "c"]
    world.call(book.tags, "remove", b)
    assert labels(world, book.tags) == ["a", "c"]
    world.call(book.tags, "clear")
    assert labels(world, book.tags) == []
    assert labels(world, a.books) == ["y"]


def test_adding_is_one_statement_and_adding_again_changes_nothing(world: World) -> None:
    book, *_ = books(world)
    tags = make(world, Tag, "abc")
    with capture_queries() as sent:
        world.call(book.tags, "add", *tags)
    assert len(sent) == 1
    world.call(book.tags, "add", tags[0], tags[0].id)
    assert world.call(book.tags, "count") == 3


def test_the_other_side_adds_as_well(world: World) -> None:
    x, y, _ = books(world)
    (tag,) = make(world, Tag, "a")
    world.call(tag.books, "add", x, y)
    assert labels(world, tag.books) == ["x", "y"]
    assert labels(world, x.tags) == ["a"]


def test_setting_touches_only_what_changes(world: World) -> None:
    book, *_ = books(world)
    a, b, c = make(world, Tag, "abc")
    world.call(book.tags, "set", [a, b])
    with capture_queries() as sent:
        world.call(book.tags, "set", [b, c.id])
    changes = [statement.sql.split()[0] for statement in sent]
    assert (changes.count("DELETE"), changes.count("INSERT")) == (1, 1)
    assert labels(world, book.tags) == ["b", "c"]
    with capture_queries() as sent:
        world.call(book.tags, "set", [c, b])
    assert {statement.sql.split()[0] for statement in sent}.isdisjoint({"DELETE", "INSERT"})
    world.call(book.tags, "set", [])
    assert labels(world, book.tags) == []


def test_a_row_is_made_and_linked_at_once(world: World) -> None:
    book, *_ = books(world)
    tag = world.call(book.tags, "create", label="a")
    assert (labels(world, book.tags), labels(world, tag.books)) == (["a"], ["x"])
    found, is_new = world.call(book.tags, "get_or_create", label="a")
    assert (found, is_new) == (tag, False)
    found, is_new = world.call(book.tags, "get_or_create", {"label": "b"}, label__in=["b"])
    assert (found.label, is_new) == ("b", True)
    found, is_new = world.call(book.tags, "update_or_create", {"label": "c"}, label="b")
    assert (found.label, is_new) == ("c", False)
    assert world.call(book.tags, "update_or_create", label="d")[1] is True
    assert labels(world, book.tags) == ["a", "c", "d"]


def test_a_row_that_cannot_be_linked_is_not_made(world: World) -> None:
    book, *_ = books(world)
    world.call(Book.objects.filter(id=book.id), "delete")
    with pytest.raises(Exception, match="book"):
        world.call(book.tags, "create", label="a")
    assert world.call(Tag.objects, "count") == 0


def test_a_symmetrical_relation_goes_both_ways(world: World) -> None:
    x, y, z = books(world)
    world.call(x.similar, "add", y, z)
    assert (labels(world, y.similar), labels(world, z.similar)) == (["x"], ["x"])
    world.call(y.similar, "remove", x)
    assert labels(world, x.similar) == ["z"]
    world.call(x.similar, "set", [y])
    assert (labels(world, y.similar), world.call(z.similar.filter(), "count")) == (["x"], 0)
    world.call(y.similar, "clear")
    assert world.call(x.similar.filter(), "count") == 0


def test_a_relation_to_itself_may_go_one_way(world: World) -> None:
    x, y, _ = books(world)
    world.call(x.sequels, "add", y)
    assert (labels(world, x.sequels), labels(world, y.sequels)) == (["y"], [])
    assert labels(world, y.prequels) == ["x"]
    assert labels(world, Book.objects.filter(prequels__title="x")) == ["y"]


def test_keys_of_several_columns_are_linked(world: World) -> None:
    a, b, c = [world.call(Order.objects, "create", region="eu", number=number) for number in (1, 2, 3)]
    (tag,) = make(world, Tag, "a")
    world.call(a.linked, "add", b, ("eu", 3))
    assert [row.number for row in world.iterate(a.linked)] == [2, 3]
    assert world.iterate(c.linked_from) == [a]
    world.call(tag.orders, "set", [b, c])
    assert world.iterate(Order.objects.filter(tags=tag)) == [b, c]
    world.call(a.linked, "remove", b)
    assert world.iterate(a.linked.all()) == [c]
    found = world.iterate(Order.objects.prefetch_related("linked", "tags"))
    assert [[row.number for row in world.iterate(each.linked)] for each in found] == [[3], [], []]
    assert [world.iterate(each.tags) for each in found] == [[], [tag], [tag]]


# -- through a model -------------------------------------------------------------------------------


def test_rows_in_between_of_a_model_get_its_defaults(world: World) -> None:
    (band,) = make(world, Band, ["Trio"])
    ann, bob, cat = make(world, Author, ["Ann", "Bob", "Cat"])
    world.call(band.members, "add", ann)
    world.call(band.members, "add", ann, bob, through_defaults={"role": "singer", "invited_by": ann})
    world.call(band.members, "create", name="Dan", through_defaults={"role": lambda: "drums"})
    rows = world.iterate(Membership.objects.order_by("id"))
    assert [(row.person_id, row.role) for row in rows][:2] == [(ann.id, "member"), (bob.id, "singer")]
    assert rows[1].invited_by_id == ann.id
    assert rows[2].role == "drums"
    assert world.call(cat.bands, "exists") is False
    world.call(cat.bands, "set", [band])
    assert world.call(band.members, "count") == 4
    world.call(band.members, "remove", ann, bob)
    assert world.call(Membership.objects, "count") == 2


def test_a_row_that_is_linked_twice_is_there_once(world: World) -> None:
    trio, duo = make(world, Band, ["Trio", "Duo"])
    ann, bob = make(world, Author, ["Ann", "Bob"])
    for band, person in ((trio, ann), (trio, ann), (duo, ann), (trio, bob)):
        world.call(Membership.objects, "create", band=band, person=person)
    assert world.iterate(trio.members.order_by("id")) == [ann, bob]
    assert sorted(row.name for row in world.iterate(trio.members)) == ["Ann", "Bob"]
    first = Prefetch("members", Author.objects.order_by("id")[:2], to_attr="first")
    found = world.iterate(Band.objects.prefetch_related(first).order_by("id"))
    assert [each.first for each in found] == [[ann, bob], [ann]]
    (back, _) = world.iterate(Author.objects.prefetch_related("bands").order_by("id"))
    assert world.iterate(back.bands) == [trio, duo]


def test_columns_in_between_are_those_of_the_links_of_the_row(world: World) -> None:
    trio, duo = make(world, Band, ["Trio", "Duo"])
    ann, bob = make(world, Author, ["Ann", "Bob"])
    for band, person, role in ((trio, ann, "lute"), (duo, ann, "drums"), (trio, bob, "drums")):
        world.call(Membership.objects, "create", band=band, person=person, role=role)
    members = trio.members
    assert world.iterate(members.filter(memberships__role="drums")) == [bob]
    assert world.iterate(members.filter(name="Ann").filter(Q(memberships__role="drums") | Q(id=0))) == []
    assert world.call(members, "get", memberships__role="lute") == ann
    assert world.iterate(members.order_by("-memberships__role")) == [ann, bob]
    roles = members.order_by("name").values_list("name", "memberships__role")
    assert world.iterate(roles) == [("Ann", "lute"), ("Bob", "drums")]
    assert {row.role for row in world.iterate(members.annotate(role=F("memberships__role")))} == {"lute", "drums"}
    assert world.call(members.annotate(n=Count("memberships")), "get", name="Ann").n == 2  # of all her bands
    assert world.iterate(ann.bands.filter(memberships__role="drums")) == [duo]
    assert world.iterate(Author.objects.filter(bands=trio, memberships__role="drums").order_by("id")) == [ann, bob]


@pytest.mark.parametrize(
    ("relation", "defaults", "message"),
    [
        ("members", {"rol": 1}, "which Membership does not have; the choices are .*did you mean 'role'"),
        ("members", {"person": 1}, "which Membership does not have"),
    ],
)
def test_wrong_through_defaults_are_refused(
    world: World, relation: str, defaults: dict[str, Any], message: str
) -> None:
    (band,) = make(world, Band, ["Trio"])
    with capture_queries() as sent, pytest.raises((FieldError, QueryError, TypeError), match=message):
        world.call(getattr(band, relation), "add", 1, through_defaults=defaults)
    assert not [each for each in sent if each.sql.startswith("INSERT")]


def test_through_defaults_without_a_model_are_refused(world: World) -> None:
    book, *_ = books(world)
    with pytest.raises(QueryError, match="nothing but their keys; declare through= for more"):
        world.call(book.tags, "add", 1, through_defaults={"since": 1})
    with pytest.raises(QueryError, match="the way back of a ForeignKey"):
        world.call(book.author.edited, "add", book, through_defaults={"since": 1})


def test_the_model_in_between_is_a_model(world: World) -> None:
    book, *_ = books(world)
    (tag,) = make(world, Tag, "a")
    world.call(book.tags, "add", tag)
    through: Any = Book.tags.through
    assert through is book.tags.through is tag.books.through is book.tags.filter(label="a").through
    for manager in (Book.objects, book.author.books):
        with pytest.raises(QueryError, match="is no ManyToMany of a row, so there is no model in between"):
            _ = manager.through
    (row,) = world.iterate(through.objects.select_related("tag"))
    assert (row.book_id, row.tag.label) == (book.id, "a")


# -- asking ----------------------------------------------------------------------------------------


def test_rows_are_found_excluded_ordered_and_counted_over_it(world: World) -> None:
    x, y, _ = books(world)
    a, b = make(world, Tag, "ab")
    world.call(x.tags, "add", a, b)
    world.call(y.tags, "add", b)
    assert labels(world, Book.objects.filter(tags__label="a")) == ["x"]
    assert labels(world, Book.objects.filter(Book.tags[Tag.label] == "b")) == ["x", "y"]
    assert labels(world, Book.objects.filter(tags=a).filter(tags=b)) == ["x"]
    assert labels(world, Book.objects.filter(tags__in=[a, b]).distinct()) == ["x", "y"]
    assert labels(world, Book.objects.exclude(tags__label="a")) == ["y", "z"]
    assert labels(world, Book.objects.filter(tags__isnull=True)) == ["z"]
    assert labels(world, Book.objects.filter(tags__in=[])) == []
    assert labels(world, Book.objects.exclude(tags__in=[])) == ["x", "y", "z"]
    assert labels(world, Book.objects.exclude(tags__label__in=[])) == ["x", "y", "z"]
    assert labels(world, Book.objects.order_by("-tags__label", "title").filter(tags__isnull=False)) == ["x", "y", "x"]
    counted = world.iterate(Book.objects.annotate(n=Count("tags")))
    assert [row.n for row in counted] == [2, 1, 0]
    assert [row.n for row in world.iterate(Tag.objects.annotate(n=Count("books")))] == [1, 2]
    assert world.iterate(Book.objects.values_list("title", "tags__label").order_by("title", "tags__label")) == [
        ("x", "a"),
        ("x", "b"),
        ("y", "b"),
        ("z", None),
    ]


def test_a_related_manager_is_a_queryset(world: World) -> None:
    x, y, _ = books(world)
    a, b, c = make(world, Tag, "abc")
    world.call(x.tags, "add", a, b)
    world.call(y.tags, "add", c)
    assert labels(world, x.tags.filter(label__gt="a")) == ["b"]
    assert labels(world, x.tags.exclude(books=y)) == ["a", "b"]
    assert world.call(x.tags.order_by("-label"), "first") == b
    assert world.call(x.tags, "get", label="a") == a
    with pytest.raises(Tag.DoesNotExist):
        world.call(x.tags, "get", label="c")
    assert [row.n for row in world.iterate(x.tags.annotate(n=Count("books")))] == [1, 1]
    assert world.call(x.tags.filter(label="a"), "update", label="A") == 1
    assert world.call(x.tags.all(), "delete") == 2
    assert labels(world, Tag.objects.all()) == ["c"]


# -- foreign keys seen from behind -----------------------------------------------------------------


def test_rows_are_brought_to_another_owner_by_one_statement(world: World) -> None:
    rows = books(world)
    (bob,) = make(world, Author, ["Bob"])
    with capture_queries() as sent:
        world.call(bob.books, "add", *rows[:2], rows[2].id)
    assert len(sent) == 1
    assert (world.call(bob.books, "count"), rows[0].author is bob, rows[0].author_id) == (3, True, bob.id)
    with capture_queries() as sent:
        world.call(rows[0], "save")
    assert not sent


def test_rows_of_a_nullable_key_are_removed_set_and_cleared(world: World) -> None:
    x, y, z = books(world)
    editor = x.author
    world.call(editor.edited, "set", [x, y])
    assert labels(world, editor.edited) == ["x", "y"]
    world.call(editor.edited, "remove", x, z)
    assert (x.editor, x.editor_id, y.editor) == (None, None, editor)
    world.call(editor.edited, "set", [z])
    assert labels(world, editor.edited) == ["z"]
    assert world.call(Book.objects, "get", id=y.id).editor_id is None
    world.call(editor.edited, "clear")
    assert world.call(Book.objects.filter(editor__isnull=True), "count") == 3


@pytest.mark.parametrize("verb", ["remove", "clear", "set"])
def test_rows_of_a_key_that_is_never_null_stay(world: World, verb: str) -> None:
    book, *_ = books(world)
    arguments: dict[str, tuple[Any, ...]] = {"remove": (book,), "clear": (), "set": ([],)}
    with capture_queries() as sent, pytest.raises(QueryError, match=r"Book\.author is never null") as caught:
        world.call(book.author.books, verb, *arguments[verb])
    assert not sent
    assert ("add(" in str(caught.value)) or "delete()" in str(caught.value)


def test_rows_are_made_for_their_owner(world: World) -> None:
    (ann,) = make(world, Author, ["Ann"])
    book = world.call(ann.books, "create", title="x")
    assert (book.author, book.author_id) == (ann, ann.id)
    assert world.call(ann.books, "get_or_create", title="x") == (book, False)
    other, is_new = world.call(ann.books, "get_or_create", title="y")
    assert (other.author, is_new) == (ann, True)
    found, is_new = world.call(ann.books, "update_or_create", {"title": "z"}, title="y")
    assert (found.title, is_new) == ("z", False)
    assert labels(world, ann.books) == ["x", "z"]


# -- refused ---------------------------------------------------------------------------------------


def test_what_is_not_saved_is_not_linked(world: World) -> None:
    book, *_ = books(world)
    with pytest.raises(QueryError, match=r"this Book is not saved, so no Tag can be linked to it yet; save it first"):
        _ = Book(title="n", author=book.author).tags
    with pytest.raises(QueryError, match=r"so no Book can refer to it yet"):
        _ = Author(name="n").books
    with capture_queries() as sent:
        for manager, row in ((book.tags, Tag(label="n")), (book.author.edited, Book(title="n", author=book.author))):
            for verb, argument in (("add", row), ("remove", row), ("set", [row])):
                with pytest.raises(InvalidValue, match=r"is not saved yet; save it first, or make it and link it"):
                    world.call(manager, verb, argument)
    assert not [each for each in sent if each.sql.startswith(("INSERT", "UPDATE", "DELETE"))]


def test_what_is_of_another_model_is_not_linked(world: World) -> None:
    book, *_ = books(world)
    with pytest.raises(QueryError, match=r"Book.tags holds Tag rows, and .* is a Author"):
        world.call(book.tags, "add", book.author)
    with pytest.raises(InvalidValue, match=r"Book\.tags"):
        world.call(book.tags, "add", "abc")
    with pytest.raises(InvalidValue, match="takes Tag objects, or their keys"):
        world.call(book.tags, "add", None)


def test_a_part_of_a_relation_links_nothing(world: World) -> None:
    book, *_ = books(world)
    with pytest.raises(QueryError, match=r"add\(\) belongs to the relation itself.*book.tags.add"):
        world.call(book.tags.filter(label="x"), "add", 1)


# -- what is known stays true ----------------------------------------------------------------------


def test_links_that_change_are_asked_for_again(world: World) -> None:
    x, y, _ = books(world)
    a, b = make(world, Tag, "ab")
    world.call(x.tags, "add", a)
    x, y, _ = world.iterate(Book.objects.prefetch_related("tags"))
    (a, b) = world.iterate(Tag.objects.prefetch_related("books"))
    world.call(x.tags, "add", b)
    assert (labels(world, x.tags), labels(world, b.books)) == (["a", "b"], ["x"])
    world.call(x.tags, "remove", a)
    assert (labels(world, x.tags), labels(world, a.books)) == (["b"], [])
    world.call(y.tags, "set", [a])
    assert (labels(world, y.tags), labels(world, a.books)) == (["a"], ["y"])
    world.call(a.books, "clear")
    assert (labels(world, a.books), world.call(y.tags, "count")) == ([], 1)  # nothing knew of y
    world.call(y, "refresh")
    assert labels(world, y.tags) == []


def test_rows_know_their_owner_without_asking(world: World) -> None:
    books(world)
    ann = world.call(Author.objects, "get", name="Ann")
    rows = world.iterate(ann.books)
    part = world.iterate(ann.books.filter(title__in=["x", "y"]).order_by("-title"))
    one = world.call(ann.books, "get", title="x")
    with capture_queries() as sent:
        assert all(row.author is ann for row in (*rows, *part, one))
    assert not sent


def test_an_assignment_and_a_save_are_seen_from_both_sides(world: World) -> None:
    x, *_ = books(world)
    (bob,) = make(world, Author, ["Bob"])
    ann = x.author
    assert labels(world, ann.books) == ["x", "y", "z"]
    assert labels(world, bob.books) == []
    x.author = bob
    world.call(x, "save")
    assert (labels(world, ann.books), labels(world, bob.books)) == (["y", "z"], ["x"])
    world.call(Book.objects, "create", title="n", author=bob)
    assert labels(world, bob.books) == ["n", "x"]


def test_a_deleted_row_is_behind_nothing(world: World) -> None:
    x, *_ = books(world)
    ann = x.author
    world.call(x.tags, "create", label="a")
    (tag,) = world.iterate(x.tags)
    assert (labels(world, ann.books), labels(world, tag.books), labels(world, x.tags)) == (
        ["x", "y", "z"],
        ["x"],
        ["a"],
    )
    world.call(x, "delete")
    assert (labels(world, ann.books), labels(world, tag.books)) == (["y", "z"], [])


def test_a_rollback_is_known_on_both_sides(world: World) -> None:
    x, *_ = books(world)
    ann = x.author
    a, b = make(world, Tag, "ab")
    world.call(x.tags, "add", a)

    def look() -> tuple[list[str], list[str], list[str]]:
        return labels(world, x.tags), labels(world, b.books), labels(world, ann.books)

    before = look()

    def blocking() -> None:
        with atomic():
            x.tags.set([b])
            x.tags.create(label="c")
            ann.books.create(title="n")
            assert look() == (["b", "c"], ["x"], ["n", "x", "y", "z"])
            raise ZeroDivisionError

    async def awaiting() -> None:
        async with atomic():
            await x.tags.aset([b])
            await x.tags.acreate(label="c")
            await ann.books.acreate(title="n")
            assert [row.label async for row in x.tags] == ["b", "c"]
            assert [row.title async for row in b.books] == ["x"]
            assert [row.title async for row in ann.books] == ["n", "x", "y", "z"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        world.run(blocking, awaiting)
    assert look() == before


# -- at the same time ------------------------------------------------------------------------------


def test_two_transactions_that_add_the_same_do_not_hinder_each_other(world: World) -> None:
    x, *_ = books(world)
    tags = make(world, Tag, "abcdef")

    def blocking() -> None:
        errors: list[BaseException] = []

        def work(rows: list[Any]) -> None:
            try:
                with atomic():
                    Book.objects.get(id=x.id).tags.add(*rows)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(rows,)) for rows in (tags, tags[::-1], tags[2:])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors

    async def awaiting() -> None:
        async def work(rows: list[Any]) -> None:
            async with atomic():
                await (await Book.objects.aget(id=x.id)).tags.aadd(*rows)

        await asyncio.gather(work(tags), work(tags[::-1]), work(tags[2:]))

    world.run(blocking, awaiting)
    assert isinstance(world, AwaitingWorld) == world.is_async
    assert world.call(x.tags, "count") == 6


# -- many rows at once -----------------------------------------------------------------------------


def test_links_of_many_rows_come_in_one_statement(world: World) -> None:
    rows = books(world)
    tags = make(world, Tag, "ab")
    for row in rows:
        world.call(row.tags, "add", *tags)
    with capture_queries() as sent:
        found = world.iterate(Book.objects.prefetch_related("tags__books"))
        assert [labels(world, row.tags) for row in found] == [["a", "b"]] * 3
        assert labels(world, world.iterate(found[0].tags)[0].books) == ["x", "y", "z"]
    assert len(sent) == 3
    # A tag is one object, however many books have it.
    assert world.iterate(found[0].tags)[0] is world.iterate(found[1].tags)[0]


def test_a_loop_over_links_asks_once(world: World) -> None:
    rows = books(world)
    for row in rows:
        world.call(row.tags, "create", label=row.title)
    found = world.iterate(Book.objects.all())
    with capture_queries() as sent:
        assert [labels(world, row.tags) for row in found] == [["x"], ["y"], ["z"]]
    assert len(sent) == 1


def test_rows_of_another_database_are_not_linked(world: World) -> None:
    book, *_ = books(world)
    (tag,) = make(world, Tag, "a")
    set_origin(tag, Origin("other", []))
    with pytest.raises(QueryError, match="is in the database 'other', this Book in 'default'"):
        world.call(book.tags, "add", tag)


def test_a_filtered_relation_goes_over_a_table_in_between(world: World) -> None:
    x, y, z = books(world)
    sf, old = make(world, Tag, ["sf", "old"])
    world.call(x.tags, "add", sf, old)
    world.call(y.tags, "add", old)
    world.call(x.sequels, "add", y, z)
    query = Book.objects.annotate(t=FilteredRelation("tags", Q(tags__label="old")), n=Count("t"), all=Count("tags"))
    assert world.iterate(query.order_by("title").values_list("title", "n", "all")) == [
        ("x", 1, 2),
        ("y", 1, 1),
        ("z", 0, 0),
    ]
    assert labels(world, query.filter(t__label__startswith="o").order_by("title")) == ["x", "y"]
    assert labels(world, query.filter(t=None)) == ["z"]
    assert labels(world, query.exclude(t__label="old")) == ["z"]
    back = Tag.objects.annotate(b=FilteredRelation("books", Q(books__title="x"))).order_by("label")
    assert world.iterate(back.values_list("label", "b__title")) == [("old", "x"), ("sf", "x")]
    later = Book.objects.annotate(s=FilteredRelation("sequels", ~Q(sequels__title="z"))).order_by("title")
    assert world.iterate(later.values_list("title", "s__title")) == [("x", "y"), ("y", None), ("z", None)]
    one, two = (world.call(Order.objects, "create", region=r, number=n) for r, n in (("eu", 1), ("us", 1)))
    world.call(one.linked, "add", two)
    linked = Order.objects.annotate(o=FilteredRelation("linked", Q(linked__region="us")))
    assert world.iterate(linked.values_list("region", "o__region")) == [("eu", "us"), ("us", None)]
