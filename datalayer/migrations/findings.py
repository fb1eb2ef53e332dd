"""What checks and the linter say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """Something `check` does not like.

    Attributes:
        code: What kind of thing it is: `models`, `migrations`, `drift`, `database` or `pending`.
        message: What is wrong and what to do.
        is_error: Whether the check fails because of it.
    """

    code: str
    message: str
    is_error: bool = True

    def __str__(self) -> str:
        return f"{'error' if self.is_error else 'note'} ({self.code}): {self.message}"


@dataclass(frozen=True)
class Checked:
    """The findings of `check`; iterating gives them."""

    findings: tuple[Finding, ...] = field(default=())

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def exit_code(self) -> int:
        """1 when one of them is an error."""
        return int(any(finding.is_error for finding in self.findings))

    @property
    def lines(self) -> list[str]:
        """What to tell a person."""
        return [str(finding) for finding in self.findings] or ["no problems found"]
