"""Tables as an entity-relationship picture, in the language of Graphviz."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from html import escape

from datalayer._schema.diagram import Column, Reference, columns, references
from datalayer._schema.table import TableSpec

PAPER, HEAD, FAINT, LINE, INK, KEY = "#ffffff", "#e2e8f0", "#64748b", "#475569", "#1f2937", "#b45309"
DARK = {PAPER: "#0f172a", HEAD: "#1e293b", FAINT: "#94a3b8", LINE: "#a8b3c4", INK: "#e5e7eb", KEY: "#fbbf24"}
"""What each colour is where the reader's screen is dark."""

BEGIN = f"""\
digraph models {{
graph [rankdir=LR, ranksep=0.9, nodesep=0.3, pad=0.3, bgcolor="{PAPER}"]
node [shape=plain, fontname="monospace", fontsize=11, fontcolor="{INK}"]
edge [dir=both, color="{LINE}", arrowsize=0.9]"""
TABLE = f'<TABLE BORDER="1" COLOR="{FAINT}" BGCOLOR="{PAPER}" CELLBORDER="0" CELLSPACING="0" CELLPADDING="4">'
TITLE = f'<TR><TD PORT="head" COLSPAN="3" ALIGN="LEFT" BGCOLOR="{HEAD}"><B>%s</B></TD></TR>'
ROW = (
    f'<TR><TD PORT="w%d" ALIGN="LEFT"><FONT COLOR="{KEY}">%s</FONT></TD><TD ALIGN="LEFT">%s</TD>'
    f'<TD PORT="e%d" ALIGN="RIGHT"><FONT COLOR="{FAINT}">%s</FONT></TD></TR>'
)


def dot(tables: Mapping[str, TableSpec]) -> str:
    """The picture: each table with its columns and keys, and how many rows of one belong to a row of another.

    What is referred to stands to the left. The end of a line says how many rows there are: a bar for one, a ring where
    there may be none, a crow's foot for many.

    Args:
        tables: By the name that is shown.
    """
    names = {label: f"t{place}" for place, label in enumerate(tables)}
    rows = {label: tuple(columns(table)) for label, table in tables.items()}
    places = {label: {row.name: place for place, row in enumerate(found)} for label, found in rows.items()}
    found = list(references(tables))
    connected = {label for one in found for label in (one.label, one.target)}
    lines = [BEGIN]
    lines += [f"{names[label]} [tooltip={_quoted(label)}, label=<{_table(label, rows[label])}>]" for label in tables]
    lines += [_edge(one, names, places) for one in found]
    lines += _square([name for label, name in names.items() if label not in connected])
    return "\n".join([*lines, "}"]) + "\n"


def _table(label: str, rows: Iterable[Column]) -> str:
    text = TABLE + TITLE % escape(label)
    for place, row in enumerate(rows):
        kind = f"{row.type}?" if row.nullable else row.type
        text += ROW % (place, row.keys or " ", escape(row.name), place, escape(kind))
    return f"{text}</TABLE>"


def _edge(one: Reference, names: Mapping[str, str], places: Mapping[str, Mapping[str, int]]) -> str:
    """A line from what is referred to, so that it stands to the left of what refers to it."""
    here, there = places[one.label][one.column], places[one.target][one.target_column]
    target = "teeodot" if one.may_lack else "tee"
    source = "crowodot" if one.is_many else "teeodot"
    if one.label == one.target:  # Graphviz keeps room for a line round the corner, and none for one beside the table
        ends = f"{names[one.label]}:e{here}:e -> {names[one.label]}:head:n [arrowtail={source}, arrowhead={target}"
    else:
        ends = f"{names[one.target]}:e{there}:e -> {names[one.label]}:w{here}:w [arrowtail={target}, arrowhead={source}"
    return f"{ends}, tooltip={_quoted(f'{one.label}.{one.name}: {one.target}')}]"


def _square(names: list[str]) -> Iterator[str]:
    """Tables without a relation, as many beside as below one another: by themselves they would be one column."""
    width = math.ceil(math.sqrt(len(names)))
    for place, name in enumerate(names):
        if place % width:
            yield f"{names[place - 1]} -> {name} [style=invis]"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
