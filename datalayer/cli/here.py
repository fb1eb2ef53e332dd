"""The project a command runs in: its settings, and its folder on the import path."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from datalayer.errors import ConfigurationError, ConnectionFailed, DatalayerError

if TYPE_CHECKING:
    from collections.abc import Generator

    from datalayer.conf.options import Settings


def enter_project() -> Settings:
    """Read the settings and make the project's own modules importable, as `python -m` in its folder does.

    Raises:
        ConfigurationError: There is no project here, or its settings are wrong.
    """
    from datalayer.conf import Settings

    _make_importable()
    return Settings.current()


def _make_importable() -> None:
    """Put the project's folder on the import path, before the settings are read: their class may live in it."""
    from datalayer.conf.sources import find_file

    file = find_file(Path.cwd(), os.environ)
    root = str(file.path.parent if file else Path.cwd())
    logger = logging.getLogger("datalayer")
    if not logger.handlers:  # a command says itself what went wrong, and in one line
        logger.addHandler(logging.NullHandler())
    if root not in sys.path:
        sys.path.insert(0, root)


@contextlib.contextmanager
def settings_file(words: list[str]) -> Generator[None]:
    """Inside, the settings are those of the file that `--config FILE` names; both words are taken off the line.

    Raises:
        BadParameter: No file is named.
        ConfigurationError: The file is not there, or holds no settings.
    """
    place = next((place for place, word in enumerate(words) if word.partition("=")[0] == "--config"), None)
    if place is None:
        yield
        return
    _, sign, name = words.pop(place).partition("=")
    if not sign and place < len(words):
        name = words.pop(place)
    if not name:
        raise typer.BadParameter("--config needs the name of a settings file")
    from datalayer.conf.sources import CONFIG_VARIABLE, find_file

    before = os.environ.get(CONFIG_VARIABLE)
    os.environ[CONFIG_VARIABLE] = name
    try:
        try:
            find_file(Path.cwd(), os.environ)
        except ConfigurationError as error:  # about the option, which is what somebody has typed
            raise ConfigurationError(str(error).replace(f"{CONFIG_VARIABLE} ", "--config ", 1)) from error
        yield
    finally:
        os.environ.pop(CONFIG_VARIABLE)
        if before is not None:
            os.environ[CONFIG_VARIABLE] = before


def enter(database_url: str | None = None, migrations: Path | None = None, alias: str = "default") -> Settings:
    """Enter the project, with what the command line says instead of its settings; that is enough without a project.

    Args:
        database_url: Where the database is.
        migrations: The folder of the migrations.
        alias: Which database the URL is of.

    Raises:
        DatalayerError: The folder does not exist.
        ConfigurationError: There is no project here and no URL, or the settings are wrong.
    """
    from datalayer import conf

    if migrations is not None and not migrations.is_dir():
        raise DatalayerError(f"there is no folder {str(migrations)!r}")
    said: dict[str, object] = {}
    if migrations is not None:
        said["migrations"] = str(migrations.absolute())
    if database_url is not None:
        try:  # a relative file is one of the folder where somebody types, not of the project's
            url = conf.DatabaseUrl.parse(database_url, root=Path.cwd())
        except ConfigurationError as error:
            raise ConfigurationError(f"--database-url: {error}") from None
        said["databases"] = {alias: {"url": url}}
    if said:
        _make_importable()
        conf.configure(**said)
    return enter_project()


def enter_folder(migrations: Path | None) -> Settings:
    """Enter the project, or none: a folder of plain SQL needs no settings, and is made when it is not there.

    Args:
        migrations: The folder; that of the settings by default, and `migrations` where there are none.
    """
    from datalayer import conf

    _make_importable()
    if migrations is None and not conf.is_configured():
        migrations = Path("migrations")
    if migrations is not None:
        conf.configure(migrations=str(migrations.absolute()))
    return enter_project()


def enter_models(database_url: str | None = None, alias: str = "default") -> Settings:
    """Enter the project and import its models.

    Raises:
        DatalayerError: It has no models, or no such database.
    """
    project = enter(database_url, alias=alias)
    from datalayer.models import modules

    if not project.models:
        raise DatalayerError("the settings name no models; name their modules: models = [...]")
    modules.imported(project.models)
    _ = project.databases[alias]  # named at once, and not half-way
    return project


def enter_rows(database_url: str | None, alias: str) -> Settings:
    """Enter the project and import its models, for a command that works on the rows of a database.

    Raises:
        DatalayerError: It has no models, or no such database.
        ConnectionFailed: The database is a file that is not there, and connecting would make an empty one.
    """
    project = enter_models(database_url, alias)
    url = project.databases[alias].url
    if url.has_no_file:
        raise ConnectionFailed(url.without_file(alias), alias=alias)
    return project


@contextlib.contextmanager
def impatient(project: Settings) -> Generator[None]:
    """Inside the block a connection that is refused is an error at once: a person waits, who can try again."""
    from datalayer import conf

    once = {"pool": {"retry_connection": False}}
    with conf.override(databases=dict.fromkeys(project.databases, once)):
        yield


def place_of(error: BaseException) -> str | None:
    """The line of the project's own code that an error came from, as `shop/models.py:12`; None for one of no line."""
    root = Path(sys.path[0] or ".").resolve()
    if isinstance(error, SyntaxError) and error.filename:
        return _below(root, error.filename, error.lineno)
    found: str | None = None
    for frame in traceback.extract_tb(error.__traceback__):
        found = _below(root, frame.filename, frame.lineno) or found
    return found


def _below(root: Path, name: str, line: int | None) -> str | None:
    file = Path(name)
    if not file.is_absolute() or "site-packages" in file.parts or not file.is_relative_to(root):
        return None
    return f"{file.relative_to(root)}:{line}"
