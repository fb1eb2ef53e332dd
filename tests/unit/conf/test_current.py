from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datalayer.conf import Settings, configure, effective, is_configured, override, reset, settings
from datalayer.errors import ConfigurationError, SettingsNotConfigured

from .conftest import Write

MEMORY = {"default": "sqlite:///:memory:"}


class ShopSettings(Settings):
    page_size: int = 50


def test_code_alone_is_enough() -> None:
    configure(databases=MEMORY)
    assert settings.databases["default"].url.is_memory
    assert settings.origin("databases.default.url") == "configure()"


def test_using_settings_that_are_not_there_raises() -> None:
    with pytest.raises(SettingsNotConfigured):
        _ = settings.models


def test_whether_there_are_settings_can_be_asked() -> None:
    assert not is_configured()
    configure(databases=MEMORY)
    assert is_configured()


def test_code_beats_environment_and_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write('[databases.default]\nurl = "sqlite:///file"\npool.max_size = 3\n')
    monkeypatch.setenv("DATABASE_URL", "sqlite:///environment")
    configure(databases=MEMORY)
    assert settings.databases["default"].url.is_memory
    assert settings.databases["default"].pool.max_size == 3


def test_settings_are_read_once(write: Write) -> None:
    write('models = ["a"]')
    assert settings.models == ("a",)
    write('models = ["b"]')
    assert settings.models == ("a",)


def test_many_threads_read_the_same_object(write: Write) -> None:
    write('[databases.default]\nurl = "sqlite:///x"\n')
    barrier = threading.Barrier(8)

    def read(_: int) -> int:
        barrier.wait()
        return id(settings.databases)

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(read, range(8)))) == 1


def test_a_mistake_can_be_mended_and_read_again(write: Write) -> None:
    write("nope = 1")
    with pytest.raises(ConfigurationError):
        _ = settings.models
    write('models = ["a"]')
    assert settings.models == ("a",)


def test_configure_refuses_a_mistake_at_once_and_keeps_nothing_of_it() -> None:
    with pytest.raises(ConfigurationError, match=r"modles \(configure\(\)\): unknown key; did you mean 'models'"):
        configure(modles=())
    assert not is_configured()


def test_configure_calls_add_up_before_the_first_use() -> None:
    configure(databases=MEMORY)
    configure(models=("a",))
    assert settings.models == ("a",)
    assert settings.databases["default"].url.is_memory


def test_the_same_values_may_be_configured_again_after_use() -> None:
    configure(databases=MEMORY)
    _ = settings.models
    configure(databases=MEMORY)


def test_other_values_are_refused_after_use() -> None:
    configure(databases=MEMORY)
    _ = settings.models
    with pytest.raises(ConfigurationError, match="in use"):
        configure(databases={"default": "sqlite:///other"})


def test_code_may_name_the_root(project: Path) -> None:
    configure(root=project / "elsewhere", databases={"default": "sqlite:///a"})
    assert settings.databases["default"].url.database == str(project / "elsewhere" / "a")


def test_configure_takes_a_settings_class() -> None:
    configure(settings=ShopSettings, page_size=10)
    assert ShopSettings.current().page_size == 10


def test_current_refuses_settings_of_another_class() -> None:
    configure(databases=MEMORY)
    with pytest.raises(ConfigurationError, match=r'settings = ".*test_current:ShopSettings"'):
        ShopSettings.current()


def test_override_lasts_for_its_block() -> None:
    configure(databases=MEMORY)
    with override(models=("a",)) as inner:
        assert settings.models == inner.models == ("a",)
        assert settings.origin("models") == "override()"
        with override(migrations="m"):
            assert settings.models == ("a",)
            assert settings.migrations.name == "m"
    assert settings.models == ()


def test_override_needs_no_other_settings() -> None:
    with override(databases=MEMORY):
        assert settings.databases["default"].url.is_memory
    assert not is_configured()


def test_override_ends_when_its_block_fails() -> None:
    configure(models=("a",))
    with pytest.raises(ZeroDivisionError), override(models=("b",)):
        raise ZeroDivisionError
    assert settings.models == ("a",)


def test_override_is_seen_by_its_own_task_only() -> None:
    configure(models=("outer",))

    async def look(inside: asyncio.Event, done: asyncio.Event) -> None:
        with override(models=("inner",)):
            inside.set()
            await done.wait()

    async def main() -> tuple[str, ...]:
        inside, done = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(look(inside, done))
        await inside.wait()
        seen = settings.models
        done.set()
        await task
        return seen

    assert asyncio.run(main()) == ("outer",)


def test_reset_forgets_everything() -> None:
    configure(databases=MEMORY)
    reset()
    assert not is_configured()


def test_settings_cannot_be_assigned() -> None:
    with pytest.raises(TypeError, match="frozen"):
        settings.models = ()


def test_printing_unread_settings_does_not_read_them() -> None:
    assert repr(settings) == "<settings, not read yet>"


def test_effective_lists_keys_values_and_origins() -> None:
    configure(databases={"default": "postgresql://u:s3cret@h/db"})
    assert ("databases.default.url", "postgresql://u:***@h/db", "configure()") in effective()


def test_settings_used_by_their_own_module_while_read_are_refused(
    write: Write, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(project))
    write("from datalayer.conf import settings\nsettings.models\n", "selfish_settings.py")
    write('settings = "selfish_settings:S"')
    with pytest.raises(ConfigurationError, match="while they are being read"):
        _ = settings.models


def test_import_reads_nothing_and_loads_no_database_library(project: Path) -> None:
    (project / "datalayer.toml").write_text("this is no TOML")
    names = ("sqlalchemy", "alembic", "psycopg", "sqlite3")
    code = f"import sys, datalayer.conf; print([name for name in {names} if name in sys.modules])"
    path = str(Path(sys.modules["datalayer.conf"].__file__ or "").parents[2])
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert result.stdout.strip() == "[]"
