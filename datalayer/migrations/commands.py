"""What the commands do, as functions that return values and print nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from datalayer._compile import tables as compiled
from datalayer._schema.table import TableSpec
from datalayer.errors import DatalayerError, MigrationError, UnansweredQuestion, choices_text, nearest
from datalayer.migrations import config, files
from datalayer.migrations.autogenerate import Answers, Changes, difference
from datalayer.migrations.environment import ZERO, History, Step, offline_sql
from datalayer.migrations.questions import Questions, asked_renames
from datalayer.migrations.state import State, describe


@dataclass(frozen=True)
class MadeMigration:
    """What makemigrations found and wrote.

    Attributes:
        name: The migration's name; None when nothing changed.
        path: The file; None when none was written.
        text: The text of the file.
        summaries: What it does, one thing each.
        hints: What a person should think about: what looks like a rename.
        has_changes: Whether the models differ from the migrations (or an empty one was asked for).
        exit_code: 1 when `check` found changes.
    """

    name: str | None = None
    path: Path | None = None
    text: str = ""
    summaries: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    has_changes: bool = False
    exit_code: int = 0

    @property
    def operations(self) -> str:
        """The text of the file."""
        return self.text

    @property
    def lines(self) -> list[str]:
        """What to tell a person."""
        if not self.has_changes:
            return ["no changes: the migrations are what the models say"]
        done = [f"  {summary}" for summary in self.summaries] + list(self.hints)
        if self.path is not None:
            return [f"{self.path.parent.name}/{self.path.name}", *done]
        if self.exit_code:
            return ["the models have changes that are in no migration:", *done]
        return [self.text.rstrip("\n")]


@dataclass(frozen=True)
class Migrated:
    """What migrate did.

    Attributes:
        applied: The migrations that were applied, in order.
        reverted: The migrations that were taken back, in order.
        pending: With `plan` and `check`: what would run, in order.
        sql: With `sql`: the statements.
        at: The migration the database is at now; None before the first.
        exit_code: 1 when `check` found something left to run.
    """

    applied: tuple[str, ...] = ()
    reverted: tuple[str, ...] = ()
    pending: tuple[Step, ...] = ()
    sql: str = ""
    at: str | None = None
    exit_code: int = 0

    @property
    def lines(self) -> list[str]:
        """What to tell a person."""
        if self.sql:
            return self.sql.rstrip("\n").split("\n")
        done = [f"reverted {name}" for name in self.reverted] + [f"applied {name}" for name in self.applied]
        done += [f"would {step}" for step in self.pending]
        return done or [f"nothing to do: the database is at {self.at or ZERO}"]


@dataclass(frozen=True)
class ShownMigration:
    """A migration and whether the database has it."""

    name: str
    summary: str
    is_applied: bool

    def __str__(self) -> str:
        return f"[{'x' if self.is_applied else ' '}] {self.name}"


@dataclass(frozen=True)
class Finding:
    """Something `check` does not like.

    Attributes:
        code: What kind of thing it is: `models`, `migrations`, `drift`, `database` or `pending`.
        message: What is wrong and what to do.
        is_error: Whether the check fails because of it.
    """

    code: str
    message: str
    is_error: bool = True

    def __str__(self) -> str:
        return f"{'error' if self.is_error else 'note'} ({self.code}): {self.message}"


@dataclass(frozen=True)
class Checked:
    """The findings of `check`; iterating gives them."""

    findings: tuple[Finding, ...] = field(default=())

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def exit_code(self) -> int:
        """1 when one of them is an error."""
        return int(any(finding.is_error for finding in self.findings))

    @property
    def lines(self) -> list[str]:
        """What to tell a person."""
        return [str(finding) for finding in self.findings] or ["no problems found"]


Pairs: TypeAlias = Mapping[str, str] | Sequence[str]


def _pairs(given: Pairs, sign: str, example: str) -> dict[str, str]:
    if isinstance(given, Mapping):
        return dict(given)
    pairs: dict[str, str] = {}
    for text in given:
        key, found, value = text.partition(sign)
        if not found or not key.strip():
            raise MigrationError(f"{text!r} is not of the form {example}")
        pairs[key.strip()] = value.strip() if sign == ":" else value
    return pairs


def _compare(old: State, new: State, answers: Answers, renames: Mapping[str, str]) -> tuple[Changes, Changes]:
    """The way there and the way back."""
    up = difference(old, new, renames=renames, answers=answers)
    unused = sorted(set(answers.defaults) - answers.used)
    if unused:
        known = [f"{table.name}.{column}" for table in new.values() for column in table.columns]
        raise MigrationError(f"the value for {unused[0]!r} is not needed{nearest(unused[0], known)}")
    back = {_renamed_back(before, after, renames): _plain(before, after) for before, after in renames.items()}
    down = difference(new, old, renames=back, answers=Answers({}, takes_zero=True))
    return up, down


def _renamed_back(before: str, after: str, renames: Mapping[str, str]) -> str:
    table, dot, _ = before.partition(".")
    return f"{renames.get(table, table)}.{after.rpartition('.')[2]}" if dot else after


def _plain(before: str, after: str) -> str:
    return before.partition(".")[2] if "." in before else before


def makemigrations(
    name: str | None = None,
    *,
    check: bool = False,
    dry_run: bool = False,
    empty: bool = False,
    default: Pairs = (),
    rename: Pairs = (),
    tables: Iterable[TableSpec] | None = None,
    questions: Questions | None = None,
) -> MadeMigration:
    """Writes what changed in the models as a new migration. No database is needed.

    Args:
        name: What it is called; taken from the changes when left out.
        check: Write nothing, and return exit code 1 when there are changes.
        dry_run: Write nothing, and return the text.
        empty: Write a migration without operations.
        default: Values for rows that exist, `table.column` to value (or texts `table.column=value`).
        rename: What was renamed, `old` to `new` (or texts `old:new`); a column is `table.column`.
        tables: What to compare with; the models' tables when left out.
        questions: Who is asked what was renamed, and for values; nobody when left out, and with `check`.

    Raises:
        UnansweredQuestion: A column must not be NULL and nothing says what existing rows get; nothing is written.
        MigrationError: The history cannot be read, or a name does not fit.
    """
    history = config.history()
    renames = _pairs(rename, ":", "old:new")
    if empty:
        up, down = Changes(), Changes()
    else:
        questions = None if check else questions
        wanted = config.tables() if tables is None else list(tables)
        answers = Answers(_pairs(default, "=", "table.column=value"), own=config.defaults(wanted), questions=questions)
        old, new = history.state(), describe(compiled.to_metadata(wanted))
        if questions is not None:
            renames = asked_renames(old, new, renames, questions)
        try:
            up, down = _compare(old, new, answers, renames)
        except UnansweredQuestion:
            if check:
                return MadeMigration(summaries=("changes that need an answer",), has_changes=True, exit_code=1)
            raise
    if not up.lines and not empty:
        return MadeMigration()
    made = files.next_name(history, up, name)
    text = files.file_text(made, history.head, up, down)
    summaries, hints = tuple(up.summaries), () if questions else tuple(_hints(up, down))
    if check or dry_run:
        return MadeMigration(made, None, text, summaries, hints, has_changes=True, exit_code=int(check))
    path = files.write(history.folder, made, text)
    return MadeMigration(made, path, text, summaries, hints, has_changes=True)


def _hints(up: Changes, down: Changes) -> list[str]:
    """What goes and comes at the same place may have been meant as a rename: `down` drops what `up` adds."""
    hints: list[str] = []
    for gone in up.drops:
        place = gone.rpartition(".")[0]
        for come in down.drops:
            if come.rpartition(".")[0] == place:
                short = come.rpartition(".")[2]
                hints.append(f"if {gone} was renamed to {short}, delete this file and give --rename {gone}:{short}")
    return hints


def migrate(
    target: str | None = None,
    *,
    plan: bool = False,
    fake: bool = False,
    sql: bool = False,
    check: bool = False,
    alias: str = "default",
    on_progress: Callable[[Step], None] | None = None,
) -> Migrated:
    """Brings the database to a migration, forwards or backwards.

    Args:
        target: A number (`0002`), a name, `head` or `zero`; the newest when left out.
        plan: Run nothing, and return what would run.
        fake: Record the migrations as applied or reverted without running them.
        sql: Run nothing, and return the SQL.
        check: Run nothing, and return exit code 1 when something is left to run.
        alias: The database.
        on_progress: Called with each `Step` before it runs.

    Raises:
        MigrationError: The target is unknown or a migration failed; those before it stay, nothing of it does.
        ConnectionFailed: The database cannot be reached.
    """
    environment = config.environment(alias)
    wanted = environment.history.find(target)
    if plan or check or sql:
        current = environment.current()
        steps = environment.pending(wanted)
        if sql:
            text = offline_sql(environment.history, environment.url.backend, current, wanted)
            return Migrated(pending=tuple(steps), sql=text, at=current)
        return Migrated(pending=tuple(steps), at=current, exit_code=int(check and bool(steps)))
    done = environment.run(wanted, fake=fake, on_progress=on_progress)
    return Migrated(
        applied=tuple(step.name for step in done if step.is_upgrade),
        reverted=tuple(step.name for step in done if not step.is_upgrade),
        at=wanted,
    )


def showmigrations(alias: str = "default") -> list[ShownMigration]:
    """All migrations, oldest first, and whether the database has them."""
    environment = config.environment(alias)
    history = environment.history
    current = environment.current()
    count = 0 if current is None else history.names.index(current) + 1
    return [ShownMigration(name, history.summary(name), place < count) for place, name in enumerate(history.names)]


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
        raise MigrationError(f"{target!r} is no migration; there are: {choices_text(history.names)}")
    place = history.names.index(name)
    before = history.names[place - 1] if place else None
    start, end = (name, before) if backwards else (before, name)
    return offline_sql(history, config.url(alias).backend, start, end)


def check(alias: str = "default") -> Checked:
    """Looks for problems without changing anything: models, the history, drift between them, the database."""
    findings: list[Finding] = []
    history: History | None = None
    try:
        history = config.history()
        history.states()
    except DatalayerError as error:
        findings.append(Finding("migrations", str(error)))
        history = None
    try:
        config.tables()
    except DatalayerError as error:
        findings.append(Finding("models", str(error)))
    else:
        if history is not None:
            findings += _drift()
    try:
        left = config.environment(alias).pending(history.head) if history is not None else []
    except DatalayerError as error:
        findings.append(Finding("database", str(error)))
    else:
        if left:
            names = ", ".join(step.name for step in left)
            findings.append(
                Finding("pending", f"database {alias!r} lacks {names}; run datalayer migrate", is_error=False)
            )
    return Checked(tuple(findings))


def _drift() -> list[Finding]:
    try:
        found = makemigrations(check=True)
    except MigrationError as error:
        return [Finding("drift", str(error))]
    if not found.has_changes:
        return []
    what = "; ".join(found.summaries)
    return [Finding("drift", f"the models have changes that are in no migration: {what}; run datalayer makemigrations")]


__all__ = ["check", "makemigrations", "migrate", "showmigrations", "sqlmigrate"]
