"""The settings as frozen pydantic models: which keys exist, their types and their defaults.

This file says what may be set; where the values come from is the business of `loader.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from datalayer.conf.url import HIDDEN, DatabaseUrl, project_root
from datalayer.errors import ConfigurationError, choices_text, nearest


def _below_root(path: Path, info: ValidationInfo) -> Path:
    return (project_root(info) or Path.cwd()) / path


def _none_for_ever(seconds: float | None) -> float | None:
    return None if seconds == math.inf else seconds


def _module_and_name(path: str) -> str:
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", path):
        raise ValueError('must be "package.module:function"')
    return path


ProjectPath = Annotated[Path, AfterValidator(_below_root), Field(validate_default=True)]
"""A path; a relative one is taken from the folder of the settings file."""

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Patience = Annotated[float | None, Field(gt=0), AfterValidator(_none_for_ever)]
"""Seconds, or None for ever, which TOML and the environment have no word for: there it is `inf`."""

ModulePath = Annotated[str, StringConstraints(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*$")]
FunctionPath = Annotated[str, AfterValidator(_module_and_name)]
"""A function of the project, `package.module:name`."""
CommandName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$")]
Alias = Annotated[str, StringConstraints(pattern=r"^[^\W\d][\w-]*$")]


SECRET_NAME = re.compile(r"secret|passw|token|credential|signature|(api|private|access)_?key", re.IGNORECASE)
"""The names of keys whose values are shown as stars even where their type does not hide them."""


class Options(BaseModel):
    """What all parts of the settings share: frozen, no unknown keys, and errors that never repeat a value."""

    # `defer_build`: whoever only declares models, without asking for a setting, needs none of their validators.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, HIDDEN if name and isinstance(value, str) and value and SECRET_NAME.search(name) else value


NOT_FOR_PSYCOPG = ("queue_strategy", "keepalive", "max_opening", "queue_target", "queue_interval", "fail_fast")
"""Options of a pool that psycopg-pool has no place for; anything but their default is refused."""


class PoolSettings(Options):
    """How many connections are kept and how long anybody waits for one; the names are those of `PoolConfig`.

    `implementation` chooses the pool of PostgreSQL (`psycopg` when left out) and `readers` is the number of reading
    connections of a SQLite file; neither is part of `PoolConfig`.
    """

    implementation: Literal["psycopg", "generic"] | None = None
    readers: int = Field(default=4, ge=1)
    max_size: int = Field(default=10, ge=1)
    min_idle: int = Field(default=0, ge=0)
    connection_timeout: Annotated[float | None, Field(ge=0), AfterValidator(_none_for_ever)] = 30.0
    connect_timeout: Seconds = 10.0
    validation_timeout: Seconds = 5.0
    reset_timeout: Seconds = 5.0
    close_timeout: Seconds = 5.0
    max_lifetime: Patience = 1800.0
    lifetime_jitter: float = Field(default=0.1, ge=0, le=1)
    idle_timeout: Patience = 600.0
    keepalive: Patience = None
    max_uses: int | None = Field(default=None, ge=1)
    reaper_rate: Seconds = 30.0
    queue_strategy: Literal["lifo", "fifo"] = "lifo"
    test_on_check_out: bool = True
    test_bypass: float = Field(default=0.0, ge=0)
    max_waiting: int | None = Field(default=None, ge=0)
    max_opening: int = Field(default=4, ge=1)
    retry_connection: bool = True
    backoff_initial: Seconds = 0.2
    backoff_max: Seconds = 10.0
    backoff_jitter: float = Field(default=0.5, ge=0, le=1)
    unavailable_after: Patience = 5.0
    fail_fast: bool = False
    leak_threshold: Patience = None
    on_deadlock: Literal["raise", "warn", "ignore"] = "raise"
    queue_target: Patience = None
    queue_interval: Seconds = 1.0

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.min_idle > self.max_size:
            raise ValueError(f"min_idle ({self.min_idle}) is larger than max_size ({self.max_size})")
        if self.backoff_initial > self.backoff_max:
            raise ValueError(
                f"backoff_initial ({self.backoff_initial}) is larger than backoff_max ({self.backoff_max})"
            )
        return self


class MigrateSettings(Options):
    """How migrations behave on PostgreSQL.

    Attributes:
        lock_timeout: How long a statement waits for a table that others use: whoever waits keeps out everybody behind
            it, so this is short. None waits for ever.
        statement_timeout: How long one statement may take; None for as long as it needs.
    """

    lock_timeout: Patience = 10.0
    statement_timeout: Patience = None


NOT_FOR_PRAGMAS = {
    "busy_timeout": "pool.connection_timeout says how long to wait",
    "journal_mode": "it is WAL, by which rows are read while others are written",
    "query_only": "it is what keeps the pool's readers from writing",
}
"""What is set for every connection already, and why it stays so."""
_PRAGMA_TEXT = re.compile(r"[A-Za-z0-9_.+-]+")


def _check_pragma(name: str, value: bool | int | str) -> None:
    """Makes sure that SQLite knows a PRAGMA: it says nothing of one that it does not know."""
    if name in NOT_FOR_PRAGMAS:
        raise ValueError(f"pragmas.{name} cannot be set: {NOT_FOR_PRAGMAS[name]}")
    import sqlite3  # noqa: PLC0415 - for who sets one

    connection = sqlite3.connect(":memory:")
    try:
        known = [row[0] for row in connection.execute("SELECT name FROM pragma_pragma_list ORDER BY name")]
    finally:
        connection.close()
    if name not in known:
        raise ValueError(f"pragmas.{name}: SQLite has no such PRAGMA{nearest(name, known)}")
    if isinstance(value, str) and not _PRAGMA_TEXT.fullmatch(value):
        raise ValueError(f"pragmas.{name} is a number, true or false, or one word such as NORMAL")


class DatabaseSettings(Options):
    """One database.

    Attributes:
        url: Where it is.
        url_from: Of PostgreSQL: a function, `package.module:name`, that is given the url at each connect and gives the
            one to connect to, as for a password that changes.
        pragmas: Of SQLite: what is set for each new connection, such as `cache_size = -64000`.
        pool: How its connections are pooled.
        migrate: How long migrations wait.
        transaction_pooling: True behind a pooler such as PgBouncer, which may give each transaction another session.
        replica_of: The alias of the database this one is a read-only copy of: it then takes reads off that one.
        replica_lag: Of a database with replicas: for how long after a write the reads of the same task or thread stay
            on it, since the replicas may not have the write yet.
    """

    url: DatabaseUrl
    url_from: FunctionPath | None = None
    pragmas: dict[str, bool | int | str] = Field(default_factory=dict)
    pool: PoolSettings = PoolSettings.model_construct()
    migrate: MigrateSettings = MigrateSettings.model_construct()
    transaction_pooling: bool = False
    replica_of: str | None = None
    replica_lag: Seconds = 5.0

    @model_validator(mode="after")
    def _can_be_honoured(self) -> Self:
        if self.url_from is not None and self.url.backend != "postgresql":
            raise ValueError("url_from is for a server that wants a password, and sqlite is a file: leave it out")
        if self.pragmas and self.url.backend != "sqlite":
            raise ValueError("pragmas are SQLite's; a server is told by the url: ?options=-c%20work_mem=64MB")
        for name, value in self.pragmas.items():
            _check_pragma(name, value)
        if self.url.backend != "postgresql" or self.pool.implementation == "generic":
            return self
        for name in NOT_FOR_PSYCOPG:
            chosen = getattr(self.pool, name)
            if chosen != PoolSettings.model_fields[name].default:
                raise ValueError(
                    f"pool.{name} = {chosen!r} is not possible with psycopg-pool: leave it out, "
                    'or choose our own pool with pool.implementation = "generic"'
                )
        return self


def _refuse(*args: object, **values: object) -> NoReturn:
    raise TypeError("settings are frozen; use datalayer.override(...) to change them for a while")


_refused: Any = _refuse


class Databases(dict[str, DatabaseSettings]):
    """The databases by alias: a dict that cannot be changed and that names the choices when an alias is missing."""

    def __missing__(self, alias: str) -> NoReturn:
        raise ConfigurationError(
            f"no database {alias!r} in the settings; there are: {choices_text(self)}{nearest(alias, self)}",
            key=f"databases.{alias}",
        )

    __setitem__ = __delitem__ = __ior__ = _refused
    clear = pop = popitem = setdefault = update = _refused

    def __reduce__(self) -> tuple[type[Databases], tuple[dict[str, DatabaseSettings]]]:
        return Databases, (dict(self),)


def _frozen(databases: dict[str, DatabaseSettings]) -> dict[str, DatabaseSettings]:
    return Databases(databases)


class Settings(Options):
    """The settings of a project; subclass it to give an app its own typed keys in the same file.

    Attributes:
        models: The modules that declare models.
        migrations: The folder of the migrations.
        databases: The databases by alias.
        commands: The project's own commands: a name, and the function or `typer.Typer`, `package.module:name`.
        silenced_checks: The codes of what `datalayer check` leaves out, such as `M103` or `shop.W001`.
        settings: The class that holds the settings, `package.module:Class`; None for this one.
        allow_sync_in_async: Permits blocking calls inside a running event loop, as notebooks need.
        root: The folder of the settings file, or the working directory without one; it cannot be set in a file.
    """

    models: tuple[ModulePath, ...] = ()
    migrations: ProjectPath = Path("migrations")
    databases: Annotated[dict[Alias, DatabaseSettings], AfterValidator(_frozen)] = Field(
        default_factory=dict, validate_default=True
    )
    commands: dict[CommandName, FunctionPath] = Field(default_factory=dict)
    silenced_checks: tuple[str, ...] = ()
    settings: str | None = None
    allow_sync_in_async: bool = False
    root: Path = Field(default_factory=Path.cwd)

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _replicas_have_a_primary(self) -> Self:
        for alias, one in self.databases.items():
            if one.replica_of is None:
                continue
            primary = self.databases.get(one.replica_of)
            if primary is None or primary is one or primary.replica_of is not None:
                raise ValueError(
                    f"databases.{alias}.replica_of is {one.replica_of!r}, which is no other database that is written to"
                )
            if primary.url.backend != one.url.backend:
                raise ValueError(
                    f"databases.{alias} is {one.url.backend} and cannot be a replica of {one.replica_of!r}, which is "
                    f"{primary.url.backend}"
                )
        return self

    @classmethod
    def current(cls) -> Self:
        """The settings in force, typed as the class they are asked from.

        Raises:
            SettingsNotConfigured: There are none.
            ConfigurationError: They cannot be read, or they are of another class.
        """
        found = provider.get()
        if not isinstance(found, cls):
            path = f"{cls.__module__}:{cls.__qualname__}"
            raise ConfigurationError(
                f"the settings are a {type(found).__qualname__}, not a {cls.__qualname__}; "
                f'name the class in the settings file: settings = "{path}"',
                key="settings",
                origin=found.origin("settings"),
            )
        return found

    def origin(self, key: str) -> str:
        """Where a value came from: `datalayer.toml:5`, `DATABASE_URL (environment)`, `configure()` or `default`.

        Args:
            key: The dotted key, such as `databases.default.url`; the origins of a whole branch are joined by commas.

        Raises:
            ConfigurationError: No such key.
        """
        found = self._origins.get(key)
        if found is not None:
            return found
        below = [origin for name, origin in self._origins.items() if name.startswith(key + ".")]
        if below:
            return ", ".join(dict.fromkeys(below))
        if not self._origins and key.partition(".")[0] in type(self).model_fields:
            return "code"
        raise ConfigurationError(f"no setting {key!r}{nearest(key, self._origins)}", key=key)

    def model_post_init(self, context: Any) -> None:
        """Keeps the table of origins, which the loader fills once the values are known to be right."""
        if isinstance(context, dict):
            self._origins = cast("dict[str, Any]", context).get("origins", {})


class Provider:
    """Where `Settings.current` asks; `current.py` puts its function here, as this file may not know that one."""

    get: Callable[[], Settings]


provider = Provider()
