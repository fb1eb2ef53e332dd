"""What checks and the linter say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """Something `check` does not like.

    Attributes:
        code: What kind of thing it is: `models`, `migrations`, `drift`, `database`, `schema`, `pending`, `edited`, or a
            rule of the linter such as `M103`, or one of `check --deploy` such as `D101`.
        message: What is wrong and what to do.
        is_error: Whether the check fails because of it.
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
        """Whether it is the linter's, or one of `check --deploy`."""
        return bool(re.fullmatch(r"[MD]\d+", self.code))


@dataclass(frozen=True)
class Checked:
    """The findings of `check`; iterating gives them."""

    findings: tuple[Finding, ...] = field(default=())
    fails_on_warnings: bool = False

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def exit_code(self) -> int:
        """1 when one of them is an error, or a warning where those count."""
        return int(any(one.is_error or (self.fails_on_warnings and one.is_risk) for one in self.findings))

    @property
    def lines(self) -> list[str]:
        """What to tell a person."""
        return [str(finding) for finding in self.findings] or ["no problems found"]
