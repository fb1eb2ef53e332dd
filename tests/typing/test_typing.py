"""Both type checkers accept every right line of `ok_*.py` and refuse every wrong line of `no_*.py`, without a plugin."""

from __future__ import annotations

from pathlib import Path

from tests.typing import checkers

HERE = Path(__file__).parent
FILES = sorted([*HERE.glob("ok_*.py"), *HERE.glob("no_*.py"), HERE / "shop.py", HERE / "keys.py"])


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


def test_pyright_agrees(tmp_path: Path) -> None:
    assert differences(checkers.pyright(HERE, tmp_path), "pyright") == ""
