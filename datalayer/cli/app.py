"""The `datalayer` command and its exit codes.

    0  done
    1  it failed, or `--check` found work to do: one line on stderr
    2  the command line itself is wrong
    3  a question only a person can answer, and no terminal to ask on
    130  Ctrl-C; 143 a request to end (SIGTERM)

Anywhere on the line `--config FILE` names another settings file, and `--traceback` shows where an error came from.
Commands import what they need when they run, so that `datalayer --help` stays fast.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback as tracebacks
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

import typer

from datalayer.cli import (
    data,
    database,
    diagram,
    elsewhere,
    here,
    inspect,
    making,
    output,
    own,
    pools,
    project,
    shell,
    whole,
)
from datalayer.cli.options import every, name_arguments
from datalayer.errors import DatalayerError, ModelError, UnansweredQuestion, choices_text, nearest

DONE, FAILED, WRONG_USE, UNANSWERED, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143

# typer carries its own copy of click in newer releases: its usage errors are reached through a name typer exports.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

HELP = """Settings, pools, models and migrations: a data layer for typed Python.

\b
A project's first day:
  datalayer startproject shop    a folder with models, a service and tests
  datalayer makemigrations       models -> a migration you can read
  datalayer migrate              apply it
"""
EPILOG = """`datalayer COMMAND --help` explains one command. Anywhere on the line, `--config FILE` names another
settings file, and `--traceback` shows where an error came from.

\b
Exit codes:
  0    done
  1    it failed, or --check found work to do; one line on stderr says what
  2    the command line itself is wrong
  3    a question only a person can answer, and no terminal to ask on
  130  Ctrl-C; 143 a request to end (SIGTERM)
"""

GROUP_HELP = {
    "migrations": "More about migrations: eject.",
    "database": "Make, drop or reset a whole database.",
}

app = typer.Typer(
    name="datalayer",
    help=HELP,
    epilog=EPILOG,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text: rich alone would cost half the time of `--help`
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
MODULES = (project, making, database, inspect, pools, data, diagram, shell, whole)
GROUPS = {**database.GROUPS, **whole.GROUPS}
for module in MODULES:
    for command in module.COMMANDS:
        app.command(command.__name__)(command)
for group, commands in GROUPS.items():
    below = typer.Typer(help=GROUP_HELP[group], no_args_is_help=False, rich_markup_mode=None)
    for command in commands:
        below.command(command.__name__)(command)
    app.add_typer(below, name=group)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context, version: bool = typer.Option(False, "--version", "-V", help="Show the version.")
) -> None:
    """Show the version, or the help when nothing was asked."""
    if version:
        output.say(f"datalayer {installed_version()}")
        raise typer.Exit  # a command behind it was not meant to run
    if context.invoked_subcommand is None:
        output.say(context.get_help())


def command_line() -> Any:
    """All commands, as typer makes them; help says the name of an argument, and not the type it has in Python."""
    made: Any = typer.main.get_command(app)
    own.add_to(made)
    for command in every(made):
        name_arguments(command)
    return made


def installed_version() -> str:
    """The version of the installed package, and `unknown` for a bare checkout."""
    from importlib import metadata

    try:
        return metadata.version("datalayer")
    except metadata.PackageNotFoundError:
        return "unknown"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: The arguments after the program's name; those of this process by default.

    Returns:
        The exit code.
    """
    for name in ("stdout", "stderr"):  # a program that starts this one may have closed them: then nobody listens
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for the rest of the process
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = [word for word in given if word != "--traceback"]
    if arguments[:1] == ["help"]:  # what hands type before they know `--help`
        arguments = [*arguments[1:], "--help"]
    asked: list[int] = []
    try:
        with heard(asked), here.settings_file(arguments):
            result = command_line().main(arguments, prog_name="datalayer", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        result = INTERRUPTED
    except BrokenPipeError:  # `datalayer ... | head` went away: there is nobody left to tell
        sys.stderr.close()
        return FAILED
    except Exception as error:
        if "--traceback" in given:
            tracebacks.print_exception(error)
        output.error(in_words(error, arguments))
        return exit_code(error)
    if asked:
        output.error("terminated; nothing more was done")
        return TERMINATED
    if result == INTERRUPTED:  # typer itself makes a result of Ctrl-C
        output.interrupted()
    return result if isinstance(result, int) else DONE


class Terminated(KeyboardInterrupt):
    """A request to end; of a plain KeyboardInterrupt Python itself may make an exit code of its own."""


@contextlib.contextmanager
def heard(asked: list[int]) -> Generator[None]:
    """Inside, a request to end is a Ctrl-C, so that what runs is stopped and undone; it is noted in `asked`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        asked.append(number)
        # In the background of a script Ctrl-C is ignored, which is no reason not to end.
        if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_IGN, signal.SIG_DFL):
            raise Terminated
        signal.raise_signal(signal.SIGINT)  # an event loop has its own way to stop

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def exit_code(error: Exception) -> int:
    """The exit code that tells a script what kind of error it was."""
    if isinstance(error, UnansweredQuestion):
        return UNANSWERED
    return WRONG_USE if isinstance(error, UsageError) else FAILED


def in_words(error: Exception, arguments: Sequence[str]) -> str:
    """One line about an error."""
    if isinstance(error, UsageError):
        return use_in_words(error, arguments)
    if isinstance(error, OSError) and not isinstance(error, DatalayerError) and error.strerror:
        return lowered(error.strerror) + ("" if error.filename is None else f": {str(error.filename)!r}")
    if isinstance(error, (DatalayerError, OSError)) and not isinstance(error, ModelError):
        return str(error)
    where = here.place_of(error)
    place = f"{where}: " if where else ""
    if isinstance(error, ModelError):
        return f"{place}{error}"
    reason = error.msg if isinstance(error, SyntaxError) else error  # its own text names the line once more
    return f"{place}{type(error).__name__}: {reason} (--traceback shows where it came from)"


def use_in_words(error: Exception, arguments: Sequence[str]) -> str:
    """One line about a wrong command line, with what could stand there instead."""
    context: Any = getattr(error, "ctx", None)
    commands: Mapping[str, object] = getattr(context.command, "commands", {}) if context is not None else {}
    option: str | None = getattr(error, "option_name", None)
    text = lowered(str(getattr(error, "message", "") or getattr(error, "format_message", lambda: error)()))
    if option is not None and context is not None and context.parent is None and option in options_of_commands():
        return f"{option} belongs to a command and stands after it: datalayer COMMAND {option} ..."
    possible: Sequence[str] | None = getattr(error, "possibilities", None)
    if possible:
        return f"{text}; did you mean {choices_text(possible)}?"
    if option is None and context is not None and commands:
        path = context.command_path.split()[1:]
        words = [word for word in arguments if not word.startswith("-")][len(path) :]
        return unknown_command(words, path, commands)
    parameter: Any = getattr(error, "param", None)
    has_message = bool(getattr(error, "message", ""))
    if parameter is not None and has_message:
        name = max(parameter.opts, key=len)
        text = f"{name if name.startswith('-') else name.upper()}: {text}"
    return f"{text}; see `{context.command_path} --help`" if context is not None else text


def unknown_command(asked: Sequence[str], path: Sequence[str], names: Iterable[str]) -> str:
    """One line about a command that is missing or does not exist, with what it is called here or those there are."""
    choices = sorted(names)
    if not asked:
        return f"a command is missing: datalayer {' '.join(path)} {choices_text(choices)}"
    ours = elsewhere.here([*path, *asked])
    near = f"; it is `{ours}` here" if ours else nearest(asked[0], choices)
    return f"unknown command {' '.join([*path, asked[0]])!r}{near or '; the commands are ' + ', '.join(choices)}"


def options_of_commands() -> set[str]:
    """Every option that a command has."""
    return {option for command in every(command_line()) for item in command.params for option in item.opts}


def lowered(text: str) -> str:
    """The text of a usage error as the rest of datalayer writes errors."""
    return (text[:1].lower() + text[1:]).rstrip(".")


def command_names() -> list[str]:
    """The names of all commands, sorted."""
    commands = [command.__name__ for module in MODULES for command in module.COMMANDS]
    return sorted([*commands, *GROUPS])
