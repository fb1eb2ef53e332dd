"""The commands about migrations; the work is done by `datalayer.migrations.commands`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from datalayer.cli import output, questions
from datalayer.cli.here import enter_project

if TYPE_CHECKING:
    from datalayer.migrations.environment import Step

DATABASE = typer.Option("default", metavar="ALIAS", help="Which database of the settings.", show_default=True)


def makemigrations(
    name: str | None = typer.Argument(
        None, metavar="NAME", help="What the migration is called; taken from the changes by default."
    ),
    check: bool = typer.Option(False, "--check", help="Write nothing; exit 1 when the models have changed."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would be written."),
    empty: bool = typer.Option(False, "--empty", help="Write a migration without operations."),
    default: list[str] = typer.Option(
        [], metavar="TABLE.COLUMN=VALUE", help="What rows that exist get in a new column; may be repeated."
    ),
    rename: list[str] = typer.Option(
        [], metavar="OLD:NEW", help="A table or column that has a new name; may be repeated."
    ),
) -> int:
    """Write what changed in the models as a new migration.

    Compares the models with the migrations in the folder; no database is needed. On a terminal it asks what only a
    person can know; without one, --default and --rename answer, and an open question is exit code 3.

    \b
    Examples:
      datalayer makemigrations
      datalayer makemigrations --dry-run
      datalayer makemigrations --rename book.price:cost
      datalayer makemigrations --default book.pages=0
      datalayer makemigrations fill_slugs --empty
    """
    enter_project()
    from datalayer.migrations import commands

    made = commands.makemigrations(
        name,
        check=check,
        dry_run=dry_run,
        empty=empty,
        default=default,
        rename=rename,
        questions=questions.somebody(),
    )
    return show(made.lines, made.exit_code)


def migrate(
    target: str | None = typer.Argument(
        None, metavar="TARGET", help="The number or name of a migration, or zero; the newest by default."
    ),
    database: str = DATABASE,
    plan: bool = typer.Option(False, "--plan", help="Show what would run, and run nothing."),
    fake: bool = typer.Option(False, "--fake", help="Record the migrations as applied without running them."),
    sql: bool = typer.Option(False, "--sql", help="Print the SQL, and run nothing."),
    check: bool = typer.Option(False, "--check", help="Run nothing; exit 1 when migrations are left to apply."),
) -> int:
    """Bring the database to the newest migration, or to another.

    Each migration is one transaction together with the row that records it: one that fails or is interrupted leaves
    nothing behind.

    \b
    Examples:
      datalayer migrate            to the newest
      datalayer migrate 0003       to that one, forwards or backwards
      datalayer migrate zero       take everything back
      datalayer migrate --plan     what would run
      datalayer migrate --check    for a deployment: exit 1 when something is left to apply
    """
    enter_project()
    from datalayer.migrations import commands

    told = Told()
    done = commands.migrate(target, plan=plan, fake=fake, sql=sql, check=check, alias=database, on_progress=told)
    told.tell()
    return show([] if told.is_used else done.lines, done.exit_code)


def showmigrations(database: str = DATABASE) -> int:
    """List the migrations, and which of them are applied."""
    enter_project()
    from datalayer.migrations import commands

    return show(commands.showmigrations(database))


def sqlmigrate(
    target: str = typer.Argument(metavar="TARGET", help="The number or name of a migration."),
    backwards: bool = typer.Option(False, "--backwards", help="The SQL that takes it back."),
    database: str = DATABASE,
) -> int:
    """Print the SQL of one migration; nothing is sent.

    \b
    Examples:
      datalayer sqlmigrate 0002
      datalayer sqlmigrate 0002 --backwards
    """
    enter_project()
    from datalayer.migrations import commands

    return show([commands.sqlmigrate(target, backwards, database).rstrip("\n")])


def check(database: str = DATABASE) -> int:
    """Check settings, models and migrations; changes nothing.

    Exit code 1 when something is wrong, with one line for each problem.
    """
    enter_project()
    from datalayer.migrations import commands

    found = commands.check(database)
    return show(found.lines, found.exit_code)


class Told:
    """Tells of each migration when it is done: one that fails or is interrupted later takes nothing of that back."""

    def __init__(self) -> None:
        self.is_used = False
        self._running: Step | None = None

    def __call__(self, step: Step) -> None:
        """A migration begins, so the one before it is done."""
        self.tell()
        self.is_used, self._running = True, step

    def tell(self) -> None:
        """Print the migration that is done."""
        if self._running is not None:
            show([self._running.done])
            self._running = None


def show(lines: Iterable[object], exit_code: int = 0) -> int:
    """Print what a migration command returned, and give the exit code on."""
    for line in lines:
        output.say(str(line))
    sys.stdout.flush()
    return exit_code


COMMANDS = (makemigrations, migrate, showmigrations, sqlmigrate, check)
