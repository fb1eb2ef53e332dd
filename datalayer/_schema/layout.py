"""Where the boxes of a picture stand and which way the lines between them go; pure arithmetic, in pixels.

Boxes stand in columns, each to the right of those it refers to, as far as rings allow. A line that passes a column
takes up room of its own there, so no line crosses a box. Within the columns, boxes are moved towards those they are
connected with.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

GAP = 28.0  # between two boxes of a column
LANE = 12.0  # what a line takes that passes a column
GUTTER = 84.0  # between two columns
LOOP = 10.0  # how much further out each line goes that stays beside its column
SWEEPS = 12

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Size:
    """How much room a box needs."""

    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Line:
    """A line from one box to another, each end so far below the box's upper edge."""

    source: str
    target: str
    source_drop: float
    target_drop: float


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a box stands."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Way:
    """The points a line goes through, from its source to its target.

    Attributes:
        points: Two for each column it meets; between columns it may bend as it likes.
        is_beside: Whether both ends are at the right of one column.
    """

    points: tuple[Point, ...]
    is_beside: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything in its place; the ways in the order of the lines."""

    boxes: Mapping[str, Placed]
    ways: Sequence[Way]
    width: float
    height: float


@dataclass(slots=True, eq=False)
class _Node:
    """A box, or a line on its way through a column."""

    column: int
    height: float
    middle: float = 0.0
    left: list[tuple[_Node, float]] = field(default_factory=list["tuple[_Node, float]"])
    right: list[tuple[_Node, float]] = field(default_factory=list["tuple[_Node, float]"])

    @property
    def top(self) -> float:
        return self.middle - self.height / 2


def arranged(sizes: Mapping[str, Size], lines: Sequence[Line]) -> Layout:
    """Finds a place for every box and a way for every line.

    Args:
        sizes: The boxes by name.
        lines: Between boxes that are there.
    """
    columns = _columns(sizes, lines)
    nodes = {name: _Node(place, sizes[name].height) for place, names in enumerate(columns) for name in names}
    stacks = [[nodes[name] for name in names] for names in columns]
    chains = [_chain(nodes, stacks, line) for line in lines]
    _settle(stacks)
    beside = [0] * len(columns)
    for chain in chains:
        beside[chain[0].column] += len(chain) == 1
    widths = [max(sizes[name].width for name in names) for names in columns]
    lefts: list[float] = []
    edge = 0.0
    for width, turns in zip(widths, beside, strict=True):
        lefts.append(edge)
        edge += width + GUTTER + LOOP * turns
    boxes = {
        name: Placed(lefts[node.column], node.top, widths[node.column], node.height) for name, node in nodes.items()
    }
    loops = [0] * len(columns)
    ways = [_way(line, chain, boxes, nodes, lefts, widths, loops) for line, chain in zip(lines, chains, strict=True)]
    height = max((box.y + box.height for box in boxes.values()), default=0.0)
    passing = max((point[1] for way in ways for point in way.points), default=0.0)
    last = (widths[-1] + (GUTTER + LOOP * beside[-1] if beside[-1] else 0.0)) if columns else 0.0
    return Layout(boxes, ways, lefts[-1] + last if columns else 0.0, max(height, passing))


def _columns(sizes: Mapping[str, Size], lines: Iterable[Line]) -> list[list[str]]:
    """The names of the boxes by column; high columns are parted."""
    targets: dict[str, list[str]] = {name: [] for name in sizes}
    connected: set[str] = set()
    for line in lines:
        connected |= {line.source, line.target}
        if line.source != line.target and line.target not in targets[line.source]:
            targets[line.source].append(line.target)
    ranks = _ranks({name: found for name, found in targets.items() if name in connected})
    groups = [[name for name in ranks if ranks[name] == rank] for rank in range(max(ranks.values(), default=-1) + 1)]
    groups.append([name for name in sizes if name not in connected])
    area = sum((size.width + GUTTER) * (size.height + GAP) for size in sizes.values())
    most = max(math.sqrt(area * 0.75), *(size.height for size in sizes.values()), 1.0) if sizes else 1.0
    found: list[list[str]] = []
    for group in groups:
        height = math.inf
        for name in group:
            if height + sizes[name].height > most:
                found.append([])
                height = 0.0
            found[-1].append(name)
            height += sizes[name].height + GAP
    return found


def _ranks(targets: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How many steps each is from one that refers to nothing; then as near as may be to those that refer to it."""
    forwards = _without_rings(targets)
    ranks: dict[str, int] = {}
    referrers: dict[str, list[str]] = {name: [] for name in targets}
    for name, found in forwards.items():  # each comes after those it refers to
        ranks[name] = 1 + max((ranks[target] for target in found), default=-1)
        for target in found:
            referrers[target].append(name)
    for name in reversed(forwards):
        if referrers[name]:
            ranks[name] = max(ranks[name], min(ranks[other] for other in referrers[name]) - 1)
    return {name: ranks[name] for name in targets}


def _without_rings(targets: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """What each refers to, each after those, rings cut where they close."""
    found: dict[str, list[str]] = {}
    for root in targets:
        path = [root] if root not in found else []
        while path:
            name = path[-1]
            waiting = next((target for target in targets[name] if target not in found and target not in path), None)
            if waiting is None:
                found[name] = [target for target in targets[name] if target in found]
                path.pop()
            else:
                path.append(waiting)
    return found


def _chain(nodes: Mapping[str, _Node], stacks: list[list[_Node]], line: Line) -> list[_Node]:
    """The nodes a line goes through, from the left to the right; one alone where both ends are in one column."""
    ends = sorted(
        ((nodes[line.source], line.source_drop), (nodes[line.target], line.target_drop)), key=lambda end: end[0].column
    )
    (first, first_drop), (last, last_drop) = ends
    if first.column == last.column:
        return [first]
    between = [_Node(column, LANE) for column in range(first.column + 1, last.column)]
    for node in between:
        stacks[node.column].append(node)
    chain = [first, *between, last]
    shifts = [first_drop - first.height / 2, *(0.0 for _ in between), last_drop - last.height / 2]
    for place in range(len(chain) - 1):
        one, other = chain[place], chain[place + 1]
        shift = shifts[place + 1] - shifts[place]
        one.right.append((other, shift))
        other.left.append((one, -shift))
    return chain


def _settle(stacks: list[list[_Node]]) -> None:
    """Orders each column and moves its nodes, so that the lines are short; the best of several rounds is kept."""
    for stack in stacks:
        _stack(stack, [node.middle for node in stack])
    best, kept = math.inf, [(list(stack), [node.middle for node in stack]) for stack in stacks]
    for sweep in range(SWEEPS):
        for stack in stacks if sweep % 2 == 0 else reversed(stacks):
            wishes = {node: _wish(node, sweep) for node in stack}
            stack.sort(key=wishes.__getitem__)
            _stack(stack, [wishes[node] for node in stack])
        length = sum(
            abs(other.middle + shift - node.middle) for stack in stacks for node in stack for other, shift in node.right
        )
        if length < best:
            best, kept = length, [(list(stack), [node.middle for node in stack]) for stack in stacks]
    for stack, (order, middles) in zip(stacks, kept, strict=True):
        stack[:] = order
        for node, middle in zip(order, middles, strict=True):
            node.middle = middle
    upper = min((node.top for stack in stacks for node in stack), default=0.0)
    for stack in stacks:
        for node in stack:
            node.middle -= upper


def _wish(node: _Node, sweep: int) -> float:
    """Where a node would be if it were alone: level with those it is connected with, on one side or both."""
    side = (node.left, node.right)[sweep % 2] if sweep < SWEEPS - 4 else node.left + node.right
    return sum(other.middle + shift for other, shift in side) / len(side) if side else node.middle


def _stack(stack: Sequence[_Node], wishes: Sequence[float]) -> None:
    """Puts the nodes one below the other, as near to where they want to be as that allows.

    Neighbours that would overlap are put together and placed as one, at the mean of what they want.
    """
    offsets: list[float] = []
    below = 0.0
    for place, node in enumerate(stack):
        offsets.append(below + node.height / 2)
        gap = GAP if place + 1 < len(stack) and max(node.height, stack[place + 1].height) > LANE else 0.0
        below += node.height + gap
    blocks: list[tuple[float, int]] = []  # the mean place of the first node's upper edge, and how many nodes
    for wish, offset in zip(wishes, offsets, strict=True):
        start, count = wish - offset, 1
        while blocks and blocks[-1][0] > start:
            before, many = blocks.pop()
            start, count = (before * many + start * count) / (many + count), many + count
        blocks.append((start, count))
    place = 0
    for start, count in blocks:
        for node, offset in zip(stack[place : place + count], offsets[place : place + count], strict=True):
            node.middle = start + offset
        place += count


def _way(
    line: Line,
    chain: Sequence[_Node],
    boxes: Mapping[str, Placed],
    nodes: Mapping[str, _Node],
    lefts: Sequence[float],
    widths: Sequence[float],
    loops: list[int],
) -> Way:
    source, target = boxes[line.source], boxes[line.target]
    begin, end = source.y + line.source_drop, target.y + line.target_drop
    if len(chain) == 1:
        column = chain[0].column
        loops[column] += 1
        edge = source.x + source.width
        out = edge + GUTTER / 2 + LOOP * loops[column]
        return Way(((edge, begin), (out, begin), (out, end), (edge, end)), is_beside=True)
    passing = [
        ((lefts[node.column], node.middle), (lefts[node.column] + widths[node.column], node.middle))
        for node in chain[1:-1]
    ]
    is_leftwards = nodes[line.source].column > nodes[line.target].column
    if is_leftwards:
        between = [point for left, right in reversed(passing) for point in (right, left)]
        return Way(((source.x, begin), *between, (target.x + target.width, end)), is_beside=False)
    between = [point for pair in passing for point in pair]
    return Way(((source.x + source.width, begin), *between, (target.x, end)), is_beside=False)
