"""What a migration says of the tables, apart from what it does to them; for migration files.

from datalayer.migrations import separate


def upgrade() -> None:
    with separate.state_only():  # plain SQL has made it
        op.create_table("book", sa.Column("id", types.BigInteger(), primary_key=True))
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from datalayer.errors import MigrationError
from datalayer.migrations._alembic import running
from datalayer.migrations.operations import Recording


def _current() -> Recording:
    op = running()
    if not isinstance(op, Recording):
        raise MigrationError("the operations of datalayer.migrations.separate work inside a migration only")
    return op


@contextmanager
def state_only() -> Generator[None]:
    """Operations that are only noted: `makemigrations` counts on them, and the database has them already."""
    op = _current()
    before, op.is_noting = op.is_noting, True
    try:
        yield
    finally:
        op.is_noting = before


@contextmanager
def database_only() -> Generator[None]:
    """Operations that are done, and of which `makemigrations` shall know nothing."""
    op = _current()
    before = op.state
    yield
    op.state = before


__all__ = ["database_only", "state_only"]
