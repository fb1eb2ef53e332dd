"""How conditions and computed columns are shown: by what was written, without values, which may be secrets."""

from __future__ import annotations

from typing import Any

import pytest

from datalayer import Field, ForeignKey, Mapped, Model
from datalayer import functions as fn
from datalayer.models import registry

with registry.isolated():

    class Person(Model):
        name: Mapped[str] = Field(max_length=20)
        age: Mapped[int | None] = Field(default=None)
        boss: ForeignKey[Person | None] = ForeignKey(default=None, related_name="staff")

    registry.tables()

old = Person.age > 70


@pytest.mark.parametrize(
    ("condition", "shown"),
    [
        (old, "<age gt ?>"),
        (Person.age.is_null(), "<age isnull>"),
        (old & ~(Person.boss[Person.name] == "Ann"), "(<age gt ?> and ~<boss__name exact ?>)"),
        (old | Person.name.icontains("a"), "(<age gt ?> or <name icontains ?>)"),
        (fn.Upper(Person.name) == "ANN", "<upper(name) exact ?>"),
        (Person.age * 2 + 1 < 90, "<((age * ?) + ?) lt ?>"),
        (Person.name.desc(), "<name desc>"),
        (Person.age.asc(nulls="first"), "<age asc nulls first>"),
    ],
)
def test_a_condition_is_shown_as_it_was_written(condition: Any, shown: str) -> None:
    assert repr(condition) == shown
