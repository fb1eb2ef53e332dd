"""Plays the scripts of `datalayer.pooling.testing` in a world."""

from __future__ import annotations

from typing import Any

from datalayer.pooling.testing.conformance.scripts import Cancel, Join, Script, Spawn, Until, Within, block, call, wait
from tests.worlds import World

__all__ = ["Cancel", "Join", "Script", "Spawn", "Until", "Within", "call", "play"]


def play(world: World, script: Script) -> Any:
    """Runs a script to its end and gives its result."""
    return world.run(lambda: block(script), lambda: wait(script))
