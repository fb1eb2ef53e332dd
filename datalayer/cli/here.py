"""The project a command runs in: its settings, its folder on the import path, its models."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datalayer.conf.options import Settings


def enter_project() -> Settings:
    """Read the settings and make the project's own modules importable, as `python -m` in its folder does.

    Raises:
        ConfigurationError: There is no project here, or its settings are wrong.
    """
    from datalayer.conf import Settings
    from datalayer.conf.sources import find_file

    file = find_file(Path.cwd(), os.environ)
    root = str(file.path.parent if file else Path.cwd())
    if root not in sys.path:  # before the settings are read: their class may live in the project
        sys.path.insert(0, root)
    return Settings.current()


def model_modules(settings: Settings) -> list[ModuleType]:
    """The modules that declare models, imported."""
    return [importlib.import_module(name) for name in settings.models]
