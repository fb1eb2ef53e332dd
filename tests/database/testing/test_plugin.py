"""The pytest plugin, as a project uses it: a run of its own in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

MODELS = """
from datalayer import Field, Mapped, Model

class Author(Model):
    name: Mapped[str] = Field(max_length=50, unique=True)
"""

TESTS = """
import asyncio
import threading

import pytest

from datalayer import atomic, on_commit, pools
from datalayer.errors import TransactionError
from datalayer.testing import assert_num_queries
from shop.models import Author

@pytest.mark.parametrize("turn", [1, 2])
def test_what_a_test_does_is_undone(db, turn):
    with assert_num_queries(2):
        Author.objects.create(name="Ada")
        assert Author.objects.count() == 1

@pytest.mark.parametrize("turn", [1, 2])
def test_blocks_inside_work(db, turn):
    called = []
    with atomic(durable=True, isolation="serializable"):
        Author.objects.create(name="Ada")
        on_commit(lambda: called.append(1))
    with pytest.raises(ValueError):
        with atomic():
            Author.objects.create(name="Grace")
            raise ValueError
    assert [author.name for author in Author.objects.all()] == ["Ada"]
    assert called == []

@pytest.mark.parametrize("turn", [1, 2])
def test_committed_in_a_thread(transactional_db, turn):
    thread = threading.Thread(target=lambda: Author.objects.create(name="Ada"))
    thread.start()
    thread.join()
    assert Author.objects.count() == 1

@pytest.mark.parametrize("turn", [1, 2])
async def test_awaiting(db, turn):
    await Author.objects.acreate(name="Ada")
    results = await asyncio.gather(*(Author.objects.acount() for _ in range(5)))
    assert results == [1] * 5
    await pools.aclose_all()

def test_an_event_loop_needs_the_other_fixture(db):
    async def main():
        await Author.objects.acount()
    with pytest.raises(TransactionError, match="cannot join .*'transactional_db'"):
        asyncio.run(main())
    with atomic(), pytest.raises(TransactionError, match="with 'async with'$"):
        asyncio.run(main())

def test_the_fixture_gives_the_database(db):
    assert db.alias == "default"
    assert "test" in str(pools["default"].settings.url) or "datalayer" in str(pools["default"].settings.url)
"""

CONFTEST = """
import asyncio
import inspect

import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    with asyncio.Runner() as runner:
        runner.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
"""


def project(folder: Path, url: str) -> None:
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "models.py").write_text(MODELS)
    (folder / "datalayer.toml").write_text(f'models = ["shop.models"]\n[databases.default]\nurl = "{url}"\n')
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_shop.py").write_text(TESTS)


def command(folder: Path, *words: str) -> str:
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("DATALAYER_", "PYTEST_", "DATABASE"))
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", *words],
        cwd=folder,
        env={**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("has_migrations", [True, False], ids=["migrations", "models"])
def test_a_project_is_tested(database_url: str, has_migrations: bool, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    project(folder, database_url)
    if has_migrations:
        command(folder, "datalayer", "makemigrations")
    output = command(folder, "pytest", "-q", "-p", "datalayer.testing.plugin", "-W", "error", "test_shop.py")
    assert "10 passed" in output


FORGOT = """
import pytest
from datalayer.conf import override
from datalayer.errors import ConfigurationError
from datalayer.testing import create_tables
from shop.models import Author


def test_it_is_kept_from_the_real_one():
    with pytest.raises(ConfigurationError, match="'default' of datalayer.toml:3, .* give it the fixture 'db'"):
        Author.objects.count()


def test_one_of_its_own_is_its_own():
    with override(databases={"default": "sqlite:///:memory:"}):
        create_tables()
        assert Author.objects.count() == 0
"""
REAL = "import shop.models, pytest\n\ndef test_real():\n    assert shop.models.Author.objects.count() == 0\n"


def test_a_test_that_forgot_the_fixture_is_kept_from_the_database_of_the_settings(
    database_url: str, tmp_path: Path
) -> None:
    project(tmp_path, database_url)
    (tmp_path / "test_shop.py").write_text(FORGOT)
    assert "2 passed" in command(tmp_path, "pytest", "-q", "-p", "datalayer.testing.plugin")


def test_a_run_may_say_that_it_wants_the_database_of_the_settings(database_url: str, tmp_path: Path) -> None:
    project(tmp_path, database_url)
    command(tmp_path, "datalayer", "makemigrations")
    command(tmp_path, "datalayer", "migrate")
    (tmp_path / "test_shop.py").write_text(REAL)
    setting = ("-o", "datalayer_real_databases=true")
    assert "1 passed" in command(tmp_path, "pytest", "-q", "-p", "datalayer.testing.plugin", *setting)


FILLED = """
import pytest

from datalayer import pools
from datalayer.errors import ConfigurationError
from shop.models import Author


@pytest.fixture(scope="module")
def ada(module_db):
    with module_db():
        return Author.objects.create(name="Ada")


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_finds_what_the_module_has_written(ada, db, turn):
    assert Author.objects.get() == ada
    Author.objects.create(name="Grace")


@pytest.mark.parametrize("turn", [1, 2])
def test_a_test_that_commits_finds_it_too(ada, transactional_db, turn):
    assert Author.objects.get() == ada
    Author.objects.all().delete()


@pytest.mark.parametrize("turn", [1, 2])
async def test_an_awaiting_test_finds_it_too(ada, db, turn):
    assert await Author.objects.aget() == ada
    await Author.objects.all().adelete()
    await pools.aclose_all()


def test_a_test_without_db_is_refused_as_ever(ada):
    with pytest.raises(ConfigurationError, match="give it the fixture 'db'"):
        Author.objects.count()


def test_another_test_knows_nothing_of_it(db):
    assert Author.objects.count() == 0


@pytest.fixture(scope="class")
def charles(class_db):
    with class_db():
        return Author.objects.create(name="Charles")


class TestBabbage:
    @pytest.mark.parametrize("turn", [1, 2])
    def test_each_test_finds_what_the_class_has_written(self, charles, db, turn):
        assert Author.objects.get() == charles
        Author.objects.all().delete()
"""


def test_what_a_module_has_written_is_there_for_each_of_its_tests(database_url: str, tmp_path: Path) -> None:
    project(tmp_path, database_url)
    (tmp_path / "test_shop.py").write_text(FILLED)
    assert "10 passed" in command(tmp_path, "pytest", "-q", "-p", "datalayer.testing.plugin", "-W", "error")


REPLICA = """
import pytest

from datalayer import atomic
from shop.models import Author


@pytest.mark.parametrize("turn", [1, 2])
@pytest.mark.parametrize("fixture", ["db", "transactional_db"])
def test_a_replica_has_what_its_primary_has(request, fixture, turn):
    request.getfixturevalue(fixture)
    Author.objects.create(name="Ada")
    assert Author.objects.using("replica").count() == 1
    with atomic("replica", read_only=True):
        assert Author.objects.using("replica").get().name == "Ada"
    assert Author.objects.get().name == "Ada"
"""


def test_a_replica_of_the_settings_is_its_primary_in_tests(database_url: str, tmp_path: Path) -> None:
    project(tmp_path, database_url)
    with (tmp_path / "datalayer.toml").open("a") as settings:
        settings.write(f'[databases.replica]\nurl = "{database_url}"\nreplica_of = "default"\n')
    (tmp_path / "test_shop.py").write_text(REPLICA)
    assert "4 passed" in command(tmp_path, "pytest", "-q", "-p", "datalayer.testing.plugin", "-W", "error")


KEPT = """
from shop.models import Author


def test_nothing_is_left_of_other_tests(db):
    assert Author.objects.count() == 0
    Author.objects.create(name="Ada")


def test_nor_of_those_that_commit(transactional_db):
    assert Author.objects.count() == 0
    Author.objects.create(name="Ada")
"""


def test_databases_that_stay_for_the_next_run_are_as_empty_there(database_url: str, tmp_path: Path) -> None:
    project(tmp_path, database_url)
    (tmp_path / "test_shop.py").write_text(KEPT)
    plugins = ("-p", "datalayer.testing.plugin", "-W", "error")
    for keeps in (True, True, False):
        assert "2 passed" in command(tmp_path, "pytest", "-q", *plugins, *(["--keepdb"] if keeps else []))
