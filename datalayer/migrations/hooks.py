"""`hooks.py` beside the migrations: what a project does whenever a database has been, or will be, migrated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

from datalayer.errors import MigrationError, choices_text
from datalayer.migrations._alembic import as_op
from datalayer.migrations.history import Step
from datalayer.migrations.operations import Live
from datalayer.migrations.scripts import HOOKS

Hook: TypeAlias = Callable[[Sequence[Step]], object]
_NAMES = ("before_migrate", "after_migrate")


def read(folder: Path) -> dict[str, Hook]:
    """The functions of the file, by name; none where there is no file.

    Raises:
        MigrationError: It cannot be read, or has none of them.
    """
    path = folder / HOOKS
    if not path.is_file():
        return {}
    made = ModuleType("datalayer_migration_hooks")
    made.__file__ = str(path)
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), made.__dict__)
    except (Exception, SystemExit) as error:
        raise MigrationError(f"{folder.name}/{HOOKS} cannot be read: {type(error).__name__}: {error}") from error
    found = {name: getattr(made, name) for name in _NAMES if hasattr(made, name)}
    if not found:
        raise MigrationError(
            f"{folder.name}/{HOOKS} has no function that is called; it may have {choices_text(_NAMES)}"
        )
    return found


def call(hook: Hook, live: Live, steps: Sequence[Step]) -> None:
    """Runs one of them, in which `tables` and `rows` are those of a migration that comes last.

    Raises:
        MigrationError: It failed.
    """
    try:
        with as_op(live):
            hook(steps)
    except (Exception, SystemExit) as error:
        kind = "" if isinstance(error, MigrationError) else f"{type(error).__name__}: "
        why = f"{kind}{' '.join(str(error).split())}"
        raise MigrationError(f"{HOOKS}: {getattr(hook, '__name__', 'a hook')} failed: {why}") from error
