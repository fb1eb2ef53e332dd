"""What a migration would do, a line for each operation, without doing any of it: `--plan`.

A line begins with `+` where something is made, `-` where something goes, `~` where it changes, and `>` where SQL or
Python says it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from alembic.operations import ops
from alembic.operations.ops import MigrateOperation

from datalayer._compile.tables import DIALECTS
from datalayer.migrations._alembic import as_op
from datalayer.migrations.describing import sql_text
from datalayer.migrations.history import History, Migration, Step, in_words, readable
from datalayer.migrations.operations import Recording, recording_context
from datalayer.migrations.replaying import changed_by, table_changed
from datalayer.migrations.scripts import PythonMigration, SqlMigration
from datalayer.migrations.state import POSTGRESQL, SQLITE, State, Table, constraints_of
from datalayer.migrations.statements import statements

_LONGEST = 90
_VALUE = re.compile(r"(?:%\(\w+\)s|%\w|\$\d+|\?|(?<!:):\w+)(?:::\w+)?")  # what stands for a value that is bound


def planned(history: History, backend: str, applied: Collection[str], steps: Sequence[Step]) -> list[Step]:
    """The steps, each with its operations in words.

    Args:
        history: The migrations.
        backend: Whose SQL is shown.
        applied: What the database has before the first of them.
        steps: What would be done, in order.

    Raises:
        MigrationError: A migration cannot be read.
    """
    done = set(applied)
    found: list[Step] = []
    for step in steps:
        lines = _operations(history.by_name[step.name], history.state_after(done), step.is_upgrade, backend)
        found.append(replace(step, operations=tuple(lines)))
        (done.add if step.is_upgrade else done.discard)(step.name)
    return found


def _operations(migration: Migration, before: State, is_upgrade: bool, backend: str) -> list[str]:
    plan = _Planning(before, backend)
    if not is_upgrade and not migration.is_reversible:
        return []
    if isinstance(migration, PythonMigration):
        with readable(migration):
            function = migration.function(is_upgrade)
        with as_op(plan), in_words(migration.name, "read"):
            function()
    elif isinstance(migration, SqlMigration):
        for one in migration.statements(is_upgrade, backend):
            plan.say(one.text)
    return plan.lines


class _Planning(Recording):
    """An `op` that says what each operation would do, and keeps the state."""

    def __init__(self, before: State, backend: str) -> None:
        super().__init__(recording_context(backend), before)
        self.backend = backend
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        self.lines.append(f"{line} (noted only)" if self.is_noting else line)

    def say(self, text: str) -> None:
        """The first line of a statement."""
        first, _, more = text.strip().partition("\n")
        line = " ".join(first.split())
        is_cut = bool(more.strip()) or len(line) > _LONGEST
        self.add(f"> {line[:_LONGEST].rstrip()}{' ...' if is_cut else ''}")

    def invoke(self, operation: MigrateOperation) -> Any:
        after = changed_by(self.state, operation, self.migration_context)
        if isinstance(operation, ops.ExecuteSQLOp):
            said = operation.sqltext
            place = SQLITE if self.backend == "sqlite" else POSTGRESQL
            if isinstance(said, sa.SelectBase | sa.UpdateBase):
                self.say(_VALUE.sub("...", str(said.compile(dialect=DIALECTS[self.backend]))))
                self.state = after
                return
            text = said if isinstance(said, str) else sql_text(said)[place]
            for one in statements(text, self.backend, "op.execute"):
                self.say(one.text)
        elif isinstance(operation, ops.BulkInsertOp):
            self.add(f"+ insert {len(operation.rows)} rows into {operation.table.name}")
        elif isinstance(operation, ops.RenameTableOp):
            self.add(f"~ rename table {operation.table_name} to {operation.new_table_name}")
        elif isinstance(operation, ops.AlterColumnOp):
            self._alter(operation, after)
        else:
            self._differs(after, table_changed(operation) if hasattr(operation, "table_name") else "")
        self.state = after

    def change(self, table: str, after: State, postgresql: Sequence[str], *, together: bool = True) -> None:
        count = len(self.lines)
        self._differs(after, table)
        if len(self.lines) == count:
            for text in postgresql:
                self.say(text)
        self.state = after

    def goes_through(self, table: str) -> None:
        """Python would go through the rows of a table."""
        line = f"> rows of {table}"
        if line not in self.lines:
            self.add(line)

    def get_bind(self) -> Any:
        """A connection to nothing: queries find no rows."""
        line = "> Python, which asks the database"
        if line not in self.lines:
            self.add(line)
        return super().get_bind()

    def _alter(self, operation: ops.AlterColumnOp, after: State) -> None:
        table, name = operation.table_name, operation.column_name
        new = operation.modify_name or name
        if new != name:
            self.add(f"~ rename column {table}.{name} to {new}")
        old, made = self.state[table].columns[name], after[table].columns[new]
        place = SQLITE if self.backend == "sqlite" else POSTGRESQL
        said: list[str] = []
        if made.type_text != old.type_text:
            said.append(f"{old.type_text[place]} becomes {made.type_text[place]}")
        if made.nullable != old.nullable:
            said.append("may be NULL" if made.nullable else "must not be NULL")
        if made.default != old.default:
            said.append("no default" if made.default is None else f"default {made.default[place]}")
        if made.comment != old.comment:
            said.append("comment")
        if said or new == name:
            self.add(f"~ change column {table}.{new}" + (f": {', '.join(said)}" if said else ""))

    def _differs(self, after: State, table: str) -> None:
        """What one operation on a table changes, by what the tables look like before and after it."""
        before = self.state
        for name in after.keys() - before.keys():
            self.add(f"+ create table {name}")
        for name in before.keys() - after.keys():
            self.add(f"- drop table {name} and its rows")
        for name in before.keys() & after.keys():
            if before[name] != after[name] and name in (table or name):
                self._of_table(before[name], after[name])

    def _of_table(self, old: Table, new: Table) -> None:
        there, gone = new.columns.keys() - old.columns.keys(), old.columns.keys() - new.columns.keys()
        for name in there:
            self.add(f"+ add column {new.name}.{name}")
        for name in gone:
            self.add(f"- drop column {new.name}.{name} and its values")
        if there or gone:  # what hangs on a column comes and goes with it
            return
        for name, column in new.columns.items():
            if column.nullable != old.columns[name].nullable:
                how = "may be NULL" if column.nullable else "must not be NULL"
                self.add(f"~ change column {new.name}.{name}: {how}")
        for word, one, other in (
            ("index", old.indexes, new.indexes),
            ("constraint", constraints_of(old), constraints_of(new)),
        ):
            self._pairs(word, new.name, dict(one), dict(other))
        if old.comment != new.comment:
            self.add(f"~ comment on {new.name}")

    def _pairs(self, word: str, table: str, old: dict[str, Any], new: dict[str, Any]) -> None:
        there, gone = [name for name in new if name not in old], [name for name in old if name not in new]
        for name in list(gone):
            same = next((other for other in there if new[other] == old[name]), None)
            if same is not None:
                self.add(f"~ rename {word} {name} of {table} to {same}")
                there.remove(same)
                gone.remove(name)
        for name in gone:
            self.add(f"- drop {word} {name} of {table}")
        for name in there:
            self.add(f"+ create {word} {name} of {table}")


__all__ = ["planned"]
