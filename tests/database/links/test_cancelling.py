"""A cancellation that overtakes its query is lost; the server is asked again until it answers."""

from __future__ import annotations

import asyncio

import pytest

from datalayer._links.cancelling import AsyncConnection, Connection
from tests.worlds import World


@pytest.fixture
def backend() -> str:
    return "postgresql"


class LosesTheFirst(Connection):
    asked = 0

    def cancel_safe(self, *, timeout: float = 30.0) -> None:
        self.asked += 1
        if self.asked > 1:
            super().cancel_safe(timeout=timeout)


class AsyncLosesTheFirst(AsyncConnection):
    asked = 0

    async def cancel_safe(self, *, timeout: float = 30.0) -> None:
        self.asked += 1
        if self.asked > 1:
            await super().cancel_safe(timeout=timeout)


def what_it_said(raw: Connection | AsyncConnection) -> str:
    found = ""
    while (result := raw.pgconn.get_result()) is not None:
        found += result.get_error_message()
    return found


def test_a_statement_ends_whose_first_cancellation_was_lost(database_url: str, world: World) -> None:
    def blocking() -> str:
        with LosesTheFirst.connect(database_url) as raw:
            raw.pgconn.send_query(b"SELECT pg_sleep(1000)")
            raw._try_cancel(timeout=60.0)  # pyright: ignore[reportPrivateUsage]  # what psycopg itself calls
            return what_it_said(raw)

    async def awaiting() -> str:
        async with await AsyncLosesTheFirst.connect(database_url) as raw:
            raw.pgconn.send_query(b"SELECT pg_sleep(1000)")
            await raw._try_cancel(timeout=60.0)  # pyright: ignore[reportPrivateUsage]  # what psycopg itself calls
            return what_it_said(raw)

    assert "canceling statement due to user request" in world.run(blocking, awaiting)


def test_a_cancelled_task_leaves_no_statement_behind_where_the_first_cancellation_was_lost(database_url: str) -> None:
    async def main() -> tuple[bool, int]:
        async with await AsyncLosesTheFirst.connect(database_url, autocommit=True) as raw:
            task = asyncio.create_task(raw.execute("SELECT pg_sleep(1000)"))
            while raw.pgconn.transaction_status != 1:  # ACTIVE: it is on its way
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            answer = await (await raw.execute("SELECT 1")).fetchone()
            return answer == (1,), raw.asked

    assert asyncio.run(main()) == (True, 2)
