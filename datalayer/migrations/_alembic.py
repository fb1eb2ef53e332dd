"""The names of Alembic that are not public; no other module touches them, so a new release is checked in one place."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import contextlib
from collections.abc import Generator

from alembic import op
from alembic.operations import Operations

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


def running() -> Operations | None:
    """The operations that `op` means now; None outside a migration."""
    return _running[-1] if _running else None
