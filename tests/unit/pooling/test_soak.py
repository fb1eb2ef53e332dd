"""Random cancellations wherever an acquire, a use or a return stands: nothing is lost, nothing is leaked.

`nox -s soak` runs a hundred thousand of them with each Python.
"""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("soak", Path(__file__).parents[3] / "benchmarks" / "soak.py")
assert _spec is not None
assert _spec.loader is not None
soak = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(soak)


@pytest.mark.parametrize("seed", range(3))
def test_no_connection_is_lost_or_leaked_by_cancelled_tasks(seed: int) -> None:
    ended = asyncio.run(soak.cancel_tasks(300, seed))
    assert ended["cancelled"] > 50
    assert ended["timeout"] > 50
    assert ended["done"] > 50


@pytest.mark.parametrize("seed", range(3))
def test_no_connection_is_lost_or_leaked_by_threads_that_give_up(seed: int) -> None:
    ended = soak.cancel_threads(300, seed)
    assert ended["timeout"] + ended["fell over"] >= 296
    assert ended["done"] > 0
