"""The console blocks of README.md and of the tutorial run, in order, and show what the page says they show.

Installing and the project's own nox sessions are left out: this process has what they would bring.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import environment

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "docs" / "tutorial.md"]
BLOCK = re.compile(r'^```(console|python title="(?P<file>[^"]+)")\n(?P<text>.*?)^```', re.DOTALL | re.MULTILINE)
LEFT_OUT = ("pip install", "python3 noxfile.py")
PATIENCE = 60.0  # seconds


@dataclass(frozen=True)
class Step:
    """A command with the lines it shows, or a file that is written.

    Attributes:
        command: The command; None for a file.
        text: What the page shows below the command, or the content of the file.
        file: The name of the file; None for a command.
    """

    command: str | None
    text: str
    file: str | None = None


def steps(page: str) -> Iterator[Step]:
    """The commands and files of a page, in order."""
    for block in BLOCK.finditer(page):
        if block["file"]:
            yield Step(None, block["text"], block["file"])
            continue
        for part in re.split(r"^\$ ", block["text"], flags=re.MULTILINE)[1:]:
            lines = part.splitlines(keepends=True)
            length = next(n for n in range(1, len(lines) + 1) if is_whole("".join(lines[:n])))
            yield Step("".join(lines[:length]).strip(), "".join(lines[length:]))


def is_whole(command: str) -> bool:
    """Whether every quote of a command is closed."""
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return False
    return True


class Console:
    """Runs the steps of a page in a folder."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        self.folder = folder / "work"
        self.folder.mkdir()
        binaries = folder / "bin"
        binaries.mkdir()
        for name, words in (("python", ""), ("datalayer", "-m datalayer"), ("pytest", "-m pytest")):
            file = binaries / name
            file.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {words} "$@"\n')
            file.chmod(file.stat().st_mode | stat.S_IXUSR)
        path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
        self.variables = {**environment(), "PATH": path, "DATALAYER_PORT": str(self.port)}
        self.servers: list[subprocess.Popen[str]] = []

    def run(self, step: Step) -> None:
        """Does one step.

        Raises:
            AssertionError: A command failed, or showed something else.
        """
        if step.file is not None:
            (self.folder / step.file).write_text(step.text, "utf-8")
            return
        command = str(step.command).replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")
        words = shlex.split(command, comments=True)
        if command.startswith(LEFT_OUT):
            return
        if words[0] == "cd":
            self.folder /= words[1]
        elif words[-1] == "&":
            self.serve(words[:-1])
        else:
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self.variables,
                capture_output=True,
                text=True,
                timeout=2 * PATIENCE,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            if step.text:
                assert done.stdout.strip() == step.text.strip(), command

    def serve(self, words: list[str]) -> None:
        """Starts a server and waits until it says where it runs."""
        server = subprocess.Popen(
            words, cwd=self.folder, env=self.variables, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        self.servers.append(server)
        assert server.stderr is not None
        said: list[str] = []
        for line in server.stderr:
            said.append(line)
            if f"running on http://127.0.0.1:{self.port}" in line:
                return
        raise AssertionError(f"{words}\n{''.join(said)}")

    def close(self) -> None:
        """Ends what still runs."""
        for server in self.servers:
            server.terminate()
            server.communicate(timeout=PATIENCE)


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    console = Console(tmp_path)
    yield console
    console.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_commands_of_a_page_do_what_it_says(page: Path, console: Console) -> None:
    found = list(steps(page.read_text("utf-8")))
    assert len(found) > 5
    for step in found:
        console.run(step)


def test_a_command_that_shows_something_else_is_seen(console: Console) -> None:
    (step,) = steps("```console\n$ echo 'one\ntwo'   # comment\none\nthree\n```\n")
    with pytest.raises(AssertionError, match="two"):
        console.run(step)
