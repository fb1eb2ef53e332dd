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

DATABASE = typer.Option("default", help="The alias of the database.")


def makemigrations(
    name: str | None = typer.Argument(None, help="What the migration is called; taken from the changes by default."),
    check: bool = typer.Option(False, "--check", help="Write nothing; exit 1 when the models have changed."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would be written."),
    empty: bool = typer.Option(False, "--empty", help="Write a migration without operations."),
    default: list[str] = typer.Option([], metavar="TABLE.COLUMN=VALUE", help="A value for the rows that exist."),
    rename: list[str] = typer.Option([], metavar="OLD:NEW", help="A table or column that was renamed."),
) -> int:
    """Write what changed in the models as a new migration."""
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
    target: str | None = typer.Argument(None, help="A migration's number or name, or `zero`; the newest by default."),
    database: str = DATABASE,
    plan: bool = typer.Option(False, "--plan", help="Show what would run, and run nothing."),
    fake: bool = typer.Option(False, "--fake", help="Record the migrations as applied without running them."),
    sql: bool = typer.Option(False, "--sql", help="Print the SQL, and run nothing."),
    check: bool = typer.Option(False, "--check", help="Run nothing; exit 1 when migrations are left to apply."),
) -> int:
    """Bring the database to the newest migration, or forwards or backwards to a target."""
    enter_project()
    from datalayer.migrations import commands

    told = Told()
    done = commands.migrate(target, plan=plan, fake=fake, sql=sql, check=check, alias=database, on_progress=told)
    told.tell()
    return show([] if told.is_used else done.lines, done.exit_code)


def showmigrations(database: str = DATABASE) -> int:
    """List the migrations, with those that are applied."""
    enter_project()
    from datalayer.migrations import commands

    return show(commands.showmigrations(database))


def sqlmigrate(
    target: str = typer.Argument(help="A migration's number or name."),
    backwards: bool = typer.Option(False, "--backwards", help="The SQL that takes it back."),
    database: str = DATABASE,
) -> int:
    """Print the SQL of one migration."""
    enter_project()
    from datalayer.migrations import commands

    return show([commands.sqlmigrate(target, backwards, database).rstrip("\n")])


def check(database: str = DATABASE) -> int:
    """Check settings, models and migrations without changing anything."""
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
