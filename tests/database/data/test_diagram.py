"""The diagram says of every table what a reader of it needs."""

from __future__ import annotations

from xml.etree import ElementTree

from datalayer import Field, ForeignKey, ManyToMany, Mapped, Model, OneToOne
from datalayer._schema.diagram import mermaid
from datalayer._schema.svg import svg
from datalayer.data.order import labels
from datalayer.models import registry

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
        texts = drawn(svg(labels()))
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
        assert {"a <b> & 1", "2nd", "integer[]"} <= drawn(svg(labels()))


def drawn(text: str) -> set[str]:
    """Every text of the picture."""
    return {element.text or "" for element in ElementTree.fromstring(text).iter()}
