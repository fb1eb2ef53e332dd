"""JSON: steps into it and questions about it, the same on both backends."""

from __future__ import annotations

from typing import Any

import pytest

from datalayer import Field, Mapped, Model, Q
from datalayer.errors import InvalidValue, QueryError
from datalayer.functions import Cast
from datalayer.models import registry
from datalayer.testing import acreate_tables, assert_num_queries, create_tables
from tests.worlds import World

with registry.isolated():

    class Paper(Model):
        data: Mapped[Any] = Field(default=None)

        class Meta:
            table = "documents_paper"

    registry.tables()

DATA: list[Any] = [
    {"a": {"b": [1, 2, {"c": "x"}]}, "n": 5, "t": "yes", "z": None},
    {"a": [1, 2], "n": 12, "t": 'q"uo\\te', 'od"d': True},
    [1, "a", None],
    "a",
    {"0": "zero", "é": 1.5},
    {},
]


@pytest.fixture
def papers(configured: str, world: World) -> list[int]:
    world.run(lambda: create_tables(Paper), lambda: acreate_tables(Paper))
    made = [Paper(data=data) for data in DATA]
    world.call(Paper.objects, "bulk_create", made)
    return [paper.id for paper in made]


def places(world: World, papers: list[int], condition: Any) -> list[int]:
    return sorted(
        papers.index(key) for key in world.iterate(Paper.objects.filter(condition).values_list("id", flat=True))
    )


def test_steps_are_exact(world: World, papers: list[int]) -> None:
    assert places(world, papers, Paper.data["a"]["b"][0] == 1) == [0]
    assert places(world, papers, Paper.data["a"]["b"][2]["c"] == "x") == [0]
    assert places(world, papers, Paper.data["a"][-1] == 2) == [1]
    assert places(world, papers, Paper.data[1] == "a") == [2]
    assert places(world, papers, Paper.data["0"] == "zero") == [4]
    assert places(world, papers, Paper.data[0] == "zero") == []
    assert places(world, papers, Paper.data['od"d'] == True) == [1]  # noqa: E712
    assert places(world, papers, Paper.data["é"] == 1.5) == [4]
    assert places(world, papers, Paper.data["t' or 1=1 --"].is_not_null()) == []
    assert places(world, papers, Paper.data["z"].is_null()) == [1, 2, 3, 4, 5]  # null is there, and not missing


def test_text_of_json_is_searched_and_cast(world: World, papers: list[int]) -> None:
    assert places(world, papers, Paper.data["t"].as_text().contains('"')) == [1]
    assert places(world, papers, Cast(Paper.data["n"].as_text(), int) > 5) == [1]


def test_keys_and_containment(world: World, papers: list[int]) -> None:
    assert places(world, papers, Paper.data.has_key("a")) == [0, 1, 2, 3]
    assert places(world, papers, Paper.data.has_keys(["a", "n"])) == [0, 1]
    assert places(world, papers, Paper.data.has_any_keys(["é", "z"])) == [0, 4]
    assert places(world, papers, Paper.data.contains_json({"a": {"b": [2]}})) == [0]
    assert places(world, papers, Paper.data.contained_by_json({"0": "zero", "é": 1.5, "x": 1})) == [4, 5]
    assert places(world, papers, ~Q(Paper.data.has_key("a"))) == [4, 5]


def test_what_is_no_json_is_not_looked_into(configured: str) -> None:
    with assert_num_queries(0):
        with pytest.raises(QueryError, match="only JSON can be looked into"):
            Paper.id["a"]
        with pytest.raises(QueryError, match="a name or a whole number"):
            Paper.data[1.5]  # type: ignore[index]
        with pytest.raises(InvalidValue, match="a key is text"):
            Paper.data.has_key(3)  # type: ignore[arg-type]
