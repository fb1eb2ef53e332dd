"""The modules that declare models, which the settings name."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from types import ModuleType

from datalayer.errors import ConfigurationError


def imported(names: Iterable[str]) -> list[ModuleType]:
    """Imports modules of models.

    Raises:
        ConfigurationError: There is no such module. What a module itself fails to import is its own error.
    """
    found: list[ModuleType] = []
    for name in names:
        try:
            found.append(importlib.import_module(name))
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            raise ConfigurationError(
                f"the models {name!r} cannot be imported: there is no module {error.name!r}", key="models"
            ) from error
    return found
