"""Both type checkers accept every right line of `ok_*.py` and refuse every wrong line of `no_*.py`, without a plugin."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = sorted([*HERE.glob("ok_*.py"), *HERE.glob("no_*.py")])


def refused_by_mypy() -> set[tuple[str, int]]:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", "--no-pretty"]
        + ["--disable-error-code=unused-ignore", *[path.name for path in FILES]],
        cwd=HERE,
        env={"PATH": str(Path(sys.executable).parent), "MYPYPATH": str(ROOT), "MYPY_CACHE_DIR": str(ROOT / ".mypy_cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    return {
        (match[1], int(match[2])) for match in re.finditer(r"^(\w+\.py):(\d+):(?:\d+:)? error", done.stdout, re.M)
    }


def refused_by_pyright() -> set[tuple[str, int]]:
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, *[str(path) for path in FILES]],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {
        (Path(item["file"]).name, item["range"]["start"]["line"] + 1) for item in found if item["severity"] == "error"
    }


def wanted(checker: str) -> set[tuple[str, int]]:
    return {
        (path.name, number)
        for path in FILES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if line.endswith(("# no", f"# no ({checker})"))
    }


def test_mypy_agrees() -> None:
    assert refused_by_mypy() == wanted("mypy")


def test_pyright_agrees() -> None:
    assert refused_by_pyright() == wanted("pyright")
