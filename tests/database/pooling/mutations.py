"""Takes the handling of each fault out, one after the other, and sees its tests fail: `python -m` this module.

It works on a copy of the project. Words given to it choose: the number of a fault, or a part of its name; without any
all are tried. Each line of the answer is one handling; the exit code is 1 when a test went well without what it is for.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests import postgres_server
from tests.database.pooling.handlings import HANDLINGS, Handling

ROOT = Path(__file__).resolve().parents[3]
PAGE = "docs/pools-faults.md"
NEEDED = ("datalayer", "tests", "app_template", "pyproject.toml")
TOO_LONG = 100.0
"""Seconds after which tests that have not ended are taken to have failed: a lost wake-up is a hang."""

ROW = re.compile(r"^\| (?P<fault>.+?) \|.*\| (?P<tests>[^|]+) \|$", re.MULTILINE)
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def named_tests(page: str) -> dict[str, dict[str, str]]:
    """The tests of each fault by the first cell of its row: their names, and the files they are in."""
    rows = {row["fault"]: {name: path for path, name in NAMED.findall(row["tests"])} for row in ROW.finditer(page)}
    return {fault: tests for fault, tests in rows.items() if tests}


def package(root: Path) -> dict[Path, str]:
    """The files of the package that handles faults, and what is in them."""
    parts = ("_links", "pooling")
    paths = [path for part in parts for path in sorted((root / "datalayer" / part).rglob("*.py"))]
    return {path: path.read_text(encoding="utf-8") for path in paths}


def places(files: dict[Path, str], handling: Handling) -> list[Path]:
    """The files in which the text of a handling stands, once for each time."""
    return [path for path, text in files.items() for _ in range(text.count(handling.text))]


def survivors(root: Path, handling: Handling, tests: dict[str, str]) -> list[str]:
    """The tests that go well without the handling."""
    files = package(root)
    kept = {path: files[path] for path in places(files, handling)}
    for path, text in kept.items():
        path.write_text(text.replace(handling.text, handling.instead), encoding="utf-8")
    try:
        said = output_of(root, [f"tests/{tests[name]}::{name}" for name in handling.fails], handling.cases)
    finally:
        for path, text in kept.items():
            path.write_text(text, encoding="utf-8")
    if said is None:
        return []
    failed = {match[1] for match in re.finditer(r"^(?:FAILED|ERROR) \S+?::(\w+)", said, re.MULTILINE)}
    return [name for name in handling.fails if name not in failed]


def output_of(root: Path, tests: list[str], cases: str) -> str | None:
    """What pytest says; None when it did not end."""
    words = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-rfE", "--tb=no", "-p", "no:cacheprovider", *tests]
    words += ["--maxfail=1"] if len(tests) == 1 else []
    # A group of its own: what the tests have started must end with them.
    with subprocess.Popen(
        [*words, "-k", cases], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            said, _ = process.communicate(timeout=TOO_LONG)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            return None
    if process.returncode not in (0, 1):
        raise SystemExit(f"pytest could not run {tests}:\n{said}")
    return said


def chosen(words: list[str]) -> list[Handling]:
    """The handlings that were asked for, and are needed on this Python."""
    return [
        one
        for one in HANDLINGS
        if one.since <= sys.version_info < one.before
        and (not words or any(word == one.fault or (not word.isdigit() and word in one.fault) for word in words))
    ]


def main(words: list[str]) -> int:
    tests = named_tests((ROOT / PAGE).read_text(encoding="utf-8"))
    lived = 0
    server = postgres_server.start()  # one for all; the tests of servers that die have another one each time
    os.environ["DATALAYER_TEST_POSTGRES_URL"] = server.url
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)  # some tests are another user's
        for name in NEEDED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, root / name)
        for one in chosen(words):
            began = time.monotonic()
            left = survivors(root, one, tests[one.fault])
            lived += bool(left)
            verdict = f"LIVED  {', '.join(left)}" if left else "failed"
            cases = f" [{one.cases}]" if one.cases else ""
            took = time.monotonic() - began
            print(f"{one.fault}: {one.without}{cases}: {verdict} ({took:.0f} s)", flush=True)
    server.stop()
    return 1 if lived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
