"""Python programs that start at once: forks of a process that has imported what they need, and nothing else.

A program is a process of its own all the same, with its own folder, variables, streams, signals and exit, but for what
was imported before it began: one that looks at the start itself, or hides a module, is for `tests/processes.py`.
"""

from __future__ import annotations

import atexit
import contextlib
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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from tests.processes import ROOT, command, environment

PATIENCE = 120.0  # seconds; a program that needs them has failed
_IMPORTED = (
    "datalayer.cli.app, datalayer.cli.here, datalayer.data, datalayer.migrations.commands, datalayer.testing, psycopg,"
    " psycopg_pool, sqlalchemy.dialects.postgresql.psycopg, sqlalchemy.dialects.sqlite"
)
_SERVE = f"import sys, {_IMPORTED}; from tests import forks; forks.serve(int(sys.argv[1]))"


class _Server:
    """A process that forks one program at a time; it ends with this process."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
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
        self._answers = self.socket.makefile("r")

    def answer(self, patience: float) -> int:
        """The next number it says."""
        self.socket.settimeout(patience)
        line = self._answers.readline()
        assert line, "the process that forks has ended"
        return int(line)

    def close(self) -> None:
        """Ends it, and what it runs."""
        self._answers.close()
        self.socket.close()
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


_idle: list[_Server] = []


@atexit.register
def _end() -> None:
    while _idle:
        _idle.pop().close()


class Program:
    """A program that runs.

    Attributes:
        pid: Its process.
        code: Its exit code, as `subprocess` gives it; None until it was waited for.
    """

    def __init__(self, server: _Server, pid: int) -> None:
        self.pid = pid
        self.code: int | None = None
        self._server = server

    def wait(self, patience: float = PATIENCE) -> int:
        """Its exit code, once it has ended."""
        self.code = self._server.answer(patience)
        return self.code


@contextlib.contextmanager
def running(words: Sequence[str], *, folder: Path, streams: Sequence[IO[Any]], **variables: str) -> Iterator[Program]:
    """Runs Python with the words of a command line, `-m module ...` or `-c code ...`; warnings are errors.

    It must be waited for before the end of the block; an error ends it.

    Args:
        words: The command line, without the interpreter.
        folder: Where it runs.
        streams: What it reads, and where its output and its errors go.
        variables: Its environment, beside that of `tests/processes.py`.
    """
    server = _idle.pop() if _idle else _Server()
    job = {"words": list(words), "folder": str(folder), "variables": {**environment(), **variables}}
    try:
        socket.send_fds(server.socket, [json.dumps(job).encode() + b"\n"], [stream.fileno() for stream in streams])
        program = Program(server, server.answer(PATIENCE))
        yield program
        assert program.code is not None, "nobody has waited for the program"
    except BaseException:
        server.close()
        raise
    _idle.append(server)


def run(
    words: Sequence[str], *, folder: Path, given: str = "", patience: float = PATIENCE, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs it to its end.

    Args:
        words: The command line, without the interpreter.
        folder: Where it runs.
        given: What it reads.
        patience: Seconds in which it must end.
        variables: Its environment, beside that of `tests/processes.py`.
    """
    with contextlib.ExitStack() as opened:
        streams = [opened.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _ in range(3)]
        streams[0].write(given)
        streams[0].seek(0)
        with running(words, folder=folder, streams=streams, **variables) as program:
            code = program.wait(patience)
        for stream in streams[1:]:
            stream.seek(0)
        return subprocess.CompletedProcess(words, code, streams[1].read(), streams[2].read())


def output_of(code: str, *words: str, folder: Path) -> str:
    """Runs the code and gives what it printed.

    Raises:
        AssertionError: It did not end well; the message is what it wrote to its error output.
    """
    done = run(["-c", code, *words], folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def interrupted(code: str, *words: str, folder: Path, until: Callable[[], None] = lambda: None) -> str:
    """Runs the code, sends it Ctrl-C once it has printed a line, and gives what it printed after that.

    Args:
        code: What to run.
        words: Its arguments.
        folder: Where to run it.
        until: Called after the line: returns when the moment has come.
    """
    reading, writing = os.pipe()
    with (
        open(reading) as output,
        open(writing, "w") as its_output,
        open(os.devnull) as nothing,
        tempfile.TemporaryFile("w+") as errors,
        running(["-c", code, *words], folder=folder, streams=[nothing, its_output, errors]) as program,
    ):
        its_output.close()
        line = output.readline()
        if line:
            until()
            os.kill(program.pid, signal.SIGINT)
        program.wait()
        errors.seek(0)
        assert (bool(line), program.code) == (True, 0), output.read() + errors.read()
        return output.read()


def serve(number: int) -> None:
    """Forks for each job a socket brings; the fork leaves this function as the program it was asked for."""
    gc.freeze()  # a fork shares what was imported, and has nothing of it to look through at its end
    here = socket.socket(fileno=number)
    while True:
        text, streams, _, _ = socket.recv_fds(here, 65536, 3)
        while text and not text.endswith(b"\n"):
            text += here.recv(65536)
        if not text:
            here.close()
            return
        child = os.fork()
        if not child:
            here.close()
            break
        for stream in streams:
            os.close(stream)
        here.sendall(f"{child}\n".encode())
        _, status = os.waitpid(child, 0)
        here.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    _become(json.loads(text), streams)


def _become(job: dict[str, Any], streams: Sequence[int]) -> None:
    for number, stream in enumerate(streams):
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
