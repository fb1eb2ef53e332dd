"""Checks of a project's own, which `datalayer check` runs after its own ones.

A check is a function in a module that `models` of the settings names, with `@register` above it; it gives findings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias, TypeVar

from datalayer.errors import ConfigurationError

_OWN: Final = re.compile(r"[a-z_][a-z0-9_]*\.[EWI]\d+")


@dataclass(frozen=True)
class Finding:
    """Something `check` does not like.

    Attributes:
        code: What kind of thing it is: `models`, `migrations`, `drift`, `database`, `schema`, `pending`, `edited`, or a
            rule of the linter such as `M103`, one of `check --deploy` such as `D101`, or one of the project's own
            such as `shop.W001`.
        message: What is wrong and what to do.
        is_error: Whether the check fails because of it. Of a project's own the code says it: `E` is an error, `W` a
            warning, `I` a note.
        cause: The error it comes from, which knows the line of the project's code; None for one of no error.
    """

    code: str
    message: str
    is_error: bool = True
    cause: BaseException | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        word = "error" if self.is_error else "warning" if self.is_risk else "note"
        return f"{word} ({self.code}): {self.message}"

    @property
    def is_risk(self) -> bool:
        """Whether it is a warning: of the linter, of `check --deploy`, of a backend, or of the project's own."""
        return bool(re.fullmatch(r"[MDB]\d+|.*\.W\d+", self.code))


Check: TypeAlias = Callable[[], Iterable[Finding]]
C = TypeVar("C", bound=Check)

_checks: list[Check] = []


def register(check: C) -> C:
    """Makes a function one of the checks that `datalayer check` runs.

    Args:
        check: Gives what it finds. It may ask databases, but changes nothing.
    """
    _checks.append(check)
    return check


def is_own(code: str) -> bool:
    """Whether a code can be one of a project's own check."""
    return _OWN.fullmatch(code) is not None


@contextmanager
def isolated() -> Generator[None, None, None]:
    """Inside, only checks registered inside are known: for tests."""
    kept = _checks[:]
    _checks.clear()
    try:
        yield
    finally:
        _checks[:] = kept


def run() -> list[Finding]:
    """What all registered checks find.

    Raises:
        ConfigurationError: A finding has a code that tells nobody whose it is and how bad.
    """
    found: list[Finding] = []
    for check in _checks:
        for finding in check():
            if not is_own(finding.code):
                raise ConfigurationError(
                    f"the check {check.__qualname__} found something of the code {finding.code!r}; a code is the name "
                    "of an app, a dot, E for an error, W for a warning or I for a note, and a number: 'shop.W001'"
                )
            found.append(replace(finding, is_error=".E" in finding.code))
    return found
