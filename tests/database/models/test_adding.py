"""What an application adds: types, functions and lookups of its own, on both backends."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any

import pytest

from datalayer import (
    CASCADE,
    Count,
    F,
    Field,
    ForeignKey,
    Lookup,
    Mapped,
    Max,
    Model,
    Q,
    SqlFunction,
    Transform,
    Value,
    register_type,
)
from datalayer._compile.tables import literal_sql
from datalayer._query import added
from datalayer.errors import FieldError, InvalidValue, ModelError, NotSupported, QueryError, UniqueViolation
from datalayer.functions import LessThan
from datalayer.models import adapters, registry
from datalayer.testing import acreate_tables, assert_num_queries, create_tables
from tests.worlds import World


class Money:
    """An amount in euros, of no library."""

    def __init__(self, amount: Decimal) -> None:
        self.amount = amount

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and other.amount == self.amount

    def __hash__(self) -> int:
        return hash(self.amount)

    def __repr__(self) -> str:
        return f"{self.amount} EUR"


class Colour:
    """Red, green and blue, kept as text."""

    def __init__(self, red: int, green: int, blue: int) -> None:
        self.parts = (red, green, blue)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Colour) and other.parts == self.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    @classmethod
    def parsed(cls, text: str) -> Colour:
        return cls(*(int(text[place : place + 2], 16) for place in (1, 3, 5)))

    def __str__(self) -> str:
        return "#{:02x}{:02x}{:02x}".format(*self.parts)


with registry.isolated(), adapters.isolated():
    register_type(
        Money,
        like=Annotated[Decimal, Field(max_digits=10, decimal_places=2)],
        dump=lambda money: money.amount,
        load=Money,
    )
    register_type(Colour, like=str, dump=str, load=Colour.parsed)
    _KEPT = dict(adapters._adapters)

    class Paint(Model):
        name: Mapped[str] = Field()
        price: Mapped[Money] = Field()
        old: Mapped[Money | None] = Field(default=None)
        colour: Mapped[Colour] = Field(unique=True)

        class Meta:
            table = "adding_paint"

    registry.tables()
    Paint.model_rebuild(force=True)

RED, BLUE = Colour(255, 0, 0), Colour(0, 0, 255)


@pytest.fixture
def paints(configured: str, world: World) -> Iterator[None]:
    with adapters.isolated(), added.isolated():
        adapters._adapters.update(_KEPT)
        world.run(lambda: create_tables(Paint), lambda: acreate_tables(Paint))
        world.call(Paint.objects, "create", name="Red 5", price=Money(Decimal("1.50")), colour=RED)
        world.call(
            Paint.objects,
            "bulk_create",
            [Paint(name="blue", price=Money(Decimal("20.25")), old=Money(Decimal(3)), colour=BLUE)],
        )
        yield


# -- types -----------------------------------------------------------------------------------------


def test_values_of_a_registered_type_go_and_come_back(world: World, paints: None) -> None:
    red, blue = world.iterate(Paint.objects.order_by("price"))
    assert (red.price, red.old, red.colour) == (Money(Decimal("1.50")), None, RED)
    assert (blue.price, blue.old, blue.colour) == (Money(Decimal("20.25")), Money(Decimal("3.00")), BLUE)
    red.price = Money(Decimal("2.50"))
    world.call(red, "save")
    world.call(red, "refresh")
    assert red.price == Money(Decimal("2.50"))


def test_they_work_in_questions(world: World, paints: None) -> None:
    cheap = Paint.objects.filter(Paint.price < Money(Decimal(5)))
    assert [paint.name for paint in world.iterate(cheap)] == ["Red 5"]
    assert world.call(Paint.objects, "get", colour=BLUE).name == "blue"
    assert world.call(Paint.objects.filter(colour__in=[RED, BLUE]), "count") == 2
    assert world.iterate(Paint.objects.values_list("price", flat=True).order_by("-price")) == [
        Money(Decimal("20.25")),
        Money(Decimal("1.50")),
    ]
    assert world.call(Paint.objects, "aggregate", top=Max("price")) == {"top": Money(Decimal("20.25"))}
    assert world.call(Paint.objects.filter(colour=RED), "update", price=Money(Decimal(9)), returning=True)[
        0
    ].price == Money(Decimal("9.00"))
    assert world.call(Paint.objects.filter(old__isnull=True), "update", old=F("price")) == 1
    assert world.call(Paint.objects, "get", colour=RED).old == Money(Decimal("9.00"))


def test_they_are_validated_and_dumped(world: World, paints: None) -> None:
    paint = Paint.model_validate_json('{"name": "x", "price": "4.20", "colour": "#00ff00"}')
    assert (paint.price, paint.colour) == (Money(Decimal("4.20")), Colour(0, 255, 0))
    assert '"price":"4.20"' in paint.model_dump_json()
    assert paint.model_dump()["price"] == Money(Decimal("4.20"))
    assert "price" in Paint.model_json_schema()["properties"]
    with pytest.raises(ValueError, match="price"):
        Paint(name="x", price="much", colour=RED)
    with assert_num_queries(0), pytest.raises(InvalidValue, match="price"):
        Paint.objects.filter(price="much")


def test_errors_tell_them(world: World, paints: None) -> None:
    with pytest.raises(UniqueViolation) as caught:
        world.call(Paint.objects, "create", name="again", price=Money(Decimal(1)), colour=RED)
    assert caught.value.values == {"colour": RED}


def test_a_type_is_registered_once() -> None:
    with adapters.isolated():
        register_type(Money, like=Decimal, dump=lambda money: money.amount, load=Money)
        with pytest.raises(ModelError, match="Money is registered already"):
            register_type(Money, like=Decimal, dump=lambda money: money.amount, load=Money)
        with pytest.raises(ModelError, match="takes a class"):
            register_type("Money", like=str, dump=str, load=str)  # type: ignore[arg-type]


def test_a_value_of_ones_own_type_is_a_default_in_the_database() -> None:
    kind = Paint.table.fields["price"].type
    assert (kind.precision, kind.scale) == (10, 2)
    assert literal_sql(Money(Decimal("2.50")), kind).postgresql == "2.50"
    assert literal_sql(Colour(255, 0, 16), Paint.table.fields["colour"].type).postgresql == "'#ff0010'"


# -- functions and lookups -------------------------------------------------------------------------


def test_a_function_of_ones_own(world: World, paints: None) -> None:
    Shout = SqlFunction("shout", str, "upper({0}) || '50%' || {1}")
    found = world.iterate(Paint.objects.annotate(loud=Shout(Paint.name, Value("!?:x"))).order_by(Shout("name", "name")))
    assert [paint.loud for paint in found] == ["BLUE50%!?:x", "RED 550%!?:x"]
    assert world.call(Paint.objects.filter(Shout(Paint.name, Paint.name) == "BLUE50%blue"), "count") == 1
    assert world.call(Paint.objects.filter(name="blue"), "update", name=Shout("name", Value("a"))) == 1
    assert world.call(Paint.objects, "get", name="BLUE50%a")
    grouped = Paint.objects.annotate(n=Count("id", filter=Q(name__startswith="R"))).filter(n=1)
    assert world.call(grouped, "count") == 1


def test_sql_of_several_lines_keeps_its_words_apart_and_its_texts_whole(world: World, paints: None) -> None:
    size: Any = SqlFunction("size", str, "case\nwhen length({0}) > 3\nthen 'lo\n ng'\nelse 'short' end")
    found = world.iterate(Paint.objects.values_list(size("name"), "name"))
    assert {text for text, name in found} <= {"lo\n ng", "short"}
    assert all((text == "lo\n ng") is (len(name) > 3) for text, name in found)


def test_a_function_declared_anew_is_asked_with_its_new_sql(world: World, paints: None) -> None:
    def found() -> Any:
        return sorted(world.iterate(Paint.objects.values_list(changed("name"), flat=True)))

    changed: Any = SqlFunction("changed", str, "upper({0})")
    assert found() == ["BLUE", "RED 5"]
    changed = SqlFunction("changed", str, "lower({0})")
    assert found() == ["blue", "red 5"]


def test_a_lookup_declared_anew_is_asked_with_its_new_sql(world: World, paints: None) -> None:
    Lookup("compares", str, "{0} = {1}")
    assert world.call(Paint.objects.filter(name__compares="blue"), "count") == 1
    Lookup("compares", str, "{0} <> {1} || 'x'")
    assert world.call(Paint.objects.filter(name__compares="blue"), "count") == 2


def test_a_function_of_one_backend_is_refused_on_the_other(world: World, paints: None, backend: str) -> None:
    other = "postgresql" if backend == "sqlite" else "sqlite"
    only: Any = SqlFunction("only_there", int, **{other: "length({0})"})
    with assert_num_queries(0), pytest.raises(NotSupported, match=f"no SQL for {backend}"):
        world.iterate(Paint.objects.annotate(x=only("name")))
    with pytest.raises(QueryError, match="takes 2 arguments and was given 1"):
        world.iterate(Paint.objects.annotate(x=SqlFunction("two", int, "{0} + {1}")("id")))


def test_a_lookup_of_ones_own(world: World, paints: None) -> None:
    has_length: Lookup[str] = Lookup("same_length_as", str, "length({0}) = length({1})")
    assert world.call(Paint.objects, "get", name__same_length_as="four").name == "blue"
    assert world.call(Paint.objects.exclude(Q(name__same_length_as="four")), "get").name == "Red 5"
    assert world.call(Paint.objects.filter(has_length(Paint.name, "12345")), "get").name == "Red 5"
    assert world.call(Paint.objects.filter(name__same_length_as=F("name")), "count") == 2
    assert world.call(Paint.objects.filter(has_length(Paint.name, F("name"))), "count") == 2
    with assert_num_queries(0), pytest.raises(FieldError, match="same_length_as"):
        Paint.objects.filter(id__same_length_as=5)
    with pytest.raises(QueryError, match="does not compare"):
        has_length(Paint.id, "x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SqlFunction("Bad Name", str, "x({0})"), "is no name"),
        (lambda: SqlFunction("a__b", str, "x({0})"), "is no name"),
        (lambda: SqlFunction("none", str), "has no SQL"),
        (lambda: SqlFunction("none", str, "now()"), "its arguments go where"),
        (lambda: Lookup("contains", str, "{0} = {1}"), "is built in"),
        (lambda: Lookup("year", int, "{0} = {1}"), "is built in"),
        (lambda: SqlFunction("said", str, "lower({0}) -- why"), "write it between"),
        (lambda: SqlFunction("said", str, sqlite="lower(\n  {0} -- why\n)"), "has a comment to the end of its line"),
        (lambda: Lookup("half", str, "{0} = 'x'"), r"its arguments go where \{0\}, \{1\} stands"),
    ],
)
def test_what_could_not_be_used_is_refused(make: Any, message: str) -> None:
    with added.isolated(), pytest.raises(QueryError, match=message):
        make()


def test_two_dashes_in_quotes_or_in_a_comment_begin_none(world: World, paints: None) -> None:
    said: Any = SqlFunction("said", str, "lower({0}) || '--it''s' /* -- why */")
    found = Paint.objects.annotate(x=said("name")).filter(name="blue").values_list("x", flat=True)
    assert world.iterate(found) == ["blue--it's"]


def test_a_transform_is_a_word_of_names_and_a_function(world: World, paints: None) -> None:
    first = Transform("first_letter", str, str, "substr({0}, 1, 1)")
    letters = sorted({str(name)[:1] for name in world.iterate(Paint.objects.values_list("name", flat=True))})
    rows = Paint.objects.order_by("name__first_letter").values_list("name__first_letter", flat=True).distinct()
    assert world.iterate(rows) == letters
    assert world.call(Paint.objects.filter(name__first_letter=letters[0]), "exists")
    assert world.call(Paint.objects.filter(name__first_letter__in=letters), "count") == world.call(
        Paint.objects, "count"
    )
    assert world.call(Paint.objects.filter(first(Paint.name) == letters[0]), "exists")
    assert world.call(Paint.objects.exclude(name__first_letter__gte=letters[0]), "count") == 0


def test_a_transform_of_another_type_or_name_is_refused_when_built(configured: str) -> None:
    with added.isolated(), assert_num_queries(0):
        Transform("first_letter", str, str, "substr({0}, 1, 1)")
        with pytest.raises(FieldError, match="did you mean 'first_letter'"):
            Paint.objects.filter(name__first_leter="x")
        with pytest.raises(FieldError, match="unknown lookup 'first_letter'"):
            Paint.objects.filter(id__first_letter="x")
        with pytest.raises(QueryError, match="'year' is built in"):
            Transform("year", str, int, "length({0})")
        with pytest.raises(QueryError, match=r"where \{0\} stands"):
            Transform("two", str, int, "length({0}, {1})")


# -- what is not known of an application's SQL -----------------------------------------------------


@pytest.fixture
def tubes(configured: str, world: World) -> Iterator[type[Model]]:
    """Tubes, one of them in no box."""
    with registry.isolated(), added.isolated():

        class Box(Model):
            size: Mapped[int] = Field()

            class Meta:
                table = "adding_box"

        class Tube(Model):
            name: Mapped[str] = Field()
            box: ForeignKey[Box | None] = ForeignKey(on_delete=CASCADE, default=None)

            class Meta:
                table = "adding_tube"

        registry.tables()
        world.run(lambda: create_tables(Box, Tube), lambda: acreate_tables(Box, Tube))
        box = world.call(Box.objects, "create", size=3)
        world.call(Tube.objects, "bulk_create", [Tube(name="boxed", box=box), Tube(name="loose")])
        yield Tube


def test_a_function_that_makes_something_of_null_is_asked_of_rows_without_a_relation(world: World, tubes: Any) -> None:
    or_zero: Any = SqlFunction("or_zero", int, "coalesce({0}, 0)")
    found = tubes.objects.filter(LessThan(or_zero("box__size"), 3)).values_list("name", flat=True)
    assert world.iterate(found) == ["loose"]


def test_a_lookup_that_compares_null_is_asked_of_rows_without_a_relation(world: World, tubes: Any) -> None:
    Lookup("differs", int, sqlite="{0} IS NOT {1}", postgresql="{0} IS DISTINCT FROM {1}")
    found = tubes.objects.filter(box__size__differs=3).values_list("name", flat=True)
    assert world.iterate(found) == ["loose"]


def test_a_function_keeps_its_sql_when_another_one_takes_its_name(world: World, paints: None) -> None:
    first: Any = SqlFunction("marked", str, "{0} || '1'")
    ask = Paint.objects.filter(name="blue")
    assert world.iterate(ask.values_list(first("name"), flat=True)) == ["blue1"]
    second: Any = SqlFunction("marked", str, "{0} || '2'")
    assert world.iterate(ask.values_list(second("name"), flat=True)) == ["blue2"]
    assert world.iterate(ask.values_list(first("name"), flat=True)) == ["blue1"]


def test_a_word_means_what_was_said_of_it_last(world: World, paints: None) -> None:
    for number in (1, 2):
        Transform("cut", str, str, f"substr({{0}}, {number}, 1)")
        ask = Paint.objects.filter(name="blue").values_list("name__cut", flat=True)
        assert world.iterate(ask) == ["blue"[number - 1]]


def test_a_lookup_keeps_its_sql_when_another_one_takes_its_name(world: World, paints: None) -> None:
    first: Lookup[str] = Lookup("begins", str, "substr({0}, 1, 1) = {1}")
    second: Lookup[str] = Lookup("begins", str, "substr({0}, 2, 1) = {1}")
    found = [world.call(Paint.objects.filter(has(Paint.name, "b")), "count") for has in (first, second, first)]
    assert found == [1, 0, 1]
