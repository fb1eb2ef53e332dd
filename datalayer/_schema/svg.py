"""Tables as an entity-relationship picture, drawn as SVG."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

from datalayer._schema.diagram import Column, columns, references
from datalayer._schema.layout import Line, Placed, Point, Size, Way, arranged
from datalayer._schema.table import TableSpec

CHARACTER = 7.3  # the width of one, in the fonts below
ROW = 20.0
HEAD = 28.0
PAD = 10.0
MARGIN = 24.0
FOOT = 14.0  # how far the signs at the ends of a line reach
STYLE = """\
text { font: 12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2937; }
.page { fill: #ffffff; }
.box { fill: #ffffff; stroke: #64748b; }
.head { fill: #e2e8f0; stroke: #64748b; }
.name { font-weight: bold; }
.type { fill: #64748b; text-anchor: end; }
.key { fill: #b45309; }
.line { fill: none; stroke: #475569; stroke-width: 1.3; }
.ring { fill: #ffffff; stroke: #475569; stroke-width: 1.3; }
"""


@dataclass(frozen=True, slots=True)
class _Box:
    """What is written in a box."""

    label: str
    rows: tuple[Column, ...]

    @property
    def keys_width(self) -> float:
        return max((_width(row.keys) for row in self.rows), default=0.0) + CHARACTER

    @property
    def size(self) -> Size:
        names = max((_width(row.name) for row in self.rows), default=0.0)
        types = max((_width(_type(row)) for row in self.rows), default=0.0)
        inner = max(_width(self.label), self.keys_width + names + 2 * CHARACTER + types)
        return Size(inner + 2 * PAD, HEAD + ROW * len(self.rows) + PAD / 2)

    def drop(self, column: str) -> float:
        """How far below the upper edge a column is."""
        return HEAD + ROW * (next(place for place, row in enumerate(self.rows) if row.name == column) + 0.5)


def svg(tables: Mapping[str, TableSpec]) -> str:
    """The picture: each table with its columns and keys, and how many rows of one belong to a row of another.

    Args:
        tables: By the name that is shown.
    """
    boxes = {label: _Box(label, tuple(columns(table))) for label, table in tables.items()}
    found = list(references(tables))
    lines = [
        Line(one.label, one.target, boxes[one.label].drop(one.column), boxes[one.target].drop(one.target_column))
        for one in found
    ]
    layout = arranged({label: box.size for label, box in boxes.items()}, lines)
    width, height = layout.width + 2 * MARGIN, layout.height + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="{-MARGIN:.0f} {-MARGIN:.0f} {width:.0f} {height:.0f}">',
        f"<style>{STYLE}</style>",
        f'<rect class="page" x="{-MARGIN:.0f}" y="{-MARGIN:.0f}" width="100%" height="100%"/>',
    ]
    for one, way in zip(found, layout.ways, strict=True):
        title = f"<title>{escape(f'{one.label}.{one.name}: {one.target}')}</title>"
        ends = _many(way) if one.is_many else _one(way.points[0], _direction(way), may_lack=True)
        parts.append(f"<g>{title}{_line(way)}{ends}{_one(way.points[-1], _arrival(way), may_lack=one.may_lack)}</g>")
    parts += [_drawn(boxes[label], placed) for label, placed in layout.boxes.items()]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _type(row: Column) -> str:
    return f"{row.type}?" if row.nullable else row.type


def _width(text: str) -> float:
    return CHARACTER * sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def _direction(way: Way) -> int:
    """Which way a line leaves its source: 1 is to the right."""
    return 1 if way.points[1][0] > way.points[0][0] else -1


def _arrival(way: Way) -> int:
    """On which side of its target a line ends, as seen from there."""
    return 1 if way.points[-2][0] > way.points[-1][0] else -1


def _line(way: Way) -> str:
    first, *middle, last = way.points
    start = (first[0] + FOOT * _direction(way), first[1])
    end = (last[0] + FOOT * _arrival(way), last[1])
    text = f"M{_at(first)}L{_at(start)}"
    if way.is_beside:
        out = middle[0][0]
        text += f"C{_at((out, start[1]))} {_at((out, end[1]))} {_at(end)}"
    else:
        stops = [start, *middle, end]
        for place in range(0, len(stops), 2):
            here, there = stops[place], stops[place + 1]
            half = (here[0] + there[0]) / 2
            text += f"C{_at((half, here[1]))} {_at((half, there[1]))} {_at(there)}"
            if place + 2 < len(stops):
                text += f"L{_at(stops[place + 2])}"
    return f'<path class="line" d="{text}L{_at(last)}"/>'


def _many(way: Way) -> str:
    """Any number of rows: a crow's foot, and a ring for none."""
    (x, y), side = way.points[0], _direction(way)
    toes = "".join(f"M{_at((x + FOOT * side, y))}L{_at((x, y + spread))}" for spread in (-5, 5))
    return f'<path class="line" d="{toes}"/>{_ring((x + (FOOT + 3) * side, y))}'


def _one(end: Point, side: int, *, may_lack: bool) -> str:
    """One row: a bar, and a ring where there may be none."""
    x, y = end[0] + 6 * side, end[1]
    bar = f'<path class="line" d="M{_at((x, y - 5))}L{_at((x, y + 5))}"/>'
    return bar + (_ring((x + 6 * side, y)) if may_lack else "")


def _ring(centre: Point) -> str:
    return f'<circle class="ring" cx="{centre[0]:.1f}" cy="{centre[1]:.1f}" r="3"/>'


def _drawn(box: _Box, at: Placed) -> str:
    parts = [
        f'<g transform="translate({_at((at.x, at.y))})">',
        f'<rect class="box" width="{at.width:.1f}" height="{at.height:.1f}" rx="4"/>',
        f'<rect class="head" width="{at.width:.1f}" height="{HEAD:.0f}" rx="4"/>',
        f'<text class="name" x="{PAD:.0f}" y="18">{escape(box.label)}</text>',
    ]
    for place, row in enumerate(box.rows):
        y = HEAD + ROW * place + 15
        if row.keys:
            parts.append(f'<text class="key" x="{PAD:.0f}" y="{y:.0f}">{row.keys}</text>')
        parts.append(f'<text x="{PAD + box.keys_width:.1f}" y="{y:.0f}">{escape(row.name)}</text>')
        parts.append(f'<text class="type" x="{at.width - PAD:.1f}" y="{y:.0f}">{escape(_type(row))}</text>')
    return "".join([*parts, "</g>"])


def _at(point: Point) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"
