"""Applies migrations to one database, and takes them back.

Each migration runs in a transaction of its own together with the rows that record it, on SQLite too. The database is
asked what it has again before each one, under the lock, so that two deployers never run the same migration.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from datalayer._links.functions import register
from datalayer._links.sqlite import why_not_open
from datalayer.conf.url import DatabaseUrl
from datalayer.errors import ConnectionFailed, MigrationError, MissingExtra, choices_text, nearest
from datalayer.migrations import records
from datalayer.migrations._alembic import as_op
from datalayer.migrations.history import History, Migration, Step, readable
from datalayer.migrations.operations import Live, OnRows
from datalayer.migrations.records import Applied
from datalayer.migrations.scripts import PythonMigration, SqlMigration
from datalayer.migrations.units import Units

LOCK_KEY = 0x64617461_6C617965  # "datalaye": the advisory lock of PostgreSQL
_CURES = {
    "locked": "; another process is writing to it: run this again when it has finished",
    "readonly": "; the file and its folder must be writable for whoever runs migrations",
    "permission denied": "; migrations need a role that may create tables there",
    "not a database": "; the url in the settings leads to another kind of file",
    "cannot run inside a transaction block": "; let this migration run without one: atomic = False in a Python file, "
    "-- datalayer: atomic = false in an SQL file, run_in_transaction = false in metadata.toml",
    "cannot VACUUM from within a transaction": "; let this migration run without one: atomic = False in a Python "
    "file, -- datalayer: atomic = false in an SQL file, run_in_transaction = false in metadata.toml",
    "lock timeout": "; somebody else uses the table: try again, or raise databases.<alias>.migrate.lock_timeout",
    "statement timeout": "; it took longer than databases.<alias>.migrate.statement_timeout allows",
}
_FOR_EVER = 1_000_000.0  # seconds: some days, which SQLite can still count in milliseconds
_STEPS_BETWEEN_LOOKS = 100_000  # some milliseconds of SQLite's work

Choose: TypeAlias = Callable[[Applied], list[Step]]


def _reason(error: DBAPIError) -> str:
    """What the database said, and what helps."""
    reason = " ".join(str(error.orig).split())
    return reason + next((cure for word, cure in _CURES.items() if word in reason), "")


@dataclass(frozen=True)
class Hooks:
    """Who is told what goes on.

    Attributes:
        on_progress: Called with each migration before it runs.
        on_rows: Called with a table, and how many of how many of its rows are done.
        on_wait: Called once when another deployer is at work and has to be waited for.
    """

    on_progress: Callable[[Step], None] | None = None
    on_rows: OnRows | None = None
    on_wait: Callable[[], None] | None = None


@dataclass
class Environment:
    """A history and one database.

    Attributes:
        history: The migrations.
        url: The database.
        alias: Its alias, for messages.
        lock_timeout: How many seconds to wait for whoever else writes to an SQLite file; None for ever.
        timeouts: What PostgreSQL is told for each migration: `lock_timeout`, `statement_timeout`, in seconds.
        hooks: Who is told what goes on.
    """

    history: History
    url: DatabaseUrl
    alias: str = "default"
    lock_timeout: float | None = 30.0
    timeouts: dict[str, float | None] = field(default_factory=dict[str, float | None])
    hooks: Hooks = Hooks()

    # -- the connection -----------------------------------------------------------------------------

    def _engine(self) -> sa.Engine:
        if self.url.is_memory:
            raise MigrationError(
                f"database {self.alias!r} is in memory and gone with its connection, so it cannot be migrated; "
                "use a file, or datalayer.testing.create_tables()"
            )
        if self.url.backend == "sqlite":
            engine = sa.create_engine("sqlite+pysqlite://", creator=self._open_sqlite, poolclass=NullPool)
            event.listen(engine, "begin", _begin_immediate)
            return engine
        url, secret = self.url, self.url.password
        is_socket = (url.host or "").startswith("/")
        options = dict(url.options)
        if is_socket and url.host:
            options["host"] = url.host
        made = sa.URL.create(
            "postgresql+psycopg",
            username=url.user,
            password=None if secret is None else secret.get_secret_value(),
            host=None if is_socket else url.host,
            port=url.port,
            database=url.database,
            query=options,
        )
        try:
            return sa.create_engine(made, poolclass=NullPool)
        except ModuleNotFoundError as error:
            raise MissingExtra("PostgreSQL needs the extra: pip install 'datalayer[postgres]'") from error

    def _open_sqlite(self) -> sqlite3.Connection:
        # Without a transaction of its own, so that DDL is as transactional as everything else.
        timeout = _FOR_EVER if self.lock_timeout is None else self.lock_timeout
        connection = sqlite3.connect(self.url.database, isolation_level=None, timeout=timeout)
        # Tables are rebuilt with their references in place; each migration ends with a check of all of them.
        connection.execute("PRAGMA foreign_keys=OFF")
        register(connection)  # a CHECK or a generated column may call our functions
        # SQLite asks this while it works, which lets Python see Ctrl-C in the middle of a long statement.
        connection.set_progress_handler(lambda: 0, _STEPS_BETWEEN_LOOKS)
        return connection

    @contextlib.contextmanager
    def connect(self) -> Generator[sa.Connection]:
        """A connection for migrations, closed at the end.

        Raises:
            ConnectionFailed: There is none to be had.
        """
        engine = self._engine()
        try:
            connection = engine.connect()
        except DBAPIError as error:
            reason = "; ".join(line.strip() for line in str(error.orig).splitlines() if line.strip())
            if self.url.backend == "sqlite" and error.orig is not None:
                reason = why_not_open(self.url.database, error.orig)
            raise ConnectionFailed(
                f"cannot connect to database {self.alias!r} at {self.url}: {reason}", alias=self.alias
            ) from error
        with connection:
            yield connection
        engine.dispose()

    # -- what is applied ----------------------------------------------------------------------------

    def applied(self) -> Applied:
        """What the database has.

        Raises:
            MigrationError: Alembic or diesel has applied something that is not in the folder.
        """
        if self.url.backend == "sqlite" and not self.url.is_memory and not Path(self.url.database).exists():
            return Applied()  # asking would make an empty file
        with self.connect() as connection, self._in_words("asked for its migrations"):
            return self.read(connection.execution_options(datalayer_reads=True))

    def current(self) -> str | None:
        """The newest migration that is applied; None before the first."""
        return self.newest(self.known(self.applied()).names)

    def newest(self, names: Collection[str]) -> str | None:
        """The last of some migrations."""
        return max(names, key=self.history.place, default=None)

    def read(self, connection: sa.Connection) -> Applied:
        """What the database has; one in the middle of what a squash replaced goes on with what was replaced."""
        found = records.read(connection, self.history)
        replaced = {name for one in self.history.order for name in one.replaces if one.name not in found.records}
        if replaced & set(found.records):
            self.history = History(self.history.folder, expands=True)
            found = records.read(connection, self.history)
        return found

    @contextlib.contextmanager
    def _in_words(self, what: str) -> Generator[None]:
        """What the database itself has against it, outside any migration."""
        try:
            yield
        except DBAPIError as error:
            reason = _reason(error)
            raise MigrationError(f"database {self.alias!r} at {self.url} cannot be {what}: {reason}") from error

    def known(self, applied: Applied) -> Applied:
        """The same, where the files of everything applied are there.

        Raises:
            MigrationError: They are not.
        """
        unknown = applied.unknown(self.history)
        if unknown:
            names = self.history.names
            raise MigrationError(
                f"database {self.alias!r} is at migration {choices_text(unknown)!r}, which is not in "
                f"{self.history.folder.name!r}; there are: {choices_text(names[-6:])}{nearest(unknown[0], names)}; the "
                "database is newer than these files: deploy the version that has them, or take them back with it first"
            )
        return applied

    def pending(self, target: str | None, *, out_of_order: bool = False) -> list[Step]:
        """What `run` to `target` (a name; None for `zero`) would do."""
        return self.steps_to(target, self.known(self.applied()), out_of_order=out_of_order)

    def steps_to(self, target: str | None, applied: Applied, *, out_of_order: bool = False) -> list[Step]:
        """The steps from what is applied to a target.

        Raises:
            MigrationError: Files came in before what is applied, and nobody asked for that.
        """
        steps = self.history.steps(applied.names, target)
        late = self.history.out_of_order({step.name for step in steps if step.is_upgrade}, applied.names)
        if late and not out_of_order:
            newest = self.newest(applied.names)
            raise MigrationError(
                f"{choices_text(late)} came in before {newest}, which database {self.alias!r} has already; look "
                "whether the order matters and give --out-of-order, or give the file a newer number"
            )
        return steps

    # -- running ------------------------------------------------------------------------------------

    def run(self, target: str | None, *, fake: bool = False, out_of_order: bool = False) -> list[Step]:
        """Applies or reverts migrations until the database is at `target`.

        Args:
            target: The name of a migration; None for `zero`.
            fake: Record them without running them.
            out_of_order: Apply also what came in before something that is applied.

        Raises:
            MigrationError: A migration failed; those before it stay applied, nothing of it does.
        """
        return self.carry_out(lambda applied: self.steps_to(target, applied, out_of_order=out_of_order), fake=fake)

    def carry_out(self, choose: Choose, *, fake: bool = False, together: bool = False) -> list[Step]:
        """Runs what `choose` says, one migration at a time.

        Args:
            choose: Given what is applied, says what is left to do.
            fake: Record without running.
            together: All in one transaction, or nothing.
        """
        done: list[Step] = []
        self.history.states()
        with self.connect() as connection, self._in_words("migrated"), self.locked(connection):
            if together:
                context = self._context(connection)
                with self._interruptible(connection), context.begin_transaction():
                    self._begin(connection)
                    while (step := self._next(connection, choose)) is not None:
                        self._atomic(context, step, fake)
                        done.append(step)
                return done
            while (step := self._one(connection, choose, fake)) is not None:
                done.append(step)
            self._tidy(connection, fake)
        return done

    def _tidy(self, connection: sa.Connection, fake: bool) -> None:
        """Takes what the files say now as applied, where that was asked for, and a squash for what it replaced."""
        if self.history.is_expanded:
            self.history = History(self.history.folder)
        elif not fake:
            return
        with connection.begin():
            applied = self.read(connection)
            records.prepare(connection, applied, self.history)
            if fake:
                records.checksums(connection, self.history, applied.names)

    def _one(self, connection: sa.Connection, choose: Choose, fake: bool) -> Step | None:
        """The next migration, in its transaction, or without one where it says so."""
        context = self._context(connection)
        with self._interruptible(connection), context.begin_transaction():
            self._begin(connection)
            step = self._next(connection, choose)
            if step is None:
                return None
            if self.history.by_name[step.name].is_atomic or fake:
                self._atomic(context, step, fake)
                return step
        self._unguarded(step)
        return step

    def _next(self, connection: sa.Connection, choose: Choose) -> Step | None:
        applied = self.known(self.read(connection))
        steps = choose(applied)
        if steps or not applied.is_ours:
            records.prepare(connection, applied, self.history)
        self._applied = applied
        return steps[0] if steps else None

    @contextlib.contextmanager
    def _interruptible(self, connection: sa.Connection) -> Generator[None]:
        try:
            yield
        except Exception as error:
            connection.rollback()
            cause: BaseException | None = error
            while cause is not None:
                if _is_interrupt(cause):
                    raise KeyboardInterrupt from error
                cause = cause.__cause__
            raise

    def _context(self, connection: sa.Connection) -> MigrationContext:
        return MigrationContext.configure(connection=connection, opts={"transactional_ddl": True})

    def _begin(self, connection: sa.Connection) -> None:
        """What PostgreSQL is told at the start of each transaction."""
        if self.url.backend == "postgresql":
            records.run(connection, self._settings("SET LOCAL"))

    def _settings(self, verb: str) -> list[str]:
        return [
            f"{verb} {name} = {round(seconds * 1000)}" for name, seconds in self.timeouts.items() if seconds is not None
        ]

    def _atomic(self, context: MigrationContext, step: Step, fake: bool) -> None:
        connection = context.connection
        assert connection is not None
        migration = self.history.by_name[step.name]
        if self.hooks.on_progress is not None:
            self.hooks.on_progress(step)
        names = set(self._applied.names)
        if not fake:
            live = Live(context, self.history.state_after(names), on_rows=self.hooks.on_rows)
            with self._errors(step, "; nothing of it was applied"):
                self.perform(migration, live, step.is_upgrade)
                if self.url.backend == "sqlite":
                    _refuse_dangling(connection)
                else:
                    records.run(connection, ["RESET ALL"])  # a migration may have set the search_path
                    self._begin(connection)
        (names.add if step.is_upgrade else names.discard)(step.name)
        checksum = migration.checksum if step.is_upgrade else None
        records.run(connection, records.note_statements(step.name, checksum, self.history.heads_of(names)))

    def perform(self, migration: Migration, live: Live, is_upgrade: bool) -> None:
        """Does what a migration says, and notes nothing."""
        if isinstance(migration, PythonMigration):
            with readable(migration):
                function = migration.function(is_upgrade)
            with as_op(live):
                function()
        elif isinstance(migration, SqlMigration):
            for one in migration.statements(is_upgrade, self.url.backend):
                try:
                    live.sql(one.text)
                except DBAPIError as error:
                    if _is_interrupt(error):
                        raise
                    raise MigrationError(f"line {one.line}: {_reason(error)}") from error

    def _unguarded(self, step: Step) -> None:
        """A migration that wants no transaction: what is done of it is noted after each operation."""
        migration = self.history.by_name[step.name]
        if self.hooks.on_progress is not None:
            self.hooks.on_progress(step)
        names = set(self._applied.names)
        state = self.history.state_after(names)
        record = self._applied.records.get(step.name)
        column = "applying" if step.is_upgrade else "reverting"
        done = None if record is None else getattr(record, column)
        with self.connect() as other:
            connection = other.execution_options(isolation_level="AUTOCOMMIT", datalayer_autocommit=True)
            if self.url.backend == "postgresql":
                records.run(connection, self._settings("SET"))
            if done is None:
                records.note_progress(connection, step.name, column, 0, migration.checksum if step.is_upgrade else "")
            units = Units(done or 0, lambda count: records.note_progress(connection, step.name, column, count))
            live = Live(self._context(connection), state, is_atomic=False, on_rows=self.hooks.on_rows, units=units)
            later = "; what was done of it stays, and the next run goes on from there"
            with self._interruptible(connection), self._errors(step, later):
                self.perform(migration, live, step.is_upgrade)
                units.check_all(step.name)
                if self.url.backend == "sqlite":
                    _refuse_dangling(connection)
                else:
                    records.run(connection, ["RESET ALL"])
            (names.add if step.is_upgrade else names.discard)(step.name)
            checksum = migration.checksum if step.is_upgrade else None
            text = records.note_statements(step.name, checksum, self.history.heads_of(names))
            records.run(connection, ["BEGIN", *text, "COMMIT"])

    @contextlib.contextmanager
    def _errors(self, step: Step, after: str) -> Generator[None]:
        what = f"migration {step.name!r} cannot be {'applied' if step.is_upgrade else 'reverted'} on database "
        try:
            yield
        except MigrationError as error:
            raise type(error)(f"{what}{self.alias!r}: {error}{after}") from error
        except DBAPIError as error:
            if _is_interrupt(error):
                raise
            raise MigrationError(f"{what}{self.alias!r}: {_reason(error)}{after}") from error
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise MigrationError(f"{what}{self.alias!r}: {reason}{after}") from error

    @contextlib.contextmanager
    def locked(self, connection: sa.Connection) -> Generator[None]:
        """Keeps other deployers out; on SQLite the write transaction of each migration does."""
        if self.url.backend == "sqlite":
            yield
            return
        if not connection.execute(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK_KEY}).scalar():
            if self.hooks.on_wait is not None:
                self.hooks.on_wait()
            connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": LOCK_KEY})
        connection.commit()
        try:
            yield
        finally:
            if not connection.invalidated:  # a lost session has let go of the lock itself
                connection.rollback()
                connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})
                connection.commit()


def _begin_immediate(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("datalayer_autocommit"):
        connection.exec_driver_sql("BEGIN" if options.get("datalayer_reads") else "BEGIN IMMEDIATE")


def _is_interrupt(error: BaseException) -> bool:
    """Whether it is what Ctrl-C becomes where SQLite sees it: nothing else interrupts a migration's connection."""
    return isinstance(error, OperationalError) and str(error.orig) == "interrupted"


def _refuse_dangling(connection: sa.Connection) -> None:
    rows = list(connection.exec_driver_sql("PRAGMA foreign_key_check"))
    if rows:
        pairs = sorted({f"{row[0]} to {row[2]}" for row in rows})
        raise MigrationError(f"{len(rows)} rows would refer to rows that do not exist: {', '.join(pairs)}")
