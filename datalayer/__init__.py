"""A Django-style data layer for typed Python, without Django."""

from __future__ import annotations

from datalayer.conf import DatabaseUrl, Settings, configure, override, settings

__all__ = [
    "DatabaseUrl",
    "Settings",
    "configure",
    "override",
    "settings",
]
