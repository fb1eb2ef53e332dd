"""What `op` is inside a migration: it keeps the state of the tables and, when live, changes the database.

SQLite cannot change much of a table in place. Because the state says what the table is and what it shall be, a
change becomes: create the new table, copy the rows, drop the old one, rename. Nothing is read back from the
database, so nothing is lost that reflection cannot see; and the same works for `--sql`.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, TypeAlias

import sqlalchemy as sa
from alembic.ddl.postgresql import CreateExcludeConstraintOp
from alembic.operations import BatchOperations, Operations, ops
from alembic.operations.ops import MigrateOperation
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import SQLAlchemyError

from datalayer._compile.tables import DIALECTS
from datalayer._compile.types import written
from datalayer.errors import MigrationError
from datalayer.migrations import rebuild
from datalayer.migrations._alembic import outside
from datalayer.migrations.casts import Cast, postgresql_cast
from datalayer.migrations.connecting import in_transaction
from datalayer.migrations.describing import sql_text, to_metadata
from datalayer.migrations.replaying import changed_by
from datalayer.migrations.state import POSTGRESQL, SQLITE, Column, State, Table
from datalayer.migrations.statements import Statement, statements
from datalayer.migrations.units import Units

OnRows: TypeAlias = Callable[[str, int, int], None]
"""Told a table, how many of its rows are done, and how many there are."""

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
        self.tables: dict[str, tuple[Table, sa.Table]] = {}  # those that `tables` has handed out
        self.said: list[str] = []  # the SQL that was given as text
        self.changes_rows = self.goes_through_rows = False  # noted for whoever wants to leave that out
        self.is_noting = False  # whether operations change the state alone
        self.outside = outside(context)

    def invoke(self, operation: MigrateOperation) -> Any:
        """Takes one operation into the state."""
        if isinstance(operation, ops.ExecuteSQLOp):
            text = operation.sqltext
            if isinstance(text, str):
                self.said.append(text)
            elif isinstance(text, sa.Update | sa.Delete):  # their values may be of types without a literal
                self.said.append(f"{'UPDATE' if isinstance(text, sa.Update) else 'DELETE FROM'} {text.table}")
            elif isinstance(text, sa.SelectBase | sa.UpdateBase):
                self.changes_rows = True
            else:
                self.said += dict.fromkeys(sql_text(text))
        self.state = changed_by(self.state, operation, self.migration_context)

    @contextmanager
    def batch_alter_table(self, table_name: str, *args: Any, **options: Any) -> Generator[BatchOperations]:
        """The operations of one table; for the state they are like any other."""
        yield _Batch(self.migration_context, table_name, self.invoke)

    def get_bind(self) -> Any:
        """A connection to nothing: queries find no rows."""
        return _Nothing()

    def goes_through(self, table: str) -> None:
        """Python would go through the rows of a table, which finds none here."""
        self.goes_through_rows = True

    def change(self, table: str, after: State, postgresql: Sequence[str], *, together: bool = True) -> None:
        """Leads a table to another form.

        Args:
            table: Its name.
            after: What all tables look like afterwards.
            postgresql: The statements that do it there.
            together: Whether they may be one transaction; otherwise they can be run twice.
        """
        self.state = after


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
    """An `op` that changes the database and keeps the state.

    Args:
        context: The database, or the text that SQL is written to.
        state: What the tables look like now.
        is_atomic: Whether the migration runs in one transaction.
        on_rows: Told how many rows of a table are done, where that may take long.
        units: Counts the operations of a migration without a transaction; None inside of one.
    """

    def __init__(
        self,
        context: MigrationContext,
        state: State,
        *,
        is_atomic: bool = True,
        on_rows: OnRows | None = None,
        units: Units | None = None,
    ) -> None:
        super().__init__(context, state)
        self.is_atomic = is_atomic
        self.on_rows = on_rows
        self.units = units

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is SQLite."""
        return self.migration_context.dialect.name == "sqlite"

    @property
    def is_text(self) -> bool:
        """Whether SQL is only written down."""
        return self.migration_context.as_sql

    def invoke(self, operation: MigrateOperation) -> Any:
        """Runs one operation."""
        return self._unit([operation])

    @contextmanager
    def batch_alter_table(self, table_name: str, *args: Any, **options: Any) -> Generator[BatchOperations]:
        """The operations of one table, run together at the end of the block: SQLite copies the rows once."""
        found: list[MigrateOperation] = []
        yield _Batch(self.migration_context, table_name, found.append)
        if self.is_sqlite:
            self._unit(found)
        else:
            for operation in found:
                self._unit([operation])

    def change(self, table: str, after: State, postgresql: Sequence[str], *, together: bool = True) -> None:
        """Leads a table to another form: PostgreSQL by statements, SQLite by whatever that takes."""
        if self._begins():
            with self._noted(self.is_sqlite or together):
                if self.is_sqlite:
                    rebuild.toward(self, table, after)
                else:
                    for text in postgresql:
                        self.run(text)
        self.state = after

    def sql(self, statement: Statement) -> None:
        """Runs one statement of a plain SQL migration."""
        if self._begins():
            with self._noted(statement.may_be_in_transaction):
                self.run(statement.text)

    def get_bind(self) -> Any:
        """The connection the migration runs on."""
        return _Nothing() if self.is_text else self.migration_context.bind

    def _unit(self, operations: list[MigrateOperation]) -> Any:
        if not self._begins():
            for operation in operations:
                self.state = changed_by(self.state, operation, self.migration_context)
            return None
        with self._noted(all(self._may_be_in_transaction(operation) for operation in operations)):
            if self.is_sqlite:
                return self._sqlite(operations)
            return [self._postgresql(operation) for operation in operations][-1]

    def _begins(self) -> bool:
        return not self.is_noting and (self.units is None or self.units.begin())

    def _may_be_in_transaction(self, operation: MigrateOperation) -> bool:
        if isinstance(operation, ops.ExecuteSQLOp):
            said = operation.sqltext
            if isinstance(said, sa.SelectBase | sa.UpdateBase):
                return True
            text = said if isinstance(said, str) else sql_text(said)[SQLITE if self.is_sqlite else POSTGRESQL]
            backend = "sqlite" if self.is_sqlite else "postgresql"
            return all(one.may_be_in_transaction for one in statements(text, backend, "op.execute"))
        options = operation.kw if isinstance(operation, ops.CreateIndexOp | ops.DropIndexOp) else {}
        return self.is_sqlite or not options.get("postgresql_concurrently")

    @contextmanager
    def _noted(self, in_transaction: bool) -> Generator[None]:
        """One operation, counted with it where both may be one transaction, else right after it."""
        if self.units is None:
            yield
            return
        with self.whole() if in_transaction and not self._is_in_transaction() else contextlib.nullcontext():
            yield
            self.units.finish()

    def _is_in_transaction(self) -> bool:
        """Whether the file itself has begun a transaction."""
        connection = self.migration_context.connection
        return connection is not None and in_transaction(connection)

    @contextmanager
    def whole(self) -> Generator[None]:
        """Several statements that must all happen, also where the migration has no transaction."""
        if self.units is None:
            yield
            return
        self.run("BEGIN IMMEDIATE" if self.is_sqlite else "BEGIN")
        try:
            yield
        except BaseException:
            with contextlib.suppress(SQLAlchemyError):  # a lost session has rolled back, and says why itself
                self.run("ROLLBACK")
            raise
        self.run("COMMIT")

    def natively(self, operation: MigrateOperation, after: State) -> Any:
        """Lets Alembic do it."""
        result = Operations.invoke(self, operation)
        self.state = after
        return result

    def rows(self, text: str) -> list[Any]:
        """What a query finds; nothing where SQL is only written down."""
        connection = self.migration_context.connection
        if connection is None or self.is_text:
            return []
        return list(connection.exec_driver_sql(text, execution_options={"no_parameters": True}))

    def run(self, text: str) -> None:
        """Sends a statement as it is, or writes it down."""
        if self.is_text:
            self.migration_context.impl.static_output(text + ";\n")
        else:
            connection = self.migration_context.connection
            assert connection is not None
            connection.exec_driver_sql(text, execution_options={"no_parameters": True})

    def refuse_unfit(self, table: str, column: Column, cast: Cast) -> None:
        """Values that would lose something stop the migration."""
        if cast.refused is None:
            return
        where = f"FROM {self.quoted(table)} WHERE {cast.refused}"
        for (count,) in self.rows(f"SELECT count(*) {where}"):
            if count:
                raise MigrationError(
                    f"{count} {'value' if count == 1 else 'values'} of column '{table}.{column.name}' cannot become "
                    f"{written(column.type)} without loss; change them first, here or in a migration before; "
                    f"they are found by: SELECT * {where}"
                )

    def quoted(self, name: str) -> str:
        """A name as SQL has it; the driver's own dialect would write each % twice, and nothing is bound here."""
        return str(DIALECTS[self.impl.dialect.name].identifier_preparer.quote(name))

    # -- PostgreSQL ---------------------------------------------------------------------------------

    def _postgresql(self, operation: MigrateOperation) -> Any:
        after = changed_by(self.state, operation, self.migration_context)
        if isinstance(operation, ops.AlterColumnOp) and operation.modify_type is not None:
            return self._change_type(operation, after)
        if isinstance(operation, CreateExcludeConstraintOp):
            return self._exclude(operation, after)
        return self.natively(operation, after)

    def _exclude(self, operation: CreateExcludeConstraintOp, after: State) -> None:
        """Alembic would make a column for each operator, and a column may have two of them."""
        table = replace(after[operation.table_name], foreign_keys={})
        made = to_metadata({table.name: table}).tables[table.name].constraints
        self.impl.add_constraint(next(one for one in made if one.name == operation.constraint_name))
        self.state = after

    def _change_type(self, operation: ops.AlterColumnOp, after: State) -> None:
        table, name = operation.table_name, operation.column_name
        column = self.state[table].columns[name]
        new_name = operation.modify_name or name
        made = after[table].columns[new_name]
        quote = self.quoted
        alter = f"ALTER TABLE {quote(table)} ALTER COLUMN {quote(name)}"
        # A default is not cast with its column, so it goes first and comes back last.
        if column.default is not None:
            self.run(f"{alter} DROP DEFAULT")
        cast = postgresql_cast(quote(name), column.type, made.type)
        using = operation.kw.get("postgresql_using")
        if using is None and cast.refused is not None:
            self.run(f"LOCK TABLE {quote(table)} IN ACCESS EXCLUSIVE MODE")  # as ALTER TABLE does: nobody writes now
            self.refuse_unfit(table, made, cast)
        using = using or cast.expression
        self.run(f"{alter} TYPE {made.type_text[POSTGRESQL]} USING {using}")
        if made.default is not None:
            self.run(f"{alter} SET DEFAULT {made.default[POSTGRESQL]}")
        if made.nullable != column.nullable:
            self.run(f"{alter} {'DROP' if made.nullable else 'SET'} NOT NULL")
        if new_name != name:
            self.run(f"ALTER TABLE {quote(table)} RENAME COLUMN {quote(name)} TO {quote(new_name)}")
        if made.comment != column.comment:
            said = "NULL" if made.comment is None else "'" + made.comment.replace("'", "''") + "'"
            self.run(f"COMMENT ON COLUMN {quote(table)}.{quote(new_name)} IS {said}")
        self.state = after

    # -- SQLite -------------------------------------------------------------------------------------

    def _sqlite(self, operations: list[MigrateOperation]) -> Any:
        result: Any = None
        waiting: list[MigrateOperation] = []
        for operation in operations:
            if isinstance(operation, ops.AlterColumnOp) and operation.modify_name is not None:
                rebuild.together(self, waiting)
                waiting = []
                rebuild.rename(self, operation)
            elif isinstance(operation, _REBUILDING) or (
                isinstance(operation, ops.CreateIndexOp | ops.DropIndexOp)
                and (waiting or not rebuild.is_simple(operation, self.state))
            ):
                waiting.append(operation)
            elif isinstance(operation, ops.CreateTableCommentOp | ops.DropTableCommentOp):
                self.state = changed_by(self.state, operation, self.migration_context)
            else:
                rebuild.together(self, waiting)
                waiting = []
                result = self.natively(operation, changed_by(self.state, operation, self.migration_context))
                if isinstance(operation, ops.CreateTableOp):
                    rebuild.make_beside(self, operation.table_name)
        rebuild.together(self, waiting)
        return result


__all__ = ["Live", "OnRows", "Recording", "recording_context"]
