"""Models inside pydantic's `TypeAdapter`, which is how FastAPI takes them as bodies."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Annotated

import pydantic
import pytest
from pydantic import TypeAdapter

from datalayer import CASCADE, Field, ForeignKey, Mapped, Model
from datalayer.errors import ModelError
from datalayer.models import registry


@pytest.fixture(autouse=True)
def isolated() -> Iterator[None]:
    with registry.isolated():
        yield


def test_an_adapter_of_a_model_is_built_when_it_is_made() -> None:
    # FastAPI silences pydantic's remark about the alias it gives a body only while it makes the adapter: one that is
    # built at the first request would warn its user.
    class Author(Model):
        name: Mapped[str] = Field(max_length=200)

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        adapter = TypeAdapter(Annotated[Author, pydantic.Field(alias="author")])
    assert [str(warning.message)[:11] for warning in seen] == ["The 'alias'"]
    assert adapter.validate_python({"name": "Ursula"}).name == "Ursula"


def test_an_adapter_of_a_model_checks_its_foreign_keys() -> None:
    class Author(Model):
        name: Mapped[str] = Field(max_length=200)

    class Book(Model):
        author: ForeignKey[Author] = ForeignKey(on_delete=CASCADE)

    assert TypeAdapter(Book).validate_python({"author_id": 3}).author_id == 3
    with pytest.raises(pydantic.ValidationError, match="author_id"):
        TypeAdapter(Book).validate_python({"author_id": "three"})


def test_a_model_below_another_may_still_refer_to_a_later_one() -> None:
    class Author(Model):
        name: Mapped[str] = Field(max_length=200)

        class Meta:
            abstract = True

    class Poet(Author):
        teacher: ForeignKey[Teacher] = ForeignKey(on_delete=CASCADE)

    class Teacher(Model):
        name: Mapped[str] = Field(max_length=200)

    assert Poet(name="Sappho", teacher_id=1).teacher_id == 1


def test_an_adapter_of_a_model_without_its_target_names_the_relation() -> None:
    class Book(Model):
        author: ForeignKey[Author] = ForeignKey(on_delete=CASCADE)

    with pytest.raises(ModelError, match=r"Book\.author refers to 'Author', and no model is called so"):
        TypeAdapter(Book)

    class Author(Model):
        name: Mapped[str] = Field(max_length=200)

    assert TypeAdapter(Book).validate_python({"author_id": 3}).author_id == 3
