"""The commands about a database as a whole; the work is done by `datalayer.databases.whole`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from datalayer.cli import output, questions
from datalayer.cli.database import Told
from datalayer.cli.here import enter
from datalayer.cli.options import DATABASE, DATABASE_URL, MIGRATIONS, YES
from datalayer.errors import UnansweredQuestion

if TYPE_CHECKING:
    from datalayer.conf.url import DatabaseUrl

FORCE = typer.Option(False, "--force", help="Also while others are connected to it.")
HERE = ("", "localhost", "127.0.0.1", "::1")


def create(database: str = DATABASE, database_url: str | None = DATABASE_URL) -> int:
    """Make the database, empty, where it is not there yet.

    \b
    Examples:
      datalayer database create
      datalayer database create --database-url postgresql://me@localhost/shop
    """
    url = entered(database, database_url)
    from datalayer.databases import whole

    if whole.exists(url):
        output.say(f"{named(url)} is there already")
        return 0
    whole.create(url)
    output.say(f"made {named(url)}")
    return 0


def drop(
    database: str = DATABASE, database_url: str | None = DATABASE_URL, yes: bool = YES, force: bool = FORCE
) -> int:
    """Delete the database and all that is in it.

    It asks first; a database on another machine is only dropped for somebody who types its name. It refuses while
    others are connected and says who they are.

    \b
    Examples:
      datalayer database drop
      datalayer database drop --yes
      datalayer database drop --yes --force
    """
    url = entered(database, database_url)
    from datalayer.databases import whole

    if not whole.exists(url):
        output.say(f"{named(url)} is not there")
        return 0
    if not agreed("drop", url, yes=yes):
        return 1
    whole.drop(url, force=force)
    output.say(f"dropped {named(url)}")
    return 0


def reset(
    database: str = DATABASE,
    database_url: str | None = DATABASE_URL,
    migrations: Path | None = MIGRATIONS,
    yes: bool = YES,
    force: bool = FORCE,
) -> int:
    """Drop the database, make it again and migrate.

    The migrations are read before anything is dropped. It asks first, as drop does.

    \b
    Examples:
      datalayer database reset
      datalayer database reset --yes
    """
    url = entered(database, database_url, migrations)
    from datalayer.databases import whole
    from datalayer.migrations import commands

    commands.readable(database)
    if whole.exists(url):
        if not agreed("reset", url, yes=yes):
            return 1
        whole.drop(url, force=force)
        output.say(f"dropped {named(url)}")
    whole.create(url)
    output.say(f"made {named(url)}")
    told = Told()
    with output.progress() as meanwhile:
        done = commands.migrate(alias=database, hooks=told.hooks(meanwhile))
    return told.end(done.lines, done.notes, done.exit_code)


def entered(alias: str, database_url: str | None, migrations: Path | None = None) -> DatabaseUrl:
    """Where the database of the command line is; never the server's own."""
    chosen = enter(database_url, migrations, alias).databases[alias]
    from datalayer.databases import whole
    from datalayer.pooling.address import Address

    whole.refuse_the_servers_own(chosen.url)
    return Address(alias, chosen).now()


def agreed(verb: str, url: DatabaseUrl, *, yes: bool) -> bool:
    """Whether a person has said that a database may go.

    Raises:
        UnansweredQuestion: There is nobody to ask.
    """
    if yes:
        return True
    person = questions.somebody()
    if person is None:
        raise UnansweredQuestion(f"{verb} deletes all of {named(url)}, and there is nobody to ask: say --yes")
    question = f"{verb} {named(url)}, with everything in it?"
    is_near = url.backend == "sqlite" or (url.host or "").startswith("/") or (url.host or "") in HERE
    if person.agrees(question) if is_near else person.types(question, url.database):
        return True
    output.note("nothing was dropped")
    return False


def named(url: DatabaseUrl) -> str:
    """A database in words, without its password."""
    if url.backend == "sqlite":
        return f"the sqlite database {url.database!r}"
    return f"the postgresql database {url.database!r} at {url.host or 'the local socket'}"


COMMANDS = ()
GROUPS = {"database": (create, drop, reset)}
