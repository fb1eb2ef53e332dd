"""Test databases: migrated once, then copied; a file on SQLite, `CREATE DATABASE ... TEMPLATE` on PostgreSQL.

A replica of the settings is no database of its own here: its alias leads to the test database of its primary.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from datalayer.conf import DatabaseUrl, override, settings
from datalayer.databases import current, whole
from datalayer.databases.atomic import Atomic
from datalayer.pooling.address import Address
from datalayer.pooling.registry import pools
from datalayer.testing import keeping

if TYPE_CHECKING:
    import pytest

_LONGEST_NAME = 63
_numbers = itertools.count(1)


def suffix(config: pytest.Config) -> str:
    """What tells the databases of this process from those of others: the worker of pytest-xdist, or nothing."""
    worker_input: Mapping[str, str] = getattr(config, "workerinput", {})
    return worker_input.get("workerid", "")


@contextmanager
def templates(folder: Path, suffix: str, *, keeps: bool = False) -> Generator[dict[str, DatabaseUrl], None, None]:
    """Makes and migrates a database for each alias; nobody is connected to it afterwards.

    Args:
        folder: Where the files of SQLite go.
        suffix: Part of the names of PostgreSQL databases.
        keeps: Leaves them there for the next run, and takes those that a run before has left, where nothing that
            they are made of has changed since.
    """
    with ExitStack() as stack:
        urls: dict[str, DatabaseUrl] = {}
        for alias, database in settings.databases.items():
            if database.replica_of is not None:
                continue
            url = urls[alias] = _named(database.url, folder, alias, suffix)
            made_of = keeping.made_of(url.backend) if keeps else None
            found = _beside(alias, url.database) if url.backend == "postgresql" else url
            if made_of is not None and keeping.kept(found) == made_of:
                continue
            if url.backend == "postgresql":
                _recreate(alias, url.database)
                if not keeps:
                    stack.callback(_drop, alias, url.database)
            else:
                whole.drop(url, force=True)
            keeping.forget(found)
            _migrate(alias, url)
            if made_of is not None:
                keeping.note(found, made_of)
        yield urls


@contextmanager
def copied(templates: Mapping[str, DatabaseUrl], folder: Path) -> Generator[dict[str, DatabaseUrl], None, None]:
    """Copies each database; those of a server are dropped afterwards, files stay in the folder that pytest keeps."""
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
            _recreate(alias, name, template=template.database)
            stack.callback(_drop, alias, name)
            urls[alias] = replace(template, database=name)
        yield urls


@contextmanager
def in_use(urls: Mapping[str, DatabaseUrl]) -> Generator[None, None, None]:
    """The pools of each alias lead to these databases, those of replicas to their primary's."""
    with ExitStack() as stack:
        for alias, database in settings.databases.items():
            url = urls.get(database.replica_of or alias)
            if url is not None:
                stack.enter_context(pools.override(alias, url=url))
        yield


@contextmanager
def filling(urls: Mapping[str, DatabaseUrl]) -> Generator[None, None, None]:
    """As `in_use`; what is written in the block is in the files afterwards, and nobody is connected any more."""
    with in_use(urls):
        yield
    for alias, url in urls.items():
        if url.backend == "sqlite":
            _leave_write_ahead_log(alias, url)


@contextmanager
def undone(urls: Mapping[str, DatabaseUrl]) -> Generator[None, None, None]:
    """Runs the block in a transaction of each database and undoes them all; replicas take part in their primary's."""
    with ExitStack() as stack:
        for alias in urls:
            stack.enter_context(_rolled_back(alias))
        for alias, database in settings.databases.items():
            if database.replica_of is not None:
                variable = current.variable(alias)
                variable.set(current.transaction(database.replica_of))
                stack.callback(variable.set, None)
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
    end = f"_{suffix}" if suffix else ""
    if url.backend == "sqlite":
        return replace(url, database=str(folder / f"{alias}{end}.sqlite3"))
    return replace(url, database=_shortened(f"test_{url.database}", end))


def _shortened(name: str, end: str) -> str:
    return name[: _LONGEST_NAME - len(end)] + end


def _migrate(alias: str, url: DatabaseUrl) -> None:
    # Imported here: they import SQLAlchemy, and models may import whatever the project does.
    from datalayer.migrations import commands  # noqa: PLC0415
    from datalayer.models import modules, registry  # noqa: PLC0415
    from datalayer.testing.tables import create_tables  # noqa: PLC0415

    modules.imported(settings.models)
    if keeping.migration_files():
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


def _recreate(alias: str, name: str, template: str | None = None) -> None:
    _drop(alias, name)
    whole.create(_beside(alias, name), template=template)


def _drop(alias: str, name: str) -> None:
    whole.drop(_beside(alias, name), force=True)


def _beside(alias: str, name: str) -> DatabaseUrl:
    """Another database of the same server."""
    return replace(Address(alias, settings.databases[alias]).now(), database=name)
