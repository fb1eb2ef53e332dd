"""Test databases: migrated once, then copied; a file on SQLite, `CREATE DATABASE ... TEMPLATE` on PostgreSQL."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from datalayer.conf import DatabaseUrl, override, settings
from datalayer.databases import whole
from datalayer.databases.atomic import Atomic
from datalayer.pooling.registry import pools

if TYPE_CHECKING:
    import pytest

_LONGEST_NAME = 63
_numbers = itertools.count(1)


def suffix(config: pytest.Config) -> str:
    """What tells the databases of this process from those of others: the worker of pytest-xdist, or nothing."""
    worker_input: Mapping[str, str] = getattr(config, "workerinput", {})
    return worker_input.get("workerid", "")


@contextmanager
def templates(folder: Path, suffix: str) -> Generator[dict[str, DatabaseUrl], None, None]:
    """Makes and migrates a database for each alias; nobody is connected to it afterwards.

    Args:
        folder: Where the files of SQLite go.
        suffix: Part of the names of PostgreSQL databases.
    """
    with ExitStack() as stack:
        urls = {}
        for alias, database in settings.databases.items():
            url = urls[alias] = _named(database.url, folder, alias, suffix)
            if url.backend == "postgresql":
                _recreate(database.url, url.database)
                stack.callback(_drop, database.url, url.database)
            _migrate(alias, url)
        yield urls


@contextmanager
def copied(templates: Mapping[str, DatabaseUrl], folder: Path) -> Generator[dict[str, DatabaseUrl], None, None]:
    """Copies each database, and removes the copies afterwards."""
    number = next(_numbers)
    with ExitStack() as stack:
        urls = {}
        for alias, template in templates.items():
            if template.backend == "sqlite":
                copy = folder / f"{alias}-{number}.sqlite3"
                shutil.copyfile(template.database, copy)
                urls[alias] = replace(template, database=str(copy))
                continue
            name = _shortened(template.database, f"_{number}")
            origin = settings.databases[alias].url
            _recreate(origin, name, template=template.database)
            stack.callback(_drop, origin, name)
            urls[alias] = replace(template, database=name)
        yield urls


@contextmanager
def in_use(urls: Mapping[str, DatabaseUrl]) -> Generator[None, None, None]:
    """The pools of each alias lead to these databases."""
    with ExitStack() as stack:
        for alias, url in urls.items():
            stack.enter_context(pools.override(alias, url=url))
        yield


@contextmanager
def undone(aliases: Mapping[str, object]) -> Generator[None, None, None]:
    """Runs the block in a transaction of each database and undoes all of them."""
    with ExitStack() as stack:
        for alias in aliases:
            stack.enter_context(_rolled_back(alias))
        yield


@contextmanager
def _rolled_back(alias: str) -> Generator[None, None, None]:
    block = Atomic(alias, _is_test=True)
    block.__enter__()
    undo = _Undo()
    try:
        yield
    finally:
        block.__exit__(_Undo, undo, None)


class _Undo(Exception):
    """Given to the end of a transaction that is to be undone; never raised."""


# -- one database --------------------------------------------------------------------------------


def _named(url: DatabaseUrl, folder: Path, alias: str, suffix: str) -> DatabaseUrl:
    if url.backend == "sqlite":
        return replace(url, database=str(folder / f"{alias}.sqlite3"))
    return replace(url, database=_shortened(f"test_{url.database}", f"_{suffix}" if suffix else ""))


def _shortened(name: str, end: str) -> str:
    return name[: _LONGEST_NAME - len(end)] + end


def _migrate(alias: str, url: DatabaseUrl) -> None:
    # Imported here: both import SQLAlchemy, and models may import whatever the project does.
    from datalayer.migrations import commands  # noqa: PLC0415
    from datalayer.models import registry  # noqa: PLC0415
    from datalayer.testing.tables import create_tables  # noqa: PLC0415

    if any(Path(settings.migrations).glob("[0-9]*")):
        with override(databases={alias: url.render()}):
            commands.migrate(alias=alias)
    elif registry.tables():
        with pools.override(alias, url=url):
            create_tables(using=alias)
    elif url.backend == "sqlite":
        Path(url.database).touch()
    if url.backend == "sqlite":
        _leave_write_ahead_log(alias, url)


def _leave_write_ahead_log(alias: str, url: DatabaseUrl) -> None:
    """Brings everything into the one file that is copied."""
    with pools.override(alias, url=url) as pool, pool.connection() as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _recreate(origin: DatabaseUrl, name: str, template: str | None = None) -> None:
    _drop(origin, name)
    whole.create(replace(origin, database=name), template=template)


def _drop(origin: DatabaseUrl, name: str) -> None:
    whole.drop(replace(origin, database=name), force=True)
