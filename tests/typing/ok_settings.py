"""What the type checkers must know about settings."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

from pydantic import SecretStr

from datalayer import DatabaseUrl, Settings, override, settings
from datalayer.conf import DatabaseSettings, load


class ShopSettings(Settings):
    page_size: int = 50


def check() -> None:
    assert_type(settings.models, tuple[str, ...])
    assert_type(settings.migrations, Path)
    assert_type(settings.databases["default"], DatabaseSettings)
    assert_type(settings.databases["default"].url, DatabaseUrl)
    assert_type(settings.databases["default"].url.password, SecretStr | None)
    assert_type(settings.origin("models"), str)
    assert_type(ShopSettings.current(), ShopSettings)
    assert_type(ShopSettings.current().page_size, int)
    assert_type(load(), Settings)
    with override(models=()) as inside:
        assert_type(inside, Settings)
