from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

# The fakes are found by path: tests are no package.
_spec = importlib.util.spec_from_file_location("pooling_fakes", Path(__file__).with_name("fakes.py"))
assert _spec is not None
assert _spec.loader is not None
_fakes = importlib.util.module_from_spec(_spec)
sys.modules["pooling_fakes"] = _fakes
_spec.loader.exec_module(_fakes)


def check_identities(stats: Any) -> None:
    assert stats.acquires_started == (
        stats.acquires_immediate + stats.acquires_waited + stats.acquires_timed_out + stats.acquires_cancelled
        + stats.acquires_rejected + stats.acquires_failed + stats.waiting + stats.testing
    )  # fmt: skip
    assert stats.connections_opened + stats.connections_added - stats.closed == stats.size
    assert stats.size == stats.idle + stats.in_use + stats.testing
    assert stats.size + stats.opening <= stats.max_size
    assert min(stats.size, stats.idle, stats.in_use, stats.testing, stats.opening, stats.waiting) >= 0


@pytest.fixture
def identities() -> Any:
    return check_identities
