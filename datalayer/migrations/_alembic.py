"""The names of Alembic that are not public; no other module touches them, so a new release is checked in one place."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import contextlib
from collections.abc import Generator

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

LONGEST_NAME = 255


@contextlib.contextmanager
def as_op(operations: Operations) -> Generator[None]:
    """Makes `from alembic import op` mean these operations: `Operations.context` makes its own instead."""
    operations._setups[type(operations)] = operations._setups[Operations]
    operations._install_proxy()
    try:
        yield
    finally:
        operations._remove_proxy()


def widened(context: MigrationContext) -> MigrationContext:
    """Makes room for names: Alembic's own version column has 32 characters."""
    context._version.c.version_num.type = sa.String(LONGEST_NAME)
    return context
