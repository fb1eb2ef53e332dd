"""The two runners do the same: a scripted link takes the place of the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from datalayer._links.link import BackendName
from datalayer._links.run import arun, run
from datalayer._plans.plan import Command, Plan, Reply, Row
from datalayer.errors import DatabaseError


class ScriptedLink:
    backend: BackendName = "sqlite"
    alias = "default"
    raw = None
    in_transaction = False
    is_broken = False

    def __init__(self, *answers: Reply | BaseException) -> None:
        self.answers = list(answers)
        self.asked: list[Command] = []

    def execute(self, command: Command) -> Reply:
        self.asked.append(command)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def stream(self, command: Command, chunk_size: int) -> Iterator[list[Row]]:
        yield []

    def reset(self) -> None: ...
    def ping(self, timeout: float | None = None) -> None: ...
    def close(self) -> None: ...
    def terminate(self) -> None: ...


class AsyncScriptedLink:
    backend: BackendName = "sqlite"
    alias = "default"
    raw = None
    in_transaction = False
    is_broken = False

    def __init__(self, *answers: Reply | BaseException) -> None:
        self.inner = ScriptedLink(*answers)

    async def execute(self, command: Command) -> Reply:
        return self.inner.execute(command)

    async def stream(self, command: Command, chunk_size: int) -> AsyncIterator[list[Row]]:
        yield []

    async def reset(self) -> None: ...
    async def ping(self) -> None: ...
    async def close(self) -> None: ...
    def terminate(self) -> None: ...


@pytest.fixture(params=["blocking", "awaiting"])
def drive(request: pytest.FixtureRequest) -> Any:
    def drive(plan: Plan[Any], *answers: Reply | BaseException) -> Any:
        if request.param == "blocking":
            return run(plan, ScriptedLink(*answers))
        return asyncio.run(arun(plan, AsyncScriptedLink(*answers)))

    return drive


def test_plan_without_statements(drive: Any) -> None:
    def plan() -> Plan[int]:
        return 7
        yield Command("never")

    assert drive(plan()) == 7


def test_replies_are_sent_in_order(drive: Any) -> None:
    def plan() -> Plan[list[int]]:
        first = yield Command("a")
        second = yield Command("b")
        return [first.count, second.count]

    assert drive(plan(), Reply([], 1), Reply([], 2)) == [1, 2]


def test_error_is_thrown_at_the_yield(drive: Any) -> None:
    def plan() -> Plan[str]:
        try:
            yield Command("a")
        except DatabaseError as error:
            reply = yield Command("b")
            return f"{error}, then {reply.count}"
        return ""

    assert drive(plan(), DatabaseError("no"), Reply([], 3)) == "no, then 3"


def test_error_nobody_catches_comes_out(drive: Any) -> None:
    def plan() -> Plan[None]:
        yield Command("a")

    with pytest.raises(DatabaseError, match="no"):
        drive(plan(), DatabaseError("no"))


class Stopped(BaseException):
    pass


def test_interruption_is_not_thrown_into_the_plan(drive: Any) -> None:
    seen: list[BaseException] = []

    def plan() -> Plan[None]:
        try:
            yield Command("a")
        except BaseException as error:
            seen.append(error)
            raise

    with pytest.raises(Stopped):
        drive(plan(), Stopped())
    assert [type(error) for error in seen] == [GeneratorExit]


def test_command_tells_no_values() -> None:
    assert "secret" not in repr(Command("SELECT ?", ["secret"]))
