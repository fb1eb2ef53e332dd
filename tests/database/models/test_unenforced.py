"""Relations that the database does not enforce, and ways back that are named in `Meta`."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from datalayer import CASCADE, DO_NOTHING, PROTECT, SET, SET_NULL, Field, ForeignKey, Mapped, Model
from datalayer.errors import ModelError
from datalayer.models import registry
from datalayer.testing import acreate_tables, create_tables
from tests.worlds import World

with registry.isolated():

    class Person(Model):
        name: Mapped[str] = Field(max_length=20)

        class Meta:
            table = "unenforced_person"

    class Entry(Model):
        by: ForeignKey[Person] = ForeignKey(on_delete=DO_NOTHING, db_constraint=False)
        read_by: ForeignKey[Person | None] = ForeignKey(default=None, related_name="has_read")

        class Meta:
            table = "unenforced_entry"
            default_related_name = "entries"

    registry.tables()


@pytest.fixture(autouse=True)
def tables(configured: str, world: World) -> None:
    world.run(lambda: create_tables(Person, Entry), lambda: acreate_tables(Person, Entry))


def test_a_row_may_refer_to_nothing_and_is_found_all_the_same(world: World) -> None:
    world.call(Entry.objects, "create", by_id=77)
    for query in (Entry.objects, Entry.objects.select_related("by"), Entry.objects.prefetch_related("by")):
        entry = world.call(query, "get")
        assert entry.by_id == 77
        if query is not Entry.objects:
            with pytest.raises(Person.DoesNotExist, match=r"Entry.by"):
                _ = entry.by
    assert world.call(Entry.objects.filter(by__name=None), "count") == 1
    assert [row["by__name"] for row in world.iterate(Entry.objects.values("by__name"))] == [None]


def test_none_is_no_target_where_the_key_is_never_null(world: World) -> None:
    person = world.call(Person.objects, "create", name="ann")
    entry = world.call(Entry.objects, "create", by=person)
    with pytest.raises(ValidationError, match="needs a Person and can never be None"):
        entry.by = None  # type: ignore[assignment]


def test_it_stays_when_its_target_goes(world: World) -> None:
    person = world.call(Person.objects, "create", name="ann")
    entry = world.call(Entry.objects, "create", by=person)
    assert world.call(person, "delete") == 1
    world.call(entry, "refresh")
    assert world.call(Entry.objects, "count") == 1


@pytest.mark.parametrize("on_delete", [CASCADE, PROTECT, SET_NULL, SET(1)])
def test_what_only_a_constraint_does_is_refused_without_one(on_delete: Any) -> None:
    with (
        registry.isolated(),
        pytest.raises(ModelError, match=r"Thing.by has db_constraint=False, and on_delete=.*on_delete=DO_NOTHING"),
    ):

        class Thing(Model):
            by: ForeignKey[Person | None] = ForeignKey(on_delete=on_delete, db_constraint=False)


def test_ways_back_have_the_name_that_meta_gives_them(world: World) -> None:
    person: Any = world.call(Person.objects, "create", name="ann")
    entry = world.call(Entry.objects, "create", by=person, read_by=person)
    assert world.iterate(person.entries) == [entry]
    assert world.iterate(person.has_read) == [entry]
    assert world.call(Person.objects.filter(entries__id=entry.id), "get") == person
