"""Commands that write into the folder of the migrations do so one at a time: two would give one number twice."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from datalayer.errors import MigrationError
from datalayer.migrations import config, deploy_lock

P = ParamSpec("P")
T = TypeVar("T")


def alone(function: Callable[P, T]) -> Callable[P, T]:
    """Refuses to run a command while another one writes into the same folder; one that only looks may always run."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        if kwargs.get("check") or kwargs.get("dry_run"):
            return function(*args, **kwargs)
        folder = config.folder()
        with deploy_lock.on_file(folder.parent / f".{folder.name}-making", _refuse):
            return function(*args, **kwargs)

    return run


def _refuse(who: str) -> None:
    raise MigrationError(
        f"another command is writing into {config.folder().name!r} ({who}), and both would take the same number; run "
        "this again when it has finished"
    )


__all__ = ["alone"]
