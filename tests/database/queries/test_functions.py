"""The library of functions: for every row what Python says, the same on every backend."""

from __future__ import annotations

import hashlib
import math
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import pytest

from datalayer import Exists, F, OuterRef, Q, Value
from datalayer import functions as fn
from datalayer.errors import FieldError, QueryError
from datalayer.testing import assert_num_queries
from tests.database.queries.library import Author, Book, Shelf
from tests.worlds import World

Wanted: TypeAlias = Mapping[str, tuple[Any, Callable[[Any], Any]]]
BERLIN = ZoneInfo("Europe/Berlin")


def safe(function: Callable[..., Any], *names: str) -> Callable[[Any], Any]:
    """The function of some fields; None where one is None."""

    def run(book: Any) -> Any:
        values = [getattr(book, name) for name in names]
        return None if None in values else function(*values)

    return run


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float | int):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(left, Decimal) and isinstance(right, Decimal):
        return abs(left - right) <= abs(right) * Decimal("1e-12")
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(*pair) for pair in zip(left, right, strict=True))
    return bool(left == right)


def check(world: World, books: Shelf, wanted: Wanted) -> None:
    """Every expression, for every book."""
    rows = world.iterate(Book.objects.order_by("id").values("id", **{name: pair[0] for name, pair in wanted.items()}))
    assert len(rows) == len(books)
    for row, book in zip(rows, sorted(books, key=lambda book: book.id), strict=True):
        for name, (_, expected) in wanted.items():
            value = expected(book)
            assert same(row[name], value), (name, book.id, row[name], value)


def quantized(number: Any, places: int = 0, rounding: str = ROUND_HALF_UP) -> Decimal:
    return Decimal(str(number)).quantize(Decimal(1).scaleb(-places), rounding=rounding)


TEXT: Wanted = {
    "lower": (fn.Lower("title"), lambda b: b.title.lower()),
    "upper": (fn.Upper(Book.title), lambda b: b.title.upper()),
    "length": (fn.Length("title"), lambda b: len(b.title)),
    "left": (fn.Left("title", 1), lambda b: b.title[:1]),
    "left0": (fn.Left("title", 0), lambda b: ""),
    "right": (fn.Right("title", 2), lambda b: b.title[-2:]),
    "right0": (fn.Right("title", 0), lambda b: ""),
    "substr": (fn.Substr("title", 2, 1), lambda b: b.title[1:2]),
    "rest": (fn.Substr("title", 2), lambda b: b.title[1:]),
    "replace": (fn.Replace("title", "a", "zz"), lambda b: b.title.replace("a", "zz")),
    "removed": (fn.Replace("title", "a"), lambda b: b.title.replace("a", "")),
    "lpad": (fn.LPad("title", 5, "xy"), lambda b: ("xyxyx"[: max(0, 5 - len(b.title))] + b.title)[:5]),
    "rpad": (fn.RPad("title", 2), lambda b: b.title.ljust(2)[:2]),
    "unpadded": (fn.LPad("title", 3, ""), lambda b: b.title[:3]),
    "repeat": (fn.Repeat("title", 2), lambda b: b.title * 2),
    "never": (fn.Repeat("title", 0), lambda b: ""),
    "reverse": (fn.Reverse("title"), lambda b: b.title[::-1]),
    "chr": (fn.Chr(233), lambda b: "é"),
    "ord": (fn.Ord("title"), lambda b: ord(b.title[0]) if b.title else None),
    "md5": (fn.MD5("title"), lambda b: hashlib.md5(b.title.encode()).hexdigest()),
    "sha224": (fn.SHA224("title"), lambda b: hashlib.sha224(b.title.encode()).hexdigest()),
    "sha256": (fn.SHA256("title"), lambda b: hashlib.sha256(b.title.encode()).hexdigest()),
    "sha384": (fn.SHA384("title"), lambda b: hashlib.sha384(b.title.encode()).hexdigest()),
    "sha512": (fn.SHA512("title"), lambda b: hashlib.sha512(b.title.encode()).hexdigest()),
    "index": (fn.StrIndex("title", "b"), lambda b: b.title.find("b") + 1),
    "index_of": (fn.StrIndex("title", F("note")), safe(lambda title, note: title.find(note) + 1, "title", "note")),
    "trim": (fn.Trim(fn.Concat(Value("  "), "title", Value(" "))), lambda b: b.title.strip(" ")),
    "ltrim": (fn.LTrim(fn.Concat(Value("  "), "title")), lambda b: b.title.lstrip(" ")),
    "rtrim": (fn.RTrim(fn.Concat("title", Value("  "))), lambda b: b.title.rstrip(" ")),
    "concat": (fn.Concat("title", Value("-"), "note"), lambda b: f"{b.title}-{b.note or ''}"),
    "concat_any": (
        fn.Concat("pages", "in_print", "price", "published_on"),
        lambda b: "".join(
            "" if v is None else str(v).lower() if isinstance(v, bool) else str(v)
            for v in (b.pages, b.in_print, quantized(b.price, 2), b.published_on)
        ),
    ),
    "of_null": (fn.Upper("note"), safe(str.upper, "note")),
    "slice": (F("title")[1:3], lambda b: b.title[1:3]),
    "slice_typed": (Book.title[:2], lambda b: b.title[:2]),
    "slice_rest": (fn.Upper("title")[2:], lambda b: b.title.upper()[2:]),
    "slice_none": (Book.title[2:1], lambda b: ""),
    "slice_of_null": (F("note")[0:2], safe(lambda v: v[0:2], "note")),
    "letter": (F("title")[1], lambda b: b.title[1:2]),
    "letter_typed": (Book.note[0], safe(lambda v: v[0:1], "note")),
}

NUMBERS: Wanted = {
    "abs": (fn.Abs("pages"), safe(abs, "pages")),
    "ceil": (fn.Ceil("price"), lambda b: quantized(b.price, 0, ROUND_CEILING)),
    "floor": (fn.Floor("rating"), safe(math.floor, "rating")),
    "floor_money": (fn.Floor(Book.price), lambda b: quantized(b.price, 0, ROUND_FLOOR)),
    "round": (fn.Round("price"), lambda b: quantized(b.price)),
    "round1": (fn.Round("rating", 1), safe(lambda v: float(quantized(v, 1)), "rating")),
    "round_ten": (fn.Round("price", -1), lambda b: quantized(b.price, -1)),
    "round_half": (fn.Round(F("pages") / Value(2.0)), safe(lambda v: float(quantized(v / 2)), "pages")),
    "sign": (fn.Sign("pages"), safe(lambda v: (v > 0) - (v < 0), "pages")),
    "mod": (fn.Mod("pages", 3), safe(lambda v: math.fmod(v, 3), "pages")),
    "mod_money": (fn.Mod("price", 3), lambda b: Decimal(b.price) % 3),
    "mod_float": (F("rating") % 2, safe(lambda v: math.fmod(v, 2), "rating")),
    "power": (fn.Power("pages", 2), safe(lambda v: float(v) ** 2, "pages")),
    "sqrt": (fn.Sqrt(fn.Abs("pages")), safe(lambda v: math.sqrt(abs(v)), "pages")),
    "exp": (fn.Exp(fn.Sign("pages")), safe(lambda v: math.exp((v > 0) - (v < 0)), "pages")),
    "log_whole": (fn.Floor(fn.Log(10, Value(1000))), lambda b: 3),
    "ln": (fn.Ln(Value(2)), lambda b: math.log(2)),
    "log": (fn.Log(10, 100), lambda b: 2.0),
    "sin": (fn.Sin("rating"), safe(lambda v: math.sin(v), "rating")),
    "cos": (fn.Cos("rating"), safe(lambda v: math.cos(v), "rating")),
    "tan": (fn.Tan(fn.Sign("pages")), safe(lambda v: math.tan((v > 0) - (v < 0)), "pages")),
    "cot": (fn.Cot(1), lambda b: 1 / math.tan(1)),
    "asin": (fn.ASin(0.5), lambda b: math.asin(0.5)),
    "acos": (fn.ACos(0.5), lambda b: math.acos(0.5)),
    "atan": (fn.ATan("rating"), safe(lambda v: math.atan(v), "rating")),
    "atan2": (fn.ATan2("pages", 2), safe(lambda v: math.atan2(v, 2), "pages")),
    "degrees": (fn.Degrees(1), lambda b: math.degrees(1)),
    "radians": (fn.Radians(180), lambda b: math.pi),
    "pi": (fn.Pi(), lambda b: math.pi),
    "negative": (-F("price"), lambda b: -b.price),
    "bits": (F("pages").bitand(3), safe(lambda v: v & 3, "pages")),
    "more_bits": (Book.pages.bitor(4), safe(lambda v: v | 4, "pages")),
    "whole_by_whole": (F("pages") / 2, safe(lambda v: math.trunc(v / 2), "pages")),
    "whole_and_money": (F("pages") * F("price"), safe(lambda p, m: p * m, "pages", "price")),
    "whole_and_float": (F("pages") * 1.5, safe(lambda v: v * 1.5, "pages")),
    "swapped": (10 - F("pages"), safe(lambda v: 10 - v, "pages")),
    "typed": (2 * Book.price + 1, lambda b: 2 * b.price + 1),
}

MOMENTS: Wanted = {
    "hour": (fn.Extract("sold_at", "hour", tzinfo=BERLIN), safe(lambda v: v.astimezone(BERLIN).hour, "sold_at")),
    "week": (fn.Extract(Book.published_on, "week"), safe(lambda v: v.isocalendar().week, "published_on")),
    "minute": (fn.Extract("opens_at", "minute"), safe(lambda v: v.minute, "opens_at")),
    "date": (fn.TruncDate("sold_at", tzinfo="Europe/Berlin"), safe(lambda v: v.astimezone(BERLIN).date(), "sold_at")),
    "time": (
        fn.TruncTime("sold_at", tzinfo=BERLIN),
        safe(lambda v: v.astimezone(BERLIN).time(), "sold_at"),
    ),
    "later": (F("sold_at") + timedelta(hours=36), safe(lambda v: v + timedelta(hours=36), "sold_at")),
    "earlier": (Book.published_on - timedelta(days=1), safe(lambda v: v - timedelta(days=1), "published_on")),
    "lent_until": (F("sold_at") + F("lent_for"), safe(lambda a, b: a + b, "sold_at", "lent_for")),
    "age": (Value(date(2024, 1, 1)) - F("published_on"), safe(lambda v: date(2024, 1, 1) - v, "published_on")),
    "since": (
        F("sold_at") - datetime(2020, 1, 1, tzinfo=UTC),
        safe(lambda v: v - datetime(2020, 1, 1, tzinfo=UTC), "sold_at"),
    ),
    "twice": (F("lent_for") * 2, safe(lambda v: v * 2, "lent_for")),
}


def begin(step: str, value: Any) -> Any:
    """The begin of a step in Python."""
    if step == "quarter":
        value = value.replace(month=(value.month - 1) // 3 * 3 + 1, day=1)
    elif step == "week":
        value -= timedelta(days=value.weekday())
    elif step == "year":
        value = value.replace(month=1, day=1)
    elif step == "month":
        value = value.replace(day=1)
    if not isinstance(value, datetime):
        return value
    clock = {"hour": {}, "minute": {}, "second": {}}
    if step not in clock:
        value = value.replace(hour=0)
    if step not in {"minute", "second"}:
        value = value.replace(minute=0)
    return value.replace(microsecond=0) if step == "second" else value.replace(second=0, microsecond=0)


def clock(step: str, value: time) -> time:
    """The begin of the hour, minute or second that a time lies in."""
    parts = {"hour": ("minute", "second"), "minute": ("second",), "second": ()}[step]
    return value.replace(microsecond=0, **dict.fromkeys(parts, 0))


DAYS = ("year", "quarter", "month", "week", "day")
STEPS: Wanted = {
    **{f"date_{s}": (fn.Trunc("published_on", s), safe(lambda v, s=s: begin(s, v), "published_on")) for s in DAYS},
    **{
        f"moment_{s}": (fn.Trunc("sold_at", s), safe(lambda v, s=s: begin(s, v), "sold_at"))
        for s in (*DAYS, "hour", "minute", "second")
    },
    **{
        f"local_{s}": (
            fn.Trunc("sold_at", s, tzinfo=BERLIN),
            safe(lambda v, s=s: begin(s, v.astimezone(BERLIN)), "sold_at"),
        )
        for s in (*DAYS, "hour", "minute", "second")
    },
    **{
        f"time_{s}": (fn.Trunc("opens_at", s), safe(lambda v, s=s: clock(s, v), "opens_at"))
        for s in ("hour", "minute", "second")
    },
    **{
        f"short_{step}": (word("sold_at"), safe(lambda v, s=step: begin(s, v), "sold_at"))
        for step, word in {
            "year": fn.TruncYear,
            "quarter": fn.TruncQuarter,
            "month": fn.TruncMonth,
            "week": fn.TruncWeek,
            "day": fn.TruncDay,
            "hour": fn.TruncHour,
            "minute": fn.TruncMinute,
            "second": fn.TruncSecond,
        }.items()
    },
    "clock": (fn.TruncHour(Book.opens_at), safe(lambda v: clock("hour", v), "opens_at")),
    "named": (fn.TruncMonth(Book.sold_at), safe(lambda v: begin("month", v), "sold_at")),
}

MIXED: Wanted = {
    "coalesce": (fn.Coalesce("note", Value("none")), lambda b: "none" if b.note is None else b.note),
    "coalesce_many": (fn.Coalesce("pages", F("id") * 0, 7), lambda b: 0 if b.pages is None else b.pages),
    "greatest": (fn.Greatest("pages", 2), lambda b: max(2, b.pages or 0)),
    "least": (fn.Least("pages", 2), lambda b: 2 if b.pages is None else min(2, b.pages)),
    "greatest_typed": (
        fn.Greatest(Book.published_on, date(2020, 6, 1)),
        lambda b: max(b.published_on or date.min, date(2020, 6, 1)),
    ),
    "nullif": (fn.NullIf("pages", 2), lambda b: None if b.pages == 2 else b.pages),
    "case": (
        fn.Case(fn.When(price__lt=5, then=Value("cheap")), fn.When(Book.price < 10, then="title"), default="note"),
        lambda b: "cheap" if b.price < 5 else b.title if b.price < 10 else b.note,
    ),
    "case_without": (fn.Case(fn.When(pages=2, then="price")), lambda b: b.price if b.pages == 2 else None),
    "condition": (Q(price__lt=5), lambda b: b.price < 5),
    "typed_condition": (Book.price < 5, lambda b: b.price < 5),
    "null": (Value(None, int), lambda b: None),
    "money_to_int": (fn.Cast("price", int), lambda b: int(quantized(b.price))),
    "float_to_int": (fn.Cast("rating", int), safe(round, "rating")),
    "int_to_text": (fn.Cast(Book.pages, str), safe(str, "pages")),
    "money_to_text": (fn.Cast("price", str), lambda b: str(quantized(b.price, 2))),
    "bool_to_text": (fn.Cast("in_print", str), safe(lambda v: str(v).lower(), "in_print")),
    "bool_to_int": (fn.Cast("in_print", int), safe(int, "in_print")),
    "date_to_text": (fn.Cast("published_on", str), safe(str, "published_on")),
    "int_to_float": (fn.Cast("pages", float), safe(float, "pages")),
    "int_to_money": (fn.Cast("pages", Decimal), safe(Decimal, "pages")),
    "moment_to_date": (fn.Cast("sold_at", date), safe(lambda v: v.date(), "sold_at")),
    "date_to_moment": (
        fn.Cast("published_on", datetime),
        safe(lambda v: datetime(v.year, v.month, v.day, tzinfo=UTC), "published_on"),
    ),
    "uuid_to_text": (fn.Cast("isbn", str), safe(str, "isbn")),
    "text_to_int": (fn.Cast(Value("12"), int), lambda b: 12),
    "object": (
        fn.JSONObject(title="title", price="price", print="in_print", day="published_on", at="sold_at", r="rating"),
        lambda b: {
            "title": b.title,
            "price": float(b.price),
            "print": b.in_print,
            "day": b.published_on and str(b.published_on),
            "at": b.sold_at and b.sold_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "r": b.rating,
        },
    ),
    "array": (
        fn.JSONArray("title", Value(True), Value(None), fn.JSONArray("pages")),
        lambda b: [b.title, True, None, [b.pages]],
    ),
}


@pytest.mark.parametrize(
    "wanted",
    [TEXT, NUMBERS, MOMENTS, STEPS, MIXED],
    ids=["text", "numbers", "moments", "steps", "mixed"],
)
def test_functions_say_for_every_row_what_python_says(world: World, books: Shelf, wanted: Wanted) -> None:
    check(world, books, wanted)


def test_functions_filter_and_order(world: World, books: Shelf) -> None:
    wanted = {book.id for book in books if len(book.title) > 2}
    assert set(world.iterate(Book.objects.filter(fn.Length("title") > 2).values_list("id", flat=True))) == wanted
    assert set(world.iterate(Book.objects.filter(fn.Length(Book.title) > 2).values_list("id", flat=True))) == wanted
    found = world.iterate(Book.objects.order_by(fn.Length("title").desc(), "id").values_list("id", flat=True))
    assert found == [book.id for book in sorted(books, key=lambda book: (-len(book.title), book.id))]


def test_a_part_of_a_text_filters_orders_and_groups(world: World, books: Shelf) -> None:
    assert set(world.iterate(Book.objects.filter(F("title")[0:1] == "a").values_list("id", flat=True))) == {
        book.id for book in books if book.title[0:1] == "a"
    }
    same = Book.objects.filter(title__startswith=OuterRef("name")[0:1], author=OuterRef("pk"))
    assert {author.id for author in world.iterate(Author.objects.filter(Exists(same)))} == {
        book.author.id for book in books if book.title.startswith(book.author.name[0:1])
    }
    wanted = Counter(book.title[0:2] for book in books)
    assert {
        row["part"]: row["n"]
        for row in world.iterate(Book.objects.values(part=Book.title[0:2]).annotate(n=fn.Count("id")).order_by("part"))
    } == wanted


def test_chance_is_between_none_and_one(world: World, books: Shelf) -> None:
    found = world.iterate(Book.objects.values_list(fn.Random()))
    assert all(0 <= number < 1 for (number,) in found)
    assert len(set(found)) > 1


def test_identifiers_of_the_database_are_another_for_each_row(world: World, books: Shelf) -> None:
    rows = world.iterate(Book.objects.values_list(fn.UUID4(), fn.UUID7()))
    assert {(one.version, other.version) for one, other in rows} == {(4, 7)}
    assert {made.variant for row in rows for made in row} == {uuid.RFC_4122}
    assert len({made for row in rows for made in row}) == 2 * len(books)
    moment = datetime.fromtimestamp((rows[0][1].int >> 80) / 1000, UTC)
    assert abs(moment - datetime.now(UTC)) < timedelta(minutes=5)
    world.call(Book.objects.all(), "update", isbn=fn.UUID7())
    kept = world.iterate(Book.objects.values_list(Book.isbn, flat=True))
    assert len({made for made in kept if made is not None and made.version == 7}) == len(books)


def test_now_is_now(world: World, books: Shelf) -> None:
    (moment,) = world.iterate(Book.objects.values_list(fn.Now(), flat=True)[:1])
    assert abs(moment - datetime.now(UTC)) < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Book.objects.annotate(x=fn.Lower("price")), r"Lower\(\) is of text, and 'price' is decimal"),
        (lambda: Book.objects.annotate(x=fn.Lower(Book.price)), r"Lower\(\) is of text"),
        (lambda: fn.Left("title", -1), "whole number from 0, not -1"),
        (lambda: fn.Substr("title", 0), "whole number from 1, not 0"),
        (lambda: Book.objects.annotate(x=fn.Abs("title")), r"Abs\(\) is of numbers, and 'title' is string"),
        (lambda: Book.objects.annotate(x=fn.Trunc("title", "day")), "of dates, moments and times, not of string"),
        (lambda: Book.objects.annotate(x=fn.Trunc("opens_at", "day")), "a time has no day"),
        (lambda: fn.Trunc("sold_at", "dey"), "no step 'dey'.*did you mean 'day'"),
        (lambda: fn.Extract("sold_at", "hours"), "no part 'hours'.*did you mean 'hour'"),
        (lambda: Book.objects.annotate(x=fn.Extract("published_on", "hour")), "a date has no hour"),
        (lambda: Book.objects.annotate(x=fn.Trunc("published_on", "hour")), "a date has no hour"),
        (lambda: fn.Trunc("sold_at", "day", tzinfo="Europe/Berlln"), "no time zone 'Europe/Berlln'"),
        (lambda: Book.objects.annotate(x=fn.Trunc("published_on", "day", tzinfo=BERLIN)), "in no time zone"),
        (lambda: Book.objects.annotate(x=fn.Coalesce("title", 3)), "big integer and string at once"),
        (lambda: Book.objects.annotate(x=fn.Cast("isbn", int)), "a uuid cannot become a integer"),
        (lambda: Book.objects.annotate(x=fn.Case(fn.When(pages=1, then=Value("x")), default=3)), "Case.. is of"),
        (lambda: fn.Case(), r"takes When\(...\) first"),
        (lambda: fn.When(then=3), "no condition"),
        (lambda: Book.objects.annotate(x=F("title") * 2), "string \\* big integer has no meaning"),
        (lambda: Book.objects.annotate(x=F("published_on") + F("published_on")), "date \\+ date has no meaning"),
        (lambda: Book.objects.annotate(x=fn.JSONObject(lent="lent_for")), "JSON has no form for duration"),
        (lambda: fn.JSONObject(), "given nothing"),
        (lambda: Book.objects.filter(F("pages")), "is a integer, and a condition is true or false"),
        (lambda: Book.objects.annotate(x=5), r"written Value\(5\)"),
        (lambda: Book.objects.annotate(x=fn.Concat(Book.title, Author.name)), "is a column of Author, not of Book"),
        (lambda: Book.price + Author.id, "columns of two models"),
        (lambda: Book.title[-2:], r"from 0.*Right\(\)"),
        (lambda: Book.objects.annotate(x=F("title")[-1]), r"places 0, 1, 2.*Right\(\)"),
        (lambda: Book.objects.annotate(x=F("title")[: 2**40]), "from 0"),
        (lambda: Book.objects.annotate(x=F("title")["a"]), "places 0, 1, 2"),
        (lambda: Book.objects.annotate(x=F("title")[0:4:2]), "no step"),
        (lambda: Book.title[::2], "no step"),
        (lambda: Book.objects.annotate(x=F("pages")[0:2]), r"F\('pages'\)\[0:2\]: it is a integer.*Cast"),
        (lambda: Book.pages[0], "it is a integer"),
        (lambda: list(F("title")), "not iterable"),
        (lambda: Book.objects.annotate(x=fn.Lower("titel")), "no field 'titel'.*'title'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(
    shelves: str, made: Callable[[], object], message: str
) -> None:
    with assert_num_queries(0), pytest.raises((QueryError, FieldError, TypeError), match=message):
        made()
