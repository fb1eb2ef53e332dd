"""The options and arguments that several commands have, each declared once."""

from __future__ import annotations

import functools
from typing import Any

import typer

from datalayer.cli import completion

DATABASE = typer.Option(
    "default",
    "--database",
    metavar="ALIAS",
    help="Which database of the settings.",
    autocompletion=completion.databases,
)
DATABASE_URL = typer.Option(None, "--database-url", metavar="URL", help="Where that database is; needs no project.")
MODELS_URL = typer.Option(
    None, "--database-url", metavar="URL", help="Where that database is, whatever the settings say."
)
MIGRATIONS = typer.Option(None, "--migrations", metavar="FOLDER", help="The folder of the migrations.")
MIGRATION = typer.Argument(
    metavar="TARGET", help="The number or name of a migration.", autocompletion=completion.migrations
)
MODELS = typer.Argument(
    None,
    metavar="MODEL",
    help="The names of models; all when left out.",
    show_default=False,
    autocompletion=completion.models,
)
YES = typer.Option(False, "--yes", help="Do not ask.")


def refuse_together(*options: tuple[str, object]) -> None:
    """Refuse options that mean different things, where more than one of them is said.

    Raises:
        BadParameter: Two of them are.
    """
    said = [name for name, value in options if value]
    if len(said) > 1:
        raise typer.BadParameter(f"{' and '.join(said)} exclude each other; say one of them")


def every(group: Any) -> list[Any]:
    """The commands of a command line, those of its groups too; of a single command itself."""
    found: list[Any] = []
    for command in getattr(group, "commands", {"": group}).values():
        found += getattr(command, "commands", {"": command}).values()
    return found


def name_arguments(command: Any) -> None:
    """Make help and errors say the name of each argument, and not the type it has in Python."""
    for argument in (item for item in command.params if item.param_type_name == "argument"):
        argument.metavar = argument.metavar or str(argument.name).upper()
        argument.display_type_rich = functools.partial(_constantly, None)
        if argument.required:
            argument.get_usage_pieces = functools.partial(_constantly, [argument.metavar])


def _constantly(value: object, *_: object, **__: object) -> object:
    """What a question of typer is answered with, whatever it asks about."""
    return value
