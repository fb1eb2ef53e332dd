"""How the curves of `curves.py` bend, and why: the words of the page that `report.py` writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Words(NamedTuple):
    """What is told about a curve.

    Attributes:
        grows: What grows, with the curve.
        units: Of the picture, and of the one beside it where there is one.
        logarithmic: The axes of each that are: `x`, `y`, or both.
        reason: Why it has its form.
        only_told: Numbers that are in no picture, and what they are.
    """

    grows: str
    units: tuple[str, ...]
    logarithmic: tuple[str, ...]
    reason: str
    only_told: Mapping[str, str] = {}


AT_A_TIME = ("gets a second", "99th percentile, ms"), ("x", "xy")

CURVES: dict[str, Words] = {
    "rows": Words(
        "rows of a result",
        ("µs a row", "memory, MB"),
        ("xy", "x"),
        "The cost of a query (the connection lent, the statement looked up) is shared by its rows: from a hundred on "
        "a row costs what making its object costs. From ten thousand on it rises again, for the list and for the "
        "stream: that is Python's collector, which looks through what has been made and not been freed; without it a "
        "row costs the same as before (0.8 to 0.9 µs at 100 000). A stream holds five hundred rows at a time. These "
        "know each other, since a relation that is read on one is loaded for all, so it is the collector that frees "
        "them: the memory of a stream grows by some ten megabytes, of which two are SQLite's cache of pages, and no "
        "further, a million rows as a hundred thousand. That of a list grows with its rows.",
    ),
    "columns": Words(
        "columns of a row",
        ("µs a row",),
        ("",),
        "Two straight lines, the second a little steeper: each column is one value that sqlite3 makes and one entry "
        "of a dict, and what is left at the left end is the object itself. Beyond twenty-one entries, and again "
        "beyond forty-two and eighty-five, Python copies a dict that grows to a larger place: an entry takes 0.02 µs "
        "in a dict of ten, 0.03 in one of thirty and 0.04 in one of a hundred.",
    ),
    "conditions": Words(
        "conditions of a filter",
        ("µs a query",),
        ("",),
        "A straight line from two on, 0.7 µs a condition: each is one object and one part of the key under which the "
        "statement is known. The second costs three times as much as each further one, because two are joined by an "
        "AND, which has to be made and looked through. By name is the same number of calls as by column. The "
        "statement is compiled once for each set of conditions; nearly all of that is the import of SQLAlchemy.",
        {"compiled": "the first time"},
    ),
    "depth": Words(
        "levels of a prefetch",
        ("µs for 100 rows a level",),
        ("",),
        "A straight line: one statement a level, whatever the number of rows, and an object for each row. The "
        "first level costs a little more than each further one, for the planning of the prefetch.",
    ),
    "models": Words(
        "models",
        ("ms",),
        ("",),
        "Straight lines. Declaring begins with the import of pydantic, and three fifths of each model are pydantic's "
        "work. The first query imports SQLAlchemy to compile its statement, whatever the number of models, and makes "
        "the tables of all of them, to know which relations lead to its own; the next shape only compiles.",
    ),
    "tasks": Words(
        "tasks at a time, ten connections",
        *AT_A_TIME,
        "Up to ten tasks each has a connection, which is lent at once. Beyond ten they queue: each connection is "
        "handed from one task to the next by a turn of the event loop. That costs throughput once; from then on only "
        "the 99th percentile grows, with the length of the queue. Client and server share a core that is always busy.",
    ),
    "threads": Words(
        "threads at a time, ten connections",
        *AT_A_TIME,
        "Threads share the interpreter lock, so more of them only wait for it, and each change of thread costs "
        "throughput; beyond ten they wait for a connection as well, in the order they came.",
    ),
    "connections": Words(
        "connections, fifty tasks at a time",
        *AT_A_TIME,
        "One connection serves one task after another, and the server waits while the client works; a few more and "
        "one of the two always has something to do. More bring little where both share a core, until there is one for"
        " each task: then nobody queues, and none has to be handed from one task to the next.",
    ),
}
"""For each curve what is told about it."""
