"""The pytest plugin: `db` and `transactional_db`, a migrated test database that each test finds unchanged.

`module_db` and `class_db` fill one for the tests of a module or class. The plugin is loaded in every pytest run where
datalayer is installed, so everything else is imported when a fixture is used. A test that asks for no fixture is kept
from the databases of the settings: they are somebody's own.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from datalayer.conf import DatabaseUrl
    from datalayer.databases.database import Database


Urls: TypeAlias = "Mapping[str, DatabaseUrl]"
"""The databases by alias."""

Filling: TypeAlias = Callable[[], AbstractContextManager[None]]
"""What `module_db` and `class_db` are."""

REAL = "datalayer_real_databases"
_SHARED = {"class_db": "datalayer_class_copies", "module_db": "datalayer_module_copies"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The settings of the plugin."""
    parser.addini(REAL, "Tests may use the databases of the settings themselves.", type="bool", default=False)
    # Django's word for it, and not pytest-django's: two plugins with one option stop every run.
    parser.getgroup("datalayer").addoption(
        "--keepdb",
        action="store_true",
        help="Leave the migrated test databases for the next run, which makes anew only what has changed.",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Puts the guard before the databases of the settings, once there is anything that could reach them."""
    registry = sys.modules.get("datalayer.pooling.registry")
    if registry is not None and not item.config.getini(REAL):
        registry.pools.guard = refuse


def refuse(alias: str) -> None:
    """Refuses a database that the files or the environment name; one that the tests configure is theirs.

    Raises:
        ConfigurationError: It is no test database.
    """
    from datalayer.conf import settings  # noqa: PLC0415
    from datalayer.errors import ConfigurationError  # noqa: PLC0415

    key = f"databases.{alias}.url"
    origin = settings.origin(key)
    if origin not in ("configure()", "override()", "code"):
        raise ConfigurationError(
            f"a test would use the database {alias!r} of {origin}, which is no test database; give it the fixture 'db' "
            f"or 'transactional_db', or say {REAL} = true in pytest's settings",
            key=key,
            origin=origin,
        )


@pytest.fixture(scope="session")
def datalayer_templates(request: pytest.FixtureRequest) -> Iterator[Urls]:
    """A migrated database for each alias of the settings, made once for the run; tests work on copies of it."""
    from datalayer.testing import copies  # noqa: PLC0415

    keeps = bool(request.config.getoption("--keepdb"))
    folder = _kept_folder(request.config) if keeps else _folder(request)
    with copies.templates(folder, copies.suffix(request.config), keeps=keeps) as templates:
        yield templates


def _folder(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue("tmp_path_factory").mktemp("datalayer")
    return folder


def _kept_folder(config: pytest.Config) -> Path:
    cache = getattr(config, "cache", None)
    if cache is None:
        raise pytest.UsageError("--keepdb keeps databases in pytest's cache, which -p no:cacheprovider turns off")
    folder: Path = cache.mkdir("datalayer")
    return folder


@pytest.fixture(scope="session")
def datalayer_working_copies(request: pytest.FixtureRequest, datalayer_templates: Urls) -> Iterator[Urls]:
    """The copies that every test with `db` works on; each undoes what it did."""
    yield from _copies(request, datalayer_templates)


@pytest.fixture(scope="module")
def datalayer_module_copies(request: pytest.FixtureRequest, datalayer_templates: Urls) -> Iterator[Urls]:
    """The copies that a module has filled."""
    yield from _copies(request, datalayer_templates)


@pytest.fixture(scope="class")
def datalayer_class_copies(request: pytest.FixtureRequest, datalayer_templates: Urls) -> Iterator[Urls]:
    """The copies that a class has filled."""
    yield from _copies(request, datalayer_templates)


def _copies(request: pytest.FixtureRequest, templates: Urls) -> Iterator[Urls]:
    from datalayer.testing import copies  # noqa: PLC0415

    with copies.copied(templates, _folder(request)) as urls:
        yield urls


@pytest.fixture(scope="module")
def module_db(datalayer_module_copies: Urls) -> Filling:
    """Fills the databases for the tests of a module, in a fixture of scope `module`: `with module_db(): ...`.

    What is written in the block is there for each test with `db` or `transactional_db` that takes this fixture, and
    each finds it unchanged. Outside of the block and those tests it is out of reach.
    """
    from datalayer.testing import copies  # noqa: PLC0415

    return partial(copies.filling, datalayer_module_copies)


@pytest.fixture(scope="class")
def class_db(datalayer_class_copies: Urls) -> Filling:
    """The same for the tests of a class, in a fixture of scope `class`."""
    from datalayer.testing import copies  # noqa: PLC0415

    return partial(copies.filling, datalayer_class_copies)


def _filled(request: pytest.FixtureRequest) -> Urls | None:
    """What the fixtures of a test have filled."""
    names = [name for name in _SHARED if name in request.fixturenames]
    if len(names) > 1:
        raise pytest.UsageError(f"{request.node.name} takes {' and '.join(names)}; a test has one filled database")
    found: Urls | None = request.getfixturevalue(_SHARED[names[0]]) if names else None
    return found


@pytest.fixture
def db(request: pytest.FixtureRequest) -> Iterator[Database]:
    """The `default` database, migrated; what the test does in it is undone at its end.

    A plain test runs inside a transaction of every database, so that `on_commit` functions are not called. An
    `async def` test gets databases of its own, as with `transactional_db`: it may use many connections.
    """
    from datalayer.databases.database import databases  # noqa: PLC0415
    from datalayer.testing import copies  # noqa: PLC0415

    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        yield request.getfixturevalue("transactional_db")
        return
    urls = _filled(request) or request.getfixturevalue("datalayer_working_copies")
    with copies.in_use(urls), copies.undone(urls):
        yield databases["default"]


@pytest.fixture
def transactional_db(request: pytest.FixtureRequest, datalayer_templates: Urls) -> Iterator[Database]:
    """The `default` database in a fresh copy: for tests that commit, or that use several threads, tasks or a server."""
    from datalayer.databases.database import databases  # noqa: PLC0415
    from datalayer.testing import copies  # noqa: PLC0415

    templates = _filled(request) or datalayer_templates
    with copies.copied(templates, request.getfixturevalue("tmp_path")) as urls, copies.in_use(urls):
        yield databases["default"]
