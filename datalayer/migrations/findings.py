"""What all checks together say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from datalayer.checks import Finding


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
