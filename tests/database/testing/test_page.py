"""docs/testing.md as its reader would try it: the files it shows make a project, whose tests pass."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests import processes

PAGE = processes.ROOT / "docs" / "testing.md"
FILE = re.compile(r'^```\w+ title="(?P<name>[^"]+)"\n(?P<text>.*?)^```', re.DOTALL | re.MULTILINE)


def test_the_project_of_the_page_passes_its_tests(database_url: str, tmp_path: Path) -> None:
    files = {match["name"]: match["text"] for match in FILE.finditer(PAGE.read_text("utf-8"))}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    plugins = ["-p", "datalayer.testing.plugin", "-p", "anyio.pytest_plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", *plugins],
        cwd=tmp_path,
        env={
            **processes.environment(),
            "PYTHONPATH": f"{processes.ROOT}:{tmp_path}",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "DATABASE_URL": database_url,
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = sum(text.count("def test_") for text in files.values())
    assert f"{shown} passed" in done.stdout
