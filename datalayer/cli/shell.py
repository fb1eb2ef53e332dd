"""`shell` and `dbshell`: Python with the models at hand, and the database's own client."""

from __future__ import annotations

import ast
import code
import contextlib
import importlib
import importlib.util
import inspect
import os
import shutil
import signal
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import typer

from datalayer.cli import output
from datalayer.cli.here import enter, impatient
from datalayer.cli.options import DATABASE, DATABASE_URL
from datalayer.errors import DatalayerError
from datalayer.late import asyncio

if TYPE_CHECKING:
    from collections.abc import Generator

    from datalayer.conf.options import Settings
    from datalayer.conf.url import DatabaseUrl


ALIAS_OF_URL = typer.Option(
    "default", "--database", metavar="ALIAS", help="Which database of the settings --database-url stands for."
)
VARIABLES = {"application_name": "PGAPPNAME", "connect_timeout": "PGCONNECT_TIMEOUT"}  # named unlike the others


def shell(
    command: str | None = typer.Option(
        None, "--command", "-c", metavar="CODE", help="Run this instead of asking for lines."
    ),
    database: str = ALIAS_OF_URL,
    database_url: str | None = DATABASE_URL,
) -> None:
    """Open a Python shell with every model imported.

    `await` works at the prompt. It is IPython where that is installed. Without a terminal it runs what it
    reads from stdin.

    \b
    Examples:
      datalayer shell
      datalayer shell -c "print(Product.objects.count())"
      datalayer shell -c "print(await Product.objects.acount())"
    """
    if database != "default" and database_url is None:  # it would be taken for the one that queries go to
        raise typer.BadParameter(
            f"--database is the alias of --database-url; a shell has all databases of the settings: "
            f"Model.objects.using({database!r})"
        )
    project = enter(database_url, alias=database)
    names = shell_names(project)
    with impatient(project):
        if command is not None:
            run_whole(command, "<command>", names)
        elif not sys.stdin.isatty():
            run_whole(sys.stdin.read(), "<stdin>", names)
        else:
            models = ", ".join(sorted(name for name in names if not name.startswith("_")))
            interact(names, f"imported: {models}\n`await` works here as it does in a function.")


def run_whole(source: str, file: str, names: dict[str, Any]) -> None:
    """Run a piece of code, which may await, statement by statement: one that blocks and one that awaits may follow."""
    statements = compile(source, file, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST).body
    with Lines(names) as lines:
        compiler: Any = lines.compile.compiler  # keeps `from __future__` of one statement for those that follow
        for statement in statements:
            lines.carry_out(compiler(ast.Module([statement], []), file, "exec"))


def interact(names: dict[str, Any], banner: str) -> None:
    """Ask for lines: in IPython where it is installed, in Python's own console elsewhere.

    Not in ptpython: there either `await` works or what blocks, and never both.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # it ends the shell, and not the line that runs
    if importlib.util.find_spec("IPython") is not None:
        output.say(banner)
        # It awaits by itself, and runs a line that does not await outside of its event loop.
        importlib.import_module("IPython").start_ipython(argv=["--no-banner"], user_ns=names)
        return
    with remembered(names), Lines(names) as lines:
        lines.interact(banner, exitmsg="")


@contextlib.contextmanager
def remembered(names: dict[str, Any]) -> Generator[None]:
    """Inside, names are completed, and the lines of the last shells are at hand; those of this one are added."""
    try:
        import readline
        import rlcompleter
    except ImportError:  # a Python without readline completes nothing and remembers nothing
        yield
        return
    file = Path("~/.datalayer_history").expanduser()
    readline.set_completer(rlcompleter.Completer(names).complete)
    readline.parse_and_bind("tab: complete")
    readline.set_history_length(1000)
    with contextlib.suppress(OSError):
        readline.read_history_file(file)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            readline.write_history_file(file)


class Lines(code.InteractiveConsole):
    """Python's own console, but a line may await.

    What awaits runs on one event loop that stands still in between, so that a line that blocks is not inside it:
    both `Book.objects.get()` and `await Book.objects.aget()` work. Ctrl-C ends the line and not the shell.
    """

    def __init__(self, names: dict[str, Any]) -> None:
        super().__init__(names)
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._names = names
        self._runner: asyncio.Runner | None = None

    def carry_out(self, line: types.CodeType) -> None:
        """Run one line to its end."""
        waiting = types.FunctionType(line, self._names)()
        if inspect.iscoroutine(waiting):
            if self._runner is None:
                self._runner = asyncio.Runner()
            self._runner.run(waiting)

    def runcode(self, code: types.CodeType) -> None:
        """Run one line; what it raises is shown, and the next one is asked for."""
        try:
            self.carry_out(code)
        except SystemExit:
            raise
        except KeyboardInterrupt:
            self.write("\nKeyboardInterrupt\n")
        except BaseException:
            self.showtraceback()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Close what the awaiting lines have opened."""
        if self._runner is not None:
            from datalayer.pooling import pools

            self._runner.run(pools.aclose_all())
            self._runner.close()


def shell_names(project: Settings) -> dict[str, Any]:
    """What a shell starts with: the face of datalayer, and every model of the project."""
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


def dbshell(database: str = DATABASE, database_url: str | None = DATABASE_URL) -> None:
    """Open the database's own client: psql or sqlite3.

    psql gets the password in its environment, where other users cannot see it.

    \b
    Examples:
      datalayer dbshell
      datalayer dbshell --database reports
      datalayer dbshell --database-url postgresql://me@localhost/shop
    """
    chosen = enter(database_url, alias=database).databases[database]
    from datalayer.pooling.address import Address

    words, environment = client(Address(database, chosen).now())
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
    found |= {VARIABLES.get(name, f"PG{name.replace('_', '').upper()}"): value for name, value in url.options.items()}
    if url.password is not None:
        found["PGPASSWORD"] = url.password.get_secret_value()
    return ["psql"], found


COMMANDS = (shell, dbshell)
