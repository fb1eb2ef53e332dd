"""A history and one database: what it has, and what is left to do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from datalayer.conf.url import DatabaseUrl
from datalayer.errors import ConnectionFailed, MigrationError, nearest
from datalayer.migrations import connecting, deploy_lock, records
from datalayer.migrations.deploy_lock import OnWait
from datalayer.migrations.history import History, Step, newest_of
from datalayer.migrations.operations import OnRows
from datalayer.migrations.records import Applied
from datalayer.migrations.watching import OnStatement


@dataclass(frozen=True)
class Hooks:
    """Who is told what goes on.

    Attributes:
        on_progress: Called with each migration before it runs.
        on_rows: Called with a table, and how many of how many of its rows are done.
        on_wait: Told who is at work and has to be waited for.
        on_statement: Told of a statement that takes long, in a thread of its own; with None when it has ended.
    """

    on_progress: Callable[[Step], None] | None = None
    on_rows: OnRows | None = None
    on_wait: OnWait | None = None
    on_statement: OnStatement | None = None


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

    def connect(self) -> AbstractContextManager[sa.Connection]:
        """A connection for migrations, closed at the end.

        Raises:
            ConnectionFailed: There is none to be had.
        """
        return connecting.connect(self.url, self.alias, self.lock_timeout)

    def refuse_without_file(self) -> None:
        """Refuse what a database that is not there yet cannot give, before connecting makes an empty file of it.

        Raises:
            ConnectionFailed: It is one of SQLite, and there is no file.
        """
        if self.url.has_no_file:
            raise ConnectionFailed(self.url.without_file(self.alias), alias=self.alias)

    def locked(self, connection: sa.Connection) -> AbstractContextManager[None]:
        """Keeps other deployers out."""
        return deploy_lock.locked(connection, self.url, self.hooks.on_wait)

    # -- what is applied ----------------------------------------------------------------------------

    def applied(self) -> Applied:
        """What the database has.

        Raises:
            MigrationError: Alembic or diesel has applied something that is not in the folder.
        """
        if self.url.has_no_file:
            return Applied()
        with self.connect() as connection, self.in_words("asked for its migrations"):
            wait = self.timeouts.get("lock_timeout")
            if self.url.backend == "postgresql" and wait is not None:
                records.run(connection, [f"SET LOCAL lock_timeout = {round(wait * 1000)}"])
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
    def in_words(self, what: str) -> Generator[None]:
        """What the database itself has against it, outside any migration."""
        try:
            yield
        except DBAPIError as error:
            why = connecting.reason(error)
            raise MigrationError(f"database {self.alias!r} at {self.url} cannot be {what}: {why}") from error

    def known(self, applied: Applied) -> Applied:
        """The same, where the files of everything applied are there.

        Raises:
            MigrationError: They are not.
        """
        unknown = applied.unknown(self.history)
        if unknown:
            names = self.history.names
            hint = nearest(unknown[0], [name for name in names if name not in applied.records])
            raise MigrationError(
                f"database {self.alias!r} has {newest_of(unknown)}, which is not in "
                f"{self.history.folder.name!r}; there are {newest_of(names)}{hint or ';'} the database is "
                "newer than these files: deploy the version that has them, or take them back with it first"
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
                f"{newest_of(late)} came in before {newest}, which database {self.alias!r} has already; look "
                "whether the order matters and give --out-of-order, or give the file a newer number"
            )
        self.refuse_turning_back(applied, steps)
        return steps

    def refuse_turning_back(self, applied: Applied, steps: Collection[Step]) -> None:
        """A migration without a transaction that stopped half-way goes on, or nothing does.

        Raises:
            MigrationError: The steps lead away from one.
        """
        goes_on = {(step.name, step.is_upgrade) for step in steps}
        for name, one in applied.records.items():
            for done, is_upgrade in ((one.applying, True), (one.reverting, False)):
                if done is not None and (name, is_upgrade) not in goes_on:
                    way, cure = ("", f"migrate {name}") if is_upgrade else (" on the way back", "revert")
                    raise MigrationError(
                        f"migration {name!r} stopped{way} after {done} operations on database {self.alias!r}, so it is "
                        f"half there; datalayer {cure} goes on with it first"
                    )
