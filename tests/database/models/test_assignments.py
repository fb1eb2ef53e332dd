"""What an assignment changes, what it must not, and what becomes of it at the next save."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from datalayer import F, Field, ForeignKey, Mapped, Model, ModelBase, PrimaryKey, before_save
from datalayer.models import registry
from datalayer.testing import capture_queries, create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import World

with registry.isolated():

    class Author(Model):
        name: Mapped[str] = Field(max_length=20)

        class Meta:
            table = "assign_author"

    class Book(Model):
        title: Mapped[str] = Field(max_length=20)
        stock: Mapped[int] = Field(default=0)
        author: ForeignKey[Author | None] = ForeignKey(default=None, related_name="+")

        class Meta:
            table = "assign_book"

    class Document(Model):
        data: Mapped[Any] = Field(default=None)
        parts: Mapped[dict[str, Any]] = Field(default_factory=dict)

        class Meta:
            table = "assign_document"

    class Frozen(Model):
        model_config = ConfigDict(frozen=True)
        number: Mapped[int]
        author: ForeignKey[Author | None] = ForeignKey(default=None, related_name="+")

        class Meta:
            table = "assign_frozen"

    class HalfFrozen(Model):
        number: Mapped[int] = Field(frozen=True)

        class Meta:
            table = "assign_half"

    class Open(Model):
        model_config = ConfigDict(extra="allow")
        number: Mapped[int]

        class Meta:
            table = "assign_open"

    class Hooked(Model):
        title: Mapped[str] = Field(max_length=20)

        @before_save
        def looks(self) -> None:
            """Nothing to do."""

        class Meta:
            table = "assign_hooked"

    class Camel(Model):
        model_config = ConfigDict(alias_generator=to_camel)
        first_name: Mapped[str] = Field(max_length=20)
        the_author: ForeignKey[Author | None] = ForeignKey(default=None, related_name="+")

        class Meta:
            table = "assign_camel"

    class Tag(ModelBase):
        name: Mapped[str] = PrimaryKey(max_length=20)

        class Meta:
            table = "assign_tag"

    registry.tables()

MODELS = (Author, Book, Document, Frozen, HalfFrozen, Open, Hooked, Camel, Tag)


@pytest.fixture(autouse=True)
def tables(configured: str, world: World) -> None:
    world.run(lambda: create_tables(*MODELS), lambda: acreate_tables(*MODELS))


@pytest.mark.parametrize(("old", "new"), [(True, 1), (1, True), (0, False), (1, 1.0), ([1], [True])])
def test_numbers_and_booleans_of_json_are_different_values(world: World, old: Any, new: Any) -> None:
    world.call(Document.objects, "create", data=old)
    document = world.call(Document.objects, "get")
    document.data = new
    world.call(document, "save")
    assert repr(world.call(Document.objects, "get").data) == repr(new)


@pytest.mark.parametrize("is_read", [False, True])
def test_numbers_and_booleans_inside_of_json_are_different_values(world: World, is_read: bool) -> None:
    document = world.call(Document.objects, "create", parts={"a": [{"b": 1}], "c": "x"})
    document = world.call(Document.objects, "get") if is_read else document
    document.parts["a"][0]["b"] = True
    world.call(document, "save")
    assert repr(world.call(Document.objects, "get").parts["a"]) == "[{'b': True}]"
    with capture_queries() as sent:
        world.call(document, "save")
    assert not sent


def test_a_frozen_row_takes_neither_objects_nor_expressions(world: World) -> None:
    row = world.call(Frozen.objects, "create", number=1)
    with pytest.raises(ValidationError, match=r"author\n  Instance is frozen"):
        row.author = world.call(Author.objects, "create", name="a")
    with pytest.raises(ValidationError, match=r"number\n  Instance is frozen"):
        row.number = F("number") + 1
    assert (row.author_id, row.number) == (None, 1)


def test_a_frozen_field_takes_no_expression(world: World) -> None:
    row = world.call(HalfFrozen.objects, "create", number=1)
    with pytest.raises(ValidationError, match=r"number\n  Field is frozen"):
        setattr(row, "number", F("number") + 1)  # noqa: B010  # a type checker would not take it
    assert row.number == 1


def test_what_extra_allows_is_kept_and_not_written(world: World) -> None:
    row = world.call(Open.objects, "create", number=1, more=2)
    row.more = 3
    with capture_queries() as sent:
        world.call(row, "save")
    assert not sent
    assert row.more == 3


def test_a_copy_with_another_key_leads_to_another_object(world: World) -> None:
    one, two = (world.call(Author.objects, "create", name=name) for name in "ab")
    book = world.call(Book.objects, "create", title="t", author=one)
    copy = book.model_copy(update={"author_id": two.id})

    async def loaded() -> Any:
        await copy.aload("author")
        return copy.author

    assert world.run(lambda: copy.author, loaded) == two
    assert book.author is one


def test_names_of_fields_may_come_one_by_one(world: World) -> None:
    row = world.call(Hooked.objects, "create", title="a")
    row.title = "b"
    world.call(row, "save", update_fields=iter(["title"]))
    world.call(Hooked.objects.filter(title="b"), "update", title="c")
    world.call(row, "refresh", fields=iter(["title"]))
    assert row.title == "c"


def test_fields_go_by_their_names_beside_their_aliases(world: World) -> None:
    author = world.call(Author.objects, "create", name="a")
    row = world.call(Camel.objects, "create", firstName="x", the_author=author)
    found, is_new = world.call(Camel.objects, "get_or_create", first_name="y", defaults={"the_author": author})
    assert (row.the_author_id, found.first_name, is_new) == (author.id, "y", True)
    assert found.model_dump(by_alias=True) == {"firstName": "y", "id": found.id, "theAuthorId": author.id}


def test_a_forced_update_of_a_row_of_nothing_but_its_key_finds_the_row(world: World) -> None:
    tag = Tag(name="x")
    with pytest.raises(Tag.NotUpdated, match="Tag 'x' is gone from the database"):
        world.call(tag, "save", force_update=True)
    world.call(Tag.objects, "create", name="x")
    world.call(tag, "save", force_update=True)
    assert tag._state.adding is False


def test_what_is_assigned_while_a_save_is_under_way_is_written_by_the_next(world: World) -> None:
    book = world.call(Book.objects, "create", title="t")

    async def go() -> None:
        book.title = "first"
        saving = asyncio.ensure_future(book.asave())
        await asyncio.sleep(0)
        book.stock = 50
        await saving
        await book.asave()

    def blocking() -> None:
        book.stock = 50
        book.save()

    world.run(blocking, go)
    assert world.call(Book.objects, "get").stock == 50


def assigned_meanwhile(world: World, row: Any, **named: Any) -> None:
    """Saves a row, assigns values while that is under way, and saves again."""

    async def go() -> None:
        saving = asyncio.ensure_future(row.asave())
        await asyncio.sleep(0)
        for name, value in named.items():
            setattr(row, name, value)
        await saving
        await row.asave()

    def blocking() -> None:
        row.save()
        for name, value in named.items():
            setattr(row, name, value)
        row.save()

    world.run(blocking, go)


@pytest.mark.parametrize("is_new", [True, False])
def test_a_value_that_is_replaced_while_it_is_written_is_written_by_the_next_save(world: World, is_new: bool) -> None:
    author = world.call(Author.objects, "create", name="a")
    book = Book(title="first")
    if not is_new:
        world.call(book, "save")
        book.title, book.stock, book.author = "other", 1, None
    assigned_meanwhile(world, book, title="second", stock=50, author=author)
    found = world.call(Book.objects, "get")
    assert (found.title, found.stock, found.author_id) == ("second", 50, author.id)
    with capture_queries() as sent:
        world.call(book, "save")
    assert len(sent) == 0


@pytest.mark.parametrize("is_new", [True, False])
def test_an_expression_that_is_replaced_while_a_row_is_written_is_no_value(world: World, is_new: bool) -> None:
    book = Book(title="first", stock=1)
    if not is_new:
        world.call(book, "save")
        book.stock = F("stock") + 1  # type: ignore[assignment]  # as in Django
    assigned_meanwhile(world, book, stock=9)
    assert (world.call(Book.objects, "get").stock, book.stock) == (9, 9)


def test_a_document_that_is_replaced_while_its_row_is_inserted_is_written_by_the_next_save(world: World) -> None:
    row = Document(data={"a": 1})
    assigned_meanwhile(world, row, data={"a": 2}, parts={"b": 1})
    found = world.call(Document.objects, "get")
    assert (found.data, found.parts) == ({"a": 2}, {"b": 1})
