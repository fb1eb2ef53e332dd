"""How the curves of `curves.py` bend, and why: the words of the page that `report.py` writes."""

from __future__ import annotations

CURVES: dict[str, tuple[str, str, str]] = {
    "rows": (
        "rows of a result",
        "µs a row",
        "The cost of a query (the connection lent, the statement looked up) is shared by its rows: from a "
        "thousand on a row costs what making its object costs. A stream holds one chunk at a time, so its memory "
        "does not grow; a list holds everything, and Python's collector looks through it again and again while it "
        "grows.",
    ),
    "columns": (
        "columns of a row",
        "µs a row",
        "A straight line: each column is one value that sqlite3 makes and one entry of a dict. The object itself "
        "is what is left at the left end.",
    ),
    "conditions": (
        "conditions of a filter",
        "µs a query",
        "A straight line: each condition is one object and one part of the key under which the statement is "
        "known. By name costs more than by column, since each name is looked up and each value checked. The statement "
        "is compiled once for each set of conditions, which is not in these numbers.",
    ),
    "depth": (
        "levels of a prefetch",
        "µs for 100 rows a level",
        "A straight line: one statement a level, whatever the number of rows, and an object for each row. The "
        "first level costs the planning of the prefetch besides.",
    ),
    "models": (
        "models",
        "ms",
        "Declaring is a straight line that begins with the import of pydantic, and is nearly all pydantic's work. "
        "The first query imports SQLAlchemy to compile its statement, whatever the number of models, and resolves "
        "the relations of all of them; the next shape compiles only.",
    ),
    "tasks": (
        "tasks at a time, ten connections",
        "gets a second",
        "Up to ten tasks each has a connection, which is lent at once. Beyond ten they queue: each connection is "
        "handed from one task to the next by a turn of the event loop. That costs throughput once; from then on only "
        "the 99th percentile grows, with the length of the queue. Client and server share a core that is always busy.",
    ),
    "threads": (
        "threads at a time, ten connections",
        "gets a second",
        "Threads share the interpreter lock, so beyond the first few more of them only wait for it; beyond ten "
        "they wait for a connection as well, in the order they came.",
    ),
    "connections": (
        "connections, fifty tasks at a time",
        "gets a second",
        "One connection serves one task after another, and the server waits while the client works; a few more and one "
        "of the two always has something to do. More bring little where both share a core, until there is one for each "
        "task: then nobody queues, and none has to be handed from one task to the next.",
    ),
}
"""For each curve what grows, the unit, and the reason of its form."""
