"""Python programs that start at once: forks of a process that has imported what they need, and nothing else.

A program is a process of its own all the same, with its own folder, variables, streams and exit, but for what was
imported before it began: one that looks at the start itself, or hides a module, is for `tests/processes.py`.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.processes import ROOT, command, environment

PATIENCE = 120.0  # seconds; a program that needs them has failed
_IMPORTED = (
    "datalayer.cli.app, datalayer.cli.here, datalayer.data, datalayer.migrations.commands, datalayer.testing, psycopg,"
    " psycopg_pool, sqlalchemy.dialects.postgresql.psycopg, sqlalchemy.dialects.sqlite"
)
_SERVE = f"import sys, {_IMPORTED}; from tests import forks; forks.serve(int(sys.argv[1]))"


class _Server:
    """The process that forks, one program after another; it ends with this one."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                command(_SERVE, str(theirs.fileno())),
                cwd=ROOT,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._socket.settimeout(PATIENCE)
        self._answers = self._socket.makefile("r")

    def run(self, job: Mapping[str, Any]) -> int:
        """The exit code of a program."""
        self._socket.sendall(json.dumps(job).encode() + b"\n")
        line = self._answers.readline()
        assert line, "the process that forks has ended"
        return int(line)

    def close(self) -> None:
        """Ends it, and whatever it still runs."""
        self._answers.close()
        self._socket.close()
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


_servers: list[_Server] = []


def run(words: Sequence[str], *, folder: Path, given: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs Python with the words of a command line, `-m module ...` or `-c code ...`; warnings are errors.

    Args:
        words: The command line, without the interpreter.
        folder: Where it runs.
        given: What it reads.
        variables: Its environment, beside that of `tests/processes.py`.
    """
    if not _servers:
        _servers.append(_Server())
        atexit.register(stop)
    with tempfile.TemporaryDirectory() as place:
        streams = [Path(place) / name for name in ("input", "output", "errors")]
        for stream, text in zip(streams, (given, "", ""), strict=True):
            stream.write_text(text, "utf-8")
        job = {
            "words": list(words),
            "folder": str(folder),
            "variables": {**environment(), **variables},
            "streams": [str(stream) for stream in streams],
        }
        try:
            code = _servers[0].run(job)
        except BaseException:
            stop()
            raise
        _, shown, told = (stream.read_text("utf-8") for stream in streams)
    return subprocess.CompletedProcess(words, code, shown, told)


def stop() -> None:
    """Ends the process that forks, if there is one; the next program gets another."""
    while _servers:
        _servers.pop().close()


def serve(number: int) -> None:
    """Forks for each job a socket brings; the fork leaves this function as the program it was asked for."""
    gc.freeze()
    with socket.socket(fileno=number) as here, here.makefile("r") as jobs:
        while job := jobs.readline():
            child = os.fork()
            if not child:
                break
            _, status = os.waitpid(child, 0)
            here.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        else:
            return
    _become(json.loads(job))


def _become(job: dict[str, Any]) -> None:
    for number, path in enumerate(job["streams"]):
        stream = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY)
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["variables"])
    flag, what, *words = job["words"]
    sys.argv[:] = [flag, *words]
    if flag == "-m":
        sys.path[0] = job["folder"]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.modules["__main__"] = main = types.ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), vars(main))
