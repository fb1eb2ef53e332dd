"""Row locks and lost races, between real connections."""

from __future__ import annotations

import asyncio
import contextvars
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from datalayer import SET_NULL, Field, ForeignKey, Mapped, Model, atomic, pools
from datalayer.errors import FieldError, LockTimeout, QueryError, TransactionError
from datalayer.models import registry
from datalayer.models.upserts import Upsert
from datalayer.testing import acreate_tables, assert_num_queries, capture_queries, create_tables
from tests.worlds import World

with registry.isolated():

    class Desk(Model):
        name: Mapped[str] = Field(unique=True)

        class Meta:
            table = "locks_desk"

    class Task(Model):
        name: Mapped[str] = Field(unique=True)
        done: Mapped[int] = Field(default=0)
        desk: ForeignKey[Desk | None] = ForeignKey(on_delete=SET_NULL, default=None, related_name="tasks")

        class Meta:
            table = "locks_task"

    registry.tables()


@pytest.fixture
def tasks(configured: str, world: World) -> None:
    world.run(lambda: create_tables(Desk, Task), lambda: acreate_tables(Desk, Task))
    desk = world.call(Desk.objects, "create", name="d")
    world.call(Task.objects, "bulk_create", [Task(name=name, desk=desk) for name in "abc"])


@pytest.fixture
def lockable(tasks: None, backend: str) -> bool:
    return backend == "postgresql"


def elsewhere(world: World, blocking: Callable[[], Any], awaiting: Callable[[], Any]) -> Any:
    """What somebody with a connection of his own gets, while we are in a transaction."""
    if not world.is_async:
        found: list[Any] = []

        def run() -> None:
            try:
                found.append(blocking())
            except Exception as error:
                found.append(error)

        thread = threading.Thread(target=lambda: contextvars.Context().run(run))
        thread.start()
        thread.join(20)
        return found[0]

    async def alone() -> Any:
        try:
            return await asyncio.create_task(awaiting(), context=contextvars.Context())
        except Exception as error:
            return error

    return world.run(lambda: None, alone)


def locked_names(world: World, **options: Any) -> Any:
    def blocking() -> list[str]:
        with atomic():
            return [task.name for task in Task.objects.order_by("name").select_for_update(**options)]

    async def awaiting() -> list[str]:
        async with atomic():
            return [task.name async for task in Task.objects.order_by("name").select_for_update(**options)]

    return elsewhere(world, blocking, awaiting)


def test_locked_rows_are_skipped_or_refused(world: World, lockable: bool) -> None:
    if not lockable:
        return
    with world.enter(atomic()):
        (mine,) = world.iterate(Task.objects.filter(name="b").select_for_update())
        assert mine.name == "b"
        assert locked_names(world, skip_locked=True) == ["a", "c"]
        assert isinstance(locked_names(world, nowait=True), LockTimeout)
        assert locked_names(world, skip_locked=True, no_key=True) == ["a", "c"]
    assert locked_names(world, nowait=True) == ["a", "b", "c"]


@pytest.mark.parametrize("options", [{}, {"nowait": True}, {"skip_locked": True}, {"no_key": True}], ids=str)
def test_a_transaction_of_sqlite_that_may_write_has_locked_every_row(
    world: World, lockable: bool, options: dict[str, bool]
) -> None:
    if lockable:
        return
    with world.enter(atomic()), capture_queries() as sent:
        locked = Task.objects.order_by("name").select_for_update(**options)
        assert [task.name for task in world.iterate(locked)] == ["a", "b", "c"]
        stranger = sqlite3.connect(pools["default"].settings.url.database, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            stranger.execute("UPDATE locks_task SET done = 1")
        stranger.close()
    assert "FOR" not in sent[0].sql


def test_a_lock_needs_a_transaction(world: World, lockable: bool) -> None:
    locked = Task.objects.select_for_update()
    for ask in (lambda: world.iterate(locked), lambda: world.call(locked, "get", name="a")):
        with assert_num_queries(0), pytest.raises(TransactionError, match=r"Task outside of atomic\(\)"):
            ask()
    assert locked.sql()[0].endswith("FOR UPDATE") is lockable


def test_a_row_that_is_read_again_with_a_lock_needs_a_transaction(world: World, tasks: None) -> None:
    task = world.call(Task.objects, "get", name="a")
    with assert_num_queries(0), pytest.raises(TransactionError, match=r"Task outside of atomic\(\)"):
        world.call(task, "refresh", from_queryset=Task.objects.select_for_update())
    with world.enter(atomic()):
        world.call(task, "refresh", from_queryset=Task.objects.select_for_update())


def test_a_lock_needs_a_transaction_that_may_write(world: World, tasks: None) -> None:
    locked = Task.objects.select_for_update()
    refused = pytest.raises(TransactionError, match=r"Task in atomic\(read_only=True\)")
    with world.enter(atomic(read_only=True)), assert_num_queries(0), refused:
        world.iterate(locked)


def test_what_is_locked_is_said(world: World, lockable: bool) -> None:
    joined = Task.objects.select_related("desk")
    inner = joined.filter(desk__name="d")
    both = inner.select_for_update(of=("self", "desk"), skip_locked=True)
    if lockable:
        assert joined.select_for_update().sql()[0].endswith(" FOR UPDATE OF locks_task")
        assert Desk.objects.select_for_update(no_key=True).sql()[0].endswith(" FOR NO KEY UPDATE")
        assert both.sql()[0].endswith(" FOR UPDATE OF locks_task, t1 SKIP LOCKED")
    with world.enter(atomic()):
        assert len(world.iterate(both)) == 3
        assert len(world.iterate(inner.select_for_update(of=(Task.desk,)))) == 3
    with pytest.raises(FieldError, match="the choices are desk, self"):
        joined.select_for_update(of=("desks",))
    with pytest.raises(QueryError, match="keep one"):
        joined.select_for_update(nowait=True, skip_locked=True)
    with pytest.raises(QueryError, match="distinct, grouped or combined"):
        Task.objects.distinct().select_for_update().sql()


# -- lost races ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["get_or_create", "update_or_create"])
def test_who_loses_the_race_gets_the_row_of_the_winner(
    world: World, tasks: None, backend: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody commits the row between our look and our insert."""
    original = Upsert.read
    won: list[bool] = []

    def read(self: Upsert, compiler: Any, *, is_locking: bool = False) -> Any:
        found = yield from original(self, compiler, is_locking=is_locking)
        if not won:
            won.append(inserted_elsewhere(backend))
        return found

    monkeypatch.setattr(Upsert, "read", read)
    row, is_new = world.call(Task.objects, method, {"done": 7}, name="raced")
    # On SQLite update_or_create has the whole database to itself, so nobody can win.
    assert won == [not (backend == "sqlite" and method == "update_or_create")]
    assert is_new is not won[0]
    assert row.done == (5 if method == "get_or_create" else 7)
    assert world.call(Task.objects, "get", name="raced").done == row.done


def inserted_elsewhere(backend: str) -> bool:
    """Whether another program could insert the row."""
    url = pools["default"].settings.url.render()
    connection: Any
    if backend == "sqlite":
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0)
    else:
        connection = psycopg.connect(url)
    try:
        connection.execute("INSERT INTO locks_task (name, done) VALUES ('raced', 5)")
        connection.commit()
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True


def test_update_or_create_loses_no_step_of_another(world: World, tasks: None) -> None:
    """Ten at once add one each, reading and writing under the lock of the row."""

    def blocking() -> None:
        def step() -> None:
            for _ in range(3):
                with atomic():
                    row, _ = Task.objects.update_or_create({}, name="a")
                    row.done += 1
                    row.save()

        threads = [threading.Thread(target=step) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    async def awaiting() -> None:
        async def step() -> None:
            for _ in range(3):
                async with atomic():
                    row, _ = await Task.objects.aupdate_or_create({}, name="a")
                    row.done += 1
                    await row.asave()

        await asyncio.gather(*[step() for _ in range(4)])

    world.run(blocking, awaiting)
    assert world.call(Task.objects, "get", name="a").done == 12


def test_the_lost_race_inside_a_transaction_breaks_nothing(world: World, tasks: None) -> None:
    with world.enter(atomic()), capture_queries() as sent:
        row, is_new = world.call(Task.objects, "get_or_create", {"done": 1}, name="inside")
        again, is_newer = world.call(Task.objects, "get_or_create", {"done": 2}, name="inside")
    assert (is_new, is_newer, again.id) == (True, False, row.id)
    assert any(each.sql.startswith("SAVEPOINT") for each in sent.all)
