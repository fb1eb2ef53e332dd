"""Several databases: each instance knows its own, mistakes across them are refused, replicas take the reads."""

from __future__ import annotations

import contextlib
import contextvars
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

import datalayer
from datalayer import (
    CASCADE,
    Case,
    Count,
    Exists,
    F,
    Field,
    FilteredRelation,
    ForeignKey,
    Join,
    Listener,
    Mapped,
    Model,
    OuterRef,
    Prefetch,
    Q,
    Statement,
    Subquery,
    Value,
    When,
    aprefetch_related_objects,
    atomic,
    listen,
    prefetch_related_objects,
)
from datalayer.conf import reset
from datalayer.databases import databases, router
from datalayer.errors import ConfigurationError, InvalidValue, QueryError, TransactionError
from datalayer.functions import Coalesce
from datalayer.models import registry
from datalayer.pooling.registry import pools
from datalayer.testing import acreate_tables, capture_queries, create_tables
from tests.worlds import World

with registry.isolated():

    class Author(Model):
        name: Mapped[str] = Field()

        class Meta:
            table = "several_author"

    class Book(Model):
        title: Mapped[str] = Field()
        author: ForeignKey[Author] = ForeignKey(on_delete=CASCADE, related_name="books")

        class Meta:
            table = "several_book"

    class Report(Model):
        """A view over books."""

        title: Mapped[str] = Field()
        author_name: Mapped[str] = Field()

        class Meta:
            table = "several_report"
            view = "plain"

    class Total(Model):
        books: Mapped[int] = Field()

        class Meta:
            table = "several_total"
            view = "materialized"

    registry.tables()


@pytest.fixture
def urls(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Two empty databases of one backend."""
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path / 'one.sqlite3'}", f"sqlite:///{tmp_path / 'two.sqlite3'}"
        return
    made = request.getfixturevalue("postgresql_databases")
    found = made.create(), made.create()
    yield found
    for url in found:
        assert not made.wait_until_unused(url)
        made.drop(url)


def configured(world: World, one: str, two: Any) -> Iterator[None]:
    datalayer.configure(databases={"default": {"url": one, "replica_lag": 3600}, "other": two})
    try:
        yield
    finally:
        world.run(lambda: None, pools.aclose_all)
        pools.close_all()
        pools.reset()
        databases.clear()
        reset()


@pytest.fixture
def two(urls: tuple[str, str], world: World) -> Iterator[None]:
    """Two databases with the same tables."""
    for _ in configured(world, *urls):
        for alias in ("default", "other"):
            made(world, alias)
        yield


def made(world: World, alias: str) -> None:
    world.run(lambda: create_tables(Author, Book, using=alias), lambda: acreate_tables(Author, Book, using=alias))


def count(world: World, alias: str) -> int:
    return int(world.call(Author.objects.using(alias), "count"))


def test_an_instance_stays_in_its_database(world: World, two: None) -> None:
    ann = world.call(Author.objects.using("other"), "create", name="Ann")
    assert (count(world, "default"), count(world, "other")) == (0, 1)
    ann.name = "Anna"
    world.call(ann, "save")
    assert world.call(Author.objects.using("other"), "get").name == "Anna"
    book = world.call(ann.books, "create", title="b")
    assert world.call(Book.objects.using("other"), "get") == book
    world.call(ann, "delete")
    assert (count(world, "other"), world.call(Book.objects.using("other"), "count")) == (0, 0)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_copy_that_is_rolled_back_leaves_the_row_as_it_was(world: World, two: None, is_there: bool) -> None:
    ann = world.call(Author.objects, "create", name="Ann")
    if is_there:
        world.call(Author.objects.using("other"), "create", id=ann.id, name="Somebody")
    with pytest.raises(ZeroDivisionError), world.enter(atomic("other")):  # noqa: PT012
        world.call(ann, "save", using="other")
        raise ZeroDivisionError
    with capture_queries() as sent:
        world.call(ann, "save")
    assert not sent
    ann.name = "Anna"
    world.call(ann, "save")
    assert world.call(Author.objects, "get").name == "Anna"
    assert count(world, "other") == is_there


def test_an_instance_is_copied_to_another_database(world: World, two: None) -> None:
    ann = world.call(Author.objects, "create", name="Ann")
    for name in ("first", "second"):
        ann.name = name
        world.call(ann, "save", using="other")
        (copy,) = world.iterate(Author.objects.using("other").all())
        assert (copy.id, copy.name) == (ann.id, name)
    assert world.call(Author.objects, "get").name == "Ann"


def test_transactions_are_of_one_database(world: World, two: None) -> None:
    def undone() -> None:
        with world.enter(atomic("other")):
            world.call(Author.objects, "create", name="stays")
            world.call(Author.objects.using("other"), "create", name="goes")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        undone()
    assert (count(world, "default"), count(world, "other")) == (1, 0)


@pytest.mark.parametrize("verb", ["bulk_update", "bulk_delete"])
def test_rows_are_changed_in_bulk_only_where_they_are(world: World, two: None, verb: str) -> None:
    for alias in ("default", "other"):
        world.call(Author.objects.using(alias), "create", name=alias)
    there = world.call(Author.objects.using("other"), "get")
    there.name = "wrong"
    fields = (["name"],) if verb == "bulk_update" else ()
    told = rf"{verb}\(\) on 'default' was given .*, a row of the database 'other'; call it there"
    with pytest.raises(QueryError, match=told):
        world.call(Author.objects, verb, [there], *fields)
    assert world.call(Author.objects, "get").name == "default"
    assert world.call(Author.objects.using("other"), verb, [there], *fields) == 1


def test_relations_are_prefetched_where_their_instances_are(world: World, two: None) -> None:
    here = world.call(Author.objects, "create", name="here")
    there = world.call(Author.objects.using("other"), "create", name="there")
    book = world.call(there.books, "create", title="b")

    def load(*given: Author) -> None:
        world.run(lambda: prefetch_related_objects(given, "books"), lambda: aprefetch_related_objects(given, "books"))

    with pytest.raises(QueryError, match="Author rows of the databases 'default' and 'other'; call it for each"):
        load(here, there)
    load(there)
    assert world.iterate(there.books.all()) == [book]


def test_a_prefetch_that_asks_another_database_is_refused(world: World, two: None) -> None:
    world.call(Author.objects, "create", name="here")
    rows = Prefetch("books", Book.objects.using("other"))
    with pytest.raises(
        QueryError, match=r"Author.books is loaded from 'default', .* asks 'other'; leave out its using"
    ):
        world.iterate(Author.objects.prefetch_related(rows))


OTHER = Book.objects.using("other")
ELSEWHERE: list[Callable[[Any], Any]] = [
    lambda authors: authors.filter(Exists(OTHER.filter(author=OuterRef("pk")))),
    lambda authors: authors.exclude(Exists(OTHER)),
    lambda authors: authors.filter(~Exists(OTHER) | Q(name="x")),
    lambda authors: authors.filter(pk__in=OTHER.values("author")),
    lambda authors: authors.filter(Q(name="x") | Q(pk__in=OTHER.values("author"))),
    lambda authors: authors.filter(name=Subquery(OTHER.values("title")[:1])),
    lambda authors: authors.annotate(title=Subquery(OTHER.values("title")[:1])),
    lambda authors: authors.alias(written=Exists(OTHER)),
    lambda authors: authors.order_by(Subquery(OTHER.values("title")[:1])),
    lambda authors: authors.filter(Author.id.in_(OTHER.values("author"))),
    lambda authors: authors.filter(F("id").in_(OTHER.values("author"))),
    lambda authors: authors.filter(Author.id == Subquery(OTHER.values("author")[:1])),
    lambda authors: authors.annotate(c=Case(When(pk__in=OTHER.values("author"), then=1), default=0)),
    lambda authors: authors.annotate(c=Count("books", filter=Q(pk__in=OTHER.values("author")))),
    lambda authors: authors.annotate(c=Coalesce(Subquery(OTHER.values("title")[:1]), Value("x"))),
    lambda authors: authors.values("name", title=Subquery(OTHER.values("title")[:1])),
    lambda authors: authors.values("name").annotate(title=Subquery(OTHER.values("title")[:1])),
    lambda authors: authors.values_list(Case(When(Exists(OTHER), then=1), default=0)),
    lambda authors: authors.join(b=Join(OTHER, Q(id=F("b__author")))),
    lambda authors: authors.join(b=Join(Book, Q(id=F("b__author")) & Exists(OTHER))),
    lambda authors: authors.annotate(b=FilteredRelation("books", Q(books__in=OTHER))),
    lambda authors: authors.with_cte("c", Author.objects.using("other")),
]


def test_a_query_inside_another_asks_the_same_database(world: World, two: None) -> None:
    for make in ELSEWHERE:
        with pytest.raises(QueryError, match="a query of the database 'other' inside one of 'default'; one statement"):
            make(Author.objects)
        assert world.iterate(make(Author.objects.using("other"))) == []


def test_what_is_written_and_aggregated_asks_the_same_database(world: World, two: None) -> None:
    title = Subquery(OTHER.values("title")[:1])
    for ask in (
        lambda: world.call(Author.objects, "aggregate", Count("books", filter=Q(books__in=OTHER))),
        lambda: world.call(Author.objects, "aggregate_list", Count("books", filter=Q(books__in=OTHER))),
        lambda: world.call(Author.objects.all(), "update", name=title),
        lambda: world.call(Author.objects, "bulk_create", [], on_conflict=("id",), update={"name": title}),
        lambda: world.call(
            Author.objects, "bulk_create", [], on_conflict=("id",), update=["name"], where=Exists(OTHER)
        ),
    ):
        with capture_queries() as sent, pytest.raises(QueryError, match="'other' inside one of 'default'"):
            ask()
        assert not sent


def test_a_query_is_not_moved_away_from_what_it_asks(two: None) -> None:
    with pytest.raises(QueryError, match="'other' inside one of 'default'"):
        Author.objects.using("other").filter(pk__in=OTHER.values("author")).using("default")
    unsaid = Author.objects.filter(pk__in=Book.objects.filter(title="x").values("author"))
    assert (unsaid.using("other").db, unsaid.db) == ("other", "default")


def test_a_row_is_compared_in_its_own_database_only(world: World, two: None) -> None:
    there = world.call(Author.objects.using("other"), "create", name="there")
    here = world.call(Author.objects, "create", name="here")
    for ask in (
        lambda books, row: books.filter(author=row),
        lambda books, row: books.exclude(author__in=[row]),
        lambda books, row: books.filter(Q(title="x") | ~Q(author=row)),
        lambda books, row: books.filter(Book.author == row),
        lambda books, row: books.filter(Book.author.in_([row])),
        lambda books, row: books.annotate(own=Case(When(author=row, then=1), default=0)),
        lambda books, row: books.filter(pk__in=Book.objects.using(row._state.db).filter(author=row)),
    ):
        for row, alias in ((there, "default"), (here, "other")):
            with pytest.raises(QueryError, match=f"of the database {row._state.db!r} "):
                ask(Book.objects.using(alias), row)
            assert world.iterate(ask(Book.objects.using(row._state.db), row)) == []
    with pytest.raises(InvalidValue, match="rows of the databases 'default' and 'other'"):
        Book.objects.filter(author__in=[here, there])
    with pytest.raises(QueryError, match=r"contains\(\) on 'default' was given .*, a row of the database 'other'"):
        world.call(Author.objects, "contains", there)


def test_relations_do_not_cross_databases(world: World, two: None) -> None:
    ann = world.call(Author.objects.using("other"), "create", name="Ann")
    for write in (
        lambda: world.call(Book(title="b", author=ann), "save"),
        lambda: world.call(Book.objects, "create", title="b", author=ann),
        lambda: world.call(Book.objects, "bulk_create", [Book(title="b", author=ann)]),
        lambda: world.call(Book.objects.all(), "update", author=ann),
    ):
        with pytest.raises(InvalidValue, match=r"Author of the database 'other', and (a row|rows) of 'default'"):
            write()
    world.call(Book(title="b", author=ann), "save", using="other")
    assert world.call(Book.objects.using("other"), "count") == 1
    with pytest.raises(QueryError, match="a query of the database 'other' inside one of 'default'"):
        Book.objects.filter(author__in=Author.objects.using("other"))


# -- replicas --------------------------------------------------------------------------------------


@pytest.fixture
def replicated(urls: tuple[str, str], world: World) -> Iterator[None]:
    """A primary, and a replica that is far behind: each of its authors is called old."""
    for _ in configured(world, urls[0], {"url": urls[1]}):
        made(world, "other")
        world.call(Author.objects.using("other"), "create", name="old")
    for _ in configured(world, urls[0], {"url": urls[1], "replica_of": "default"}):
        anew(world, lambda: made(world, "default"))
        yield


def anew(world: World, do: Callable[[], Any]) -> Any:
    """Does something in a context of its own, as each request or task has."""
    if world.is_async:
        runner = world.runner
        world.runner = type(runner)()
        try:
            return do()
        finally:
            world.run(lambda: None, pools.aclose_all)
            world.runner.close()
            world.runner = runner
    return contextvars.Context().run(do)


def names(world: World) -> list[str]:
    return [author.name for author in world.iterate(Author.objects.order_by("id"))]


def test_reads_go_to_the_replica_and_writes_to_the_primary(world: World, replicated: None) -> None:
    assert anew(world, lambda: names(world)) == ["old"]
    anew(world, lambda: world.call(Author.objects, "create", name="new"))
    with capture_queries() as sent:
        assert anew(world, lambda: names(world)) == ["old"]
        assert anew(world, lambda: world.call(Author.objects, "count")) == 1
    assert {statement.alias for statement in sent} == {"other"}


def streamed(world: World) -> list[str]:
    async def aiterated() -> Any:
        return Author.objects.aiterator(1)

    return [author.name for author in world.iterate(world.run(lambda: Author.objects.iterator(1), aiterated))]


def test_streams_come_from_the_replica_but_for_who_has_written(world: World, replicated: None) -> None:
    with capture_queries() as sent:
        assert anew(world, lambda: streamed(world)) == ["old"]
    assert {statement.alias for statement in sent} == {"other"}

    def both() -> list[str]:
        world.call(Author.objects, "create", name="new")
        return streamed(world)

    assert anew(world, both) == ["new"]


def test_who_has_written_reads_what_he_wrote(world: World, replicated: None) -> None:
    def both() -> list[str]:
        world.call(Author.objects, "create", name="new")
        return names(world)

    assert anew(world, both) == ["new"]


def test_what_took_long_to_write_is_read_where_it_was_written(
    world: World, replicated: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(router, "monotonic", lambda: now[0])

    class Slow(Listener):
        def statement_finished(self, statement: Statement) -> None:
            now[0] += 7200 if statement.sql.startswith("INSERT") else 0

    def both() -> list[str]:
        with listen(Slow()):
            world.call(Author.objects, "create", name="new")
        return names(world)

    assert anew(world, both) == ["new"]


def test_a_transaction_is_on_the_primary(world: World, replicated: None) -> None:
    def inside() -> list[str]:
        with world.enter(atomic()):
            found = names(world)
        return [*found, *names(world)]

    assert anew(world, inside) == []


def test_an_instance_of_the_replica_is_written_to_the_primary(world: World, replicated: None) -> None:
    def renamed() -> None:
        (author,) = world.iterate(Author.objects.all())
        assert author.name == "old"
        author.name = "renamed"
        with pytest.raises(Author.NotUpdated):
            world.call(author, "save")

    anew(world, renamed)


def test_a_replica_takes_no_writes(world: World, replicated: None) -> None:
    with pytest.raises(QueryError, match="'other' is a replica of 'default' and takes no writes"):
        world.call(Author.objects.using("other"), "create", name="x")
    with pytest.raises(TransactionError, match="read_only=True"), world.enter(atomic("other")):
        pass
    with world.enter(atomic("other", read_only=True)):
        assert world.call(Author.objects.using("other"), "get").name == "old"


def test_a_replica_that_is_down_is_passed_by(
    world: World, urls: tuple[str, str], tmp_path: Path, backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    gone = (
        f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.sqlite3'}"
        if backend == "sqlite"
        else "postgresql://nobody@127.0.0.1:9/none"
    )
    for _ in configured(world, urls[0], {"url": gone, "replica_of": "default", "pool": {"connection_timeout": 0.2}}):
        anew(world, lambda: made(world, "default"))
        for _ in range(3):
            assert anew(world, lambda: names(world)) == []
        assert caplog.text.count("the replica 'other' cannot be reached") == 1  # nobody else waits for it


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_replica_that_was_down_is_read_again(
    world: World, urls: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    file = tmp_path / "replica" / "copy.sqlite3"
    patience = {"connection_timeout": 0.2, "backoff_initial": 0.01, "backoff_max": 0.01}
    late = {"url": f"sqlite:///{file}", "replica_of": "default", "pool": patience}
    now = [monotonic()]
    monkeypatch.setattr(router, "monotonic", lambda: now[0])
    for _ in configured(world, urls[0], late):
        anew(world, lambda: made(world, "default"))
        assert anew(world, lambda: names(world)) == []
        file.parent.mkdir()
        with contextlib.closing(sqlite3.connect(file)) as copy:
            copy.execute("CREATE TABLE several_author (id INTEGER PRIMARY KEY, name TEXT)")
            copy.execute("INSERT INTO several_author VALUES (1, 'old')")
            copy.commit()
        assert anew(world, lambda: names(world)) == []
        ends = monotonic() + 10
        found: list[str] = []
        while not found and monotonic() < ends:  # the pool itself looks again in a hundredth of a second
            now[0] += router.PAUSE + 1
            found = anew(world, lambda: names(world))
        assert found == ["old"]
        assert "the replica 'other' can be reached again" in caplog.text


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"url": "sqlite:///b.sqlite3", "replica_of": "nothing"}, "replica_of is 'nothing'"),
        ({"url": "sqlite:///b.sqlite3", "replica_of": "other"}, "replica_of is 'other'"),
        ({"url": "postgresql://h/b", "replica_of": "default"}, "cannot be a replica of 'default'"),
    ],
)
def test_replicas_that_make_no_sense_are_refused(other: Any, message: str) -> None:
    def configured_so() -> object:
        datalayer.configure(databases={"default": "sqlite:///a.sqlite3", "other": other})
        return datalayer.settings.databases

    with pytest.raises(ConfigurationError, match=message):
        configured_so()
    reset()


# -- views -----------------------------------------------------------------------------------------

REPORT = (
    "CREATE VIEW several_report AS SELECT several_book.id, title, name AS author_name FROM several_book "
    "JOIN several_author ON several_author.id = author_id"
)
TOTAL = "CREATE {} VIEW several_total AS SELECT 1 AS id, count(*) AS books FROM several_book"


@pytest.fixture
def views(two: None, world: World, backend: str) -> None:
    author = world.call(Author.objects, "create", name="Ann")
    world.call(Book.objects, "create", title="b", author=author)

    def blocking() -> None:
        with pools["default"].connection() as connection:
            for sql in (REPORT, TOTAL.format("MATERIALIZED" if backend == "postgresql" else "")):
                connection.execute(sql)

    anew(world, lambda: contextvars.Context().run(blocking)) if not world.is_async else blocking()
    pools["default"].close()


def test_a_view_is_read_like_a_table(world: World, views: None) -> None:
    (report,) = world.iterate(Report.objects.filter(author_name="Ann").order_by("title"))
    assert report.title == "b"
    assert world.call(Report.objects, "count") == 1


def test_nothing_is_written_to_a_view(world: World, views: None) -> None:
    report = world.call(Report.objects, "get")
    for write in (
        lambda: world.call(Report.objects, "create", title="x", author_name="y"),
        lambda: world.call(report, "save", force_update=True),
        lambda: world.call(report, "delete"),
        lambda: world.call(Report.objects.all(), "update", title="x"),
        lambda: world.call(Report.objects.all(), "delete"),
        lambda: world.call(Report.objects, "bulk_create", [Report(title="x", author_name="y")]),
        lambda: world.call(Report.objects, "bulk_update", [report], ["title"]),
        lambda: world.call(Report.objects, "get_or_create", title="x"),
        lambda: world.call(Report.objects, "insert_from", Book.objects.values("title")),
    ):
        with capture_queries() as sent, pytest.raises(QueryError, match="Report is a view"):
            write()
        assert not sent


def test_a_materialized_view_is_refreshed(world: World, views: None, backend: str) -> None:
    with pytest.raises(QueryError, match="no materialized view"):
        world.call(Report.objects, "refresh_materialized_view")
    if backend == "sqlite":
        with pytest.raises(QueryError, match="SQLite has no materialized views"):
            world.call(Total.objects, "refresh_materialized_view")
        return
    author = world.call(Author.objects, "get")
    world.call(Book.objects, "create", title="c", author=author)
    assert world.call(Total.objects, "get").books == 1
    world.call(Total.objects, "refresh_materialized_view")
    assert world.call(Total.objects, "get").books == 2
