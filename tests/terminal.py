"""A command on a terminal of its own, as a person has it: colours, width, prompts, and a Ctrl-C that is a key."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PATIENCE = 60.0  # seconds; a test that needs them has failed
CTRL_C, CTRL_D = "\x03", "\x04"

# Makes the terminal the one of the session, so that Ctrl-C becomes a signal, and turns into the command.
_TAKE = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"


class Terminal:
    """A command that runs on a terminal.

    Attributes:
        shown: Everything it has shown so far, as a person sees it: the prompts and what was typed among it.
    """

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.shown = ""
        self._read_to = 0
        self._process = process
        self._master = master

    def read_until(self, words: str) -> None:
        """Waits until it shows the words, after those that were waited for last.

        Raises:
            AssertionError: It ended, or showed nothing more for too long.
        """
        deadline = time.monotonic() + PATIENCE
        while words not in self.shown[self._read_to :]:
            assert time.monotonic() < deadline, f"no {words!r} in {self.shown!r}"
            assert self._read(deadline), f"it ended without {words!r}: {self.shown!r}"
        self._read_to = self.shown.index(words, self._read_to) + len(words)

    def type(self, keys: str) -> None:
        """Types keys; a line ends with `\\n`, and Ctrl-C is one of them."""
        os.write(self._master, keys.encode())

    def end(self) -> int:
        """Reads what is left, and gives the exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            assert time.monotonic() < deadline, self.shown
        return self._process.wait(PATIENCE)

    def interrupt(self) -> int:
        """Presses Ctrl-C as a person does, again where nothing happens, and gives the exit code.

        Python's `input()` does not hear one that comes just before it begins to wait.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):  # it has gone meanwhile
                self.type(CTRL_C)
            again = time.monotonic() + 2
            while self._read(again):
                if time.monotonic() > again:
                    break
            else:
                return self._process.wait(PATIENCE)
        raise AssertionError(self.shown)

    def _read(self, deadline: float) -> bool:
        if not select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return True
        try:
            found = os.read(self._master, 65536)
        except OSError:  # Linux: the last process has left the terminal
            return False
        self.shown += found.decode().replace("\r\n", "\n")
        return bool(found)


@contextlib.contextmanager
def running(
    words: Sequence[str], *, folder: Path, variables: Mapping[str, str], width: int = 80, kind: str = "xterm-256color"
) -> Iterator[Terminal]:
    """A command on a new terminal; it is ended with the block.

    Args:
        words: The command line.
        folder: Where it runs.
        variables: Its environment.
        width: Columns of the terminal.
        kind: What it can do, as TERM says it.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, width, 0, 0))
    of_ours = {"TERM", "COLUMNS", "LINES"}  # a terminal says its size itself, and pytest's workers set another
    try:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", _TAKE, *words],
            start_new_session=True,
            cwd=folder,
            env={**{name: value for name, value in variables.items() if name not in of_ours}, "TERM": kind},
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
    finally:
        os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)
