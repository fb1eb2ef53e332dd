"""The names of Alembic that are not public; no other module touches them, so a new release is checked in one place."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass

from alembic import op
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

LONGEST_NAME = 255

_running: list[Operations] = []


@contextlib.contextmanager
def as_op(operations: Operations) -> Generator[None]:
    """Makes `from alembic import op` mean these operations: `Operations.context` makes its own instead."""
    outer: Operations | None = getattr(op, "_proxy", None)
    operations._setups[type(operations)] = operations._setups[Operations]
    operations._install_proxy()
    _running.append(operations)
    try:
        yield
    finally:
        _running.pop()
        operations._remove_proxy()
        if outer is not None:  # plain Alembic's own, after an eject
            outer._install_proxy()


@dataclass
class Outside:
    """Whether operations run outside the transaction of their migration, in `autocommit_block`, now or before."""

    is_now: bool = False
    was: bool = False


def outside(context: MigrationContext) -> Outside:
    """Watches a context for `autocommit_block`."""
    seen, block = Outside(), context.autocommit_block

    @contextlib.contextmanager
    def watched() -> Generator[None]:
        seen.was = True
        with block():
            seen.is_now = True
            try:
                yield
            finally:
                seen.is_now = False

    context.autocommit_block = watched  # type: ignore[method-assign]  # it has no hook of its own
    return seen


def running() -> Operations | None:
    """The operations that `op` means now; None outside a migration."""
    return _running[-1] if _running else None
