"""Ctrl-C in a process of its own: what was open is undone, and the pool goes on working."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests import forks
from tests.worlds import World

MODELS = """
import asyncio, json, sys, threading
import datalayer
from datalayer import Field, Mapped, Model, atomic, on_commit, pools
from datalayer.databases.events import Listener, listen
from datalayer.testing import create_tables

datalayer.configure(databases={"default": sys.argv[1]})

class Account(Model):
    owner: Mapped[str] = Field(max_length=40, unique=True)

    class Meta:
        table = "interrupted_account"

create_tables(Account)
Account.objects.create(owner="before")
called = []

def ready():
    print("ready", flush=True)

async def acheck():
    async with atomic():
        await Account.objects.acreate(owner="after")
    found = [each.owner async for each in Account.objects.order_by("owner")]
    stats = pools["default"].stats()
    await pools.aclose_all()
    return found, stats

def check():
    with atomic():
        Account.objects.create(owner="after")
    found = [each.owner for each in Account.objects.order_by("owner")]
    return found, pools["default"].stats()

def show(found, stats):
    print(json.dumps({"found": found, "in_use": stats.in_use, "called": called}))
"""

BLOCKING = """
try:
    with atomic():
        Account.objects.create(owner="Ada")
        on_commit(lambda: called.append(1))
        with atomic():
            Account.objects.create(owner="Grace")
            BODY
except KeyboardInterrupt:
    show(*check())
pools.close_all()
"""

AWAITING = """
async def main():
    async with atomic():
        await Account.objects.acreate(owner="Ada")
        on_commit(lambda: called.append(1))
        async with atomic():
            await Account.objects.acreate(owner="Grace")
            BODY

with asyncio.Runner() as runner:
    try:
        runner.run(main())
    except KeyboardInterrupt:
        show(*runner.run(acheck()))
pools.close_all()
"""

SLOW = {
    "sqlite": "with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000000)"
    " select a.* from interrupted_account a, (select count(*) from n)",
    "postgresql": "select a.* from interrupted_account a, pg_sleep(60)",
}

LOAD = """
sent = []

class Third(Listener):
    def statement_finished(self, statement):
        sent.append(1)
        if len(sent) == 3:
            ready()
        if len(sent) >= 3:
            threading.Event().wait(0.02)  # so that the load goes on when Ctrl-C comes, however late that is

listen(Third())
rows = [Account(owner=str(number)) for number in range(10_000)]
"""


def code(world: World, blocking: str, awaiting: str) -> str:
    return MODELS + (AWAITING.replace("BODY", awaiting) if world.is_async else BLOCKING.replace("BODY", blocking))


def is_clean(output: str) -> bool:
    return bool(json.loads(output) == {"found": ["after", "before"], "in_use": 0, "called": []})


def sleeper(url: str) -> Callable[[], None]:
    """Waits until a session of the database sleeps."""

    def until() -> None:
        import psycopg

        sql = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
        with psycopg.connect(url, autocommit=True) as connection:
            while connection.execute(sql).fetchone() == (0,):
                pass

    return until


def test_ctrl_c_between_two_statements(database_url: str, world: World, tmp_path: Path) -> None:
    text = code(world, "ready(); threading.Event().wait()", "ready(); await asyncio.Event().wait()")
    assert is_clean(forks.interrupted(text, database_url, folder=tmp_path))


def test_ctrl_c_during_a_statement(database_url: str, world: World, tmp_path: Path, backend: str) -> None:
    slow = f"Account.objects.raw({SLOW[backend]!r})"
    text = code(world, f"ready(); list({slow})", f"ready(); await {slow}")
    until = sleeper(database_url) if backend == "postgresql" else lambda: None
    assert is_clean(forks.interrupted(text, database_url, folder=tmp_path, until=until))


def test_ctrl_c_during_a_load(database_url: str, world: World, tmp_path: Path) -> None:
    size = "batch_size=100"
    text = code(
        world,
        f"Account.objects.bulk_create(rows, {size})",
        f"await Account.objects.abulk_create(rows, {size})",
    ).replace("called = []", f"called = []\n{LOAD}")
    assert is_clean(forks.interrupted(text, database_url, folder=tmp_path))


def test_ctrl_c_during_a_load_outside_of_a_transaction(database_url: str, world: World, tmp_path: Path) -> None:
    text = MODELS + LOAD
    if world.is_async:
        text += """
async def main():
    await Account.objects.abulk_create(rows, batch_size=100)

with asyncio.Runner() as runner:
    try:
        runner.run(main())
    except KeyboardInterrupt:
        show(*runner.run(acheck()))
pools.close_all()
"""
    else:
        text += """
try:
    Account.objects.bulk_create(rows, batch_size=100)
except KeyboardInterrupt:
    show(*check())
pools.close_all()
"""
    assert is_clean(forks.interrupted(text, database_url, folder=tmp_path))
