"""Boxes never overlap, and no line crosses a box, whatever refers to what."""

from __future__ import annotations

import itertools
import random

import pytest

from datalayer._schema.layout import Layout, Line, Size, arranged

SEEDS = pytest.mark.parametrize("seed", range(25))


def a_schema(seed: int) -> tuple[dict[str, Size], list[Line]]:
    """Boxes and lines by chance: rings, references to itself and boxes alone among them."""
    chance = random.Random(seed)
    sizes = {
        f"t{number}": Size(chance.uniform(60, 300), chance.uniform(40, 400)) for number in range(chance.randint(1, 25))
    }
    names = list(sizes)
    lines = []
    for _ in range(chance.randint(0, 2 * len(names))):
        source, target = chance.choice(names), chance.choice(names)
        begin, end = (chance.uniform(10, sizes[name].height - 10) for name in (source, target))
        lines.append(Line(source, target, begin, end))
    return sizes, lines


@SEEDS
def test_boxes_do_not_overlap(seed: int) -> None:
    boxes = list(arranged(*a_schema(seed)).boxes.values())
    for place, one in enumerate(boxes):
        for other in boxes[:place]:
            is_apart = one.x + one.width < other.x or other.x + other.width < one.x
            assert is_apart or one.y + one.height < other.y or other.y + other.height < one.y


@SEEDS
def test_no_line_crosses_a_box(seed: int) -> None:
    layout = arranged(*a_schema(seed))
    for way in layout.ways:
        inner = way.points[1:-1]
        for (x, y), (onwards, level) in zip(inner[::2], inner[1::2], strict=True):
            assert way.is_beside or y == level
            places = (x, onwards) if way.is_beside else (x + 0.1, (x + onwards) / 2, onwards - 0.1)
            assert not any(is_inside(layout, place, y) for place in places)


@SEEDS
def test_lines_begin_and_end_at_the_edges_of_their_boxes(seed: int) -> None:
    sizes, lines = a_schema(seed)
    layout = arranged(sizes, lines)
    for line, way in zip(lines, layout.ways, strict=True):
        for name, drop, (x, y) in (
            (line.source, line.source_drop, way.points[0]),
            (line.target, line.target_drop, way.points[-1]),
        ):
            box = layout.boxes[name]
            assert x in (box.x, box.x + box.width)
            assert y == pytest.approx(box.y + drop)


@SEEDS
def test_everything_is_within_the_picture(seed: int) -> None:
    layout = arranged(*a_schema(seed))
    points = [point for way in layout.ways for point in way.points]
    points += [(box.x + box.width, box.y + box.height) for box in layout.boxes.values()]
    points += [(box.x, box.y) for box in layout.boxes.values()]
    assert all(-0.01 <= x <= layout.width + 0.01 and -0.01 <= y <= layout.height + 0.01 for x, y in points)


def test_what_is_referred_to_stands_to_the_left() -> None:
    sizes = {name: Size(100, 100) for name in ("order", "customer", "line")}
    boxes = arranged(sizes, [Line("order", "customer", 50, 20), Line("line", "order", 50, 20)]).boxes
    assert boxes["customer"].x < boxes["order"].x < boxes["line"].x


def test_nothing_takes_no_room() -> None:
    layout = arranged({}, [])
    assert (layout.width, layout.height) == (0, 0)


def test_a_chain_of_two_thousand_tables_has_a_place() -> None:
    names = [f"t{number}" for number in range(2000)]
    lines = [Line(one, other, 20, 20) for one, other in itertools.pairwise(names)]
    assert len(arranged({name: Size(100, 60) for name in names}, lines).boxes) == 2000


def is_inside(layout: Layout, x: float, y: float) -> bool:
    """Whether a point is within a box."""
    return any(box.x < x < box.x + box.width and box.y < y < box.y + box.height for box in layout.boxes.values())
