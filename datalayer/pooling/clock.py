"""The clock of the pools: nobody sets it, and it goes on while the machine sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial


def _best() -> Callable[[], float]:
    """The best clock of this machine.

    `time.monotonic` stands still on Linux and macOS while the machine sleeps: connections would seem younger than they
    are by that. CLOCK_BOOTTIME of Linux goes on, and so does what macOS calls CLOCK_MONOTONIC. Elsewhere
    `time.monotonic` does.
    """
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
        which: int | None = getattr(time, name, None)
        if which is None:
            continue
        try:
            time.clock_gettime(which)
        except OSError:  # known to Python, and not to this kernel
            continue
        return partial(time.clock_gettime, which)  # no function around it: it is read twice in each lease
    return time.monotonic


STEADY: Callable[[], float] = _best()
"""Seconds since some moment."""
