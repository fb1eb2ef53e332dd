"""What the shell offers where an option or argument names something of the project.

A shell asks in the middle of a line: whatever is wrong with the project is told by the command, and not here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import typer

from datalayer.cli import here

if TYPE_CHECKING:
    from datalayer.conf.options import Settings

Offer = Callable[[typer.Context, str], list[str]]


def _offering(names: Callable[[Settings], Iterable[str]]) -> Offer:
    """Offers those of the names that begin as the word on the line; none where there is no project to ask."""

    def begun(context: typer.Context, incomplete: str) -> list[str]:
        said = context.params
        try:
            project = here.enter(said.get("database_url"), said.get("migrations"))
            return [name for name in names(project) if name.startswith(incomplete)]
        except Exception:
            return []

    return begun


def _databases(project: Settings) -> Iterable[str]:
    return project.databases


def _migrations(project: Settings) -> list[str]:
    from datalayer.migrations import scripts  # reads the files and runs none

    return [one.name for one in scripts.read(project.migrations)]


def _targets(project: Settings) -> list[str]:
    return [*_migrations(project), "zero"]


def _models(project: Settings) -> Iterable[str]:
    from datalayer.data.order import labels
    from datalayer.models import modules

    modules.imported(project.models)
    return labels()


databases = _offering(_databases)
migrations = _offering(_migrations)
targets = _offering(_targets)
models = _offering(_models)
