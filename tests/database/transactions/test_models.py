# ruff: noqa: PT012  (how a block ends is what is tested)
"""Transactions over Models: what is committed, what is undone, and what the instances know of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from datalayer.databases import atomic, on_commit
from datalayer.errors import (
    CheckViolation,
    DeadlockDetected,
    FieldNotLoaded,
    ForeignKeyViolation,
    NotNullViolation,
    NotUpdated,
    ReadOnlyTransaction,
    SerializationFailure,
    UniqueViolation,
)
from datalayer.pooling.registry import pools
from datalayer.testing import assert_num_queries
from tests.worlds import AwaitingWorld, World

from .accounts import Account, Accounts, Entry

BLOCKING = pytest.mark.parametrize("world", ["blocking"], indirect=True)
AWAITING = pytest.mark.parametrize("world", ["awaiting"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)


class Oops(Exception):
    pass


def register(world: World, function: Callable[[], object], **options: Any) -> None:
    async def awaiting() -> None:
        on_commit(function, **options)

    world.run(lambda: on_commit(function, **options), awaiting)


# -- all or nothing ------------------------------------------------------------------------------


def test_an_error_undoes_every_kind_of_change(accounts: Accounts, world: World) -> None:
    ada, grace = accounts.add("Ada", 1), accounts.add("Grace", 2)
    with pytest.raises(Oops), world.enter(atomic()):
        accounts.add("Edith", 3)
        ada.balance = 10
        accounts.save(ada)
        world.call(grace, "delete")
        world.call(Account.objects.all(), "update", balance=99)
        world.call(Account.objects, "bulk_create", [Account(owner="Joan"), Account(owner="Jean", notes=["new"])])
        world.call(Account.objects, "get_or_create", owner="Radia", defaults={"balance": 7})
        assert len(accounts.all()) == 5
        raise Oops
    assert accounts.all() == {"Ada": 1, "Grace": 2}


def test_three_levels_are_undone_one_by_one(accounts: Accounts, world: World) -> None:
    with world.enter(atomic()):
        accounts.add("first")
        with world.enter(atomic()):
            accounts.add("second")
            with pytest.raises(Oops), world.enter(atomic()):
                accounts.add("third")
                raise Oops
            accounts.add("fourth")
        with pytest.raises(Oops), world.enter(atomic()):
            with world.enter(atomic()):
                accounts.add("fifth")
            raise Oops
    assert set(accounts.all()) == {"first", "second", "fourth"}


def test_a_violation_in_a_savepoint_leaves_the_transaction_usable(accounts: Accounts, world: World) -> None:
    with world.enter(atomic()):
        accounts.add("Ada")
        with pytest.raises(UniqueViolation), world.enter(atomic()):
            accounts.add("undone")
            accounts.add("Ada")
        with pytest.raises(CheckViolation), world.enter(atomic()):
            accounts.add("undone as well")
            world.call(Account.objects.all(), "update", balance=Account.balance - 5000)
        accounts.add("Grace")
    assert set(accounts.all()) == {"Ada", "Grace"}


def test_get_or_create_of_a_row_that_clashes_leaves_the_transaction_usable(accounts: Accounts, world: World) -> None:
    accounts.add("Ada")
    with world.enter(atomic()):
        with pytest.raises(UniqueViolation):
            world.call(Account.objects, "get_or_create", balance=5, defaults={"owner": "Ada"})
        accounts.add("Grace")
    assert set(accounts.all()) == {"Ada", "Grace"}


def test_one_connection_serves_the_whole_block(accounts: Accounts, world: World) -> None:
    before = pools["default"].stats().acquires_started
    with world.enter(atomic()):
        accounts.add("Ada")
        accounts.get("Ada")
        assert pools["default"].stats().in_use == 1
        accounts.all()
    assert pools["default"].stats().acquires_started == before + 1
    assert pools["default"].stats().in_use == 0


# -- what the instances know ---------------------------------------------------------------------


def test_what_a_rollback_undid_is_written_by_the_next_save(accounts: Accounts, world: World) -> None:
    ada = accounts.add("Ada", 1)
    with pytest.raises(Oops), world.enter(atomic()):
        ada.balance = 5
        ada.notes.append("raised")
        accounts.save(ada)
        raise Oops
    with assert_num_queries(1):
        accounts.save(ada)
    found = accounts.get("Ada")
    assert (found.balance, found.notes) == (5, ["raised"])


def test_a_row_that_a_rollback_took_back_is_new_again(accounts: Accounts, world: World) -> None:
    with pytest.raises(Oops), world.enter(atomic()):
        ada = accounts.add("Ada", 1)
        assert ada.id > 0
        raise Oops
    with pytest.raises(FieldNotLoaded):
        _ = ada.id
    accounts.save(ada)
    assert accounts.get("Ada") == ada


def test_a_row_whose_delete_was_rolled_back_is_there_again(accounts: Accounts, world: World) -> None:
    ada = accounts.add("Ada", 1)
    with pytest.raises(Oops), world.enter(atomic()):
        world.call(ada, "delete")
        raise Oops
    ada.balance = 2
    accounts.save(ada)
    assert accounts.all() == {"Ada": 2}


def test_an_inner_rollback_takes_back_what_the_inner_block_did(accounts: Accounts, world: World) -> None:
    ada = accounts.add("Ada", 1)
    with world.enter(atomic()):
        ada.balance = 5
        accounts.save(ada)
        with pytest.raises(Oops), world.enter(atomic()):
            ada.owner = "Ada Lovelace"
            accounts.save(ada)
            raise Oops
        with assert_num_queries(1):
            accounts.save(ada)
        with assert_num_queries(0):
            accounts.save(ada)
    assert accounts.all() == {"Ada Lovelace": 5}


def test_a_commit_leaves_nothing_to_write(accounts: Accounts, world: World) -> None:
    with world.enter(atomic()):
        ada = accounts.add("Ada", 1)
        ada.balance = 5
        accounts.save(ada)
    with assert_num_queries(0):
        accounts.save(ada)


def test_rows_of_a_rolled_back_bulk_create_are_new_again(accounts: Accounts, world: World) -> None:
    made = [Account(owner="Ada"), Account(owner="Grace")]
    with pytest.raises(Oops), world.enter(atomic()):
        world.call(Account.objects, "bulk_create", made)
        raise Oops
    world.call(Account.objects, "bulk_create", made)
    assert set(accounts.all()) == {"Ada", "Grace"}
    made[0].balance = 4
    accounts.save(made[0])
    assert accounts.get("Ada").balance == 4


def test_rows_of_a_bulk_create_that_failed_half_way_are_new(accounts: Accounts, world: World) -> None:
    accounts.add("Ada")
    keyed = Account(owner="Ada")
    keyed.__dict__["id"] = 77
    made = [Account(owner="Grace"), keyed]  # two statements: the second one clashes
    with pytest.raises(UniqueViolation):
        world.call(Account.objects, "bulk_create", made)
    accounts.save(made[0])
    assert set(accounts.all()) == {"Ada", "Grace"}


def test_a_rolled_back_bulk_update_is_written_by_the_next_save(accounts: Accounts, world: World) -> None:
    ada = accounts.add("Ada", 1)
    with pytest.raises(Oops), world.enter(atomic()):
        ada.balance = 5
        world.call(Account.objects, "bulk_update", [ada], ["balance"])
        raise Oops
    accounts.save(ada)
    assert accounts.all() == {"Ada": 5}


def test_a_row_that_is_gone_says_so(accounts: Accounts, world: World) -> None:
    ada = accounts.add("Ada", 1)
    world.call(Account.objects.all(), "delete")
    ada.balance = 2
    with pytest.raises(NotUpdated, match="gone"), world.enter(atomic()):
        accounts.save(ada)


# -- after the commit ----------------------------------------------------------------------------


def test_functions_after_the_commit_may_query_and_begin_transactions(accounts: Accounts, world: World) -> None:
    found: list[Any] = []

    async def awaiting() -> None:
        async with atomic(durable=True):
            found.append((await Account.objects.aget(owner="Ada")).owner)

    def blocking() -> None:
        with atomic(durable=True):
            found.append(Account.objects.get(owner="Ada").owner)

    with world.enter(atomic()):
        accounts.add("Ada")
        with world.enter(atomic()):
            register(world, awaiting if world.is_async else blocking)
        assert found == []
    assert found == ["Ada"]


def test_a_robust_function_that_fails_stops_nobody(
    accounts: Accounts, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[int] = []

    def fail() -> None:
        raise Oops("the mail server is down")

    with world.enter(atomic()):
        accounts.add("Ada")
        register(world, fail, robust=True)
        register(world, lambda: called.append(1))
    assert called == [1]
    assert "the mail server is down" in caplog.text
    assert set(accounts.all()) == {"Ada"}


def test_functions_are_not_called_when_the_commit_is_refused(accounts: Accounts, world: World, backend: str) -> None:
    called: list[int] = []
    constraint = "references transactions_account (id) deferrable initially deferred"
    with world.enter(atomic()):
        world.run(
            lambda: _execute(f"create table later (account bigint {constraint})"),
            lambda: _aexecute(f"create table later (account bigint {constraint})"),
        )
    with pytest.raises(ForeignKeyViolation), world.enter(atomic()):
        ada = accounts.add("Ada")
        world.run(
            lambda: _execute("insert into later values (999)"), lambda: _aexecute("insert into later values (999)")
        )
        register(world, lambda: called.append(1))
    assert called == []
    accounts.save(ada)
    assert set(accounts.all()) == {"Ada"}


def _execute(sql: str) -> None:
    from datalayer.databases import databases

    from .conftest import sql as plan

    databases["default"].run(plan, sql)


async def _aexecute(sql: str) -> None:
    from datalayer.databases import databases

    from .conftest import sql as plan

    await databases["default"].arun(plan, sql)


# -- isolation, read-only ------------------------------------------------------------------------


def in_a_thread(function: Callable[[], object]) -> None:
    """Somebody else, on a connection of their own."""
    failed: list[BaseException] = []

    def work() -> None:
        try:
            function()
        except BaseException as error:  # shown in the thread of the test
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def test_a_snapshot_does_not_see_what_others_commit(accounts: Accounts, world: World) -> None:
    accounts.add("Ada", 1)
    with world.enter(atomic(isolation="repeatable read", read_only=True)):
        assert accounts.all() == {"Ada": 1}
        in_a_thread(lambda: Account.objects.all().update(balance=2))
        assert accounts.all() == {"Ada": 1}
    assert accounts.all() == {"Ada": 2}


@POSTGRESQL
def test_read_committed_sees_what_others_commit(accounts: Accounts, world: World) -> None:
    accounts.add("Ada", 1)
    with world.enter(atomic(isolation="read committed")):
        assert accounts.all() == {"Ada": 1}
        in_a_thread(lambda: Account.objects.all().update(balance=2))
        assert accounts.all() == {"Ada": 2}


def test_read_only_refuses_every_kind_of_write(accounts: Accounts, world: World) -> None:
    ada = accounts.add("Ada", 1)
    for write in (
        lambda: accounts.add("Grace"),
        lambda: world.call(ada, "delete"),
        lambda: world.call(Account.objects.all(), "update", balance=3),
        lambda: world.call(Account.objects, "bulk_create", [Account(owner="Edith")]),
    ):
        with pytest.raises(ReadOnlyTransaction), world.enter(atomic(read_only=True)):
            write()
    assert accounts.all() == {"Ada": 1}


# -- tried again ---------------------------------------------------------------------------------


def raise_twice(world: World, accounts: Accounts, body: Callable[[], object], **options: Any) -> None:
    """A decorated function in the world of the test."""
    if isinstance(world, AwaitingWorld):

        @atomic(**options)
        async def awaiting() -> None:
            found = await Account.objects.aget(owner="Ada")
            body()
            found.balance += 1
            await found.asave()

        world.wait(awaiting())
        return

    @atomic(**options)
    def blocking() -> None:
        found = Account.objects.get(owner="Ada")
        body()
        found.balance += 1
        found.save()

    blocking()


@POSTGRESQL
def test_a_serialization_failure_calls_the_function_again(accounts: Accounts, world: World) -> None:
    accounts.add("Ada", 1)
    attempts: list[int] = []

    def interfere() -> None:
        attempts.append(1)
        if len(attempts) < 3:
            in_a_thread(lambda: Account.objects.filter(owner="Ada").update(balance=10 * len(attempts)))

    raise_twice(world, accounts, interfere, isolation="serializable", retries=3)
    assert len(attempts) == 3
    assert accounts.all() == {"Ada": 21}
    assert pools["default"].stats().in_use == 0


@POSTGRESQL
def test_without_retries_a_serialization_failure_is_raised(accounts: Accounts, world: World) -> None:
    accounts.add("Ada", 1)

    def interfere() -> None:
        in_a_thread(lambda: Account.objects.filter(owner="Ada").update(balance=10))

    with pytest.raises(SerializationFailure):
        raise_twice(world, accounts, interfere, isolation="serializable")
    assert accounts.all() == {"Ada": 10}


@POSTGRESQL
@BLOCKING
def test_a_deadlock_calls_the_function_of_the_loser_again(accounts: Accounts, world: World) -> None:
    accounts.add("Ada")
    accounts.add("Grace")
    both = threading.Barrier(2, timeout=20)
    attempts: list[str] = []

    @atomic(retries=3)
    def pay(first: str, second: str) -> None:
        attempts.append(first)
        Account.objects.filter(owner=first).update(balance=Account.balance + 1)
        if attempts.count(first) == 1:
            both.wait()
        Account.objects.filter(owner=second).update(balance=Account.balance + 1)

    other = threading.Thread(target=pay, args=("Grace", "Ada"))
    other.start()
    pay("Ada", "Grace")
    other.join()
    assert len(attempts) == 3
    assert accounts.all() == {"Ada": 2, "Grace": 2}


@POSTGRESQL
@AWAITING
def test_a_deadlock_of_two_tasks_calls_the_function_of_the_loser_again(
    accounts: Accounts, world: AwaitingWorld
) -> None:
    import asyncio

    accounts.add("Ada")
    accounts.add("Grace")
    attempts: list[str] = []

    async def main() -> None:
        both = asyncio.Barrier(2)

        @atomic(retries=3)
        async def pay(first: str, second: str) -> None:
            attempts.append(first)
            await Account.objects.filter(owner=first).aupdate(balance=Account.balance + 1)
            if attempts.count(first) == 1:
                await both.wait()
            await Account.objects.filter(owner=second).aupdate(balance=Account.balance + 1)

        await asyncio.gather(pay("Ada", "Grace"), pay("Grace", "Ada"))

    world.wait(main())
    assert len(attempts) == 3
    assert accounts.all() == {"Ada": 2, "Grace": 2}


@POSTGRESQL
@BLOCKING
def test_a_block_that_lost_a_deadlock_says_that_only_a_function_can_be_tried_again(
    accounts: Accounts, world: World
) -> None:
    accounts.add("Ada")
    accounts.add("Grace")
    both = threading.Barrier(2, timeout=20)
    lost: list[DeadlockDetected] = []

    def pay(first: str, second: str) -> None:
        try:
            with atomic(retries=3):
                Account.objects.filter(owner=first).update(balance=Account.balance + 1)
                both.wait()
                Account.objects.filter(owner=second).update(balance=Account.balance + 1)
        except DeadlockDetected as error:
            lost.append(error)

    other = threading.Thread(target=pay, args=("Grace", "Ada"))
    other.start()
    pay("Ada", "Grace")
    other.join()
    assert "decorate one with @atomic(retries=...)" in lost[0].__notes__[0]
    assert len(lost) == 1


def test_an_error_of_ours_is_never_tried_again(accounts: Accounts, world: World) -> None:
    accounts.add("Ada", 1)
    attempts: list[int] = []

    def fail() -> None:
        attempts.append(1)
        raise Oops

    with pytest.raises(Oops):
        raise_twice(world, accounts, fail, retries=5)
    assert attempts == [1]


# -- violations ----------------------------------------------------------------------------------


def test_a_unique_violation_names_model_columns_and_constraint(accounts: Accounts, world: World) -> None:
    accounts.add("Ada")
    with pytest.raises(UniqueViolation) as caught:
        accounts.add("Ada")
    error = caught.value
    assert (error.alias, error.model, error.table) == ("default", "Account", "transactions_account")
    assert error.columns == ("owner",)
    assert error.constraint
    assert error.constraint in str(error)
    assert "Ada" not in str(error)


def test_a_unique_violation_of_two_columns_names_both(accounts: Accounts, world: World) -> None:
    ada = accounts.add("Ada")
    world.call(Entry.objects, "create", account=ada, number=1, amount=5)
    with pytest.raises(UniqueViolation) as caught:
        world.call(Entry.objects, "create", account=ada, number=1, amount=6)
    assert caught.value.columns == ("account_id", "number")
    assert caught.value.constraint
    assert caught.value.constraint in str(caught.value)
    assert caught.value.model == "Entry"


def test_a_foreign_key_violation_names_its_model(accounts: Accounts, world: World, backend: str) -> None:
    ada = accounts.add("Ada")
    entry = Entry(account=ada, number=1, amount=5)
    world.call(Account.objects.all(), "delete")
    with pytest.raises(ForeignKeyViolation) as caught:
        accounts.save(entry)
    assert (caught.value.model, caught.value.table) == ("Entry", "transactions_entry")
    if backend == "postgresql":
        assert caught.value.columns == ("account_id",)
        assert caught.value.constraint


def test_a_check_violation_names_constraint_and_columns(accounts: Accounts, world: World) -> None:
    accounts.add("Ada")
    with pytest.raises(CheckViolation) as caught:
        world.call(Account.objects.all(), "update", balance=Account.balance - 5000)
    assert caught.value.model == "Account"
    assert caught.value.columns == ("balance",)
    assert caught.value.constraint
    assert caught.value.constraint in str(caught.value)


def test_a_not_null_violation_names_the_column(accounts: Accounts, world: World) -> None:
    accounts.add("Ada")
    world.run(
        lambda: _execute("alter table transactions_account add column branch integer not null default 1"),
        lambda: _aexecute("alter table transactions_account add column branch integer not null default 1"),
    )
    with pytest.raises(NotNullViolation) as caught:
        world.run(
            lambda: _execute("update transactions_account set branch = null"),
            lambda: _aexecute("update transactions_account set branch = null"),
        )
    assert (caught.value.table, caught.value.columns) == ("transactions_account", ("branch",))
