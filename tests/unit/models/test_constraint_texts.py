"""Conditions of constraints and indexes: how they become SQL, and what is refused with the place that holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from datalayer import (
    CheckConstraint,
    Count,
    Exists,
    F,
    Field,
    ForeignKey,
    Index,
    Mapped,
    Model,
    OuterRef,
    Q,
    UniqueConstraint,
)
from datalayer import functions as fn
from datalayer.errors import ModelError
from datalayer.models import registry


@pytest.fixture(autouse=True)
def isolated() -> Iterator[None]:
    with registry.isolated():
        yield


def shelf(*constraints: Any, indexes: Any = ()) -> Any:
    given = constraints, indexes

    class Room(Model):
        floor: Mapped[int]

    class Shelf(Model):
        name: Mapped[str] = Field(max_length=20)
        length: Mapped[int] = Field(column="Le ngth")
        price: Mapped[Decimal] = Field(max_digits=8, decimal_places=2)
        wide: Mapped[Decimal] = Field(max_digits=30, decimal_places=2)
        is_open: Mapped[bool] = Field(default=True)
        built: Mapped[date | None] = Field(default=None)
        seen: Mapped[datetime]
        lasts: Mapped[timedelta]
        room: ForeignKey[Room] = ForeignKey(related_name="shelves")

        class Meta:
            constraints, indexes = given

    return Shelf


def text(condition: Any) -> Any:
    (check,) = shelf(CheckConstraint(condition, name="x")).table.checks
    return check.sql


@pytest.mark.parametrize(
    ("condition", "sql"),
    [
        (Q(length__gt=0), '"Le ngth" > 0'),
        (Q(length__gt=0, name__in=["a", "it's"]), """("Le ngth" > 0) AND "name" IN ('a', 'it''s')"""),
        (Q(name="100%"), "\"name\" = '100%'"),
        (Q(built__isnull=True) | Q(built__gte=date(2020, 2, 3)), '"built" IS NULL OR ("built" >= \'2020-02-03\')'),
        (~Q(length=3), 'NOT ("Le ngth" = 3)'),
        (Q(room__gt=1), '"room_id" > 1'),
        (Q(room_id=1), '"room_id" = 1'),
        (F("length") > F("room"), '"Le ngth" > "room_id"'),
        (fn.Length("name") > 3, 'length("name") > 3'),
        (Q(length__range=(1, 5)), '"Le ngth" BETWEEN 1 AND 5'),
        (Q(length__in=[]), "1 = 0"),
    ],
)
def test_a_condition_is_readable_sql(condition: Any, sql: str) -> None:
    assert text(condition) == sql


@pytest.mark.parametrize(
    ("condition", "sqlite", "postgresql"),
    [
        (Q(is_open=True), '"is_open" = 1', '"is_open" = true'),
        (Q(wide__gt=Decimal("1.5")), "\"wide\" COLLATE datalayer_decimal > '1.5'", '"wide" > 1.5'),
        (
            Q(seen__lt=datetime(2020, 1, 1, tzinfo=UTC)),
            "\"seen\" < '2020-01-01 00:00:00.000000'",
            "\"seen\" < '2020-01-01 00:00:00.000000+00:00'",
        ),
        (Q(lasts__gt=timedelta(seconds=1)), '"lasts" > 1000000', "\"lasts\" > '1000000 microseconds'"),
        (Q(name__startswith="a_"), "\"name\" GLOB 'a_*'", "\"name\" LIKE 'a\\_%'"),
    ],
)
def test_the_backends_have_their_own_text_where_they_differ(condition: Any, sqlite: str, postgresql: str) -> None:
    assert text(condition) == {"sqlite": sqlite, "postgresql": postgresql}


def test_a_typed_condition_stands_in_a_function() -> None:
    made = shelf(CheckConstraint(lambda: (made.length > 1) & (made.name != "x"), name="x"))
    (check,) = made.table.checks
    assert check.sql == '("Le ngth" > 1) AND ("name" != \'x\')'
    assert check.fields == ("name", "length")


def test_indexes_and_unique_constraints_take_conditions_as_well() -> None:
    made = shelf(
        UniqueConstraint("name", condition=Q(length__gt=0), name="u"),
        UniqueConstraint("length", condition='"price" > 0'),
        indexes=(
            Index("name", condition=Q(length__lt=0)),
            Index("price", condition={"sqlite": "1", "postgresql": "true"}),
        ),
    )
    assert [(one.name, one.condition) for one in made.table.unique] == [
        ("u", '"Le ngth" > 0'),
        ("uq_shelf_Le ngth_where", '"price" > 0'),
    ]
    found = [(one.name, one.condition) for one in made.table.indexes if "room" not in one.name]
    assert found == [
        ("ix_shelf_name_where", '"Le ngth" < 0'),
        ("ix_shelf_price_where", {"sqlite": "1", "postgresql": "true"}),
    ]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (Q(lenght__gt=0), r"Shelf has no field 'lenght'.*did you mean 'length'"),
        (Q(length__gt="x"), r"length__gt is integer and cannot be compared with 'x'"),
        (Q(length__gtt=1), r"'gtt'.*did you mean"),
        (Q(room__floor=1), r"'room__floor' walks over a relation; the database looks at one row of Shelf alone"),
        (Q(), r"an empty Q\(\) says nothing"),
        (Q(seen__lt=fn.Now()), r"Now\(\) is another value each time"),
        (Q(length__gt=fn.Random()), r"Random\(\) is another value each time"),
        (Q(length__gt=Count("*")), r"count is about several rows"),
        (lambda: 3, r"is a function that gives 3; it gives a condition"),
        (lambda: shelf().length > 3, r"length is a column of Shelf, not of Shelf"),
        (Q(price=Decimal("NaN")), "NaN|finite"),
    ],
)
def test_what_no_constraint_can_say_is_refused_with_its_place(condition: Any, message: str) -> None:
    with pytest.raises(ModelError, match=r"Shelf\.Meta: the condition of CheckConstraint 'x'.*" + message):
        text(condition)


def test_a_query_inside_is_refused() -> None:
    made = shelf(
        CheckConstraint(lambda: Q(Exists(made.objects.filter(pk=OuterRef("pk")))), name="x"),
    )
    with pytest.raises(ModelError, match=r"'x': it has a query inside; the database looks at one row"):
        _ = made.table


WRONG = cast("Any", 3)


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: CheckConstraint(WRONG, name="in_stock"), r"CheckConstraint\(name='in_stock'\)"),
        (lambda: CheckConstraint({"sqlite": "a", "postgresql": WRONG}, name="x"), r"CheckConstraint\(name='x'\)"),
        (lambda: CheckConstraint("", name="x"), r"CheckConstraint\(name='x'\)"),
        (lambda: CheckConstraint(cast("Any", None), name="x"), r"CheckConstraint\(name='x'\)"),
        (lambda: UniqueConstraint("a", condition=WRONG), r"UniqueConstraint\(condition=\.\.\.\)"),
        (lambda: Index("a", condition=WRONG), r"Index\(condition=\.\.\.\)"),
    ],
)
def test_what_is_no_condition_is_refused_where_it_is_written(make: Callable[[], object], place: str) -> None:
    with pytest.raises(ModelError, match=place + r" is a condition, such as Q\(stock__gte=0\), .* and .* is none"):
        make()


def test_sql_for_an_unknown_backend_is_refused_with_the_nearest() -> None:
    with pytest.raises(ModelError, match=r"has SQL for 'postgres'; the backends are .*did you mean 'postgresql'"):
        CheckConstraint({"postgres": "true"}, name="x")


def test_words_for_a_violation_are_text() -> None:
    with pytest.raises(ModelError, match=r"violation_error_message=3; give a text"):
        CheckConstraint("1", name="x", violation_error_message=WRONG)


@pytest.mark.parametrize("make", [UniqueConstraint, Index])
def test_a_constraint_or_index_of_nothing_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ModelError, match=r"needs the fields it is about: \w+\(\"title\", \"author\"\)"):
        make()
