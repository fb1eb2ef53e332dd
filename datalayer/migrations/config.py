"""Where the migrations are and which models and databases they are about, out of the settings."""

from __future__ import annotations

import importlib
from pathlib import Path

from datalayer._schema.table import TableSpec
from datalayer.conf import settings
from datalayer.conf.url import DatabaseUrl
from datalayer.errors import ConfigurationError
from datalayer.migrations.environment import Environment, History


def folder() -> Path:
    """The folder of the migrations."""
    return Path(settings.migrations)


def url(alias: str) -> DatabaseUrl:
    """Where the database is."""
    found = settings.databases[alias].url
    assert isinstance(found, DatabaseUrl)
    return found


def tables() -> list[TableSpec]:
    """The tables of all models that migrations may create; imports the modules the settings name."""
    from datalayer.models import registry  # noqa: PLC0415 - the models come in only when they are asked for

    for name in settings.models:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            raise ConfigurationError(
                f"the models {name!r} cannot be imported: there is no module {error.name!r}", key="models"
            ) from error
    return [table for table in registry.tables() if table.is_managed]


def history() -> History:
    """The migrations."""
    return History(folder())


def environment(alias: str) -> Environment:
    """The migrations and one database."""
    return Environment(history(), url(alias), alias)
