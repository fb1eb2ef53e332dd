"""Runs mypy and pyright, both strict and without a plugin, as a project of a user would."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
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


def pyright(folder: Path, work: Path) -> dict[tuple[str, int], str]:
    """What pyright refuses in a folder in its strict mode: file and line, and the message.

    Args:
        folder: Holds the files.
        work: An empty folder, for the configuration: without one pyright is not strict.
    """
    config = {
        "typeCheckingMode": "strict",
        "include": [os.path.relpath(folder, work)],
        "extraPaths": [str(ROOT), str(folder)],
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
    assert answer["summary"]["filesAnalyzed"] > 0, done.stdout
    return {
        (
            Path(item["file"]).resolve().relative_to(folder.resolve()).as_posix(),
            item["range"]["start"]["line"] + 1,
        ): item["message"]
        for item in answer["generalDiagnostics"]
        if item["severity"] == "error"
    }
