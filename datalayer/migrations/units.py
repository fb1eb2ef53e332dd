"""What a migration without a transaction has done so far, so that the next run can go on from there."""

from __future__ import annotations

from collections.abc import Callable

from datalayer.errors import MigrationError


class Units:
    """Counts the operations of a migration that runs without a transaction.

    Args:
        done: How many were done by the runs before.
        note: Writes down how many are done.
    """

    def __init__(self, done: int, note: Callable[[int], None]) -> None:
        self.done = done
        self.seen = 0
        self._note = note

    def begin(self) -> bool:
        """Whether the next operation has to run, or was done before."""
        self.seen += 1
        return self.seen > self.done

    def finish(self) -> None:
        """The operation is done."""
        self.done = self.seen
        self._note(self.seen)

    def check_all(self, name: str) -> None:
        """Refuses a file that has become shorter than what was done of it.

        Raises:
            MigrationError: It has.
        """
        if self.seen < self.done:
            raise MigrationError(
                f"{self.done} operations of {name!r} were done before it stopped, and the file has only {self.seen} "
                "now; put back what was done already"
            )
