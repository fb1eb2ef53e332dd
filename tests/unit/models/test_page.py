"""docs/models.md names every option of `class Meta` and of `Field`."""

from __future__ import annotations

import inspect
from pathlib import Path

from datalayer import Field
from datalayer.models.building import META_NAMES

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "models.md").read_text("utf-8")


def test_every_option_of_meta_is_on_the_page() -> None:
    section = PAGE[PAGE.index("\n## Meta\n") :].partition("\n## Inheritance")[0]
    assert [name for name in META_NAMES if f"`{name}`" not in section] == []


def test_every_option_of_a_field_is_on_the_page() -> None:
    section = PAGE[PAGE.index("\n## Options of a field\n") :].partition("\n## Primary keys")[0]
    assert [name for name in inspect.signature(Field).parameters if f"`{name}`" not in section] == []
