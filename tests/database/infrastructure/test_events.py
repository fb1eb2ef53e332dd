"""Events: statements and transactions told to listeners, in both worlds, and nothing while nobody listens."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import aclosing, closing
from typing import Any, cast

import pytest

from datalayer import Field, Listener, Mapped, Model, OpenTelemetryTracing, SlowQueryLog, Statement, atomic, listen
from datalayer._plans.plan import Command
from datalayer.databases import databases, events
from datalayer.errors import ConfigurationError, ForeignKeyViolation, MissingExtra, UniqueViolation
from datalayer.models import registry
from datalayer.testing import acreate_tables, assert_num_queries, capture_queries, create_tables
from tests.worlds import AwaitingWorld, World

with registry.isolated():

    class Word(Model):
        text: Mapped[str] = Field(unique=True)

        class Meta:
            table = "events_word"

    registry.tables()


class Diary(Listener):
    """Keeps everything it is told."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, ...]] = []

    def statement_started(self, statement: Statement) -> None:
        self.entries.append(("started", statement.sql.split()[0]))

    def statement_finished(self, statement: Statement) -> None:
        self.entries.append(("finished", statement.sql.split()[0]))

    def statement_failed(self, statement: Statement) -> None:
        self.entries.append(("failed", type(statement.error).__name__))

    def transaction(self, alias: str, moment: events.Moment) -> None:
        self.entries.append((alias, moment))


@pytest.fixture
def words(configured: str, world: World) -> None:
    world.run(lambda: create_tables(Word), lambda: acreate_tables(Word))


@pytest.fixture
def diary(words: None) -> Iterator[Diary]:
    diary = Diary()
    with listen(diary):
        yield diary


def test_a_statement_is_told_before_and_after(world: World, diary: Diary) -> None:
    world.call(Word.objects, "create", text="a")
    assert diary.entries == [("started", "INSERT"), ("finished", "INSERT")]


def test_a_failure_is_told(world: World, diary: Diary) -> None:
    world.call(Word.objects, "create", text="a")
    with pytest.raises(UniqueViolation):
        world.call(Word.objects, "create", text="a")
    assert diary.entries[2:] == [("started", "INSERT"), ("failed", "UniqueViolation")]


def test_transactions_are_told(world: World, diary: Diary) -> None:
    with world.enter(atomic()), world.enter(atomic()):
        pass

    def undone() -> None:
        with world.enter(atomic()):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        undone()
    told = [entry for entry in diary.entries if entry[0] == "default"]
    assert told == [("default", moment) for moment in ("begun", "committed", "begun", "rolled back")]


def test_a_refused_commit_is_told_as_rolled_back(configured: str, world: World) -> None:
    def send(compiler: Any, text: str) -> Any:
        yield Command(text, returns_rows=False, writes=True)

    database = databases["default"]
    world.call(database, "run", send, "create table up (id integer primary key)")
    world.call(database, "run", send, "create table down (up integer references up (id) deferrable initially deferred)")
    diary = Diary()
    with listen(diary), pytest.raises(ForeignKeyViolation), world.enter(atomic()):
        world.call(database, "run", send, "insert into down values (1)")
    assert [moment for alias, moment in diary.entries if alias == "default"] == ["begun", "rolled back"]


def test_no_row_is_told_as_none(world: World, words: None) -> None:
    with capture_queries() as sent:
        assert not world.call(Word.objects.filter(text="nothing"), "exists")
        assert world.call(Word.objects.filter(text="nothing"), "delete") == 0
    assert [each.rows for each in sent] == [0, 0]


def test_a_stream_is_told_once(world: World, diary: Diary) -> None:
    world.call(Word.objects, "bulk_create", [Word(text=str(number)) for number in range(5)])
    diary.entries.clear()
    with capture_queries() as sent:
        world.iterate(world.run(lambda: Word.objects.iterator(2), aiterated))
    assert [kind for kind, _ in diary.entries if kind in ("started", "finished")] == ["started", "finished"]
    assert sent[0].rows == 5


def test_a_stream_that_is_left_early_is_told_as_finished(world: World, diary: Diary) -> None:
    world.call(Word.objects, "bulk_create", [Word(text=str(number)) for number in range(5)])
    diary.entries.clear()

    def left() -> None:
        with closing(cast("Any", Word.objects.iterator(2))) as rows:
            next(iter(rows))

    async def aleft() -> None:
        async with aclosing(cast("Any", Word.objects.aiterator(2))) as rows:
            await anext(aiter(rows))

    with capture_queries() as sent:
        world.run(left, aleft)
    assert [kind for kind, _ in diary.entries if kind in ("finished", "failed")] == ["finished"]
    assert sent[0].rows == 2


class Canceller(Listener):
    """Cancels the task that asks, while it waits for the rows."""

    def statement_started(self, statement: Statement) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()


@pytest.mark.parametrize("world", ["awaiting"], indirect=True)
def test_a_cancelled_stream_is_told_as_failed(world: AwaitingWorld, diary: Diary) -> None:
    world.call(Word.objects, "bulk_create", [Word(text=str(number)) for number in range(5)])
    diary.entries.clear()

    async def read() -> None:
        with listen(Canceller()):
            async for _ in Word.objects.aiterator(2):
                pass

    async def cancelled() -> None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(read())

    world.wait(cancelled())
    assert diary.entries == [("started", "SELECT"), ("failed", "CancelledError")]


async def aiterated() -> Any:
    return Word.objects.aiterator(2)


def test_an_error_of_a_listener_is_logged_and_nothing_else(
    world: World, words: None, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Listener):
        def statement_started(self, statement: Statement) -> None:
            raise ZeroDivisionError

    with listen(Broken()):
        world.call(Word.objects, "create", text="a")
    assert "Broken.statement_started" in caplog.text
    assert world.call(Word.objects, "count") == 1


def test_nobody_listens_after_the_block(world: World, words: None) -> None:
    diary = Diary()
    listening = listen(diary)
    listening.stop()
    listening.stop()
    world.call(Word.objects, "count")
    assert diary.entries == []
    assert events.listeners == ()


def test_captured_statements_know_values_time_and_line(world: World, words: None) -> None:
    with capture_queries() as sent:
        world.call(Word.objects, "create", text="x'y")
        world.call(Word.objects.filter(text="x'y"), "count")
    insert, count = sent
    assert list(insert.params) == ["x'y"]
    assert count.took > 0
    assert count.table == "events_word"
    for each in sent:
        assert each.origin is not None
        assert "tests" in each.origin
        assert "datalayer/databases" not in each.origin
    text = sent.text()
    assert 'values ["x\'y"]' in text
    assert " ms, sent by " in text
    assert "x'y" not in repr(insert)


def test_a_wrong_number_shows_what_was_sent(world: World, words: None) -> None:
    with pytest.raises(AssertionError) as told, assert_num_queries(2):
        world.call(Word.objects.filter(text="seen"), "count")
    message = str(told.value)
    assert "2 statements were expected and 1 were sent" in message
    assert "SELECT count(*)" in message
    assert "seen" in message
    assert "worlds.py" in message


def test_slow_statements_are_logged(world: World, words: None, caplog: pytest.LogCaptureFixture) -> None:
    with listen(SlowQueryLog(0)):
        world.call(Word.objects, "create", text="private")
    (record,) = [each for each in caplog.records if each.name == "datalayer.slow"]
    assert record.levelno == logging.WARNING
    assert "INSERT INTO events_word" in record.getMessage()
    assert "private" not in record.getMessage()
    caplog.clear()
    with listen(SlowQueryLog(60)):
        world.call(Word.objects, "count")
    assert not caplog.records


def test_slow_is_not_negative() -> None:
    with pytest.raises(ValueError, match="0 seconds or more"):
        SlowQueryLog(-1)


class Span:
    def __init__(self, name: str, attributes: dict[str, Any]) -> None:
        self.name = name
        self.attributes = attributes
        self.errors: list[BaseException] = []
        self.ends = 0

    def set_attribute(self, key: str, value: object) -> None:
        self.attributes[key] = value

    def record_exception(self, error: BaseException) -> None:
        self.errors.append(error)

    def end(self) -> None:
        self.ends += 1


class Tracer:
    """What OpenTelemetry's tracer does, as far as it is used."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def start_span(self, name: str, attributes: dict[str, Any]) -> Span:
        self.spans.append(Span(name, attributes))
        return self.spans[-1]


def test_statements_are_spans(world: World, words: None, backend: str) -> None:
    tracer = Tracer()
    with listen(OpenTelemetryTracing(tracer)):
        world.call(Word.objects, "create", text="a")
        with pytest.raises(UniqueViolation):
            world.call(Word.objects, "create", text="a")
    right, wrong = tracer.spans
    assert right.name == "INSERT events_word"
    assert right.attributes["db.system.name"] == backend
    assert right.attributes["db.response.returned_rows"] == 1
    assert wrong.attributes["error.type"] == "UniqueViolation"
    assert [type(error) for error in wrong.errors] == [UniqueViolation]
    assert [span.ends for span in tracer.spans] == [1, 1]


def test_tracing_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(MissingExtra, match="pip install opentelemetry-api"):
        OpenTelemetryTracing()


def test_a_plan_can_be_read(world: World, words: None, backend: str) -> None:
    plan = world.call(Word.objects.filter(text="a"), "explain")
    assert "events_word" in plan
    inner = Word.objects.filter(text__gt="a").order_by("text")[:5].values("text")
    nested = world.call(Word.objects.filter(text__in=inner).order_by("id"), "explain")
    assert "\n" in nested
    assert any(line.startswith("  ") for line in nested.splitlines())


def test_what_could_hear_of_nothing_is_no_listener() -> None:
    with pytest.raises(ConfigurationError, match=r"listen\(\) takes an instance of a subclass of Listener, not"):
        events.listen(cast("Any", print))
    assert events.listeners == ()
