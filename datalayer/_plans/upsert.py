"""Read or write, whichever is needed, safe against somebody else doing the same at the same time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from datalayer._compile.compiler import Compiler
from datalayer._plans import transaction
from datalayer._plans.plan import Plan
from datalayer._plans.write import writing
from datalayer.errors import UniqueViolation

T = TypeVar("T")


@writing
def recovering(
    compiler: Compiler, write: Callable[[], Plan[T]], read: Callable[[], Plan[T | None]], *, depth: int = 0
) -> Plan[tuple[T, bool]]:
    """Writes, and reads again when somebody else was faster.

    The write runs inside a savepoint (a transaction where none is open), because a failed statement would poison the
    transaction around it on PostgreSQL.

    Args:
        compiler: For the backend at hand.
        write: Makes the plan that writes.
        read: Makes the plan that finds what somebody else has written; its None means that the violation was of
            something else, and it is raised.
        depth: How many transactions and savepoints are open already.

    Returns:
        What was written or read, and whether it was written.
    """
    try:
        return (yield from transaction.nested(compiler.backend, write, depth=depth)), True
    except UniqueViolation:
        found = yield from read()
        if found is None:
            raise
        return found, False


@writing
def get_or_create(
    compiler: Compiler, read: Callable[[], Plan[T | None]], write: Callable[[], Plan[T]], *, depth: int = 0
) -> Plan[tuple[T, bool]]:
    """Reads; writes when there was nothing; reads again when somebody else was faster.

    Returns:
        What was read or written, and whether it was written.
    """
    found = yield from read()
    if found is not None:
        return found, False
    return (yield from recovering(compiler, write, read, depth=depth))
