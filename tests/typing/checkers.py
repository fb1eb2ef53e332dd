"""Runs mypy and pyright, both strict and without a plugin, as a project of a user would."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def mypy(folder: Path, *names: str) -> dict[tuple[str, int], str]:
    """What mypy --strict refuses in a folder: file and line, and the message."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", "--no-pretty", *names],
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT), "MYPY_CACHE_DIR": str(ROOT / ".mypy_cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    return {
        (match[1], int(match[2])): match[3]
        for match in re.finditer(r"^(.+\.py):(\d+):(?:\d+:)? error: (.*)", done.stdout, re.M)
    }


def pyright(folders: Sequence[Path], work: Path) -> dict[tuple[Path, int], str]:
    """What pyright refuses in several folders in its strict mode: file and line, and the message.

    One run for all of them: what they import is most of the work.

    Args:
        folders: Hold the files; each is a project of its own, whose modules are imported from its root.
        work: An empty folder, for the configuration: without one pyright is not strict.
    """
    config = {
        "typeCheckingMode": "strict",
        "include": [os.path.relpath(folder, work) for folder in folders],
        "executionEnvironments": [
            {"root": os.path.relpath(folder, work), "extraPaths": [str(ROOT)]} for folder in folders
        ],
        "exclude": [],
    }
    (work / "pyrightconfig.json").write_text(json.dumps(config), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(work)],
        cwd=work,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    answer = json.loads(done.stdout)
    there = sum(1 for folder in folders for _ in folder.rglob("*.py"))
    assert answer["summary"]["filesAnalyzed"] == there, done.stdout
    return {
        (Path(item["file"]).resolve(), item["range"]["start"]["line"] + 1): item["message"]
        for item in answer["generalDiagnostics"]
        if item["severity"] == "error"
    }
