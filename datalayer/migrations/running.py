"""Applies migrations to one database, and takes them back.

Each migration runs in a transaction of its own together with the rows that record it, on SQLite too. What the database
has is read once, under the lock, and again only where somebody else has changed it meanwhile: before each migration
one row says whether that is so.
"""

from __future__ import annotations

import contextlib
import warnings
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import TypeAlias

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import DBAPIError, SAWarning

from datalayer.errors import MigrationError
from datalayer.migrations import hooks, records
from datalayer.migrations._alembic import as_op
from datalayer.migrations.connecting import autocommitting, is_interrupt, notices_death, reason
from datalayer.migrations.environment import Environment
from datalayer.migrations.history import History, Step, cure_of, line_of, readable
from datalayer.migrations.operations import Live
from datalayer.migrations.records import Applied
from datalayer.migrations.scripts import Migration, PythonMigration, SqlMigration
from datalayer.migrations.units import Units
from datalayer.migrations.watching import watched

Choose: TypeAlias = Callable[[Applied, int], list[Step]]
"""Given what is applied, and how many steps this run has done, says what is left to do."""

BETWEEN_CHECKS = 1.0
"""Seconds between two looks of PostgreSQL whether this process still lives, while it runs a statement for it."""


def toward(
    environment: Environment,
    target: str | None,
    *,
    fake: bool = False,
    fake_initial: bool = False,
    out_of_order: bool = False,
) -> list[Step]:
    """Applies or reverts migrations until the database is at `target`.

    Args:
        environment: The migrations and the database.
        target: The name of a migration; None for `zero`.
        fake: Record them without running them.
        fake_initial: Record those that follow nothing, where the tables they make are there.
        out_of_order: Apply also what came in before something that is applied.

    Raises:
        MigrationError: A migration failed; those before it stay applied, nothing of it does.
    """
    return carry_out(
        environment,
        lambda applied, _: environment.steps_to(target, applied, out_of_order=out_of_order),
        fake=fake,
        fake_initial=fake_initial,
    )


def carry_out(
    environment: Environment,
    choose: Choose,
    *,
    fake: bool = False,
    fake_initial: bool = False,
    together: bool = False,
) -> list[Step]:
    """Runs what `choose` says, one migration at a time.

    Args:
        environment: The migrations and the database.
        choose: Says what is left to do.
        fake: Record without running.
        fake_initial: Record those that follow nothing, where the tables they make are there.
        together: All in one transaction, or nothing.
    """
    environment.history.states()
    with (
        environment.connect() as connection,
        environment.in_words("migrated"),
        environment.locked(connection),
        watched(connection, environment.connect, environment.hooks.on_statement),
    ):
        run = _Run(environment, connection, choose, fake, fake_initial)
        run.together() if together else run.one_by_one()
    return run.done


class _Run:
    """One run of migrations, and what it knows of the database on its way."""

    def __init__(
        self, environment: Environment, connection: sa.Connection, choose: Choose, fake: bool, fake_initial: bool
    ) -> None:
        self.environment = environment
        self.url = environment.url
        self.hooks = environment.hooks
        self.connection = connection
        self.choose = choose
        self.fake = fake
        self.fake_initial = fake_initial
        self.done: list[Step] = []
        self.left: deque[Step] | None = None  # None where the database has to be asked
        self.names: set[str] = set()  # what is applied now
        self.applied = Applied()  # what was read last
        self.own = {} if fake else hooks.read(environment.history.folder)  # of the project, those that are still to run
        self.stamp: object = None
        self.notices_death = self.url.backend == "postgresql" and notices_death(connection)

    def together(self) -> None:
        """All steps in one transaction."""
        context = _context(self.connection)
        with self._interruptible(self.connection), context.begin_transaction():
            self._begin(self.connection)
            while (step := self._next()) is not None:
                self._atomic(context, step)
            self._call("after_migrate", self.done)

    def one_by_one(self) -> None:
        """Each step in a transaction of its own, or without one where it says so."""
        while self._one():
            pass
        self._tidy()
        if "after_migrate" in self.own:
            with self._interruptible(self.connection), _context(self.connection).begin_transaction():
                self._call("after_migrate", self.done)

    def _one(self) -> bool:
        context = _context(self.connection)
        with self._interruptible(self.connection), context.begin_transaction():
            self._begin(self.connection)
            step = self._next()
            if step is None:
                return False
            if self.fake or (self.fake_initial and self._is_there(step)):
                step = replace(step, is_faked=True)
            if step.is_faked or self.environment.history.by_name[step.name].is_atomic:
                self._atomic(context, step)
                return True
        self._unguarded(step)
        return True

    def _tidy(self) -> None:
        """Takes what the files say now as applied, where that was asked for, and a squash for what it replaced."""
        environment = self.environment
        if environment.history.is_expanded:
            environment.history = History(environment.history.folder)
        elif not self.fake:
            return
        with self.connection.begin():
            applied = environment.read(self.connection)
            records.prepare(self.connection, applied, environment.history)
            if self.fake:
                records.checksums(self.connection, environment.history, applied.names)

    # -- what is next -------------------------------------------------------------------------------

    def _next(self) -> Step | None:
        stamp = records.stamp(self.connection) if self.left is not None else None
        if self.left is None or stamp != self.stamp:
            self._ask()
        assert self.left is not None
        return self.left.popleft() if self.left else None

    def _ask(self) -> None:
        environment = self.environment
        self.applied = environment.known(environment.read(self.connection))
        self.names = set(self.applied.names)
        self.left = deque(self.choose(self.applied, len(self.done)))
        if self.left or (self.applied.records and not self.applied.is_ours):
            records.prepare(self.connection, self.applied, environment.history)
        self._call("before_migrate", tuple(self.left))
        if self.left:
            self.stamp = records.stamp(self.connection)

    def _call(self, name: str, steps: Sequence[Step]) -> None:
        """Runs a function of the project, once."""
        if name in self.own:
            state = self.environment.history.state_after(self.names)
            live = Live(_context(self.connection), state, on_rows=self.hooks.on_rows)
            hooks.call(self.own.pop(name), live, steps)

    # -- one step -----------------------------------------------------------------------------------

    def _atomic(self, context: MigrationContext, step: Step) -> None:
        migration = self._told(step)
        if not step.is_faked:
            state = self.environment.history.state_after(self.names)
            live = Live(context, state, on_rows=self.hooks.on_rows)
            with self._errors(step, live):
                perform(migration, live, step.is_upgrade)
                if self.url.backend == "sqlite":
                    _refuse_dangling(self.connection)
                else:
                    records.run(self.connection, ["RESET ALL"])  # a migration may have set the search_path
                    self._begin(self.connection)
        records.run(self.connection, self._notes(migration, step))
        self.stamp = records.stamp(self.connection)

    def _unguarded(self, step: Step) -> None:
        """A migration that wants no transaction: what is done of it is noted after each operation."""
        migration = self._told(step)
        state = self.environment.history.state_after(self.names)
        record = self.applied.records.get(step.name)
        column = "applying" if step.is_upgrade else "reverting"
        done = None if record is None else getattr(record, column)
        # The connection that holds the lock: as long as something of this runs, no other deployer begins.
        with autocommitting(self.connection) as connection:
            if self.url.backend == "postgresql":
                self._set(connection, is_local=False)
            if done is None:
                records.note_progress(connection, step.name, column, 0, migration.checksum if step.is_upgrade else "")
            units = Units(done or 0, lambda count: records.note_progress(connection, step.name, column, count))
            live = Live(_context(connection), state, is_atomic=False, on_rows=self.hooks.on_rows, units=units)
            with self._interruptible(connection), self._errors(step, live):
                perform(migration, live, step.is_upgrade)
                units.check_all(step.name)
                if self.url.backend == "sqlite":
                    _refuse_dangling(connection)
                else:
                    records.run(connection, ["RESET ALL"])
            records.run(connection, ["BEGIN", *self._notes(migration, step), "COMMIT"])
        self.left = None

    def _is_there(self, step: Step) -> bool:
        """Whether a migration that follows nothing would make tables that are there, with all their columns."""
        history = self.environment.history
        if not step.is_upgrade or history.by_name[step.name].parents:
            return False
        before, after = history.state_after(self.names), history.state_after(self.names | {step.name})
        made = [table for name, table in after.items() if name not in before]
        look = sa.inspect(self.connection)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # a type of others is no fault
            return bool(made) and all(
                look.has_table(table.name)
                and set(table.columns) <= {str(column["name"]) for column in look.get_columns(table.name)}
                for table in made
            )

    def _told(self, step: Step) -> Migration:
        if self.hooks.on_progress is not None:
            self.hooks.on_progress(step)
        return self.environment.history.by_name[step.name]

    def _notes(self, migration: Migration, step: Step) -> list[str]:
        """What records that a step is done."""
        (self.names.add if step.is_upgrade else self.names.discard)(step.name)
        self.done.append(step)
        checksum = migration.checksum if step.is_upgrade else None
        return records.note_statements(step.name, checksum, self.environment.history.heads_of(self.names))

    def _begin(self, connection: sa.Connection) -> None:
        """What PostgreSQL is told at the start of each transaction."""
        if self.url.backend == "postgresql":
            self._set(connection, is_local=True)

    def _set(self, connection: sa.Connection, *, is_local: bool) -> None:
        """Sets what PostgreSQL shall do, in one statement.

        No limit is said as well: the url or the role may have one, for the program.
        """
        values = {name: seconds or 0 for name, seconds in self.environment.timeouts.items()}
        if self.notices_death:
            values["client_connection_check_interval"] = BETWEEN_CHECKS
        told = ", ".join(f"set_config('{name}', '{round(s * 1000)}', {is_local})" for name, s in values.items())
        records.run(connection, [f"SELECT {told}"] if told else [])

    @contextlib.contextmanager
    def _interruptible(self, connection: sa.Connection) -> Generator[None]:
        try:
            yield
        except Exception as error:
            connection.rollback()
            cause: BaseException | None = error
            while cause is not None:
                if is_interrupt(cause):
                    raise KeyboardInterrupt from error
                cause = cause.__cause__
            raise

    @contextlib.contextmanager
    def _errors(self, step: Step, live: Live) -> Generator[None]:
        what = f"migration {step.name!r} cannot be {'applied' if step.is_upgrade else 'reverted'} on database "
        what += repr(self.environment.alias)
        try:
            yield
        except MigrationError as error:
            raise type(error)(f"{what}: {error}; {_left(live, step)}") from error
        except DBAPIError as error:
            if is_interrupt(error):
                raise
            raise MigrationError(f"{what}: {reason(error)}; {_left(live, step)}") from error
        except (Exception, SystemExit) as error:
            line = line_of(error, self.environment.history.by_name[step.name].path.stem)
            why = f"{type(error).__name__}: {' '.join(str(error).split())}{line}{cure_of(error)}"
            raise MigrationError(f"{what}: {why}; {_left(live, step)}") from error


def perform(migration: Migration, live: Live, is_upgrade: bool) -> None:
    """Does what a migration says, and notes nothing."""
    if isinstance(migration, PythonMigration):
        with readable(migration):
            function = migration.function(is_upgrade)
        with as_op(live):
            function()
    elif isinstance(migration, SqlMigration):
        for one in migration.statements(is_upgrade, live.migration_context.dialect.name):
            try:
                live.sql(one)
            except DBAPIError as error:
                if is_interrupt(error):
                    raise
                raise MigrationError(f"line {one.line}: {reason(error)}") from error


def _left(live: Live, step: Step) -> str:
    """What a migration that failed leaves behind."""
    if not live.is_atomic:
        return "what was done of it stays, and the next run goes on from there"
    if live.outside.was:
        return "what was done before the end of autocommit_block stays, and the next run would do it again"
    return f"nothing of it was {'applied' if step.is_upgrade else 'taken back'}"


def _context(connection: sa.Connection) -> MigrationContext:
    return MigrationContext.configure(connection=connection, opts={"transactional_ddl": True})


def _refuse_dangling(connection: sa.Connection) -> None:
    rows = list(connection.exec_driver_sql("PRAGMA foreign_key_check"))
    if rows:
        pairs = sorted({f"{row[0]} to {row[2]}" for row in rows})
        raise MigrationError(f"{len(rows)} rows would refer to rows that do not exist: {', '.join(pairs)}")


__all__ = ["carry_out", "perform", "toward"]
