"""What is refused before anything is sent: text no database keeps, rows that lack a value, what a validator refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from pydantic import ValidationError, field_validator

from datalayer import F, Field, ForeignKey, ManyToMany, Mapped, Model, Q
from datalayer.errors import InvalidValue, QueryError
from datalayer.models import registry
from datalayer.testing import capture_queries, create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import World

with registry.isolated():

    class Maker(Model):
        name: Mapped[str] = Field(max_length=20, pattern=r"(?s)^[^x]*$", description="who")
        motto: Mapped[str] = Field(default="")
        words: Mapped[list[str]] = Field(default_factory=list)
        more: Mapped[dict[str, Any]] = Field(default_factory=dict)
        is_open: Mapped[bool] = Field(default=False)

        class Meta:
            table = "refused_maker"

        @field_validator("motto")
        @classmethod
        def _polite(cls, value: str) -> str:
            if value == "rude":
                raise ValueError("this is no motto")
            return value.strip()

    class Thing(Model):
        title: Mapped[str]
        maker: ForeignKey[Maker] = ForeignKey(related_name="things")
        helpers: ManyToMany[Maker] = ManyToMany(through="Help", related_name="helped")

        class Meta:
            table = "refused_thing"

    class Help(Model):
        thing: ForeignKey[Thing] = ForeignKey(related_name="+")
        maker: ForeignKey[Maker] = ForeignKey(related_name="+")
        hours: Mapped[int] = Field(ge=0)

        class Meta:
            table = "refused_help"

    registry.tables()


@pytest.fixture(autouse=True)
def tables(configured: str, world: World) -> None:
    world.run(lambda: create_tables(Maker, Thing, Help), lambda: acreate_tables(Maker, Thing, Help))


ZERO = "text of a database has no zero byte"


@pytest.mark.parametrize(
    "values",
    [{"name": "a\0"}, {"name": "a", "motto": "\0"}, {"name": "a", "words": ["b", "\0"]}],
    ids=["limited", "free", "array"],
)
def test_text_with_a_zero_byte_is_refused_when_it_is_given(world: World, values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=ZERO):
        Maker(**values)
    maker = world.call(Maker.objects, "create", name="a")
    name = list(values)[-1]
    with pytest.raises(ValidationError, match=ZERO):
        setattr(maker, name, values[name])
    with capture_queries() as sent, pytest.raises(InvalidValue, match=ZERO):
        world.call(Maker.objects.all(), "update", **{name: values[name]})
    assert not sent


@pytest.mark.parametrize("more", [{"a": ["\0"]}, {"\0": 1}], ids=["value", "name"])
def test_json_with_a_zero_byte_is_refused_before_it_is_sent(world: World, more: dict[str, Any]) -> None:
    with capture_queries() as sent, pytest.raises(InvalidValue, match=ZERO):
        world.call(Maker(name="a", more=more), "save")
    assert not sent


def test_json_that_only_speaks_of_a_zero_byte_is_kept(world: World) -> None:
    maker = world.call(Maker.objects, "create", name="a", more={"a": "\\u0000"})
    world.call(maker, "refresh")
    assert maker.more == {"a": "\\u0000"}


def test_the_schema_of_a_text_says_nothing_of_zero_bytes() -> None:
    for mode in ("validation", "serialization"):
        name = Maker.model_json_schema(mode=mode)["properties"]["name"]
        assert name == {
            "description": "who",
            "maxLength": 20,
            "pattern": "(?s)^[^x]*$",
            "title": "Name",
            "type": "string",
        }


def test_get_or_create_of_a_row_that_would_lack_a_value_is_refused(world: World) -> None:
    maker = world.call(Maker.objects, "create", name="a")
    with capture_queries() as sent:
        with pytest.raises(InvalidValue, match=r"get_or_create\(\) would make a Thing without title, maker_id"):
            world.call(Thing.objects, "get_or_create", id=5)
        with pytest.raises(InvalidValue, match="would make a Thing without maker_id"):
            world.call(Thing.objects, "get_or_create", title="t")
    assert not sent
    first, is_new = world.call(Thing.objects, "get_or_create", title="t", defaults={"maker": maker})
    second, is_new_again = world.call(maker.things, "get_or_create", title="t")
    assert (is_new, is_new_again, first == second) == (True, False, True)
    changed, is_new = world.call(Thing.objects, "update_or_create", {"title": "u"}, pk=first.pk)
    assert (is_new, changed.title) == (False, "u")


@pytest.mark.parametrize("verb", ["add", "set", "create", "get_or_create"])
def test_a_row_in_between_that_would_lack_a_value_is_refused(world: World, verb: str) -> None:
    maker = world.call(Maker.objects, "create", name="a")
    thing = world.call(Thing.objects, "create", title="t", maker=maker)
    given: tuple[Any, ...] = {"add": (maker,), "set": ([maker],)}.get(verb, ())
    named = {"name": "b"} if "create" in verb else {}
    with capture_queries() as sent:
        with pytest.raises(InvalidValue, match=r"would make a Help without hours; give it in through_defaults="):
            world.call(thing.helpers, verb, *given, **named)
        with pytest.raises(InvalidValue, match=r"Help.hours cannot be -1"):
            world.call(thing.helpers, verb, *given, through_defaults={"hours": -1}, **named)
    assert not sent
    world.call(thing.helpers, verb, *given, through_defaults={"hours": 1}, **named)
    assert world.call(Help.objects, "get").hours == 1


def test_a_field_validator_judges_a_value_of_update(world: World) -> None:
    world.call(Maker.objects, "create", name="a")
    with capture_queries() as sent, pytest.raises(InvalidValue, match="this is no motto"):
        world.call(Maker.objects.all(), "update", motto="rude")
    assert not sent
    world.call(Maker.objects.all(), "update", motto=" kind ")
    assert world.call(Maker.objects, "get").motto == "kind"


@pytest.mark.parametrize(
    "condition",
    [
        lambda: Q(name="b") | F("is_open"),
        lambda: F("is_open") | Q(name="b"),
        lambda: F("is_open") | F("is_open") | (F("name") == "b"),
        lambda: ~(~F("is_open") & ~Q(name="b")),
        lambda: (Maker.name == "b") | F("is_open"),
        lambda: F("is_open") ^ Q(name="b"),
    ],
)
def test_a_column_that_is_true_or_false_is_a_condition_among_others(world: World, condition: Callable[[], Any]) -> None:
    for name, is_open in (("a", True), ("b", False), ("c", False)):
        world.call(Maker.objects, "create", name=name, is_open=is_open)
    assert [row.name for row in world.iterate(Maker.objects.filter(condition()).order_by("name"))] == ["a", "b"]


def test_what_is_no_condition_is_not_combined() -> None:
    with pytest.raises(QueryError, match=r"not with 3; the bits of numbers are combined with bitand\(\)"):
        Q(name="a") | 3
    with pytest.raises(QueryError, match="a condition is true or false; compare it"):
        Maker.objects.filter(Q(name="a") | F("name"))


def test_a_list_of_a_kind_that_is_none_is_refused_on_a_saved_row(world: World) -> None:
    maker = world.call(Maker.objects, "create", name="ann")
    thing = world.call(Thing.objects, "create", title="cup", maker=maker)
    with capture_queries() as sent:
        with pytest.raises(QueryError, match=r"set\(\) takes a list of rows, not 5; write set\(\[\.\.\.\]\)"):
            world.call(thing.helpers, "set", 5, through_defaults={"hours": 1})
        with pytest.raises(QueryError, match=r"refresh\(fields\) is 5; give names in a list"):
            world.call(maker, "refresh", fields=5)
        with pytest.raises(QueryError, match=r"create\(\) takes values by name, such as create\(title=\.\.\.\), not 5"):
            world.call(maker.things, "create", 5)
    assert not list(sent)


def test_a_name_that_a_model_does_not_have_is_told_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match=r"Maker has no attribute 'objcts'; .*did you mean 'objects'"):
        Maker.objcts  # type: ignore[attr-defined]  # noqa: B018  # what is refused
    with pytest.raises(AttributeError, match=r"Maker has no attribute 'nam'; the choices are .*did you mean 'name'"):
        _ = cast("Any", Maker).nam
    assert not hasattr(Maker, "nam")
