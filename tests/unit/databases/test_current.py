"""What needs no database: messages, listeners, options."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from datalayer.databases import Atomic, atomic, current
from datalayer.errors import SyncInAsyncContext, TransactionError


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


def test_a_transaction_belongs_to_its_database() -> None:
    assert current.variable("a") is current.variable("a")
    assert current.variable("a") is not current.variable("b")
    assert current.transaction("a") is None


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
