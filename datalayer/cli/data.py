"""The commands about rows; the work is done by `datalayer.data`."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING, BinaryIO

import typer

from datalayer.cli import completion, output, questions
from datalayer.cli.here import enter_rows, impatient
from datalayer.cli.options import DATABASE, MODELS, MODELS_URL, YES
from datalayer.errors import UnansweredQuestion

if TYPE_CHECKING:
    from collections.abc import Generator


def dumpdata(
    models: list[str] = MODELS,
    but: list[str] = typer.Option(
        [], "--except", "-e", metavar="MODEL", help="Leave it out; may be repeated.", autocompletion=completion.models
    ),
    database: str = DATABASE,
    database_url: str | None = MODELS_URL,
    natural_foreign: bool = typer.Option(
        False, "--natural-foreign", help="Write references as the natural key of the row they lead to, if it has one."
    ),
    natural_primary: bool = typer.Option(
        False, "--natural-primary", help="Leave out the numbered keys of rows that have a natural one."
    ),
) -> int:
    """Write the rows of models to stdout as lines of JSON.

    Each model comes after those it refers to, and all rows are of one moment.

    \b
    Examples:
      datalayer dumpdata > rows.jsonl
      datalayer dumpdata Product Order > orders.jsonl
      datalayer dumpdata --except Session > rows.jsonl
      datalayer dumpdata --natural-foreign --natural-primary > rows.jsonl
    """
    project = enter_rows(database_url, database)
    from datalayer.data import dump

    with impatient(project), progress() as on_rows:
        dump(
            sys.stdout.buffer,
            models or (),
            but=but,
            using=database,
            natural_foreign=natural_foreign,
            natural_primary=natural_primary,
            on_rows=on_rows,
        )
    sys.stdout.buffer.flush()
    return 0


def loaddata(
    file: str = typer.Argument(metavar="FILE", help="What dumpdata has written; - for stdin."),
    database: str = DATABASE,
    database_url: str | None = MODELS_URL,
) -> int:
    """Load the rows of a file that dumpdata has written.

    All of them or none. Keys that the database numbers go on after those of the file.

    \b
    Examples:
      datalayer loaddata rows.jsonl
      datalayer loaddata rows.jsonl.gz
    """
    project = enter_rows(database_url, database)
    from datalayer.data import load

    with impatient(project), readable(file) as lines, progress() as on_rows:
        count = load(lines, using=database, on_rows=on_rows)
    output.say(f"{counted(count, 'row')} loaded")
    return 0


def flush(database: str = DATABASE, database_url: str | None = MODELS_URL, yes: bool = YES) -> int:
    """Delete every row of the models' tables.

    Their keys begin with 1 again; the tables and the record of the migrations stay. It asks first.

    \b
    Examples:
      datalayer flush
      datalayer flush --yes
    """
    project = enter_rows(database_url, database)
    url = project.databases[database].url
    from datalayer import data
    from datalayer.data.flushing import tables_to_flush

    what = f"every row of {counted(len(tables_to_flush()), 'table')} of the {url.backend} database {url.database!r}"
    if not yes:
        person = questions.somebody()
        if person is None:
            raise UnansweredQuestion(f"flush deletes {what}, and there is nobody to ask: say --yes")
        if not person.agrees(f"delete {what}?"):
            output.note("nothing was deleted")
            return 1
    with impatient(project):
        count = data.flush(using=database)
    output.say(f"{counted(count, 'table')} emptied")
    return 0


def counted(number: int, noun: str) -> str:
    """A number of things: `1 row`, `2 rows`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@contextlib.contextmanager
def progress() -> Generator[output.OnRows]:
    """A bar for each model on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda name, done, total: None
        return
    with output.progress() as meanwhile:
        yield meanwhile.on_rows


@contextlib.contextmanager
def readable(name: str) -> Generator[BinaryIO]:
    """The file, or a copy of stdin: it is read several times."""
    if name != "-":
        with open(name, "rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        yield copy


COMMANDS = (dumpdata, loaddata, flush)
