"""What needs no database: messages, listeners, options."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from datalayer._plans.plan import Batch, Command
from datalayer.databases import Atomic, atomic, current
from datalayer.databases.current import Statement
from datalayer.errors import SyncInAsyncContext, TransactionError
from datalayer.testing import capture_queries


class Rows:
    """Something with blocking methods, as a queryset has."""

    def run(self) -> None:
        current.refuse_in_event_loop()

    def count(self) -> None:
        self.run()

    def __iter__(self) -> Any:
        self.run()

    def __len__(self) -> int:
        self.run()
        return 0

    def _inner(self) -> None:
        self.run()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Rows().count(), r"count\(\) would block the running event loop.*'await \.\.\.acount\(\.\.\.\)'"),
        (lambda: iter(Rows()), "'for' would block.*'async for'"),
        (lambda: len(Rows()), r"len\(\) would block.*await"),
        (lambda: Rows()._inner(), "a blocking call would block.*awaiting twin"),
    ],
)
def test_a_blocking_call_in_a_loop_names_its_twin(call: Any, words: str) -> None:
    async def main() -> None:
        call()

    with pytest.raises(SyncInAsyncContext, match=words):
        asyncio.run(main())


def test_listeners_hear_until_they_stop() -> None:
    with capture_queries() as captured:
        current.tell("default", Command("select 1", (5,)), 0.0)
        current.tell("default", Batch("insert", [(1,), (2,)]), 0.0)
    current.tell("default", Command("select 2"), 0.0)
    assert [each.sql for each in captured] == ["select 1", "insert"]
    assert captured[1].params == [(1,), (2,)]
    assert captured.text() == "1. select 1\n2. insert"
    assert repr(captured) == "<2 statements>"
    assert current.listeners == ()


def test_values_stay_out_of_the_repr() -> None:
    assert "secret" not in repr(Statement("default", "select ?", ("secret",), 0.1))


def test_a_transaction_belongs_to_its_database() -> None:
    assert current.variable("a") is current.variable("a")
    assert current.variable("a") is not current.variable("b")
    assert current.transaction("a") is None
    assert current.link_for("a") is None


def test_leaving_what_was_not_entered_is_refused() -> None:
    with pytest.raises(TransactionError, match="not entered"):
        atomic().__exit__(None, None, None)


def test_the_decorator_keeps_name_and_kind() -> None:
    @atomic
    def blocking() -> None:
        """Words."""

    @atomic(retries=1)
    async def awaiting() -> None: ...

    assert (blocking.__name__, blocking.__doc__) == ("blocking", "Words.")
    assert inspect.iscoroutinefunction(awaiting)
    assert repr(Atomic("reports")) == "<atomic('reports')>"
