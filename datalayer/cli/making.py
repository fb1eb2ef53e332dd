"""`makemigrations`: what changed in the models, as a file; the work is done by `datalayer.migrations.commands`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from datalayer.cli import completion, output, questions
from datalayer.cli.database import show
from datalayer.cli.here import enter, enter_folder
from datalayer.cli.options import MIGRATIONS, refuse_together

if TYPE_CHECKING:
    from datalayer.migrations.making import MadeMigration

ADOPTED_URL = typer.Option(None, "--database-url", metavar="URL", help="Where the database of --adopt is.")


def makemigrations(
    name: str | None = typer.Argument(
        None, metavar="NAME", help="What the migration is called; taken from the changes by default."
    ),
    check: bool = typer.Option(False, "--check", help="Write nothing; exit 1 when the models have changed."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would be written."),
    empty: bool = typer.Option(False, "--empty", help="Write a migration without operations."),
    sql: bool = typer.Option(False, "--sql", help="Write an empty pair of plain SQL files; models are not needed."),
    no_down: bool = typer.Option(False, "--no-down", help="With --sql: there is no way back."),
    number: str | None = typer.Option(
        None, "--number", metavar="NUMBER", help="With --sql: its number, such as 0042 or a date."
    ),
    default: list[str] = typer.Option([], metavar="TABLE.COLUMN=VALUE", help="A value for the rows that exist."),
    rename: list[str] = typer.Option([], metavar="OLD:NEW", help="A table, column or enum value that was renamed."),
    adopt: str | None = typer.Option(
        None,
        "--adopt",
        metavar="ALIAS",
        help="Take what plain SQL has made in this database as known.",
        autocompletion=completion.databases,
    ),
    no_input: bool = typer.Option(False, "--no-input", help="Ask nothing; an open question is exit code 3."),
    update: bool = typer.Option(False, "--update", help="Write the newest migration anew, with the changes since."),
    scriptable: bool = typer.Option(
        False, "--scriptable", help="Print paths of new files alone; the rest goes to stderr."
    ),
    database_url: str | None = ADOPTED_URL,
    migrations: Path | None = MIGRATIONS,
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
      datalayer makemigrations add_search --sql
    """
    work = (("--check", check), ("--dry-run", dry_run), ("--adopt", adopt))
    for answers in (("--default", default), ("--rename", rename), *work, ("--update", update)):
        refuse_together(("--empty", empty), answers)
        refuse_together(("--sql", sql), answers)
    refuse_together(("--empty", empty), ("--sql", sql))
    refuse_together(("NAME", name), ("--update", update))
    if no_down and not sql:
        raise typer.BadParameter("--no-down goes with --sql")
    if number is not None and not sql:
        raise typer.BadParameter("--number goes with --sql; Python files are numbered by themselves")
    if sql and name is None:
        raise typer.BadParameter("--sql needs a name: datalayer makemigrations --sql NAME")
    if sql:
        enter_folder(migrations)
    else:
        enter(database_url, migrations)
    from datalayer.migrations import commands

    if sql and name is not None:
        return _made(commands.makesql(name, has_down=not no_down, number=number), scriptable)
    made = commands.makemigrations(
        name,
        check=check,
        dry_run=dry_run,
        empty=empty,
        update=update,
        default=default,
        rename=rename,
        adopt=adopt,
        questions=None if no_input else questions.somebody(),
    )
    for finding in made.findings:
        output.note(str(finding))
    return _made(made, scriptable)


def _made(made: MadeMigration, scriptable: bool) -> int:
    if not scriptable:
        return show(made.lines, made.exit_code)
    for line in made.lines:
        output.note(line)
    return show(made.paths, made.exit_code)


COMMANDS = (makemigrations,)
