"""SQL text for both backends, and what SQLite makes of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from decimal import Decimal

import pytest

from datalayer._compile.compiler import COMPILERS
from datalayer._links.functions import register
from datalayer._plans import read
from datalayer._plans.plan import Reply
from datalayer._query.comparing import comparison
from datalayer._query.condition import Comparison
from datalayer._query.expression import Aggregate, AnnotationRef, Ordering, Value
from datalayer._query.path import reference
from datalayer._query.query import Query
from tests.unit.compile import shop

SQLITE, POSTGRESQL = COMPILERS["sqlite"], COMPILERS["postgresql"]
BOOKS, AUTHORS = Query(shop.BOOK), Query(shop.AUTHOR)


def test_a_question_that_two_threads_finish_at_once_has_its_values_once() -> None:
    query = BOOKS.replaced(order=(Ordering(Value(7, None)),))
    assert query.values == (7,)
    query.outline.finish()  # as the second of them does
    assert query.values == (7,)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    register(connection)
    connection.executescript(shop.SCHEMA)
    yield connection
    connection.close()


def answer(connection: sqlite3.Connection, plan):
    """Runs a reading plan on SQLite."""
    try:
        command = next(plan)
        while True:
            command = plan.send(Reply(connection.execute(command.sql, command.params).fetchall()))
    except StopIteration as stop:
        return stop.value


def ids(connection: sqlite3.Connection, query: Query) -> list[object]:
    query = query.replaced(columns=(("id", reference(query.table, "id")),))
    return sorted(row[0] for row in answer(connection, read.tuples(SQLITE, query)))


def where(name: str, value: object, table=shop.BOOK):
    return comparison(table, name, value)


def tail(compiler, query: Query) -> str:
    """The SQL after the columns."""
    return compiler.select(query).sql.partition(" FROM ")[2]


def test_conditions_on_the_same_path_share_a_join() -> None:
    query = BOOKS.filtered(where("author__name", "Ann") & where("author__born__isnull", False))
    assert tail(SQLITE, query) == (
        "book JOIN author AS t1 ON book.author_id = t1.id WHERE (t1.name = ?) AND t1.born IS NOT NULL"
    )


def test_or_over_a_nullable_path_joins_left() -> None:
    query = BOOKS.filtered(where("author__name", "Ann") | where("editor__name", "Bob"))
    assert tail(POSTGRESQL, query) == (
        "book JOIN author AS t1 ON book.author_id = t1.id LEFT OUTER JOIN author AS t2 ON book.editor_id = t2.id "
        "WHERE (t1.name = %s) OR (t2.name = %s)"
    )


def test_a_key_needs_no_join() -> None:
    for name in ("author", "author_id", "author__id", "author__pk"):
        assert tail(SQLITE, BOOKS.filtered(where(name, 1))) == "book WHERE book.author_id = ?"
    assert tail(SQLITE, BOOKS.filtered(where("tags", 1))) == (
        "book JOIN book_tags AS t1 ON book.id = t1.book_id WHERE t1.tag_id = ?"
    )


def test_one_filter_is_one_row_and_two_filters_are_two(connection: sqlite3.Connection) -> None:
    one = BOOKS.filtered(where("tags__label", "sf") & where("tags__label", "old"))
    two = BOOKS.filtered(where("tags__label", "sf")).filtered(where("tags__label", "old"))
    assert ids(connection, one) == []
    assert ids(connection, two) == [1]


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("tags__label", "sf", [3, 4]),
        ("tags__label__in", ["sf", "new"], [4]),
        ("editor__name", "Bob", [1, 3, 4]),
        ("editor__name__startswith", "B", [1, 3, 4]),
        ("published_at__year", 2020, [3, 4]),
        ("title", "A_1", [2, 3, 4]),
        ("tags__isnull", True, [1, 2, 3]),
        ("editor__isnull", True, [2, 3]),
    ],
)
def test_exclude_keeps_every_row_that_does_not_match(
    connection: sqlite3.Connection, name: str, value: object, kept: list[int]
) -> None:
    found = ids(connection, BOOKS.filtered(where(name, value)))
    assert ids(connection, BOOKS.filtered(~where(name, value))) == kept
    assert sorted({*found, *kept}) == [1, 2, 3, 4]
    assert set(ids(connection, BOOKS.filtered(~~where(name, value)))) == set(found)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("title__contains", "_1", [1, 4]),
        ("title__contains", "a", [4]),
        ("title__icontains", "A_", [1, 4]),
        ("title__icontains", "ünd", [3]),
        ("title__contains", "%", [2]),
        ("title__startswith", "A_", [1]),
        ("title__istartswith", "a_", [1, 4]),
        ("title__endswith", "\\", [3]),
        ("title__endswith", "", [1, 2, 3, 4]),
        ("title__iendswith", "AGAIN", [4]),
        ("title__iexact", "üNDER\\", [3]),
        ("title__regex", "^[aA]_", [1, 4]),
        ("title__iregex", "^ü", [3]),
        ("title__ne", "A_1", [2, 3, 4]),
        ("price__gt", Decimal("10.10"), [2]),
        ("price__gte", Decimal("10.10"), [1, 2]),
        ("price", Decimal("10.10"), [1]),
        ("price__in", [Decimal("10.10"), Decimal(5)], [1, 3]),
        ("price__range", (Decimal(5), Decimal("7.5")), [3, 4]),
        ("id__in", [1, 2, None, 99], [1, 2]),
        ("published_at__isnull", True, [3]),
        ("published_at__year", 2020, [1, 2]),
        ("published_at__year__gt", 2020, [4]),
        ("published_at__year__gte", 2020, [1, 2, 4]),
        ("published_at__year__lt", 2021, [1, 2]),
        ("published_at__year__lte", 2020, [1, 2]),
        ("published_at__year__range", (2020, 2021), [1, 2, 4]),
        ("published_at__month", 12, [2]),
        ("published_at__day", 15, [4]),
        ("published_at__hour", 23, [2]),
        ("published_at__minute", 30, [4]),
        ("published_at__second", 45, [4]),
        ("published_at__quarter", 2, [4]),
        ("published_at__week_day", 3, [4]),
        ("published_at__iso_week_day", 2, [4]),
        ("published_at__week", 53, [2]),
        ("published_at__date", shop.date(2020, 12, 31), [2]),
        ("author__books__title", "b%2", [1, 2]),
    ],
)
def test_lookups(connection: sqlite3.Connection, name: str, value: object, found: list[int]) -> None:
    query = BOOKS.filtered(where(name, value))
    assert sorted(set(ids(connection, query))) == found
    POSTGRESQL.select(query)


@pytest.mark.parametrize("lookup", ["contains", "icontains", "startswith", "istartswith", "endswith", "iendswith"])
def test_text_of_another_column_is_never_a_pattern(connection: sqlite3.Connection, lookup: str) -> None:
    query = BOOKS.filtered(where(f"title__{lookup}", reference(shop.BOOK, "title")))
    assert ids(connection, query) == [1, 2, 3, 4]
    assert "LIKE" not in POSTGRESQL.select(query).sql


def test_nulls_come_last_ascending_and_first_descending() -> None:
    order = Ordering(reference(shop.BOOK, "editor__name"))
    assert SQLITE.select(BOOKS.replaced(order=(order,))).sql.endswith("ORDER BY t1.name ASC NULLS LAST")
    assert SQLITE.select(BOOKS.replaced(order=(order.reversed(),))).sql.endswith("ORDER BY t1.name DESC NULLS FIRST")
    assert POSTGRESQL.select(BOOKS.replaced(order=(order,))).sql.endswith("ORDER BY t1.name ASC")
    plain = Ordering(reference(shop.BOOK, "title"))
    assert SQLITE.select(BOOKS.replaced(order=(plain,))).sql.endswith("ORDER BY book.title ASC")


def test_limit_and_offset_are_values() -> None:
    query = BOOKS.replaced(limit=2, offset=1)
    assert SQLITE.select(query).sql.endswith("LIMIT ? OFFSET ?")
    assert SQLITE.select(query) is SQLITE.select(BOOKS.replaced(limit=3, offset=7))
    assert SQLITE.select(query).command(query.values).params == (2, 1)
    assert SQLITE.select(BOOKS.replaced(offset=1)).sql.endswith("LIMIT -1 OFFSET ?")


def test_values_without_work_are_passed_as_they_are() -> None:
    query = BOOKS.filtered(where("id", 1) & where("author", 2))
    values = query.values
    assert SQLITE.select(query).command(values).params is values


def test_joined_rows_come_along_and_say_where_they_belong() -> None:
    prepared = SQLITE.select(BOOKS.replaced(joined=(("author",), ("editor",)), only=("title", "author__name")))
    assert [(output.path, output.name) for output in prepared.columns] == [
        ((), "id"),
        ((), "title"),
        (("author",), "id"),
        (("author",), "name"),
        (("editor",), "id"),
        (("editor",), "name"),
        (("editor",), "born"),
    ]
    assert "JOIN author AS t1" in prepared.sql
    assert "LEFT OUTER JOIN author AS t2" in prepared.sql


def test_two_counts_do_not_multiply_each_other(connection: sqlite3.Connection) -> None:
    counts = tuple((name, Aggregate("count", reference(shop.AUTHOR, name), shop.INT)) for name in ("books", "edited"))
    query = AUTHORS.replaced(annotations=counts, order=(Ordering(reference(shop.AUTHOR, "id")),), only=("id",))
    assert answer(connection, read.tuples(SQLITE, query)) == [(1, 2, 1), (2, 2, 1), (3, 0, 0)]
    many = query.filtered(Comparison(AnnotationRef("books", shop.INT), "gt", Value(1, shop.INT)))
    assert answer(connection, read.count(SQLITE, many)) == 2


def test_filtered_to_many_does_not_repeat_counted_rows(connection: sqlite3.Connection) -> None:
    counted = AUTHORS.replaced(annotations=(("n", Aggregate("count", reference(shop.AUTHOR, "books"), shop.INT)),))
    found = counted.filtered(comparison(shop.AUTHOR, "books__price__gt", Decimal(1)))
    assert ids(connection, found) == [1, 2]


def test_group_by_and_having(connection: sqlite3.Connection) -> None:
    total = Aggregate("sum", reference(shop.BOOK, "price"), shop.MONEY)
    query = BOOKS.replaced(
        columns=(("name", reference(shop.BOOK, "author__name")), ("total", AnnotationRef("total", shop.MONEY))),
        annotations=(("total", total),),
        group_by=(reference(shop.BOOK, "author__name"),),
    ).filtered(Comparison(AnnotationRef("total", shop.MONEY), "gt", Value(Decimal(20), shop.MONEY)))
    assert answer(connection, read.tuples(SQLITE, query)) == [("Ann", Decimal("30.30"))]
    assert answer(connection, read.count(SQLITE, query)) == 1
    assert " HAVING sum(book.price) > %s" in POSTGRESQL.select(query).sql


def test_aggregate_over_the_whole(connection: sqlite3.Connection) -> None:
    aggregates = (
        ("total", Aggregate("sum", reference(shop.BOOK, "price"), shop.MONEY)),
        ("mean", Aggregate("avg", reference(shop.BOOK, "price"), shop.MONEY)),
        ("n", Aggregate("count", None, shop.INT)),
    )
    assert answer(connection, read.aggregate(SQLITE, BOOKS, aggregates)) == {
        "total": Decimal("42.80"),
        "mean": Decimal("10.7"),
        "n": 4,
    }


def test_an_annotation_is_no_field_of_the_instance() -> None:
    prepared = SQLITE.select(BOOKS.replaced(annotations=(("name", reference(shop.BOOK, "author__name")),)))
    assert prepared.columns[-1].name == "name"
    assert prepared.columns[-1].field is None


def test_aggregate_over_a_slice(connection: sqlite3.Connection) -> None:
    cheapest = BOOKS.replaced(limit=2, order=(Ordering(reference(shop.BOOK, "price")),))
    aggregates = (
        ("total", Aggregate("sum", reference(shop.BOOK, "price"), shop.MONEY)),
        ("ann", Aggregate("count", None, shop.INT, condition=where("author__name", "Ann"))),
    )
    assert answer(connection, read.aggregate(SQLITE, cheapest, aggregates)) == {"total": Decimal("12.50"), "ann": 0}


def test_nothing_is_sent_for_nothing() -> None:
    none = BOOKS.filtered(where("id__in", []))
    for plan in (read.count(SQLITE, none), read.tuples(SQLITE, none), read.exists(SQLITE, none)):
        with pytest.raises(StopIteration):
            next(plan)
    some = BOOKS.filtered(where("id__in", []) | where("id", 1))
    assert "1 = 0" in SQLITE.select(some).sql
