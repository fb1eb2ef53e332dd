"""What a person reads for a value of a column with choices."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from datalayer.models import registry
from datalayer.models.fields import Field, Mapped
from datalayer.models.model import Model


class Status(enum.StrEnum):
    IN_PRINT = "p"
    GONE = "g"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2

    @property
    def label(self) -> str:
        return {Size.SMALL: "pocket size", Size.LARGE: "folio"}[self]


@pytest.fixture(autouse=True)
def isolated() -> Iterator[None]:
    with registry.isolated():
        yield


def book(**values: Any) -> Any:
    class Book(Model):
        status: Mapped[Status] = Field(default=Status.IN_PRINT)
        size: Mapped[Size | None] = Field(default=None)
        cover: Mapped[Literal["hard", "soft"]] = Field(default="soft")
        title: Mapped[str] = Field(default="x")

    return Book(**values)


def test_a_member_reads_as_its_label_or_its_name_in_words() -> None:
    found = book(size=Size.LARGE)
    assert (found.get_status_display(), found.get_size_display()) == ("In print", "folio")
    found.status = Status.GONE
    assert found.get_status_display() == "Gone"


def test_a_literal_reads_as_it_is_and_none_as_nothing() -> None:
    assert (book().get_cover_display(), book().get_size_display()) == ("soft", "")


@pytest.mark.parametrize("name", ["get_title_display", "get_nothing_display", "get_display", "display"])
def test_columns_without_choices_have_none(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(book(), name)
