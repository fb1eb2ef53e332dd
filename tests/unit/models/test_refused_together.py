"""Limits that no value fits, and names that two declarations claim: refused with the models, before any database."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from datalayer import Field, ForeignKey, Index, ManyToMany, Mapped, Model, UniqueConstraint
from datalayer.errors import ModelError
from datalayer.models import registry


@pytest.fixture(autouse=True)
def isolated() -> Iterator[None]:
    with registry.isolated():
        yield


class Size(enum.StrEnum):
    SMALL = "small"
    EXTRA_LARGE = "extra large"


# -- limits ----------------------------------------------------------------------------------------


def declare(annotation: Any, **options: Any) -> None:
    metaclass: Any = type(Model)
    body = {"__module__": __name__, "__annotations__": {"field": Mapped[annotation]}, "field": Field(**options)}
    metaclass("Thing", (Model,), body)
    registry.tables()


@pytest.mark.parametrize(
    ("annotation", "options", "told"),
    [
        (str, {"max_length": 0}, "max_length=0; it is a number, 1 or more"),
        (str, {"max_length": -1}, "max_length=-1; it is a number, 1 or more"),
        (str, {"max_length": "9"}, "max_length='9'; it is a number, 1 or more"),
        (str, {"max_length": True}, "max_length=True; it is a number"),
        (str, {"min_length": -1}, "min_length=-1; it is a number, 0 or more"),
        (int, {"max_length": 9}, "max_length=9, and integer has no length; take it away"),
        (int | None, {"min_length": 9}, "min_length=9, and integer has no length"),
        (Size, {"max_length": 5}, "max_length=5, and its choice 'extra large' has 11; raise it"),
        (Decimal, {"max_digits": 3, "decimal_places": 5}, "decimal_places=5 and max_digits=3; the digits after"),
        (Decimal, {"max_digits": 0}, "max_digits=0; it is the number of all digits, 1 or more"),
        (Decimal, {"max_digits": 3, "decimal_places": -1}, "decimal_places=-1 and max_digits=3"),
        (int, {"max_digits": 3}, "max_digits=3, which only a Decimal has; take it away"),
        (float, {"decimal_places": 3}, "decimal_places=3, which only a Decimal has"),
        (int, {"ge": "a"}, "ge='a', and its values are numbers; give a number"),
        (str, {"le": 3}, "le=3, and its values are text; use min_length= and max_length="),
        (int, {"ge": 4, "le": 2}, "ge=4 and le=2, so no value is allowed"),
        (int, {"gt": 4, "le": 4}, "gt=4 and le=4, so no value is allowed"),
        (str, {"min_length": 4, "max_length": 2}, "min_length=4 and max_length=2, so no value is allowed"),
    ],
)
def test_limits_that_no_value_fits_are_refused(annotation: Any, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelError) as caught:
        declare(annotation, **options)
    assert f"Thing.field has {told}" in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "options"),
    [
        (str, {"max_length": 1, "min_length": 0}),
        (str, {"ge": "a"}),
        (bytes, {"max_length": 3}),
        (list[int], {"max_length": 3}),
        (dict[str, int], {"max_length": 3}),
        (Size, {"max_length": 11}),
        (Decimal, {"max_digits": 3, "decimal_places": 3, "ge": 1}),
        (int, {"ge": 4, "le": 4}),
        (float, {"ge": Decimal("1.5")}),
    ],
)
def test_limits_that_values_fit_are_taken(annotation: Any, options: dict[str, Any]) -> None:
    declare(annotation, **options)


# -- ways back -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a b", "class", "2nd", "a__b", "books_", "_books", "pk"])
def test_a_way_back_that_no_query_could_walk_is_refused(name: str) -> None:
    class Author(Model):
        pass

    class Book(Model):
        author: ForeignKey[Author] = ForeignKey(related_name=name)

    with pytest.raises(ModelError, match=rf"Book.author would be called '{name}' on the other side, .*; give it rel"):
        registry.tables()


def test_the_way_back_of_a_many_to_many_is_looked_at_as_well() -> None:
    class Tag(Model):
        pass

    class Book(Model):
        tags: ManyToMany[Tag] = ManyToMany(related_name="a__b")

    with pytest.raises(ModelError, match=r"Book.tags would be called 'a__b' on the other side"):
        registry.tables()


def test_a_name_that_is_made_of_the_model_is_looked_at_as_well() -> None:
    class Author(Model):
        pass

    class Old__Book(Model):
        author: ForeignKey[Author] = ForeignKey()

    with pytest.raises(ModelError, match=r"Old__Book.author would be called 'old__book_set' on the other side"):
        registry.tables()


# -- names of the database -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["index", "constraint"])
def test_a_name_of_two_models_is_refused(kind: str) -> None:
    class Author(Model):
        name: Mapped[str]

        class Meta:
            indexes = (Index("name", name="by_name"),)

    class Book(Model):
        name: Mapped[str]

        class Meta:
            indexes = (Index("name", name="by_name"),) if kind == "index" else ()
            constraints = (UniqueConstraint("name", name="by_name"),) if kind == "constraint" else ()

    told = rf"Book has the {kind} 'by_name', and Author has an index of that name, .* once; give one another name="
    with pytest.raises(ModelError, match=told):
        registry.tables()


def test_an_index_with_the_name_of_a_table_is_refused() -> None:
    class Author(Model):
        name: Mapped[str]

        class Meta:
            indexes = (Index("name", name="book"),)

    class Book(Model):
        pass

    with pytest.raises(ModelError, match="Author has the index 'book', and Book has a table of that name"):
        registry.tables()


def test_checks_of_two_models_may_share_a_name() -> None:
    class Author(Model):
        age: Mapped[int] = Field(ge=0)

    class Book(Model):
        age: Mapped[int] = Field(ge=0)

    assert len(registry.tables()) == 2


# -- orders ----------------------------------------------------------------------------------------


def test_an_ordering_that_walks_to_nothing_is_refused() -> None:
    class Author(Model):
        name: Mapped[str]

    class Book(Model):
        author: ForeignKey[Author] = ForeignKey()

        class Meta:
            ordering = ("-author__nam",)

    with pytest.raises(ModelError, match=r"Book.Meta.ordering: Author has no field 'nam'.*did you mean 'name'"):
        registry.tables()


def test_an_ordering_may_walk_over_relations_to_what_is_declared_later() -> None:
    class Book(Model):
        author: ForeignKey[Author] = ForeignKey()

        class Meta:
            ordering = ("author__name", "?")

    class Author(Model):
        name: Mapped[str]

    assert len(registry.tables()) == 2
