"""Where the migrations are and which models and databases they are about, out of the settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from datalayer._compile.tables import literal_sql
from datalayer._schema.field import UNSET, FieldSpec, Kind
from datalayer._schema.table import TableSpec
from datalayer.conf import settings
from datalayer.conf.url import DatabaseUrl
from datalayer.migrations.environment import Environment, Hooks
from datalayer.migrations.history import History


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
    from datalayer.models import modules, registry  # noqa: PLC0415 - the models come in only when they are asked for

    modules.imported(settings.models)
    return [table for table in registry.tables() if table.is_managed]


def has_models() -> bool:
    """Whether this is a project of models at all: a folder of migrations alone is one without."""
    return bool(settings.models or tables())


def defaults(tables: Iterable[TableSpec]) -> dict[str, tuple[str, str]]:
    """What the models give a new instance, by `table.column`, as SQL for SQLite and PostgreSQL.

    A default that is made anew for each instance, such as a UUID, is none for a whole table; an empty list is.
    """
    found: dict[str, tuple[str, str]] = {}
    for table in tables:
        fields: Mapping[str, Any] = getattr(table.python_model, "model_fields", {})
        for spec in table.fields.values():
            value = _default(fields[spec.name], spec) if spec.name in fields else None
            if value is not None:
                found[f"{table.name}.{spec.column}"] = value
    return found


def _default(info: Any, spec: FieldSpec) -> tuple[str, str] | None:
    makes_plain = spec.type.kind in (Kind.JSON, Kind.ARRAY) and not info.default_factory_takes_validated_data
    value: object = info.get_default(call_default_factory=makes_plain)
    if info.is_required() or value is None or value is UNSET:
        return None
    try:
        text = literal_sql(spec.type.codec.dump(value) if spec.type.codec else value, spec.type)
    except TypeError:  # a type without a literal
        return None
    return text.sqlite, text.postgresql


def backends() -> list[str]:
    """The kinds of databases there are: one with PostgreSQL stands for the others, whose dangers it shares."""
    kinds = {database.url.backend for database in settings.databases.values()}
    return ["postgresql"] if "postgresql" in kinds else sorted(kinds)


def history() -> History:
    """The migrations."""
    return History(folder())


def environment(alias: str, hooks: Hooks | None = None, *, known: History | None = None) -> Environment:
    """The migrations, or those that are given, and one database."""
    database = settings.databases[alias]
    timeouts = {"lock_timeout": database.migrate.lock_timeout, "statement_timeout": database.migrate.statement_timeout}
    return Environment(
        known or history(), url(alias), alias, database.pool.connection_timeout, timeouts, hooks or Hooks()
    )
