"""What `op` is inside a migration: it keeps the state of the tables and, when live, changes the database.

SQLite cannot change much of a table in place. Because the state says what the table is and what it shall be, a
change becomes: create the new table, copy the rows, drop the old one, rename. Nothing is read back from the
database, so nothing is lost that reflection cannot see; and the same works for `--sql`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from alembic.operations import BatchOperations, Operations, ops
from alembic.operations.ops import MigrateOperation
from alembic.runtime.migration import MigrationContext
from sqlalchemy.schema import CreateIndex, CreateTable

from datalayer._compile.tables import DIALECTS
from datalayer._compile.types import written
from datalayer.errors import MigrationError
from datalayer.migrations.casts import Cast, postgresql_cast, sqlite_cast
from datalayer.migrations.state import POSTGRESQL, SQLITE, Column, State, Table, changed_by, table_changed, to_metadata

TEMPORARY = "_datalayer_new_"
_CONSTANT = re.compile(r"^(-?\d+(\.\d+)?|'([^']|'')*'|NULL|X'[0-9a-f]*')$", re.IGNORECASE)


_REBUILDING = (ops.AlterColumnOp, ops.DropColumnOp, ops.AddColumnOp, ops.AddConstraintOp, ops.DropConstraintOp)


class _Batch(BatchOperations):
    """The object inside `with op.batch_alter_table(...)`: hands each operation on."""

    def __init__(self, context: MigrationContext, table: str, take: Callable[[MigrateOperation], None]) -> None:
        super().__init__(context, SimpleNamespace(table_name=table, schema=None))  # type: ignore[arg-type]
        self._take = take

    def invoke(self, operation: MigrateOperation) -> Any:
        self._take(operation)


class Recording(Operations):
    """An `op` that only keeps the state: how the history is replayed without a database."""

    def __init__(self, context: MigrationContext, state: State) -> None:
        super().__init__(context)
        self.state = state

    def invoke(self, operation: MigrateOperation) -> Any:
        """Takes one operation into the state."""
        self.state = changed_by(self.state, operation, self.migration_context)

    @contextmanager
    def batch_alter_table(self, table_name: str, *args: Any, **options: Any) -> Generator[BatchOperations]:
        """The operations of one table; for the state they are like any other."""
        yield _Batch(self.migration_context, table_name, self.invoke)

    def get_bind(self) -> Any:
        """A connection to nothing: queries find no rows."""
        return _Nothing()


class _Nothing:
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: object, **options: object) -> Any:
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __bool__(self) -> bool:
        return False


def recording_context(backend: str) -> MigrationContext:
    """A migration context without a database, for `Recording`."""
    return MigrationContext.configure(dialect=DIALECTS[backend], opts={"as_sql": True, "output_buffer": io.StringIO()})


class Live(Recording):
    """An `op` that changes the database and keeps the state."""

    def invoke(self, operation: MigrateOperation) -> Any:
        """Runs one operation."""
        if self.migration_context.dialect.name == "sqlite":
            return self._sqlite([operation])
        return self._postgresql(operation)

    @contextmanager
    def batch_alter_table(self, table_name: str, *args: Any, **options: Any) -> Generator[BatchOperations]:
        """The operations of one table, run together at the end of the block: SQLite copies the rows once."""
        found: list[MigrateOperation] = []
        yield _Batch(self.migration_context, table_name, found.append)
        if self.migration_context.dialect.name == "sqlite":
            self._sqlite(found)
        else:
            for operation in found:
                self._postgresql(operation)

    def get_bind(self) -> Any:
        """The connection the migration runs on."""
        return self.migration_context.bind

    def _natively(self, operation: MigrateOperation, after: State) -> Any:
        result = Operations.invoke(self, operation)
        self.state = after
        return result

    # -- PostgreSQL ---------------------------------------------------------------------------------

    def _postgresql(self, operation: MigrateOperation) -> Any:
        after = changed_by(self.state, operation, self.migration_context)
        if isinstance(operation, ops.AlterColumnOp) and operation.modify_type is not None:
            return self._change_type(operation, after)
        return self._natively(operation, after)

    def _change_type(self, operation: ops.AlterColumnOp, after: State) -> None:
        table, name = operation.table_name, operation.column_name
        column = self.state[table].columns[name]
        new_name = operation.modify_name or name
        made = after[table].columns[new_name]
        quote = self.impl.dialect.identifier_preparer.quote
        alter = f"ALTER TABLE {quote(table)} ALTER COLUMN {quote(name)}"
        # A default is not cast with its column, so it goes first and comes back last.
        if column.default is not None:
            self._run(f"{alter} DROP DEFAULT")
        cast = postgresql_cast(quote(name), column.type, made.type)
        using = operation.kw.get("postgresql_using")
        if using is None and cast.refused is not None:
            self._run(f"LOCK TABLE {quote(table)} IN ACCESS EXCLUSIVE MODE")  # as ALTER TABLE does: nobody writes now
            self._refuse_unfit(table, made, cast)
        using = using or cast.expression
        self._run(f"{alter} TYPE {made.type_text[POSTGRESQL]} USING {using}")
        if made.default is not None:
            self._run(f"{alter} SET DEFAULT {made.default[POSTGRESQL]}")
        if made.nullable != column.nullable:
            self._run(f"{alter} {'DROP' if made.nullable else 'SET'} NOT NULL")
        if new_name != name:
            self._run(f"ALTER TABLE {quote(table)} RENAME COLUMN {quote(name)} TO {quote(new_name)}")
        self.state = after

    # -- SQLite -------------------------------------------------------------------------------------

    def _sqlite(self, operations: list[MigrateOperation]) -> Any:
        result: Any = None
        waiting: list[MigrateOperation] = []
        for operation in operations:
            if isinstance(operation, ops.AlterColumnOp) and operation.modify_name is not None:
                self._together(waiting)
                waiting = []
                self._rename(operation)
            elif isinstance(operation, _REBUILDING) or (
                waiting and isinstance(operation, ops.CreateIndexOp | ops.DropIndexOp)
            ):
                waiting.append(operation)
            elif isinstance(operation, ops.CreateTableCommentOp | ops.DropTableCommentOp):
                self.state = changed_by(self.state, operation, self.migration_context)
            else:
                self._together(waiting)
                waiting = []
                result = self._natively(operation, changed_by(self.state, operation, self.migration_context))
        self._together(waiting)
        return result

    def _together(self, operations: list[MigrateOperation]) -> None:
        if not operations:
            return
        if all(_is_simple(operation) for operation in operations):
            for operation in operations:
                self._natively(operation, changed_by(self.state, operation, self.migration_context))
            return
        after = self.state
        for operation in operations:
            after = changed_by(after, operation, self.migration_context)
        name = table_changed(operations[0])
        casts = self._casts(self.state[name], after[name])
        for column, cast in casts.items():
            self._refuse_unfit(name, after[name].columns[column], cast)
        quote = self.impl.dialect.identifier_preparer.quote
        is_same = all(cast.expression == quote(column) for column, cast in casts.items())
        if is_same and _sqlite_text(self.state, name) == _sqlite_text(after, name):
            self.state = after  # SQLite does not see the difference, as between two sizes of integers
        else:
            self._rebuild(name, after, casts)

    def _casts(self, before: Table, after: Table) -> dict[str, Cast]:
        """How the values of the columns whose type changes become the new one, on SQLite."""
        quote = self.impl.dialect.identifier_preparer.quote
        return {
            name: sqlite_cast(quote(name), before.columns[name].type, column.type)
            for name, column in after.columns.items()
            if name in before.columns and column.type_text != before.columns[name].type_text
        }

    def _refuse_unfit(self, table: str, column: Column, cast: Cast) -> None:
        """Values that would lose something stop the migration."""
        if cast.refused is None or self.migration_context.as_sql:
            return
        where = f"FROM {self.impl.dialect.identifier_preparer.quote(table)} WHERE {cast.refused}"
        count = self._rows(f"SELECT count(*) {where}")[0][0]
        if count:
            raise MigrationError(
                f"{count} {'value' if count == 1 else 'values'} of column '{table}.{column.name}' cannot become "
                f"{written(column.type)} without loss; change them first, here or in a migration before; "
                f"they are found by: SELECT * {where}"
            )

    def _rename(self, operation: ops.AlterColumnOp) -> None:
        quote = self.impl.dialect.identifier_preparer.quote
        table, old, new = operation.table_name, operation.column_name, operation.modify_name or ""
        before = self.state
        rename = ops.AlterColumnOp(table, old, modify_name=new)
        after = changed_by(before, rename, self.migration_context)
        self._run(f"ALTER TABLE {quote(table)} RENAME COLUMN {quote(old)} TO {quote(new)}")
        self.state = after
        rest = ops.AlterColumnOp(
            table,
            new,
            modify_type=operation.modify_type,
            modify_nullable=operation.modify_nullable,
            modify_server_default=operation.modify_server_default,
        )
        if changed_by(after, rest, self.migration_context) != after:
            self._together([rest])

    def _rebuild(self, name: str, after: State, casts: Mapping[str, Cast]) -> None:
        before, table = self.state[name], after[name]
        self._refuse_unknown_columns(before)
        quote = self.impl.dialect.identifier_preparer.quote
        temporary = TEMPORARY + name
        kept = [column for column in table.columns if column in before.columns]
        kept = [column for column in kept if table.columns[column].computed is None]
        columns = ", ".join(quote(column) for column in kept)
        values = ", ".join(casts[column].expression if column in casts else quote(column) for column in kept)
        triggers = self._triggers(name)
        metadata = to_metadata(after)
        made = metadata.tables[name]
        ddl = str(CreateTable(made).compile(dialect=self.impl.dialect)).strip()
        head = f"CREATE TABLE {quote(name)}"
        if not ddl.startswith(head):
            raise MigrationError(f"the new form of table {name!r} cannot be written")
        # References of other tables must keep meaning the old name while the new table takes its place.
        self._run("PRAGMA legacy_alter_table=ON")
        self._run(f"CREATE TABLE {quote(temporary)}{ddl[len(head) :]}")
        if columns:
            self._run(f"INSERT INTO {quote(temporary)} ({columns}) SELECT {values} FROM {quote(name)}")
        if before.is_numbered and table.is_numbered:
            literal, new_literal = _literal(name), _literal(temporary)
            self._run(f"DELETE FROM sqlite_sequence WHERE name = {new_literal}")
            self._run(
                "INSERT INTO sqlite_sequence (name, seq) "
                f"SELECT {new_literal}, seq FROM sqlite_sequence WHERE name = {literal}"
            )
        self._run(f"DROP TABLE {quote(name)}")
        self._run(f"ALTER TABLE {quote(temporary)} RENAME TO {quote(name)}")
        self._run("PRAGMA legacy_alter_table=OFF")
        for index in sorted(made.indexes, key=lambda one: str(one.name)):
            self._run(str(CreateIndex(index).compile(dialect=self.impl.dialect)))
        for trigger in triggers:
            self._run(trigger)
        self.state = after

    def _refuse_unknown_columns(self, table: Table) -> None:
        """A column somebody added by hand would be lost with its data."""
        if self.migration_context.as_sql:
            return
        rows = self._rows(f"SELECT name FROM pragma_table_xinfo({_literal(table.name)})")
        unknown = {str(row[0]) for row in rows} - set(table.columns)
        if unknown:
            raise MigrationError(
                f"table {table.name!r} has columns that no migration made: {', '.join(sorted(unknown))}; "
                "they would be lost; add them in a migration first, or drop them"
            )

    def _triggers(self, table: str) -> list[str]:
        if self.migration_context.as_sql:
            return []
        rows = self._rows(f"SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = {_literal(table)}")
        return [str(row[0]) for row in rows]

    def _rows(self, text: str) -> list[Any]:
        connection = self.migration_context.connection
        return (
            []
            if connection is None
            else list(connection.exec_driver_sql(text, execution_options={"no_parameters": True}))
        )

    def _run(self, text: str) -> None:
        if self.migration_context.as_sql:
            self.migration_context.impl.static_output(text + ";")
        else:
            connection = self.migration_context.connection
            assert connection is not None
            connection.exec_driver_sql(text, execution_options={"no_parameters": True})


def _sqlite_text(state: State, name: str) -> list[str]:
    """All that SQLite is told about a table."""
    table = to_metadata(state).tables[name]
    parts: list[sa.ClauseElement] = [CreateTable(table), *(CreateIndex(index) for index in table.indexes)]
    return sorted(str(part.compile(dialect=DIALECTS["sqlite"])) for part in parts)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _is_simple(operation: MigrateOperation) -> bool:
    """Whether SQLite can do it in place."""
    if isinstance(operation, ops.CreateIndexOp | ops.DropIndexOp):
        return True
    if not isinstance(operation, ops.AddColumnOp):
        return False
    column = operation.column
    if column.foreign_keys or column.unique or column.index or column.primary_key or column.computed is not None:
        return False
    default = column.server_default
    if default is None:
        return bool(column.nullable)
    if not isinstance(default, sa.DefaultClause):
        return False
    if isinstance(default.arg, str):
        return True
    dialect = DIALECTS["sqlite"]
    text = dialect.statement_compiler(dialect, None).process(default.arg, literal_binds=True)
    return bool(_CONSTANT.match(text))


__all__ = ["SQLITE", "Live", "Recording", "recording_context"]
