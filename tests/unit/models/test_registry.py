"""Models become tables, and find each other by name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from datalayer._schema.field import Kind
from datalayer._schema.relation import RelationKind
from datalayer.errors import ModelError
from datalayer.models import registry
from datalayer.models.constraints import Index, UniqueConstraint
from datalayer.models.fields import Field, Mapped
from datalayer.models.model import Model, ModelBase
from datalayer.models.relations import CASCADE, SET_NULL, ForeignKey, ManyToMany, Reverse


@pytest.fixture(autouse=True)
def isolated() -> Iterator[None]:
    with registry.isolated():
        yield


def test_a_model_becomes_a_table_and_both_ends_of_a_relation_know_each_other() -> None:
    class Book(Model):
        title: Mapped[str] = Field(max_length=300, index=True)
        price: Mapped[Decimal] = Field(max_digits=8, decimal_places=2, ge=0)
        published_on: Mapped[date | None] = Field(default=None)
        author: ForeignKey[Author] = ForeignKey(on_delete=CASCADE, related_name="books")
        editor: ForeignKey[Author | None] = ForeignKey(on_delete=SET_NULL, default=None, related_name="edited")

        class Meta:
            constraints = (UniqueConstraint("author", "title"),)
            indexes = (Index("published_on", "-title"),)

    class Author(Model):
        name: Mapped[str] = Field(max_length=200)
        books: ClassVar[Reverse[Book]]

        class Meta:
            ordering = ("name",)

    book, author = registry.tables()
    assert list(book.fields) == ["id", "title", "price", "published_on", "author_id", "editor_id"]
    assert book.fields["author_id"].type.kind is Kind.BIG_INTEGER
    assert book.primary_key == ("id",)
    assert book.fields["editor_id"].nullable
    assert [unique.name for unique in book.unique] == ["uq_book_author_id_title"]
    assert [check.sql for check in book.checks] == ['"price" >= 0']
    assert {index.name for index in book.indexes} == {
        "ix_book_title",
        "ix_book_author_id",
        "ix_book_editor_id",
        "ix_book_published_on_title_desc",
    }
    assert [(key.target, key.on_delete) for key in book.foreign_keys] == [("author", "CASCADE"), ("author", "SET NULL")]
    assert author.relations["books"].kind is RelationKind.REVERSE_FOREIGN_KEY
    assert author.relations["books"].target is book
    assert author.ordering == ("name",)


def test_a_relation_to_nothing_names_the_nearest_model() -> None:
    class Author(Model):
        pass

    class Book(Model):
        author: ForeignKey[Autor] = ForeignKey()  # type: ignore[name-defined] # noqa: F821

    with pytest.raises(ModelError, match="did you mean 'Author'"):
        registry.tables()
    assert Author.table.name == "author"


def test_two_relations_with_one_way_back_are_refused() -> None:
    class Author(Model):
        pass

    class Book(Model):
        author: ForeignKey[Author] = ForeignKey()
        editor: ForeignKey[Author] = ForeignKey()

    with pytest.raises(ModelError, match="related_name"):
        registry.tables()


def test_two_models_with_one_table_are_refused() -> None:
    class Author(Model):
        pass

    class Writer(Model):
        class Meta:
            table = "author"

    with pytest.raises(ModelError, match="both have the table 'author'"):
        registry.tables()


# -- many to many ----------------------------------------------------------------------------------


def test_a_many_to_many_makes_a_table_of_two_keys() -> None:
    class Tag(Model):
        pass

    class Book(Model):
        tags: ManyToMany[Tag] = ManyToMany(related_name="books")

    tag, book, between = registry.tables()
    assert (between.name, between.primary_key, between.is_automatic) == ("book_tags", ("book_id", "tag_id"), True)
    assert [(key.target, key.on_delete) for key in between.foreign_keys] == [("book", "CASCADE"), ("tag", "CASCADE")]
    assert [index.fields for index in between.indexes] == [("tag_id",)]
    assert book.relations["tags"].through is between
    assert (tag.relations["books"].kind, tag.relations["books"].target) == (RelationKind.MANY_TO_MANY, book)


def test_a_many_to_many_names_its_target_before_it_is_declared() -> None:
    class Book(Model):
        tags: ManyToMany[Tag] = ManyToMany(db_table="labelled")

    class Tag(Model):
        pass

    assert {table.name for table in registry.tables()} == {"book", "tag", "labelled"}
    assert Tag.table.relations["book_set"].target is Book.table


def test_a_symmetrical_relation_is_its_own_way_back() -> None:
    class Person(Model):
        friends: ManyToMany[Person] = ManyToMany()
        follows: ManyToMany[Person] = ManyToMany(symmetrical=False, related_name="followers")

    registry.tables()
    assert {name: spec.reverse for name, spec in Person.table.relations.items()} == {
        "friends": "friends",
        "follows": "followers",
        "followers": "follows",
    }
    assert Person.table.relations["followers"].through_local == ("to_person_id",)


def test_a_model_in_between_is_found_by_name_and_its_keys_by_target() -> None:
    class Band(Model):
        members: ManyToMany[Person] = ManyToMany(through="Membership", related_name="bands")

    class Person(Model):
        pass

    class Membership(Model):
        person: ForeignKey[Person] = ForeignKey()
        band: ForeignKey[Band] = ForeignKey()
        role: Mapped[str] = Field(default="")

    registry.tables()
    spec = Band.table.relations["members"]
    assert (spec.through, spec.through_local, spec.through_remote) == (Membership.table, ("band_id",), ("person_id",))


def test_a_model_in_between_with_several_ways_must_be_told_which() -> None:
    class Person(Model):
        pass

    class Band(Model):
        members: ManyToMany[Person] = ManyToMany(through="Membership")

    class Membership(Model):
        band: ForeignKey[Band] = ForeignKey()
        person: ForeignKey[Person] = ForeignKey(related_name="+")
        inviter: ForeignKey[Person] = ForeignKey(related_name="+")

    with pytest.raises(ModelError, match=r"whose relations to Person are person, inviter; say which .*through_fields"):
        registry.tables()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("band", "persn"), "has no relation 'persn'.*did you mean 'person'"),
        (("person", "band"), "Membership.person leads to Person, not to Band"),
    ],
)
def test_wrong_through_fields_are_refused(fields: tuple[str, str], message: str) -> None:
    class Person(Model):
        pass

    class Band(Model):
        members: ManyToMany[Person] = ManyToMany(through="Membership", through_fields=fields)

    class Membership(Model):
        band: ForeignKey[Band] = ForeignKey()
        person: ForeignKey[Person] = ForeignKey()

    with pytest.raises(ModelError, match=message):
        registry.tables()


def test_a_model_in_between_without_a_key_to_one_side_is_refused() -> None:
    class Person(Model):
        pass

    class Membership(Model):
        person: ForeignKey[Person] = ForeignKey()

    class Band(Model):
        members: ManyToMany[Person] = ManyToMany(through=Membership)

    with pytest.raises(ModelError, match=r"Band.members goes through Membership, which has no ForeignKey to Band"):
        registry.tables()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"through": "X", "db_table": "x"}, "db_table= names the table that is made"),
        ({"through_fields": ("a", "b")}, "which is not given"),
        ({"through": "X", "through_fields": "ab"}, "name the two relations"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ManyToMany(**options)


def test_symmetry_between_two_models_is_refused() -> None:
    class Tag(Model):
        pass

    class Book(Model):
        tags: ManyToMany[Tag] = ManyToMany(symmetrical=True)

    with pytest.raises(ModelError, match="only a relation of a model to itself can be"):
        registry.tables()


def test_two_many_to_many_with_one_way_back_are_refused() -> None:
    class Tag(Model):
        pass

    class Book(Model):
        tags: ManyToMany[Tag] = ManyToMany()
        topics: ManyToMany[Tag] = ManyToMany()

    with pytest.raises(ModelError, match=r"Book.topics is called 'book_set' on Tag, and so is Book.tags"):
        registry.tables()


def test_a_many_to_many_of_an_abstract_model_makes_a_table_for_each_subclass() -> None:
    class Tag(Model):
        pass

    class Tagged(Model):
        tags: ManyToMany[Tag] = ManyToMany(related_name="%(class)s_items")

        class Meta:
            abstract = True

    class Book(Tagged):
        pass

    class Film(Tagged):
        pass

    assert {"book_tags", "film_tags"} <= {table.name for table in registry.tables()}
    assert {"book_items", "film_items"} == set(Tag.table.relations)
    assert Book.table.relations["tags"].target is Film.table.relations["tags"].target


def test_a_many_to_many_between_keys_of_several_columns_holds_all_of_them() -> None:
    class Order(ModelBase):
        region: Mapped[str] = Field(max_length=5)
        number: Mapped[int]
        linked: ManyToMany[Order] = ManyToMany(symmetrical=False, related_name="linked_from")

        class Meta:
            primary_key = ("region", "number")

    _, between = registry.tables()
    assert between.primary_key == ("from_order_region", "from_order_number", "to_order_region", "to_order_number")
    assert between.fields["to_order_region"].type.length == 5
    assert Order.table.relations["linked"].remote == ("region", "number")


def test_names_that_models_have_already_are_no_hindrance_in_between() -> None:
    class Table(Model):
        copies: ManyToMany[Copy] = ManyToMany()

    class Copy(Model):
        pass

    assert registry.tables()[-1].primary_key == ("table_row_id", "copy_row_id")
    assert Table.table.relations["copies"].target is Copy.table


def test_rows_of_a_many_to_many_are_neither_given_nor_assigned() -> None:
    class Tag(Model):
        pass

    class Book(Model):
        tags: ManyToMany[Tag] = ManyToMany()

    with pytest.raises(ValidationError, match=r"save this Book, then call tags.add"):
        Book(tags=[])  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match=r"Book.tags is many rows and cannot be assigned; call tags.set"):
        Book().tags = []  # type: ignore[assignment]
    with pytest.raises(AttributeError, match=r"Tag.book_set is many rows"):
        Tag().book_set = []  # type: ignore[attr-defined]
