"""The diagram says of every table what a reader of it needs."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from datalayer import Field, ForeignKey, ManyToMany, Mapped, Model, OneToOne, Range
from datalayer._schema.diagram import mermaid
from datalayer._schema.dot import DARK, dot
from datalayer.cli.diagram import drawn
from datalayer.data.order import labels
from datalayer.errors import MissingExtra
from datalayer.models import registry

SVG = "{http://www.w3.org/2000/svg}"

DIAGRAM = """\
erDiagram
    "Author" {
        big_integer id PK
        string(20) name UK
        big_integer mentor_id FK "may be NULL"
    }
    "Book" {
        big_integer id PK
        text title
        big_integer author_id FK
        big_integer summary_id FK, UK
    }
    "Summary" {
        big_integer id PK
    }
    "Book_readers" {
        big_integer book_id PK, FK
        big_integer author_id PK, FK
    }
    "Author" |o--o{ "Author" : "mentor"
    "Author" ||--o{ "Book" : "author"
    "Summary" ||--o| "Book" : "summary"
    "Book" ||--o{ "Book_readers" : "book"
    "Author" ||--o{ "Book_readers" : "author"
"""


def test_columns_keys_and_the_number_of_rows_at_each_end() -> None:
    with registry.isolated():

        class Author(Model):
            name: Mapped[str] = Field(max_length=20, unique=True)
            mentor: ForeignKey[Author | None] = ForeignKey(default=None, related_name="pupils")

        class Book(Model):
            title: Mapped[str]
            author: ForeignKey[Author] = ForeignKey()
            summary: OneToOne[Summary] = OneToOne()
            readers: ManyToMany[Author] = ManyToMany(related_name="read")

        class Summary(Model):
            pass

        assert Author
        assert Book
        assert Summary
        assert mermaid(labels()) == DIAGRAM
        texts = words(picture())
        assert {
            "Author",
            "Book",
            "Summary",
            "Book_readers",
            "mentor_id",
            "string(20)",
            "big_integer?",
            "PK, FK",
        } <= texts
        assert {"Author.mentor: Author", "Book.summary: Summary", "Book_readers.author: Author"} <= texts


def test_names_that_mean_something_in_mermaid_or_xml_are_written_so_that_they_do_not() -> None:
    with registry.isolated():

        class Odd(Model):
            first: Mapped[int] = Field(column="a <b> & 1")
            second: Mapped[list[int]] = Field(column="2nd")
            third: Mapped[int] = Field(column="fk")

        assert Odd
        text = mermaid(labels())
        assert "        integer a__b____1\n        integer[] _2nd\n        integer _fk\n" in text
        assert {"a <b> & 1", "2nd", "integer[]"} <= words(picture())


def test_a_range_is_no_list() -> None:
    with registry.isolated():

        class Shift(Model):
            hours: Mapped[Range[int]]

        assert Shift
        assert "        range(integer) hours\n" in mermaid(labels())
        assert "range(integer)" in words(picture())


def test_every_colour_of_the_picture_has_one_for_dark_screens() -> None:
    with library():
        shown = {element.get(each) for element in picture().iter() for each in ("fill", "stroke")}
        assert shown - {None, "none"} == set(DARK)


def test_no_line_crosses_a_table() -> None:
    with library():
        found = picture()
        tables = [corners(table) for table in each_of(found, "node")]
        lines = [point for line in each_of(found, "edge") for point in points(line)]
        assert len(tables) == 4
        assert len(lines) > 4 * 20
        assert [(x, y) for x, y in lines for a, b, c, d in tables if a + 3 < x < c - 3 and b + 3 < y < d - 3] == []


def test_tables_without_relations_stand_in_a_square() -> None:
    with registry.isolated():
        for place in range(16):
            type(Model)(f"Alone{place}", (Model,), {"__module__": __name__})
        _, _, width, height = map(float, str(picture().get("viewBox")).split())
        assert width < 3 * height
        assert height < 3 * width


def test_the_picture_is_all_that_is_written(capfd: pytest.CaptureFixture[str]) -> None:
    with library():
        picture()
    assert capfd.readouterr() == ("", "")


def test_without_graphviz_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    with pytest.raises(MissingExtra, match=r"pip install 'datalayer\[diagram\]'; without --svg it is Mermaid's text"):
        drawn("digraph {}", {})


@contextlib.contextmanager
def library() -> Iterator[None]:
    """Models that refer to themselves, to each other in a ring, and past one another."""
    with registry.isolated():

        class Author(Model):
            name: Mapped[str] = Field(unique=True)
            mentor: ForeignKey[Author | None] = ForeignKey(default=None, related_name="pupils")
            best: ForeignKey[Book | None] = ForeignKey(default=None, related_name="best_of")

        class Series(Model):
            author: ForeignKey[Author] = ForeignKey()

        class Book(Model):
            author: ForeignKey[Author] = ForeignKey(related_name="books")
            series: ForeignKey[Series | None] = ForeignKey(default=None)

        class Copy(Model):
            book: ForeignKey[Book] = ForeignKey()
            signed_by: ForeignKey[Author | None] = ForeignKey(default=None, related_name="signed")

        registry.resolve()
        assert [Series, Copy]
        yield


def picture() -> ElementTree.Element:
    return ElementTree.fromstring(drawn(dot(labels()), DARK))


def words(found: ElementTree.Element) -> set[str]:
    """Every text of the picture, those that a pointer brings up included."""
    tips = {element.get("{http://www.w3.org/1999/xlink}title", "") for element in found.iter()}
    return {element.text or "" for element in found.iter()} | tips


def each_of(found: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    return [group for group in found.iter(f"{SVG}g") if group.get("class") == kind]


def numbers(text: str | None) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", text or "")]


def corners(table: ElementTree.Element) -> tuple[float, float, float, float]:
    """The left, upper, right and lower edge of the frame."""
    frame = next(each for each in table.iter(f"{SVG}polygon") if each.get("fill") == "none")
    xs, ys = zip(*numbers(frame.get("points")), strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def points(line: ElementTree.Element) -> Iterator[tuple[float, float]]:
    """Twenty points of each curve that a line is made of."""
    for path in line.iter(f"{SVG}path"):
        found = numbers(path.get("d"))
        for start in range(0, len(found) - 3, 3):
            (ax, ay), (bx, by), (cx, cy), (dx, dy) = found[start : start + 4]
            for step in range(20):
                t, u = step / 20, 1 - step / 20
                weights = (u**3, 3 * u * u * t, 3 * u * t * t, t**3)
                yield (
                    sum(weight * x for weight, x in zip(weights, (ax, bx, cx, dx), strict=True)),
                    sum(weight * y for weight, y in zip(weights, (ay, by, cy, dy), strict=True)),
                )
