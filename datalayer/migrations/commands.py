"""What the commands about applying migrations do, as functions that return values and print nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from datalayer.checks import Finding
from datalayer.errors import MigrationError
from datalayer.migrations import config, running
from datalayer.migrations.checking import check
from datalayer.migrations.environment import Environment, Hooks
from datalayer.migrations.findings import Checked
from datalayer.migrations.history import ZERO, Step, newest_of
from datalayer.migrations.making import MadeMigration, makemigrations, makesql
from datalayer.migrations.merging import mergemigrations
from datalayer.migrations.offline import offline_sql
from datalayer.migrations.planning import planned
from datalayer.migrations.records import Applied
from datalayer.migrations.scripts import SqlMigration
from datalayer.migrations.squashing import squashmigrations


@dataclass(frozen=True)
class Migrated:
    """What migrate, revert or redo did.

    Attributes:
        applied: The migrations that were applied, in order.
        reverted: The migrations that were taken back, in order.
        pending: With `plan` and `check`: what would run, in order.
        sql: With `sql`: the statements.
        at: The migration the database is at now; None before the first.
        exit_code: 1 when `check` found something left to run.
        notes: What a person should know besides.
    """

    applied: tuple[str, ...] = ()
    reverted: tuple[str, ...] = ()
    pending: tuple[Step, ...] = ()
    sql: str = ""
    at: str | None = None
    exit_code: int = 0
    notes: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """What to tell a person."""
        if self.sql:
            return self.sql.rstrip("\n").split("\n")
        done = [f"reverted {name}" for name in self.reverted] + [f"applied {name}" for name in self.applied]
        for step in self.pending:
            done += [f"would {step}", *(f"  {line}" for line in step.operations)]
        return done or [f"nothing to do: the database is at {self.at or ZERO}"]


@dataclass(frozen=True)
class ShownMigration:
    """A migration and whether the database has it.

    Attributes:
        name: What it is called.
        summary: What it does, in one line.
        is_applied: Whether the database has it.
        note: What is unusual about it.
    """

    name: str
    summary: str
    is_applied: bool
    note: str = ""

    def __str__(self) -> str:
        return f"[{'x' if self.is_applied else ' '}] {self.name}" + (f"  ({self.note})" if self.note else "")


def readable(alias: str = "default") -> None:
    """Reads the migrations as they are read before they run, and nothing else.

    Args:
        alias: The database they are for.

    Raises:
        MigrationError: There are none, or they are no history.
    """
    environment = config.environment(alias, Hooks())
    _refuse_no_folder(environment)
    environment.history.states()
    for one in environment.history.order:
        if isinstance(one, SqlMigration):
            one.statements(True, environment.url.backend)


def migrate(
    target: str | None = None,
    *,
    plan: bool = False,
    fake: bool = False,
    fake_initial: bool = False,
    sql: bool = False,
    check: bool = False,
    out_of_order: bool = False,
    alias: str = "default",
    hooks: Hooks | None = None,
    on_progress: Callable[[Step], None] | None = None,
) -> Migrated:
    """Brings the database to a migration, forwards or backwards.

    Args:
        target: A number (`0002`), a name, `head` or `zero`; the newest when left out.
        plan: Run nothing, and return what would run, with its operations.
        fake: Record the migrations as applied or reverted without running them, and what files say now as applied.
        fake_initial: Record the first migration without running it where the tables it makes are there already.
        sql: Run nothing, and return the SQL.
        check: Run nothing, and return exit code 1 when something is left to run.
        out_of_order: Apply also files that came in before something that is applied already.
        alias: The database.
        hooks: Who is told what goes on.
        on_progress: Called with each `Step` before it runs; short for a hook.

    Raises:
        MigrationError: The target is unknown or a migration failed; those before it stay, nothing of it does.
        ConnectionFailed: The database cannot be reached.
    """
    environment = config.environment(alias, hooks or Hooks(on_progress=on_progress))
    _refuse_no_folder(environment)
    wanted = environment.history.find(target)
    if plan or check or sql:
        if plan:
            environment.history.states()  # what cannot be read would not run
        applied = environment.known(environment.applied())
        current = environment.newest(applied.names)
        steps = environment.steps_to(wanted, applied, out_of_order=out_of_order or check)
        if plan:
            steps = planned(environment.history, environment.url.backend, applied.names, steps)
        if sql:
            text = offline_sql(environment.history, environment.url.backend, applied.names, steps)
            return Migrated(pending=tuple(steps), sql=text, at=current)
        notes = tuple(_edited(one.name) for one in applied.edited(environment.history))
        return Migrated(pending=tuple(steps), at=current, exit_code=int(check and bool(steps)), notes=notes)
    done = running.toward(environment, wanted, fake=fake, fake_initial=fake_initial, out_of_order=out_of_order)
    return _migrated(done, environment)


def _refuse_no_folder(environment: Environment) -> None:
    if not environment.history.folder.is_dir():
        raise MigrationError(
            f"there is no folder {environment.history.folder.name!r} with migrations; makemigrations makes it, or the "
            "setting migrations names another one"
        )


def unmade() -> tuple[str, ...]:
    """A note where the models say something that no migration does; a project without models says nothing."""
    try:
        tables = config.tables()
        has_changes = bool(tables) and makemigrations(check=True, tables=tables).has_changes
    except Exception:  # what is wrong with the models is no matter of migrate: check says it
        return ()
    note = "the models have changes that are in no migration, so they were not applied; run datalayer makemigrations"
    return (note,) if has_changes else ()


def _migrated(done: list[Step], environment: Environment) -> Migrated:
    applied = environment.applied()
    edited = [one.name for one in applied.edited(environment.history)]
    notes = [_edited(name) for name in edited]
    return Migrated(
        applied=tuple(step.name for step in done if step.is_upgrade),
        reverted=tuple(step.name for step in done if not step.is_upgrade),
        at=environment.newest(applied.names & set(environment.history.names)),
        notes=tuple(notes),
    )


def _edited(name: str) -> str:
    return (
        f"{name} was edited after it had been applied, which changes nothing in this database; put the file back and "
        "write a new migration, or take it as it is with migrate --fake"
    )


def revert(
    number: int | None = 1, *, alias: str = "default", plan: bool = False, hooks: Hooks | None = None
) -> Migrated:
    """Takes back the newest migrations.

    Args:
        number: How many; None for all.
        alias: The database.
        plan: Run nothing, and return what would run.
        hooks: Who is told what goes on.

    Raises:
        MigrationError: A migration has no way back, or failed; what was taken back before it stays so.
        ConnectionFailed: There is no such file, or the database cannot be reached.
    """
    environment = config.environment(alias, hooks)
    _refuse_no_folder(environment)
    environment.refuse_without_file()
    if plan:
        applied = environment.known(environment.applied())
        steps = planned(
            environment.history, environment.url.backend, applied.names, _newest(environment, applied, number)
        )
        return Migrated(pending=tuple(steps), at=environment.newest(applied.names))
    done = running.carry_out(environment, _once(environment, number, again=False))
    return _migrated(done, environment)


def redo(number: int | None = 1, *, alias: str = "default", hooks: Hooks | None = None) -> Migrated:
    """Takes back the newest migrations and applies them again, all in one transaction where each of them has one.

    Args:
        number: How many; None for all.
        alias: The database.
        hooks: Who is told what goes on.

    Raises:
        MigrationError: One has no way back, or failed; then nothing has changed, unless one runs without a transaction.
    """
    environment = config.environment(alias, hooks)
    _refuse_no_folder(environment)
    environment.refuse_without_file()
    steps = _newest(environment, environment.known(environment.applied()), number)
    is_atomic = all(environment.history.by_name[step.name].is_atomic for step in steps)
    done = running.carry_out(environment, _once(environment, number, again=True), together=is_atomic)
    return _migrated(done, environment)


def _newest(environment: Environment, applied: Applied, number: int | None) -> list[Step]:
    history = environment.history
    names = [name for name in history.names if name in applied.names]
    chosen = names if number is None else names[max(0, len(names) - number) :]
    steps = [Step(name, False, history.by_name[name].is_reversible) for name in reversed(chosen)]
    environment.refuse_turning_back(applied, steps)
    return steps


def _once(environment: Environment, number: int | None, *, again: bool) -> running.Choose:
    """What is left to do of what was chosen at the first look, under the lock."""
    chosen: list[list[Step]] = []
    skipped: list[Step] = []

    def choose(applied: Applied, done: int) -> list[Step]:
        if not chosen:
            back = _newest(environment, applied, number)
            stuck = next((step.name for step in back if not step.is_reversible), None)
            if stuck is not None:
                raise MigrationError(f"migration {stuck!r} has no way back, so nothing was taken back")
            there = [Step(step.name, True) for step in reversed(back)] if again else []
            chosen.append(back + there)
        left = chosen[0][done + len(skipped) :]
        while left and (left[0].name in applied.names) == left[0].is_upgrade:  # somebody else has done it meanwhile
            skipped.append(left[0])
            left = left[1:]
        return left

    return choose


def showmigrations(alias: str = "default") -> list[ShownMigration]:
    """All migrations, oldest first, and whether the database has them; those without a file come last."""
    environment = config.environment(alias)
    applied = environment.applied()
    history = environment.history
    edited = {one.name for one in applied.edited(history)}
    late = set(history.out_of_order(set(history.names) - applied.names, applied.names))
    shown: list[ShownMigration] = []
    for one in history.order:
        record = applied.records.get(one.name)
        notes: list[str] = []
        if one.name in edited:
            notes.append("edited since")
        if one.name in late:
            notes.append("out of order")
        if record is not None and record.applying is not None:
            notes.append(f"stopped after {record.applying} operations")
        if record is not None and record.reverting is not None:
            notes.append(f"stopped on the way back after {record.reverting} operations")
        shown.append(ShownMigration(one.name, one.summary, one.name in applied.names, ", ".join(notes)))
    return shown + [ShownMigration(name, "", True, "its file is gone") for name in applied.unknown(history)]


def none() -> str:
    """What there is to say where there are no migrations."""
    folder = config.folder()
    why = "is empty" if folder.is_dir() else "is not there; makemigrations makes it"
    return f"no migrations: the folder {folder.name!r} {why}"


def sqlmigrate(target: str, backwards: bool = False, alias: str = "default") -> str:
    """The SQL of one migration, for the database's backend; it is not connected to.

    Args:
        target: A number or a name.
        backwards: The SQL that takes it back.
        alias: The database whose backend is meant.

    Raises:
        MigrationError: No such migration.
    """
    history = config.history()
    name = history.find(target)
    if name is None:
        raise MigrationError(f"{target!r} is no migration; there are: {newest_of(history.names)}")
    before = history.closure(name) - {name}
    step = Step(name, not backwards, history.by_name[name].is_reversible)
    return offline_sql(history, config.url(alias).backend, before | {name} if backwards else before, [step])


__all__ = [
    "Checked",
    "Finding",
    "MadeMigration",
    "Migrated",
    "ShownMigration",
    "check",
    "makemigrations",
    "makesql",
    "mergemigrations",
    "migrate",
    "redo",
    "revert",
    "showmigrations",
    "sqlmigrate",
    "squashmigrations",
    "unmade",
]
