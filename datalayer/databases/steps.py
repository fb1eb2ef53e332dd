"""What is sent when a block of `atomic()` is entered and left, written once, as plans for both worlds."""

from __future__ import annotations

from typing import cast

from datalayer._plans import transaction as texts
from datalayer._plans.plan import Command, Plan
from datalayer._plans.transaction import Isolation
from datalayer.databases.current import Frame, Transaction
from datalayer.errors import ConnectionLost, DatabaseError, TransactionError, TransactionResolutionUnknown

_NO_SAVEPOINT = "3B001"


def begin(transaction: Transaction) -> Plan[None]:
    """Begins the transaction of the outermost block."""
    if transaction.backend == "sqlite" and transaction.read_only:
        # A reader of the pool refuses writes already; the one connection of a database in memory does not.
        found = yield Command("PRAGMA query_only")
        if found.rows[0][0] == 0:
            transaction.restores_writing = True  # before it is so: a cancellation may come between the two
            yield Command("PRAGMA query_only = ON", returns_rows=False)
    isolation = cast("Isolation | None", transaction.isolation)
    yield from texts.begin(transaction.backend, isolation=isolation, read_only=transaction.read_only)


def end(transaction: Transaction, error: BaseException | None) -> Plan[None]:
    """Ends the outermost block: commits, or rolls back where an error leaves it or was one that broke the transaction.

    Raises:
        TransactionError: No error leaves it, and nothing could be committed.
        DatabaseError: The commit was refused, or the rollback.
    """
    transaction.look()
    try:
        if error is None and transaction.failure is None and 0 not in transaction.undone:
            yield from _commit(transaction)
            transaction.is_committed = True
        elif transaction.link.in_transaction:
            yield from texts.rollback()
    except DatabaseError:
        # A refused commit: PostgreSQL has rolled back, SQLite keeps the transaction open.
        if transaction.link.in_transaction and not transaction.link.is_broken:
            yield from texts.rollback()
        yield from _writing_again(transaction)
        raise
    yield from _writing_again(transaction)
    if error is None and transaction.failure is not None:
        raise transaction.broken() from transaction.failure


def _commit(transaction: Transaction) -> Plan[None]:
    try:
        yield from texts.commit()
    except ConnectionLost as lost:
        # The server goes on without its client: what it was told to commit may be there.
        raise TransactionResolutionUnknown(
            f"database {transaction.alias!r}: the connection was lost during COMMIT, so the transaction may have been "
            "committed or rolled back; look whether its rows are there before you run it again",
            alias=transaction.alias,
            sqlstate=lost.sqlstate,
        ) from lost


def _writing_again(transaction: Transaction) -> Plan[None]:
    if transaction.restores_writing and not transaction.link.is_broken:
        transaction.restores_writing = False
        yield Command("PRAGMA query_only = OFF", returns_rows=False)


def enter(transaction: Transaction, *, savepoint: bool) -> Plan[None]:
    """Begins an inner block."""
    name = f"datalayer_{len(transaction.frames) + 1}" if savepoint else None
    if name is not None:
        yield from texts.savepoint(name)
    transaction.frames.append(Frame(name, len(transaction.callbacks), len(transaction.undos)))


def _release(transaction: Transaction, name: str) -> Plan[None]:
    try:
        yield from texts.release(name)
    except DatabaseError as refused:
        if refused.sqlstate != _NO_SAVEPOINT and f"no such savepoint: {name}" not in str(refused):
            raise
        transaction.failure = TransactionError(
            f"SQL by hand has ended the savepoint {name!r} on {transaction.alias!r}, which only its atomic() may "
            "release or roll back to; give savepoints of your own other names, and end those alone"
        )
        raise transaction.failure from refused


def leave(transaction: Transaction, error: BaseException | None) -> Plan[None]:
    """Ends an inner block: its savepoint is released, or everything since is undone."""
    transaction.look()
    depth = len(transaction.frames)
    frame = transaction.frames.pop()
    name = frame.savepoint
    failure = transaction.failure
    is_undone = depth in transaction.undone
    transaction.undone.discard(depth)
    if error is None and failure is None and not is_undone:
        if name is not None:
            yield from _release(transaction, name)
        return
    if name is None:
        transaction.failure = failure or error
    else:
        del transaction.callbacks[frame.callbacks :]
        transaction.undo(frame.undos)
        try:
            yield from texts.rollback_to(name)
            yield from texts.release(name)
        except DatabaseError as refused:
            transaction.failure = failure or error or refused
            return  # the error that ends the block says more than this one
        if error is None and failure is not None:
            broken = transaction.broken()
            transaction.failure = None
            raise broken from failure
        transaction.failure = None
        return
    if error is None:
        raise transaction.broken() from failure
