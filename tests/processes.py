"""Python in a process of its own, for what would harm the process of the tests: signals, limits, another user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Root reads and writes everything, so a test of permissions is somebody else's. Whatever is imported later may lie
# where only root looks.
UNPRIVILEGED = """
import os
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""


def environment() -> dict[str, str]:
    """The variables of this process, but for those that datalayer and pytest read; our package can be imported."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("DATALAYER_", "PYTEST_", "DATABASE"))
    }
    return {**kept, "PYTHONPATH": str(ROOT)}


def command(code: str, *words: str) -> list[str]:
    """The words that run the code; warnings are errors there as well."""
    return [sys.executable, "-W", "error", "-c", code, *words]


def output_of(code: str, *words: str, folder: Path) -> str:
    """Runs the code in a folder and gives what it printed.

    Raises:
        AssertionError: It did not end well; the message is what it wrote to its error output.
    """
    done = subprocess.run(
        command(code, *words), cwd=folder, env=environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
