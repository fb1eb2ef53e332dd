"""JSON: steps into it and questions about it, the same on both backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, computed_field

from datalayer import F, Field, Mapped, Model, Q
from datalayer.errors import FieldError, InvalidValue, QueryError
from datalayer.functions import Cast
from datalayer.models import registry
from datalayer.testing import acreate_tables, assert_num_queries, create_tables
from tests.worlds import World


class Street(BaseModel):
    name: str
    number: int = 0


class Square(BaseModel):
    size: float


class Open(BaseModel, extra="allow"):
    known: str


with registry.isolated():

    class Paper(Model):
        data: Mapped[Any] = Field(default=None)

        class Meta:
            table = "documents_paper"

    class Address(BaseModel):
        city: str
        streets: list[Street] = []
        by_name: dict[str, Street] = {}
        other: Street | Square | None = None
        loose: dict[str, Any] = {}
        open: Open | None = None

        @computed_field
        def label(self) -> str:
            return self.city

    class Client(Model):
        address: Mapped[Address]
        history: Mapped[list[Address]] = Field(default_factory=list)

        class Meta:
            table = "documents_client"

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


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Client.objects.filter(address__cty="x"), r"'address' has no key 'cty'; .*did you mean 'city'"),
        (lambda: Client.objects.filter(Client.address["cty"] == "x"), "did you mean 'city'"),
        (lambda: Client.objects.order_by("address__cty"), "did you mean 'city'"),
        (lambda: Client.objects.values("address__streets__0__nam"), r"'address__streets__0' has no key 'nam'.*'name'"),
        (lambda: Client.objects.annotate(x=F("address__by_name__home__nmber")), "did you mean 'number'"),
        (lambda: Client.objects.filter(address__other__sise=1), "did you mean 'size'"),
        (lambda: Client.objects.filter(history__0__strets=1), "did you mean 'streets'"),
        (lambda: Client.objects.filter(Q(address__zip__gt=5)), "the choices are: .*city"),
    ],
)
def test_a_key_that_the_model_of_a_document_lacks_is_refused_when_built(
    configured: str, made: Callable[[], object], message: str
) -> None:
    with assert_num_queries(0), pytest.raises(FieldError, match=message):
        made()


def test_keys_that_the_model_of_a_document_has_are_found(world: World, configured: str) -> None:
    world.run(lambda: create_tables(Client), lambda: acreate_tables(Client))
    home = Address(
        city="Rome",
        streets=[Street(name="Via", number=5)],
        by_name={"home": Street(name="Corso")},
        other=Square(size=2.5),
        loose={"any": {"thing": 1}},
        open=Open(known="k", more=1),  # type: ignore[call-arg] - what it is open for
    )
    client = world.call(Client.objects, "create", address=home, history=[home])
    for named in (
        {"address__city": "Rome"},
        {"address__label": "Rome"},
        {"address__streets__0__number__gte": 5},
        {"address__by_name__home__name__istartswith": "c"},
        {"address__other__size": 2.5},
        {"address__loose__any__thing": 1},
        {"address__open__more": 1},
        {"history__0__city": "Rome"},
        {"address__other__name__isnull": True},
    ):
        assert world.iterate(Client.objects.filter(**named)) == [client], named
    assert world.iterate(Client.objects.filter(Client.address["streets"][0]["name"] == "Via")) == [client]
