"""docs/pools-faults.md names a test for every fault, and each of them exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "pools-faults.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\|(?P<cells>.+)\|$", re.MULTILINE)
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")

SQLITE = (
    "many writers", "deferred upgrade", ":memory:", "replaced or deleted", "may only be read", "another program",
    "log cannot be made", "disk is full", "cancelled awaiting query", "written back", "threads",
)  # fmt: skip


def rows() -> list[list[str]]:
    found = [[cell.strip() for cell in row["cells"].split(" | ")] for row in ROW.finditer(PAGE)]
    return [row for row in found if row[0] not in ("#", "fault") and not row[0].startswith("--")]


def functions_in(path: str) -> set[str]:
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    return {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}


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
