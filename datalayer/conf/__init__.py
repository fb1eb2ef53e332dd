"""The settings loader: one typed, frozen object out of a file, `.env`, the environment and code."""

from __future__ import annotations

from datalayer.conf.current import configure, effective, is_configured, override, reset, settings
from datalayer.conf.loader import load
from datalayer.conf.options import DatabaseSettings, PoolSettings, ProjectPath, Settings
from datalayer.conf.url import DatabaseUrl

__all__ = [
    "DatabaseSettings",
    "DatabaseUrl",
    "PoolSettings",
    "ProjectPath",
    "Settings",
    "configure",
    "effective",
    "is_configured",
    "load",
    "override",
    "reset",
    "settings",
]
