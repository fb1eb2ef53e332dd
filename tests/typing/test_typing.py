"""Both type checkers, without a plugin, on the lines users write and on what `startproject` and `startapp` render.

They accept every right line of `ok_*.py` and refuse every wrong line of `no_*.py`; in a rendered project they find
nothing, and nothing there is ignored.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import forks
from tests.typing import checkers

HERE = Path(__file__).resolve().parent
FILES = sorted([*HERE.glob("ok_*.py"), *HERE.glob("no_*.py"), HERE / "shop.py", HERE / "keys.py"])
PROJECTS = {"whole": [], "minimal": ["--minimal"]}


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What `startproject` renders in its two ways, with an app more."""
    folders = {kind: tmp_path_factory.mktemp(kind).resolve() for kind in PROJECTS}
    for kind, folder in folders.items():
        rendered(folder, "startproject", "shop", *PROJECTS[kind])
        rendered(folder / "shop", "startapp", "orders")
    return {kind: folder / "shop" for kind, folder in folders.items()}


def rendered(folder: Path, *command: str) -> None:
    done = forks.run(["-m", "datalayer", *command], folder=folder)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def by_pyright(
    projects: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[Path, int], str]:
    """What pyright refuses, here and in the projects."""
    return checkers.pyright([HERE, *projects.values()], tmp_path_factory.mktemp("work").resolve())


def wanted(checker: str) -> set[tuple[str, int]]:
    """The lines that say they are wrong."""
    return {
        (path.name, number)
        for path in FILES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if line.endswith(("# no", f"# no ({checker})"))
    }


def differences(found: dict[tuple[str, int], str], checker: str) -> str:
    """What a checker refused and should not have, and what it let pass."""
    names = {path.name for path in FILES}
    refused = {place: message for place, message in found.items() if place[0] in names}
    lines = wanted(checker)
    return "\n".join(
        [
            *[f"{name}:{line} was refused: {refused[name, line]}" for name, line in sorted(refused.keys() - lines)],
            *[f"{name}:{line} was let pass" for name, line in sorted(lines - refused.keys())],
        ]
    )


def test_mypy_agrees() -> None:
    assert differences(checkers.mypy(HERE, *[path.name for path in FILES]), "mypy") == ""


def test_pyright_agrees(by_pyright: dict[tuple[Path, int], str]) -> None:
    here = {(path.name, line): message for (path, line), message in by_pyright.items() if path.parent == HERE}
    assert differences(here, "pyright") == ""


@pytest.mark.parametrize("kind", PROJECTS)
def test_mypy_refuses_nothing_of_a_project(projects: dict[str, Path], kind: str) -> None:
    assert checkers.mypy(projects[kind], ".") == {}


@pytest.mark.parametrize("kind", PROJECTS)
def test_pyright_refuses_nothing_of_a_project(
    projects: dict[str, Path], by_pyright: dict[tuple[Path, int], str], kind: str
) -> None:
    assert {place: said for place, said in by_pyright.items() if place[0].is_relative_to(projects[kind])} == {}


@pytest.mark.parametrize("kind", PROJECTS)
def test_nothing_of_a_project_is_ignored(projects: dict[str, Path], kind: str) -> None:
    assert [path for path in projects[kind].rglob("*.py") if "ignore" in path.read_text("utf-8")] == []
