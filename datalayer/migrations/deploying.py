"""`check --deploy`: settings and servers that are no good in production.

What settings say is looked at without a connection. Nothing here fails by itself: every finding is a warning.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from datalayer.checks import Finding
from datalayer.conf import Settings
from datalayer.conf.options import DatabaseSettings
from datalayer.conf.sources import as_table, find_file
from datalayer.conf.url import DatabaseUrl
from datalayer.errors import DatalayerError
from datalayer.migrations import config
from datalayer.migrations.history import History

CODES = tuple([f"D{number}" for number in range(101, 111)])
"""What findings here are called."""

_SAFE_MODES = ("require", "verify-ca", "verify-full")
_LOCAL = ("localhost", "::1")
_GUESSED = ("postgres", "password", "passwd", "secret", "changeme", "change-me", "admin", "root", "test", "123456")
_ASKED = """
    SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
        current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
        current_setting('max_connections'), current_setting('server_encoding')
"""


def deployment(alias: str) -> list[Finding]:
    """What is no good in production: of all settings, and of the server of one database.

    Args:
        alias: The database whose server is asked.
    """
    found: list[Finding] = []
    settings = Settings.current()
    for name, database in settings.databases.items():
        found += [
            Finding(
                code, f"databases.{name}.{key} ({settings.origin(f'databases.{name}.{key}')}) {text}", is_error=False
            )
            for code, key, text in _of_settings(settings, name, database)
        ]
    if settings.allow_sync_in_async:
        place = f"allow_sync_in_async ({settings.origin('allow_sync_in_async')})"
        message = f"{place} lets blocking calls stop an event loop for all that run in it; leave it to notebooks"
        found.append(Finding("D105", message, is_error=False))
    if settings.databases[alias].url.backend == "postgresql":
        try:
            found += _of_server(alias, settings.databases[alias])
        except DatalayerError as error:
            found.append(Finding("database", str(error)))
    return found


def _of_settings(settings: Settings, name: str, database: DatabaseSettings) -> Iterator[tuple[str, str, str]]:
    """The code, the key below the database, and what is wrong with it."""
    url = database.url
    if url.is_memory:
        yield "D104", "url", "is in memory and gone with the process; name a file"
    if url.backend != "postgresql":
        return
    if _is_written(settings, name) and (url.password is not None or "password" in url.options):
        yield (
            "D101",
            "url",
            'has its password in the file, for all who read it; url = "${DATABASE_URL}" takes it from outside',
        )
    if not _is_local(url) and url.options.get("sslmode") not in _SAFE_MODES:
        yield (
            "D102",
            "url",
            "may be spoken to in clear text; add ?sslmode=verify-full, or require where it has no certificate",
        )
    secret = None if url.password is None else url.password.get_secret_value()
    if secret is not None and (secret.lower() in _GUESSED or secret == url.user):
        yield "D103", "url", "has a password that is guessed first; choose a long random one"
    if database.migrate.lock_timeout is None:
        yield (
            "D106",
            "migrate.lock_timeout",
            "lets a migration wait for a table without end, and whoever comes after it waits too; give it seconds",
        )


def _is_written(settings: Settings, name: str) -> bool:
    """Whether a URL stands in the settings file itself, and not by the name of a variable."""
    origin = settings.origin(f"databases.{name}.url")
    file = find_file(Path.cwd(), os.environ)
    if file is None or not origin.startswith(f"{file.path.name}:"):
        return False
    said = (as_table(file.table.get("databases")) or {}).get(name)
    return "${" not in str((as_table(said) or {"url": said}).get("url"))


def _is_local(url: DatabaseUrl) -> bool:
    """Whether nobody listens between here and there."""
    hosts = (url.host or url.options.get("host") or "localhost").split(",")
    return all(host in _LOCAL or host.startswith(("/", "127.", "@")) for host in hosts)


def _of_server(alias: str, database: DatabaseSettings) -> Iterator[Finding]:
    environment = config.environment(alias, known=History(None))
    with environment.connect() as connection:
        is_super, *others, most, encoding = connection.exec_driver_sql(_ASKED).one()
        connection.rollback()
    who = f"database {alias!r}"
    off = [
        name
        for name, value in zip(("fsync", "full_page_writes", "synchronous_commit"), others, strict=True)
        if value == "off"
    ]
    if off:
        message = f"the server of {who} has {' and '.join(off)} off: a crash loses what was committed; turn it on"
        yield Finding("D107", message, is_error=False)
    if is_super:
        message = (
            f"{who} is used by a role that may do everything on its server; give the program one that owns its tables"
        )
        yield Finding("D108", message, is_error=False)
    if database.pool.max_size > int(most):
        message = (
            f"databases.{alias}.pool.max_size is {database.pool.max_size} for each process, and the whole server takes "
            f"{most} connections; a pool of a few for each processor is enough"
        )
        yield Finding("D109", message, is_error=False)
    if encoding != "UTF8":
        message = f"{who} keeps text as {encoding}, which refuses what it has no sign for; make one with UTF8"
        yield Finding("D110", message, is_error=False)
