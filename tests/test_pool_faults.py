"""docs/pools-faults.md names tests for every fault; each of them exists, and fails when what it is for is taken out."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from datalayer.pooling.testing.conformance.checks import OF_POOLS
from tests.database.pooling import mutations
from tests.database.pooling.handlings import HANDLINGS, Handling

TESTS = Path(__file__).parent
ROOT = TESTS.parent
PAGE = (ROOT / "docs" / "pools-faults.md").read_text(encoding="utf-8")
FILES = mutations.package(ROOT)
ROW = re.compile(r"^\|(?P<cells>.+)\|$", re.MULTILINE)
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")

SQLITE = (
    "many writers", "deferred upgrade", ":memory:", "replaced or deleted", "may only be read", "another program",
    "log cannot be made", "disk is full", "cancelled awaiting query", "written back", "threads",
)  # fmt: skip


def rows() -> list[list[str]]:
    found = [[cell.strip() for cell in row["cells"].split(" | ")] for row in ROW.finditer(PAGE)]
    return [row for row in found if row[0] not in ("#", "fault") and not row[0].startswith("--")]


@cache
def functions_in(path: str) -> set[str]:
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    found = {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
    return found | ({f"test_{one.__name__}" for one in OF_POOLS} if path.endswith("/test_conformance.py") else set())


def test_every_fault_has_its_row() -> None:
    numbers = [int(row[0]) for row in rows() if row[0].isdigit()]
    assert numbers == list(range(1, 37))


@pytest.mark.parametrize("fault", SQLITE)
def test_every_fault_of_sqlite_has_its_row(fault: str) -> None:
    assert [row for row in rows() if not row[0].isdigit() and fault in row[0]]


def test_every_row_names_tests_that_exist() -> None:
    for row in rows():
        named = NAMED.findall(row[-1])
        assert named, f"no test for {row[:2]}"
        for path, name in named:
            assert name in functions_in(path), f"{path} has no {name}, which docs/pools-faults.md names for {row[:2]}"


# -- each handling can be taken out: tests/database/pooling/mutations.py --------------------------


def test_every_fault_has_a_handling_without_which_each_of_its_tests_fails() -> None:
    failing: dict[str, set[str]] = {}
    for one in HANDLINGS:
        failing.setdefault(one.fault, set()).update(one.fails)
    assert failing == {fault: set(tests) for fault, tests in mutations.named_tests(PAGE).items()}


@pytest.mark.parametrize("handling", HANDLINGS, ids=lambda one: f"{one.fault}: {one.without}")
def test_handling_stands_where_it_can_be_taken_out(handling: Handling) -> None:
    found = mutations.places(FILES, handling)
    assert len(found) == handling.times, f"{handling.text!r} stands in {[path.name for path in found]}"
    for path in set(found):
        ast.parse(FILES[path].replace(handling.text, handling.instead))
