"""`makemigrations --update`: the newest migration is written anew, with what has changed in the models since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alembic.operations import ops
from alembic.operations.ops import MigrateOperation

from datalayer.errors import MigrationError
from datalayer.migrations._alembic import as_op
from datalayer.migrations.history import History
from datalayer.migrations.operations import Recording, recording_context
from datalayer.migrations.scripts import PythonMigration
from datalayer.migrations.state import State


def newest(history: History, renames: Mapping[str, str]) -> tuple[PythonMigration, State, dict[str, str]]:
    """The migration to write anew, the tables before it, and what was renamed by it or is now.

    Args:
        history: The migrations.
        renames: What is renamed now, by names that the newest migration may have given.

    Raises:
        MigrationError: There is none, or it says something that would be lost.
    """
    if not history.order:
        raise MigrationError("there is no migration to write anew: leave --update out")
    last, (before, after) = history.order[-1], history.states()[-2:]
    seen = _Seen(before)
    lost = _beside(last)
    if not lost and isinstance(last, PythonMigration):
        with as_op(seen):
            last.function(True)()
        back = _Seen(after)
        with as_op(back):
            last.function(False)()
        lost = seen.lost or back.lost
    if lost or not isinstance(last, PythonMigration):
        raise MigrationError(f"{last.name} {lost}, which would be lost if it was written anew; leave --update out")
    given = dict(renames)
    found = {old: given.pop(_again(old, new), new) for old, new in seen.renames.items()}
    return last, before, found | given


def _beside(migration: Any) -> str:
    """What a migration says besides what makemigrations writes."""
    words = {
        "is plain SQL": migration.is_sql,
        "stands for others": migration.replaces,
        "brings branches together": len(migration.declared or ()) > 1,
        "has no way back": not migration.is_reversible,
        "runs without a transaction": not migration.is_atomic,
        "says what the linter shall allow": migration.allowed,
    }
    return next((what for what, is_so in words.items() if is_so), "")


def _again(old: str, new: str) -> str:
    """By which name something is renamed that was renamed before."""
    table, dot, _ = old.partition(".")
    return f"{table}.{new}" if dot else new


class _Seen(Recording):
    """Notes what a migration renames, and what the tables do not show."""

    def __init__(self, state: State) -> None:
        super().__init__(recording_context("sqlite"), state)
        self.renames: dict[str, str] = {}
        self._asks = False

    @property
    def lost(self) -> str:
        """What it does beyond changing tables."""
        return "changes rows" if self._asks or self.changes_rows or self.goes_through_rows else ""

    def invoke(self, operation: MigrateOperation) -> Any:
        if isinstance(operation, ops.ExecuteSQLOp | ops.BulkInsertOp):
            self._asks = True
        elif isinstance(operation, ops.RenameTableOp):
            self.renames[operation.table_name] = str(operation.new_table_name)
        elif isinstance(operation, ops.AlterColumnOp) and operation.modify_name is not None:
            self.renames[f"{operation.table_name}.{operation.column_name}"] = operation.modify_name
        super().invoke(operation)

    def get_bind(self) -> Any:
        self._asks = True
        return super().get_bind()
