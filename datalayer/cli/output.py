"""Everything the command line prints: results on stdout, one-line errors on stderr.

Only this module writes to the terminal. rich is imported when a table is printed, not before.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rich.table import Table

FOLDED = 12
"""The least width of a column that is folded."""

LEGIBLE = 8
"""The least width of a column that can be read: where there is less for each, a table is lines."""

ROOM_FOR_A_BAR = 60
"""The least width of a terminal that leaves room for a bar beside its numbers."""

OnRows: TypeAlias = Callable[[str, int, int], None]
"""Told a name, how much of it is done, and how much there is."""


def say(text: str = "") -> None:
    """Print one result, as it is: what a pipe reads is what was meant."""
    sys.stdout.write(f"{text}\n")


def note(text: str) -> None:
    """Print a remark that is no result, on stderr."""
    sys.stderr.write(f"{text}\n")


def error(text: str) -> None:
    """Print what went wrong as one line on stderr, in red on a terminal that is not told otherwise."""
    line = f"error: {' '.join(text.split()) or 'no message'}"
    has_colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    sys.stderr.write(f"\x1b[31m{line}\x1b[0m\n" if has_colour else f"{line}\n")


def interrupted() -> None:
    """Say that Ctrl-C was heard; on a terminal below the `^C` it has left there."""
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    error("interrupted; nothing more was done")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings: a drawn table on a terminal, tab-separated lines in a pipe.

    On a terminal the longest columns are folded where the line would be too long; the first stays whole, so that a key
    can be copied. One that is narrower still gets the cells of a row below one another.
    """
    found = [list(row) for row in rows]
    if not sys.stdout.isatty():
        for row in found:
            say("\t".join(row))
        return
    from rich.console import Console

    console = Console()
    first = max(map(len, [headings[0], *(row[0] for row in found)]))
    if first + LEGIBLE * (len(headings) - 1) > console.width:  # what rich has no room for it leaves out
        for key, *others in found:
            say("\n  ".join([key, *filter(None, others)]))
        return
    drawn, width = _drawn(headings, found, console.width)
    console.print(drawn, width=width, crop=False, soft_wrap=False)


def _drawn(headings: Sequence[str], found: list[list[str]], room: int) -> tuple[Table, int]:
    """The table of rich, and how wide it must be printed."""
    from rich.table import Table
    from rich.text import Text

    widths = [max(map(len, column)) for column in zip(headings, *found, strict=True)]
    least = sum(widths) + 2 * len(widths)
    folded = set[int]()
    for place in sorted(range(1, len(widths)), key=lambda place: -widths[place]):
        if least > room:
            folded.add(place)
            least -= max(0, widths[place] - FOLDED)
    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for place, heading in enumerate(headings):
        drawn.add_column(heading, overflow="fold", no_wrap=place not in folded, min_width=min(widths[place], FOLDED))
    for row in found:
        drawn.add_row(*(Text(cell) for cell in row))  # Text: a value in brackets is no markup
    return drawn, max(room, least)


@contextlib.contextmanager
def changing_table(headings: Sequence[str]) -> Generator[Callable[[Iterable[Sequence[str]]], None]]:
    """A table that is drawn again in its place each time it is given rows; in a pipe, tab-separated lines each time."""
    if not sys.stdout.isatty():

        def lines(rows: Iterable[Sequence[str]]) -> None:
            for row in rows:
                say("\t".join(row))
            sys.stdout.flush()

        yield lines
        return
    from rich.console import Console
    from rich.live import Live

    console = Console()
    with Live(console=console, auto_refresh=False) as live:

        def draw(rows: Iterable[Sequence[str]]) -> None:
            live.update(_drawn(headings, [list(row) for row in rows], console.width)[0], refresh=True)

        yield draw


@contextlib.contextmanager
def progress() -> Generator[OnRows]:
    """A bar on stderr for each name it is told of: drawn on a terminal that can, a line for each tenth elsewhere."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        told: dict[str, int] = {}

        def line(name: str, done: int, total: int) -> None:
            tenth = 10 * done // total if total else 10
            if tenth != told.get(name):
                told[name] = tenth
                note(f"{name}: {done} of {total} rows")

        yield line
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TaskID, TimeRemainingColumn

    console = Console(stderr=True)
    name, bar, percentage = Progress.get_default_columns()[:3]
    drawn = (name, bar, percentage) if console.width >= ROOM_FOR_A_BAR else (name, percentage)
    with Progress(*drawn, MofNCompleteColumn(), TimeRemainingColumn(), console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def draw(of: str, done: int, total: int) -> None:
            if of not in tasks:
                tasks[of] = bars.add_task(of, total=total)
            bars.update(tasks[of], completed=done, total=total)

        yield draw
