"""Plain `alembic` over the same migrations: what the env.py calls that `datalayer migrations eject` writes.

Alembic decides what runs; each migration then runs as ours do, plain SQL among them, and is noted in both tables.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext
from alembic.script import Script
from alembic.script.revision import RevisionMap
from alembic.util import CommandError

from datalayer._compile import tables as compiled
from datalayer.errors import DatalayerError, MigrationError
from datalayer.migrations import config, files, records
from datalayer.migrations.environment import Environment
from datalayer.migrations.history import Migration, in_words
from datalayer.migrations.operations import Live
from datalayer.migrations.running import perform

INI = """# Written by `datalayer migrations eject`, so that plain `alembic` works; `datalayer` itself does not read it.
[alembic]
script_location = %(here)s/{folder}/alembic
version_locations = %(here)s/{folder}
prepend_sys_path = .
path_separator = os
revision_environment = true
file_template = %%(rev)s_%%(slug)s
"""
ENV = '''"""What plain `alembic` runs; written by `datalayer migrations eject`. The database is that of the settings."""

from datalayer.migrations import ejected

ejected.run("default")
'''
MAKO = '''"""${message}."""

from alembic import op

from datalayer.migrations import types
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
'''


def eject(root: Path) -> list[Path]:
    """Writes alembic.ini and env.py, with which plain `alembic` works.

    Args:
        root: The folder of the project.

    Raises:
        MigrationError: One of the files is there already; then none is written.
    """
    folder = config.folder()
    relative = folder.relative_to(root) if folder.is_relative_to(root) else folder
    texts = {
        root / "alembic.ini": INI.format(folder=relative),
        folder / "alembic" / "env.py": ENV,
        folder / "alembic" / "script.py.mako": MAKO,
    }
    there = [path.name for path in texts if path.exists()]
    if there:
        raise MigrationError(f"there is {there[0]!r} already; take it away first, or go on with it")
    return [files.write(path, text) for path, text in texts.items()]


def run(alias: str) -> None:
    """Runs what `alembic` was asked for.

    Args:
        alias: The database of the settings.

    Raises:
        CommandError: What datalayer has against it, for alembic to tell in one line.
    """
    try:
        _run(alias)
    except DatalayerError as error:
        raise CommandError(str(error)) from error


def _run(alias: str) -> None:
    environment = config.environment(alias)
    metadata = compiled.to_metadata(config.tables())
    if context.is_offline_mode():
        _know_all(environment)
        options = {"paramstyle": "named"}
        context.configure(dialect_name=environment.url.backend, dialect_opts=options, target_metadata=metadata)
        with context.begin_transaction():
            context.run_migrations()
        return
    with environment.connect() as connection, environment.locked(connection):
        with connection.begin():
            applied = environment.read(connection)
            records.prepare(connection, applied, environment.history)
        _know_all(environment)
        context.configure(
            connection=connection,
            target_metadata=metadata,
            transaction_per_migration=True,
            transactional_ddl=True,
            include_name=lambda name, kind, parents: kind != "table" or name not in records.OWN_TABLES,
        )
        with context.begin_transaction():
            context.run_migrations()


def _know_all(environment: Environment) -> None:
    """Makes Alembic know all migrations, those of plain SQL too, in our order."""
    made = [_script(environment, one) for one in environment.history.order]
    context.script.revision_map = RevisionMap(lambda: made)


def _script(environment: Environment, one: Migration) -> Script:
    module: Any = ModuleType(one.name)
    module.__doc__ = one.summary
    module.down_revision = one.parents or None
    module.upgrade = _performing(environment, one, is_upgrade=True)
    module.downgrade = _performing(environment, one, is_upgrade=False)
    return Script(module, one.name, str(one.path))


def _performing(environment: Environment, one: Migration, *, is_upgrade: bool) -> Callable[[], None]:
    def does() -> None:
        history, running = environment.history, context.get_context()
        applied = _applied(environment, running, one, is_upgrade)
        around = contextlib.nullcontext() if one.is_atomic else running.autocommit_block()
        with around:
            live = Live(running, history.state_after(applied), is_atomic=one.is_atomic)
            with in_words(one.name, "applied" if is_upgrade else "reverted"):
                perform(one, live, is_upgrade)
        for text in records.own_statements(one.name, one.checksum if is_upgrade else None):
            live.run(text)

    return does


def _applied(environment: Environment, running: MigrationContext, one: Migration, is_upgrade: bool) -> frozenset[str]:
    if running.as_sql or running.connection is None:
        known = environment.history.closure(one.name)
        return known - {one.name} if is_upgrade else known
    return environment.read(running.connection).names
