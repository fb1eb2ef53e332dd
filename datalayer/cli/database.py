"""The commands about migrations that are there; the work is done by `datalayer.migrations.commands`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from datalayer.cli import completion, output
from datalayer.cli.here import enter, enter_project, place_of
from datalayer.cli.options import DATABASE, DATABASE_URL, MIGRATION, MIGRATIONS, refuse_together

if TYPE_CHECKING:
    from datalayer.checks import Finding
    from datalayer.migrations.environment import Hooks
    from datalayer.migrations.history import Step
    from datalayer.migrations.watching import Lasting

NUMBER = typer.Option(None, "--number", "-n", min=0, metavar="N", help="How many, the newest first; 1 by default.")
ALL = typer.Option(False, "--all", "-a", help="All of them.")


def migrate(
    target: str | None = typer.Argument(
        None,
        metavar="TARGET",
        help="The number or name of a migration, or zero; the newest by default.",
        autocompletion=completion.targets,
    ),
    database: str = DATABASE,
    database_url: str | None = DATABASE_URL,
    migrations: Path | None = MIGRATIONS,
    plan: bool = typer.Option(False, "--plan", help="Show what would run, and run nothing."),
    fake: bool = typer.Option(False, "--fake", help="Record the migrations as applied without running them."),
    fake_initial: bool = typer.Option(
        False, "--fake-initial", help="Record the first migration without running it where its tables are there."
    ),
    sql: bool = typer.Option(False, "--sql", help="Print the SQL, and run nothing."),
    check: bool = typer.Option(False, "--check", help="Run nothing; exit 1 when migrations are left to apply."),
    out_of_order: bool = typer.Option(False, "--out-of-order", help="Apply also files older than what is applied."),
) -> int:
    """Apply migrations, up to the newest or to another.

    Each migration is one transaction together with the row that records it: one that fails or is interrupted leaves
    nothing behind.

    \b
    Examples:
      datalayer migrate            to the newest
      datalayer migrate 0003       to that one, forwards or backwards
      datalayer migrate zero       take everything back
      datalayer migrate --plan     what would run
      datalayer migrate --check    exit 1 when something is left to apply
      datalayer migrate --database-url sqlite:///db.sqlite3 --migrations sql
    """
    instead = (("--plan", plan), ("--sql", sql), ("--check", check))
    refuse_together(*instead)
    refuse_together(("--fake", fake), ("--fake-initial", fake_initial))
    for option in instead[1:]:
        refuse_together(option, ("--fake", fake))
        refuse_together(option, ("--fake-initial", fake_initial))
    enter(database_url, migrations, database)
    from datalayer.migrations import commands

    told = Told()
    with output.progress() as meanwhile:
        done = commands.migrate(
            target,
            plan=plan,
            fake=fake,
            fake_initial=fake_initial,
            sql=sql,
            check=check,
            out_of_order=out_of_order,
            alias=database,
            hooks=told.hooks(meanwhile),
        )
    is_done = bool(done.applied or done.reverted or plan or fake or sql or check or target)
    return told.end(done.lines, (*done.notes, *(() if is_done else commands.unmade())), done.exit_code)


def revert(
    number: int | None = NUMBER,
    every: bool = ALL,
    database: str = DATABASE,
    database_url: str | None = DATABASE_URL,
    migrations: Path | None = MIGRATIONS,
    plan: bool = typer.Option(False, "--plan", help="Show what would run, and run nothing."),
) -> int:
    """Take back the newest migrations, one by default.

    \b
    Examples:
      datalayer revert
      datalayer revert -n 2
      datalayer revert --all --plan
    """
    count = how_many(number, every=every)
    enter(database_url, migrations, database)
    from datalayer.migrations import commands

    told = Told()
    with output.progress() as meanwhile:
        done = commands.revert(count, alias=database, plan=plan, hooks=told.hooks(meanwhile))
    return told.end(done.lines, done.notes, done.exit_code)


def redo(
    number: int | None = NUMBER,
    every: bool = ALL,
    database: str = DATABASE,
    database_url: str | None = DATABASE_URL,
    migrations: Path | None = MIGRATIONS,
) -> int:
    """Take back the newest migrations and apply them again.

    Both ways are one transaction.

    \b
    Examples:
      datalayer redo
      datalayer redo -n 2
    """
    count = how_many(number, every=every)
    enter(database_url, migrations, database)
    from datalayer.migrations import commands

    told = Told()
    with output.progress() as meanwhile:
        done = commands.redo(count, alias=database, hooks=told.hooks(meanwhile))
    return told.end(done.lines, done.notes, done.exit_code)


def showmigrations(
    database: str = DATABASE, database_url: str | None = DATABASE_URL, migrations: Path | None = MIGRATIONS
) -> int:
    """List the migrations, and which of them are applied.

    \b
    Examples:
      datalayer showmigrations
      datalayer showmigrations --database reports
      datalayer showmigrations --database-url sqlite:///a.db --migrations sql
    """
    enter(database_url, migrations, database)
    from datalayer.migrations import commands

    return show(commands.showmigrations(database) or [commands.none()])


def sqlmigrate(
    target: str = MIGRATION,
    backwards: bool = typer.Option(False, "--backwards", help="The SQL that takes it back."),
    database: str = DATABASE,
    database_url: str | None = DATABASE_URL,
    migrations: Path | None = MIGRATIONS,
) -> int:
    """Print the SQL of one migration; nothing is sent.

    \b
    Examples:
      datalayer sqlmigrate 0002
      datalayer sqlmigrate 0002 --backwards
    """
    enter(database_url, migrations, database)
    from datalayer.migrations import commands

    return show([commands.sqlmigrate(target, backwards, database).rstrip("\n")])


def mergemigrations(
    name: str | None = typer.Argument(
        None, metavar="NAME", help="What the merge is called; taken from the branches by default."
    ),
    migrations: Path | None = MIGRATIONS,
) -> int:
    """Join what two branches added to the migrations.

    Python files get one that follows both; a plain SQL file whose number is taken gets the next.

    \b
    Example:
      datalayer mergemigrations
    """
    enter(None, migrations)
    from datalayer.migrations import commands

    return show(commands.mergemigrations(name).lines)


def squashmigrations(
    target: str | None = typer.Argument(
        None, metavar="TARGET", help="The last to fold; the newest by default.", autocompletion=completion.migrations
    ),
    migrations: Path | None = MIGRATIONS,
) -> int:
    """Fold the oldest migrations into one.

    It stands for them: databases that have them all, some or none are brought along by the next migrate.

    \b
    Examples:
      datalayer squashmigrations
      datalayer squashmigrations 0040
    """
    enter(None, migrations)
    from datalayer.migrations import commands

    return show(commands.squashmigrations(target).lines)


def inspectdb(
    tables: list[str] = typer.Argument(None, metavar="TABLE", help="Which tables or views; all tables by default."),
    include_views: bool = typer.Option(False, "--include-views", help="Views too, as models that are only read."),
    include_partitions: bool = typer.Option(
        False, "--include-partitions", help="Partitions too, each as a model of its own."
    ),
    but: list[str] = typer.Option([], "--except", "-e", metavar="TABLE", help="Leave it out; * is any letters."),
    database: str = DATABASE,
    database_url: str | None = DATABASE_URL,
) -> int:
    """Print models for the tables of a database that exists.

    What no model can say is a comment in the module: look it over.

    \b
    Examples:
      datalayer inspectdb > models.py
      datalayer inspectdb author book
      datalayer inspectdb --except "auth_*" --except spatial_ref_sys
      datalayer inspectdb --include-views --database-url sqlite:///db.sqlite3
    """
    enter(database_url, None, database)
    from datalayer.migrations import inspecting

    text = inspecting.inspectdb(
        tables or (), include_views=include_views, include_partitions=include_partitions, but=but, alias=database
    )
    return show([text.rstrip("\n")])


def eject() -> int:
    """Write alembic.ini and env.py for plain alembic.

    It then works on the same migrations.

    \b
    Example:
      datalayer migrations eject && alembic upgrade head
    """
    root = enter_project().root
    from datalayer.migrations import ejected

    made = ejected.eject(root)
    output.say("plain alembic works now, as in: alembic upgrade head")
    return show(f"  {path.relative_to(root) if path.is_relative_to(root) else path}" for path in made)


def check(
    database: str | None = typer.Option(
        None,
        metavar="ALIAS",
        help="Compare the live schema of this database with the migrations and models too.",
        autocompletion=completion.databases,
    ),
    database_url: str | None = DATABASE_URL,
    migrations: Path | None = MIGRATIONS,
    tag: list[str] = typer.Option([], "--tag", "-t", metavar="TAG", help="Look at this alone; may be repeated."),
    list_tags: bool = typer.Option(False, "--list-tags", help="Show the tags there are."),
    deploy: bool = typer.Option(False, "--deploy", help="Look also at what is no good in production."),
    fail_level: str = typer.Option("error", metavar="LEVEL", help="error, or warning to fail on dangers as well."),
) -> int:
    """Check settings, models and migrations; changes nothing.

    It also names what is dangerous in the migrations that are not applied yet. Exit code 1 when something is wrong,
    with one line for each problem.

    \b
    Examples:
      datalayer check
      datalayer check --database default
      datalayer check --tag models --tag migrations
      datalayer check --deploy --fail-level warning
      datalayer check --database-url sqlite:///db.sqlite3 --migrations sql
    """
    if fail_level not in ("error", "warning"):
        raise typer.BadParameter(f"--fail-level is error or warning, not {fail_level!r}")
    alias = database or "default"
    if list_tags:
        from datalayer.migrations.checking import TAGS

        return show(f"{name:<11} {words}" for name, words in TAGS.items())
    enter(database_url, migrations, alias)
    from datalayer.migrations import commands

    is_compared = not tag and (database is not None or database_url is not None)
    found = commands.check(
        alias, schema=is_compared, deploy=deploy, tags=tag, fails_on_warnings=fail_level == "warning"
    )
    return show(map(placed, found) if found else found.lines, found.exit_code)


def placed(finding: Finding) -> str:
    """A finding in one line, with the line of the project's own code that it comes from."""
    where = None if finding.cause is None else place_of(finding.cause)
    return str(finding if where is None else replace(finding, message=f"{where}: {finding.message}"))


def how_many(number: int | None, *, every: bool) -> int | None:
    """How many of the newest migrations; None for all of them."""
    refuse_together(("--all", every), ("--number", number is not None))
    return None if every else 1 if number is None else number


class Told:
    """Tells of each migration when it is done: one that fails or is interrupted later takes nothing of that back."""

    def __init__(self) -> None:
        self.is_used = False
        self._running: Step | None = None
        self._meanwhile: output.Meanwhile | None = None
        self._blocker = ""

    def __call__(self, step: Step) -> None:
        """A migration begins, so the one before it is done."""
        self.tell()
        if sys.stderr.isatty():  # somebody waits: a long statement of PostgreSQL says nothing by itself
            output.note(f"{step} ...")
        self.is_used, self._running = True, step

    def hooks(self, meanwhile: output.Meanwhile) -> Hooks:
        """What a command calls while it works."""
        from datalayer.migrations.environment import Hooks

        self._meanwhile = meanwhile
        return Hooks(self, meanwhile.on_rows, self._waits, self._lasts)

    def _waits(self, who: str) -> None:
        output.note(f"another migrate is at work on this database: waiting for it ({who})")

    def _lasts(self, statement: Lasting | None) -> None:
        """A statement takes long; told from another thread."""
        assert self._meanwhile is not None
        if statement is None:
            self._meanwhile.on_statement("", 0, "")
            return
        if statement.waits_for and statement.waits_for != self._blocker:
            self._blocker = statement.waits_for
            output.note(f"waits for {statement.waits_for}")
        phase = "waits for somebody else" if statement.waits_for else statement.phase
        self._meanwhile.on_statement(statement.text, statement.seconds, phase)

    def tell(self) -> None:
        """Print the migration that is done."""
        if self._running is not None:
            show([self._running.done])
            self._running = None

    def end(self, lines: Iterable[object], notes: Iterable[str], exit_code: int) -> int:
        """Print what is left to say, and give the exit code on."""
        self.tell()
        for note in notes:
            output.note(f"note: {note}")
        return show([] if self.is_used else lines, exit_code)


def show(lines: Iterable[object], exit_code: int = 0) -> int:
    """Print what a migration command returned, and give the exit code on."""
    for line in lines:
        output.say(str(line))
    sys.stdout.flush()
    return exit_code


GROUPS = {"migrations": (eject,)}
COMMANDS = (
    migrate,
    revert,
    redo,
    showmigrations,
    sqlmigrate,
    mergemigrations,
    squashmigrations,
    inspectdb,
    check,
)
