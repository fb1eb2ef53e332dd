"""What `dump` writes, `load` reads back exactly: every type, every relation, within a backend and across."""

from __future__ import annotations

import enum
import gzip
import io
import ipaddress
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, IPvAnyInterface, IPvAnyNetwork

import datalayer
import datalayer.data
from datalayer import BigInt, Field, ForeignKey, ManyToMany, Mapped, Model, NaiveDatetime, Range, SmallInt, UUIDModel
from datalayer.conf import reset
from datalayer.data import dump, load
from datalayer.errors import LoadError, ModelError, QueryError
from datalayer.models import registry
from datalayer.pooling.registry import pools
from datalayer.testing.tables import create_tables, drop_tables
from tests.worlds import BlockingWorld, World

BLOCKING = BlockingWorld()


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Point(BaseModel):
    x: int
    y: datetime


class Models:
    """The models of these tests, declared anew for each."""

    def __init__(self) -> None:
        class Everything(UUIDModel):
            small: Mapped[SmallInt]
            whole: Mapped[int]
            big: Mapped[BigInt]
            real: Mapped[float]
            yes: Mapped[bool]
            short: Mapped[str] = Field(max_length=10)
            long: Mapped[str | None]
            raw: Mapped[bytes | None]
            money: Mapped[Decimal] = Field(max_digits=12, decimal_places=2)
            wide: Mapped[Decimal | None] = Field(max_digits=40, decimal_places=20)
            day: Mapped[date]
            clock: Mapped[time]
            moment: Mapped[datetime]
            local: Mapped[NaiveDatetime | None]
            span: Mapped[timedelta]
            colour: Mapped[Colour | None]
            size: Mapped[Size]
            word: Mapped[Literal["a", "b"]]
            free: Mapped[dict[str, Any]]
            items: Mapped[list[int]]
            point: Mapped[Point | None]
            nights: Mapped[Range[int] | None]
            moments: Mapped[Range[datetime]]
            address: Mapped[ipaddress.IPv4Address | None]
            interface: Mapped[IPvAnyInterface | None]
            network: Mapped[IPvAnyNetwork | None]

        class Book(Model):
            title: Mapped[str] = Field(max_length=20)
            author: ForeignKey[Author] = ForeignKey()
            tags: ManyToMany[Tag] = ManyToMany()
            changed: Mapped[datetime] = Field(auto_now=True)

        class Author(Model):
            name: Mapped[str] = Field(max_length=20, unique=True)
            mentor: ForeignKey[Author | None] = ForeignKey(default=None, related_name="pupils")
            best: ForeignKey[Book | None] = ForeignKey(default=None, related_name="best_of")

        class Tag(Model):
            name: Mapped[str]

        self.everything: Any = Everything
        self.book: Any = Book
        self.author: Any = Author
        self.tag: Any = Tag


@pytest.fixture
def models() -> Iterator[Models]:
    with registry.isolated():
        yield Models()


@pytest.fixture
def both(sqlite_url: str, postgresql_url: str, models: Models, request: pytest.FixtureRequest) -> Iterator[Models]:
    """The two backends by their names, with empty tables."""
    world: World = request.getfixturevalue("world") if "world" in request.fixturenames else BLOCKING
    datalayer.configure(databases={"default": sqlite_url, "sqlite": sqlite_url, "postgresql": postgresql_url})
    for alias in ("sqlite", "postgresql"):
        create_tables(using=alias)
    try:
        yield models
    finally:
        world.run(lambda: None, pools.aclose_all)
        pools.close_all()
        pools.reset()
        reset()


def dumped(alias: str, *names: str, world: World = BLOCKING) -> bytes:
    file = io.BytesIO()
    world.call(datalayer.data, "dump", file, names, using=alias)
    return file.getvalue()


def emptied(alias: str) -> None:
    drop_tables(using=alias)
    create_tables(using=alias)


ALIASES = pytest.mark.parametrize("alias", ["sqlite", "postgresql"])
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=10)
JSON = st.dictionaries(TEXT, st.one_of(st.none(), st.booleans(), st.integers(-9, 9), TEXT), max_size=3)
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))
ROWS = st.fixed_dictionaries(
    {
        "id": st.uuids(),
        "small": st.integers(-(2**15), 2**15 - 1),
        "whole": st.integers(-(2**31), 2**31 - 1),
        "big": st.integers(-(2**63), 2**63 - 1),
        "real": st.floats(allow_nan=False),
        "yes": st.booleans(),
        "short": TEXT,
        "long": st.none() | TEXT,
        "raw": st.none() | st.binary(max_size=20),
        "money": st.decimals(-9999, 9999, places=2),
        "wide": st.none() | st.decimals(-(10**19), 10**19, places=20),
        "day": st.dates(),
        "clock": st.times(),
        "moment": MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC)),
        "local": st.none() | MOMENTS,
        "span": st.timedeltas(timedelta(-100_000), timedelta(100_000)),
        "colour": st.none() | st.sampled_from(Colour),
        "size": st.sampled_from(Size),
        "word": st.sampled_from(["a", "b"]),
        "free": JSON,
        "items": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3),
        "point": st.none() | st.builds(lambda x, y: Point(x=x, y=y.replace(tzinfo=UTC)), st.integers(-9, 9), MOMENTS),
        "nights": st.none()
        | st.builds(lambda low, size: Range(low, low + size), st.integers(-9, 9), st.integers(0, 9)),
        "moments": MOMENTS.map(lambda moment: Range(moment.replace(tzinfo=UTC), None, "()")),
        "address": st.none() | st.ip_addresses(v=4),
        "interface": st.none() | st.ip_addresses().map(lambda found: ipaddress.ip_interface(f"{found}/20")),
        "network": st.none() | st.ip_addresses(v=6).map(ipaddress.ip_network),
    }
)


@settings(
    max_examples=15,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=st.lists(ROWS, min_size=1, max_size=4, unique_by=lambda row: row["id"]))
def test_random_rows_of_every_type_go_from_sqlite_to_postgresql_and_back(both: Models, rows: Any) -> None:
    table = both.everything.objects

    def kept(alias: str) -> list[Any]:
        return list(table.using(alias).order_by("id").values())

    for alias in ("sqlite", "postgresql"):
        table.using(alias).all().delete()
    table.using("sqlite").bulk_create([both.everything(**row) for row in rows])
    written = dumped("sqlite")
    before = kept("sqlite")
    load(io.BytesIO(written), using="postgresql")
    assert kept("postgresql") == before
    again = dumped("postgresql")
    table.using("sqlite").all().delete()
    load(io.BytesIO(again), using="sqlite")
    assert kept("sqlite") == before


def filled(models: Models, alias: str) -> bytes:
    """Authors that refer to each other and to their books, books with tags; what a dump says of it."""
    author, book, tag = (each.objects.using(alias) for each in (models.author, models.book, models.tag))
    anna = author.create(name="Anna")
    ben = author.create(name="Ben", mentor=anna)
    anna.mentor = ben
    anna.best = book.create(title="Emma", author=anna)
    anna.save()
    anna.best.tags.add(tag.create(name="old"), tag.create(name="good"))
    return dumped(alias)


@ALIASES
def test_references_to_itself_cycles_and_many_to_many_come_back(both: Models, alias: str, world: World) -> None:
    written = filled(both, alias)
    assert [json.loads(line)["model"] for line in written.splitlines()[1:]] == [
        "Author", "Author", "Book", "Tag", "Tag", "Book_tags", "Book_tags",
    ]  # fmt: skip
    for other in ("sqlite", "postgresql"):
        emptied(other)
        assert world.call(datalayer.data, "load", io.BytesIO(written), using=other) == 7
        assert dumped(other, world=world) == written


@ALIASES
def test_flush_empties_cycles_and_numbers_anew(both: Models, alias: str, world: World) -> None:
    filled(both, alias)
    assert world.call(datalayer.data, "flush", using=alias) == 5
    assert dumped(alias) == b'{"rows":0}\n'
    assert both.author.objects.using(alias).create(name="Anna").id == 1


@ALIASES
def test_keys_go_on_after_those_that_were_loaded(both: Models, alias: str, world: World) -> None:
    line = io.BytesIO(b'{"model":"Tag","fields":{"id":41,"name":"old"}}\n')
    world.call(datalayer.data, "load", line, using=alias)
    assert both.tag.objects.using(alias).create(name="new").id == 42


def test_a_mark_that_editors_put_before_the_first_line_is_none_of_it(both: Models) -> None:
    assert load(io.BytesIO(b'\xef\xbb\xbf{"rows":1}\r\n' + GOOD.encode()), using="sqlite") == 1


def test_a_compressed_file_is_loaded_as_it_is(both: Models) -> None:
    filled(both, "sqlite")
    content = dumped("sqlite")
    assert load(io.BytesIO(gzip.compress(content)), using="postgresql") == content.count(b"\n") - 1
    assert dumped("postgresql") == content


def test_a_list_of_json_is_loaded_row_by_row(both: Models) -> None:
    filled(both, "sqlite")
    content = dumped("sqlite")
    rows = [json.loads(line) for line in content.splitlines()[1:]]
    assert load(io.BytesIO(json.dumps(rows, indent=2).encode()), using="postgresql") == len(rows)
    assert dumped("postgresql") == content


@pytest.mark.parametrize("content", [b"[]", b" [ ]\n", b"\xef\xbb\xbf[\n]"])
def test_an_empty_list_has_no_rows(both: Models, content: bytes) -> None:
    assert load(io.BytesIO(content), using="sqlite") == 0


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ('[\n%s,\n{"model": "Nothing", "fields": {}}\n]', 3, "no model is called 'Nothing'"),
        ("[\n%s,\n3]", 3, "is no row"),
        ("[\n%s\n%s]", 3, "expecting ',' or the ']' that ends the list"),
        ("[\n%s,\n]", 3, "is no JSON"),
        ("[\n%s", 2, "expecting ',' or the ']' that ends the list"),
        ("[\n%s]\n%s", 3, "there is more after the end of the list"),
    ],
)
def test_what_is_wrong_in_a_list_is_told_by_its_line(both: Models, content: str, line: int, message: str) -> None:
    with pytest.raises(LoadError) as caught:
        load(io.BytesIO(content.replace("%s", GOOD.strip()).encode()), using="sqlite")
    assert message in str(caught.value)
    assert caught.value.line == line
    assert dumped("sqlite") == b'{"rows":0}\n'


@pytest.mark.parametrize("kept", [12, -4])
def test_a_compressed_file_that_was_cut_is_told_as_such(both: Models, kept: int) -> None:
    packed = gzip.compress(GOOD.encode())
    with pytest.raises(LoadError, match="the compressed file was cut or changed"):
        load(io.BytesIO(packed[:kept]), using="sqlite")
    assert dumped("sqlite") == b'{"rows":0}\n'


@pytest.mark.parametrize(
    ("begin", "message"),
    [
        (b"\xff\xfe{\x00", "is UTF-16, and dumpdata writes UTF-8"),
    ],
)
def test_a_file_of_another_kind_is_told_what_it_is(both: Models, begin: bytes, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        load(io.BytesIO(begin), using="sqlite")


def test_named_models_bring_the_table_between_them(both: Models) -> None:
    filled(both, "sqlite")
    found = {json.loads(line)["model"] for line in dumped("sqlite", "Book", "Tag").splitlines()[1:]}
    assert found == {"Book", "Tag", "Book_tags"}


def test_models_are_left_out_with_the_tables_that_join_them(both: Models) -> None:
    filled(both, "sqlite")
    file = io.BytesIO()
    dump(file, but=["Tag", "Everything"], using="sqlite")
    assert {json.loads(line)["model"] for line in file.getvalue().splitlines()[1:]} == {"Author", "Book"}
    with pytest.raises(QueryError, match=r"no model is called 'Tga'; .* did you mean 'Tag'"):
        dump(file, but=["Tga"], using="sqlite")


def test_a_name_that_is_no_model_gets_the_nearest(both: Models) -> None:
    with pytest.raises(QueryError, match=r"no model is called 'Bok'; .* did you mean 'Book'"):
        dumped("sqlite", "Bok")


GOOD = '{"model":"Tag","fields":{"id":1,"name":"good"}}\n'
WRONG = [
    ('{"model":"Tag","fields":{"name":"caf\udce9"}}', "line 2 is not UTF-8, as dumpdata writes it: byte 37", None),
    ('{"model":"Tag",', "line 2 is no JSON", None),
    ('{"model":"Tag","fields":{"id":2,"name":"x"}', "line 2 is no JSON", None),
    ("[]", "line 2 is no row", None),
    ('{"model":"Tag","fields":{"id":2,"name":"x"},"more":{}}', "line 2 is no row", None),
    ('{"model":"Tga","fields":{}}', "line 2: no model is called 'Tga'.*did you mean 'Tag'", None),
    ('{"model":"Tag","fields":{"nam":"x"}}', "line 2: Tag.nam does not exist.*did you mean 'name'", "nam"),
    ('{"model":"Tag","fields":{"id":2}}', "line 2: Tag.name has no value", "name"),
    ('{"model":"Tag","fields":{"name":"x","nmae":1}}', "line 2: Tag.nmae does not exist.*did you mean 'name'", "nmae"),
    ('{"model":"Tag","fields":{"name":1}}', "line 2: Tag.name cannot be 1: input should be a valid string", "name"),
    ('{"model":"Tag","fields":{"id":1e40,"name":"x"}}', "line 2: Tag.id cannot be", "id"),
    ('{"model":"Tag","fields":{"id":1,"name":"x"}}', "line 2: Tag", None),
    ('{"model":"Author","fields":{"id":1,"name":"x","mentor_id":7}}', "line 2: Author", None),
    ('{"model":"Author","fields":{"name":"' + 21 * "x" + '"}}', "line 2: Author.name cannot be", "name"),
]


@ALIASES
@pytest.mark.parametrize(("line", "message", "name"), WRONG)
def test_a_wrong_line_is_told_by_its_number_and_nothing_is_loaded(
    both: Models, alias: str, line: str, message: str, name: str | None
) -> None:
    with pytest.raises(LoadError, match=message) as caught:
        load(io.BytesIO(f"{GOOD}{line}\n".encode("utf-8", "surrogateescape")), using=alias)
    assert caught.value.line == 2
    assert name is None or caught.value.field == name
    assert both.tag.objects.using(alias).count() == 0


def test_rows_that_need_each_other_are_refused(sqlite_url: str) -> None:
    with registry.isolated():

        class Hen(Model):
            egg: ForeignKey[Egg] = ForeignKey()

        class Egg(Model):
            hen: ForeignKey[Hen] = ForeignKey()

        assert Hen
        assert Egg
        with pytest.raises(ModelError, match="the rows of Hen and Egg need each other"):
            dump(io.BytesIO())


def test_text_that_postgresql_cannot_keep_is_told_by_its_line(both: Models) -> None:
    with pytest.raises(LoadError, match="line 2: Tag"):
        load(io.BytesIO(GOOD.encode() + b'{"model":"Tag","fields":{"id":2,"name":"a\\u0000"}}\n'), using="postgresql")


def test_many_rows_are_written_in_pieces_and_a_wrong_one_among_them_is_found(both: Models, world: World) -> None:
    rows = [f'{{"model":"Tag","fields":{{"id":{number},"name":"x"}}}}\n' for number in (*range(2500), 2400)]
    with pytest.raises(LoadError, match=r"line 2501: Tag\.id: "):
        world.call(datalayer.data, "load", io.BytesIO("".join(rows).encode()), using="postgresql")
    assert both.tag.objects.using("postgresql").count() == 0
