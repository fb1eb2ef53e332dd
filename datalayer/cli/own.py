"""The project's own commands, which its settings name, and commands called from Python."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from datalayer.cli.options import every, name_arguments
from datalayer.errors import CommandError, ConfigurationError, SettingsNotConfigured
from datalayer.late import asyncio

if TYPE_CHECKING:
    from datalayer.conf.options import Settings

_FILES = ("datalayer.toml", "pyproject.toml")
_NAMED = re.compile(rb"^\s*\[?\s*(tool\.datalayer\.)?commands\b", re.MULTILINE)


def add_to(group: Any) -> None:
    """Add what the settings file names to the commands of the command line; nothing is imported until it is run.

    Raises:
        ConfigurationError: A name is that of a command of datalayer.
    """
    if not _is_possible():
        return
    from datalayer.conf.sources import as_table, find_file

    try:
        file = find_file(Path.cwd(), os.environ)
    except ConfigurationError:  # the command that needs the file says so
        return
    if file is None:
        return
    for name, path in (as_table(file.table.get("commands")) or {}).items():
        if name in group.commands:
            origin = file.origin(("commands", name))
            raise ConfigurationError(
                f"commands.{name} ({origin}): datalayer has a command of that name; choose another one"
            )
        group.add_command(_late(name, str(path)), name)


def _is_possible() -> bool:
    """Whether a settings file may name commands: a look at its text, as `--help` shall not pay for reading settings."""
    named = os.environ.get("DATALAYER_CONFIG")
    here = Path.cwd()
    folders = (here, *here.parents)
    files = [here / named] if named else [folder / name for folder in folders for name in _FILES]
    for file in files:
        try:
            if _NAMED.search(file.read_bytes()):
                return True
        except OSError:  # not there, or not to be read
            continue
    return False


def _late(name: str, path: str) -> Any:
    """A command that finds out what it is when it is run."""
    made = typer.Typer(rich_markup_mode=None, add_completion=False)
    words = {"ignore_unknown_options": True, "allow_extra_args": True}

    @made.command(name, help=f"{path}, a command of this project.", add_help_option=False, context_settings=words)
    def run(context: typer.Context) -> object:
        return command(name).main(context.args, prog_name=f"datalayer {name}", standalone_mode=False)

    return typer.main.get_command(made)


def command(name: str) -> Any:
    """The command of a function or of a `typer.Typer` of the project, whose models are imported.

    Raises:
        ConfigurationError: The settings name what is not there.
    """
    from datalayer.cli.here import enter_project
    from datalayer.models import modules

    project = enter_project()
    modules.imported(project.models)
    found = _named(project, name)
    if not isinstance(found, typer.Typer):
        made = typer.Typer(rich_markup_mode=None, add_completion=False)
        made.command(name, context_settings={"help_option_names": ["-h", "--help"]})(_blocking(found))
        found = made
    ready: Any = typer.main.get_command(found)
    for one in every(ready):
        name_arguments(one)
    return ready


def _named(project: Settings, name: str) -> Any:
    path = project.commands[name]
    module, _, attribute = path.partition(":")
    place = f"commands.{name} ({project.origin(f'commands.{name}')})"
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ConfigurationError(f"{place}: there is no module {error.name!r}") from error
    if found is None:
        raise ConfigurationError(f"{place}: module {module!r} has no {attribute!r}")
    if not callable(found):
        raise ConfigurationError(f"{place}: {attribute!r} of {module!r} is no function")
    return found


def _blocking(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that awaits, run to its end."""
    if not inspect.iscoroutinefunction(function):
        return function

    @functools.wraps(function)
    def run(*args: object, **words: object) -> object:
        return asyncio.run(function(*args, **words))

    return run


def call(name: str, arguments: Iterable[object], options: Mapping[str, object]) -> int:
    """See `call_command`."""
    from datalayer.cli import app
    from datalayer.conf import Settings

    words = [name, *map(str, arguments)]
    for option, value in options.items():
        words += _written(f"--{option.replace('_', '-')}", value)
    group = app.command_line()
    with contextlib.suppress(SettingsNotConfigured):  # a program may have named some by configure()
        for own, path in Settings.current().commands.items():
            group.commands.setdefault(own, _late(own, path))
    try:
        result = group.main(words, prog_name="datalayer", standalone_mode=False)
    except app.UsageError as error:
        raise CommandError(app.use_in_words(error, words)) from error
    return result if isinstance(result, int) else 0


def _written(option: str, value: object) -> list[str]:
    if value is None or value is False:
        return []
    if value is True:
        return [option]
    several = cast("Collection[object]", value) if isinstance(value, list | tuple | set) else [value]
    return [f"{option}={one}" for one in several]
