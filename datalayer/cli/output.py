"""Everything the command line prints: results on stdout, one-line errors on stderr.

Only this module writes to the terminal. rich is imported when a table is printed, not before.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rich.table import Table

FOLDED = 12
"""The least width of a column that is folded."""

LEGIBLE = 8
"""The least width of a column that can be read: where there is less for each, a table is lines."""

ROOM_FOR_A_BAR = 60
"""The least width of a terminal that leaves room for a bar beside its numbers."""

FIRST_LINE = 10.0
"""Seconds a statement takes until a line tells of it, where there is no terminal."""

LONGEST_LINE = 160
"""Letters of such a line: logs show them."""

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


@dataclass(frozen=True)
class Meanwhile:
    """What is shown while a command works.

    Attributes:
        on_rows: Told how many rows of something are done, and how many there are.
        on_statement: Told a statement that takes long, its seconds so far and how far it is; an empty one when it ends.
    """

    on_rows: OnRows
    on_statement: Callable[[str, float, str], None]


@contextlib.contextmanager
def progress() -> Generator[Meanwhile]:
    """A bar on stderr for each name it is told of, and a line for a statement that takes long.

    They are drawn on a terminal that can. Elsewhere there is a line for each tenth of the rows, and for a statement
    one after ten seconds, and after each time as long again.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        told: dict[str, int] = {}
        doubled: dict[str, float] = {}

        def line(name: str, done: int, total: int) -> None:
            tenth = 10 * done // total if total else 10
            if tenth != told.get(name):
                told[name] = tenth
                note(f"{name}: {done} of {total} rows")

        def say_statement(text: str, seconds: float, phase: str) -> None:
            if not text:
                doubled.clear()
            elif seconds >= doubled.get(text, FIRST_LINE):
                doubled[text] = 2 * doubled.get(text, FIRST_LINE)
                note(shortened(f"{lasting(seconds, phase)} {text}", LONGEST_LINE))

        yield Meanwhile(line, say_statement)
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import MofNCompleteColumn, Progress, TaskID, TimeRemainingColumn
    from rich.spinner import Spinner
    from rich.text import Text

    console = Console(stderr=True)
    name, bar, percentage = Progress.get_default_columns()[:3]
    drawn = (name, bar, percentage) if console.width >= ROOM_FOR_A_BAR else (name, percentage)
    bars = Progress(*drawn, MofNCompleteColumn(), TimeRemainingColumn(), console=console)
    tasks: dict[str, TaskID] = {}
    turning = Spinner("line" if console.encoding != "utf-8" else "dots")
    lines: list[Spinner] = []

    def draw(of: str, done: int, total: int) -> None:
        if of not in tasks:
            tasks[of] = bars.add_task(of, total=total)
        bars.update(tasks[of], completed=done, total=total)

    def draw_statement(text: str, seconds: float, phase: str) -> None:
        turning.update(text=Text(shortened(f"{lasting(seconds, phase)} {text}", console.width - 3)))
        lines[:] = [turning] if text else []

    shown = Live(console=console, transient=True, get_renderable=lambda: Group(bars, *lines), refresh_per_second=10)
    with shown:
        yield Meanwhile(draw, draw_statement)


def lasting(seconds: float, phase: str) -> str:
    """How long something has taken, and how far it is: `1:05 building index, 45 %:`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}{f' {phase}' if phase else ''}:"


def shortened(text: str, width: int) -> str:
    """A text that fits into a line."""
    return text if len(text) <= width else f"{text[: width - 3].rstrip()}..."
