"""Drives Alembic without alembic.ini or env.py: the history of a folder, and one database it is applied to.

Each migration runs in a transaction of its own together with its version row, on SQLite too. The database is asked
for its version again before each one, under the lock, so that two deployers never run the same migration.
"""

from __future__ import annotations

import contextlib
import io
import re
import sqlite3
import traceback
import warnings
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext, MigrationStep, RevisionStep
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from datalayer._compile.tables import DIALECTS
from datalayer._links.functions import register
from datalayer.conf.url import DatabaseUrl
from datalayer.errors import ConnectionFailed, MigrationError, MissingExtra, choices_text, nearest
from datalayer.migrations._alembic import as_op, widened
from datalayer.migrations.operations import Live, Recording, recording_context
from datalayer.migrations.state import State

LOCK_KEY = 0x64617461_6C617965  # "datalaye": the advisory lock of PostgreSQL
ZERO = "zero"
_CURES = {
    "locked": "; another process is writing to it: run this again when it has finished",
    "readonly": "; the file and its folder must be writable for whoever runs migrations",
    "permission denied": "; migrations need a role that may create tables there",
    "not a database": "; the url in the settings leads to another kind of file",
}
_FOR_EVER = 1_000_000.0  # seconds: some days, which SQLite can still count in milliseconds
_STEPS_BETWEEN_LOOKS = 100_000  # some milliseconds of SQLite's work


class History:
    """The migrations of a folder, in order, and what the tables look like after each.

    Args:
        folder: Where they are; a folder that does not exist is an empty history.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script: ScriptDirectory | None = None
        self.revisions: list[Script] = []
        self._states: dict[str | None, State] = {None: {}}
        if folder.is_dir():
            self._load(folder)

    def _load(self, folder: Path) -> None:
        self.script = ScriptDirectory(str(folder), version_locations=[str(folder)])
        with _readable(folder):
            heads = self.script.get_heads()
            if len(heads) > 1:
                raise MigrationError(
                    f"the history in {folder.name!r} has {len(heads)} heads: {choices_text(heads)}; two branches each "
                    "added a migration: renumber one of them and set its down_revision to the other"
                )
            self.revisions = list(reversed(list(self.script.walk_revisions("base", "heads"))))

    @property
    def names(self) -> list[str]:
        """The migrations' names, oldest first."""
        return [script.revision for script in self.revisions]

    @property
    def head(self) -> str | None:
        """The newest migration."""
        return self.names[-1] if self.revisions else None

    def find(self, target: str | None) -> str | None:
        """The name of the migration that is meant; None for `zero`.

        Args:
            target: A number, a name, the beginning of one, `head` or `zero`; None for the newest.

        Raises:
            MigrationError: There is none, or more than one.
        """
        if target is None or target in ("head", "heads"):
            return self.head
        if target in (ZERO, "base"):
            return None
        found = [name for name in self.names if name == target]
        if not found and target.isdigit():
            found = [name for name in self.names if re.match(r"\d*", name)[0].lstrip("0") == target.lstrip("0")]  # type: ignore[index]
        found = found or [name for name in self.names if name.startswith(target)]
        if len(found) == 1:
            return found[0]
        if found:
            raise MigrationError(f"{target!r} means several migrations: {choices_text(found)}")
        tails = {name.partition("_")[2]: name for name in self.names}
        hint = nearest(target, self.names) or nearest(target, tails)
        raise MigrationError(f"no migration {target!r}; there are: {choices_text([*self.names, ZERO])}{hint}")

    def states(self) -> dict[str | None, State]:
        """What the tables look like after each migration; under None, before the first.

        Raises:
            MigrationError: A migration does not fit those before it.
        """
        state = self._states[None]
        for script in self.revisions:
            if script.revision not in self._states:
                recording = Recording(recording_context("sqlite"), state)
                with as_op(recording), _errors(script.revision, "read"):
                    script.module.upgrade()
                self._states[script.revision] = recording.state
            state = self._states[script.revision]
        return self._states

    def state(self) -> State:
        """What the tables look like after the newest migration."""
        return self.states()[self.head]

    def steps(self, current: str | None, target: str | None) -> list[RevisionStep]:
        """The migrations between two points of the history, in the order they run."""
        if self.script is None or current == target:
            return []
        known = self.script.revision_map
        start, end = self._count(current), self._count(target)
        if end > start:
            return [MigrationStep.upgrade_from_script(known, script) for script in self.revisions[start:end]]
        return [MigrationStep.downgrade_from_script(known, script) for script in reversed(self.revisions[end:start])]

    def _count(self, name: str | None) -> int:
        """How many migrations are applied when the database is at `name`."""
        return 0 if name is None else self.names.index(name) + 1

    def summary(self, name: str) -> str:
        """The first line of a migration's docstring."""
        script = next(script for script in self.revisions if script.revision == name)
        return str(script.doc)


@contextlib.contextmanager
def _readable(folder: Path) -> Generator[None]:
    """What is wrong with the files, in words; Alembic only warns of a file that is missing or there twice."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", module="alembic", category=UserWarning)
            warnings.filterwarnings("error", message=r"Revision .* is (not present|present more than once)")
            yield
    except (CommandError, UserWarning) as error:
        raise MigrationError(f"the history in {folder.name!r} cannot be read: {error}") from error
    except SyntaxError as error:
        name = Path(error.filename or "").name
        raise MigrationError(f"migration file {name!r} is no valid Python: {error.msg}, line {error.lineno}") from error
    except MigrationError:
        raise
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).parent == folder]
        where = f"{Path(frames[-1].filename).name!r}, line {frames[-1].lineno}" if frames else f"in {folder.name!r}"
        raise MigrationError(f"migration file {where} cannot be read: {type(error).__name__}: {error}") from error


def _reason(error: DBAPIError) -> str:
    """What the database said, and what helps."""
    reason = " ".join(str(error.orig).split())
    return reason + next((cure for word, cure in _CURES.items() if word in reason), "")


@contextlib.contextmanager
def _errors(name: str, what: str, alias: str | None = None) -> Generator[None]:
    where = "" if alias is None else f" on database {alias!r}"
    after = "" if alias is None else "; nothing of it was applied"
    try:
        yield
    except MigrationError as error:
        raise type(error)(f"migration {name!r} cannot be {what}{where}: {error}{after}") from error
    except DBAPIError as error:
        raise MigrationError(f"migration {name!r} cannot be {what}{where}: {_reason(error)}{after}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise MigrationError(f"migration {name!r} cannot be {what}{where}: {reason}{after}") from error


@dataclass(frozen=True)
class Step:
    """One migration that runs or would run.

    Attributes:
        name: The migration.
        is_upgrade: Forwards, or back.
    """

    name: str
    is_upgrade: bool

    def __str__(self) -> str:
        return f"{'apply' if self.is_upgrade else 'revert'} {self.name}"

    @property
    def done(self) -> str:
        """The same, once it has run."""
        return f"{'applied' if self.is_upgrade else 'reverted'} {self.name}"


class Environment:
    """A history and one database.

    Args:
        history: The migrations.
        url: The database.
        alias: Its alias, for messages.
        lock_timeout: How many seconds to wait for whoever else writes to an SQLite file; None for ever.
    """

    def __init__(
        self, history: History, url: DatabaseUrl, alias: str = "default", lock_timeout: float | None = 30.0
    ) -> None:
        self.history = history
        self.url = url
        self.alias = alias
        self.lock_timeout = lock_timeout

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
            reason = " ".join(str(error.orig).split())
            raise ConnectionFailed(
                f"cannot connect to database {self.alias!r} at {self.url}: {reason}", alias=self.alias
            ) from error
        with connection:
            yield connection
        engine.dispose()

    # -- what is applied ----------------------------------------------------------------------------

    def current(self) -> str | None:
        """The newest migration that is applied; None before the first.

        Raises:
            MigrationError: The database is at a migration that is not in the folder.
        """
        if self.url.backend == "sqlite" and not self.url.is_memory and not Path(self.url.database).exists():
            return None  # asking would make an empty file
        with self.connect() as connection, self._in_words("asked for its migrations"):
            connection = connection.execution_options(datalayer_reads=True)
            return self._known(self._context(connection).get_current_heads())

    @contextlib.contextmanager
    def _in_words(self, what: str) -> Generator[None]:
        """What the database itself has against it, outside any migration."""
        try:
            yield
        except DBAPIError as error:
            reason = _reason(error)
            raise MigrationError(f"database {self.alias!r} at {self.url} cannot be {what}: {reason}") from error

    def _known(self, heads: Iterable[str]) -> str | None:
        found = tuple(heads)
        if len(found) > 1:
            raise MigrationError(f"database {self.alias!r} is at several migrations: {choices_text(found)}")
        if found and found[0] not in self.history.names:
            raise MigrationError(
                f"database {self.alias!r} is at migration {found[0]!r}, which is not in {self.history.folder.name!r}; "
                f"there are: {choices_text(self.history.names)}{nearest(found[0], self.history.names)}"
            )
        return found[0] if found else None

    def pending(self, target: str | None) -> list[Step]:
        """What `run` to `target` (a name; None for `zero`) would do."""
        return [_step(step) for step in self.history.steps(self.current(), target)]

    def _context(self, connection: sa.Connection, **options: Any) -> MigrationContext:
        options = {"transaction_per_migration": True, "transactional_ddl": True, **options}
        return widened(MigrationContext.configure(connection=connection, opts=options))

    # -- running ------------------------------------------------------------------------------------

    def run(
        self,
        target: str | None,
        *,
        fake: bool = False,
        on_progress: Callable[[Step], None] | None = None,
    ) -> list[Step]:
        """Applies or reverts migrations until the database is at `target`.

        Args:
            target: The name of a migration; None for `zero`.
            fake: Record them without running them.
            on_progress: Called with each migration before it runs.

        Raises:
            MigrationError: A migration failed; those before it stay applied, nothing of it does.
        """
        done: list[Step] = []
        states = self.history.states()
        with self.connect() as connection, self._in_words("migrated"), self._locked(connection):
            while True:
                step = self._run_one(connection, target, states, fake, on_progress)
                if step is None:
                    return done
                done.append(step)

    def _run_one(
        self,
        connection: sa.Connection,
        target: str | None,
        states: dict[str | None, State],
        fake: bool,
        on_progress: Callable[[Step], None] | None,
    ) -> Step | None:
        found: list[Step] = []

        def first(heads: tuple[str, ...], context: MigrationContext) -> Iterable[RevisionStep]:
            current = self._known(heads)
            for step in self.history.steps(current, target)[:1]:
                live.state = states[current]
                found.append(_step(step))
                if on_progress is not None:
                    on_progress(found[0])
                if fake:
                    step.migration_fn = lambda: None
                yield step

        def check(**details: Any) -> None:
            if self.url.backend == "sqlite" and not fake:
                _refuse_dangling(connection)

        context = self._context(connection, fn=first, on_version_apply=(check,))
        live = Live(context, {})
        try:
            with as_op(live):
                context.run_migrations()
        except Exception as error:
            connection.rollback()
            if _is_interrupt(error):
                raise KeyboardInterrupt from error
            if not found:
                raise
            what = "applied" if found[0].is_upgrade else "reverted"
            with _errors(found[0].name, what, self.alias):
                raise error
        connection.rollback()
        return found[0] if found else None

    @contextlib.contextmanager
    def _locked(self, connection: sa.Connection) -> Generator[None]:
        """Keeps other deployers out; on SQLite the write transaction of each migration does."""
        if self.url.backend == "sqlite":
            yield
            return
        connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": LOCK_KEY})
        connection.commit()
        try:
            yield
        finally:
            if not connection.invalidated:  # a lost session has let go of the lock itself
                connection.rollback()
                connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})
                connection.commit()


def offline_sql(history: History, backend: str, current: str | None, target: str | None) -> str:
    """The SQL that leads from one point of the history to another, for running by hand."""
    buffer = io.StringIO()
    states = history.states()
    for step in history.steps(current, target):
        one = _step(step)
        before = _before(history, one)
        options: dict[str, Any] = {
            "as_sql": True,
            "output_buffer": buffer,
            "starting_rev": before,
            "transactional_ddl": True,
            "transaction_per_migration": True,
            "fn": partial(_only, step),
        }
        context = widened(MigrationContext.configure(dialect=DIALECTS[backend], opts=options))
        with as_op(Live(context, states[before])), _errors(one.name, "written as SQL"):
            context.run_migrations()
    text = buffer.getvalue()
    if backend == "sqlite" and text:
        return f"PRAGMA foreign_keys=OFF;\n\n{text.rstrip()}\n\nPRAGMA foreign_keys=ON;\n"
    return text


def _only(step: RevisionStep, heads: tuple[str, ...], context: MigrationContext) -> list[RevisionStep]:
    return [step]


def _before(history: History, step: Step) -> str | None:
    """The point of the history a step starts from."""
    if not step.is_upgrade:
        return step.name
    place = history.names.index(step.name)
    return history.names[place - 1] if place else None


def _step(step: RevisionStep) -> Step:
    return Step(str(step.revision.revision), bool(step.is_upgrade))


def _begin_immediate(connection: sa.Connection) -> None:
    reads = connection.get_execution_options().get("datalayer_reads")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _is_interrupt(error: Exception) -> bool:
    """Whether it is what Ctrl-C becomes where SQLite sees it: nothing else interrupts a migration's connection."""
    return isinstance(error, OperationalError) and str(error.orig) == "interrupted"


def _refuse_dangling(connection: sa.Connection) -> None:
    rows = list(connection.exec_driver_sql("PRAGMA foreign_key_check"))
    if rows:
        pairs = sorted({f"{row[0]} to {row[2]}" for row in rows})
        raise MigrationError(f"{len(rows)} rows would refer to rows that do not exist: {', '.join(pairs)}")
