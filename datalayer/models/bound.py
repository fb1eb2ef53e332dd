"""The backend that a question is bound to, asked while it is built."""

from __future__ import annotations

from datalayer.databases import databases
from datalayer.errors import ConfigurationError


def backend_of(alias: str) -> str | None:
    """The backend of a database; None before there are settings, when what it lacks is refused by the compiler."""
    try:
        return databases[alias].backend
    except ConfigurationError:
        return None
