"""The pytest plugin: `db` and `transactional_db`, a migrated test database that each test finds unchanged.

It is loaded in every pytest run where datalayer is installed, so everything else is imported when a fixture is used.
A test that asks for neither is kept from the databases of the settings: they are somebody's own.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from datalayer.conf import DatabaseUrl
    from datalayer.databases.database import Database


REAL = "datalayer_real_databases"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one setting of the plugin."""
    parser.addini(REAL, "Tests may use the databases of the settings themselves.", type="bool", default=False)


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
def datalayer_templates(request: pytest.FixtureRequest) -> Iterator[dict[str, DatabaseUrl]]:
    """A migrated database for each alias of the settings, made once for the run; tests work on copies of it."""
    from datalayer.testing import copies  # noqa: PLC0415

    folder = request.getfixturevalue("tmp_path_factory").mktemp("datalayer")
    with copies.templates(folder, copies.suffix(request.config)) as templates:
        yield templates


@pytest.fixture(scope="session")
def datalayer_working_copies(
    request: pytest.FixtureRequest, datalayer_templates: dict[str, DatabaseUrl]
) -> Iterator[dict[str, DatabaseUrl]]:
    """The copies that every test with `db` works on; each undoes what it did."""
    from datalayer.testing import copies  # noqa: PLC0415

    folder = request.getfixturevalue("tmp_path_factory").mktemp("datalayer")
    with copies.copied(datalayer_templates, folder) as urls:
        yield urls


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
    urls = request.getfixturevalue("datalayer_working_copies")
    with copies.in_use(urls), copies.undone(urls):
        yield databases["default"]


@pytest.fixture
def transactional_db(request: pytest.FixtureRequest, datalayer_templates: dict[str, DatabaseUrl]) -> Iterator[Database]:
    """The `default` database in a fresh copy: for tests that commit, or that use several threads, tasks or a server."""
    from datalayer.databases.database import databases  # noqa: PLC0415
    from datalayer.testing import copies  # noqa: PLC0415

    with copies.copied(datalayer_templates, request.getfixturevalue("tmp_path")) as urls, copies.in_use(urls):
        yield databases["default"]
