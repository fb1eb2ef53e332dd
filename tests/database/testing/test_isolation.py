"""Models that exist for one test only."""

from __future__ import annotations

import pytest

from datalayer import ForeignKey, ManyToMany, Model
from datalayer.errors import ModelError
from datalayer.models import registry
from datalayer.testing import create_tables, isolated_models
from datalayer.testing.tables import acreate_tables
from tests.worlds import World


@pytest.mark.usefixtures("configured")
def test_models_of_a_test_find_each_other_and_are_forgotten(world: World) -> None:
    before = registry.models()
    with isolated_models():

        class Parent(Model):
            friends: ManyToMany[Parent] = ManyToMany()

        class Child(Model):
            parent: ForeignKey[Parent] = ForeignKey(related_name="children")

    assert registry.models() == before
    world.run(lambda: create_tables(Parent, Child), lambda: acreate_tables(Parent, Child))
    parent = world.call(Parent.objects, "create")
    world.call(parent.children, "create")  # type: ignore[attr-defined]
    assert world.call(Child.objects.filter(parent=parent), "count") == 1


def test_models_elsewhere_are_unknown_inside() -> None:
    with isolated_models():

        class Outside(Model):
            pass

        with pytest.raises(ModelError, match="refers to 'Outside', and no model is called so"), isolated_models():

            class Inside(Model):
                outside: ForeignKey[Outside] = ForeignKey()

    assert (Outside.table.name, Inside.__name__) == ("outside", "Inside")
