"""Names of constraints that a model gives itself."""

from __future__ import annotations

import pytest

from datalayer import CheckConstraint, Field, ForeignKey, Index, Mapped, Model, OneToOne, Sql, UniqueConstraint
from datalayer.errors import ModelError
from datalayer.models import registry

with registry.isolated():

    class Shop(Model):
        code: Mapped[str] = Field(max_length=5, unique=True)

        class Meta:
            table = "named_shop"
            constraints = (
                CheckConstraint("length(code) = 5", name="five letters"),
                UniqueConstraint("code", name="one"),
            )

    class Sign(Model):
        shop: OneToOne[Shop] = OneToOne(name="belongs")
        other: ForeignKey[Shop] = ForeignKey(related_name="+")

        class Meta:
            table = "named_sign"
            constraints = (UniqueConstraint("shop", name="one_sign"),)

    registry.tables()


def test_a_given_name_is_what_the_database_has() -> None:
    assert [check.name for check in Shop.table.checks] == ["five letters"]
    assert [key.name for key in Sign.table.foreign_keys] == ["belongs", "fk_named_sign_other_id"]


def test_a_unique_constraint_of_one_field_takes_the_place_of_its_own() -> None:
    assert [unique.name for unique in Shop.table.unique] == ["one"]
    assert [unique.name for unique in Sign.table.unique] == ["one_sign"]


def test_an_index_over_an_expression_needs_a_name() -> None:
    with registry.isolated():

        class Word(Model):
            text: Mapped[str]

            class Meta:
                indexes = (Index(Sql('lower("text")')),)

        with pytest.raises(ModelError, match=r"Word.Meta.indexes has an index over an expression; it needs a name"):
            _ = Word.table


def test_an_index_names_what_it_takes_along_as_fields() -> None:
    with registry.isolated():

        class Word(Model):
            text: Mapped[str]

            class Meta:
                indexes = (Index("text", include=("txt",)),)

        with pytest.raises(ModelError, match=r"names 'txt', which Word does not have.*text"):
            _ = Word.table
