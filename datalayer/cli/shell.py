"""`shell` and `dbshell`: Python with the models at hand, and the database's own client."""

from __future__ import annotations

import code
import os
import shutil
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from datalayer.cli.here import enter_project
from datalayer.errors import DatalayerError

if TYPE_CHECKING:
    from datalayer.conf.url import DatabaseUrl


def shell(
    command: str | None = typer.Option(
        None, "--command", "-c", metavar="CODE", help="Run this instead of asking for lines."
    ),
) -> None:
    """Open a Python shell with every model imported.

    Without a terminal it runs what it reads from stdin.

    \b
    Examples:
      datalayer shell
      datalayer shell -c "print(Product.objects.count())"
    """
    names = shell_names()
    if command is not None:
        exec(compile(command, "<command>", "exec"), names)
    elif not sys.stdin.isatty():
        exec(compile(sys.stdin.read(), "<stdin>", "exec"), names)
    else:
        models = sorted(name for name in names if not name.startswith("_"))
        code.interact(banner=f"imported: {', '.join(models)}", local=names, exitmsg="")


def shell_names() -> dict[str, Any]:
    """What a shell starts with: the face of datalayer, and every model of the project."""
    project = enter_project()
    import datalayer
    from datalayer.models import modules

    names: dict[str, Any] = {"__name__": "__console__", "datalayer": datalayer, "settings": project}
    names.update({name: getattr(datalayer, name) for name in ("atomic", "pools") if hasattr(datalayer, name)})
    for module in modules.imported(project.models):
        public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
        names.update({name: value for name, value in public.items() if is_of(value, module.__name__)})
    return names


def is_of(value: object, module: str) -> bool:
    """Whether a class was declared in a module or below it: its models, and their enums."""
    return isinstance(value, type) and f"{value.__module__}.".startswith(f"{module}.")


def dbshell(
    database: str = typer.Argument("default", metavar="ALIAS", help="Which database of the settings."),
) -> None:
    """Open the database's own client: psql or sqlite3.

    psql gets the password in its environment, where other users cannot see it.
    """
    words, environment = client(enter_project().databases[database].url)
    program = shutil.which(words[0])
    if program is None:
        raise DatalayerError(f"dbshell runs {words[0]!r}, and there is none on PATH; install it")
    sys.stdout.flush()
    os.execve(program, words, {**os.environ, **environment})


def client(url: DatabaseUrl) -> tuple[list[str], Mapping[str, str]]:
    """The command line of a database's client and the variables it needs; the password is in the latter only.

    Raises:
        DatalayerError: A database in memory has nothing another program could open.
    """
    if url.backend == "sqlite":
        if url.is_memory:
            raise DatalayerError("dbshell cannot open a database in memory: only this process sees it")
        return ["sqlite3", url.database], {}
    variables = {"PGHOST": url.host, "PGPORT": url.port, "PGUSER": url.user, "PGDATABASE": url.database or None}
    found = {name: str(value) for name, value in variables.items() if value is not None}
    found |= {f"PG{name.upper()}": value for name, value in url.options.items() if name.startswith(("ssl", "target_"))}
    if url.password is not None:
        found["PGPASSWORD"] = url.password.get_secret_value()
    return ["psql"], found


COMMANDS = (shell, dbshell)
