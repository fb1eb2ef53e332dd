"""Assigning to a field does what pydantic does, on the short way as on the long one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pydantic
import pytest
from pydantic import ValidationError

from datalayer import Field, Mapped, Model
from datalayer.models import registry


@pytest.fixture(autouse=True)
def isolated() -> Iterator[None]:
    with registry.isolated():
        yield


def test_a_value_is_validated() -> None:
    class Thing(Model):
        a: Mapped[int] = Field(ge=0)

    thing = Thing(a=1)
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        thing.a = -1
    assert thing.a == 1


def test_a_value_is_converted() -> None:
    class Thing(Model):
        a: Mapped[int]

    thing = Thing(a=1)
    thing.a = "5"  # type: ignore[assignment]
    assert thing.a == 5


def test_a_validator_of_the_field_runs() -> None:
    class Thing(Model):
        a: Mapped[str]

        @pydantic.field_validator("a")
        @classmethod
        def _upper(cls, value: str) -> str:
            return value.upper()

    thing = Thing(a="x")
    thing.a = "y"
    assert thing.a == "Y"


def test_a_frozen_field_is_refused() -> None:
    class Thing(Model):
        a: Mapped[int] = Field(frozen=True)

    thing = Thing(a=1)
    with pytest.raises(ValidationError, match="frozen"):
        thing.a = 2


def test_an_unknown_name_is_refused() -> None:
    class Thing(Model):
        a: Mapped[int]

    thing: Any = Thing(a=1)
    with pytest.raises(ValidationError):
        thing.b = 2


def test_what_a_mixin_does_at_assignment_is_done() -> None:
    seen: list[str] = []

    class Watching(pydantic.BaseModel):
        def __setattr__(self, name: str, value: Any) -> None:
            seen.append(name)
            super().__setattr__(name, value)

    class Thing(Model, Watching):
        a: Mapped[int]

    Thing(a=1).a = 2
    assert seen == ["a"]


def test_a_proxy_with_a_validator_of_its_own_runs_it() -> None:
    class Thing(Model):
        a: Mapped[int]

    class Small(Thing):
        @pydantic.model_validator(mode="after")
        def _small(self) -> Small:
            if self.a > 9:
                raise ValueError("too great")
            return self

        class Meta:
            proxy = True

    small = Small(a=1)
    with pytest.raises(ValidationError, match="too great"):
        small.a = 10
    assert small.a == 1


def test_what_a_mixin_does_when_an_instance_is_made_is_done() -> None:
    made: list[dict[str, Any]] = []

    class Counting(pydantic.BaseModel):
        def __init__(self, **data: Any) -> None:
            made.append(data)
            super().__init__(**data)

    class Thing(Model, Counting):
        a: Mapped[int]

    Thing(a=1)
    assert made == [{"a": 1}]
