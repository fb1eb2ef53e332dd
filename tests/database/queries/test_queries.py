"""Questions and changes against real databases: both backends must say the same, in both worlds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from datalayer._compile.prepared import Prepared
from datalayer._plans import bulk, read, related, write
from datalayer._query.change import Delete, Given, Insert, OnConflict, Update
from datalayer._query.comparing import comparison
from datalayer._query.condition import Comparison, ExistsCondition, Junction
from datalayer._query.expression import (
    Aggregate,
    AnnotationRef,
    Arithmetic,
    Expression,
    FieldRef,
    Function,
    Ordering,
    Subquery,
    Value,
)
from datalayer._query.path import reference
from datalayer._query.query import Query
from tests.unit.compile import shop
from tests.unit.compile.shop import AUTHOR, BOOK, DATE, INT, MONEY, TAG, TEXT

Ask = Callable[..., Any]
BOOKS, AUTHORS = Query(BOOK), Query(AUTHOR)
PRICE, TITLE = reference(BOOK, "price"), reference(BOOK, "title")


def where(name: str, value: object, table: Any = BOOK) -> Any:
    return comparison(table, name, value)


def ids(ask: Ask, query: Query) -> list[int]:
    columns = (("id", reference(query.table, "id")),)
    return sorted(row[0] for row in ask(read.tuples, query.replaced(columns=columns)))


LOOKUPS: list[tuple[str, object, list[int]]] = [
    ("title__contains", "_1", [1, 4]),
    ("title__contains", "%", [2]),
    ("title__icontains", "A_", [1, 4]),
    ("title__icontains", "ünd", [3]),
    ("title__startswith", "A_", [1]),
    ("title__istartswith", "a_", [1, 4]),
    ("title__endswith", "\\", [3]),
    ("title__iendswith", "AGAIN", [4]),
    ("title__iexact", "üNDER\\", [3]),
    ("title__regex", "^[aA]_", [1, 4]),
    ("title__iregex", "^ü", [3]),
    ("title__ne", "A_1", [2, 3, 4]),
    ("title__endswith", reference(BOOK, "title"), [1, 2, 3, 4]),
    ("title__icontains", reference(BOOK, "author__name"), []),
    ("price__gt", Decimal("10.10"), [2]),
    ("price__in", [Decimal("10.10"), Decimal(5)], [1, 3]),
    ("price__range", (Decimal(5), Decimal("7.5")), [3, 4]),
    ("id__in", [1, 2, None, 99], [1, 2]),
    ("id__in", BOOKS.filtered(where("price__gt", Decimal(9))), [1, 2]),
    ("author__in", AUTHORS.filtered(where("name", "Ann", AUTHOR)), [1, 2]),
    ("published_at__isnull", True, [3]),
    ("editor__isnull", True, [1, 4]),
    ("editor", 2, [2]),
    ("editor__name__ne", "Bob", [3]),
    ("tags__isnull", True, [4]),
    ("tags__label__in", ["sf", "new"], [1, 2, 3]),
    ("author__books__title", "b%2", [1, 2]),
    ("author__born__year", 1950, [1, 2]),
    ("published_at__gt", datetime(2020, 6, 1, tzinfo=UTC), [2, 4]),
    ("published_at__date", date(2020, 12, 31), [2]),
    ("published_at__time__gt", time(12, 0), [2, 4]),
    ("published_at__year", 2020, [1, 2]),
    ("published_at__year__gt", 2020, [4]),
    ("published_at__iso_year", 2020, [1, 2]),
    ("published_at__quarter", 2, [4]),
    ("published_at__month__in", [1, 6], [1, 4]),
    ("published_at__week", 53, [2]),
    ("published_at__day", 15, [4]),
    ("published_at__week_day", 3, [4]),
    ("published_at__iso_week_day", 2, [4]),
    ("published_at__hour", 23, [2]),
    ("published_at__minute", 30, [4]),
    ("published_at__second", 45, [4]),
]


def test_lookups_and_their_opposites(ask: Ask) -> None:
    for name, value, wanted in LOOKUPS:
        condition = where(name, value)
        others = [number for number in (1, 2, 3, 4) if number not in wanted]
        assert sorted(set(ids(ask, BOOKS.filtered(condition)))) == wanted, (name, value)
        assert ids(ask, BOOKS.filtered(~condition)) == others, ("not", name, value)
        assert sorted(set(ids(ask, BOOKS.filtered(~~condition)))) == wanted, ("not not", name, value)
        either = Junction("xor", (condition, where("id__gt", 2)))
        if "tags" not in name and "books" not in name:
            assert ids(ask, BOOKS.filtered(either)) == sorted({*wanted} ^ {3, 4}), ("xor", name, value)


def test_conditions_combined(ask: Ask) -> None:
    sf, old, bob = where("tags__label", "sf"), where("tags__label", "old"), where("editor__name", "Bob")
    assert ids(ask, BOOKS.filtered(sf & old)) == []
    assert ids(ask, BOOKS.filtered(sf).filtered(old)) == [1]
    assert sorted(set(ids(ask, BOOKS.filtered(sf | bob)))) == [1, 2]
    assert ids(ask, BOOKS.filtered(~(sf & old))) == [1, 2, 3, 4]
    assert ids(ask, BOOKS.filtered(~(sf | where("editor__name", "Ann")))) == [4]
    assert ids(ask, BOOKS.filtered(sf & ~old)) == [2]


def test_rows_come_in_the_same_order_nulls_included(ask: Ask) -> None:
    order = (Ordering(reference(BOOK, "editor__name")), Ordering(reference(BOOK, "id")))
    columns = (("id", reference(BOOK, "id")),)
    up = BOOKS.replaced(columns=columns, order=order)
    assert ask(read.tuples, up) == [(3,), (2,), (1,), (4,)]
    assert ask(read.tuples, up.replaced(order=tuple(item.reversed() for item in order))) == [(4,), (1,), (2,), (3,)]
    assert ask(read.tuples, up.replaced(limit=2, offset=1)) == [(2,), (1,)]
    assert ask(read.tuples, up.replaced(offset=3)) == [(4,)]


def test_count_and_exists_over_slices_and_distinct_rows(ask: Ask) -> None:
    tagged = BOOKS.filtered(where("tags__isnull", False))
    assert ask(read.count, tagged) == 4
    assert ask(read.count, tagged.replaced(distinct=True)) == 3
    assert ask(read.count, BOOKS.replaced(limit=3, offset=2)) == 2
    assert ask(read.exists, BOOKS.replaced(offset=4)) is False
    assert ask(read.exists, tagged) is True
    assert ask(read.count, BOOKS.replaced(columns=(("label", reference(BOOK, "tags__label")),))) == 5


def test_distinct_may_be_ordered_by_what_is_not_shown(ask: Ask) -> None:
    query = BOOKS.replaced(
        columns=(("author", reference(BOOK, "author__name")),),
        distinct=True,
        order=(Ordering(reference(BOOK, "author__born")),),
    )
    assert ask(read.tuples, query) == [("Ann",), ("Bob",)]


def test_every_function(ask: Ask) -> None:
    def call(name: str, *arguments: Expression, type: Any = TEXT) -> Function:
        return Function(name, arguments, type)

    def bound(value: object, type: Any = TEXT) -> Value:
        return Value(value, type)

    editor = reference(BOOK, "editor__name")
    moment = reference(BOOK, "published_at")
    found: list[tuple[Expression, object]] = [
        (call("lower", TITLE), "ünder\\"),
        (call("upper", TITLE), "ÜNDER\\"),
        (call("length", TITLE, type=INT), 6),
        (call("coalesce", moment, moment, type=shop.MOMENT), None),
        (call("coalesce", editor, bound("none")), "Ann"),
        (call("concat", TITLE, bound("-"), editor), "Ünder\\-Ann"),
        (call("substr", TITLE, bound(2, INT), bound(2, INT)), "nd"),
        (call("left", TITLE, bound(2, INT)), "Ün"),
        (call("right", TITLE, bound(2, INT)), "r\\"),
        (call("replace", TITLE, bound("n"), bound("m")), "Ümder\\"),
        (call("nullif", TITLE, bound("Ünder\\")), None),
        (call("greatest", PRICE, bound(Decimal(8), MONEY), type=MONEY), Decimal(8)),
        (call("least", PRICE, bound(Decimal(8), MONEY), type=MONEY), Decimal(5)),
        (call("abs", Arithmetic("-", bound(1, INT), PRICE, MONEY), type=MONEY), Decimal(4)),
        (call("cast", reference(BOOK, "id")), "3"),
        (call("year", moment, type=INT), None),
        (call("date", moment, type=DATE), None),
        (Arithmetic("*", PRICE, bound(Decimal("1.5"), MONEY), MONEY), Decimal("7.5")),
        (Arithmetic("%", reference(BOOK, "id"), bound(2, INT), INT), 1),
        (Arithmetic("||", TITLE, bound("!"), TEXT), "Ünder\\!"),
        (bound(5, INT), 5),
    ]
    columns = tuple((f"c{number}", expression) for number, (expression, _) in enumerate(found))
    (row,) = ask(read.tuples, BOOKS.filtered(where("id", 3)).replaced(columns=columns))
    assert list(row) == [value for _, value in found]
    for expression, _ in found:  # the same value in SELECT and GROUP BY is the same expression
        group = BOOKS.replaced(
            columns=(("value", expression), ("n", Aggregate("count", None, INT))), group_by=(expression,)
        )
        assert sum(row[1] for row in ask(read.tuples, group)) == 4


def test_aggregates(ask: Ask) -> None:
    types = {"count": INT, "sum": MONEY, "avg": MONEY, "min": MONEY, "max": MONEY}
    aggregates = tuple((name, Aggregate(name, PRICE, type)) for name, type in types.items())
    whole = ask(read.aggregate, BOOKS, aggregates)
    assert whole == {
        "count": 4,
        "sum": Decimal("42.80"),
        "avg": Decimal("10.7"),
        "min": Decimal("5.00"),
        "max": Decimal("20.20"),
    }
    cheapest = BOOKS.replaced(limit=2, order=(Ordering(PRICE),))
    assert ask(read.aggregate, cheapest, aggregates[:2]) == {"count": 2, "sum": Decimal("12.50")}
    ann = (("ann", Aggregate("sum", PRICE, MONEY, condition=where("author__name", "Ann"))),)
    assert ask(read.aggregate, BOOKS, ann) == {"ann": Decimal("30.30")}
    assert ask(read.aggregate, cheapest, ann) == {"ann": None}
    tagged = BOOKS.filtered(where("tags__isnull", False)).replaced(distinct=True)
    assert ask(read.aggregate, tagged, aggregates[:2]) == {"count": 3, "sum": Decimal("35.30")}


def test_annotated_rows(ask: Ask) -> None:
    annotations = (
        ("books", Aggregate("count", reference(AUTHOR, "books"), INT)),
        ("edited", Aggregate("count", reference(AUTHOR, "edited"), INT)),
        ("spent", Aggregate("sum", reference(AUTHOR, "books__price"), MONEY)),
        ("dear", Aggregate("count", reference(AUTHOR, "books"), INT, condition=where("books__price__gt", 9, AUTHOR))),
        ("tags", Aggregate("count", reference(AUTHOR, "books__tags"), INT, distinct=True)),
    )
    query = AUTHORS.replaced(annotations=annotations, only=("id",), order=(Ordering(reference(AUTHOR, "id")),))
    assert ask(read.tuples, query) == [
        (1, 2, 1, Decimal("30.30"), 2, 2),
        (2, 2, 1, Decimal("12.50"), 0, 1),
        (3, 0, 0, None, 0, 0),
    ]
    rich = query.filtered(Comparison(AnnotationRef("spent", MONEY), "gt", Value(Decimal(20), MONEY)))
    assert ids(ask, rich) == [1]
    assert ask(read.count, rich) == 1
    assert ids(ask, query.filtered(where("books__price__gt", 1, AUTHOR))) == [1, 2]


def test_groups(ask: Ask) -> None:
    name = reference(BOOK, "author__name")
    groups = BOOKS.replaced(
        columns=(("name", name), ("n", AnnotationRef("n", INT)), ("total", AnnotationRef("total", MONEY))),
        annotations=(("n", Aggregate("count", None, INT)), ("total", Aggregate("sum", PRICE, MONEY))),
        group_by=(name,),
        order=(Ordering(AnnotationRef("total", MONEY), descending=True),),
    )
    assert ask(read.tuples, groups) == [("Ann", 2, Decimal("30.30")), ("Bob", 2, Decimal("12.50"))]
    rich = groups.filtered(Comparison(AnnotationRef("total", MONEY), "gt", Value(Decimal(20), MONEY)))
    assert ask(read.tuples, rich) == [("Ann", 2, Decimal("30.30"))]
    assert ask(read.count, rich) == 1
    assert ask(read.exists, rich) is True
    most = (("most", Aggregate("max", AnnotationRef("total", MONEY), MONEY)),)
    assert ask(read.aggregate, groups, most) == {"most": Decimal("30.30")}


def test_queries_inside_queries(ask: Ask) -> None:
    own = Comparison(reference(BOOK, "author"), "exact", FieldRef((), "id", INT, outer=1))
    dear = ExistsCondition(BOOKS.filtered(own & where("price__gt", Decimal(9))))
    assert ids(ask, AUTHORS.filtered(dear)) == [1]
    assert ids(ask, AUTHORS.filtered(~dear)) == [2, 3]
    top = BOOKS.filtered(own).replaced(columns=(("title", TITLE),), order=(Ordering(PRICE, descending=True),), limit=1)
    query = AUTHORS.replaced(
        only=("id",),
        annotations=(("top", Subquery(top, TEXT)),),
        order=(Ordering(AnnotationRef("top", TEXT)), Ordering(reference(AUTHOR, "id"))),
    )
    assert sorted(ask(read.tuples, query)) == [(1, "b%2"), (2, "a_1 again"), (3, None)]


def test_changes(ask: Ask) -> None:
    ann = BOOKS.filtered(where("author__name", "Ann"))
    double = (("price", Arithmetic("*", PRICE, Value(2, INT), MONEY)), ("title", Value("t", TEXT)))
    assert ask(write.update, Update(ann, double)) == 2
    assert ask(write.update, Update(ann, (("editor_id", Value(None, INT)),), ("id", "price"))) == 2
    first = BOOKS.replaced(order=(Ordering(PRICE),), limit=1)
    assert ask(write.update, Update(first, (("title", Value("cheap", TEXT)),), ("id",))) == 1
    rows = [(Decimal("1.25"), None, None, 3), (Decimal("2.25"), datetime(2021, 1, 1, tzinfo=UTC), 2, 4)]
    assert ask(bulk.update, BOOK, ("price", "published_at", "editor_id"), rows) == (2, [])
    assert ask(bulk.update, BOOK, ("published_at", "editor_id"), [(None, None, 3), (None, None, 4)]) == (2, [])
    assert ask(read.aggregate, BOOKS, (("sum", Aggregate("sum", PRICE, MONEY)),)) == {"sum": Decimal("64.10")}
    fresh = ask(write.insert, Insert(TAG, ("label",), ("id", "label")), ("fresh",))
    assert fresh == (4, "fresh")
    assert ask(write.delete, Delete(Query(TAG).filtered(where("books__isnull", True, TAG)))) == 1
    unread = Query(TAG).filtered(where("label", "nothing", TAG))
    assert ask(write.delete, Delete(unread, ("id",))) == 0


def test_bulk_create_and_upserts(ask: Ask) -> None:
    rows = [(f"n{number}", Decimal(number), 1) for number in range(5)]
    made = ask(bulk.create, BOOK, ("title", "price", "author_id"), rows, ("id", "price"), batch_size=2)
    assert made == [(5 + number, Decimal(number)) for number in range(5)]
    again = (1, "up", Decimal(3), 1)
    fields = ("id", "title", "price", "author_id")
    overwrite = OnConflict(("id",), None, (("title", Given("title", TEXT)), ("price", Given("price", MONEY))))
    made = ask(bulk.create, BOOK, fields, [again], ("title", "price"), conflict=overwrite)
    assert made == [("up", Decimal("3.00"))]
    both = [again, (77, "new", Decimal(3), 1)]
    told = ask(bulk.create, BOOK, fields, both, ("id", "title"), conflict=overwrite, is_telling=True)
    assert told == [(1, "up", False), (77, "new", True)]
    assert ask(bulk.create, BOOK, fields, [again], ("title",), conflict=OnConflict()) == []
    assert ask(bulk.create, BOOK, fields, [again], ("title",), conflict=OnConflict(("id",))) == []


def test_numbers_given_by_hand_are_not_given_again(ask: Ask) -> None:
    assert ask(bulk.create, TAG, ("id", "label"), [(7, "seven"), (5, "five")], ("id",)) == [(7,), (5,)]
    assert ask(write.insert, Insert(TAG, ("label",), ("id",)), ("eight",)) == (8,)
    assert ask(write.insert, Insert(TAG, ("id", "label"), ("id",)), (6, "six")) == (6,)
    assert ask(write.insert, Insert(TAG, ("id", "label")), (20, "twenty")) == ()
    assert ask(write.insert, Insert(TAG, ("label",), ("id",)), ("next",)) == (21,)


def test_children_of_many_rows(ask: Ask) -> None:
    books = BOOKS.replaced(columns=(("title", TITLE),), order=(Ordering(reference(BOOK, "id")),))
    author = (reference(BOOK, "author"),)
    assert ask(related.children, books, author, [(2,), (2,), (None,)], Prepared.read_chunks) == [
        ("Ünder\\",),
        ("a_1 again",),
    ]
    assert ask(read.explain, books, "text", False, {})
