"""What a column says holds in the database: defaults, computed values, uniqueness and limits, on every backend."""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from datalayer import CheckConstraint, Field, Index, Mapped, Model, NaiveDatetime, Sql, UniqueConstraint
from datalayer.errors import CheckViolation, InvalidValue, NotNullViolation, QueryError, UniqueViolation
from datalayer.models import registry
from datalayer.testing import capture_queries, create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import World


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Grade(enum.IntEnum):
    A = 1
    B = 2


with registry.isolated():

    class Filled(Model):
        plain: Mapped[int] = Field(default=3)
        made: Mapped[list[int]] = Field(default_factory=lambda: [1])
        shared: Mapped[list[int]] = Field(default=[])
        number: Mapped[int] = Field(db_default=7, init=False)
        text: Mapped[str] = Field(db_default="it's 100%", init=False)
        truth: Mapped[bool] = Field(db_default=True, init=False)
        money: Mapped[Decimal] = Field(db_default=Decimal("1.50"), max_digits=8, decimal_places=2, init=False)
        level: Mapped[Level] = Field(db_default=Level.HIGH, init=False)
        day: Mapped[date] = Field(db_default=date(2020, 2, 29), init=False)
        moment: Mapped[datetime] = Field(db_default=datetime(2020, 1, 1, tzinfo=UTC), init=False)
        span: Mapped[timedelta] = Field(db_default=timedelta(minutes=5), init=False)
        raw: Mapped[bytes] = Field(db_default=b"\x00'", init=False)
        bag: Mapped[dict[str, Any]] = Field(db_default={"a": [1, None]}, init=False)
        none: Mapped[int | None] = Field(db_default=None, init=False)
        now: Mapped[datetime] = Field(db_default=Sql("CURRENT_TIMESTAMP"), init=False)
        each: Mapped[str] = Field(db_default=Sql("'p'", sqlite="'s'"), init=False)

        class Meta:
            table = "columns_filled"

    class Computed(Model):
        width: Mapped[int]
        height: Mapped[int] = Field(column="tall")
        area: Mapped[int] = Field(generated='width * "tall"', init=False)

        class Meta:
            table = "columns_computed"

    class Stamped(Model):
        note: Mapped[str] = Field(default="")
        made: Mapped[datetime] = Field(auto_now_add=True, init=False)
        changed: Mapped[datetime] = Field(auto_now=True, init=False)
        day: Mapped[date] = Field(auto_now_add=True, init=False)

        class Meta:
            table = "columns_stamped"

    class Limited(Model):
        low: Mapped[int] = Field(default=1, ge=1)
        high: Mapped[int] = Field(default=1, lt=10)
        money: Mapped[Decimal] = Field(default=Decimal(1), max_digits=8, decimal_places=2, gt=0, le=Decimal("99.50"))
        wide: Mapped[Decimal] = Field(default=Decimal(50), max_digits=30, decimal_places=10, gt=9, le=100)
        exact: Mapped[Decimal] = Field(default=Decimal("0.5"), gt=0)
        real: Mapped[float] = Field(default=0.5, ge=0.25)
        day: Mapped[date] = Field(default=date(2020, 1, 1), ge=date(2020, 1, 1))
        opens: Mapped[time] = Field(default=time(9), ge=time(9))
        closes: Mapped[time] = Field(default=time(17), le=time(17))
        moment: Mapped[datetime] = Field(default=datetime(2020, 1, 1, tzinfo=UTC), ge=datetime(2020, 1, 1, tzinfo=UTC))
        local: Mapped[NaiveDatetime] = Field(default=datetime(800, 1, 1), ge=datetime(800, 1, 1))
        span: Mapped[timedelta] = Field(default=timedelta(1), le=timedelta(1))
        word: Mapped[str] = Field(default="ab", min_length=2)
        level: Mapped[Level] = Field(default=Level.LOW)
        grade: Mapped[Grade] = Field(default=Grade.A)
        maybe: Mapped[int | None] = Field(default=None, ge=0)

        class Meta:
            table = "columns_limited"
            constraints = (CheckConstraint('"low" <= "high"', name="ordered"),)

    class Unique(Model):
        code: Mapped[str] = Field(max_length=5, unique=True)
        left: Mapped[int] = Field(default=0)
        right: Mapped[int | None] = Field(default=None)
        open: Mapped[bool] = Field(default=False)

        class Meta:
            table = "columns_unique"
            constraints = (
                UniqueConstraint("left", "right", name="pair"),
                UniqueConstraint("left", condition="open"),
            )
            indexes = (Index("-left", "code"), Index("right", name="mine", condition='"right" > 5'))

    registry.tables()

MODELS = (Filled, Computed, Stamped, Limited, Unique)


@pytest.fixture
def tables(configured: str, world: World) -> str:
    world.run(lambda: create_tables(*MODELS), lambda: acreate_tables(*MODELS))
    return configured


def unchecked(model: Any, **values: Any) -> Any:
    """An instance that no validation has seen."""
    return model.model_construct(**values)


# -- values that nobody gives ----------------------------------------------------------------------


def test_a_default_fills_in_what_is_not_given() -> None:
    assert (Filled().plain, Filled(plain=4).plain, Filled().made) == (3, 4, [1])


def test_no_two_instances_share_a_mutable_default() -> None:
    one, two = Filled(), Filled()
    one.shared.append(1)
    one.made.append(2)
    assert (two.shared, two.made, Filled().shared) == ([], [1], [])


def test_a_database_default_is_absent_before_the_first_save() -> None:
    assert set(Filled().model_dump()) == {"plain", "made", "shared"}
    with pytest.raises(AttributeError, match="not set before the first save"):
        _ = Filled().number


@pytest.mark.usefixtures("tables")
def test_the_database_fills_in_every_kind_of_default(world: World, backend: str) -> None:
    made = world.call(Filled.objects, "create")
    again = world.call(Filled.objects, "get", id=made.id)
    for row in (made, again):
        assert (row.number, row.text, row.truth, row.money) == (7, "it's 100%", True, Decimal("1.50"))
        assert (row.level, row.day, row.span) == (Level.HIGH, date(2020, 2, 29), timedelta(minutes=5))
        assert (row.moment, row.raw, row.none) == (datetime(2020, 1, 1, tzinfo=UTC), b"\x00'", None)
        assert row.bag == {"a": [1, None]}
        assert row.each == ("s" if backend == "sqlite" else "p")
        assert abs(datetime.now(UTC) - row.now) < timedelta(minutes=1)


@pytest.mark.usefixtures("tables")
def test_a_given_value_goes_before_the_database_default(world: World) -> None:
    made = world.call(Filled.objects, "create", number=1)
    world.call(made, "refresh")
    assert made.number == 1


@pytest.mark.usefixtures("tables")
def test_a_computed_column_is_there_after_each_save(world: World) -> None:
    made = world.call(Computed.objects, "create", width=2, height=3)
    assert made.area == 6
    made.width = 5
    world.call(made, "save")
    assert made.area == 15
    world.call(made, "refresh")
    assert made.area == 15


@pytest.mark.usefixtures("tables")
def test_a_computed_column_cannot_be_written(world: World) -> None:
    with pytest.raises(QueryError, match=r"Computed.area is computed by the database"):
        world.call(Computed.objects, "create", width=2, height=3, area=6)
    made = world.call(Computed.objects, "create", width=2, height=3)
    made.area = 9
    with pytest.raises(QueryError, match=r"Computed.area is computed by the database"):
        world.call(made, "save")


@pytest.mark.usefixtures("tables")
def test_a_deleted_row_with_a_computed_column_can_be_written_again(world: World) -> None:
    made = world.call(Computed.objects, "create", width=2, height=3)
    world.call(made, "delete")
    world.call(made, "save")
    assert world.call(Computed.objects, "get").area == 6


@pytest.mark.usefixtures("tables")
def test_moments_are_set_on_the_first_save_and_on_every_save(world: World) -> None:
    made = world.call(Stamped.objects, "create")
    first, changed = made.made, made.changed
    assert abs(datetime.now(UTC) - first) < timedelta(minutes=1)
    assert abs(datetime.now(UTC).date() - made.day) <= timedelta(days=1)
    made.note = "x"
    world.call(made, "save")
    world.call(made, "refresh")
    assert made.made == first
    assert made.changed > changed


@pytest.mark.usefixtures("tables")
def test_a_column_without_value_is_refused_before_anything_is_sent(world: World) -> None:
    with capture_queries() as sent, pytest.raises(InvalidValue, match=r"Unique.code has no value"):
        world.call(unchecked(Unique), "save")
    assert not list(sent)


@pytest.mark.usefixtures("tables")
def test_the_database_refuses_null_where_validation_was_bypassed(world: World) -> None:
    with pytest.raises(NotNullViolation) as caught:
        world.call(unchecked(Unique, code=None), "save")
    assert (caught.value.model, caught.value.columns) == ("Unique", ("code",))


# -- limits ----------------------------------------------------------------------------------------

WITHIN = {
    "low": 1, "high": 9, "money": Decimal("99.50"), "wide": Decimal(100), "exact": Decimal("1e-30"), "real": 0.25,
    "opens": time(9), "closes": time(17), "span": timedelta(1), "word": "ab", "maybe": 0,
}  # fmt: skip
BEYOND: dict[str, Any] = {
    "low": 0, "high": 10, "money": Decimal(0), "wide": Decimal("100.5"), "exact": Decimal(0), "real": 0.2,
    "day": date(2019, 12, 31), "opens": time(8, 59, 59, 999999), "closes": time(17, 0, 0, 1),
    "moment": datetime(2019, 12, 31, 23, 59, 59, tzinfo=UTC), "local": datetime(799, 12, 31),
    "span": timedelta(1, microseconds=1), "word": "a", "maybe": -1,
}  # fmt: skip


@pytest.mark.usefixtures("tables")
def test_values_on_their_limits_are_kept(world: World) -> None:
    made = world.call(Limited.objects, "create", **WITHIN)
    again = world.call(Limited.objects, "get", id=made.id)
    assert {name: getattr(again, name) for name in WITHIN} == WITHIN


@pytest.mark.parametrize("name", BEYOND)
def test_a_value_beyond_its_limit_is_refused_by_construction_and_by_assignment(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        Limited(**{name: BEYOND[name]})
    made = Limited()
    before = getattr(made, name)
    with pytest.raises(ValidationError, match=name):
        setattr(made, name, BEYOND[name])
    assert getattr(made, name) == before


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("name", BEYOND)
def test_the_database_itself_refuses_a_value_beyond_its_limit(world: World, name: str) -> None:
    with pytest.raises(CheckViolation) as caught:
        world.call(unchecked(Limited, **{name: BEYOND[name]}), "save")
    assert caught.value.model == "Limited"
    assert caught.value.columns == (name,)
    assert str(caught.value.constraint).startswith(f"ck_columns_limited_{name}_")


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(("name", "value"), [("level", "mid"), ("grade", 3)])
def test_the_database_itself_refuses_what_is_no_member_of_an_enum(world: World, name: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        Limited(**{name: value})
    with pytest.raises(CheckViolation, match=f"ck_columns_limited_{name}_choices"):
        world.call(unchecked(Limited, **{name: value}), "save")


@pytest.mark.usefixtures("tables")
def test_a_check_in_sql_goes_over_several_columns(world: World) -> None:
    with pytest.raises(CheckViolation) as caught:
        world.call(Limited.objects, "create", low=5, high=4)
    assert caught.value.constraint == "ordered"


# -- uniqueness and indexes ------------------------------------------------------------------------


@pytest.mark.usefixtures("tables")
def test_a_unique_column_refuses_a_second_row(world: World) -> None:
    world.call(Unique.objects, "create", code="a")
    with pytest.raises(UniqueViolation) as caught:
        world.call(Unique.objects, "create", code="a")
    assert (caught.value.model, caught.value.columns) == ("Unique", ("code",))
    assert caught.value.constraint == "uq_columns_unique_code"


@pytest.mark.usefixtures("tables")
def test_a_constraint_over_two_columns_lets_either_repeat_and_null_count_as_different(world: World) -> None:
    for code, left, right in [("a", 1, 1), ("b", 1, 2), ("c", 2, 1), ("d", 3, None), ("e", 3, None)]:
        world.call(Unique.objects, "create", code=code, left=left, right=right)
    with pytest.raises(UniqueViolation) as caught:
        world.call(Unique.objects, "create", code="f", left=1, right=2)
    assert caught.value.columns == ("left", "right")


@pytest.mark.usefixtures("tables")
def test_a_constraint_with_a_condition_looks_at_its_rows_only(world: World) -> None:
    world.call(Unique.objects, "create", code="a", left=1, right=1)
    world.call(Unique.objects, "create", code="b", left=1, right=2, open=True)
    with pytest.raises(UniqueViolation):
        world.call(Unique.objects, "create", code="c", left=1, right=3, open=True)


@pytest.mark.usefixtures("tables")
def test_indexes_are_in_the_database(world: World, backend: str) -> None:
    sql = (
        "select name from sqlite_master where type = 'index' and tbl_name = 'columns_unique'"
        if backend == "sqlite"
        else "select indexname from pg_indexes where tablename = 'columns_unique'"
    )
    found = {row[0] for row in rows(world, sql)}
    assert {"ix_columns_unique_left_desc_code", "mine", "uq_columns_unique_left_where"} <= found


def rows(world: World, sql: str) -> list[Any]:
    from datalayer import pools

    def blocking() -> list[Any]:
        with pools["default"].connection() as connection:
            return connection.execute(sql).fetchall()

    async def awaiting() -> list[Any]:
        async with pools["default"].aconnection() as connection:
            cursor = await connection.execute(sql)
            return await cursor.fetchall()

    return world.run(blocking, awaiting)
