"""SQL injection as an attacker would try it: every value is bound, every name is known or quoted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal, cast
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import datalayer
from datalayer import (
    Case,
    CheckConstraint,
    Count,
    Excluded,
    F,
    Field,
    FilteredRelation,
    ForeignKey,
    Index,
    Join,
    Lookup,
    Mapped,
    Model,
    Q,
    Transform,
    UniqueConstraint,
    Value,
    When,
    Window,
)
from datalayer import functions as fn
from datalayer.conf import reset
from datalayer.errors import CheckViolation, DatalayerError, InvalidValue, QueryError, UniqueViolation
from datalayer.models import registry
from datalayer.pooling.registry import pools
from datalayer.testing import acreate_tables, assert_num_queries, capture_queries, create_tables
from tests.worlds import World

HOSTILE = [
    "'; DROP TABLE injection_note; --",
    "' OR '1'='1",
    '" OR ""="',
    "\\'; DELETE FROM injection_note; --",
    "%s",
    "%(text)s",
    "%",
    "%%",
    "100% of :text and ?1 and $1",
    ":text",
    "?",
    "$1",
    "\u2019; DROP TABLE injection_note; --",
    "\uff07 OR 1=1",
    "\u02bc",
    "/* */ --",
    "a\nb;\r\n--",
    "\x1b[2J\x7f",
    "\\",
    "\\\\",
    "_%[a-z]*?",
    "{0}{text}",
    "\U0001f4a3",
]

Odd = Literal["it's", 'a "b"', "50%s", "c:\\d", ":x", "?"]

with registry.isolated():

    class Note(Model):
        text: Mapped[str] = Field()
        number: Mapped[int] = Field(default=0)
        price: Mapped[Decimal] = Field(max_digits=8, decimal_places=2, default=Decimal(0))
        day: Mapped[date | None] = Field(default=None)
        at: Mapped[datetime | None] = Field(default=None)
        mark: Mapped[UUID | None] = Field(default=None)
        data: Mapped[dict[str, Any]] = Field(default_factory=dict)
        blob: Mapped[bytes] = Field(default=b"")

        class Meta:
            table = "injection_note"

    class Weird(Model):
        """Every identifier is as bad as it can be."""

        quoted: Mapped[str] = Field(column='a"b; DROP TABLE x; --', default="d")
        percent: Mapped[str] = Field(column="c%s %(x)s %% d", unique=True)
        colon: Mapped[int] = Field(column=":e ?1 $2", default=0, index=True)
        back: Mapped[str] = Field(column="f\\g'h", db_default="it's 5%s \\ :x")
        odd: Mapped[Odd] = Field(column="order", default="it's")
        doubled: Mapped[int] = Field(init=False, generated='":e ?1 $2" * 2')

        class Meta:
            table = 'we"ird; DROP TABLE "x"; -- %s \\'
            constraints = (
                UniqueConstraint("quoted", "colon", name='u"; DROP %s'),
                CheckConstraint('":e ?1 $2" >= 0', name="c';%s"),
            )
            indexes = (Index("back", name='i"; --%s'),)

    class Leaf(Model):
        weird: ForeignKey[Weird] = ForeignKey(related_name="leaves", column='fk"%s')

        class Meta:
            table = "select"

    registry.tables()


@pytest.fixture
def notes(configured: str, world: World) -> None:
    world.run(lambda: create_tables(Note, Weird, Leaf), lambda: acreate_tables(Note, Weird, Leaf))


# -- values ----------------------------------------------------------------------------------------


def test_hostile_text_is_kept_and_found_as_it_is(world: World, notes: None) -> None:
    for text in HOSTILE:
        world.call(Note.objects, "create", text=text, data={text: [text]}, blob=text.encode())
    world.call(Note.objects, "bulk_create", [Note(text=text, number=1) for text in HOSTILE])
    assert world.call(Note.objects, "count") == 2 * len(HOSTILE)
    for text in HOSTILE:
        found = world.iterate(Note.objects.filter(text=text))
        assert [note.text for note in found] == [text, text]
        assert found[0].data == {text: [text]}
        assert found[0].blob == text.encode()
        for lookup in ("exact", "contains", "startswith", "endswith", "iexact", "icontains"):
            assert text in world.iterate(
                Note.objects.filter(**{f"text__{lookup}": text}).values_list("text", flat=True)
            )
        assert world.call(Note.objects.filter(text__in=[text]), "update", text=text + "!", number=F("number") + 5) == 2
        sql = "SELECT * FROM injection_note WHERE text = %(p)s AND text <> %(q)s"
        raw = world.iterate(Note.objects.raw(sql, {"p": text + "!", "q": text}))
        assert [note.text for note in raw] == [text + "!"] * 2
    assert world.call(Note.objects.filter(text__endswith="!"), "delete") == 2 * len(HOSTILE)


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30))])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXT,
    "number": st.integers(-(2**31), 2**31 - 1),
    "price": st.decimals(-999_999, 999_999, places=2),
    "day": st.dates(),
    "at": st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=ZONES),
    "mark": st.uuids(),
}
QUESTIONS: list[Callable[[str, Any], Any]] = [
    lambda name, value: Note.objects.filter(**{name: value}),
    lambda name, value: Note.objects.exclude(**{name: value}),
    lambda name, value: Note.objects.filter(Q(**{name: value}) | ~Q(**{f"{name}__gt": value})),
    lambda name, value: Note.objects.filter(**{f"{name}__in": [value, value]}),
    lambda name, value: Note.objects.filter(**{f"{name}__range": (value, value)}),
    lambda name, value: Note.objects.annotate(n=Count("id", filter=Q(**{name: value}))).filter(n__gte=0),
    lambda name, value: Note.objects.filter(pk__in=Note.objects.filter(**{name: value}).values("id")),
    lambda name, value: Note.objects.order_by(
        Case(When(**{name: value}, then=1), default=2), fn.Coalesce(name, Value(value))
    ),
    lambda name, value: (
        Note.objects.values(it=fn.Coalesce(name, Value(value)))
        .annotate(n=Count("*"))
        .order_by(fn.Coalesce(name, Value(value)))
    ),
    lambda name, value: (
        Note.objects.with_cte("found", Note.objects.filter(**{f"{name}__lt": value}))
        .filter(**{name: value})
        .union(Note.objects.exclude(**{name: value}))
    ),
    lambda name, value: Note.objects.annotate(n=Window(Count("id", filter=Q(**{name: value})), order_by=name)).filter(
        Q(n=1) | Q(**{name: value})
    ),
    lambda name, value: Note.objects.join(other=Join(Note, Q(**{f"other__{name}": value}) & Q(id=F("other__id")))),
]


@pytest.mark.parametrize("name", VALUES)
@given(data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_value_changes_a_question(configured: str, world: World, name: str, data: st.DataObject) -> None:
    one, other = data.draw(VALUES[name]), data.draw(VALUES[name])
    for question in QUESTIONS:
        assert question(name, one).sql()[0] == question(name, other).sql()[0]


@given(one=TEXT, other=TEXT)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_value_changes_what_is_sent(notes: None, world: World, one: str, other: str) -> None:
    def sent(text: str) -> list[str]:
        with capture_queries() as captured:
            note = world.call(Note.objects, "create", text=text, data={text: text})
            note.text = text + "."
            world.call(note, "save")
            world.call(Note.objects.filter(text=text), "update", text=text, returning=True)
            world.call(Note.objects, "bulk_create", [Note(text=text), Note(text=text)], ignore_conflicts=True)
            world.call(Note.objects, "bulk_update", [note], {"text": text})
            world.call(
                Note.objects,
                "bulk_create",
                [Note(id=note.id, text=text)],
                on_conflict=("pk",),
                update={"text": text},
                where=Q(text__contains=text) & Q(text__lt=Excluded("text")),
            )
            world.call(Note.objects, "insert_from", Note.objects.filter(text=text).values("text", "data"))
            world.call(Note.objects.filter(text__icontains=text), "delete")
        return [statement.sql for statement in captured.all]

    assert sent(one) == sent(other)


@pytest.mark.parametrize("lookup", ["exact", "contains", "startswith", "in", "gt"])
def test_text_with_a_zero_byte_is_refused(world: World, notes: None, lookup: str) -> None:
    value: Any = ["a\0b"] if lookup == "in" else "a\0b"
    with assert_num_queries(0), pytest.raises(InvalidValue, match="zero byte"):
        world.iterate(Note.objects.filter(**{f"text__{lookup}": value}))


def test_text_with_a_zero_byte_is_not_written(world: World, notes: None) -> None:
    with assert_num_queries(0), pytest.raises(ValidationError, match="zero byte"):
        world.call(Note.objects, "create", text="a\0'; --")


# -- names -----------------------------------------------------------------------------------------

# A name that begins with an underscore is no attribute of an instance, and "?" is the order by chance.
NAMES = [text for text in HOSTILE if text.isprintable() and text[0] not in "_?"] + [
    "text; --",
    "text FROM injection_note",
    "number__x'",
    "a b",
]


@pytest.mark.parametrize(
    "use",
    [
        lambda name: Note.objects.filter(**{name: 1}),
        lambda name: Note.objects.filter(**{f"text__{name}": 1}),
        lambda name: Note.objects.exclude(Q(**{name: 1})),
        lambda name: Note.objects.order_by(name),
        lambda name: Note.objects.order_by(f"-{name}"),
        lambda name: Note.objects.order_by(F(name).desc()),
        lambda name: Note.objects.values(name),
        lambda name: Note.objects.values_list(name),
        lambda name: Note.objects.only(name),
        lambda name: Note.objects.defer(name),
        lambda name: Note.objects.annotate(x=Count(name)),
        lambda name: Note.objects.annotate(x=F(name) + 1),
        lambda name: Note.objects.select_related(name),
        lambda name: Note.objects.prefetch_related(name),
        lambda name: Note.objects.all().update(**{name: 1}),
        lambda name: Note.objects.all().update(text=F(name)),
        lambda name: Note.objects.bulk_update([], [name]),
        lambda name: Note.objects.bulk_create([], on_conflict=(name,)),
        lambda name: Note.objects.bulk_create([], on_conflict=name),
        lambda name: Note.objects.bulk_create([], on_conflict=("pk",), update=(name,)),
        lambda name: Note.objects.bulk_create([], on_conflict=("pk",), update={"text": Excluded(name)}),
        lambda name: Note.objects.get_or_create({name: 1}, text="x"),
        lambda name: Note.objects.in_bulk([1], field=name),
        lambda name: Note(id=1, text="x").save(update_fields=[name]),
        lambda name: Note.objects.using(name).count(),
        lambda name: Note.objects.select_for_update(of=(name,)),
        lambda name: Note.objects.earliest(name),
        lambda name: Note.objects.aggregate(x=Count(name)),
        lambda name: Note.objects.filter(fn.GreaterThan(name, 1)),
        lambda name: Note.objects.annotate(x=fn.KT(name)),
        lambda name: Note.objects.order_by(fn.Collate("text", name)),
        lambda name: Note.objects.explain(format=cast("Any", name)),
        lambda name: Note.objects.explain(**{name: True}),
        lambda name: Note.objects.explain(buffers=cast("Any", name)),
        lambda name: Note.objects.sample(cast("Any", name)),
        lambda name: Note.objects.sample(10, method=cast("Any", name)),
        lambda name: Note.objects.sample(10, seed=cast("Any", name)),
        lambda name: fn.Frame(cast("Any", name), 0, unit="range"),
        lambda name: fn.Frame(0, cast("Any", name), unit="range"),
        lambda name: fn.Frame(0, 1, unit=name),
        lambda name: fn.Frame(0, 1, exclude=name),
        lambda name: Note.objects.annotate(x=FilteredRelation(name, Q(number=1))),
        lambda name: Lookup(name, str, "{0} = {1}"),
        lambda name: Transform(name, Note.text, str, "lower({0})"),
    ],
)
def test_no_name_of_an_attacker_reaches_the_database(sqlite_url: str, use: Callable[[str], Any]) -> None:
    datalayer.configure(databases={"default": sqlite_url})
    try:
        for name in NAMES:
            with assert_num_queries(0), pytest.raises(DatalayerError):
                use(name)
    finally:
        pools.reset()
        reset()


@pytest.mark.parametrize("name", ["order", "Select", "notes", "é", "recursive", "t1"])
def test_a_cte_may_be_called_as_words_of_sql_are(world: World, notes: None, name: str) -> None:
    note = world.call(Note.objects, "create", text="x", number=3)
    rows = Note.objects.with_cte(name, Note.objects.filter(number=3))
    assert world.iterate(rows) == [note]
    assert world.iterate(rows.with_cte("last", lambda before: before.filter(text="x"))) == [note]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_ctes_and_joins_are_refused_or_quoted(world: World, notes: None, name: str) -> None:
    note = world.call(Note.objects, "create", text="x", number=3)
    for make in (
        lambda: Note.objects.with_cte(name, Note.objects.filter(number=3)),
        lambda: Note.objects.with_cte("fine", Note.objects.all()).with_cte(name, Note.objects.all()),
        lambda: Note.objects.join(**{name: Join(Note, Q(number=3))}),
        lambda: Note.objects.annotate(**{name: FilteredRelation("marks", Q(marks__number=3))}),
    ):
        try:
            query = make()
        except QueryError:
            continue  # refused is as good as quoted
        assert world.iterate(query) == [note]


@pytest.mark.parametrize("name", ["injection_note", "INJECTION_NOTE"])
def test_a_cte_does_not_stand_in_for_a_table(world: World, notes: None, name: str) -> None:
    with assert_num_queries(0), pytest.raises(QueryError, match="has the name of a table that the statement reads"):
        world.iterate(Note.objects.with_cte(name, Note.objects.filter(number=3)))
    beside = Note.objects.with_cte("fine", Note.objects.all()).join(x=Join(Note, Q(id=F("x__id"))))
    assert world.iterate(beside) == []


@pytest.mark.parametrize("key", HOSTILE)
def test_hostile_keys_of_json_are_bound_as_text_and_as_lookups(world: World, notes: None, key: str) -> None:
    note = world.call(Note.objects, "create", text=key, data={key: {key: "found"}})
    for query in (
        Note.objects.filter(fn.Exact(fn.KT(Note.data[key][key]), "found")),
        Note.objects.filter(fn.HasKey("data", key), fn.HasKeys(F("data")[key], [key])),
        Note.objects.filter(fn.In("text", [key, Value(key), F("text")]), fn.Contains(fn.Lower("text"), key.lower())),
        Note.objects.filter(fn.StartsWith(Note.text, key), fn.EndsWith("text", F("text")), fn.IExact("text", key)),
    ):
        assert world.iterate(query) == [note]
    assert world.iterate(Note.objects.values_list(fn.KT(F("data")[key][key]), flat=True)) == ["found"]


@pytest.mark.parametrize("alias", NAMES)
def test_names_of_computed_values_are_quoted(world: World, notes: None, alias: str) -> None:
    world.call(Note.objects, "create", text="x", number=3)
    try:
        annotated = Note.objects.annotate(**{alias: F("number") + 1})
        ordered = annotated.order_by(f"-{alias}")
        valued = Note.objects.values(**{alias: F("number") * 2})
    except QueryError:
        return  # refused is as good as quoted
    (note,) = world.iterate(annotated)
    assert getattr(note, alias) == 4
    assert len(world.iterate(ordered)) == 1
    assert world.iterate(valued) == [{alias: 6}]
    assert world.call(Note.objects, "aggregate", **{alias: Count("id")}) == {alias: 1}
    assert world.call(Note.objects, "count") == 1


# -- identifiers of models -------------------------------------------------------------------------


def test_identifiers_are_quoted_everywhere(world: World, notes: None) -> None:
    weird = world.call(Weird.objects, "create", percent="p", colon=2)
    assert (weird.quoted, weird.back, weird.odd, weird.doubled) == ("d", "it's 5%s \\ :x", "it's", 4)
    weird.colon = 3
    weird.odd = "50%s"
    world.call(weird, "save")
    assert weird.doubled == 6
    batch = [Weird(percent="p", colon=9), Weird(percent="q", colon=8, odd="?")]
    saved = world.call(
        Weird.objects, "bulk_create", batch, on_conflict=("percent",), update={"colon": F("colon") + Excluded("colon")}
    )
    assert [each.colon for each in saved.updated] == [12]
    world.call(Weird.objects, "bulk_create", [Weird(id=70, percent="r", colon=70)])
    assert world.call(Weird.objects, "create", percent="s", colon=71).id == 71
    saved[1].colon = 5
    world.call(Weird.objects, "bulk_update", [saved[1]], ["colon", "back"])
    leaf = world.call(Leaf.objects, "create", weird=weird)
    assert world.call(Leaf.objects.filter(weird__colon__gt=1, weird__odd="50%s"), "get") == leaf
    assert world.iterate(Leaf.objects.select_related("weird"))[0].weird == weird
    assert world.call(Weird.objects.filter(leaves=leaf), "update", quoted="%s", returning=True)[0].quoted == "%s"
    world.call(Note.objects, "create", text="it's 5%s", number=3)
    copied = Note.objects.values(percent=F("text"), colon=F("number") * 3)
    assert world.call(Weird.objects, "insert_from", copied) == 1
    grouped = Weird.objects.annotate(n=Count("leaves")).order_by("-n", "percent")
    assert [each.n for each in world.iterate(grouped)] == [1, 0, 0, 0, 0]
    assert world.call(Weird.objects.filter(percent="q"), "delete") == 1


def test_violations_of_odd_names_are_told(world: World, notes: None) -> None:
    world.call(Weird.objects, "create", percent="p", colon=2)
    with pytest.raises(UniqueViolation) as unique:
        world.call(Weird.objects, "create", percent="p", colon=3)
    assert unique.value.columns == ("c%s %(x)s %% d",)
    wrong = Weird(percent="z", colon=-1)
    with pytest.raises(CheckViolation):
        world.call(wrong, "save")
