"""Writes migrations as SQL that is run by hand: what `--sql` and `sqlmigrate` print."""

from __future__ import annotations

import io
from collections.abc import Collection

from alembic.runtime.migration import MigrationContext

from datalayer._compile.tables import DIALECTS
from datalayer.migrations import records
from datalayer.migrations._alembic import as_op
from datalayer.migrations.history import History, Migration, Step, in_words, readable
from datalayer.migrations.operations import Live
from datalayer.migrations.scripts import PythonMigration, SqlMigration


def offline_sql(history: History, backend: str, applied: Collection[str], steps: list[Step]) -> str:
    """The SQL of some steps, with the rows that note them; each migration in its transaction.

    Args:
        history: The migrations.
        backend: Whose SQL.
        applied: What the database has before the first of them.
        steps: What to do, in order.

    Raises:
        MigrationError: A migration cannot be written as SQL.
    """
    buffer = io.StringIO()
    done = set(applied)
    history.states()
    if steps:
        buffer.write("".join(f"{text};\n\n" for text in records.create_statements(backend)))
    for step in steps:
        one = history.by_name[step.name]
        options = {"as_sql": True, "output_buffer": buffer, "transactional_ddl": True, "literal_binds": True}
        context = MigrationContext.configure(dialect=DIALECTS[backend], opts=options)
        live = Live(context, history.state_after(done), is_atomic=one.is_atomic)
        buffer.write(f"-- {step}\n\n")
        (done.add if step.is_upgrade else done.discard)(step.name)
        note = records.note_statements(one.name, one.checksum if step.is_upgrade else None, history.heads_of(done))
        if one.is_atomic:
            buffer.write("BEGIN;\n\n")
        _write(one, live, step.is_upgrade, backend)
        if not one.is_atomic:
            buffer.write("BEGIN;\n\n")
        buffer.write("".join(f"{text};\n\n" for text in note))
        buffer.write("COMMIT;\n\n")
    text = buffer.getvalue()
    if backend == "sqlite" and text:
        return f"PRAGMA foreign_keys=OFF;\n\n{text.rstrip()}\n\nPRAGMA foreign_keys=ON;\n"
    return text


def _write(migration: Migration, live: Live, is_upgrade: bool, backend: str) -> None:
    with in_words(migration.name, "written as SQL"):
        if isinstance(migration, PythonMigration):
            with readable(migration):
                function = migration.function(is_upgrade)
            with as_op(live):
                function()
        elif isinstance(migration, SqlMigration):
            for one in migration.statements(is_upgrade, backend):
                live.sql(one)
