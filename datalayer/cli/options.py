"""The options and arguments that several commands have, each declared once."""

from __future__ import annotations

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
