"""URLs of pydantic are text in the database, and URLs again when they come back."""

from __future__ import annotations

import pytest
from pydantic import AnyUrl, HttpUrl, ValidationError

from datalayer import Field, Mapped, Model
from datalayer.models import registry
from datalayer.testing import create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import World

with registry.isolated():

    class Link(Model):
        home: Mapped[HttpUrl]
        other: Mapped[AnyUrl | None] = Field(default=None)

        class Meta:
            table = "urls_link"

    registry.tables()

HOME = HttpUrl("https://example.org/a?b=1")


@pytest.fixture(autouse=True)
def tables(configured: str, world: World) -> None:
    world.run(lambda: create_tables(Link), lambda: acreate_tables(Link))


def test_a_url_comes_back_as_one(world: World) -> None:
    world.call(Link.objects, "create", home="https://example.org/a?b=1", other=AnyUrl("ftp://example.org/"))
    link = world.call(Link.objects, "get", home=HOME)
    assert (link.home, link.other) == (HOME, AnyUrl("ftp://example.org/"))
    assert isinstance(link.home, HttpUrl)
    assert world.call(Link.objects.filter(home="https://example.org/a?b=1"), "count") == 1
    world.call(Link.objects.all(), "update", other=None)
    world.call(link, "refresh")
    assert link.other is None
    assert Link.model_validate_json(link.model_dump_json()).home == HOME


@pytest.mark.parametrize("value", ["no url", "ftp://example.org/", 3])
def test_what_is_no_such_url_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        Link.model_validate({"home": value})


def test_the_schema_says_that_it_is_a_url() -> None:
    assert Link.model_json_schema()["properties"]["home"] == {"format": "uri", "title": "Home", "type": "string"}
