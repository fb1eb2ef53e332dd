"""Modules of dependencies that not everybody has: imported when needed, and told by name where they are not."""

from __future__ import annotations

import importlib
from typing import Any

from datalayer.errors import MissingExtra


def optional(module: str, need: str, install: str, instead: str = "") -> Any:
    """A module, if what it needs is installed.

    Args:
        module: Its full name.
        need: What needs which package, as the beginning of a sentence.
        install: What `pip install` is to be told.
        instead: What else could be done.

    Raises:
        MissingExtra: It cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        way = f"; {instead}" if instead else ""
        raise MissingExtra(f"{need}, which is not installed: pip install {install}{way}") from error


def for_postgresql(module: str) -> Any:
    """A module that needs psycopg.

    Raises:
        MissingExtra: It is not installed.
    """
    return optional(module, "PostgreSQL needs psycopg with its pool", "'datalayer[postgres]'")
