"""What was sent: captured, counted, and listed when the number is wrong."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import overload

from datalayer.databases.events import Listener, Statement, listen

_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA")
_LONGEST = 500


class Statements(Sequence[Statement]):
    """The captured statements, in order; those that only begin or end a transaction are in `all` alone.

    Attributes:
        all: Every statement, BEGIN and COMMIT and savepoints included.
    """

    def __init__(self) -> None:
        self.all: list[Statement] = []

    @property
    def queries(self) -> list[Statement]:
        """The statements that ask or change something."""
        return [statement for statement in self.all if not statement.sql.startswith(_CONTROL)]

    @overload
    def __getitem__(self, index: int) -> Statement: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Statement]: ...
    def __getitem__(self, index: int | slice) -> Statement | Sequence[Statement]:
        return self.queries[index]

    def __len__(self) -> int:
        return len(self.queries)

    def __repr__(self) -> str:
        return f"<{len(self)} statements>"

    def text(self) -> str:
        """The statements with their values, how long they took, and the lines that sent them."""
        return "\n".join(_shown(number, each) for number, each in enumerate(self.queries, 1)) or "(none)"


def _shown(number: int, statement: Statement) -> str:
    values = repr(list(statement.params))
    if len(values) > _LONGEST:
        values = values[:_LONGEST] + "..."
    failed = "" if statement.error is None else f", failed with {type(statement.error).__name__}"
    return (
        f"{number}. {statement.sql}\n"
        f"     values {values}\n"
        f"     {statement.took * 1000:.1f} ms{failed}, sent by {statement.origin or 'nobody known'}"
    )


class _Capturing(Listener):
    """Keeps every statement of a database."""

    wants_origin = True

    def __init__(self, captured: Statements, using: str | None) -> None:
        self.captured = captured
        self.using = using

    def statement_finished(self, statement: Statement) -> None:
        if self.using is None or statement.alias == self.using:
            self.captured.all.append(statement)

    def statement_failed(self, statement: Statement) -> None:
        self.statement_finished(statement)


@contextmanager
def capture_queries(using: str | None = None) -> Generator[Statements, None, None]:
    """Gives the statements sent inside the block, by every thread and task of the process, in either world.

    Args:
        using: Only those of this alias; None for all.
    """
    captured = Statements()
    with listen(_Capturing(captured, using)):
        yield captured


@contextmanager
def assert_num_queries(number: int, using: str | None = None) -> Generator[Statements, None, None]:
    """Fails when the block does not send exactly so many statements, and lists what it sent.

    Those that only begin or end a transaction or savepoint do not count.

    Args:
        number: How many.
        using: Only those of this alias; None for all.

    Raises:
        AssertionError: It were more or fewer.
    """
    with capture_queries(using) as captured:
        yield captured
    if len(captured) != number:
        raise AssertionError(f"{number} statements were expected and {len(captured)} were sent:\n{captured.text()}")
