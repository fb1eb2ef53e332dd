"""What `_pydantic.py` and `hydrate.py` know of pydantic's insides, and models as pydantic and FastAPI use them."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import pydantic
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, StringConstraints, ValidationError

from datalayer import BigInt, Field, ForeignKey, Mapped, Model, SmallInt, UUIDModel
from datalayer.models import _pydantic, registry
from datalayer.models.fields import ColumnOptions
from datalayer.models.hydrate import maker


@pytest.fixture(autouse=True)
def isolated() -> Iterator[None]:
    with registry.isolated():
        yield


class Plain(BaseModel):
    a: int = 1
    _b: int = pydantic.PrivateAttr(default=2)
    _c: int


# -- each inside, by name --------------------------------------------------------------------------


def test_the_metaclass_of_pydantic_is_a_class() -> None:
    assert issubclass(_pydantic.PydanticMeta, type)
    assert isinstance(BaseModel, _pydantic.PydanticMeta)


@pytest.mark.parametrize(
    ("setter", "slot", "value"),
    [
        (_pydantic.set_dict, "__dict__", {"a": 3}),
        (_pydantic.set_fields_set, "__pydantic_fields_set__", {"a"}),
        (_pydantic.set_private, "__pydantic_private__", {"_b": 1}),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_a_slot_is_set_without_asking_pydantic(setter: Any, slot: str, value: Any) -> None:
    new = object.__new__(Plain)
    setter(new, value)
    assert object.__getattribute__(new, slot) == value


def test_fields_are_found_without_a_warning() -> None:
    assert list(_pydantic.own_fields(Plain)) == ["a"]


def test_a_field_says_whether_its_annotation_is_complete() -> None:
    class Incomplete(BaseModel):
        a: Later  # type: ignore[name-defined]  # noqa: F821

    assert _pydantic.is_complete(_pydantic.own_fields(Plain)["a"])
    assert not _pydantic.is_complete(_pydantic.own_fields(Incomplete)["a"])


def test_a_model_says_whether_it_has_validators_of_its_own() -> None:
    class Checked(BaseModel):
        @pydantic.model_validator(mode="after")
        def _check(self) -> Checked:
            return self

    assert _pydantic.has_model_validators(Checked)
    assert not _pydantic.has_model_validators(Plain)


@pytest.mark.parametrize("model", ["plain", "frozen field", "hidden field", "own __setattr__", "validated whole"])
def test_assignment_is_only_validation_where_pydantic_and_the_user_do_nothing_else(model: str) -> None:
    class Root(BaseModel):
        model_config = pydantic.ConfigDict(validate_assignment=True)

    class Setting(BaseModel):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)

    made: Any
    if model == "plain":

        class Made(Root):
            a: int = 1
            b: int = 2

        made = Made
    elif model == "frozen field":

        class Frozen(Root):
            a: int = 1
            b: int = pydantic.Field(default=2, frozen=True)

        made = Frozen
    elif model == "hidden field":

        class Shown(Root):
            a: int = 1
            b: int = 2

        made = Shown
        type.__setattr__(Shown, "b", property(lambda self: 3))
    elif model == "own __setattr__":

        class Owned(Root, Setting):
            a: int = 1

        made = Owned
    else:

        class Whole(Root):
            a: int = 1

            @pydantic.model_validator(mode="after")
            def _check(self) -> Whole:
                return self

        made = Whole
    wanted = {"plain": {"a", "b"}, "frozen field": {"a"}, "hidden field": {"a"}}
    assert _pydantic.only_validated(made, Root) == wanted.get(model, set())


def test_a_field_that_is_only_validated_is_assigned_by_the_validator_in_pydantic_too() -> None:
    class Made(BaseModel):
        model_config = pydantic.ConfigDict(validate_assignment=True)
        a: int = 1

    by_pydantic, by_validator = Made(), Made()
    by_pydantic.a = "5"  # type: ignore[assignment]  # it is converted
    Made.__pydantic_validator__.validate_assignment(by_validator, "a", "5")
    assert by_pydantic.a == by_validator.a == 5
    assert by_pydantic.model_fields_set == by_validator.model_fields_set == {"a"}


class Kin(BaseModel):
    kin: list[Kin] = []


def test_an_assigned_value_is_validated_by_the_part_of_the_whole_that_is_its_field() -> None:
    class Made(Model):
        model_config = pydantic.ConfigDict(str_strip_whitespace=True)
        a: Mapped[str] = Field(max_length=3)
        b: Mapped[int] = Field(default=1)
        c: Mapped[int] = Field(default=1)
        kin: Mapped[dict[str, Kin]] = Field(default_factory=dict)

        @pydantic.field_validator("b")
        @classmethod
        def _above_c(cls, value: int, info: pydantic.ValidationInfo) -> int:
            if value < info.data["c"]:
                raise ValueError("below c")
            return value

        @pydantic.field_validator("c")
        @classmethod
        def _even(cls, value: int) -> int:
            return value * 2

    one: Any = Made(a="x")
    one.a = " abc "
    assert one.a == "abc"
    one.c = 3
    assert one.c == 6
    with pytest.raises(ValidationError, match="below c"):
        one.b = 5
    one.kin = {"x": {"kin": [{}]}}
    assert one.kin["x"].kin == [Kin()]
    with pytest.raises(ValidationError) as refused:
        one.a = "abcd"
    assert refused.value.title == "Made"
    assert refused.value.errors()[0]["loc"] == ("a",)
    assert one.a == "abc"


def test_a_class_that_is_built_again_validates_assigned_values_anew() -> None:
    class Made(Model):
        a: Mapped[int]

    one = Made(a=1)
    one.a = 2
    known = _pydantic.assigning_of(Made)
    assert _pydantic.assigning_of(Made) is known
    Made.model_rebuild(force=True)
    assert _pydantic.assigning_of(Made) is not known
    one.a = 3
    assert one.a == 3


def test_a_subclass_validates_assigned_values_by_its_own_fields() -> None:
    class Base(Model):
        a: Mapped[int] = Field(default=1)

        class Meta:
            abstract = True

    class Small(Base):
        a: Mapped[int] = Field(default=1, le=5)

    class Other(Base):
        pass

    other, small = Other(), Small()
    other.a = 9
    with pytest.raises(ValidationError):
        small.a = 9
    assert other.a == 9


def test_looking_at_the_fields_set_of_a_row_leaves_its_slot_empty() -> None:
    row = object.__new__(Plain)
    assert _pydantic.peek_fields_set(row) == frozenset()
    with pytest.raises(AttributeError):
        object.__getattribute__(row, "__pydantic_fields_set__")


def test_the_fields_set_of_a_row_is_one_set_from_the_first_use_on() -> None:
    row = object.__new__(Plain)
    made = _pydantic.first_fields_set(row, _pydantic.fills[0])
    made.add("a")
    assert _pydantic.first_fields_set(row, _pydantic.fills[0] - 1) is row.__pydantic_fields_set__ is made
    assert _pydantic.peek_fields_set(row) == {"a"}


def test_threads_that_are_the_first_to_write_to_rows_find_one_set_in_each() -> None:
    class Row(Model):
        a: Mapped[int] = Field(default=0)
        b: Mapped[int] = Field(default=0)
        c: Mapped[int] = Field(default=0)

    Row(a=1).b = 1  # the first assignment of all builds what validates
    rows = [object.__new__(Row) for _ in range(2_000)]
    for row in rows:
        _pydantic.set_dict(row, {})
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(3) as threads:
            for name in "abc":
                threads.submit(lambda name: [setattr(row, name, 1) for row in rows], name)
    finally:
        sys.setswitchinterval(interval)
    assert [row.__pydantic_fields_set__ for row in rows] == [{"a", "b", "c"}] * len(rows)


def test_private_attributes_without_default_are_left_out() -> None:
    assert _pydantic.private_values(Plain, {}) == {"_b": 2}


@pytest.mark.parametrize(
    "annotation",
    [
        Annotated[str, pydantic.Field(max_length=3)],
        Annotated[str, StringConstraints(max_length=3)],
        pydantic.constr(max_length=3),
    ],
    ids=["field", "constraints", "constr"],
)
def test_a_limit_is_found_whoever_wrote_it(annotation: Any) -> None:
    made: Any = type(Model)("Made", (Model,), {"__module__": __name__, "__annotations__": {"a": annotation}})
    assert made.table.fields["a"].type.length == 3


def test_options_of_a_column_survive_pydantic() -> None:
    class Thing(Model):
        a: Mapped[str] = Field(unique=True, max_length=3)

    found = _pydantic.own_fields(Thing)["a"].metadata
    assert [item.unique for item in found if isinstance(item, ColumnOptions)] == [True]


def test_a_hydrated_row_is_what_pydantic_would_have_made() -> None:
    class Thing(Model):
        a: Mapped[str]
        b: Mapped[Decimal] = Field(default=Decimal(1))

    made = Thing(id=1, a="x", b=Decimal(2))
    columns = _outputs(Thing)
    (row,) = maker(Thing, tuple(columns), "sqlite")(([(1, "x", Decimal(2))],), "default")
    assert row.__dict__ == {name: made.__dict__[name] for name in row.__dict__}
    assert (row.model_fields_set, row.__pydantic_extra__, row.__pydantic_private__) == (set(), None, None)
    assert row.model_dump_json() == '{"id":1,"a":"x","b":"2"}'


def _outputs(model: Any) -> Any:
    from datalayer._compile.prepared import Output

    return [Output(field.name, (), field, None) for field in model.table.fields.values()]


def test_names_around_a_class_are_found() -> None:
    class Local(BaseModel):
        x: int

    class Thing(Model):
        a: Mapped[Local]

    assert Thing(a={"x": 1}).a == Local(x=1)  # type: ignore[arg-type]


# -- sizes of integers -----------------------------------------------------------------------------


def test_an_integer_fits_in_its_column() -> None:
    class Thing(Model):
        small: Mapped[SmallInt] = Field(default=0)
        plain: Mapped[int] = Field(default=0, ge=0)
        maybe: Mapped[int | None] = Field(default=None)
        big: Mapped[BigInt] = Field(default=0)

    assert Thing(small=2**15 - 1, plain=2**31 - 1, maybe=-(2**31), big=-(2**63)).big == -(2**63)
    for name, value in [("small", 2**15), ("plain", 2**31), ("maybe", -(2**31) - 1), ("big", 2**63), ("plain", -1)]:
        with pytest.raises(ValidationError, match=f"{name}\n"):
            Thing(**{name: value})
    registry.tables()
    assert [check.name for check in Thing.table.checks] == ["ck_thing_plain_ge"]


@pytest.mark.parametrize("value", [float("nan"), "nan"])
def test_nan_is_no_value_of_a_float(value: Any) -> None:
    class Thing(Model):
        real: Mapped[float]

    with pytest.raises(ValidationError, match="NaN is no number"):
        Thing(real=value)
    assert Thing(real=float("inf")).real == float("inf")


def test_a_time_of_day_has_no_zone() -> None:
    from datetime import UTC, time

    class Thing(Model):
        opens: Mapped[time]

    with pytest.raises(ValidationError, match="a time of day has no time zone"):
        Thing(opens=time(9, tzinfo=UTC))


# -- schemas and services --------------------------------------------------------------------------


def library() -> tuple[Any, Any]:
    class Author(UUIDModel):
        name: Mapped[str] = Field(max_length=20, description="as printed")

    class Book(Model):
        title: Mapped[str] = Field(max_length=20)
        price: Mapped[Decimal] = Field(default=Decimal(1), max_digits=6, decimal_places=2, ge=0)
        author: ForeignKey[Author | None] = ForeignKey(default=None)

    return Author, Book


def test_the_json_schema_of_a_model_says_what_its_columns_say() -> None:
    Author, Book = library()
    schema = Book.model_json_schema()
    assert schema["required"] == ["title"]
    assert schema["properties"]["title"] == {"maxLength": 20, "title": "Title", "type": "string"}
    assert schema["properties"]["id"] == {"readOnly": True, "title": "Id", "type": "integer"}
    assert schema["properties"]["author_id"]["anyOf"] == [{"format": "uuid", "type": "string"}, {"type": "null"}]
    assert schema["additionalProperties"] is False
    assert Author.model_json_schema()["properties"]["name"]["description"] == "as printed"


def test_a_model_is_the_body_and_the_answer_of_a_service() -> None:
    _, Book = library()
    app = FastAPI()

    def make(book: Any) -> Any:
        book.id = 7
        return book

    make.__annotations__ = {"book": Book, "return": Book}
    app.post("/books")(make)
    with TestClient(app) as client:
        author = UUID(int=1)
        answer = client.post("/books", json={"title": "One", "author_id": str(author)})
        assert answer.status_code == 200
        assert answer.json() == {"id": 7, "title": "One", "price": "1", "author_id": str(author)}
        assert client.post("/books", json={"title": "One", "price": -1}).status_code == 422
        assert client.post("/books", json={"title": "One", "pirce": 1}).status_code == 422
        schema = client.get("/openapi.json").json()
    assert set(schema["components"]["schemas"]["Book-Input"]["properties"]) == {"id", "title", "price", "author_id"}


def test_a_request_cannot_name_a_relation_or_anything_of_the_model() -> None:
    _, Book = library()
    for name in ("author", "objects", "pk", "table", "save", "__datalayer_origin__"):
        with pytest.raises(ValidationError):
            Book.model_validate_json(f'{{"title": "One", "{name}": {{"name": "x"}}}}')


def test_a_model_is_a_field_of_another_pydantic_model() -> None:
    _, Book = library()
    Basket = pydantic.create_model("Basket", books=(list[Book], ...))
    made: Any = Basket(books=[{"title": "One"}])
    assert made.books[0].title == "One"
    assert made.model_dump() == {"books": [{"title": "One", "price": Decimal(1), "author_id": None}]}


def test_declaring_models_warns_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        library()
        registry.tables()


def test_an_unknown_name_is_told_with_the_names_there_are_and_keeps_its_type() -> None:
    class Thing(Model):
        name: Mapped[str]
        count: Mapped[int] = Field(default=0, ge=0)

    with pytest.raises(ValidationError) as caught:
        Thing(nam="x", count=-1)  # type: ignore[call-arg]
    found = {one["type"]: one for one in caught.value.errors()}
    assert (found["missing"]["loc"], found["greater_than_equal"]["ctx"]) == (("name",), {"ge": 0})
    assert found["extra_forbidden"]["loc"] == ("nam",)
    assert found["extra_forbidden"]["msg"] == (
        "Thing has no field 'nam'; the choices are count, id, name; did you mean 'name'?"
    )


@pytest.mark.parametrize("model", ["plain", "own __init__", "own schema", "validated whole"])
def test_an_instance_is_made_by_the_validator_alone_where_the_user_takes_no_part(model: str) -> None:
    class Root(BaseModel):
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            return handler(source)

    class Making(BaseModel):
        def __init__(self, **data: Any) -> None:
            super().__init__(**data)

    class Plainly(Root):
        a: int = 1

    class Owned(Root, Making):
        a: int = 1

    class Schemed(Root):
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            return handler(source)

    class Whole(Root):
        @pydantic.model_validator(mode="wrap")
        @classmethod
        def _check(cls, data: Any, handler: Any) -> Any:
            return handler(data)

    made = {"plain": Plainly, "own __init__": Owned, "own schema": Schemed, "validated whole": Whole}[model]
    assert _pydantic.is_made_by_validator(made, Root) is (model == "plain")
