"""Every pool has the same surface, blocking or awaiting, whoever keeps the connections."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from datalayer.pooling import AsyncNullPool, AsyncPool, AsyncSQLitePool, NullPool, Pool, SQLitePool
from datalayer.pooling.psycopg import AsyncPsycopgPool, PsycopgPool

PAIRS: list[tuple[Any, Any]] = [
    (Pool, AsyncPool), (NullPool, AsyncNullPool), (SQLitePool, AsyncSQLitePool), (PsycopgPool, AsyncPsycopgPool),
]  # fmt: skip
AWAITED = ("open", "close", "try_acquire", "dedicated", "add", "check", "drain", "resize", "wait_ready")
PLAIN = ("acquire", "pause", "resume", "invalidate", "stats", "leases", "listen", "unlisten", "state", "closed")
OPTIONS = ("config", "name", "configure", "check", "reset", "on_close", "listeners", "clock", "rng")


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    found = inspect.signature(function).parameters.values()
    return [(one.name, one.kind, one.default) for one in found if one.name not in ("self", "mode")]


@pytest.mark.parametrize("kind", [one for pair in PAIRS for one in pair], ids=lambda kind: kind.__name__)
def test_pool_has_each_method_with_the_parameters_of_a_pool(kind: Any) -> None:
    is_async = kind.__name__.startswith("Async")
    for name in (*AWAITED, *PLAIN):
        mine, usual = getattr(kind, name), getattr(Pool, name)
        if isinstance(usual, property):
            assert isinstance(mine, property)
        else:
            assert parameters(mine) == parameters(usual), name
            assert inspect.iscoroutinefunction(mine) == (is_async and name in AWAITED), name
    assert hasattr(kind, "__aenter__" if is_async else "__enter__")


@pytest.mark.parametrize(("blocking", "awaiting"), PAIRS, ids=lambda kind: kind.__name__)
def test_pool_is_made_with_the_same_options(blocking: Any, awaiting: Any) -> None:
    options = list(inspect.signature(blocking).parameters)
    assert options == list(inspect.signature(awaiting).parameters)
    assert set(OPTIONS) <= set(options)
