"""Models that cannot be built as they are declared: each mistake is told with its place, the choices and the fix."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from pydantic import EmailStr

from datalayer import (
    CASCADE,
    SET_DEFAULT,
    SET_NULL,
    BigInt,
    CheckConstraint,
    ExclusionConstraint,
    F,
    Field,
    ForeignKey,
    Index,
    Manager,
    ManyToMany,
    Mapped,
    Model,
    ModelBase,
    OneToOne,
    PrimaryKey,
    Q,
    Reverse,
    UniqueConstraint,
)
from datalayer.errors import ModelError
from datalayer.models import registry
from datalayer.models.queryset import QuerySet


@pytest.fixture(autouse=True)
def isolated() -> Iterator[None]:
    with registry.isolated():
        yield


def declare(name: str, annotation: Any, value: Any = None, **more: Any) -> Any:
    """A model of one field."""
    body = {"__module__": __name__, "__annotations__": {name: annotation}, **more}
    if value is not None:
        body[name] = value
    return type(Model)("Thing", (Model,), body)


# -- names -----------------------------------------------------------------------------------------

RESERVED = [
    "copy", "json", "dict", "schema", "validate", "construct", "objects", "save", "asave", "delete", "refresh", "load",
    "table", "DoesNotExist", "RelatedObjectDoesNotExist", "model_fields", "model_anything",
]  # fmt: skip


@pytest.mark.parametrize("name", RESERVED)
def test_a_name_of_model_or_pydantic_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=rf"Thing\.{name} hides Model\.{name}; .* Field\(column='{name}'\)"):
        declare(name, int)
    with pytest.raises(ModelError, match="hides"):
        declare(name, ForeignKey["self"], ForeignKey())


@pytest.mark.parametrize("name", ["a__b", "name_"])
def test_a_name_that_looks_like_a_path_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="cannot be told from a path like author__name"):
        declare(name, int)


def test_pk_is_no_name_of_a_field() -> None:
    with pytest.raises(ModelError, match="is the alias of the primary key"):
        declare("pk", int)


def test_a_reserved_name_is_kept_in_the_database() -> None:
    thing = declare("copy_value", int, Field(column="copy"))
    assert thing.table.fields["copy_value"].column == "copy"


def test_two_fields_of_one_column_are_refused() -> None:
    class Thing(Model):
        a: Mapped[int] = Field(column="same")
        b: Mapped[int] = Field(column="Same")

    with pytest.raises(ModelError, match=r"Thing.b and Thing.a share the column 'Same'; rename one with column="):
        registry.tables()


# -- relations -------------------------------------------------------------------------------------


def test_an_unknown_model_names_the_nearest() -> None:
    class Author(Model):
        pass

    class Book(Model):
        author: ForeignKey[Autor] = ForeignKey()  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(ModelError, match=r"Book.author refers to 'Autor'.*models are Author, Book; did you mean 'Auth"):
        registry.tables()


def test_a_relation_to_what_is_no_model_is_refused() -> None:
    declare("other", ForeignKey[int], ForeignKey())
    with pytest.raises(ModelError, match=r"Thing.other refers to <class 'int'>, which is not a model"):
        registry.tables()


def test_a_relation_to_one_of_two_models_is_refused() -> None:
    class One(Model):
        pass

    class Two(Model):
        pass

    declare("other", ForeignKey[One | Two], ForeignKey())
    with pytest.raises(ModelError, match=r"Thing.other refers to .*One \| .*Two, which is not a model"):
        registry.tables()


def test_a_relation_to_an_abstract_model_is_refused() -> None:
    class Base(Model):
        class Meta:
            abstract = True

    declare("other", ForeignKey[Base], ForeignKey())
    with pytest.raises(ModelError, match=r"Thing.other refers to Base, which is abstract and has no rows"):
        registry.tables()


def test_an_unknown_on_delete_names_the_choices() -> None:
    with pytest.raises(ModelError, match="on_delete is 'cascade'; the choices are CASCADE, DO_NOTHING"):
        ForeignKey(on_delete="cascade")
    with pytest.raises(ModelError, match="did you mean 'CASCADE'"):
        ForeignKey(on_delete="CASCAD")


def test_set_null_needs_a_relation_that_may_be_none() -> None:
    with pytest.raises(ModelError, match=r"Thing.up has on_delete=SET_NULL but is never null; write ForeignKey\[self"):
        declare("up", ForeignKey["self"], ForeignKey(on_delete=SET_NULL))


def test_set_null_needs_columns_that_may_be_null() -> None:
    class Thing(Model):
        up_id: Mapped[int]
        up: ForeignKey[Thing | None] = ForeignKey(fields=("up_id",), on_delete=SET_NULL, related_name="+")

    with pytest.raises(ModelError, match=r"on_delete=SET_NULL but Thing.up_id is never null"):
        registry.tables()


def test_set_default_needs_a_default_of_the_database() -> None:
    declare("up", ForeignKey["self"], ForeignKey(on_delete=SET_DEFAULT))
    with pytest.raises(ModelError, match=r"on_delete=SET_DEFAULT but no default in the database; .* db_default="):
        registry.tables()


def test_the_default_of_a_relation_is_none_or_a_key_in_the_database() -> None:
    with pytest.raises(ModelError, match="can only be None; for another row give its key as db_default="):
        ForeignKey(default=3)
    with pytest.raises(ModelError, match=r"default=None but is never null; write ForeignKey\[self \| None\]"):
        declare("up", ForeignKey["self"], ForeignKey(default=None))


@pytest.mark.parametrize("names", [(None, None), ("same", "same")], ids=["made", "given"])
def test_two_relations_with_one_way_back_are_refused(names: tuple[str | None, str | None]) -> None:
    class Author(Model):
        pass

    class Book(Model):
        author: ForeignKey[Author] = ForeignKey(related_name=names[0])
        editor: ForeignKey[Author] = ForeignKey(related_name=names[1])

    with pytest.raises(ModelError, match=r"Book.editor is called '\w+' on Author, and so is Book.author"):
        registry.tables()


@pytest.mark.parametrize("name", ["title", "save", "objects"])
def test_a_way_back_that_hides_something_is_refused(name: str) -> None:
    class Author(Model):
        title: Mapped[str]

    class Book(Model):
        author: ForeignKey[Author] = ForeignKey(related_name=name)

    with pytest.raises(ModelError, match=rf"is called '{name}' on Author, which has that name already"):
        registry.tables()


def test_a_way_back_that_is_declared_but_does_not_exist_is_refused() -> None:
    class Author(Model):
        boks: ClassVar[Reverse[Book]]

    class Book(Model):
        author: ForeignKey[Author] = ForeignKey(related_name="books")

    with pytest.raises(ModelError, match=r"Author.boks is no way back of any relation.*did you mean 'books'"):
        registry.tables()


def test_a_relation_without_value_is_refused() -> None:
    with pytest.raises(ModelError, match=r"Thing.up has the annotation ForeignKey\[...\] but no value"):
        declare("up", ForeignKey["self"])


def test_a_relation_without_annotation_is_refused() -> None:
    with pytest.raises(ModelError, match=r"needs the annotation `up: ForeignKey\[Target\] = ForeignKey\(...\)`"):
        type(Model)("Thing", (Model,), {"__module__": __name__, "up": ForeignKey()})
    with pytest.raises(ModelError, match=r"needs the annotation `up: OneToOne\[Target\]"):
        declare("up", ForeignKey["self"], OneToOne())


def test_a_relation_to_a_field_that_is_not_unique_is_refused() -> None:
    class Author(Model):
        name: Mapped[str]
        email: Mapped[str] = Field(unique=True)

    class Book(Model):
        author: ForeignKey[Author] = ForeignKey(to_field="name")

    with pytest.raises(ModelError, match=r"Book.author has to_field='name', which is not unique in Author"):
        registry.tables()


def test_an_unknown_to_field_names_the_nearest() -> None:
    class Author(Model):
        email: Mapped[str] = Field(unique=True)

    class Book(Model):
        author: ForeignKey[Author] = ForeignKey(to_field="emial")

    with pytest.raises(ModelError, match=r"to_field='emial'; Author has .*did you mean 'email'"):
        registry.tables()


def test_a_key_of_several_columns_needs_as_many_fields() -> None:
    class Order(ModelBase):
        region: Mapped[str]
        number: Mapped[int]

        class Meta:
            primary_key = ("region", "number")

    class Line(Model):
        order: ForeignKey[Order] = ForeignKey()

    with pytest.raises(ModelError, match=r"declare 2 fields for it and name them: fields=\('region', 'number'\)"):
        registry.tables()


def test_unknown_fields_behind_a_relation_are_refused() -> None:
    with pytest.raises(ModelError, match=r"Thing.up has fields=\('nope',\), but Thing has no nope"):
        declare("up", ForeignKey["self"], ForeignKey(fields=("nope",)))


# -- Meta ------------------------------------------------------------------------------------------


def test_an_unknown_option_of_meta_names_the_nearest() -> None:
    with pytest.raises(ModelError, match=r"Thing.Meta has the unknown option 'orderin'.*did you mean 'ordering'"):

        class Thing(Model):
            class Meta:
                orderin = ("id",)


@pytest.mark.parametrize("option", ["ordering", "constraints", "indexes", "primary_key"])
def test_a_tuple_without_comma_is_refused(option: str) -> None:
    with pytest.raises(ModelError, match=rf"Thing.Meta.{option} is 'id'; it must be a tuple, such as \('id',\)"):
        declare("a", int, Meta=type("Meta", (), {option: "id"}))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("constraints", (UniqueConstraint("nam"),)),
        ("indexes", (Index("-nam"),)),
        ("primary_key", ("nam",)),
    ],
)
def test_meta_that_names_an_unknown_field_names_the_nearest(option: str, value: Any) -> None:
    declare("name", str, Meta=type("Meta", (), {option: value}))
    with pytest.raises(ModelError, match=rf"Thing.Meta.{option} names 'nam'.*did you mean 'name'"):
        registry.tables()


def test_an_ordering_by_an_unknown_field_names_the_nearest() -> None:
    declare("name", str, Meta=type("Meta", (), {"ordering": ("-nam",)}))
    with pytest.raises(ModelError, match=r"Thing.Meta.ordering names 'nam'.*did you mean 'name'"):
        registry.tables()


@pytest.mark.parametrize("option", ["constraints", "indexes"])
def test_meta_that_holds_something_else_is_refused(option: str) -> None:
    declare("name", str, Meta=type("Meta", (), {option: ("name",)}))
    with pytest.raises(ModelError, match=rf"Thing.Meta.{option} holds 'name'; use "):
        registry.tables()


def test_two_constraints_of_one_name_are_refused() -> None:
    class Thing(Model):
        a: Mapped[int]
        b: Mapped[int]

        class Meta:
            constraints = (UniqueConstraint("a", name="same"), CheckConstraint("a > b", name="x"))
            indexes = (Index("b", name="same"),)

    with pytest.raises(ModelError, match=r"Thing has two constraints or indexes called 'same'; give one another name="):
        registry.tables()


def test_two_keys_over_the_same_fields_need_two_names() -> None:
    class Thing(Model):
        other_id: Mapped[BigInt]
        one: ForeignKey[Thing] = ForeignKey(fields=("other_id",), related_name="ones")
        two: ForeignKey[Thing] = ForeignKey(fields=("other_id",), related_name="twos")

    with pytest.raises(ModelError, match=r"Thing has two constraints .* called 'fk_thing_other_id'; give one another"):
        registry.tables()


def test_two_models_with_one_table_are_refused() -> None:
    class Author(Model):
        pass

    class Writer(Model):
        class Meta:
            table = "author"

    with pytest.raises(ModelError, match=r"Author and .*Writer both have the table 'author'; give one"):
        registry.tables()


def test_a_model_without_primary_key_is_refused() -> None:
    class Thing(ModelBase):
        a: Mapped[int]

    with pytest.raises(ModelError, match="Thing has no primary key; inherit from Model or UUIDModel"):
        registry.tables()


# -- types and values ------------------------------------------------------------------------------


class Weird:
    pass


class Mixed(enum.Enum):
    A = 1
    B = "b"


class Rights(enum.IntFlag):
    READ = 1
    WRITE = 2


@pytest.mark.parametrize("annotation", [complex, Callable[[int], int], type], ids=repr)
def test_a_type_no_column_can_hold_names_those_that_can(annotation: Any) -> None:
    declare("a", annotation, Field(default=None))
    with pytest.raises(ModelError, match=r"Thing.a is annotated .*, which no column can hold; use int, float, bool"):
        registry.tables()


def test_an_enum_of_mixed_values_is_refused() -> None:
    declare("a", Mixed)
    with pytest.raises(ModelError, match=r"Thing.a has choices that are neither all text nor all integers"):
        registry.tables()


def test_a_flag_is_refused() -> None:
    declare("a", Rights)
    with pytest.raises(ModelError, match=r"Thing.a is annotated Rights, whose members combine to other values"):
        registry.tables()


def test_decimal_places_alone_are_refused() -> None:
    declare("a", Decimal, Field(decimal_places=2))
    with pytest.raises(ModelError, match=r"Thing.a has decimal_places but no max_digits"):
        registry.tables()


@pytest.mark.parametrize(
    ("annotation", "options", "message"),
    [
        (
            int,
            {"default": "x"},
            r"Thing.a has default='x', which the field itself refuses: input should be",
        ),
        (int, {"default": "5"}, r"Thing.a has default='5', which is str; give int: 5"),
        (Decimal, {"default": 0}, r"Thing.a has default=0, which is int; give Decimal: Decimal\('0'\)"),
        (int, {"default": None}, r"Thing.a has default=None but is never None; annotate it with \| None"),
        (int, {"default": 0, "ge": 1}, r"Thing.a has default=0, which the field itself refuses: .* greater than or"),
        (str, {"default": "abc", "max_length": 2}, r"Thing.a has default='abc', which the field itself refuses"),
        (datetime, {"default": datetime(2020, 1, 1)}, "Thing.a has default=.* needs a time zone"),
        (int, {"db_default": "x"}, r"Thing.a has db_default='x', which the field itself refuses"),
        (list[int], {"default": {}}, r"Thing.a has default={}, which the field itself refuses"),
    ],
    ids=str,
)
def test_a_default_that_the_field_would_refuse_is_refused(annotation: Any, options: Any, message: str) -> None:
    declare("a", annotation, Field(**options))
    with pytest.raises(ModelError, match=message):
        registry.tables()


def test_a_default_that_the_field_takes_is_taken() -> None:
    class Thing(Model):
        a: Mapped[float] = Field(default=0)
        b: Mapped[Decimal] = Field(default=Decimal(0), ge=0)
        c: Mapped[int | None] = Field(default=None)
        d: Mapped[list[int]] = Field(default=[])

    registry.tables()
    assert Thing().model_dump() == {"a": 0, "b": 0, "c": None, "d": []}


def test_two_sources_of_a_value_are_refused() -> None:
    with pytest.raises(ModelError, match="given default and db_default; a column has one source of values"):
        Field(default=1, db_default=2)


@pytest.mark.parametrize("option", ["auto_now", "auto_now_add"])
def test_moments_need_a_column_of_moments(option: str) -> None:
    declare("a", int, Field(**{option: True}))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"Thing.a has auto_now or auto_now_add, which need a datetime or a date"):
        registry.tables()


def test_a_primary_key_that_may_be_none_is_refused() -> None:
    class Thing(ModelBase):
        code: Mapped[str | None] = PrimaryKey()

    with pytest.raises(ModelError, match=r"Thing.code is a primary key and can never be None"):
        registry.tables()


def test_the_database_numbers_integers_only() -> None:
    class Thing(ModelBase):
        code: Mapped[str] = PrimaryKey(init=False)

    with pytest.raises(ModelError, match=r"Thing.code is PrimaryKey\(init=False\), which the database numbers"):
        registry.tables()


def test_an_unknown_option_of_a_field_is_refused() -> None:
    with pytest.raises(TypeError, match="max_lenght"):
        Field(max_lenght=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="on_delet"):
        ForeignKey(on_delet=CASCADE)  # type: ignore[call-arg]


def test_an_annotation_with_an_unknown_name_is_told() -> None:
    class Thing(Model):
        a: Mapped[Nope]  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(ModelError, match=r"Thing has an annotation that cannot be read: name 'Nope' is not defined"):
        registry.tables()


def test_one_broken_model_leaves_the_others_alone() -> None:
    class Broken(Model):
        a: Mapped[Weird]

    class Whole(Model):
        pass

    with pytest.raises(ModelError):
        _ = Broken.table
    assert Whole.table.name == "whole"


# -- words of Django -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UniqueConstraint(fields=["a", "b"], name="x"), r"has no option \'fields\'; name them one by one"),
        (lambda: UniqueConstraint(["a", "b"]), r"was given .*; name its fields one by one: .*\('a', 'b'\)"),
        (lambda: UniqueConstraint(F("a"), name="x"), r"takes names of fields, and expressions as SQL with a name"),
        (lambda: Index(F("a").desc(), name="x"), r"takes names of fields, and expressions as SQL with a name"),
        (lambda: Index(fields=["a"]), "Index has no option 'fields'; name them one by one"),
        (lambda: CheckConstraint(check=Q(a=1), name="x"), "CheckConstraint has no option 'check'; call it condition="),
        (lambda: ExclusionConstraint(expressions=[("a", "=")]), "give fields with their operators one by one"),
        (lambda: Field(null=True), r"Field\(\) has no option 'null'; annotate it Mapped\[... \| None\]"),
        (lambda: Field(db_column="x"), "call it column="),
        (lambda: Field(db_collation="C"), "call it collation="),
        (lambda: ForeignKey(db_collation="C"), "the key has that of the field it refers to"),
        (lambda: Field(5), r"Field\(\) takes keywords only, such as default="),
        (lambda: Field(max_lenght=5), "the choices are .*did you mean 'max_length'"),
        (lambda: PrimaryKey(max_lenght=5), "did you mean 'max_length'"),
        (lambda: ForeignKey("Author", CASCADE), r"the target stands in the annotation: author: ForeignKey\[Author\]"),
        (lambda: OneToOne(to="Author"), r"the target stands in the annotation: author: OneToOne\[Author\]"),
        (lambda: ForeignKey(null=True), r"annotate it ForeignKey\[... \| None\]"),
        (lambda: ManyToMany(blank=True), "nothing here makes forms, so leave it away"),
    ],
)
def test_a_word_of_django_is_told_with_what_says_it_here(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("db_table", "has the unknown option 'db_table'; call it table"),
        ("db_table_comment", "call it comment"),
        ("app_label", "there are no apps"),
        ("unique_together", r"use constraints = \(UniqueConstraint"),
        ("verbose_name", "nothing here makes forms"),
    ],
)
def test_a_meta_option_of_django_is_told_with_what_says_it_here(option: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        declare("a", int, Meta=type("Meta", (), {option: "x"}))


@pytest.mark.parametrize("option", ["ordering", "get_latest_by"])
def test_an_order_of_meta_that_is_none_is_told(option: str) -> None:
    declare("a", int, Meta=type("Meta", (), {option: (3,)}))
    with pytest.raises(ModelError, match=rf"Thing.Meta.{option} holds 3; it takes names of fields"):
        registry.tables()


def test_the_field_of_get_latest_by_must_exist() -> None:
    declare("name", str, Meta=type("Meta", (), {"get_latest_by": "nam"}))
    with pytest.raises(ModelError, match=r"Thing.Meta.get_latest_by names 'nam'.*did you mean 'name'"):
        registry.tables()


def test_a_field_that_a_relation_makes_is_not_declared_again() -> None:
    with pytest.raises(ModelError, match=r"Book.author_id is the key of Book.author, which makes it; .*fields="):

        class Book(Model):
            author_id: Mapped[int] = Field(default=3)
            author: ForeignKey[Book] = ForeignKey()


def test_the_field_of_a_relation_is_of_the_type_of_the_key_it_refers_to() -> None:
    class Author(Model):
        name: Mapped[str] = Field()

    class Book(Model):
        author_id: Mapped[str] = Field()
        author: ForeignKey[Author] = ForeignKey(fields=("author_id",))

    with pytest.raises(ModelError, match=r"Book.author uses the field 'author_id', which is text, .* big integer;"):
        registry.tables()


def test_a_field_from_above_is_not_the_key_of_a_relation() -> None:
    class Kept(Model):
        author_id: Mapped[str] = Field()

        class Meta:
            abstract = True

    with pytest.raises(ModelError, match=r"Book.author_id is the key of Book.author, which makes it"):

        class Book(Kept):
            author: ForeignKey[Book] = ForeignKey()


def test_a_check_without_a_name_tells_to_give_one() -> None:
    with pytest.raises(ModelError, match=r"CheckConstraint needs name; say what the database calls it"):
        CheckConstraint("price > 0")  # type: ignore[call-arg]  # what is refused


@pytest.mark.parametrize("turn", [lambda: Rows.as_manager(), lambda: Manager.from_queryset(Rows)])
def test_who_makes_managers_of_querysets_is_told_that_they_are_one(turn: Any) -> None:
    with pytest.raises(ModelError, match=r'a manager is a queryset here, .* class BookManager\(Manager\["Book"\]\)'):
        turn()


def test_an_email_that_nothing_can_check_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "email_validator", None)
    declare("email", EmailStr)
    told = r"Thing.email is an EmailStr, .* that is not installed: pip install 'pydantic\[email\]'"
    with pytest.raises(ModelError, match=told):
        registry.tables()


def test_a_key_beside_that_of_the_parent_is_refused() -> None:
    declare("code", str, PrimaryKey(max_length=5))
    told = (
        r"Thing has several primary keys: id, code; .* inherit from ModelBase, or .*Meta.primary_key = \('id', 'code'\)"
    )
    with pytest.raises(ModelError, match=told):
        registry.tables()


def test_a_queryset_is_no_manager() -> None:
    with pytest.raises(ModelError, match=r'Thing.objects is a Rows, .*: class Rows\(Manager\["Thing"\]\)'):
        declare("name", str, objects=Rows())


class Rows(QuerySet[Any]):
    """What a Django user makes a manager of."""
